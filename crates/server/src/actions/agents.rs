//! What agents ask for: to join, to be known again, to report, and what there is to do.

use std::sync::Arc;

use api::agent_v1::{CheckIn, Enroll, Enrolled, Hello, OrderResult, Orders, Presented, Renew, ReportAnswer, ReportFrame, RunProgress, SignedOrder, Welcome};
use domain::decide::enroll::{BootMeaning, KnownNode, PresentedMachine, Recognition, judge_boot, recognize};
use domain::model::activation::{Activation, ActivationState};
use domain::model::baseline::Source;
use domain::model::digest::Digest;
use domain::model::id::{NodeId, OperationId};
use domain::model::node::TagSource;
use domain::model::order::{InstallWork, Order, Task};
use domain::model::receipt::Outcome as RunOutcome;
use domain::model::section::ReportDigest;
use domain::model::time::{HOUR_MS, Timestamp};
use store::AuditEntry;
use store::nodes::{NodeEvent, NodeRecord};
use store::operations::InvocationState;

use crate::App;
use crate::actions::ActionError;
use crate::actions::operations::{self, Ended};
use crate::fleet::{IncomingContent, IncomingReport, Node, Outcome, PackageFactsRow, State};
use crate::keys::IssuedCertificate;
use crate::reconcilers::progress;

/// A node that showed its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The node.
    pub node_id: NodeId,
    /// Its number.
    pub number: u32,
    /// The serial number of the certificate.
    pub certificate: Arc<str>,
}

/// How long an order may wait until it is begun.
const ORDER_LASTS_MS: i64 = HOUR_MS;
/// Longest text that an agent may send about itself.
const TEXT_LENGTH_MAX: usize = 255;
/// Boots that are remembered, to see one come back.
const BOOTS_MAX: usize = 8;

/// The node of a certificate, unless that was revoked or the node retired.
pub fn authenticate(app: &App, node_id: &NodeId, certificate: &Arc<str>) -> Result<Agent, ActionError> {
    let leaving = authenticate_leaving(app, node_id, certificate)?;
    if leaving.retired { Err(ActionError::CertificateRevoked) } else { Ok(leaving.agent) }
}

/// The same for one request that retired nodes may still make: to be told that they are.
pub fn authenticate_leaving(app: &App, node_id: &NodeId, certificate: &Arc<str>) -> Result<LeavingAgent, ActionError> {
    let state = app.fleet().read();
    let known = |node: &&Node| node.record.certificate.as_deref().is_some_and(|known| known.split(' ').any(|serial| serial == &**certificate));
    let node = state.find(node_id).filter(known).ok_or(ActionError::CertificateRevoked)?;
    let agent = Agent { node_id: node_id.clone(), number: node.record.number, certificate: certificate.clone() };
    Ok(LeavingAgent { agent, retired: node.record.retired_at.is_some() })
}

/// A node that showed its certificate, and may have been retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavingAgent {
    /// The node.
    pub agent: Agent,
    /// Whether it was retired.
    pub retired: bool,
}

/// Lets a node join.
pub async fn enroll(app: &App, request: &Enroll) -> Result<Enrolled, ActionError> {
    check_presented(&request.presented)?;
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let secret = Digest::of(request.activation.as_bytes());
    let activation = app.database().read().await?.find_activation_by_secret(&secret).await?;
    let activation = activation.ok_or_else(|| refuse_activation("the activation code is not known"))?;
    let state = activation.state(now);
    // A node that is known may come back with the code that it came with.
    let (found, recognition) = find_known(app, &request.presented, now);
    if state != ActivationState::Open && !(state == ActivationState::UsedUp && recognition == Recognition::Same) {
        return Err(refuse_activation(&format!("the activation is {}", state.word())));
    }
    match (found, recognition) {
        (Some(record), Recognition::Same) => enroll_again(app, record, &request.presented, &request.certificate_request, now).await,
        (found, recognition) => {
            let clone_of = found.filter(|_| recognition == Recognition::Clone);
            enroll_new(app, Place::Activation(&activation), &request.presented, &request.certificate_request, clone_of, now).await
        }
    }
}

/// Lets a clone become a node of its own. It shows the certificate that it was copied with.
pub async fn split(app: &App, agent: &Agent, request: &Renew) -> Result<Enrolled, ActionError> {
    check_presented(&request.presented)?;
    let _change = app.fleet().begin_change().await;
    let original = app.fleet().read().nodes[agent.number as usize].record.clone();
    enroll_new(app, Place::Of(&original), &request.presented, &request.certificate_request, Some(original.clone()), app.now()).await
}

/// Where a new node lives.
enum Place<'a> {
    Activation(&'a Activation),
    Of(&'a NodeRecord),
}

async fn enroll_new(app: &App, place: Place<'_>, presented: &Presented, certificate_request: &str, original: Option<NodeRecord>, now: Timestamp) -> Result<Enrolled, ActionError> {
    let clone_of = original.as_ref().map(|original| original.id.clone());
    let number = app.fleet().read().next_number();
    let id = app.create_id(|ids| NodeId::create(ids, now));
    let certificate = issue(app, certificate_request, &id, now)?;
    let (account_id, region_id, activation_id) = match &place {
        Place::Activation(activation) => (activation.account_id.clone(), activation.region_id.clone(), Some(activation.id.clone())),
        Place::Of(original) => (original.account_id.clone(), original.region_id.clone(), original.activation_id.clone()),
    };
    let record = NodeRecord {
        number,
        id: id.clone(),
        machine: presented.machine.clone(),
        account_id,
        region_id,
        allows: presented.allows,
        agent_version: Some(presented.agent_version.clone()),
        certificate: Some(certificate.serial.clone()),
        certificate_expires_at: Some(certificate.expires_at),
        // A clone that came with the original's identity makes its own, and says hello with that.
        identity: Some(presented.identity.clone()).filter(|identity| original.as_ref().is_none_or(|original| original.identity.as_ref() != Some(identity))),
        activation_id,
        clone_of: clone_of.clone(),
        generation: 0,
        enrolled_at: now,
        retired_at: None,
    };
    let mut node = Node::new(record, presented.name.clone());
    node.boot = Some(presented.boot.clone());
    node.saw(now);
    let mut tx = app.database().write().await?;
    if let Place::Activation(activation) = &place {
        if !tx.use_activation(&activation.id).await? {
            return Err(refuse_activation("the activation is used up"));
        }
        tx.replace_tags(number, TagSource::Activation, &activation.tags).await?;
        node.tags = activation.tags.iter().map(|(key, value)| (key.clone(), (TagSource::Activation, value.clone()))).collect();
    }
    tx.upsert_node(&node.record).await?;
    tx.upsert_node_states(&[node.state()]).await?;
    // The node's record says when it joined: no event repeats that for every node there is.
    let detail = format!("as {}", presented.name);
    tx.append_audit(&AuditEntry { at: now, actor: "agent".to_owned(), action: "node.enroll".to_owned(), subject: id.to_string(), detail }).await?;
    if let Some(original) = &clone_of {
        let detail = format!("{id} ({}) came with the identity of {original}", presented.name);
        let of_original = app.fleet().read().find(original).map(|node| node.record.number);
        for node_number in of_original.into_iter().chain([number]) {
            tx.append_node_event(&NodeEvent { node_number, at: now, kind: "clone_detected".to_owned(), detail: detail.clone() }).await?;
        }
        tx.append_audit(&AuditEntry { at: now, actor: "agent".to_owned(), action: "node.clone".to_owned(), subject: original.to_string(), detail }).await?;
    }
    tx.commit().await?;
    app.fleet().write().insert(node);
    Ok(enrolled(app, &id, certificate, clone_of))
}

async fn enroll_again(app: &App, mut record: NodeRecord, presented: &Presented, certificate_request: &str, now: Timestamp) -> Result<Enrolled, ActionError> {
    let certificate = issue(app, certificate_request, &record.id, now)?;
    record.certificate = Some(certificate.serial.clone());
    record.certificate_expires_at = Some(certificate.expires_at);
    record.identity = Some(presented.identity.clone());
    take_presented(&mut record, presented);
    store_node(app, &record, "enrolled_again", &format!("as {}, agent {}", presented.name, presented.agent_version), now).await?;
    let id = record.id.clone();
    place_record(app, record, Some(&presented.boot));
    Ok(enrolled(app, &id, certificate, None))
}

/// A new certificate for a node that has one. The old one stays good until the new one is used, in
/// case the answer is lost.
pub async fn renew(app: &App, agent: &Agent, request: &Renew) -> Result<Enrolled, ActionError> {
    check_presented(&request.presented)?;
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let certificate = issue(app, &request.certificate_request, &agent.node_id, now)?;
    let mut record = app.fleet().read().nodes[agent.number as usize].record.clone();
    record.certificate = Some(format!("{} {}", certificate.serial, agent.certificate));
    record.certificate_expires_at = Some(certificate.expires_at);
    record.identity = Some(request.presented.identity.clone());
    store_node(app, &record, "certificate_renewed", &format!("until {}", certificate.expires_at), now).await?;
    place_record(app, record, None);
    Ok(enrolled(app, &agent.node_id, certificate, None))
}

/// An agent began, or the server was away: who it is, and how often it is to be heard of.
pub async fn hello(app: &App, agent: &Agent, hello: &Hello) -> Result<Welcome, ActionError> {
    check_presented(&hello.presented)?;
    let now = app.now();
    heard_from(app, agent, &hello.presented.boot).await?;
    let before_and_after = || {
        let before = app.fleet().read().nodes[agent.number as usize].record.clone();
        let mut record = before.clone();
        take_presented(&mut record, &hello.presented);
        // The certificate that was used is the one that counts from now on.
        record.certificate = Some(agent.certificate.to_string());
        record.generation = record.generation.max(hello.generation);
        (before, record)
    };
    // Nearly always nothing changed, and nobody has to wait for others' changes.
    let (before, record) = before_and_after();
    if record != before {
        let _change = app.fleet().begin_change().await;
        let (before, record) = before_and_after();
        let mut tx = app.database().write().await?;
        tx.upsert_node(&record).await?;
        if record.allows != before.allows {
            let detail = format!("from {} to {}", before.allows.words(), record.allows.words());
            tx.append_node_event(&NodeEvent { node_number: agent.number, at: now, kind: "allows_changed".to_owned(), detail }).await?;
        }
        tx.commit().await?;
        app.fleet().write().replace_record(record);
    }
    if app.fleet().is_at_work(agent.number) {
        // What the agent had taken before it ended is asked for again.
        operations::release(app, &agent.node_id).await?;
        app.fleet().set_at_work(agent.number, false);
        app.fleet().wake(agent.number);
    }
    let rhythm = app.rhythm();
    Ok(Welcome { now, scan_seconds: rhythm.scan_seconds, poll_seconds: rhythm.poll_seconds })
}

/// Nothing changed on a node. False when the server does not have that report.
pub async fn check_in(app: &App, agent: &Agent, check_in: &CheckIn) -> Result<bool, ActionError> {
    heard_from(app, agent, &check_in.boot).await?;
    let digest = u128::from_str_radix(&check_in.report, 16).map_err(|_| ActionError::invalid("report", "the digest is not 32 hexadecimal digits"))?;
    let lists_at = check_in.lists_at.map(Timestamp::from_millis);
    Ok(app.fleet().check_in(agent.number, ReportDigest(digest.to_be_bytes()), Timestamp::from_millis(check_in.at), lists_at).await?)
}

/// A report that says something new.
pub async fn report(app: &App, agent: &Agent, frame: ReportFrame) -> Result<ReportAnswer, ActionError> {
    heard_from(app, agent, &frame.report.boot).await?;
    let incoming = |(digest, of, text): (Digest, Option<Digest>, String)| {
        let content = match of {
            Some(of) => IncomingContent::Edit { of, edit: text },
            None => IncomingContent::Whole(text),
        };
        (digest, content)
    };
    let report = IncomingReport {
        node_number: agent.number,
        heading: frame.report.heading,
        boot: None,
        digests: frame.report.sections,
        contents: frame.contents.into_iter().map(incoming).collect(),
        facts: frame.report.packages.into_iter().map(|(package, facts)| PackageFactsRow { package, facts }).collect(),
    };
    Ok(match app.fleet().record(app.database(), report).await? {
        Outcome::Recorded => ReportAnswer { recorded: true, ..ReportAnswer::default() },
        Outcome::Lacking(lacking) => ReportAnswer { recorded: false, contents: lacking.contents, packages: lacking.packages },
    })
}

/// Orders for a node; waits for some, no longer than the server holds such questions.
pub async fn wait_for_orders(app: &App, asking: &LeavingAgent, boot: &str) -> Result<Orders, ActionError> {
    let agent = &asking.agent;
    if asking.retired {
        return Ok(Orders { orders: vec![Box::pin(last_order(app, agent)).await?] });
    }
    heard_from(app, agent, boot).await?;
    let waker = app.fleet().waker(agent.number);
    let patience = std::time::Duration::from_secs(u64::from(app.rhythm().poll_seconds));
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        if app.fleet().is_awaited(agent.number)
            // Nearly all of its time it waits: what is done then is on the heap.
            && let Some(order) = Box::pin(next_order(app, agent)).await?
        {
            return Ok(Orders { orders: vec![order] });
        }
        if tokio::time::timeout_at(deadline, waker.notified()).await.is_err() {
            app.fleet().saw(agent.number, app.now());
            return Ok(Orders::default());
        }
        if authenticate_leaving(app, &agent.node_id, &agent.certificate)?.retired {
            return Ok(Orders { orders: vec![Box::pin(last_order(app, agent)).await?] });
        }
    }
}

/// The order by which a retired node learns that it is; its certificate is good for nothing more.
async fn last_order(app: &App, agent: &Agent) -> Result<SignedOrder, ActionError> {
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let mut record = app.fleet().read().nodes[agent.number as usize].record.clone();
    record.generation += 1;
    record.certificate = None;
    let mut tx = app.database().write().await?;
    tx.upsert_node(&record).await?;
    tx.commit().await?;
    let order = sign_order(app, String::new(), agent, record.generation, Task::Retire, now);
    app.fleet().write().replace_record(record);
    Ok(order)
}

fn sign_order(app: &App, operation_id: String, agent: &Agent, generation: u32, task: Task, now: Timestamp) -> SignedOrder {
    let expires_at = now.plus_millis(ORDER_LASTS_MS);
    let (sources, repositories) = {
        let state = app.fleet().read();
        (sources_of(&state, agent.number), repositories_of(&state, agent.number))
    };
    app.keys().sign(&Order { operation_id, node_id: agent.node_id.to_string(), generation, issued_at: now, expires_at, task, sources, repositories })
}

/// The own repositories of a node's baseline that are for its product; a node that only allows scans keeps its own.
fn sources_of(state: &State, number: u32) -> Vec<Source> {
    let node = &state.nodes[number as usize];
    let Some((system, (named, _))) = state.system(node).zip(state.baseline_of(node)).filter(|_| node.record.allows.install) else { return Vec::new() };
    named.baseline.sources.iter().filter(|source| source.is_for(&system.platform.product)).cloned().collect()
}

/// The repositories that the policy that acts on a node makes its own.
fn repositories_of(state: &State, number: u32) -> Vec<Source> {
    let acting = state.policies_of(&state.nodes[number as usize]).into_iter().next();
    acting.and_then(|policy| policy.repositories.as_ref()).filter(|repositories| repositories.mend).map(|repositories| repositories.sources.clone()).unwrap_or_default()
}

async fn next_order(app: &App, agent: &Agent) -> Result<Option<SignedOrder>, ActionError> {
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let mut record = app.fleet().read().nodes[agent.number as usize].record.clone();
    record.generation += 1;
    let mut tx = app.database().write().await?;
    if let Some(operation_id) = tx.claim_cancel(&agent.node_id, now).await? {
        tx.upsert_node(&record).await?;
        tx.commit().await?;
        let generation = record.generation;
        app.fleet().write().replace_record(record);
        return Ok(Some(sign_order(app, operation_id.to_string(), agent, generation, Task::Cancel, now)));
    }
    let Some(claimed) = tx.claim_invocation(&agent.node_id, record.generation, now).await? else {
        app.fleet().has_no_work(agent.number);
        return Ok(None);
    };
    tx.upsert_node(&record).await?;
    let course = tx.find_operation(&claimed.operation_id).await?.map(|operation| operation.course).unwrap_or_default();
    tx.commit().await?;
    let generation = record.generation;
    app.fleet().set_at_work(agent.number, true);
    app.fleet().write().replace_record(record);
    let work = || {
        let mut work = claimed.work.as_deref().and_then(|work| serde_json::from_str::<InstallWork>(work).ok()).unwrap_or_default();
        work.terms.ends_by = work.terms.ends_by.or_else(|| operations::shuts_at(app, &course, now));
        work
    };
    let task = match claimed.kind.as_str() {
        "plan" => Task::Plan(work()),
        "install" | "rollback" => Task::Install(work()),
        "trust" => Task::Trust { order_keys: app.keys().order_keys(), authorities: app.keys().authorities() },
        other => Task::parse(other).unwrap_or(Task::Scan),
    };
    Ok(Some(sign_order(app, claimed.operation_id.to_string(), agent, generation, task, now)))
}

/// An order has ended.
pub async fn finish_order(app: &App, agent: &Agent, result: &OrderResult) -> Result<(), ActionError> {
    let message = result.message.as_deref().map(|message| message.chars().take(1000).collect::<String>());
    if result.refused {
        let detail = message.clone().unwrap_or_else(|| "an order was refused".to_owned());
        tracing::warn!(node.id = %agent.node_id, "node {} refused an order: {detail}", agent.node_id);
        let mut tx = app.database().write().await?;
        tx.append_node_event(&NodeEvent { node_number: agent.number, at: app.now(), kind: "order_refused".to_owned(), detail }).await?;
        tx.commit().await?;
    }
    // A refused order may name anything; only operations of this node can be ended by it.
    let Ok(id) = result.operation_id.parse::<OperationId>() else { return Ok(()) };
    app.fleet().set_at_work(agent.number, false);
    // What a node does not take is no failure of the work, as AWS's AccessDenied is none: it is left out, and says why.
    let is_cancelled = result.refused || result.receipt.as_ref().is_some_and(|receipt| matches!(receipt.outcome, RunOutcome::Cancelled { .. }));
    let state = match (result.succeeded, is_cancelled) {
        (true, _) => InvocationState::Succeeded,
        (false, true) => InvocationState::Cancelled,
        (false, false) => InvocationState::Failed,
    };
    let message = message.or_else(|| (!result.succeeded).then(|| "the node said no more".to_owned()));
    let ended = Ended { state, message: message.as_deref(), receipt: result.receipt.as_deref(), plan: result.plan.as_deref() };
    operations::finish(app, &id, &agent.node_id, ended).await?;
    // What waited for the end of this may go out.
    app.fleet().wake(agent.number);
    Ok(())
}

/// Most lines of a run's progress, and most bytes of each.
const LINES_MAX: usize = 20;

/// How far the run of an order is. What the node says is bounded here, whatever it is. A node that is about to go down is
/// answered when that is written: who looks for it must know.
pub async fn progress(app: &App, agent: &Agent, told: &RunProgress) -> Result<(), ActionError> {
    let id: OperationId = told.operation_id.parse().map_err(|_| ActionError::not_found("operation", "of this node"))?;
    let mut progress = told.progress.clone();
    progress.lines.truncate(LINES_MAX);
    for line in &mut progress.lines {
        *line = line.chars().filter(|c| !c.is_control()).take(TEXT_LENGTH_MAX).collect();
    }
    app.fleet().saw(agent.number, app.now());
    let goes_down = progress.back_by.is_some();
    app.told().put(&agent.node_id, id, progress);
    if goes_down {
        progress::write_down(app).await?;
    }
    Ok(())
}

/// A node was heard of from a boot: notes it, and sees when two machines use one identity.
async fn heard_from(app: &App, agent: &Agent, boot: &str) -> Result<(), ActionError> {
    let now = app.now();
    let meaning = {
        let state = app.fleet().read();
        let node = &state.nodes[agent.number as usize];
        node.saw(now);
        judge_boot(node.boot.as_deref(), &node.former_boots, &node.clone_boots, boot)
    };
    match meaning {
        BootMeaning::Same => Ok(()),
        BootMeaning::IsClone => Err(ActionError::IdentityCloned),
        // Seldom, and large: every other request is spared it.
        BootMeaning::Rebooted | BootMeaning::HasClone => Box::pin(change_boot(app, agent, boot, meaning, now)).await,
    }
}

/// Notes that a node is in another boot, or that another machine uses its identity.
async fn change_boot(app: &App, agent: &Agent, boot: &str, meaning: BootMeaning, now: Timestamp) -> Result<(), ActionError> {
    if boot.len() > TEXT_LENGTH_MAX {
        return Err(ActionError::invalid("boot", "the boot's digest is too long"));
    }
    let clone = {
        let mut state = app.fleet().write();
        let node = &mut state.nodes[agent.number as usize];
        let left = node.boot.replace(boot.to_owned());
        node.former_boots.retain(|former| former != boot);
        match (meaning, left) {
            (BootMeaning::HasClone, Some(clone)) => {
                push_bounded(&mut node.clone_boots, clone.clone());
                Some(clone)
            }
            (_, Some(left)) => {
                push_bounded(&mut node.former_boots, left);
                None
            }
            (_, None) => None,
        }
    };
    if let Some(clone) = clone {
        let detail = format!("another machine, in boot {clone}, uses the identity of this one; it is asked to get its own");
        tracing::warn!(node.id = %agent.node_id, "node {}: {detail}", agent.node_id);
        let mut tx = app.database().write().await?;
        tx.append_node_event(&NodeEvent { node_number: agent.number, at: now, kind: "clone_detected".to_owned(), detail: detail.clone() }).await?;
        tx.append_audit(&AuditEntry { at: now, actor: "agent".to_owned(), action: "node.clone".to_owned(), subject: agent.node_id.to_string(), detail }).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn push_bounded(boots: &mut Vec<String>, boot: String) {
    boots.push(boot);
    if boots.len() > BOOTS_MAX {
        boots.remove(0);
    }
}

/// The known node that a machine may be, and whether it is.
fn find_known(app: &App, presented: &Presented, now: Timestamp) -> (Option<NodeRecord>, Recognition) {
    let state = app.fleet().read();
    let machine = PresentedMachine { identity: &presented.identity, machine: presented.machine.as_deref(), boot: &presented.boot };
    let mut best = (None, Recognition::Other);
    for node in state.find_machine(&presented.identity, presented.machine.as_deref()).filter(|node| node.record.retired_at.is_none() && node.record.agent_version.is_some()) {
        let known = KnownNode {
            identity: node.record.identity.as_deref(),
            machine: node.record.machine.as_deref(),
            boot: node.boot.as_deref(),
            presence: app.present_at(now).presence(node),
        };
        match recognize(&known, &machine) {
            Recognition::Same => return (Some(node.record.clone()), Recognition::Same),
            Recognition::Clone => best = (Some(node.record.clone()), Recognition::Clone),
            Recognition::Other => {}
        }
    }
    best
}

async fn store_node(app: &App, record: &NodeRecord, kind: &str, detail: &str, now: Timestamp) -> Result<(), ActionError> {
    let mut tx = app.database().write().await?;
    tx.upsert_node(record).await?;
    tx.append_node_event(&NodeEvent { node_number: record.number, at: now, kind: kind.to_owned(), detail: detail.to_owned() }).await?;
    let entry = AuditEntry { at: now, actor: "agent".to_owned(), action: format!("node.{kind}"), subject: record.id.to_string(), detail: detail.to_owned() };
    tx.append_audit(&entry).await?;
    tx.commit().await?;
    Ok(())
}

fn place_record(app: &App, record: NodeRecord, boot: Option<&str>) {
    let mut state = app.fleet().write();
    let number = record.number as usize;
    state.replace_record(record);
    if let Some(boot) = boot {
        let node = &mut state.nodes[number];
        node.boot = Some(boot.to_owned());
        node.clone_boots.clear();
        node.former_boots.clear();
    }
}

fn take_presented(record: &mut NodeRecord, presented: &Presented) {
    record.identity.get_or_insert_with(|| presented.identity.clone());
    record.machine.clone_from(&presented.machine);
    record.allows = presented.allows;
    record.agent_version = Some(presented.agent_version.clone());
}

fn issue(app: &App, request: &str, id: &NodeId, now: Timestamp) -> Result<IssuedCertificate, ActionError> {
    app.keys().issue(request, id, now).map_err(|error| {
        tracing::warn!(%error, "a certificate request was refused");
        ActionError::invalid("certificate_request", "the certificate request does not read, or its key is of a kind that is not supported")
    })
}

fn enrolled(app: &App, id: &NodeId, certificate: IssuedCertificate, clone_of: Option<NodeId>) -> Enrolled {
    Enrolled {
        node_id: id.to_string(),
        certificate: certificate.pem,
        authorities: app.keys().authorities(),
        order_keys: app.keys().order_keys(),
        clone_of: clone_of.map(|id| id.to_string()),
    }
}

fn refuse_activation(message: &str) -> ActionError {
    ActionError::ActivationRefused { message: message.to_owned() }
}

fn check_presented(presented: &Presented) -> Result<(), ActionError> {
    let texts = [&presented.identity, &presented.boot, &presented.name, &presented.agent_version].into_iter().chain(&presented.machine);
    let plain = |text: &&String| text.len() <= TEXT_LENGTH_MAX && !text.contains(char::is_control);
    if texts.into_iter().all(|text| plain(&text)) && !presented.identity.is_empty() && !presented.boot.is_empty() {
        Ok(())
    } else {
        Err(ActionError::invalid("presented", format!("what the agent says of itself must be plain text of at most {TEXT_LENGTH_MAX} bytes")))
    }
}

//! Operations: asking nodes for work, and what became of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::page::Cursor;
use api::v1::node::ListPage;
use api::v1::operation::{CreateOperation, HookNames, InstallWish, NODES_MAX, OperationKind};
use domain::decide::plan_rollout::{RingReport, RolloutHold};
use domain::model::channel::Event;
use domain::model::digest::Digest;
use domain::model::id::{NodeId, OperationId};
use domain::model::plan::{Hooks, Plan};
use domain::model::policy::Policy;
use domain::model::receipt::Receipt;
use domain::model::rollout::{Act, Approval, Course, HaltCause, RING_TAG, Ring, Rollout, check_limits};
use domain::model::selector::Selector;
use domain::model::time::Timestamp;
use store::operations::{Claimed, InvocationRecord, InvocationState, NewPart, OperationRecord, request_digest};
use store::{AuditEntry, ReadTx};

use crate::App;
use crate::actions::works::NodeWork;
use crate::actions::{ActionError, Caller, cut_page, decode_cursor, page_limit, works};
use crate::fleet::Node;
use crate::reconcilers::{notify, rollouts};

/// An operation with its part on each node.
pub type Operation = (OperationRecord, Vec<InvocationRecord>);

/// Longest idempotency key.
const KEY_LENGTH_MAX: usize = 128;
/// Minutes after which nothing more of an operation begins: a day, and at most four weeks.
const MINUTES_USUAL: u32 = 24 * 60;
const MINUTES_MAX: u32 = 28 * 24 * 60;
/// So often a change is tried that others make impossible.
const TRIES_MAX: usize = 20;

/// Requests work. The same key and request give the same operation again.
pub async fn request(app: &App, caller: &Caller, body: &CreateOperation, idempotency_key: Option<&str>) -> Result<Operation, ActionError> {
    if idempotency_key.is_some_and(|key| key.is_empty() || key.len() > KEY_LENGTH_MAX) {
        return Err(ActionError::invalid("Idempotency-Key", format!("the idempotency key must have 1 to {KEY_LENGTH_MAX} characters")));
    }
    let kind = body.kind.word();
    let nodes = nodes_of_request(app, body).await?;
    let now = app.now();
    let digest = request_digest(&serde_json::to_string(body).expect("a request has text keys only"), &nodes);
    // What a known request asked for was worked out then, and is not again.
    if let Some(known) = find_known(&mut app.database().read().await?, idempotency_key, &digest).await? {
        return Ok(known);
    }
    let rollout = rollout_of(body)?;
    let course = course_of(app, body, &nodes, now)?;
    find_nodes(app, &nodes)?;
    let wish = body.install.clone().unwrap_or_default();
    let works = match body.kind {
        OperationKind::Plan | OperationKind::Install => works::of_install(app, caller, &nodes, &wish, body.targets.is_some()).await?,
        OperationKind::Rollback => works::of_rollback(app, caller, &nodes, &rolled_back(body)?, &wish).await?,
        OperationKind::Scan | OperationKind::Refresh | OperationKind::Report | OperationKind::Renew => nodes.iter().map(|_| NodeWork::Nothing).collect(),
    };
    let course = Course { watches_approvals: body.kind == OperationKind::Install && wish.override_list.is_none() && wish.plan.is_none(), ..course };
    let new = NewOperation { kind, nodes, wish, rollout, course, policy: None };
    let id = insert(app, caller, &new, works, idempotency_key, &digest, now).await?;
    find(app, caller, id.as_str()).await
}

/// An operation that begins.
pub(crate) struct NewOperation {
    /// What is done.
    pub kind: &'static str,
    /// On which nodes, sorted.
    pub nodes: Vec<NodeId>,
    /// What is installed, and how.
    pub wish: InstallWish,
    /// How it goes over the nodes.
    pub rollout: Option<Rollout>,
    /// When, and on which terms.
    pub course: Course,
    /// The policy or window that it is of, with its version.
    pub policy: Option<String>,
}

/// Begins an operation that a document asks for. Nodes that lack nothing or do not allow it are left out.
pub(crate) async fn begin(app: &App, caller: &Caller, new: NewOperation) -> Result<OperationRecord, ActionError> {
    let now = app.now();
    let works = if new.kind == "install" { works::of_install(app, caller, &new.nodes, &new.wish, true).await? } else { new.nodes.iter().map(|_| NodeWork::Nothing).collect() };
    let new = NewOperation { course: Course { watches_approvals: new.kind == "install", ..new.course }, ..new };
    let digest = request_digest(new.kind, &new.nodes);
    let id = insert(app, caller, &new, works, None, &digest, now).await?;
    Ok(find(app, caller, id.as_str()).await?.0)
}

async fn insert(
    app: &App,
    caller: &Caller,
    new: &NewOperation,
    works: Vec<NodeWork>,
    idempotency_key: Option<&str>,
    digest: &Digest,
    now: Timestamp,
) -> Result<OperationId, ActionError> {
    let operation = OperationRecord {
        id: app.create_id(|ids| OperationId::create(ids, now)),
        kind: new.kind.to_owned(),
        requested_by: caller.actor.clone(),
        requested_at: now,
        rollout: new.rollout.clone(),
        course: new.course.clone(),
        course_version: 0,
        policy: new.policy.clone(),
        request_digest: digest.to_string(),
    };
    let seed = new.policy.as_deref().map_or(operation.id.as_str(), |policy| policy.split(", version").next().unwrap_or(policy));
    // What nodes share is written once.
    let mut texts = HashMap::<usize, Arc<str>>::new();
    let parts: Vec<_> = {
        let state = app.fleet().read();
        let ring_of = |id: &NodeId| {
            let (rollout, node) = new.rollout.as_ref().zip(state.find(id))?;
            let wished = node.all_tags().get(RING_TAG).map(|(_, ring)| *ring);
            u32::try_from(rollout.ring_of(&state.placed(node), wished, seed)).ok()
        };
        let mut part = |(id, work): (&NodeId, NodeWork)| {
            let (work, left_out) = match work {
                NodeWork::Nothing => (None, None),
                NodeWork::Install(work) => {
                    let text = || serde_json::to_string(&*work).expect("work has text keys only").into();
                    (Some(texts.entry(Arc::as_ptr(&work).addr()).or_insert_with(text).clone()), None)
                }
                NodeWork::LeftOut(why) => (None, Some(why)),
            };
            NewPart { node_id: id.clone(), ring: ring_of(id).unwrap_or(0), work, left_out }
        };
        new.nodes.iter().zip(works).map(&mut part).collect()
    };
    let mut tx = app.database().write().await?;
    // The same request may have come meanwhile.
    if let Some((known, _)) = find_known(&mut tx, idempotency_key, digest).await? {
        return Ok(known.id);
    }
    tx.insert_operation(&operation, idempotency_key, &parts).await?;
    let detail = format!("{} on {} nodes", new.kind, new.nodes.len());
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "operation.request".to_owned(), subject: operation.id.to_string(), detail }).await?;
    if operation.rollout.is_some() {
        let (id, heading) = (&operation.id, heading(&operation));
        let detail = format!("on {} nodes, asked for by {}", new.nodes.len(), caller.actor);
        let (event, subject) = match &operation.course.approval {
            Some(approval) => (Event::ApprovalNeeded, format!("{heading} waits for a second person: {}", approval.why)),
            None => (Event::Started, format!("{heading} has begun")),
        };
        notify::tell(app, &mut tx, &operation.course.notify, event, &format!("{id} begun"), &subject, &detail, now).await?;
    }
    tx.commit().await?;
    if operation.rollout.is_some() {
        rollouts::touch(app, &operation.id).await?;
    } else {
        for node in &new.nodes {
            wake(app, node.as_str());
        }
    }
    Ok(operation.id)
}

/// What an operation is called.
pub(crate) fn heading(operation: &OperationRecord) -> String {
    match &operation.policy {
        Some(policy) => format!("{policy} ({})", operation.id),
        None => format!("{} {}", operation.kind, operation.id),
    }
}

/// Lets a node ask for orders again.
pub(crate) fn wake(app: &App, node: &str) {
    if let Some(number) = number_of(app, node) {
        app.fleet().wake(number);
    }
}

/// The nodes of a selector that take orders, sorted.
pub(crate) fn nodes_of(app: &App, targets: &Selector) -> Vec<NodeId> {
    let state = app.fleet().read();
    let of_targets = state.nodes.iter().filter(|node| !node.is_retired() && targets.selects(&state.placed(node)));
    let mut ids: Vec<_> = of_targets.map(|node| node.record.id.clone()).collect();
    ids.sort_unstable();
    ids
}

/// The nodes that a policy acts on, sorted: those that no other of higher precedence has.
pub(crate) fn nodes_of_policy(app: &App, policy: &Policy) -> Vec<NodeId> {
    let state = app.fleet().read();
    let is_acting =
        |node: &&Node| !node.is_retired() && policy.targets.selects(&state.placed(node)) && state.policies_of(node).first().is_some_and(|acting| acting.name == policy.name);
    let mut ids: Vec<_> = state.nodes.iter().filter(is_acting).map(|node| node.record.id.clone()).collect();
    ids.sort_unstable();
    ids
}

/// How nodes of a policy install.
pub(crate) fn wish_of_policy(policy: &Policy) -> InstallWish {
    let Hooks { before, after, at_exit } = policy.hooks.clone();
    InstallWish { reboot: Some(policy.reboot.word().to_owned()), hooks: HookNames { before, after, at_exit }, pause_updaters: true, ..InstallWish::default() }
}

/// When the window that is open for an operation shuts: by then what begins now has to end.
pub(crate) fn shuts_at(app: &App, course: &Course, now: Timestamp) -> Option<Timestamp> {
    let state = app.fleet().read();
    let openings = course.windows.iter().filter_map(|name| state.intents.find_window(name)).filter_map(|(window, made_at)| window.current_or_next(now, made_at));
    openings.filter(|opening| opening.lets_begin(now)).map(|opening| opening.closes_at).max()
}

/// Whether an operation of a policy's clock goes on.
pub(crate) async fn is_open(app: &App, clock: &str) -> Result<bool, ActionError> {
    let open = app.database().read().await?.list_open_operations().await?;
    let is_of_clock = |policy: &str| policy.strip_prefix(clock).is_some_and(|rest| rest.starts_with([',', ' ']));
    Ok(open.iter().any(|operation| operation.policy.as_deref().is_some_and(is_of_clock)))
}

/// The nodes that a request is for: those that it names, those of its targets, or those of the operation that it takes back.
async fn nodes_of_request(app: &App, body: &CreateOperation) -> Result<Vec<NodeId>, ActionError> {
    if let Some(targets) = &body.targets {
        let mut wrong = Vec::new();
        targets.check("targets", &mut wrong);
        if !body.nodes.is_empty() {
            wrong.push("give `nodes` or `targets`, not both".to_owned());
        }
        let nodes = nodes_of(app, targets);
        if wrong.is_empty() && nodes.is_empty() {
            wrong.push(format!("no node is {}", targets.words()));
        }
        return wrong.into_iter().next().map_or(Ok(nodes), |first| Err(ActionError::invalid("targets", first)));
    }
    let mut ids = body.nodes.clone();
    if body.kind == OperationKind::Rollback && ids.is_empty() {
        let id = rolled_back(body)?;
        let invocations = app.database().read().await?.list_invocations(&id).await?;
        ids = invocations.into_iter().filter(|invocation| invocation.claimed_at.is_some()).map(|invocation| invocation.node_id).collect();
    }
    if ids.is_empty() || (ids.len() > NODES_MAX && body.kind != OperationKind::Rollback) {
        return Err(ActionError::invalid("nodes", format!("{} nodes are not from 1 to {NODES_MAX}", ids.len())));
    }
    let mut nodes = ids.iter().map(|id| id.parse::<NodeId>().map_err(|error| ActionError::invalid("nodes", error.to_string()))).collect::<Result<Vec<_>, _>>()?;
    nodes.sort_unstable();
    nodes.dedup();
    Ok(nodes)
}

/// How a request goes over its nodes: what changes nodes is careful unless it is told otherwise.
fn rollout_of(body: &CreateOperation) -> Result<Option<Rollout>, ActionError> {
    let changes = matches!(body.kind, OperationKind::Install | OperationKind::Rollback);
    let (concurrency, errors) = (body.concurrency.clone(), body.errors.clone());
    let mut wrong = Vec::new();
    if let Some(rollout) = &body.rollout {
        if concurrency.is_some() || errors.is_some() {
            return Err(ActionError::invalid("rollout", "`concurrency` and `errors` are said ring by ring"));
        }
        rollout.check(&mut wrong);
        return wrong.into_iter().next().map_or_else(|| Ok(Some(rollout.clone())), |first| Err(ActionError::invalid("rollout", first)));
    }
    check_limits("the operation", concurrency.as_deref(), errors.as_deref(), &mut wrong);
    if let Some(first) = wrong.into_iter().next() {
        return Err(ActionError::invalid("concurrency or errors", first));
    }
    if !changes && concurrency.is_none() && errors.is_none() {
        return Ok(None);
    }
    let all = |limit: Option<String>| if changes { limit } else { limit.or_else(|| Some("100%".to_owned())) };
    let ring = Ring { name: "all".to_owned(), concurrency: all(concurrency), errors: all(errors), ..Ring::default() };
    Ok(Some(Rollout { rings: vec![ring], ..Rollout::default() }))
}

/// When a request's nodes begin, and who has to agree.
fn course_of(app: &App, body: &CreateOperation, nodes: &[NodeId], now: Timestamp) -> Result<Course, ActionError> {
    let minutes = body.within_minutes.unwrap_or(MINUTES_USUAL);
    if !(1..=MINUTES_MAX).contains(&minutes) {
        return Err(ActionError::invalid("within_minutes", format!("{minutes} is not from 1 to {MINUTES_MAX}")));
    }
    let state = app.fleet().read();
    if let Some(name) = body.windows.iter().find(|name| state.intents.find_window(name).is_none()) {
        return Err(ActionError::not_found("window", name));
    }
    let holding: Vec<_> = state.intents.freezes().filter(|freeze| freeze.holds(now)).collect();
    let is_frozen = |id: &NodeId| state.find(id).is_some_and(|node| holding.iter().any(|freeze| freeze.targets.selects(&state.placed(node))));
    let why = if body.emergency && !holding.is_empty() && nodes.iter().any(is_frozen) {
        Some("it goes through a freeze".to_owned())
    } else {
        body.needs_approval.then(|| "it was asked for".to_owned())
    };
    Ok(Course {
        ends_at: Some(now.plus_millis(i64::from(minutes) * 60_000)),
        emergency: body.emergency,
        approval: why.map(|why| Approval { why, given: None }),
        windows: body.windows.clone(),
        ..Course::default()
    })
}

/// The operation that a rollback takes back.
fn rolled_back(body: &CreateOperation) -> Result<OperationId, ActionError> {
    let id = body.rollback_of.as_deref().ok_or_else(|| ActionError::invalid("rollback_of", "say which operation is taken back"))?;
    id.parse().map_err(|_| ActionError::not_found("operation", id))
}

/// The operation that was requested with a key; another request with it is refused.
async fn find_known(tx: &mut ReadTx, idempotency_key: Option<&str>, digest: &Digest) -> Result<Option<Operation>, ActionError> {
    let Some(key) = idempotency_key else { return Ok(None) };
    let Some(known) = tx.find_operation_by_key(key).await? else { return Ok(None) };
    if known.request_digest != digest.to_string() {
        return Err(ActionError::IdempotencyConflict { key: key.to_owned() });
    }
    let invocations = tx.list_invocations(&known.id).await?;
    Ok(Some((known, invocations)))
}

/// Asks the nodes of an operation to stop. What no node has taken is over at once; a node stops at the end of its step.
pub async fn cancel(app: &App, caller: &Caller, id: &str) -> Result<Operation, ActionError> {
    let (operation, _) = find(app, caller, id).await?;
    let now = app.now();
    let mut tx = app.database().write().await?;
    tx.cancel_invocations(&operation.id, &format!("{} stopped it before the node took it", caller.actor), now).await?;
    let detail = format!("{} is to stop", operation.kind);
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "operation.cancel".to_owned(), subject: id.to_owned(), detail }).await?;
    let invocations = tx.list_invocations(&operation.id).await?;
    tx.commit().await?;
    for invocation in invocations.iter().filter(|invocation| invocation.state == InvocationState::Running) {
        wake(app, &invocation.node_id);
    }
    rollouts::touch(app, &operation.id).await?;
    find(app, caller, id).await
}

/// What a person does to a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Nothing more begins.
    Pause,
    /// It goes on: after a pause, or after a halt, whose failures then count no more.
    Resume,
    /// The ring after this one may begin, whatever came of it.
    SkipRing(String),
    /// A second person agrees.
    Approve,
}

/// Does something to a rollout that has not ended.
pub async fn act(app: &App, caller: &Caller, id: &str, verb: &Verb) -> Result<Operation, ActionError> {
    let (operation, invocations) = find(app, caller, id).await?;
    let rings = operation.rollout.as_ref().map(Rollout::rings).ok_or_else(|| ActionError::invalid("operation", "it has no rollout: all its nodes began at once"))?;
    if operation.course.ended_at.is_some() {
        return Err(ActionError::invalid("operation", "it has ended"));
    }
    let now = app.now();
    let did = Act { by: caller.actor.clone(), at: now };
    let word = match verb {
        Verb::Pause => "pause",
        Verb::Resume => {
            if operation.course.paused.is_none() && operation.course.halted.is_none() {
                return Err(ActionError::invalid("operation", "it is neither paused nor halted"));
            }
            "resume"
        }
        Verb::SkipRing(name) => {
            if !rings.iter().any(|ring| ring.name == *name) {
                let names: Vec<_> = rings.iter().map(|ring| ring.name.as_str()).collect();
                return Err(ActionError::InvalidValue { field: "ring", message: format!("there is no ring `{name}`"), hint: Some(format!("its rings are {}", names.join(", "))) });
            }
            "skip_ring"
        }
        Verb::Approve => {
            let approval = operation.course.approval.as_ref().ok_or_else(|| ActionError::invalid("operation", "it needs nobody's approval"))?;
            if approval.given.is_some() {
                return Err(ActionError::invalid("operation", "it was approved"));
            }
            if caller.actor == operation.requested_by {
                let hint = Some("`fettle sign-in --as NAME` signs another person in".to_owned());
                return Err(ActionError::InvalidValue { field: "operation", message: format!("{} asked for it: a second person has to agree", caller.actor), hint });
            }
            "approve"
        }
    };
    change_course(app, &operation.id, |course| {
        course.rings.resize_with(rings.len().max(course.rings.len()), Default::default);
        match verb {
            Verb::Pause => course.paused = Some(did.clone()),
            Verb::Resume => {
                course.paused = None;
                if let Some(halt) = course.halted.take() {
                    course.watches_approvals &= !matches!(halt.cause, HaltCause::Withdrawn { .. });
                    forgive(course, &invocations);
                }
            }
            Verb::SkipRing(name) => {
                let at = rings.iter().position(|ring| ring.name == *name).unwrap_or_default();
                course.rings[at].skipped = Some(did.clone());
                course.halted = None;
            }
            Verb::Approve => {
                if let Some(approval) = &mut course.approval {
                    approval.given = Some(did.clone());
                }
            }
        }
    })
    .await?;
    let mut tx = app.database().write().await?;
    if *verb == Verb::Pause {
        tx.hold_parts(&operation.id).await?;
    }
    let detail = if let Verb::SkipRing(name) = verb { format!("ring {name}") } else { String::new() };
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: format!("operation.{word}"), subject: id.to_owned(), detail }).await?;
    tx.commit().await?;
    rollouts::touch(app, &operation.id).await?;
    find(app, caller, id).await
}

/// Failures so far count no more, and gates that were shut are asked again.
fn forgive(course: &mut Course, invocations: &[InvocationRecord]) {
    for (at, ring) in course.rings.iter_mut().enumerate() {
        let failed = invocations.iter().filter(|invocation| invocation.ring as usize == at && invocation.state == InvocationState::Failed).count();
        ring.forgiven = u32::try_from(failed).unwrap_or(u32::MAX);
        if ring.gate.as_ref().is_some_and(|gate| !gate.passed) {
            ring.gate = None;
        }
    }
}

/// Changes what happened to an operation as a whole, after whoever else does so.
pub(crate) async fn change_course(app: &App, id: &OperationId, change: impl Fn(&mut Course)) -> Result<(), ActionError> {
    for _ in 0..TRIES_MAX {
        let operation = app.database().read().await?.find_operation(id).await?.ok_or_else(|| ActionError::not_found("operation", id.as_str()))?;
        let mut course = operation.course.clone();
        change(&mut course);
        let mut tx = app.database().write().await?;
        if tx.save_course(id, operation.course_version, &course).await? {
            tx.commit().await?;
            return Ok(());
        }
    }
    Err(ActionError::invalid("operation", "others change it at this moment: try again"))
}

/// A rollout as it stands.
pub struct RolloutToday {
    /// In a word.
    pub state: &'static str,
    /// Its rings; none when it has no rollout.
    pub rings: Vec<RingReport>,
    /// Why nodes wait, by id.
    pub holds: BTreeMap<String, RolloutHold>,
}

/// How a rollout stands, and why each node waits: what the planner says at this moment.
pub async fn explain(app: &App, (operation, invocations): &Operation) -> Result<RolloutToday, ActionError> {
    let state = state_word(operation, invocations);
    if operation.rollout.is_none() {
        return Ok(RolloutToday { state, rings: Vec::new(), holds: BTreeMap::new() });
    }
    let seen = rollouts::Seen::of(app, operation.clone(), invocations.clone()).await?;
    let (_, report, _) = seen.plan(app, app.now());
    let hold = |(at, hold): (usize, RolloutHold)| Some((invocations.get(at)?.node_id.clone(), hold));
    Ok(RolloutToday { state, rings: report.rings, holds: report.holds.into_iter().filter_map(hold).collect() })
}

/// How an operation stands, in a word.
fn state_word(operation: &OperationRecord, invocations: &[InvocationRecord]) -> &'static str {
    word_of(operation, invocations.iter().any(|invocation| invocation.finished_at.is_none()))
}

/// The same of an operation in a list.
pub fn state_of_counts(operation: &OperationRecord, counts: &BTreeMap<String, u32>) -> &'static str {
    word_of(operation, [InvocationState::Pending, InvocationState::Running].into_iter().any(|state| counts.contains_key(state.code())))
}

fn word_of(operation: &OperationRecord, is_going_on: bool) -> &'static str {
    let course = &operation.course;
    if course.ended_at.is_some() || (operation.rollout.is_none() && !is_going_on) {
        "ENDED"
    } else if course.halted.is_some() {
        "HALTED"
    } else if course.approval.as_ref().is_some_and(|approval| approval.given.is_none()) {
        "WAITING_FOR_APPROVAL"
    } else if course.paused.is_some() {
        "PAUSED"
    } else {
        "RUNNING"
    }
}

fn number_of(app: &App, id: &str) -> Option<u32> {
    app.fleet().read().find(&id.parse().ok()?).map(|node| node.record.number)
}

/// What a node is doing with its part, in words.
pub fn doing(invocation: &InvocationRecord, now: Timestamp) -> Option<String> {
    if invocation.state != InvocationState::Running {
        return None;
    }
    let Some(progress) = &invocation.progress else { return Some("it has the order".to_owned()) };
    let words = progress.step.words();
    let doing = match (progress.back_by, progress.waits_until, progress.percent) {
        (Some(back_by), _, _) if now <= back_by => format!("{words}, expected back by {back_by}"),
        (Some(back_by), _, _) => format!("lost: it went down to boot and was expected back by {back_by}"),
        (None, Some(until), _) => format!("waits with {words} until {until}"),
        (None, None, Some(percent)) => format!("{words}, {percent} %"),
        (None, None, None) => words.to_owned(),
    };
    Some(if invocation.cancel_requested_at.is_some() { format!("{doing}; stops at the end of this step") } else { doing })
}

/// What an install would do on a node, when the node has said so.
pub async fn find_plan(app: &App, _caller: &Caller, id: &str, node: &str) -> Result<Plan, ActionError> {
    let not_found = || ActionError::not_found("plan", id);
    let operation_id: OperationId = id.parse().map_err(|_| not_found())?;
    app.database().read().await?.find_plan(&operation_id, node).await?.ok_or_else(not_found)
}

/// The receipt of a node's part of an operation, when it was an install that has ended.
pub async fn find_receipt(app: &App, _caller: &Caller, id: &str, node: &str) -> Result<Receipt, ActionError> {
    let not_found = || ActionError::not_found("receipt", id);
    let operation_id: OperationId = id.parse().map_err(|_| not_found())?;
    app.database().read().await?.find_receipt(&operation_id, node).await?.ok_or_else(not_found)
}

/// An operation, and how many nodes are in each state.
pub type CountedOperation = (OperationRecord, BTreeMap<String, u32>);

/// Operations, newest first.
pub async fn list(app: &App, _caller: &Caller, query: &ListPage) -> Result<(Vec<CountedOperation>, Option<String>), ActionError> {
    let limit = page_limit(query.limit)?;
    let before = decode_cursor(query.cursor.as_deref(), LIST)?.map(|cursor| cursor.id);
    let found = app.database().read().await?.list_operations(before.as_deref(), limit + 1).await?;
    Ok(cut_page(found, limit, LIST, |(operation, _): &CountedOperation| Cursor { value: String::new(), id: operation.id.to_string() }))
}

const LIST: &str = "operations";

/// One operation.
pub async fn find(app: &App, _caller: &Caller, id: &str) -> Result<Operation, ActionError> {
    let not_found = || ActionError::not_found("operation", id);
    let operation_id: OperationId = id.parse().map_err(|_| not_found())?;
    let mut tx = app.database().read().await?;
    let operation = tx.find_operation(&operation_id).await?.ok_or_else(not_found)?;
    let invocations = tx.list_invocations(&operation.id).await?;
    Ok((operation, invocations))
}

/// The numbers of nodes that take orders.
fn find_nodes(app: &App, nodes: &[NodeId]) -> Result<Vec<u32>, ActionError> {
    let state = app.fleet().read();
    let number = |id: &NodeId| {
        let node = state.find(id).ok_or_else(|| ActionError::not_found("node", id.as_str()))?;
        if node.record.retired_at.is_some() {
            return Err(ActionError::invalid("nodes", format!("node {id} is retired")));
        }
        Ok(node.record.number)
    };
    nodes.iter().map(number).collect()
}

/// Takes a node's next piece of work. It goes out in the order with this generation.
pub async fn claim(app: &App, node_id: &NodeId, generation: u32) -> Result<Option<Claimed>, ActionError> {
    let mut tx = app.database().write().await?;
    let claimed = tx.claim_invocation(node_id, generation, app.now()).await?;
    tx.commit().await?;
    Ok(claimed)
}

/// Gives back what a node had taken when it ended without a word.
pub async fn release(app: &App, node_id: &NodeId) -> Result<(), ActionError> {
    let mut tx = app.database().write().await?;
    tx.release_invocations(node_id, app.now()).await?;
    tx.commit().await?;
    Ok(())
}

/// How a piece of work ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// Whether it was done.
    pub state: InvocationState,
    /// What there is to say about it.
    pub message: Option<&'a str>,
    /// What came of an install.
    pub receipt: Option<&'a Receipt>,
    /// What an install would do.
    pub plan: Option<&'a Plan>,
}

impl<'a> Ended<'a> {
    /// An end with nothing to show.
    pub fn new(state: InvocationState, message: Option<&'a str>) -> Self {
        Self { state, message, receipt: None, plan: None }
    }
}

/// Records how a piece of work ended.
pub async fn finish(app: &App, id: &OperationId, node_id: &NodeId, ended: Ended<'_>) -> Result<(), ActionError> {
    let Ended { state, message, receipt, plan } = ended;
    let now = app.now();
    let mut tx = app.database().write().await?;
    if let Some(receipt) = receipt {
        tx.upsert_receipt(id, node_id, receipt).await?;
    }
    if let Some(plan) = plan {
        tx.upsert_plan(id, node_id, plan).await?;
    }
    tx.finish_invocation(id, node_id, state, message, now).await?;
    let operation = tx.find_operation(id).await?.filter(|operation| operation.rollout.is_some());
    if let Some(operation) = operation.as_ref().filter(|_| state == InvocationState::Failed) {
        let name = app.fleet().read().find(node_id).map(|node| node.name.clone()).unwrap_or_default();
        let subject = format!("{} failed on {name}", heading(operation));
        notify::tell(app, &mut tx, &operation.course.notify, Event::Failed, &format!("{id} {node_id} failed"), &subject, message.unwrap_or_default(), now).await?;
    }
    tx.commit().await?;
    if operation.is_some() { rollouts::touch(app, id).await } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use domain::model::run::{Progress, Step};
    use domain::model::time::Timestamp;
    use store::operations::{InvocationRecord, InvocationState};

    use super::doing;

    #[test]
    fn a_node_that_boots_is_told_from_one_that_is_lost() {
        let at = Timestamp::from_millis;
        let told = |progress: Option<Progress>, now: Timestamp, is_cancelled: bool| {
            let cancel_requested_at = is_cancelled.then_some(now);
            let invocation = InvocationRecord {
                node_id: String::new(),
                ring: 0,
                state: InvocationState::Running,
                released_at: None,
                claimed_at: None,
                finished_at: None,
                message: None,
                progress,
                cancel_requested_at,
            };
            doing(&invocation, now).unwrap()
        };
        let progress = Progress { step: Step::Reboot, at: at(0), percent: None, lines: Vec::new(), waits_until: None, back_by: Some(at(600_000)) };
        assert_eq!(told(None, at(0), false), "it has the order");
        assert_eq!(told(Some(progress.clone()), at(600_000), false), "rebooting, expected back by 1970-01-01T00:10:00Z");
        assert_eq!(told(Some(progress.clone()), at(600_001), false), "lost: it went down to boot and was expected back by 1970-01-01T00:10:00Z");
        let waits = Progress { back_by: None, waits_until: Some(at(60_000)), ..progress.clone() };
        assert_eq!(told(Some(waits), at(0), true), "waits with rebooting until 1970-01-01T00:01:00Z; stops at the end of this step");
        assert_eq!(told(Some(Progress { step: Step::Apply, percent: Some(40), back_by: None, ..progress }), at(0), false), "installing, 40 %");
    }
}

//! Operations: asking nodes for work, and what became of it.

use std::collections::BTreeMap;

use api::page::Cursor;
use api::v1::node::ListPage;
use api::v1::operation::{CreateOperation, NODES_MAX, OperationKind};
use domain::model::digest::Digest;
use domain::model::id::{NodeId, OperationId};
use domain::model::plan::Plan;
use domain::model::rate::Rate;
use domain::model::receipt::Receipt;
use domain::model::time::Timestamp;
use store::operations::{Claimed, InvocationRecord, InvocationState, OperationRecord, request_digest};
use store::{AuditEntry, ReadTx};

use crate::App;
use crate::actions::{ActionError, Caller, cut_page, decode_cursor, page_limit, works};

/// An operation with its part on each node.
pub type Operation = (OperationRecord, Vec<InvocationRecord>);

/// Longest idempotency key.
const KEY_LENGTH_MAX: usize = 128;

/// Requests work. The same key and request give the same operation again.
pub async fn request(app: &App, caller: &Caller, body: &CreateOperation, idempotency_key: Option<&str>) -> Result<Operation, ActionError> {
    if idempotency_key.is_some_and(|key| key.is_empty() || key.len() > KEY_LENGTH_MAX) {
        return Err(ActionError::invalid("Idempotency-Key", format!("the idempotency key must have 1 to {KEY_LENGTH_MAX} characters")));
    }
    let kind = body.kind.word();
    let nodes = nodes_of(app, body).await?;
    let now = app.now();
    let digest = request_digest(&serde_json::to_string(body).expect("a request has text keys only"), &nodes);
    // What a known request asked for was worked out then, and is not again.
    if let Some(known) = find_known(&mut app.database().read().await?, idempotency_key, &digest).await? {
        return Ok(known);
    }
    let rate = rate_of(body, nodes.len())?;
    let wish = body.install.clone().unwrap_or_default();
    let works = match body.kind {
        OperationKind::Plan | OperationKind::Install => works::of_install(app, caller, &nodes, &wish).await?,
        OperationKind::Rollback => works::of_rollback(app, caller, &nodes, &rolled_back(body)?, &wish).await?,
        OperationKind::Scan | OperationKind::Refresh | OperationKind::Report | OperationKind::Renew => Vec::new(),
    };
    let mut tx = app.database().write().await?;
    // The same request may have come meanwhile.
    if let Some(known) = find_known(&mut tx, idempotency_key, &digest).await? {
        return Ok(known);
    }
    let numbers = find_nodes(app, &nodes)?;
    let operation = OperationRecord {
        id: app.create_id(|ids| OperationId::create(ids, now)),
        kind: kind.to_owned(),
        requested_by: caller.actor.clone(),
        requested_at: now,
        rate,
        halted_at: None,
        request_digest: digest.to_string(),
    };
    tx.insert_operation(&operation, idempotency_key, &nodes).await?;
    for (node, work) in nodes.iter().zip(&works) {
        tx.set_work(&operation.id, node, &serde_json::to_string(work).expect("work has text keys only")).await?;
    }
    let detail = format!("{kind} on {} nodes", nodes.len());
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "operation.request".to_owned(), subject: operation.id.to_string(), detail }).await?;
    let invocations = tx.list_invocations(&operation.id).await?;
    tx.commit().await?;
    for number in numbers {
        app.fleet().wake(number);
    }
    Ok((operation, invocations))
}

/// The nodes that a request names; those of the operation that it takes back, when it names none.
async fn nodes_of(app: &App, body: &CreateOperation) -> Result<Vec<NodeId>, ActionError> {
    let mut ids = body.nodes.clone();
    if body.kind == OperationKind::Rollback && ids.is_empty() {
        let id = rolled_back(body)?;
        let invocations = app.database().read().await?.list_invocations(&id).await?;
        ids = invocations.into_iter().filter(|invocation| invocation.claimed_at.is_some()).map(|invocation| invocation.node_id).collect();
    }
    if ids.is_empty() || ids.len() > NODES_MAX {
        return Err(ActionError::invalid("nodes", format!("{} nodes are not from 1 to {NODES_MAX}", ids.len())));
    }
    let mut nodes = ids.iter().map(|id| id.parse::<NodeId>().map_err(|error| ActionError::invalid("nodes", error.to_string()))).collect::<Result<Vec<_>, _>>()?;
    nodes.sort_unstable();
    nodes.dedup();
    Ok(nodes)
}

/// How many nodes are at work at once: what changes nodes is careful unless it is told otherwise.
fn rate_of(body: &CreateOperation, n_nodes: usize) -> Result<Option<Rate>, ActionError> {
    let n_nodes = u32::try_from(n_nodes).unwrap_or(u32::MAX);
    let changes = matches!(body.kind, OperationKind::Install | OperationKind::Rollback);
    if !changes && body.concurrency.is_none() && body.errors.is_none() {
        return Ok(None);
    }
    let usual = if changes { Rate::of_patch_now(n_nodes) } else { Rate { concurrency: n_nodes, errors: n_nodes } };
    usual.with(body.concurrency.as_deref(), body.errors.as_deref(), n_nodes).map(Some).map_err(|error| ActionError::invalid("concurrency or errors", error.to_string()))
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
        if let Some(number) = number_of(app, &invocation.node_id) {
            app.fleet().wake(number);
        }
    }
    Ok((operation, invocations))
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
    tx.release_invocations(node_id).await?;
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
    let waiting = tx.move_on(id, now).await?;
    tx.commit().await?;
    for number in waiting.iter().filter_map(|id| number_of(app, id)) {
        app.fleet().wake(number);
    }
    Ok(())
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
            let invocation =
                InvocationRecord { node_id: String::new(), state: InvocationState::Running, claimed_at: None, finished_at: None, message: None, progress, cancel_requested_at };
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

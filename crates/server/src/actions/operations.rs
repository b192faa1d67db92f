//! Operations: asking nodes for work, and what became of it.

use api::v1::operation::{CreateOperation, InstallWish, NODES_MAX, OperationKind};
use domain::model::compliance::PatchState;
use domain::model::glob::{self, Case};
use domain::model::id::{NodeId, OperationId};
use domain::model::order::InstallWork;
use domain::model::plan::{Extra, Receipt};
use domain::model::scan_report::PatchRow;
use store::AuditEntry;
use store::operations::{Claimed, InvocationRecord, InvocationState, OperationRecord, request_digest};

use crate::App;
use crate::actions::{ActionError, Caller, nodes};

/// An operation with its part on each node.
pub type Operation = (OperationRecord, Vec<InvocationRecord>);

/// Longest idempotency key.
const KEY_LENGTH_MAX: usize = 128;
/// Most nodes of one install: what each lacks is worked out at once.
const INSTALL_NODES_MAX: usize = 100;
/// Most names of what to install.
const ONLY_MAX: usize = 100;

/// Requests work. The same key and request give the same operation again.
pub async fn request(app: &App, caller: &Caller, body: &CreateOperation, idempotency_key: Option<&str>) -> Result<Operation, ActionError> {
    if idempotency_key.is_some_and(|key| key.is_empty() || key.len() > KEY_LENGTH_MAX) {
        return Err(ActionError::invalid("Idempotency-Key", format!("the idempotency key must have 1 to {KEY_LENGTH_MAX} characters")));
    }
    let kind = body.kind.word();
    if body.nodes.is_empty() || body.nodes.len() > NODES_MAX {
        return Err(ActionError::invalid("nodes", format!("{} nodes are not from 1 to {NODES_MAX}", body.nodes.len())));
    }
    let mut nodes = body.nodes.iter().map(|id| id.parse::<NodeId>().map_err(|error| ActionError::invalid("nodes", error.to_string()))).collect::<Result<Vec<_>, _>>()?;
    nodes.sort_unstable();
    nodes.dedup();

    let now = app.now();
    let wish = body.install.clone().unwrap_or_default();
    let asked = if body.kind == OperationKind::Install { format!("{kind} {} {}", wish.allow.as_deref().unwrap_or_default(), wish.only.join(" ")) } else { kind.to_owned() };
    let digest = request_digest(&asked, &nodes);
    let works = if body.kind == OperationKind::Install { plan_installs(app, caller, &nodes, &wish).await? } else { Vec::new() };
    let mut tx = app.database().write().await?;
    if let Some(key) = idempotency_key
        && let Some(known) = tx.find_operation_by_key(key).await?
    {
        if known.request_digest != digest.to_string() {
            return Err(ActionError::IdempotencyConflict { key: key.to_owned() });
        }
        let invocations = tx.list_invocations(&known.id).await?;
        return Ok((known, invocations));
    }
    let numbers = find_nodes(app, &nodes)?;
    let operation = OperationRecord {
        id: app.create_id(|ids| OperationId::create(ids, now)),
        kind: kind.to_owned(),
        requested_by: caller.actor.clone(),
        requested_at: now,
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

/// The versions that each node lacks at this moment and that are wished for.
async fn plan_installs(app: &App, caller: &Caller, ids: &[NodeId], wish: &InstallWish) -> Result<Vec<InstallWork>, ActionError> {
    if ids.len() > INSTALL_NODES_MAX {
        return Err(ActionError::invalid("nodes", format!("{} nodes are more than the {INSTALL_NODES_MAX} of one install", ids.len())));
    }
    if wish.only.len() > ONLY_MAX || wish.only.iter().any(|only| only.is_empty() || only.len() > KEY_LENGTH_MAX) {
        return Err(ActionError::invalid("only", format!("give at most {ONLY_MAX} names of 1 to {KEY_LENGTH_MAX} bytes")));
    }
    let extra = match wish.allow.as_deref().unwrap_or("DEPENDENCIES") {
        "NONE" => Extra::None,
        "DEPENDENCIES" => Extra::Dependencies,
        "AS_PLANNED" => Extra::AsPlanned,
        other => return Err(ActionError::invalid("allow", format!("`{}` is none of NONE, DEPENDENCIES, AS_PLANNED", other.chars().take(40).collect::<String>()))),
    };
    let mut works = Vec::with_capacity(ids.len());
    for id in ids {
        let allows = app.fleet().read().find(id).ok_or_else(|| ActionError::not_found("node", id.as_str()))?.record.allows;
        if !allows.install {
            return Err(ActionError::InvalidValue {
                field: "nodes",
                message: format!("node {id} does not allow installs"),
                hint: Some("its own configuration decides: add `install` to `allows` there, and start its agent again".to_owned()),
            });
        }
        let (_, report) = nodes::find(app, caller, id.as_str()).await?;
        let is_wished =
            |row: &&PatchRow| row.state == PatchState::Missing && (wish.only.is_empty() || wish.only.iter().any(|only| glob::matches(only, &row.name, Case::Sensitive)));
        let changes = report.iter().flat_map(|report| &report.patches).filter(is_wished).filter_map(PatchRow::change).collect();
        works.push(InstallWork { changes, extra });
    }
    Ok(works)
}

/// The receipt of a node's part of an operation, when it was an install that has ended.
pub async fn find_receipt(app: &App, _caller: &Caller, id: &str, node: &str) -> Result<Receipt, ActionError> {
    let not_found = || ActionError::not_found("receipt", id);
    let operation_id: OperationId = id.parse().map_err(|_| not_found())?;
    app.database().read().await?.find_receipt(&operation_id, node).await?.ok_or_else(not_found)
}

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

/// Records how a piece of work ended.
pub async fn finish(app: &App, id: &OperationId, node_id: &NodeId, outcome: Result<(), String>) -> Result<(), ActionError> {
    let (state, message) = match outcome {
        Ok(()) => (InvocationState::Succeeded, None),
        Err(message) => (InvocationState::Failed, Some(message)),
    };
    let mut tx = app.database().write().await?;
    tx.finish_invocation(id, node_id, state, message.as_deref(), app.now()).await?;
    tx.commit().await?;
    Ok(())
}

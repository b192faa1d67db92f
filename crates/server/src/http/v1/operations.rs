//! Operations: requests for work on nodes.

use api::page::Page;
use api::v1::node::ListPage;
use api::v1::operation::{CreateOperation, HaltedOperation, Hold, Invocation, ListedOperation, Operation, Progress, RingToday};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use domain::model::plan::Plan;
use domain::model::receipt::Receipt;
use domain::model::time::Timestamp;

use crate::App;
use crate::actions::operations::{RolloutToday, Verb};
use crate::actions::{Caller, operations};
use crate::http::ApiError;
use crate::http::extract::{Body, Parameters};

/// Requests work. The same `Idempotency-Key` and body give the same operation again.
#[utoipa::path(post, path = "/operations", operation_id = "create_operation", tag = "operations", params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 characters")), request_body = CreateOperation, responses((status = 201, body = Operation), (status = "default", body = api::error::Problem)))]
pub async fn create(State(app): State<App>, caller: Caller, headers: HeaderMap, Body(body): Body<CreateOperation>) -> Result<(StatusCode, Json<Operation>), ApiError> {
    let key = headers.get("Idempotency-Key").map(|value| value.to_str().unwrap_or_default());
    let requested = operations::request(&app, &caller, &body, key).await?;
    Ok((StatusCode::CREATED, Json(operation(&app, requested).await?)))
}

/// Operations, newest first.
#[utoipa::path(get, path = "/operations", operation_id = "list_operations", tag = "operations", params(ListPage), responses((status = 200, body = Page<ListedOperation>), (status = "default", body = api::error::Problem)))]
pub async fn list(State(app): State<App>, caller: Caller, Parameters(query): Parameters<ListPage>) -> Result<Json<Page<ListedOperation>>, ApiError> {
    let (found, next_cursor) = operations::list(&app, &caller, &query).await?;
    let items = found.into_iter().map(|(operation, nodes)| ListedOperation {
        state: operations::state_of_counts(&operation, &nodes).to_owned(),
        id: operation.id.to_string(),
        kind: operation.kind,
        requested_by: operation.requested_by,
        requested_at: operation.requested_at.to_string(),
        policy: operation.policy,
        nodes,
    });
    Ok(Json(Page { items: items.collect(), next_cursor }))
}

/// One operation.
#[utoipa::path(get, path = "/operations/{id}", operation_id = "get_operation", tag = "operations", params(("id", description = "operation id")), responses((status = 200, body = Operation), (status = "default", body = api::error::Problem)))]
pub async fn show(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Operation>, ApiError> {
    Ok(Json(operation(&app, operations::find(&app, &caller, &id).await?).await?))
}

/// What came of an install on a node.
#[utoipa::path(get, path = "/operations/{id}/receipts/{node}", operation_id = "get_receipt", tag = "operations", params(("id", description = "operation id"), ("node", description = "node id")), responses((status = 200, body = Object), (status = "default", body = api::error::Problem)))]
pub async fn show_receipt(State(app): State<App>, caller: Caller, Path((id, node)): Path<(String, String)>) -> Result<Json<Receipt>, ApiError> {
    Ok(Json(operations::find_receipt(&app, &caller, &id, &node).await?))
}

/// Asks the nodes of an operation to stop. What no node has taken is over at once; a node stops at the end of the step
/// that it is in.
#[utoipa::path(post, path = "/operations/{id}/cancel", operation_id = "cancel_operation", tag = "operations", params(("id", description = "operation id")), responses((status = 200, body = Operation), (status = "default", body = api::error::Problem)))]
pub async fn cancel(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Operation>, ApiError> {
    let cancelled = operations::cancel(&app, &caller, &id).await?;
    Ok(Json(operation(&app, cancelled).await?))
}

/// Lets nothing more of an operation begin, until someone resumes it.
#[utoipa::path(post, path = "/operations/{id}/pause", operation_id = "pause_operation", tag = "operations", params(("id", description = "operation id")), responses((status = 200, body = Operation), (status = "default", body = api::error::Problem)))]
pub async fn pause(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Operation>, ApiError> {
    act(&app, &caller, &id, &Verb::Pause).await
}

/// Lets an operation go on after a pause or a halt. Failures that halted it count no more, and a gate that was shut is asked again.
#[utoipa::path(post, path = "/operations/{id}/resume", operation_id = "resume_operation", tag = "operations", params(("id", description = "operation id")), responses((status = 200, body = Operation), (status = "default", body = api::error::Problem)))]
pub async fn resume(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Operation>, ApiError> {
    act(&app, &caller, &id, &Verb::Resume).await
}

/// A second person agrees.
#[utoipa::path(post, path = "/operations/{id}/approve", operation_id = "approve_operation", tag = "operations", params(("id", description = "operation id")), responses((status = 200, body = Operation), (status = "default", body = api::error::Problem)))]
pub async fn approve(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Operation>, ApiError> {
    act(&app, &caller, &id, &Verb::Approve).await
}

/// Lets the ring after this one begin, whatever came of it.
#[utoipa::path(post, path = "/operations/{id}/rings/{ring}/skip", operation_id = "skip_ring", tag = "operations", params(("id", description = "operation id"), ("ring", description = "name of the ring")), responses((status = 200, body = Operation), (status = "default", body = api::error::Problem)))]
pub async fn skip_ring(State(app): State<App>, caller: Caller, Path((id, ring)): Path<(String, String)>) -> Result<Json<Operation>, ApiError> {
    act(&app, &caller, &id, &Verb::SkipRing(ring)).await
}

async fn act(app: &App, caller: &Caller, id: &str, verb: &Verb) -> Result<Json<Operation>, ApiError> {
    let acted = operations::act(app, caller, id, verb).await?;
    Ok(Json(operation(app, acted).await?))
}

/// What an install would do on a node.
#[utoipa::path(get, path = "/operations/{id}/plans/{node}", operation_id = "get_plan", tag = "operations", params(("id", description = "operation id"), ("node", description = "node id")), responses((status = 200, body = Object), (status = "default", body = api::error::Problem)))]
pub async fn show_plan(State(app): State<App>, caller: Caller, Path((id, node)): Path<(String, String)>) -> Result<Json<Plan>, ApiError> {
    Ok(Json(operations::find_plan(&app, &caller, &id, &node).await?))
}

async fn operation(app: &App, found: operations::Operation) -> Result<Operation, ApiError> {
    let now = app.now();
    let RolloutToday { state, rings, mut holds } = operations::explain(app, &found).await?;
    let (record, invocations) = found;
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let time = |at: Timestamp| at.to_string();
    let invocations = invocations.into_iter().map(|invocation| Invocation {
        doing: operations::doing(&invocation, now),
        ring: rings.get(invocation.ring as usize).map(|ring| ring.name.clone()),
        hold: holds.remove(&invocation.node_id).map(|hold| Hold { code: hold.code().to_owned(), words: hold.words(time), ends_at: text(hold.ends_at()) }),
        node_id: invocation.node_id,
        state: invocation.state.code().to_owned(),
        progress: invocation.progress.map(|progress| Progress {
            step: progress.step.word().to_owned(),
            at: progress.at.to_string(),
            percent: progress.percent,
            lines: progress.lines,
            waits_until: text(progress.waits_until),
            back_by: text(progress.back_by),
        }),
        started_at: text(invocation.claimed_at),
        finished_at: text(invocation.finished_at),
        message: invocation.message,
    });
    let invocations = invocations.collect();
    let gate = |at: usize| record.course.rings.get(at).and_then(|ring| ring.gate.as_ref()).map(|gate| gate.words.clone());
    let rings = rings.iter().enumerate().map(|(at, ring)| RingToday {
        name: ring.name.clone(),
        state: ring.state.code().to_owned(),
        words: ring.state.words(time),
        concurrency: ring.rate.concurrency,
        errors: ring.rate.errors,
        gate: gate(at),
        nodes: ring.counts.nodes,
        at_work: ring.counts.at_work,
        succeeded: ring.counts.succeeded,
        failed: ring.counts.failed + ring.counts.lost,
        waiting: ring.counts.waiting + ring.counts.silent,
    });
    Ok(Operation {
        id: record.id.to_string(),
        kind: record.kind.clone(),
        requested_by: record.requested_by.clone(),
        requested_at: record.requested_at.to_string(),
        policy: record.policy.clone(),
        state: state.to_owned(),
        halted: record.course.halted.as_ref().map(|halt| HaltedOperation { at: halt.at.to_string(), reason: halt.cause.words(), mend: halt.cause.mend().to_owned() }),
        ends_at: text(record.course.ends_at),
        ended_at: text(record.course.ended_at),
        rings: rings.collect(),
        invocations,
    })
}

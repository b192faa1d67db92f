//! Operations: requests for work on nodes.

use api::page::Page;
use api::v1::node::ListPage;
use api::v1::operation::{CreateOperation, Invocation, ListedOperation, Operation, Progress};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use domain::model::plan::Plan;
use domain::model::receipt::Receipt;
use domain::model::time::Timestamp;

use crate::App;
use crate::actions::{Caller, operations};
use crate::http::ApiError;
use crate::http::extract::{Body, Parameters};

/// Requests work. The same `Idempotency-Key` and body give the same operation again.
#[utoipa::path(post, path = "/operations", operation_id = "create_operation", tag = "operations", params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 characters")), request_body = CreateOperation, responses((status = 201, body = Operation), (status = "default", body = api::error::Problem)))]
pub async fn create(State(app): State<App>, caller: Caller, headers: HeaderMap, Body(body): Body<CreateOperation>) -> Result<(StatusCode, Json<Operation>), ApiError> {
    let key = headers.get("Idempotency-Key").map(|value| value.to_str().unwrap_or_default());
    let requested = operations::request(&app, &caller, &body, key).await?;
    Ok((StatusCode::CREATED, Json(operation(&app, requested))))
}

/// Operations, newest first.
#[utoipa::path(get, path = "/operations", operation_id = "list_operations", tag = "operations", params(ListPage), responses((status = 200, body = Page<ListedOperation>), (status = "default", body = api::error::Problem)))]
pub async fn list(State(app): State<App>, caller: Caller, Parameters(query): Parameters<ListPage>) -> Result<Json<Page<ListedOperation>>, ApiError> {
    let (found, next_cursor) = operations::list(&app, &caller, &query).await?;
    let items = found.into_iter().map(|(operation, nodes)| ListedOperation {
        id: operation.id.to_string(),
        kind: operation.kind,
        requested_by: operation.requested_by,
        requested_at: operation.requested_at.to_string(),
        nodes,
    });
    Ok(Json(Page { items: items.collect(), next_cursor }))
}

/// One operation.
#[utoipa::path(get, path = "/operations/{id}", operation_id = "get_operation", tag = "operations", params(("id", description = "operation id")), responses((status = 200, body = Operation), (status = "default", body = api::error::Problem)))]
pub async fn show(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Operation>, ApiError> {
    Ok(Json(operation(&app, operations::find(&app, &caller, &id).await?)))
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
    Ok(Json(operation(&app, cancelled)))
}

/// What an install would do on a node.
#[utoipa::path(get, path = "/operations/{id}/plans/{node}", operation_id = "get_plan", tag = "operations", params(("id", description = "operation id"), ("node", description = "node id")), responses((status = 200, body = Object), (status = "default", body = api::error::Problem)))]
pub async fn show_plan(State(app): State<App>, caller: Caller, Path((id, node)): Path<(String, String)>) -> Result<Json<Plan>, ApiError> {
    Ok(Json(operations::find_plan(&app, &caller, &id, &node).await?))
}

fn operation(app: &App, (record, invocations): operations::Operation) -> Operation {
    let now = app.now();
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let invocations = invocations.into_iter().map(|invocation| Invocation {
        doing: operations::doing(&invocation, now),
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
    Operation {
        id: record.id.to_string(),
        kind: record.kind,
        requested_by: record.requested_by,
        requested_at: record.requested_at.to_string(),
        concurrency: record.rate.map(|rate| rate.concurrency),
        errors: record.rate.map(|rate| rate.errors),
        halted_at: text(record.halted_at),
        invocations: invocations.collect(),
    }
}

//! Exceptions.

use api::page::Page;
use api::v1::exception::{Exception, GrantException};
use api::v1::node::Changed;
use axum::Json;
use axum::extract::{Path, State};
use domain::model::baseline::Decision;

use crate::App;
use crate::actions::Caller;
use crate::actions::exceptions::{self, ExceptionToday};
use crate::http::ApiError;
use crate::http::extract::Body;

/// Every exception, those that hold first.
#[utoipa::path(get, path = "/exceptions", operation_id = "list_exceptions", tag = "exceptions", responses((status = 200, body = Page<Exception>), (status = "default", body = api::error::Problem)))]
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Page<Exception>>, ApiError> {
    let found = exceptions::list(&app, &caller).await?;
    Ok(Json(Page { items: found.into_iter().map(convert).collect(), next_cursor: None }))
}

/// Grants an exception; it ends by itself.
#[utoipa::path(post, path = "/exceptions", operation_id = "grant_exception", tag = "exceptions", request_body = GrantException, responses((status = 200, body = Exception), (status = "default", body = api::error::Problem)))]
pub async fn grant(State(app): State<App>, caller: Caller, Body(body): Body<GrantException>) -> Result<Json<Exception>, ApiError> {
    Ok(Json(convert(exceptions::grant(&app, &caller, &body).await?)))
}

/// Ends an exception before its day.
#[utoipa::path(post, path = "/exceptions/{id}/revoke", operation_id = "revoke_exception", tag = "exceptions", params(("id", description = "exception id")), responses((status = 200, body = Changed), (status = "default", body = api::error::Problem)))]
pub async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Changed>, ApiError> {
    exceptions::revoke(&app, &caller, &id).await?;
    Ok(Json(Changed { n_changed: 1 }))
}

fn convert(today: ExceptionToday) -> Exception {
    let state = today.state().to_owned();
    let domain::model::exception::GrantedException { id, exception, granted_by, granted_at, revoked, .. } = today.granted;
    Exception {
        id: id.to_string(),
        patch: exception.patch,
        decision: if exception.decision == Decision::Approve { "APPROVE" } else { "REJECT" }.to_owned(),
        owner: exception.owner,
        reason: exception.reason,
        until: exception.until,
        state,
        targets: today.targets,
        n_nodes: today.n_nodes,
        granted_by,
        granted_at: granted_at.to_string(),
        revoked_at: revoked.as_ref().map(|(at, _)| at.to_string()),
        revoked_by: revoked.map(|(_, by)| by),
    }
}

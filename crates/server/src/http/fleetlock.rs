//! The `FleetLock` protocol, for clients such as Zincati: a lock before a reboot, given back when the machine is steady again.
//! The protocol knows no sign-in: the address of a client, its `base_url`, holds the secret of its group.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::App;
use crate::actions::ActionError;
use crate::actions::reboot_locks::{self, Locked};
use crate::http::extract::Body;

/// What a client sends.
#[derive(Debug, Deserialize)]
pub struct Request {
    client_params: ClientParams,
}

#[derive(Debug, Deserialize)]
struct ClientParams {
    id: String,
    group: String,
}

/// Asks for a lock.
pub async fn pre_reboot(State(app): State<App>, Path(secret): Path<String>, headers: HeaderMap, Body(request): Body<Request>) -> Response {
    if let Some(refused) = check_protocol(&headers) {
        return refused;
    }
    let ClientParams { id, group } = &request.client_params;
    match reboot_locks::lock(&app, &secret, group, id).await {
        Ok(Locked::Yes) => StatusCode::OK.into_response(),
        Ok(Locked::Held { by }) => answer(StatusCode::CONFLICT, "failed_lock_semaphore_full", &format!("all locks of {group} are held, by {}", by.join(", "))),
        Err(error) => refuse(&error),
    }
}

/// Gives a lock back.
pub async fn steady_state(State(app): State<App>, Path(secret): Path<String>, headers: HeaderMap, Body(request): Body<Request>) -> Response {
    if let Some(refused) = check_protocol(&headers) {
        return refused;
    }
    let ClientParams { id, group } = &request.client_params;
    match reboot_locks::unlock(&app, &secret, group, id).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => refuse(&error),
    }
}

/// Without the header of the protocol it may be a browser that somebody led here.
fn check_protocol(headers: &HeaderMap) -> Option<Response> {
    let is_known = headers.get("fleet-lock-protocol").is_some_and(|value| value == "true");
    (!is_known).then(|| answer(StatusCode::BAD_REQUEST, "invalid_protocol_header", "the header `fleet-lock-protocol: true` is missing"))
}

fn refuse(error: &ActionError) -> Response {
    match error {
        ActionError::NotFound { .. } => answer(StatusCode::NOT_FOUND, "unknown_group", &error.to_string()),
        ActionError::InvalidValue { .. } => answer(StatusCode::BAD_REQUEST, "invalid_params", &error.to_string()),
        other => {
            tracing::error!(error = %crate::http::chain(other), "a lock could not be asked for");
            answer(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the server failed; ask again later")
        }
    }
}

fn answer(status: StatusCode, kind: &str, value: &str) -> Response {
    (status, Json(json!({ "kind": kind, "value": value }))).into_response()
}

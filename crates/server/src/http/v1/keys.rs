//! Keys of the installation.

use api::v1::key::{RotateKey, RotatedKey};
use axum::Json;
use axum::extract::State;

use crate::App;
use crate::actions::{Caller, keys};
use crate::http::ApiError;
use crate::http::extract::Body;

/// Makes a new key, and tells every node to trust it.
#[utoipa::path(post, path = "/keys/rotate", operation_id = "rotate_key", tag = "keys", request_body = RotateKey, responses((status = 200, body = RotatedKey), (status = "default", body = api::error::Problem)))]
pub async fn rotate(State(app): State<App>, caller: Caller, Body(body): Body<RotateKey>) -> Result<Json<RotatedKey>, ApiError> {
    let (key, n_nodes) = keys::rotate(&app, &caller, body.kind).await?;
    Ok(Json(RotatedKey { key, n_nodes }))
}

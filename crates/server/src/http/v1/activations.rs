//! Activations.

use api::page::Page;
use api::v1::activation::{Activation, CreateActivation, CreatedActivation};
use api::v1::node::Changed;
use axum::Json;
use axum::extract::{Path, State};
use domain::model::activation;

use crate::App;
use crate::actions::{Caller, activations, organization};
use crate::http::ApiError;
use crate::http::extract::Body;

/// Every activation, newest first.
#[utoipa::path(get, path = "/activations", operation_id = "list_activations", tag = "activations", responses((status = 200, body = Page<Activation>), (status = "default", body = api::error::Problem)))]
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Page<Activation>>, ApiError> {
    let found = activations::list(&app, &caller).await?;
    Ok(Json(Page { items: found.into_iter().map(|found| convert(&app, &caller, found)).collect(), next_cursor: None }))
}

/// Makes an activation; its code is in the answer and nowhere else.
#[utoipa::path(post, path = "/activations", operation_id = "create_activation", tag = "activations", request_body = CreateActivation, responses((status = 200, body = CreatedActivation), (status = "default", body = api::error::Problem)))]
pub async fn create(State(app): State<App>, caller: Caller, Body(body): Body<CreateActivation>) -> Result<Json<CreatedActivation>, ApiError> {
    let (created, code) = activations::create(&app, &caller, &body).await?;
    let command = enroll_command(&app, &code);
    Ok(Json(CreatedActivation { activation: convert(&app, &caller, created), code, command }))
}

/// Revokes an activation. Nodes that came with it stay.
#[utoipa::path(post, path = "/activations/{id}/revoke", operation_id = "revoke_activation", tag = "activations", params(("id", description = "activation id")), responses((status = 200, body = Changed), (status = "default", body = api::error::Problem)))]
pub async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Changed>, ApiError> {
    activations::revoke(&app, &caller, &id).await?;
    Ok(Json(Changed { n_changed: 1 }))
}

/// The command that enrolls a node.
pub fn enroll_command(app: &App, code: &str) -> String {
    format!("fettle agent enroll --server {} --activation {code}", app.agent_url())
}

fn convert(app: &App, caller: &Caller, found: activation::Activation) -> Activation {
    let tree = organization::read(app, caller);
    Activation {
        state: found.state(app.now()).word().to_owned(),
        account: tree.accounts.iter().find(|account| account.id == found.account_id).map(|account| account.name.clone()).unwrap_or_default(),
        region: tree.regions.iter().find(|region| region.id == found.region_id).map(|region| region.name.clone()).unwrap_or_default(),
        id: found.id.to_string(),
        description: found.description,
        tags: found.tags,
        node_limit: found.node_limit,
        n_enrolled: found.n_enrolled,
        created_by: found.created_by,
        created_at: found.created_at.to_string(),
        expires_at: found.expires_at.to_string(),
    }
}

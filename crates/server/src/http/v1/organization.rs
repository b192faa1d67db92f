//! The organization.

use api::v1::node::Changed;
use api::v1::organization::{CreateMember, Member, MemberKind, MoveMember, MoveNodes, Organization};
use axum::Json;
use axum::extract::State;

use crate::App;
use crate::actions::{Caller, organization};
use crate::http::ApiError;
use crate::http::extract::Body;

/// The whole tree.
#[utoipa::path(get, path = "/organization", operation_id = "get_organization", tag = "organization", responses((status = 200, body = Organization), (status = "default", body = api::error::Problem)))]
pub async fn show(State(app): State<App>, caller: Caller) -> Result<Json<Organization>, ApiError> {
    let tree = organization::read(&app, &caller);
    let counts = organization::count_nodes(&app, &caller);
    let count_of = |id: &domain::model::id::AccountId| counts.iter().find(|(known, _)| known == id).map(|(_, n_nodes)| *n_nodes);
    Ok(Json(Organization {
        units: tree.units.into_iter().map(|unit| member(unit.id.as_str(), unit.name, unit.parent_id.map(|id| id.to_string()))).collect(),
        accounts: tree
            .accounts
            .into_iter()
            .map(|account| Member { n_nodes: count_of(&account.id), ..member(account.id.as_str(), account.name, Some(account.unit_id.to_string())) })
            .collect(),
        regions: tree.regions.into_iter().map(|region| member(region.id.as_str(), region.name, None)).collect(),
    }))
}

/// Adds a unit, an account or a region.
#[utoipa::path(post, path = "/organization", operation_id = "create_member", tag = "organization", request_body = CreateMember, responses((status = 200, body = Member), (status = "default", body = api::error::Problem)))]
pub async fn create(State(app): State<App>, caller: Caller, Body(body): Body<CreateMember>) -> Result<Json<Member>, ApiError> {
    let unit = body.unit.as_deref();
    Ok(Json(match body.kind {
        MemberKind::Unit => {
            let unit = organization::create_unit(&app, &caller, &body.name, unit).await?;
            member(unit.id.as_str(), unit.name, unit.parent_id.map(|id| id.to_string()))
        }
        MemberKind::Account => {
            let account = organization::create_account(&app, &caller, &body.name, unit).await?;
            member(account.id.as_str(), account.name, Some(account.unit_id.to_string()))
        }
        MemberKind::Region => {
            let region = organization::create_region(&app, &caller, &body.name).await?;
            member(region.id.as_str(), region.name, None)
        }
    }))
}

/// Moves a unit or an account into another unit.
#[utoipa::path(post, path = "/organization/move", operation_id = "move_member", tag = "organization", request_body = MoveMember, responses((status = 200, body = Changed), (status = "default", body = api::error::Problem)))]
pub async fn move_member(State(app): State<App>, caller: Caller, Body(body): Body<MoveMember>) -> Result<Json<Changed>, ApiError> {
    organization::move_member(&app, &caller, &body.member, &body.unit).await?;
    Ok(Json(Changed { n_changed: 1 }))
}

/// Moves nodes into another account or region: all of them, or none.
#[utoipa::path(post, path = "/nodes/move", operation_id = "move_nodes", tag = "nodes", request_body = MoveNodes, responses((status = 200, body = Changed), (status = "default", body = api::error::Problem)))]
pub async fn move_nodes(State(app): State<App>, caller: Caller, Body(body): Body<MoveNodes>) -> Result<Json<Changed>, ApiError> {
    let n_changed = organization::move_nodes(&app, &caller, &body.nodes, body.account.as_deref(), body.region.as_deref()).await?;
    Ok(Json(Changed { n_changed }))
}

fn member(id: &str, name: String, unit_id: Option<String>) -> Member {
    Member { id: id.to_owned(), name, unit_id, n_nodes: None }
}

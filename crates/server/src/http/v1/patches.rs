//! The catalog of patches.

use api::page::Page;
use api::v1::node::ListPage;
use api::v1::patch::{ListPatches, Patch, PatchNode};
use axum::Json;
use axum::extract::{Path, State};

use crate::App;
use crate::actions::{Caller, patches};
use crate::http::ApiError;
use crate::http::extract::Parameters;

/// A page of patches, those missing on most nodes first.
#[utoipa::path(get, path = "/patches", operation_id = "list_patches", tag = "patches", params(ListPatches), responses((status = 200, body = Page<Patch>), (status = "default", body = api::error::Problem)))]
pub async fn list(State(app): State<App>, caller: Caller, Parameters(query): Parameters<ListPatches>) -> Result<Json<Page<Patch>>, ApiError> {
    let (items, next_cursor) = patches::list(&app, &caller, &query)?;
    Ok(Json(Page { items: items.into_iter().map(patch).collect(), next_cursor }))
}

/// One patch.
#[utoipa::path(get, path = "/patches/{id}", operation_id = "get_patch", tag = "patches", params(("id", description = "patch id")), responses((status = 200, body = Patch), (status = "default", body = api::error::Problem)))]
pub async fn show(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Patch>, ApiError> {
    Ok(Json(patch(patches::find(&app, &caller, &id)?)))
}

/// A page of the nodes that a patch concerns.
#[utoipa::path(get, path = "/patches/{id}/nodes", operation_id = "list_patch_nodes", tag = "patches", params(("id", description = "patch id"), ListPage), responses((status = 200, body = Page<PatchNode>), (status = "default", body = api::error::Problem)))]
pub async fn list_nodes(State(app): State<App>, caller: Caller, Path(id): Path<String>, Parameters(query): Parameters<ListPage>) -> Result<Json<Page<PatchNode>>, ApiError> {
    let (rows, next_cursor) = patches::list_nodes(&app, &caller, &id, &query)?;
    let items = rows.into_iter().map(|node| PatchNode { id: node.id.to_string(), name: node.name, state: node.state.code().to_owned() }).collect();
    Ok(Json(Page { items, next_cursor }))
}

fn patch(record: patches::Patch) -> Patch {
    Patch {
        id: record.id.to_string(),
        name: record.name,
        architecture: record.architecture,
        version: record.version,
        source: record.source,
        classification: record.classification.word().to_owned(),
        severity: record.severity.word().to_owned(),
        section: record.section,
        priority: record.priority,
        repository: record.repository,
        advisories: record.advisory.as_ref().map(|advisory| advisory.ids.clone()).unwrap_or_default(),
        cves: record.advisory.as_ref().map(|advisory| advisory.cves.clone()).unwrap_or_default(),
        released_at: record.advisory.as_ref().and_then(|advisory| advisory.released_at).map(|at| at.to_string()),
        first_seen_at: record.first_seen_at.to_string(),
        n_missing: record.n_missing,
        n_other: record.n_other,
    }
}

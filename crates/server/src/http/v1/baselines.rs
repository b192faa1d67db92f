//! Baselines.

use api::page::Page;
use api::v1::baseline::{
    AssignBaseline, Assignment, Baseline, BaselineDetail, BaselinePreview, BaselineVersion, DeleteBaseline, ListApprovals, PatchApproval, PreviewBaseline, SaveBaseline,
};
use api::v1::node::Changed;
use axum::Json;
use axum::extract::{Path, State};
use domain::decide::select::{self, Approval};
use serde::Serialize;
use store::baselines;

use crate::App;
use crate::actions::Caller;
use crate::actions::baselines::{self as actions, BaselineToday, OfferedPatch};
use crate::http::ApiError;
use crate::http::extract::{Body, Parameters};

/// Every baseline.
#[utoipa::path(get, path = "/baselines", operation_id = "list_baselines", tag = "baselines", responses((status = 200, body = Page<Baseline>), (status = "default", body = api::error::Problem)))]
pub async fn list(State(app): State<App>, caller: Caller) -> Json<Page<Baseline>> {
    Json(Page { items: actions::list(&app, &caller).into_iter().map(baseline).collect(), next_cursor: None })
}

/// One baseline.
#[utoipa::path(get, path = "/baselines/{id}", operation_id = "get_baseline", tag = "baselines", params(("id", description = "baseline id or name")), responses((status = 200, body = BaselineDetail), (status = "default", body = api::error::Problem)))]
pub async fn show(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<BaselineDetail>, ApiError> {
    Ok(Json(detail(actions::find(&app, &caller, &id)?)))
}

/// Makes a baseline.
#[utoipa::path(post, path = "/baselines", operation_id = "create_baseline", tag = "baselines", request_body = SaveBaseline, responses((status = 200, body = BaselineDetail), (status = "default", body = api::error::Problem)))]
pub async fn create(State(app): State<App>, caller: Caller, Body(body): Body<SaveBaseline>) -> Result<Json<BaselineDetail>, ApiError> {
    Ok(Json(detail(actions::save(&app, &caller, None, &body).await?)))
}

/// Saves a new version of a baseline; the same document again makes none.
#[utoipa::path(post, path = "/baselines/{id}", operation_id = "save_baseline", tag = "baselines", params(("id", description = "baseline id or name")), request_body = SaveBaseline, responses((status = 200, body = BaselineDetail), (status = "default", body = api::error::Problem)))]
pub async fn save(State(app): State<App>, caller: Caller, Path(id): Path<String>, Body(body): Body<SaveBaseline>) -> Result<Json<BaselineDetail>, ApiError> {
    Ok(Json(detail(actions::save(&app, &caller, Some(&id), &body).await?)))
}

/// Deletes a baseline that judges nobody; its versions stay in the record.
#[utoipa::path(post, path = "/baselines/{id}/delete", operation_id = "delete_baseline", tag = "baselines", params(("id", description = "baseline id or name")), request_body = DeleteBaseline, responses((status = 200, body = Changed), (status = "default", body = api::error::Problem)))]
pub async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<String>, Body(body): Body<DeleteBaseline>) -> Result<Json<Changed>, ApiError> {
    actions::delete(&app, &caller, &id, &body.reason).await?;
    Ok(Json(Changed { n_changed: 1 }))
}

/// Every version of a baseline, newest first.
#[utoipa::path(get, path = "/baselines/{id}/versions", operation_id = "list_baseline_versions", tag = "baselines", params(("id", description = "baseline id or name")), responses((status = 200, body = Vec<BaselineVersion>), (status = "default", body = api::error::Problem)))]
pub async fn list_versions(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Vec<BaselineVersion>>, ApiError> {
    let versions = actions::list_versions(&app, &caller, &id).await?;
    Ok(Json(versions.into_iter().map(version).collect()))
}

/// What a baseline says of every patch that a node is offered.
#[utoipa::path(get, path = "/baselines/{id}/approvals", operation_id = "list_approvals", tag = "baselines", params(("id", description = "baseline id or name"), ListApprovals), responses((status = 200, body = Vec<PatchApproval>), (status = "default", body = api::error::Problem)))]
pub async fn list_approvals(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Parameters(query): Parameters<ListApprovals>,
) -> Result<Json<Vec<PatchApproval>>, ApiError> {
    Ok(Json(actions::list_approvals(&app, &caller, &id, query.on.as_deref(), approval)?))
}

/// What a baseline would change, were it saved now.
#[utoipa::path(post, path = "/baselines/preview", operation_id = "preview_baseline", tag = "baselines", request_body = PreviewBaseline, responses((status = 200, body = BaselinePreview), (status = "default", body = api::error::Problem)))]
pub async fn preview(State(app): State<App>, caller: Caller, Body(body): Body<PreviewBaseline>) -> Result<Json<BaselinePreview>, ApiError> {
    Ok(Json(actions::preview(&app, &caller, &body)?))
}

/// Chooses the baseline of a patch group, or of an operating system, or undoes the choice.
#[utoipa::path(post, path = "/baselines/assign", operation_id = "assign_baseline", tag = "baselines", request_body = AssignBaseline, responses((status = 200, body = Changed), (status = "default", body = api::error::Problem)))]
pub async fn assign(State(app): State<App>, caller: Caller, Body(body): Body<AssignBaseline>) -> Result<Json<Changed>, ApiError> {
    actions::assign(&app, &caller, &body).await?;
    Ok(Json(Changed { n_changed: 1 }))
}

/// Every baseline that somebody chose for a patch group, or as a default.
#[utoipa::path(get, path = "/baselines/assignments", operation_id = "list_assignments", tag = "baselines", responses((status = 200, body = Vec<Assignment>), (status = "default", body = api::error::Problem)))]
pub async fn list_assignments(State(app): State<App>, caller: Caller) -> Json<Vec<Assignment>> {
    let chosen = actions::list_assignments(&app, &caller).into_iter();
    Json(chosen.map(|((system, patch_group), baseline)| Assignment { operating_system: system.code().to_owned(), patch_group, baseline }).collect())
}

fn baseline(today: BaselineToday) -> Baseline {
    let BaselineToday { named, judges } = today;
    Baseline {
        id: named.id.to_string(),
        name: named.baseline.name,
        description: named.baseline.description,
        operating_system: named.baseline.operating_system.code().to_owned(),
        predefined: named.predefined,
        version: named.version,
        judges,
    }
}

fn detail(today: BaselineToday) -> BaselineDetail {
    let (explanation, document) = (select::explain(&today.named.baseline), to_json(&today.named.baseline));
    BaselineDetail { baseline: baseline(today), explanation, document }
}

fn version(version: baselines::BaselineVersion) -> BaselineVersion {
    BaselineVersion {
        version: version.version,
        changed_by: version.changed_by,
        changed_at: version.changed_at.to_string(),
        reason: version.reason,
        document: version.document.as_ref().map(to_json),
    }
}

fn approval(patch: OfferedPatch) -> PatchApproval {
    let [name, architecture, version] = patch.key.map(str::to_owned);
    let deferred_until = if let Approval::Deferred { until, .. } = patch.approval { until.map(|until| until.to_string()) } else { None };
    PatchApproval { product: patch.product, name, architecture, version, approval: patch.approval.word().to_owned(), reason: patch.approval.reason().text, deferred_until }
}

fn to_json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("a baseline has text keys only")
}

//! Nodes, their patches and their scans.

use api::page::Page;
use api::v1::node::{ListNodePatches, ListNodes, ListPage, Node, NodeDetail, NodePatch, Reason, Scan, Warning};
use axum::Json;
use axum::extract::{Path, State};
use domain::model::compliance;
use domain::model::id::PatchId;
use domain::model::inventory::Reboot;
use domain::model::problem::Problem;
use domain::model::scan_report::PatchRow;
use store::scans::ScanRecord;

use crate::App;
use crate::actions::Caller;
use crate::actions::nodes::{self, NodeToday};
use crate::http::ApiError;
use crate::http::extract::Parameters;

/// A page of nodes.
#[utoipa::path(get, path = "/nodes", operation_id = "list_nodes", tag = "nodes", params(ListNodes), responses((status = 200, body = Page<Node>), (status = "default", body = api::error::Problem)))]
pub async fn list(State(app): State<App>, caller: Caller, Parameters(query): Parameters<ListNodes>) -> Result<Json<Page<Node>>, ApiError> {
    let page = nodes::list(&app, &caller, &query).await?;
    Ok(Json(Page { items: page.nodes.into_iter().map(node).collect(), next_cursor: page.next_cursor }))
}

/// One node.
#[utoipa::path(get, path = "/nodes/{id}", operation_id = "get_node", tag = "nodes", params(("id", description = "node id")), responses((status = 200, body = NodeDetail), (status = "default", body = api::error::Problem)))]
pub async fn show(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<NodeDetail>, ApiError> {
    let (today, report) = nodes::find(&app, &caller, &id).await?;
    let node = node(today);
    Ok(Json(match report {
        None => NodeDetail { node, reasons: Vec::new(), baseline: None, reboot_causes: None, lists_refreshed_at: None, warnings: Vec::new() },
        Some(report) => NodeDetail {
            node,
            reasons: report.reasons.into_iter().map(reason).collect(),
            baseline: report.baseline.map(|baseline| baseline.name),
            reboot_causes: match report.reboot {
                Reboot::NotPending => Some(Vec::new()),
                Reboot::Pending { causes } => Some(causes),
                Reboot::Unknown => None,
            },
            lists_refreshed_at: report.lists_refreshed_at.map(|at| at.to_string()),
            warnings: report.warnings.into_iter().map(warning).collect(),
        },
    }))
}

/// A page of a node's patches, most urgent first.
#[utoipa::path(get, path = "/nodes/{id}/patches", operation_id = "list_node_patches", tag = "nodes", params(("id", description = "node id"), ListNodePatches), responses((status = 200, body = Page<NodePatch>), (status = "default", body = api::error::Problem)))]
pub async fn list_patches(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Parameters(query): Parameters<ListNodePatches>,
) -> Result<Json<Page<NodePatch>>, ApiError> {
    let page = nodes::list_patches(&app, &caller, &id, &query).await?;
    Ok(Json(Page { items: page.patches.into_iter().map(node_patch).collect(), next_cursor: page.next_cursor }))
}

/// A page of a node's scans, newest first.
#[utoipa::path(get, path = "/nodes/{id}/scans", operation_id = "list_node_scans", tag = "nodes", params(("id", description = "node id"), ListPage), responses((status = 200, body = Page<Scan>), (status = "default", body = api::error::Problem)))]
pub async fn list_scans(State(app): State<App>, caller: Caller, Path(id): Path<String>, Parameters(query): Parameters<ListPage>) -> Result<Json<Page<Scan>>, ApiError> {
    let (scans, next_cursor) = nodes::list_scans(&app, &caller, &id, &query).await?;
    Ok(Json(Page { items: scans.into_iter().map(scan).collect(), next_cursor }))
}

fn node(today: NodeToday) -> Node {
    let NodeToday { node, verdict, stale } = today;
    let scan = node.last_scan.as_ref();
    Node {
        verdict: verdict.code().to_owned(),
        last_scan_at: scan.map(|scan| scan.at.to_string()),
        stale,
        n_packages: scan.map_or(0, |scan| scan.n_packages),
        counts: scan.map(|scan| scan.counts).unwrap_or_default().into(),
        id: node.id.to_string(),
        name: node.name,
        platform: node.platform,
        product: node.product,
        architecture: node.architecture,
        kernel: node.kernel,
        allows: node.allows,
        enrolled_at: node.enrolled_at.to_string(),
    }
}

fn node_patch(row: PatchRow) -> NodePatch {
    NodePatch {
        patch_id: row.available_version.as_ref().map(|version| PatchId::of(&row.name, &row.architecture, version).to_string()),
        name: row.name,
        architecture: row.architecture,
        installed_version: row.installed_version,
        available_version: row.available_version,
        state: row.state.code().to_owned(),
        classification: row.classification.word().to_owned(),
        severity: row.severity.word().to_owned(),
        section: row.section,
        priority: row.priority,
        source: row.source,
        first_seen_at: row.first_seen_at.map(|at| at.to_string()),
        reason: reason(row.reason),
    }
}

fn scan(scan: ScanRecord) -> Scan {
    Scan {
        id: scan.id,
        scanned_at: scan.scanned_at.to_string(),
        verdict: scan.verdict.code().to_owned(),
        n_missing: scan.n_missing,
        n_security_non_compliant: scan.n_security_non_compliant,
        package_set: scan.package_set,
    }
}

fn reason(reason: compliance::Reason) -> Reason {
    Reason { code: code_text(&reason.code), text: reason.text }
}

fn warning(problem: Problem) -> Warning {
    Warning { code: code_text(&problem.code), message: problem.message, hint: problem.hint }
}

/// The wire spelling of a code that serialises as one word.
fn code_text(code: &impl serde::Serialize) -> String {
    serde_json::to_value(code).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

//! Nodes, what they have, and what changed.

use std::collections::BTreeMap;

use api::page::Page;
use api::v1::node::{
    BetweenDays, Change, Changed, Drift, EditTags, ListNodePatches, ListNodes, ListPage, ListVerdicts, Node, NodeDetail, NodeEvent, NodePatch, OnDay, PastVerdict, Reason, Report,
    Warning,
};
use axum::Json;
use axum::extract::{Path, State};
use domain::model::compliance;
use domain::model::id::PatchId;
use domain::model::inventory::{Inventory, Reboot};
use domain::model::policy;
use domain::model::problem::Problem;
use domain::model::scan_report::PatchRow;

use crate::App;
use crate::actions::Caller;
use crate::actions::inventories;
use crate::actions::nodes::{self, NodeToday};
use crate::actions::verdicts;
use crate::http::ApiError;
use crate::http::extract::{Body, Parameters};

/// A page of nodes.
#[utoipa::path(get, path = "/nodes", operation_id = "list_nodes", tag = "nodes", params(ListNodes), responses((status = 200, body = Page<Node>), (status = "default", body = api::error::Problem)))]
pub async fn list(State(app): State<App>, caller: Caller, Parameters(query): Parameters<ListNodes>) -> Result<Json<Page<Node>>, ApiError> {
    let page = nodes::list(&app, &caller, &query)?;
    Ok(Json(Page { items: page.nodes.into_iter().map(node).collect(), next_cursor: page.next_cursor }))
}

/// One node.
#[utoipa::path(get, path = "/nodes/{id}", operation_id = "get_node", tag = "nodes", params(("id", description = "node id")), responses((status = 200, body = NodeDetail), (status = "default", body = api::error::Problem)))]
pub async fn show(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<NodeDetail>, ApiError> {
    let (today, report) = nodes::find(&app, &caller, &id).await?;
    let node = node(today);
    let (policies, drift) = nodes::policies_of(&app, &caller, &id)?;
    let drift = drift.into_iter().map(|policy::Drift { what, mended_by }| Drift { what, mended_by }).collect();
    Ok(Json(match report {
        None => NodeDetail {
            node,
            policies,
            drift,
            reasons: Vec::new(),
            baseline: None,
            judged_through: None,
            reboot_causes: None,
            lists_refreshed_at: None,
            warnings: Vec::new(),
            n_not_applicable: None,
            non_compliant_by_level: BTreeMap::new(),
            non_compliant_by_severity: BTreeMap::new(),
            other_non_compliant: 0,
        },
        Some(report) => NodeDetail {
            node,
            policies,
            drift,
            n_not_applicable: nodes::count_not_applicable(&app, &caller, &id, &report),
            non_compliant_by_level: report.severities.non_compliant.iter().map(|(level, n)| (level.word().to_owned(), *n)).collect(),
            non_compliant_by_severity: report.severities.non_compliant_by_vendor.iter().map(|(severity, n)| (severity.word().to_owned(), *n)).collect(),
            other_non_compliant: report.severities.other_non_compliant,
            reasons: report.reasons.into_iter().map(reason).collect(),
            judged_through: report.baseline.as_ref().map(|baseline| baseline.source.words()),
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
    let items = page.patches.into_iter().map(|row| node_patch(&page.ecosystem, row));
    Ok(Json(Page { items: items.collect(), next_cursor: page.next_cursor }))
}

/// What a node has, or had at the end of a day: its whole inventory.
#[utoipa::path(get, path = "/nodes/{id}/inventory", operation_id = "get_node_inventory", tag = "nodes", params(("id", description = "node id"), OnDay), responses((status = 200, description = "the inventory document, `inventory.schema.json`"), (status = "default", body = api::error::Problem)))]
pub async fn show_inventory(State(app): State<App>, caller: Caller, Path(id): Path<String>, Parameters(query): Parameters<OnDay>) -> Result<Json<Option<Inventory>>, ApiError> {
    Ok(Json(inventories::find(&app, &caller, &id, query.day.as_deref()).await?))
}

/// A page of a node's reports that said something new, newest first.
#[utoipa::path(get, path = "/nodes/{id}/reports", operation_id = "list_node_reports", tag = "nodes", params(("id", description = "node id"), ListPage), responses((status = 200, body = Page<Report>), (status = "default", body = api::error::Problem)))]
pub async fn list_reports(State(app): State<App>, caller: Caller, Path(id): Path<String>, Parameters(query): Parameters<ListPage>) -> Result<Json<Page<Report>>, ApiError> {
    let (reports, next_cursor) = inventories::list_reports(&app, &caller, &id, &query).await?;
    let report = |report: inventories::ChangedReport| Report {
        number: report.number,
        collected_at: report.collected_at.to_string(),
        received_at: report.received_at.to_string(),
        changed: report.changed.into_iter().map(|section| section.word().to_owned()).collect(),
    };
    Ok(Json(Page { items: reports.into_iter().map(report).collect(), next_cursor }))
}

/// What changed on a node between the ends of two days.
#[utoipa::path(get, path = "/nodes/{id}/changes", operation_id = "list_node_changes", tag = "nodes", params(("id", description = "node id"), BetweenDays), responses((status = 200, body = Vec<Change>), (status = "default", body = api::error::Problem)))]
pub async fn list_changes(State(app): State<App>, caller: Caller, Path(id): Path<String>, Parameters(query): Parameters<BetweenDays>) -> Result<Json<Vec<Change>>, ApiError> {
    let changes = inventories::list_changes(&app, &caller, &id, &query.from, &query.to).await?;
    let change = |change: inventories::Change| Change { section: change.section.word().to_owned(), before: change.before, after: change.after };
    Ok(Json(changes.into_iter().map(change).collect()))
}

/// What a node was judged to be, up to the end of a day or up to now, newest first.
#[utoipa::path(get, path = "/nodes/{id}/verdicts", operation_id = "list_node_verdicts", tag = "nodes", params(("id", description = "node id"), ListVerdicts), responses((status = 200, body = Vec<PastVerdict>), (status = "default", body = api::error::Problem)))]
pub async fn list_verdicts(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Parameters(query): Parameters<ListVerdicts>,
) -> Result<Json<Vec<PastVerdict>>, ApiError> {
    let past = verdicts::list(&app, &caller, &id, query.on.as_deref(), query.limit).await?;
    let convert = |past: verdicts::PastVerdict| PastVerdict {
        since: past.at().to_string(),
        verdict: past.record.verdict.code().to_owned(),
        counts: past.record.counts.into(),
        baseline_id: past.judged_by.baseline_id,
        baseline: past.baseline,
        baseline_version: past.judged_by.version,
        through: past.judged_by.through,
    };
    Ok(Json(past.into_iter().map(convert).collect()))
}

/// What happened to a node, newest first.
#[utoipa::path(get, path = "/nodes/{id}/events", operation_id = "list_node_events", tag = "nodes", params(("id", description = "node id"), ListPage), responses((status = 200, body = Vec<NodeEvent>), (status = "default", body = api::error::Problem)))]
pub async fn list_events(State(app): State<App>, caller: Caller, Path(id): Path<String>, Parameters(query): Parameters<ListPage>) -> Result<Json<Vec<NodeEvent>>, ApiError> {
    let events = nodes::list_events(&app, &caller, &id, &query).await?;
    Ok(Json(events.into_iter().map(|event| NodeEvent { at: event.at.to_string(), kind: event.kind, detail: event.detail }).collect()))
}

/// Sets and removes an operator's tags on many nodes: all of them, or none.
#[utoipa::path(post, path = "/nodes/tags", operation_id = "edit_tags", tag = "nodes", request_body = EditTags, responses((status = 200, body = Changed), (status = "default", body = api::error::Problem)))]
pub async fn edit_tags(State(app): State<App>, caller: Caller, Body(edit): Body<EditTags>) -> Result<Json<Changed>, ApiError> {
    Ok(Json(Changed { n_changed: nodes::edit_tags(&app, &caller, &edit).await? }))
}

/// Retires a node: its certificate is good for nothing from now on.
#[utoipa::path(post, path = "/nodes/{id}/retire", operation_id = "retire_node", tag = "nodes", params(("id", description = "node id")), responses((status = 200, body = Changed), (status = "default", body = api::error::Problem)))]
pub async fn retire(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Json<Changed>, ApiError> {
    nodes::retire(&app, &caller, &id).await?;
    Ok(Json(Changed { n_changed: 1 }))
}

fn node(today: NodeToday) -> Node {
    Node {
        verdict: today.verdict.code().to_owned(),
        account: today.account,
        region: today.region,
        tags: today.tags.into_iter().map(|(key, (_, value))| (key, value)).collect(),
        presence: today.presence.word().to_owned(),
        seen_at: today.seen_at.map(|at| at.to_string()),
        agent_version: today.agent_version,
        clone_of: today.clone_of.map(|id| id.to_string()),
        last_scan_at: today.last_scan_at.map(|at| at.to_string()),
        stale: today.stale,
        n_packages: today.n_packages,
        counts: today.counts.into(),
        id: today.id.to_string(),
        name: today.name,
        platform: today.platform,
        product: today.product,
        architecture: today.architecture,
        kernel: today.kernel,
        allows: today.allows.words(),
        enrolled_at: today.enrolled_at.to_string(),
    }
}

fn node_patch(ecosystem: &str, row: PatchRow) -> NodePatch {
    NodePatch {
        patch_id: row.available_version.as_ref().map(|version| PatchId::of(ecosystem, &row.name, &row.architecture, version).to_string()),
        name: row.name,
        architecture: row.architecture,
        installed_version: row.installed_version,
        available_version: row.available_version,
        replaced_by: row.replaced_by.map(|other| other.name),
        state: row.state.code().to_owned(),
        classification: row.classification.word().to_owned(),
        severity: row.severity.word().to_owned(),
        section: row.section,
        priority: row.priority,
        source: row.source,
        advisories: row.advisories,
        cves: row.cves,
        released_at: row.released_at.map(|at| at.to_string()),
        first_seen_at: row.first_seen_at.map(|at| at.to_string()),
        reason: reason(row.reason),
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

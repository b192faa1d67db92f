//! The list of nodes, and one node.

use api::v1::node::{ListNodePatches, ListNodes, ListPage};
use api::v1::operation::{CreateOperation, OperationKind};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::compliance::{PatchState, Verdict};
use domain::model::id::PatchId;
use domain::model::inventory::Reboot;
use domain::model::scan_report::{PatchRow, ScanReport};
use domain::model::time::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use store::scans::ScanRecord;

use crate::App;
use crate::actions::nodes::{self, NodePatchPage, NodeToday};
use crate::actions::operations;
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, PageQuery, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts;
use crate::ui::sign_in::TokenForm;

pub async fn list(State(app): State<App>, session: BrowserSession, PageQuery(query): PageQuery<ListNodes>) -> Result<Html<String>, PageError> {
    let page = nodes::list(&app, &session.caller, &query).await?;
    let now = app.now();
    let (q, verdict, sort) = (text(query.q.as_ref()), text(query.verdict.as_ref()), text(query.sort.as_ref()));
    let filters = [("q", q), ("verdict", verdict), ("sort", sort)];
    let body = html! {
        div.title { h1 { "Nodes" } }
        form.filters role="search" {
            label { "Search" input type="search" name="q" value=(q) placeholder="name or id"; }
            label { "Verdict" select name="verdict" {
                (parts::choice("", "any", verdict))
                @for known in Verdict::ALL { (parts::choice(known.code(), known.words(), verdict)) }
            } }
            @if !sort.is_empty() { input type="hidden" name="sort" value=(sort); }
            button { "Apply" }
            @if !q.is_empty() || !verdict.is_empty() { a.button href="/nodes" { "Clear" } }
        }
        section.card.flush {
            @if page.nodes.is_empty() {
                (no_nodes(!q.is_empty() || !verdict.is_empty()))
            } @else {
                div.scroll { table.cards {
                    caption { (parts::number_of(page.n_found, "node", "nodes")) }
                    thead { tr {
                        (sortable("Node", "name", sort, &filters))
                        th { "Verdict" }
                        (sortable("Missing", "missing", sort, &filters))
                        th.number { "Security" }
                        th { "Platform" }
                        th.number { "Packages" }
                        (sortable("Last scan", "last_scan", sort, &filters))
                    } }
                    tbody { @for today in &page.nodes { (row(today, now)) } }
                } }
                (parts::pages("/nodes", &filters, query.cursor.as_deref(), page.next_cursor.as_deref()))
            }
        }
    };
    Ok(layout::page("Nodes", Section::Nodes, &session, &body))
}

fn no_nodes(filtered: bool) -> Markup {
    html! {
        div.empty {
            @if filtered {
                p { "No node matches." }
                a href="/nodes" { "Show all nodes" }
            } @else {
                p { "No node has joined yet." }
                p { "The machine that runs the server joins by itself after its first scan." }
            }
        }
    }
}

fn sortable(words: &str, name: &str, chosen: &str, filters: &[(&str, &str)]) -> Markup {
    let current = name == if chosen.is_empty() { "missing" } else { chosen };
    let with_sort: Vec<_> = filters.iter().map(|(key, value)| if *key == "sort" { (*key, name) } else { (*key, *value) }).collect();
    let order = if name == "missing" { "descending" } else { "ascending" };
    html! {
        th.number[name == "missing"] aria-sort=[current.then_some(order)] {
            a href=(parts::address("/nodes", &with_sort, None)) { (words) @if current { span aria-hidden="true" { @if name == "missing" { " ↓" } @else { " ↑" } } } }
        }
    }
}

fn row(today: &NodeToday, now: Timestamp) -> Markup {
    let NodeToday { node, verdict, stale } = today;
    let counts = node.last_scan.as_ref().map(|scan| scan.counts).unwrap_or_default();
    html! {
        tr {
            td { a href={ "/nodes/" (node.id) } { (node.name) } }
            td { (parts::verdict(*verdict)) }
            td.number data-label="Missing" { (counts.missing) }
            td.number data-label="Security" { (counts.security_non_compliant) }
            td data-label="Platform" { (node.product) }
            td.number data-label="Packages" { (node.last_scan.as_ref().map_or(0, |scan| scan.n_packages)) }
            td data-label="Last scan" { @if let Some(scan) = &node.last_scan { (parts::ago(scan.at, now)) @if *stale { span.quiet { ", stale" } } } @else { "never" } }
        }
    }
}

/// Parameters of a node's page: those of its patches, and a note after a request.
#[derive(Deserialize)]
pub struct ShowNode {
    q: Option<String>,
    state: Option<String>,
    classification: Option<String>,
    cursor: Option<String>,
    requested: Option<String>,
}

pub async fn show(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, PageQuery(query): PageQuery<ShowNode>) -> Result<Html<String>, PageError> {
    let caller = &session.caller;
    let (today, report) = nodes::find(&app, caller, &id).await?;
    let patch_query = ListNodePatches { q: query.q.clone(), state: query.state.clone(), classification: query.classification.clone(), cursor: query.cursor.clone(), limit: None };
    let patches = nodes::list_patches(&app, caller, &id, &patch_query).await?;
    let (scans, _) = nodes::list_scans(&app, caller, &id, &ListPage { limit: Some(10), cursor: None }).await?;
    let now = app.now();
    let node = &today.node;
    let body = html! {
        div.title {
            div {
                div.crumbs { a href="/nodes" { "Nodes" } }
                h1 { (node.name) }
            }
            (parts::verdict(today.verdict))
            form method="post" action={ "/nodes/" (node.id) "/scan" } {
                (layout::form_token(&session))
                button.primary { "Scan again" }
            }
        }
        @if query.requested.is_some() {
            div.notice.good role="status" { p { "A scan was requested. It changes nothing on the node; its result appears here when it is done." } }
        }
        @if let Some(report) = &report {
            div.columns { (why(report)) (facts(&today, report, now)) (history(&scans, now)) }
            (warnings(report))
            (patch_table(&node.id.to_string(), &query, &patches))
        } @else {
            section.card { div.empty { p { "This node has not reported yet." } } }
        }
    };
    Ok(layout::page(&node.name, Section::Nodes, &session, &body))
}

fn why(report: &ScanReport) -> Markup {
    html! {
        section.card {
            h2 { "Why" }
            ul.plain { @for reason in &report.reasons { li { (reason.text) } } }
            @if let Some(baseline) = &report.baseline {
                p.quiet {
                    "Judged by "
                    @if let Some(id) = &baseline.id { a href={ "/baselines/" (id) } { (baseline.name) } } @else { (baseline.name) }
                    "."
                }
            }
        }
    }
}

fn facts(today: &NodeToday, report: &ScanReport, now: Timestamp) -> Markup {
    let node = &today.node;
    html! {
        section.card {
            h2 { "Facts" }
            dl.facts {
                dt { "Platform" } dd { (node.platform) ", " (node.architecture) }
                dt { "Kernel" } dd { (node.kernel.as_deref().unwrap_or("not reported")) }
                dt { "Packages" } dd { (report.node.n_packages) }
                dt { "Reboot" } dd {
                    @match &report.reboot {
                        Reboot::NotPending => { "not pending" }
                        Reboot::Pending { causes } => { "pending: " (causes.join("; ")) }
                        Reboot::Unknown => { "cannot be told" }
                    }
                }
                dt { "Package lists" } dd { @if let Some(at) = report.lists_refreshed_at { "refreshed " (parts::ago(at, now)) } @else { "never refreshed" } }
                dt { "Last scan" } dd { (parts::ago(report.scanned_at, now)) @if today.stale { ", stale" } }
                dt { "Allows" } dd { (node.allows) " only" }
                dt { "Id" } dd { code { (node.id) } }
            }
        }
    }
}

fn history(scans: &[ScanRecord], now: Timestamp) -> Markup {
    html! {
        section.card {
            h2 { "Scans" }
            ul.plain {
                @for scan in scans {
                    li { (parts::verdict(scan.verdict)) " " (parts::ago(scan.scanned_at, now)) span.quiet { ", " (scan.n_missing) " missing" } }
                }
            }
        }
    }
}

fn warnings(report: &ScanReport) -> Markup {
    html! {
        @if !report.warnings.is_empty() {
            section.notice {
                h2 { (parts::number_of(u32::try_from(report.warnings.len()).unwrap_or(u32::MAX), "warning", "warnings")) }
                ul.plain { @for warning in &report.warnings { li { (warning.message) @if let Some(hint) = &warning.hint { span.quiet { " — " (hint) } } } } }
            }
        }
    }
}

fn patch_table(node_id: &str, query: &ShowNode, page: &NodePatchPage) -> Markup {
    let (q, state, classification) = (text(query.q.as_ref()), text(query.state.as_ref()), text(query.classification.as_ref()));
    let path = format!("/nodes/{node_id}");
    html! {
        h2 #patches { "Patches" }
        form.filters role="search" action={ (path) "#patches" } {
            label { "Search" input type="search" name="q" value=(q) placeholder="package"; }
            label { "State" select name="state" {
                (parts::choice("", "any", state))
                @for known in PatchState::ALL { (parts::choice(known.code(), known.words(), state)) }
            } }
            label { "Classification" select name="classification" {
                (parts::choice("", "any", classification)) (parts::choice("Security", "Security", classification)) (parts::choice("Other", "Other", classification))
            } }
            button { "Apply" }
            @if !q.is_empty() || !state.is_empty() || !classification.is_empty() { a.button href={ (path) "#patches" } { "Clear" } }
        }
        section.card.flush {
            @if page.patches.is_empty() {
                div.empty { p { "No patch matches." } }
            } @else {
                div.scroll { table.cards {
                    caption { (page.n_found) " of the node's packages" }
                    thead { tr { th { "Package" } th { "State" } th { "Installed" } th { "Available" } th { "Class" } th { "Why" } } }
                    tbody { @for patch in &page.patches { (patch_row(patch)) } }
                } }
                (parts::pages(&path, &[("q", q), ("state", state), ("classification", classification)], query.cursor.as_deref(), page.next_cursor.as_deref()))
            }
        }
    }
}

fn patch_row(patch: &PatchRow) -> Markup {
    let id = patch.available_version.as_ref().map(|version| PatchId::of(&patch.name, &patch.architecture, version));
    html! {
        tr {
            td { @if let Some(id) = id { a href={ "/patches/" (id) } { (patch.name) } } @else { (patch.name) } span.quiet { ":" (patch.architecture) } }
            td { (parts::state(patch.state)) }
            td.version data-label="Installed" { (patch.installed_version) }
            td.version data-label="Available" { (patch.available_version.as_deref().unwrap_or("")) }
            td data-label="Class" { (patch.classification.word()) }
            td data-label="Why" { (patch.reason.text) }
        }
    }
}

pub async fn request_scan(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, Form(form): Form<TokenForm>) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let body = CreateOperation { kind: OperationKind::Scan, nodes: vec![id.clone()] };
    let (operation, _) = operations::request(&app, &session.caller, &body, None).await?;
    Ok(Redirect::to(&format!("/nodes/{id}?requested={}", operation.id)).into_response())
}

fn text(value: Option<&String>) -> &str {
    value.map(String::as_str).unwrap_or_default()
}

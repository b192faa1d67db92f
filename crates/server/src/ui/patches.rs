//! The list of patches, and one patch with the nodes that need it.

use api::v1::node::ListPage;
use api::v1::patch::ListPatches;
use axum::extract::{Path, State};
use axum::response::Html;
use domain::model::patch::{Classification, Severity, class_words};
use maud::html;

use crate::App;
use crate::actions::patches;
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, PageQuery};
use crate::ui::layout::{self, Section};
use crate::ui::parts;

pub async fn list(State(app): State<App>, session: BrowserSession, PageQuery(query): PageQuery<ListPatches>) -> Result<Html<String>, PageError> {
    let (patches, next_cursor) = patches::list(&app, &session.caller, &query)?;
    let now = app.now();
    let (q, classification) = (query.q.as_deref().unwrap_or_default(), query.classification.as_deref().unwrap_or_default());
    let filters = [("q", q), ("classification", classification)];
    let filtered = filters.iter().any(|(_, value)| !value.is_empty());
    let body = html! {
        div.title { h1 { "Patches" } a.button href="/feeds" { "Feeds" } }
        form.filters role="search" {
            label { "Search" input type="search" name="q" value=(q) placeholder="package or source"; }
            label { "Classification" select name="classification" {
                (parts::choice("", "any", classification)) @for known in Classification::ALL { (parts::choice(known.word(), known.word(), classification)) }
            } }
            button { "Apply" }
            @if filtered { a.button href="/patches" { "Clear" } }
        }
        section.card.flush {
            @if patches.is_empty() {
                div.empty { p { @if filtered { "No patch matches." } @else { "No node is offered a newer version of anything." } } }
            } @else {
                div.scroll { table.cards {
                    thead { tr { th { "Patch" } th { "Version" } th { "Class" } th { "Repository" } th.number { "Missing on" } th.number { "Offered, not missing" } th { "First seen" } } }
                    tbody {
                        @for patch in &patches {
                            tr {
                                td { a href={ "/patches/" (patch.id) } { (patch.name) } span.quiet { ":" (patch.architecture) } }
                                td.version data-label="Version" { (patch.version) }
                                td data-label="Class" { (class_words(patch.classification, patch.severity)) }
                                td data-label="Repository" { (patch.repository.as_deref().unwrap_or("")) }
                                td.number data-label="Missing on" { (patch.n_missing) }
                                td.number data-label="Offered, not missing" { (patch.n_other) }
                                td data-label="First seen" { (parts::ago(patch.first_seen_at, now)) }
                            }
                        }
                    }
                } }
                (parts::pages("/patches", &filters, query.cursor.as_deref(), next_cursor.as_deref()))
            }
        }
    };
    Ok(layout::page("Patches", Section::Patches, &session, &body))
}

pub async fn show(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, PageQuery(query): PageQuery<ListPage>) -> Result<Html<String>, PageError> {
    let patch = patches::find(&app, &session.caller, &id)?;
    let (nodes, next_cursor) = patches::list_nodes(&app, &session.caller, &id, &query)?;
    let now = app.now();
    let body = html! {
        div {
            div.crumbs { a href="/patches" { "Patches" } }
            h1 { (patch.name) " " span.quiet { (patch.version) } }
        }
        section.card {
            dl.facts {
                dt { "Architecture" } dd { (patch.architecture) }
                dt { "Classification" } dd { (patch.classification.word()) }
                dt { "Severity" } dd { @if patch.severity == Severity::Unspecified { "not stated by the vendor" } @else { (patch.severity.word()) } }
                dt { "Source package" } dd { (patch.source) }
                @if let Some(section) = &patch.section { dt { "Section" } dd { (section) } }
                @if let Some(priority) = &patch.priority { dt { "Priority" } dd { (priority) } }
                dt { "Repository" } dd { (patch.repository.as_deref().unwrap_or("not stated")) }
                dt { "Advisories" } dd { @match &patch.advisory { Some(advisory) if !advisory.ids.is_empty() => (advisory.ids.join(", ")), _ => "none known" } }
                @if let Some(advisory) = &patch.advisory {
                    @if !advisory.cves.is_empty() { dt { "Vulnerabilities" } dd { (advisory.cves.join(", ")) } }
                    @if let Some(at) = advisory.released_at { dt { "Released" } dd { (parts::ago(at, now)) } }
                }
                dt { "First seen" } dd { (parts::ago(patch.first_seen_at, now)) }
            }
        }
        section.card.flush {
            @if nodes.is_empty() {
                div.empty { p { "No node is offered this version any more." } }
            } @else {
                div.scroll { table.cards {
                    caption { "Missing on " (parts::number_of(patch.n_missing, "node", "nodes")) ", offered on " (patch.n_other) " more" }
                    thead { tr { th { "Node" } th { "State there" } th { "Platform" } } }
                    tbody {
                        @for node in &nodes {
                            tr {
                                td { a href={ "/nodes/" (node.id) } { (node.name) } }
                                td { (parts::state(node.state)) }
                                td data-label="Platform" { (node.product) }
                            }
                        }
                    }
                } }
                (parts::pages(&format!("/patches/{id}"), &[], query.cursor.as_deref(), next_cursor.as_deref()))
            }
        }
    };
    Ok(layout::page(&patch.name, Section::Patches, &session, &body))
}

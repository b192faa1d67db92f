//! Installing on a node: what would be asked for, and what came of it.

use api::v1::node::ListNodePatches;
use api::v1::operation::{CreateOperation, InstallWish, OperationKind};
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::compliance::PatchState;
use domain::model::patch::class_words;
use domain::model::plan::{Outcome, PackageState, Receipt};
use domain::model::scan_report::PatchRow;
use maud::{Markup, html};
use store::operations::{InvocationRecord, InvocationState};

use crate::App;
use crate::actions::{nodes, operations};
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs};

/// Most patches on the page; a node with more is asked for all of them at once.
const SHOWN_MAX: u32 = 500;

async fn missing(app: &App, session: &BrowserSession, id: &str) -> Result<(Vec<PatchRow>, usize), PageError> {
    let query = ListNodePatches { state: Some(PatchState::Missing.code().to_owned()), limit: Some(SHOWN_MAX), ..ListNodePatches::default() };
    let page = nodes::list_patches(app, &session.caller, id, &query).await?;
    Ok((page.patches, page.n_found))
}

/// What an install would ask of a node.
pub async fn ask(State(app): State<App>, session: BrowserSession, Path(id): Path<String>) -> Result<Html<String>, PageError> {
    let (today, _) = nodes::find(&app, &session.caller, &id).await?;
    let (patches, n_found) = missing(&app, &session, &id).await?;
    let body = html! {
        div.title { div { div.crumbs { a href="/nodes" { "Nodes" } " / " a href={ "/nodes/" (id) } { (today.name) } } h1 { "Patch now" } } }
        @if !today.allows.install {
            section.notice { h2 { "This node does not allow installs" } p { "Its own configuration decides: add " code { "install" } " to " code { "allows" } " in its agent.yaml, and start the agent again." } }
        }
        @if patches.is_empty() { section.card { div.empty { p { "Nothing is missing on this node." } } } } @else {
            form.stack method="post" action={ "/nodes/" (id) "/install" } {
                (layout::form_token(&session))
                input type="hidden" name="n_shown" value=(patches.len());
                section.card.flush {
                    div.scroll { table.cards {
                        caption { (parts::number_of(u32::try_from(n_found).unwrap_or(u32::MAX), "missing patch", "missing patches")) ", asked for in these exact versions" }
                        thead { tr { th { span.hidden { "Chosen" } } th { "Patch" } th { "From" } th { "To" } th { "Class" } th { "Why" } } }
                        tbody { @for patch in &patches { tr {
                            td { input type="checkbox" name="patch" value=(patch.name) checked aria-label=(patch.name); }
                            td { (patch.name) span.quiet { ":" (patch.architecture) } }
                            td.version data-label="From" { (patch.installed_version) }
                            td.version data-label="To" { (patch.available_version.as_deref().unwrap_or_default()) }
                            td data-label="Class" { (class_words(patch.classification, patch.severity)) }
                            td data-label="Why" { (patch.reason.text) }
                        } } }
                    } }
                }
                section.card {
                    p { "The node asks its package manager first what that would do, and does not begin when it would do more than you allow." }
                    div.actions {
                        label { "Besides these may happen: " select name="allow" {
                            option value="DEPENDENCIES" { "what is needed may come" }
                            option value="NONE" { "nothing" }
                            option value="AS_PLANNED" { "all that is needed, removals too" }
                        } }
                        button.primary disabled[!today.allows.install] { "Install" }
                    }
                }
            }
        }
    };
    Ok(layout::page("Patch now", Section::Nodes, &session, &body))
}

/// Asks a node to install.
pub async fn request(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let chosen = form.values("patch");
    let is_all = form.value("n_shown").parse() == Ok(chosen.len());
    if chosen.is_empty() {
        return Err(crate::actions::ActionError::invalid("patch", "no patch was chosen").into());
    }
    let wish = InstallWish { only: if is_all { Vec::new() } else { chosen }, allow: Some(form.value("allow").to_owned()) };
    let body = CreateOperation { kind: OperationKind::Install, nodes: vec![id], install: Some(wish) };
    let (operation, _) = operations::request(&app, &session.caller, &body, None).await?;
    Ok(Redirect::to(&format!("/operations/{}", operation.id)).into_response())
}

/// What became of an operation, node by node.
pub async fn show(State(app): State<App>, session: BrowserSession, Path(id): Path<String>) -> Result<Html<String>, PageError> {
    let (operation, invocations) = operations::find(&app, &session.caller, &id).await?;
    let mut parts_of_nodes = Vec::with_capacity(invocations.len());
    for invocation in invocations {
        let receipt = operations::find_receipt(&app, &session.caller, &id, &invocation.node_id).await.ok();
        let name = nodes::find(&app, &session.caller, &invocation.node_id).await.map(|(today, _)| today.name).unwrap_or_default();
        parts_of_nodes.push((name, invocation, receipt));
    }
    let is_going_on = parts_of_nodes.iter().any(|(_, invocation, _)| invocation.finished_at.is_none());
    let now = app.now();
    let body = html! {
        div.title data-refresh[is_going_on] {
            div { div.crumbs { a href="/nodes" { "Nodes" } } h1 { "Operation: " (operation.kind) } }
            span.quiet { "requested by " (operation.requested_by) ", " (parts::ago(operation.requested_at, now)) }
        }
        @if is_going_on { div.notice role="status" { p { "It is going on; this page follows it." } } }
        @for (name, invocation, receipt) in &parts_of_nodes { (part(name, invocation, receipt.as_ref())) }
    };
    Ok(layout::page("Operation", Section::Nodes, &session, &body))
}

fn part(name: &str, invocation: &InvocationRecord, receipt: Option<&Receipt>) -> Markup {
    let (class, sign, words) = match invocation.state {
        InvocationState::Pending => ("note", "…", "waits for the node"),
        InvocationState::Running => ("note", "▸", "at work"),
        InvocationState::Succeeded => ("good", "✓", "done"),
        InvocationState::Failed => ("bad", "✕", "not done"),
    };
    html! {
        section.card {
            h2 { a href={ "/nodes/" (invocation.node_id) } { (name) } " " (parts::badge(class, sign, words)) }
            @if let Some(message) = &invocation.message { p { (message) } }
            @if let Some(receipt) = receipt {
                @if let Outcome::Held { hold } = &receipt.outcome { p { "What to do: " (hold.mend()) "." } }
                div.scroll { table.cards {
                    caption { "What was asked for" }
                    thead { tr { th { "Package" } th { "Before" } th { "Now" } th { "State" } } }
                    tbody { @for package in &receipt.packages { tr {
                        td { (package.change.name) span.quiet { ":" (package.change.architecture) " " (package.change.version) } }
                        td.version data-label="Before" { (package.before.as_deref().unwrap_or("–")) }
                        td.version data-label="Now" { (package.after.as_deref().unwrap_or("–")) }
                        td data-label="State" { (match package.state {
                            PackageState::Installed => parts::badge("good", "✓", "installed"),
                            PackageState::Broken => parts::badge("bad", "✕", "only partly installed"),
                            PackageState::NotInstalled => parts::badge("doubt", "–", "not installed"),
                        }) }
                    } } }
                } }
                @if !receipt.done.steps.is_empty() {
                    details { summary { "What really happened, by the package database" } ul.plain { @for step in &receipt.done.steps { li { (step.action.word()) " " (step.name) " " span.quiet { (step.from.as_deref().unwrap_or("")) " → " (step.to.as_deref().unwrap_or("")) } } } } }
                }
                @if !receipt.config_files.is_empty() { p { "New versions of files that were changed here lie beside them: " (receipt.config_files.join(", ")) } }
                @if !receipt.log.is_empty() { details { summary { "The package manager's own words" } pre { (receipt.log) } } }
            }
        }
    }
}

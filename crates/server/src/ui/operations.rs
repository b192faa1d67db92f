//! An operation: the plan that waits for someone to agree, how far it is, what came of it.

use api::v1::node::ListPage;
use api::v1::operation::{CreateOperation, InstallWish, OperationKind};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::plan::Plan;
use domain::model::receipt::Receipt;
use domain::model::time::Timestamp;
use maud::{Markup, html};
use store::operations::{InvocationRecord, InvocationState};

use crate::App;
use crate::actions::{nodes, operations};
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs};
use crate::ui::receipt;

/// A node's part, with all there is to show of it.
struct Part {
    name: String,
    invocation: InvocationRecord,
    plan: Option<Plan>,
    receipt: Option<Receipt>,
}

/// Operations, newest first.
pub async fn list(State(app): State<App>, session: BrowserSession, Query(query): Query<ListPage>) -> Result<Html<String>, PageError> {
    let (found, next_cursor) = operations::list(&app, &session.caller, &query).await?;
    let now = app.now();
    let body = html! {
        div.title { h1 { "Operations" } }
        section.card.flush {
            @if found.is_empty() { div.empty { p { "Nothing was asked of any node yet." } } } @else {
                div.scroll { table.cards {
                    caption { "Work that was asked for, the newest first" }
                    thead { tr { th { "What" } th { "Nodes" } th { "Requested by" } th { "When" } } }
                    tbody { @for (operation, counts) in &found { tr {
                        td { a href={ "/operations/" (operation.id) } { (heading(&operation.kind)) } }
                        td data-label="Nodes" { @for (state, n) in counts { (n) " " (state.to_lowercase()) " " } }
                        td data-label="Requested by" { (operation.requested_by) }
                        td data-label="When" { (parts::ago(operation.requested_at, now)) }
                    } } }
                } }
            }
        }
        (parts::pages("/operations", &[], query.cursor.as_deref(), next_cursor.as_deref()))
    };
    Ok(layout::page("Operations", Section::Operations, &session, &body))
}

/// What became of an operation, node by node.
pub async fn show(State(app): State<App>, session: BrowserSession, Path(id): Path<String>) -> Result<Html<String>, PageError> {
    let (operation, invocations) = operations::find(&app, &session.caller, &id).await?;
    let mut parts_of_nodes = Vec::with_capacity(invocations.len());
    for invocation in invocations {
        let receipt = operations::find_receipt(&app, &session.caller, &id, &invocation.node_id).await.ok();
        let plan = operations::find_plan(&app, &session.caller, &id, &invocation.node_id).await.ok();
        let name = nodes::name_of(&app, &session.caller, &invocation.node_id).unwrap_or_default();
        parts_of_nodes.push(Part { name, invocation, plan, receipt });
    }
    let is_going_on = parts_of_nodes.iter().any(|part| part.invocation.finished_at.is_none());
    let is_agreeable = !is_going_on && parts_of_nodes.iter().any(|part| part.plan.as_ref().is_some_and(|plan| !plan.transaction.steps.is_empty()));
    let now = app.now();
    let form = |action: &str, body: &Markup| html! { form method="post" action={ "/operations/" (id) "/" (action) } { (layout::form_token(&session)) (body) } };
    let body = html! {
        div.title data-refresh[is_going_on] {
            div { div.crumbs { a href="/operations" { "Operations" } } h1 { (heading(&operation.kind)) } }
            span.quiet { "requested by " (operation.requested_by) ", " (parts::ago(operation.requested_at, now)) }
        }
        @if let Some(rate) = operation.rate.filter(|_| parts_of_nodes.len() > 1) {
            p.quiet { (parts::number_of(rate.concurrency, "node", "nodes")) " at work at once; no further one begins when more than " (rate.errors) " failed." }
        }
        @if let Some(at) = operation.halted_at { div.notice role="status" { p { "Halted " (parts::ago(at, now)) ": too many nodes failed. Those that had not begun are as they were." } } }
        @if is_going_on {
            div.notice role="status" {
                p { "It is going on; this page follows it. A node that is asked to stop does so at the end of the step that it is in." }
                (form("cancel", &html! { button { "Stop" } }))
            }
        }
        @if is_agreeable {
            div.notice { p { "Nothing has changed yet. Each node does exactly this, or says why it cannot." } (form("agree", &html! { button.primary { "Install exactly this" } })) }
        }
        @for part in &parts_of_nodes {
            @let take_back = form("rollback", &html! { input type="hidden" name="node" value=(part.invocation.node_id); button { "Take back" } });
            (card(&id, part, &take_back, now))
        }
    };
    Ok(layout::page(heading(&operation.kind), Section::Operations, &session, &body))
}

fn heading(kind: &str) -> &'static str {
    match kind {
        "plan" => "Plan",
        "install" => "Install",
        "rollback" => "Rollback",
        "scan" => "Scan",
        _ => "Operation",
    }
}

fn card(id: &str, part: &Part, take_back: &Markup, now: Timestamp) -> Markup {
    let Part { name, invocation, plan, receipt: came } = part;
    let (class, sign, words) = match invocation.state {
        InvocationState::Pending => ("note", "…", "waits for the node"),
        InvocationState::Running => ("note", "▸", "at work"),
        InvocationState::Succeeded => ("good", "✓", "done"),
        InvocationState::Failed => ("bad", "✕", "not done"),
        InvocationState::Cancelled => ("doubt", "■", "stopped"),
    };
    html! {
        section.card {
            h2 { a href={ "/nodes/" (invocation.node_id) } { (name) } " " (parts::badge(class, sign, words)) }
            @if let Some(message) = &invocation.message { p { (message) } }
            @if let Some(doing) = operations::doing(invocation, now) { p { (doing) } }
            @if let Some(progress) = invocation.progress.as_ref().filter(|_| invocation.state == InvocationState::Running) {
                @if let Some(percent) = progress.percent { progress max="100" value=(percent) { (percent) " %" } }
                @if !progress.lines.is_empty() { pre aria-label="Last lines" { (progress.lines.join("\n")) } }
            }
            @if let Some(plan) = plan { (receipt::plan(plan)) }
            @if let Some(came) = came {
                (receipt::receipt(came))
                (receipt::way_back(came, take_back))
                p { a href={ "/operations/" (id) "/receipts/" (invocation.node_id) } { "Download the receipt" } }
            }
        }
    }
}

/// Asks the nodes to stop.
pub async fn cancel(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    operations::cancel(&app, &session.caller, &id).await?;
    Ok(Redirect::to(&format!("/operations/{id}")).into_response())
}

/// Asks the nodes to do what their plans say.
pub async fn agree(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    let (_, invocations) = operations::find(&app, &session.caller, &id).await?;
    let nodes = invocations.into_iter().filter(|invocation| invocation.state == InvocationState::Succeeded).map(|invocation| invocation.node_id).collect();
    let wish = InstallWish { plan: Some(id), ..InstallWish::default() };
    request(&app, &session, &form, CreateOperation { install: Some(wish), ..CreateOperation::new(OperationKind::Install, nodes) }).await
}

/// Asks a node for the versions of before.
pub async fn roll_back(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    let nodes = form.values("node");
    request(&app, &session, &form, CreateOperation { rollback_of: Some(id), ..CreateOperation::new(OperationKind::Rollback, nodes) }).await
}

async fn request(app: &App, session: &BrowserSession, form: &FormPairs, body: CreateOperation) -> Result<Response, PageError> {
    if !form.belongs_to(session) {
        return Ok(cross_site());
    }
    let (operation, _) = operations::request(app, &session.caller, &body, None).await?;
    Ok(Redirect::to(&format!("/operations/{}", operation.id)).into_response())
}

/// A receipt as a file.
pub async fn download(State(app): State<App>, session: BrowserSession, Path((id, node)): Path<(String, String)>) -> Result<Response, PageError> {
    let receipt = operations::find_receipt(&app, &session.caller, &id, &node).await?;
    let text = serde_json::to_string_pretty(&receipt).expect("a receipt has text keys only");
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CONTENT_DISPOSITION, "attachment; filename=\"receipt.json\"")], text).into_response())
}

//! Exceptions: patches that are approved or rejected on some nodes for a while.

use api::v1::exception::GrantException;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::time::Timestamp;
use maud::{Markup, html};

use crate::App;
use crate::actions::exceptions::{self, ExceptionToday};
use crate::actions::{ActionError, organization};
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs};

pub async fn list(State(app): State<App>, session: BrowserSession) -> Result<Html<String>, PageError> {
    let found = exceptions::list(&app, &session.caller).await?;
    let tree = organization::read(&app, &session.caller);
    let now = app.now();
    let body = html! {
        div.title { div { div.crumbs { a href="/baselines" { "Baselines" } } h1 { "Exceptions" } } }
        p.quiet { "An exception approves or rejects a patch on some nodes, whatever their baseline says. Somebody answers for it, and it ends by itself. What is for every node of a baseline is written into the baseline." }
        section.card.flush {
            @if found.is_empty() { div.empty { p { "No exception was granted yet." } } } @else {
                div.scroll { table.cards {
                    caption { (parts::number_of(u32::try_from(found.len()).unwrap_or(u32::MAX), "exception", "exceptions")) }
                    thead { tr { th { "Patch" } th { "State" } th { "For" } th.number { "Nodes" } th { "Until" } th { "Owner and reason" } th { span.hidden { "Actions" } } } }
                    tbody { @for today in &found { (row(today, &session, now)) } }
                } }
            }
        }
        section.card {
            h2 { "Grant an exception" }
            form.filters method="post" action="/exceptions" {
                (layout::form_token(&session))
                label { "Patch" input name="patch" required maxlength="200" placeholder="openssl, DSA-5532-1, CVE-2023-5363"; }
                label { "Is" select name="decision" { option value="REJECT" { "rejected" } option value="APPROVE" { "approved" } } }
                label { "On nodes tagged" input name="tags" placeholder="env=prod, team=web"; }
                @if tree.accounts.len() > 1 { label { "In account" select name="account" { option value="" { "any" } @for account in &tree.accounts { option { (account.name) } } } } }
                @if tree.regions.len() > 1 { label { "In region" select name="region" { option value="" { "any" } @for region in &tree.regions { option { (region.name) } } } } }
                label { "Or on the node with the id" input name="node" placeholder="mi-…"; }
                label { "Until" input type="date" name="until" required; }
                label { "Owner" input name="owner" required maxlength="200"; }
                label { "Reason" input name="reason" required maxlength="200"; }
                button.primary { "Grant" }
            }
        }
    };
    Ok(layout::page("Exceptions", Section::Baselines, &session, &body))
}

fn row(today: &ExceptionToday, session: &BrowserSession, now: Timestamp) -> Markup {
    let exception = &today.granted.exception;
    let ends_soon = today.holds && exception.ends_at().is_some_and(|end| end < now.plus_millis(exceptions::ANNOUNCED_MS));
    html! { tr {
        td { code { (exception.patch) } " is " (exception.decision.word()) }
        td data-label="State" {
            @if ends_soon { (parts::badge("doubt", "!", "ends soon")) } @else if today.holds { (parts::badge("good", "✓", "holds")) } @else { (parts::badge("", "–", today.state())) }
        }
        td data-label="For" { (today.targets) }
        td.number data-label="Nodes" { (today.n_nodes) }
        td data-label="Until" { time datetime=(exception.until) { (exception.until) } }
        td data-label="Owner and reason" { (exception.owner) ": " (exception.reason) div.quiet { "granted by " (today.granted.granted_by) ", " (parts::ago(today.granted.granted_at, now)) } }
        td { @if today.holds { form method="post" action={ "/exceptions/" (today.granted.id) "/revoke" } { (layout::form_token(session)) button.link { "Revoke" } } } }
    } }
}

pub async fn grant(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let text = |name: &str| form.value(name).to_owned();
    let list = |name: &str| Some(text(name)).filter(|value| !value.is_empty()).into_iter().collect::<Vec<_>>();
    let body = GrantException {
        patch: text("patch"),
        decision: text("decision"),
        owner: text("owner"),
        reason: text("reason"),
        until: text("until"),
        nodes: list("node"),
        tags: parts::parse_tags(form.value("tags")).map_err(|message| ActionError::invalid("tags", message))?,
        accounts: list("account"),
        regions: list("region"),
    };
    exceptions::grant(&app, &session.caller, &body).await?;
    Ok(Redirect::to("/exceptions").into_response())
}

pub async fn revoke(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    exceptions::revoke(&app, &session.caller, &id).await?;
    Ok(Redirect::to("/exceptions").into_response())
}

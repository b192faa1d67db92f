//! Activations: letting nodes join.

use api::v1::activation::CreateActivation;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::activation::{Activation, ActivationState};
use maud::{Markup, html};

use crate::App;
use crate::actions::{ActionError, activations, organization};
use crate::http::{BrowserSession, enroll_command};
use crate::ui::errors::{PageError, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs};

pub async fn list(State(app): State<App>, session: BrowserSession) -> Result<Html<String>, PageError> {
    page(&app, &session, None).await
}

async fn page(app: &App, session: &BrowserSession, created: Option<&str>) -> Result<Html<String>, PageError> {
    let found = activations::list(app, &session.caller).await?;
    let tree = organization::read(app, &session.caller);
    let now = app.now();
    let account = |activation: &Activation| tree.accounts.iter().find(|account| account.id == activation.account_id).map(|account| account.name.clone()).unwrap_or_default();
    let region = |activation: &Activation| tree.regions.iter().find(|region| region.id == activation.region_id).map(|region| region.name.clone()).unwrap_or_default();
    let body = html! {
        div.title { div { div.crumbs { a href="/nodes" { "Nodes" } } h1 { "Add nodes" } } }
        @if let Some(code) = created {
            section.notice.good role="status" {
                h2 { "Run this on each node, as root" }
                pre.copy data-copy { (enroll_command(app, code)) }
                p { "The code is shown this once; only a digest of it is kept. It also tells the node which server to trust." }
            }
        }
        section.card {
            h2 { "New activation" }
            p.quiet { "An activation is a code with which nodes join one account and region." }
            form.filters method="post" action="/activations" {
                (layout::form_token(session))
                label { "What for" input name="description" maxlength="200" placeholder="web servers"; }
                @if tree.accounts.len() > 1 { label { "Account" select name="account" { @for account in &tree.accounts { option { (account.name) } } } } }
                @if tree.regions.len() > 1 { label { "Region" select name="region" { @for region in &tree.regions { option { (region.name) } } } } }
                label { "Tags" input name="tags" placeholder="env=prod, team=web"; }
                label { "Nodes" input type="number" name="node_limit" value="1" min="1"; }
                label { "Days" input type="number" name="expires_days" value="1" min="1" max="365"; }
                button.primary { "Make a code" }
            }
        }
        section.card.flush {
            @if found.is_empty() { div.empty { p { "No activation was made yet." } } } @else {
                div.scroll { table.cards {
                    caption { (parts::number_of(u32::try_from(found.len()).unwrap_or(u32::MAX), "activation", "activations")) }
                    thead { tr { th { "What for" } th { "State" } th.number { "Joined" } th { "Account" } th { "Region" } th { "Made by" } th { "Expires" } th { span.hidden { "Actions" } } } }
                    tbody { @for activation in &found {
                        @let state = activation.state(now);
                        tr {
                            td { @if activation.description.is_empty() { span.quiet { (activation.id) } } @else { (activation.description) } }
                            td { (state_badge(state)) }
                            td.number data-label="Joined" { (activation.n_enrolled) " of " (activation.node_limit) }
                            td data-label="Account" { (account(activation)) }
                            td data-label="Region" { (region(activation)) }
                            td data-label="Made by" { (activation.created_by) ", " (parts::ago(activation.created_at, now)) }
                            td data-label="Expires" { time datetime=(activation.expires_at) { (activation.expires_at) } }
                            td { @if state == ActivationState::Open {
                                form method="post" action={ "/activations/" (activation.id) "/revoke" } { (layout::form_token(session)) button.link { "Revoke" } }
                            } }
                        }
                    } }
                } }
            }
        }
    };
    Ok(layout::page("Add nodes", Section::Nodes, session, &body))
}

fn state_badge(state: ActivationState) -> Markup {
    let (class, sign) = match state {
        ActivationState::Open => ("good", "✓"),
        ActivationState::Expired | ActivationState::UsedUp => ("", "–"),
        ActivationState::Revoked => ("bad", "✕"),
    };
    parts::badge(class, sign, state.word())
}

pub async fn create(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let given = |name: &str| Some(form.value(name).to_owned()).filter(|value| !value.is_empty());
    let number = |field: &'static str| given(field).map(|text| text.parse::<u32>().map_err(|_| ActionError::invalid(field, format!("`{text}` is not a number")))).transpose();
    let tags = parts::parse_tags(form.value("tags")).map_err(|message| ActionError::invalid("tags", message))?;
    let body = CreateActivation {
        description: form.value("description").to_owned(),
        account: given("account"),
        region: given("region"),
        tags,
        node_limit: number("node_limit")?,
        expires_days: number("expires_days")?,
    };
    let (_, code) = activations::create(&app, &session.caller, &body).await?;
    Ok(page(&app, &session, Some(&code)).await?.into_response())
}

pub async fn revoke(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    activations::revoke(&app, &session.caller, &id).await?;
    Ok(Redirect::to("/activations").into_response())
}

//! The organization as a tree.

use api::v1::organization::MemberKind;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::id::{AccountId, UnitId};
use domain::model::organization::Organization;
use maud::{Markup, html};

use crate::App;
use crate::actions::organization;
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs};

pub async fn show(State(app): State<App>, session: BrowserSession) -> Result<Html<String>, PageError> {
    let tree = organization::read(&app, &session.caller);
    let counts = organization::count_nodes(&app, &session.caller);
    let body = html! {
        div.title { h1 { "Organization" } }
        div.columns {
            section.card { h2 { "Units and accounts" } (branch(&tree, &counts, None)) }
            section.card {
                h2 { "Regions" }
                ul.plain { @for region in &tree.regions { li { a href=(parts::address("/nodes", &[("region", &region.name)], None)) { (region.name) } } } }
            }
            section.card {
                h2 { "Add" }
                p.quiet { "A unit holds units and accounts. An account has nodes in regions. Nodes choose theirs by the activation that they join with." }
                form.inline method="post" action="/organization" {
                    (layout::form_token(&session))
                    label { "What" select name="kind" { option value="unit" { "unit" } option value="account" { "account" } option value="region" { "region" } } }
                    label { "Name" input name="name" required maxlength="64"; }
                    label { "In the unit" select name="unit" { @for unit in &tree.units { option { (unit.name) } } } }
                    button { "Add" }
                }
                h2 { "Move" }
                form.inline method="post" action="/organization/move" {
                    (layout::form_token(&session))
                    label { "Unit or account" input name="member" required; }
                    label { "Into the unit" select name="unit" { @for unit in &tree.units { option { (unit.name) } } } }
                    button { "Move" }
                }
            }
        }
    };
    Ok(layout::page("Organization", Section::Organization, &session, &body))
}

fn branch(tree: &Organization, counts: &[(AccountId, u32)], parent: Option<&UnitId>) -> Markup {
    let count_of = |id: &AccountId| counts.iter().find(|(known, _)| known == id).map_or(0, |(_, n_nodes)| *n_nodes);
    html! {
        ul.tree {
            @for unit in tree.units.iter().filter(|unit| unit.parent_id.as_ref() == parent) {
                li {
                    a href=(parts::address("/nodes", &[("unit", &unit.name)], None)) { b { (unit.name) } } span.quiet { " unit" }
                    ul.tree { @for account in tree.accounts.iter().filter(|account| account.unit_id == unit.id) {
                        li { a href=(parts::address("/nodes", &[("account", &account.name)], None)) { (account.name) } span.quiet { " account, " (parts::number_of(count_of(&account.id), "node", "nodes")) } }
                    } }
                    (branch(tree, counts, Some(&unit.id)))
                }
            }
        }
    }
}

pub async fn create(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let (name, unit) = (form.value("name"), Some(form.value("unit")).filter(|unit| !unit.is_empty()));
    let kind = match form.value("kind") {
        "account" => MemberKind::Account,
        "region" => MemberKind::Region,
        _ => MemberKind::Unit,
    };
    match kind {
        MemberKind::Unit => drop(organization::create_unit(&app, &session.caller, name, unit).await?),
        MemberKind::Account => drop(organization::create_account(&app, &session.caller, name, unit).await?),
        MemberKind::Region => drop(organization::create_region(&app, &session.caller, name).await?),
    }
    Ok(Redirect::to("/organization").into_response())
}

pub async fn move_member(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    organization::move_member(&app, &session.caller, form.value("member"), form.value("unit")).await?;
    Ok(Redirect::to("/organization").into_response())
}

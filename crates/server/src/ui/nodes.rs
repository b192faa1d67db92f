//! The list of nodes: filters, saved filters, and tags for many at once.

use std::collections::BTreeMap;

use api::v1::node::{EditTags, ListNodes};
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::compliance::Verdict;
use domain::model::node::Presence;
use domain::model::time::Timestamp;
use maud::{Markup, html};

use crate::App;
use crate::actions::nodes::{self, NodeToday};
use crate::actions::{ActionError, filters, organization};
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, PageQuery, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs, text};

/// Names of the filters, as in the address.
fn filters_of(query: &ListNodes) -> [(&'static str, &str); 10] {
    [
        ("q", text(query.q.as_ref())),
        ("verdict", text(query.verdict.as_ref())),
        ("presence", text(query.presence.as_ref())),
        ("unit", text(query.unit.as_ref())),
        ("account", text(query.account.as_ref())),
        ("region", text(query.region.as_ref())),
        ("tag", text(query.tag.as_ref())),
        ("product", text(query.product.as_ref())),
        ("query", text(query.query.as_ref())),
        ("sort", text(query.sort.as_ref())),
    ]
}

pub async fn list(State(app): State<App>, session: BrowserSession, PageQuery(query): PageQuery<ListNodes>) -> Result<Html<String>, PageError> {
    let page = nodes::list(&app, &session.caller, &query)?;
    let saved = filters::list(&app, &session.caller).await?;
    let now = app.now();
    let filters = filters_of(&query);
    let filtered = filters.iter().any(|(name, value)| *name != "sort" && !value.is_empty());
    let sort = text(query.sort.as_ref());
    let body = html! {
        div.title { h1 { "Nodes" } a.button href="/activations" { "Add nodes" } }
        @if !saved.is_empty() {
            nav.saved aria-label="Saved filters" {
                @for filter in &saved { a href={ "/nodes?" (filter.query) } { (filter.name) } }
            }
        }
        (filter_form(&app, &session, &query))
        section.card.flush {
            @if page.nodes.is_empty() {
                (no_nodes(filtered))
            } @else {
                form method="post" action="/nodes/tags" {
                    (layout::form_token(&session))
                    div.scroll { table.cards {
                        caption { (parts::number_of(page.n_found, "node", "nodes")) }
                        thead { tr {
                            th { span.hidden { "Choose" } }
                            (sortable("Node", "name", sort, &filters))
                            th { "Verdict" }
                            th { "Heard of" }
                            (sortable("Missing", "missing", sort, &filters))
                            th.number { "Security" }
                            th { "Platform" }
                            th { "Tags" }
                            (sortable("Last scan", "last_scan", sort, &filters))
                        } }
                        tbody { @for today in &page.nodes { (row(today, now)) } }
                    } }
                    div.bulk {
                        label { "Set tag" input name="set" placeholder="key=value"; }
                        label { "Remove tag" input name="remove" placeholder="key"; }
                        button { "Change chosen nodes" }
                    }
                }
                (parts::pages("/nodes", &filters, query.cursor.as_deref(), page.next_cursor.as_deref()))
            }
        }
        @if filtered { (save_form(&session, &parts::address("", &filters, None))) }
    };
    Ok(layout::page("Nodes", Section::Nodes, &session, &body))
}

fn filter_form(app: &App, session: &BrowserSession, query: &ListNodes) -> Markup {
    let organization = organization::read(app, &session.caller);
    let [(_, q), (_, verdict), (_, presence), (_, unit), (_, account), (_, region), (_, tag), (_, product), (_, wanted), (_, sort)] = filters_of(query);
    let filtered = filters_of(query).iter().any(|(name, value)| *name != "sort" && !value.is_empty());
    html! {
        form.filters role="search" {
            label { "Search" input type="search" name="q" value=(q) placeholder="name or id"; }
            label { "Verdict" select name="verdict" {
                (parts::choice("", "any", verdict))
                @for known in Verdict::ALL { (parts::choice(known.code(), known.words(), verdict)) }
            } }
            label { "Heard of" select name="presence" {
                (parts::choice("", "any but retired", presence))
                @for known in Presence::ALL { (parts::choice(known.word(), known.word(), presence)) }
            } }
            // Small fleets live in one account and one region, and never meet the tree.
            @if organization.units.len() > 1 { (choice_of("Unit", "unit", unit, organization.units.iter().map(|unit| unit.name.as_str()))) }
            @if organization.accounts.len() > 1 { (choice_of("Account", "account", account, organization.accounts.iter().map(|account| account.name.as_str()))) }
            @if organization.regions.len() > 1 { (choice_of("Region", "region", region, organization.regions.iter().map(|region| region.name.as_str()))) }
            label { "Tag" input name="tag" value=(tag) placeholder="key=value"; }
            label { "Query" input name="query" value=(wanted) placeholder="package nginx"; }
            @if !product.is_empty() { input type="hidden" name="product" value=(product); }
            @if !sort.is_empty() { input type="hidden" name="sort" value=(sort); }
            button { "Apply" }
            @if filtered { a.button href="/nodes" { "Clear" } }
        }
    }
}

fn choice_of<'a>(label: &str, name: &str, chosen: &str, names: impl Iterator<Item = &'a str>) -> Markup {
    html! { label { (label) select name=(name) { (parts::choice("", "any", chosen)) @for known in names { (parts::choice(known, known, chosen)) } } } }
}

fn save_form(session: &BrowserSession, address: &str) -> Markup {
    html! {
        form.filters method="post" action="/nodes/filters" {
            (layout::form_token(session))
            input type="hidden" name="query" value=(address.trim_start_matches('?'));
            label { "Save this filter as" input name="name" required maxlength="64"; }
            button { "Save" }
        }
    }
}

fn no_nodes(filtered: bool) -> Markup {
    html! {
        div.empty {
            @if filtered {
                p { "No node matches." }
                a href="/nodes" { "Show all nodes" }
            } @else {
                p { "No node has joined yet." }
                p { "The machine that runs the server joins by itself after its first scan. " a href="/activations" { "Add others" } " with an activation." }
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
    html! {
        tr {
            td.choose { input type="checkbox" name="node" value=(today.id) aria-label={ "Choose " (today.name) }; }
            td { a href={ "/nodes/" (today.id) } { (today.name) } @if today.clone_of.is_some() { span.quiet { ", a clone" } } }
            td { (parts::verdict(today.verdict)) }
            td data-label="Heard of" { (parts::presence(today.presence)) }
            td.number data-label="Missing" { (today.counts.missing) }
            td.number data-label="Security" { (today.counts.security_non_compliant) }
            td data-label="Platform" { (today.product) }
            td data-label="Tags" { (parts::tags(&today.tags)) }
            td data-label="Last scan" { @if let Some(at) = today.last_scan_at { (parts::ago(at, now)) @if today.stale { span.quiet { ", stale" } } } @else { "never" } }
        }
    }
}

/// Sets and removes tags on the chosen nodes.
pub async fn edit_tags(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let set = form.value("set");
    let set = match set.split_once('=') {
        _ if set.is_empty() => BTreeMap::default(),
        Some((key, value)) => [(key.trim().to_owned(), value.trim().to_owned())].into(),
        None => return Err(PageError::from(ActionError::invalid("set", format!("`{set}` is not a tag such as env=prod")))),
    };
    let remove = Some(form.value("remove").to_owned()).filter(|key| !key.is_empty()).into_iter().collect();
    nodes::edit_tags(&app, &session.caller, &EditTags { nodes: form.values("node"), set, remove }).await?;
    Ok(Redirect::to("/nodes").into_response())
}

/// Saves a filter of the list.
pub async fn save_filter(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    filters::create(&app, &session.caller, form.value("name"), form.value("query")).await?;
    Ok(Redirect::to(&format!("/nodes?{}", form.value("query"))).into_response())
}

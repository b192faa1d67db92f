//! Feeds: where vendors publish their advisories.

use api::v1::feed::AddFeed;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::feed::FeedState;
use domain::model::time::Timestamp;
use maud::{Markup, html};
use store::feeds::FeedRecord;

use crate::App;
use crate::actions::{ActionError, feeds};
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs};

pub async fn list(State(app): State<App>, session: BrowserSession) -> Result<Html<String>, PageError> {
    let found = feeds::list(&app, &session.caller).await?;
    let now = app.now();
    let body = html! {
        div.title { div { div.crumbs { a href="/patches" { "Patches" } } h1 { "Feeds" } } }
        p.quiet { "Repositories of apt and apk do not say which advisories a package closes. Vendors' feeds do: what they say shows on patches, and rules may use it." }
        section.card.flush {
            @if found.is_empty() {
                div.empty { p { "No feed was added yet: patches of apt and apk have no advisories, and rules by severity, advisory or CVE match none of them." } }
            } @else {
                div.scroll { table.cards {
                    caption { (parts::number_of(u32::try_from(found.len()).unwrap_or(u32::MAX), "feed", "feeds")) }
                    thead { tr { th { "Feed" } th { "State" } th.number { "Entries" } th { "Last look" } th { "Last import" } th { span.hidden { "Actions" } } } }
                    tbody { @for record in &found { (row(record, &session, now)) } }
                } }
            }
        }
        section.card {
            h2 { "Add a feed" }
            p.quiet { "OSV publishes an archive for each vendor: Debian, Ubuntu, Alpine, Rocky Linux, AlmaLinux. A server without a way out takes files: " code { "fettle feed import NAME FILE" } "." }
            form.filters method="post" action="/feeds" {
                (layout::form_token(&session))
                label { "Name" input name="name" required maxlength="64" placeholder="debian"; }
                label { "Format" select name="format" { option value="OSV" { "OSV" } option value="UPDATEINFO" { "updateinfo.xml" } option value="REPOSITORY" { "rpm repository" } } }
                label { "Address" input name="url" type="url" placeholder="https://…/Debian/all.zip"; }
                label { "Product, if it does not say" input name="product" placeholder="RockyLinux9"; }
                label { "Every … hours" input type="number" name="every_hours" value="6" min="1" max="744"; }
                button.primary { "Add" }
            }
        }
    };
    Ok(layout::page("Feeds", Section::Patches, &session, &body))
}

fn row(FeedRecord { feed, state, .. }: &FeedRecord, session: &BrowserSession, now: Timestamp) -> Markup {
    let ago = |at: Option<Timestamp>| at.map_or_else(|| html! { span.quiet { "never" } }, |at| parts::ago(at, now));
    html! { tr {
        td {
            (feed.name) " " span.quiet { (feed.format.code()) @if let Some(product) = &feed.product { ", " (product) } }
            @if let Some(url) = &feed.url { div.quiet { (url) } }
        }
        td data-label="State" { (state_words(state)) }
        td.number data-label="Entries" { (state.n_entries) }
        td data-label="Last look" { (ago(state.checked_at)) }
        td data-label="Last import" { (ago(state.imported_at)) @if state.imported_at.is_some() { div.quiet { (state.last.n_changed) " changed, " (state.last.n_removed) " gone" } } }
        td {
            @if feed.url.is_some() { form method="post" action={ "/feeds/" (feed.name) "/refresh" } { (layout::form_token(session)) button.link { "Fetch now" } } }
            form method="post" action={ "/feeds/" (feed.name) "/remove" } { (layout::form_token(session)) button.link { "Remove" } }
        }
    } }
}

fn state_words(state: &FeedState) -> Markup {
    match &state.error {
        Some(error) => html! { (parts::badge("bad", "✕", "failed")) div.quiet { (error) } },
        None if state.imported_at.is_none() => parts::badge("", "–", "empty"),
        None if state.last.n_malformed > 0 => html! {
            (parts::badge("doubt", "!", "partly read"))
            details { summary { (parts::number_of(state.last.n_malformed, "entry does not read", "entries do not read")) } ul { @for problem in &state.last.problems { li { (problem) } } } }
        },
        None => parts::badge("good", "✓", "good"),
    }
}

pub async fn add(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let given = |name: &str| Some(form.value(name).to_owned()).filter(|value| !value.is_empty());
    let every_hours = given("every_hours").map(|text| text.parse().map_err(|_| ActionError::invalid("every_hours", format!("`{text}` is not a number of hours")))).transpose()?;
    let body = AddFeed { name: form.value("name").to_owned(), format: form.value("format").to_owned(), url: given("url"), product: given("product"), every_hours };
    feeds::add(&app, &session.caller, &body).await?;
    Ok(back())
}

pub async fn refresh(State(app): State<App>, session: BrowserSession, Path(name): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    match feeds::refresh(&app, &session.caller, &name).await {
        // The list says why.
        Ok(_) | Err(ActionError::Feed(_)) => Ok(back()),
        Err(error) => Err(error.into()),
    }
}

pub async fn remove(State(app): State<App>, session: BrowserSession, Path(name): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    feeds::remove(&app, &session.caller, &name).await?;
    Ok(back())
}

fn back() -> Response {
    Redirect::to("/feeds").into_response()
}

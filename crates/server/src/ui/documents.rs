//! Policies, windows, freezes, reboot groups and channels; and the calendar of what lies ahead.

use api::v1::document::{DocumentToday, SaveDocument, SavedDocument};
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::intent::IntentKind;
use maud::{Markup, html};
use serde::Deserialize;

use crate::App;
use crate::actions::{ActionError, documents};
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs};

fn kind_of(word: &str) -> Result<IntentKind, PageError> {
    IntentKind::parse(word).ok_or_else(|| ActionError::NotFound { noun: "kind of document", id: word.chars().take(40).collect() }.into())
}

fn title(kind: IntentKind) -> &'static str {
    match kind {
        IntentKind::Policy => "Policies",
        IntentKind::Window => "Windows",
        IntentKind::Freeze => "Freezes",
        IntentKind::RebootGroup => "Reboot groups",
        IntentKind::Channel => "Channels",
    }
}

/// What a kind is for, and a document to begin with.
fn about(kind: IntentKind) -> (&'static str, &'static str) {
    match kind {
        IntentKind::Policy => (
            "A policy says which nodes are scanned and patched, when, and how carefully. Of several for a node the one with the highest precedence acts.",
            "schema: policy/v1\nname: production\ntargets:\n  tags: {env: prod}\nscan:\n  schedule: daily 01:00\ninstall:\n  schedule: weekly SUN 02:00\n  zone: Europe/Berlin\nrollout:\n  rings:\n    - {name: canary, percent: 5, soak_minutes: 60}\n    - {name: rest}\n",
        ),
        IntentKind::Window => (
            "A window is a recurring time in which change is allowed. Policies use it, and it may have tasks of its own that begin when it opens.",
            "schema: window/v1\nname: night\nschedule: daily 22:00\nzone: Europe/Berlin\nduration_hours: 6\ncutoff_hours: 1\n",
        ),
        IntentKind::Freeze => (
            "A freeze is a period in which nothing changes. It has an owner, a reason and an end. An emergency goes through it when a second person agrees.",
            "schema: freeze/v1\nname: year-end\ntargets: {everyone: true}\nfrom: 2026-12-20T00:00:00Z\nuntil: 2027-01-04T00:00:00Z\nowner: \nreason: \n",
        ),
        IntentKind::RebootGroup => (
            "Of a reboot group only so many nodes may be down at once: at work, failed or lost. Clients of FleetLock can use it too.",
            "schema: reboot-group/v1\nname: database\nmembers:\n  tags: {role: db}\nmax_down: 1\n",
        ),
        IntentKind::Channel => (
            "A channel is where notifications go: a webhook, Slack, or mail. Secrets are files in the server's data folder, named here.",
            "schema: channel/v1\nname: operations\nto:\n  webhook: {url: \"https://example.org/hook\", secret: hook}\nevents: [HALTED, FAILED, APPROVAL_NEEDED]\n",
        ),
    }
}

fn tabs(current: Option<IntentKind>) -> Markup {
    html! {
        nav.tabs aria-label="Documents" {
            @for kind in IntentKind::ALL { a href={ "/documents/" (kind.plural()) } aria-current=[(current == Some(kind)).then_some("page")] { (title(kind)) } }
            a href="/calendar" aria-current=[current.is_none().then_some("page")] { "Calendar" }
        }
    }
}

/// Documents of a kind.
pub async fn list(State(app): State<App>, session: BrowserSession, Path(kind): Path<String>) -> Result<Html<String>, PageError> {
    let kind = kind_of(&kind)?;
    let found = documents::list(&app, &session.caller, kind).await?;
    let (what, _) = about(kind);
    let body = html! {
        div.title { h1 { (title(kind)) } a.button href={ "/documents/" (kind.plural()) "/new" } { "New " (kind.noun()) } }
        (tabs(Some(kind)))
        p.quiet { (what) }
        section.card.flush {
            @if found.is_empty() { div.empty { p { "There is none yet." } p { a href={ "/documents/" (kind.plural()) "/new" } { "Write the first" } } } } @else {
                div.scroll { table.cards {
                    caption { (parts::number_of(u32::try_from(found.len()).unwrap_or(u32::MAX), kind.noun(), kind.plural())) }
                    thead { tr { th { "Name" } th { "State" } th.number { "Nodes" } th { "Next" } th { "What it says" } } }
                    tbody { @for document in &found { tr {
                        td { a href={ "/documents/" (kind.plural()) "/" (document.name) } { (document.name) } }
                        td data-label="State" { (document.state) }
                        td.number data-label="Nodes" { @if let Some(nodes) = document.nodes { (nodes) } @else { "–" } }
                        td data-label="Next" { @for next in &document.next { div { (next.what) " " time datetime=(next.at) { (next.local) } } } }
                        td data-label="What it says" { (document.summary) }
                    } } }
                } }
            }
        }
    };
    Ok(layout::page(title(kind), Section::Policies, &session, &body))
}

fn editor(kind: IntentKind, text: &str, session: &BrowserSession) -> Markup {
    html! {
        form.stack method="post" action={ "/documents/" (kind.plural()) } {
            (layout::form_token(session))
            label { "The document, as YAML" textarea name="document" rows="22" spellcheck="false" required { (text) } }
            label { "Why, for those who read the versions later" input name="reason" maxlength="1000"; }
            div.actions { button.primary name="preview" value="yes" { "Show what changes" } button name="save" value="yes" { "Save" } }
        }
    }
}

/// A document to begin with.
pub async fn new(session: BrowserSession, Path(kind): Path<String>) -> Result<Html<String>, PageError> {
    let kind = kind_of(&kind)?;
    let (what, text) = about(kind);
    let body = html! {
        div.title { div { div.crumbs { a href={ "/documents/" (kind.plural()) } { (title(kind)) } } h1 { "New " (kind.noun()) } } }
        p.quiet { (what) }
        section.card { (editor(kind, text, &session)) }
    };
    Ok(layout::page("New document", Section::Policies, &session, &body))
}

/// A document, its versions, and the editor.
pub async fn show(State(app): State<App>, session: BrowserSession, Path((kind, name)): Path<(String, String)>) -> Result<Html<String>, PageError> {
    let kind = kind_of(&kind)?;
    let document = documents::find(&app, &session.caller, kind, &name).await?;
    let versions = documents::list_versions(&app, &session.caller, kind, &name).await?;
    let now = app.now();
    let body = html! {
        div.title {
            div { div.crumbs { a href={ "/documents/" (kind.plural()) } { (title(kind)) } } h1 { (document.name) } }
            span.quiet { "version " (document.version) ", by " (document.changed_by) }
        }
        section.card { (facts(&document)) }
        section.card { h2 { "Document" } (editor(kind, &document.document, &session)) }
        section.card.flush {
            div.scroll { table.cards {
                caption { "Versions, the newest first" }
                thead { tr { th { "Version" } th { "By" } th { "When" } th { "Why" } } }
                tbody { @for version in &versions { tr {
                    td { (version.version) @if version.document.is_none() { " (deleted)" } }
                    td data-label="By" { (version.changed_by) }
                    td data-label="When" { (parts::ago(version.changed_at, now)) }
                    td data-label="Why" { (version.reason) }
                } } }
            } }
        }
        div.actions {
            @if kind == IntentKind::Channel { form method="post" action={ "/documents/channels/" (document.name) "/test" } { (layout::form_token(&session)) button { "Try it" } } }
            form method="post" action={ "/documents/" (kind.plural()) "/" (document.name) "/delete" } { (layout::form_token(&session)) button.danger { "Take out of force" } }
        }
    };
    Ok(layout::page(&document.name, Section::Policies, &session, &body))
}

fn facts(document: &DocumentToday) -> Markup {
    html! {
        p { (document.summary) }
        dl.facts {
            dt { "State" } dd { (document.state) }
            @if let Some(nodes) = document.nodes { dt { "Nodes" } dd { (nodes) } }
            @for next in &document.next {
                dt { "Next " (next.what) } dd { time datetime=(next.at) { (next.local) } @if let Some(last) = &next.last { div.quiet { "last time: " (last) } } }
            }
        }
    }
}

/// Saves a document, or says what would change.
pub async fn save(State(app): State<App>, session: BrowserSession, Path(kind): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let kind = kind_of(&kind)?;
    let request = SaveDocument { document: form.value("document").replace("\r\n", "\n"), reason: form.value("reason").to_owned(), preview: form.has("preview") };
    let saved = match documents::save(&app, &session.caller, &request).await {
        Ok(saved) => saved,
        Err(ActionError::InvalidValue { message, hint, .. }) => return Ok(corrected(kind, &request.document, &message, hint.as_deref(), &session)),
        Err(error) => return Err(error.into()),
    };
    if request.preview {
        return Ok(preview(kind, &saved, &request, &session).into_response());
    }
    let saved_as = kind_of(&saved.document.kind)?;
    Ok(Redirect::to(&format!("/documents/{}/{}", saved_as.plural(), saved.document.name)).into_response())
}

/// The editor again, with what was wrong.
fn corrected(kind: IntentKind, text: &str, message: &str, hint: Option<&str>, session: &BrowserSession) -> Response {
    let body = html! {
        div.title { div { div.crumbs { a href={ "/documents/" (kind.plural()) } { (title(kind)) } } h1 { "Not saved" } } }
        div.notice.bad role="alert" { p { (message) } @if let Some(hint) = hint { p { (hint) } } }
        section.card { (editor(kind, text, session)) }
    };
    (axum::http::StatusCode::UNPROCESSABLE_ENTITY, layout::page("Not saved", Section::Policies, session, &body)).into_response()
}

fn preview(kind: IntentKind, saved: &SavedDocument, request: &SaveDocument, session: &BrowserSession) -> Html<String> {
    let body = html! {
        div.title { div { div.crumbs { a href={ "/documents/" (kind.plural()) } { (title(kind)) } } h1 { "What would change" } } }
        section.card {
            @if saved.changes.is_empty() { p { "Nothing: it says this already." } } @else { pre { @for change in &saved.changes { (change) "\n" } } }
            (facts(&saved.document))
        }
        section.card { h2 { "Document" } (editor(kind, &request.document, session)) }
    };
    layout::page("What would change", Section::Policies, session, &body)
}

/// Takes a document out of force.
pub async fn delete(State(app): State<App>, session: BrowserSession, Path((kind, name)): Path<(String, String)>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let kind = kind_of(&kind)?;
    documents::delete(&app, &session.caller, kind, &name).await?;
    Ok(Redirect::to(&format!("/documents/{}", kind.plural())).into_response())
}

/// Sends a channel something to try it.
pub async fn test_channel(State(app): State<App>, session: BrowserSession, Path(name): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let sent = documents::test_channel(&app, &session.caller, &name).await?;
    let body = html! {
        div.title { div { div.crumbs { a href={ "/documents/channels/" (name) } { (name) } } h1 { "Try the channel" } } }
        @match &sent.failure {
            None => div.notice role="status" { p { "✓ The channel took it." } },
            Some(failure) => div.notice.bad role="alert" { p { "✕ The channel did not take it: " (failure) } },
        }
    };
    Ok(layout::page("Try the channel", Section::Policies, &session, &body).into_response())
}

/// How far ahead a calendar looks.
#[derive(Debug, Deserialize)]
pub struct Days {
    days: Option<u32>,
}

/// What lies ahead, day by day.
pub async fn calendar(State(app): State<App>, session: BrowserSession, Query(query): Query<Days>) -> Result<Html<String>, PageError> {
    let entries = documents::calendar(&app, &session.caller, query.days)?;
    let day = |text: &str| text.split('T').next().unwrap_or(text).to_owned();
    let body = html! {
        div.title { h1 { "Calendar" } span.quiet { "the next " (query.days.unwrap_or(30)) " days, in UTC and in the time zone of each document" } }
        (tabs(None))
        section.card.flush {
            @if entries.is_empty() { div.empty { p { "Nothing lies ahead: there are no windows, freezes or policies with a schedule." } } } @else {
                div.scroll { table.cards {
                    caption { "Windows, freezes, scans and installs" }
                    thead { tr { th { "Day" } th { "What" } th { "Name" } th { "When" } } }
                    tbody { @for entry in &entries { tr {
                        td { time datetime=(entry.starts_at) { (day(&entry.starts_at)) } }
                        td data-label="What" { (badge(&entry.kind)) }
                        td data-label="Name" { (entry.name) }
                        td data-label="When" { (entry.words) }
                    } } }
                } }
            }
        }
    };
    Ok(layout::page("Calendar", Section::Policies, &session, &body))
}

fn badge(kind: &str) -> Markup {
    match kind {
        "freeze" => parts::badge("doubt", "❄", "freeze"),
        "window" => parts::badge("good", "◷", "window"),
        "install" => parts::badge("note", "▸", "install"),
        _ => parts::badge("", "○", "scan"),
    }
}

//! Baselines in plain words: what there is, what each does and did, and an editor that says what a change
//! would do before it is saved.

use api::v1::baseline::AssignBaseline;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::decide::select;
use domain::model::baseline::{self, Baseline, Exception, NamedBaseline};
use domain::model::time::Timestamp;
use maud::{Markup, html};
use store::baselines::BaselineVersion;

use crate::App;
use crate::actions::baselines::{self, BaselineToday};
use crate::actions::exceptions;
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs};

pub async fn list(State(app): State<App>, session: BrowserSession) -> Html<String> {
    let all = baselines::list(&app, &session.caller);
    let body = html! {
        div.title { h1 { "Baselines" } a.button href="/exceptions" { "Exceptions" } a.button href="/baselines/new" { "New baseline" } }
        p.quiet { "A baseline says which patches are approved for one operating system. It judges the nodes of a patch group, or all others of its system." }
        (ending(&exceptions::list_ending(&app, &session.caller)))
        section.card.flush {
            div.scroll { table.cards {
                thead { tr { th { "Baseline" } th { "Operating system" } th { "Judges" } th { "What it does" } } }
                tbody {
                    @for BaselineToday { named, judges } in &all {
                        tr {
                            td { a href={ "/baselines/" (named.id) } { (named.baseline.name) } @if named.predefined { div.quiet { "ships with Fettle" } } @else { div.quiet { "version " (named.version) } } }
                            td data-label="Operating system" { (named.baseline.operating_system.name()) }
                            td data-label="Judges" { @if judges.is_empty() { span.quiet { "nobody" } } @for whom in judges { div { (whom) } } }
                            td { (named.baseline.description) }
                        }
                    }
                }
            } }
        }
        (choose(&all, &session))
    };
    layout::page("Baselines", Section::Baselines, &session, &body)
}

fn ending(ending: &[(String, Exception)]) -> Markup {
    html! {
        @if !ending.is_empty() {
            section.notice {
                h2 { "Exceptions that end soon" }
                ul.plain { @for (whose, exception) in ending { li {
                    (whose) ": " code { (exception.patch) } " is " (exception.decision.word()) " until " (exception.until) ", by " (exception.owner) ": " (exception.reason)
                } } }
            }
        }
    }
}

/// The form that says whom a baseline judges.
fn choose(all: &[BaselineToday], session: &BrowserSession) -> Markup {
    html! {
        section.card {
            h2 { "Choose whom a baseline judges" }
            p.quiet { "A node is in a patch group by its tag " code { "PatchGroup" } ". Without a group it is about all nodes of the baseline's operating system that are in no group with a baseline of its own." }
            form.inline method="post" action="/baselines/assign" {
                (layout::form_token(session))
                label { "Baseline" select name="baseline" { @for today in all { option value=(today.named.id) { (today.named.baseline.name) } } } }
                label { "Patch group" input name="patch_group" maxlength="256" placeholder="all others"; }
                button name="choice" value="set" { "Choose" }
                button name="choice" value="undo" { "Undo the choice" }
            }
        }
    }
}

pub async fn assign(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let named = baselines::find(&app, &session.caller, form.value("baseline"))?.named;
    let request = AssignBaseline {
        operating_system: named.baseline.operating_system.code().to_owned(),
        patch_group: Some(form.value("patch_group").to_owned()).filter(|group| !group.is_empty()),
        baseline: (form.value("choice") != "undo").then(|| named.id.to_string()),
    };
    baselines::assign(&app, &session.caller, &request).await?;
    Ok(Redirect::to("/baselines").into_response())
}

pub async fn show(State(app): State<App>, session: BrowserSession, Path(id): Path<String>) -> Result<Html<String>, PageError> {
    let BaselineToday { named, judges } = baselines::find(&app, &session.caller, &id)?;
    let versions = baselines::list_versions(&app, &session.caller, &id).await?;
    let now = app.now();
    let body = html! {
        div.title {
            div { div.crumbs { a href="/baselines" { "Baselines" } } h1 { (named.baseline.name) } }
            @if !named.predefined { a.button href={ "/baselines/" (named.id) "/edit" } { "Edit" } }
            a.button href={ "/baselines/new?copy=" (named.id) } { "Copy" }
        }
        p { (named.baseline.description) }
        section.card {
            h2 { "In words" }
            ul.plain { @for sentence in select::explain(&named.baseline) { li { (sentence) } } }
            p.quiet { @if judges.is_empty() { "It judges nobody." } @else { "It judges " (judges.join("; ")) "." } }
        }
        section.card {
            h2 { "As a document" }
            p.quiet { "Try it on a machine with " code { "fettle scan --baseline FILE" } ", or keep it in a folder for " code { "fettle apply" } "." }
            pre.copy data-copy tabindex="0" { (named.baseline.to_yaml()) }
        }
        @if !named.predefined { (history(&named, &versions, now)) }
        @if !named.predefined && judges.is_empty() {
            details {
                summary { "Delete" }
                form.inline method="post" action={ "/baselines/" (named.id) "/delete" } {
                    (layout::form_token(&session))
                    label { "Why" input name="reason" maxlength="1000"; }
                    button.danger { "Delete this baseline" }
                }
            }
        }
    };
    Ok(layout::page(&named.baseline.name, Section::Baselines, &session, &body))
}

/// Versions, each with what it changed.
fn history(named: &NamedBaseline, versions: &[BaselineVersion], now: Timestamp) -> Markup {
    html! {
        section.card {
            h2 { "Versions" }
            @for (at, version) in versions.iter().enumerate() {
                @let before = versions.get(at + 1).and_then(|before| before.document.as_ref());
                details open[at == 0] {
                    summary { "Version " (version.version) ", " (parts::ago(version.changed_at, now)) " by " (version.changed_by) @if !version.reason.is_empty() { ": " (version.reason) } }
                    (difference(before, version.document.as_ref()))
                    @if version.version != named.version { p { a href={ "/baselines/" (named.id) "/edit?version=" (version.version) } { "Edit from this version, to restore it" } } }
                }
            }
        }
    }
}

pub(super) fn difference(old: Option<&Baseline>, new: Option<&Baseline>) -> Markup {
    html! {
        pre.difference tabindex="0" { @for (sign, line) in baseline::difference(old, new) {
            @match sign {
                '+' => { ins { "+ " (line) } }
                '-' => { del { "- " (line) } }
                _ => { span { "  " (line) } }
            }
        } }
    }
}

pub async fn delete(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    baselines::delete(&app, &session.caller, &id, form.value("reason")).await?;
    Ok(Redirect::to("/baselines").into_response())
}

pub(super) fn state_words(code: &str) -> String {
    code.to_lowercase().replace('_', " ")
}

//! Baselines in plain words: what there is, what each does and did, and an editor that says what a change
//! would do before it is saved.

use api::v1::baseline::{AssignBaseline, BaselinePreview, PreviewBaseline, SaveBaseline};
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::decide::select;
use domain::model::baseline::{self, Baseline, Exception, NamedBaseline};
use domain::model::platform::OperatingSystem;
use domain::model::time::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use store::baselines::BaselineVersion;

use crate::App;
use crate::actions::baselines::{self, BaselineToday};
use crate::actions::{ActionError, exceptions};
use crate::http::{ApiError, BrowserSession};
use crate::ui::errors::{PageError, PageQuery, cross_site};
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

fn difference(old: Option<&Baseline>, new: Option<&Baseline>) -> Markup {
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

/// Where a new baseline begins.
#[derive(Deserialize)]
pub struct NewBaseline {
    copy: Option<String>,
}

pub async fn new(State(app): State<App>, session: BrowserSession, PageQuery(query): PageQuery<NewBaseline>) -> Result<Html<String>, PageError> {
    let copied = query.copy.as_deref().map(|id| baselines::find(&app, &session.caller, id)).transpose()?;
    let first = || baselines::list(&app, &session.caller).into_iter().find(|today| today.named.predefined && today.named.baseline.operating_system == OperatingSystem::Debian);
    let mut baseline = copied.or_else(first).map(|today| today.named.baseline).ok_or_else(|| ActionError::invalid("copy", "there is nothing to copy"))?;
    baseline.name = format!("{}-copy", baseline.name.trim_start_matches("Fettle-").chars().take(100).collect::<String>());
    Ok(editor(&app, &session, None, &Draft { document: baseline.to_yaml(), ..Draft::default() }))
}

/// Which version an edit begins with.
#[derive(Deserialize)]
pub struct EditBaseline {
    version: Option<u32>,
}

pub async fn edit(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, PageQuery(query): PageQuery<EditBaseline>) -> Result<Html<String>, PageError> {
    let named = baselines::find(&app, &session.caller, &id)?.named;
    let (mut document, mut reason) = (named.baseline.to_yaml(), String::new());
    if let Some(number) = query.version {
        let versions = baselines::list_versions(&app, &session.caller, &id).await?;
        let old = versions.into_iter().find(|version| version.version == number).and_then(|version| version.document);
        document = old.ok_or_else(|| ActionError::invalid("version", format!("there is no version {number}")))?.to_yaml();
        reason = format!("restored version {number}");
    }
    let draft = Draft { document, reason, edited_version: Some(named.version) };
    Ok(editor(&app, &session, Some(&named), &draft))
}

/// What stands in the editor.
#[derive(Default)]
struct Draft {
    document: String,
    reason: String,
    edited_version: Option<u32>,
}

impl Draft {
    fn of(form: &FormPairs) -> Self {
        // Browsers send line ends of two characters.
        Self { document: form.value("document").replace("\r\n", "\n") + "\n", reason: form.value("reason").to_owned(), edited_version: form.value("edited_version").parse().ok() }
    }
}

/// The document beside what it means and what it would change.
fn editor(app: &App, session: &BrowserSession, edited: Option<&NamedBaseline>, draft: &Draft) -> Html<String> {
    let title = edited.map_or_else(|| "New baseline".to_owned(), |named| format!("Edit {}", named.baseline.name));
    let action = edited.map_or_else(|| "/baselines/new".to_owned(), |named| format!("/baselines/{}/edit", named.id));
    let request = PreviewBaseline { document: draft.document.clone(), baseline: edited.map(|named| named.id.to_string()) };
    let looked_at = baselines::preview(app, &session.caller, &request)
        .and_then(|preview| Ok((Baseline::parse(&draft.document).map_err(|error| ActionError::invalid("document", error.to_string()))?, preview)));
    let body = html! {
        div { div.crumbs { a href="/baselines" { "Baselines" } } h1 { (title) } }
        div.columns.editor {
            form.card method="post" action=(action) {
                (layout::form_token(session))
                @if let Some(version) = draft.edited_version { input type="hidden" name="edited_version" value=(version); }
                label { "The baseline, as YAML" textarea name="document" rows="26" spellcheck="false" required { (draft.document) } }
                label { "Why it is changed" input name="reason" maxlength="1000" value=(draft.reason); }
                div.actions { button name="choice" value="preview" { "Look at it" } button.primary name="choice" value="save" { "Save" } }
            }
            div {
                @match looked_at {
                    Ok((baseline, preview)) => {
                        section.card { h2 { "In words" } ul.plain { @for sentence in select::explain(&baseline) { li { (sentence) } } } }
                        @if let Some(named) = edited { section.card { h2 { "What is changed in it" } @if named.baseline == baseline { p.quiet { "Nothing yet." } } @else { (difference(Some(&named.baseline), Some(&baseline))) } } }
                        (effects(&preview))
                    }
                    Err(error) => {
                        @let error = ApiError::from(error);
                        section.notice.bad role="alert" { h2 { "It cannot be saved like this" } p { (error.problem().message) } @if let Some(hint) = &error.problem().hint { p { (hint) } } }
                    }
                }
            }
        }
    };
    layout::page(&title, Section::Baselines, session, &body)
}

fn effects(preview: &BaselinePreview) -> Markup {
    html! {
        section.card {
            h2 { "What it would change" }
            @for warning in &preview.warnings { p { (parts::badge("doubt", "!", "note")) " " (warning) } }
            @if preview.judges.is_empty() { p { "It judges nobody, so nothing changes." } } @else {
                p.quiet { "It would judge " (preview.judges.join("; ")) ": " (parts::number_of(preview.n_nodes, "node", "nodes")) "." }
                p {
                    (parts::badge(if preview.n_newly_non_compliant > 0 { "bad" } else { "" }, "✕", &parts::number_of(preview.n_newly_non_compliant, "node becomes non-compliant", "nodes become non-compliant"))) " "
                    (parts::badge(if preview.n_newly_compliant > 0 { "good" } else { "" }, "✓", &parts::number_of(preview.n_newly_compliant, "node has nothing missing any more", "nodes have nothing missing any more")))
                }
            }
            @if !preview.nodes.is_empty() {
                ul.plain { @for node in preview.nodes.iter().take(10) { li { a href={ "/nodes/" (node.id) } { (node.name) } ": " (node.n_missing) " missing today, " (node.n_missing_then) " then" } } }
            }
        }
        @if !preview.patches.is_empty() {
            section.card.flush {
                div.scroll { table.cards {
                    caption { (parts::number_of(preview.n_patches, "patch", "patches")) " in another state" }
                    thead { tr { th { "Patch" } th { "Today" } th { "Then" } th.number { "Nodes" } } }
                    tbody { @for patch in preview.patches.iter().take(100) { tr {
                        td { (patch.name) span.quiet { ":" (patch.architecture) " " (patch.version) } }
                        td data-label="Today" { (state_words(&patch.before)) }
                        td data-label="Then" { (state_words(&patch.after)) @if let Some(until) = &patch.changes_at { div.quiet { "until " (until) } } }
                        td.number data-label="Nodes" { (patch.n_nodes) }
                    } } }
                } }
            }
        }
    }
}

fn state_words(code: &str) -> String {
    code.to_lowercase().replace('_', " ")
}

pub async fn create(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    submit(&app, &session, None, &form).await
}

pub async fn save(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    let named = baselines::find(&app, &session.caller, &id)?.named;
    submit(&app, &session, Some(&named), &form).await
}

/// Saves, or shows again what it would do; what cannot be saved stays in the editor.
async fn submit(app: &App, session: &BrowserSession, edited: Option<&NamedBaseline>, form: &FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(session) {
        return Ok(cross_site());
    }
    let draft = Draft::of(form);
    let request = SaveBaseline { document: draft.document.clone(), reason: draft.reason.clone(), edited_version: draft.edited_version };
    let id = edited.map(|named| named.id.as_str());
    if form.value("choice") == "save" {
        // What is wrong with the document is shown beside it.
        match baselines::save(app, &session.caller, id, &request).await {
            Ok(saved) => return Ok(Redirect::to(&format!("/baselines/{}", saved.named.id)).into_response()),
            Err(ActionError::InvalidValue { field: "document", .. }) if Baseline::parse(&draft.document).is_err() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(editor(app, session, edited, &draft).into_response())
}

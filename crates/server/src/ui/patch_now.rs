//! Patch now: what is asked of a node, and how.

use api::v1::node::ListNodePatches;
use api::v1::operation::{CreateOperation, HookNames, InstallWish, OperationKind};
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::compliance::PatchState;
use domain::model::patch::class_words;
use domain::model::scan_report::PatchRow;
use maud::{Markup, html};

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
                    h2 { "How" }
                    div.fields {
                        (select("allow", "Besides these may happen", &[("DEPENDENCIES", "what is needed may come"), ("NONE", "nothing"), ("AS_PLANNED", "all that is needed, removals too")]))
                        (select("reboot", "The node boots", &[("IF_NEEDED", "when something needs it"), ("NEVER", "never"), ("ALWAYS", "in any case"), ("AT", "at a time, when something needs it")]))
                        label { "Time of the boot, in UTC" input type="datetime-local" name="reboot_at"; }
                        (select("services", "Services that run replaced code", &[("RESTART", "are restarted"), ("LEAVE", "are left as they are")]))
                        (select("on_failure", "When a package fails", &[("STOP", "the rest is not begun"), ("GO_ON", "the rest goes on")]))
                        (select("config_files", "Configuration files changed here", &[("KEEP", "stay"), ("REPLACE", "are replaced, where the package manager can")]))
                    }
                    details { summary { "Hooks, other updaters, times" }
                        div.fields {
                            label { "Hook before" input name="before" placeholder="a name in its agent.yaml"; }
                            label { "Hook after" input name="after"; }
                            label { "Hook at the end" input name="at_exit"; }
                            label { "Nothing changes before, in UTC" input type="datetime-local" name="not_before"; }
                            label { "Nothing is begun that would not end by, in UTC" input type="datetime-local" name="ends_by"; }
                        }
                        label.check { input type="checkbox" name="pause_updaters" checked; " Other updaters stand still meanwhile" }
                        label.check { input type="checkbox" name="recover"; " Finish first what an installation of before left half done" }
                    }
                    @if !today.allows.reboot { p.quiet { "This node does not allow reboots: what needs one is installed, and not in effect until someone boots it." } }
                    p { "The node asks its package manager what that would do, and changes nothing until you agree to it." }
                    div.actions { button.primary disabled[!today.allows.install] { "Show the plan" } }
                }
            }
        }
    };
    Ok(layout::page("Patch now", Section::Nodes, &session, &body))
}

/// Asks a node for a plan.
pub async fn request(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let chosen = form.values("patch");
    let is_all = form.value("n_shown").parse() == Ok(chosen.len());
    if chosen.is_empty() {
        return Err(crate::actions::ActionError::invalid("patch", "no patch was chosen").into());
    }
    let word = |name: &str| Some(form.value(name).to_owned()).filter(|value| !value.is_empty());
    let time = |name: &str| word(name).map(|time| format!("{time}:00Z"));
    let wish = InstallWish {
        only: if is_all { Vec::new() } else { chosen },
        allow: word("allow"),
        reboot: if form.value("reboot") == "AT" { Some(time("reboot_at").unwrap_or_default()) } else { word("reboot") },
        services: word("services"),
        hooks: HookNames { before: word("before"), after: word("after"), at_exit: word("at_exit") },
        config_files: word("config_files"),
        on_failure: word("on_failure"),
        recover: form.has("recover"),
        pause_updaters: form.has("pause_updaters"),
        not_before: time("not_before"),
        ends_by: time("ends_by"),
        ..InstallWish::default()
    };
    let body = CreateOperation { install: Some(wish), ..CreateOperation::new(OperationKind::Plan, vec![id]) };
    let (operation, _) = operations::request(&app, &session.caller, &body, None).await?;
    Ok(Redirect::to(&format!("/operations/{}", operation.id)).into_response())
}

fn select(name: &str, words: &str, values: &[(&str, &str)]) -> Markup {
    html! { label { (words) select name=(name) { @for (value, words) in values { option value=(value) { (words) } } } } }
}

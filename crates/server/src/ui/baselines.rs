//! Baselines in plain words.

use axum::extract::Path;
use axum::response::Html;
use domain::decide::select;
use maud::html;

use crate::actions::baselines;
use crate::http::BrowserSession;
use crate::ui::errors::PageError;
use crate::ui::layout::{self, Section};

pub async fn list(session: BrowserSession) -> Html<String> {
    let body = html! {
        div.title { h1 { "Baselines" } }
        p.quiet { "A baseline says which patches are approved for one operating system. These ship with Fettle and apply to every node of their system." }
        section.card.flush {
            div.scroll { table.cards {
                thead { tr { th { "Baseline" } th { "Operating system" } th { "What it does" } } }
                tbody {
                    @for named in baselines::list(&session.caller) {
                        tr {
                            td { a href={ "/baselines/" (named.id) } { (named.baseline.name) } }
                            td data-label="Operating system" { (named.baseline.operating_system.name()) }
                            td { (named.baseline.description) }
                        }
                    }
                }
            } }
        }
    };
    layout::page("Baselines", Section::Baselines, &session, &body)
}

pub async fn show(session: BrowserSession, Path(id): Path<String>) -> Result<Html<String>, PageError> {
    let named = baselines::find(&session.caller, &id)?;
    let document = serde_json::to_string_pretty(&named.baseline).expect("a baseline has text keys only");
    let body = html! {
        div {
            div.crumbs { a href="/baselines" { "Baselines" } }
            h1 { (named.baseline.name) }
        }
        p { (named.baseline.description) }
        section.card {
            h2 { "In words" }
            ul.plain { @for sentence in select::explain(&named.baseline) { li { (sentence) } } }
        }
        section.card {
            h2 { "As a document" }
            p.quiet { "Read only. Save a copy, change its name and rules, and try it on a machine with " code { "fettle scan --baseline FILE" } "." }
            pre tabindex="0" { (document) }
        }
    };
    Ok(layout::page(&named.baseline.name, Section::Baselines, &session, &body))
}

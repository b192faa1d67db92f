//! The frame of every page.

use axum::response::Html;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::actions::sessions;
use crate::http::BrowserSession;
use crate::ui::assets::{MARK_PATH, SCRIPT_PATH, STYLE_PATH};

/// The parts of the console, in the order of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Overview,
    Nodes,
    Patches,
    Operations,
    Policies,
    Baselines,
    Organization,
}

impl Section {
    const ALL: [Self; 7] = [Self::Overview, Self::Nodes, Self::Patches, Self::Operations, Self::Policies, Self::Baselines, Self::Organization];

    fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Nodes => "Nodes",
            Self::Patches => "Patches",
            Self::Operations => "Operations",
            Self::Policies => "Policies",
            Self::Baselines => "Baselines",
            Self::Organization => "Organization",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Nodes => "/nodes",
            Self::Patches => "/patches",
            Self::Operations => "/operations",
            Self::Policies => "/documents/policies",
            Self::Baselines => "/baselines",
            Self::Organization => "/organization",
        }
    }
}

/// A page for someone who is signed in.
pub fn page(title: &str, section: Section, session: &BrowserSession, body: &Markup) -> Html<String> {
    let top = html! {
        header.top {
            div {
                (brand())
                nav aria-label="Main" {
                    @for known in Section::ALL {
                        a href=(known.path()) aria-current=[(known == section).then_some("page")] { (known.name()) }
                    }
                }
                form method="post" action="/sign-out" {
                    (form_token(session))
                    button.link { "Sign out " (session.caller.actor) }
                }
            }
        }
    };
    document(title, &top, body)
}

/// A page for anyone.
pub fn plain_page(title: &str, body: &Markup) -> Html<String> {
    document(title, &html! { header.top { div { (brand()) } } }, body)
}

/// The hidden field that each form carries, so that no other site can send it.
pub fn form_token(session: &BrowserSession) -> Markup {
    html! { input type="hidden" name="form_token" value=(sessions::form_token(&session.secret)); }
}

fn brand() -> Markup {
    html! { a.brand href="/" { img src=(*MARK_PATH) alt="" width="24" height="24"; "Fettle" } }
}

fn document(title: &str, top: &Markup, body: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Fettle" }
                link rel="icon" href=(*MARK_PATH) type="image/svg+xml";
                link rel="stylesheet" href=(*STYLE_PATH);
                script src=(*SCRIPT_PATH) defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                (top)
                main #main { (body) }
            }
        }
    };
    let PreEscaped(text) = page;
    Html(text)
}

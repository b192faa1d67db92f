//! The fleet at a glance: verdict, counts, and what to do next.

use api::v1::node::ListNodes;
use axum::extract::State;
use axum::response::Html;
use domain::model::baseline::ComplianceLevel;
use domain::model::compliance::PatchState;
use domain::model::patch::Severity;
use maud::{Markup, html};

use crate::App;
use crate::actions::{exceptions, nodes, overview, patches};
use crate::fleet::FleetSummary;
use crate::http::BrowserSession;
use crate::ui::errors::PageError;
use crate::ui::layout::{self, Section};
use crate::ui::parts;

pub async fn show(State(app): State<App>, session: BrowserSession) -> Result<Html<String>, PageError> {
    let caller = &session.caller;
    let summary = overview::summarize(&app, caller);
    let worst = nodes::list(&app, caller, &ListNodes { limit: Some(5), ..ListNodes::default() })?;
    let missing = patches::summarize_missing(&app, caller, 5);
    let n_ending = exceptions::list_ending(&app, caller).len();
    let body = html! {
        div.title { h1 { "Overview" } }
        (fleet(&summary))
        div.tiles {
            @for state in PatchState::ALL {
                div.tile { b { (summary.counts.of(state)) } span { (state.words()) } }
            }
        }
        section.card {
            h2 { "By severity" }
            p.quiet { "A patch that is both is in both. Levels are the baselines', severities the vendors'; not every vendor states one." }
            div.legend {
                span { b { (summary.counts.security_non_compliant) } " security patches not compliant" }
                span { b { (summary.counts.critical_non_compliant) } " of compliance level critical" }
            }
            @if summary.counts.missing > 0 { table.cards {
                caption { "Missing patches, counted on each node" }
                thead { tr { th { "By" } @for words in ["critical", "high or important", "medium or moderate", "low", "informational", "unspecified"] { th.number { (words) } } } }
                tbody {
                    tr { td { "Compliance level" } @for level in ComplianceLevel::ALL.into_iter().rev() { td.number { (missing.by_level.get(&level).copied().unwrap_or_default()) } } }
                    tr { td { "Vendor's severity" } @for severity in [Some(Severity::Critical), Some(Severity::Important), Some(Severity::Moderate), Some(Severity::Low), None, Some(Severity::Unspecified)] { td.number { @if let Some(severity) = severity { (missing.by_severity.get(&severity).copied().unwrap_or_default()) } @else { "–" } } } }
                }
            } }
        }
        div.columns {
            section.card { h2 { "What to do next" } (next_steps(&summary, n_ending)) }
            section.card {
                h2 { "Most missing patches" }
                ul.plain {
                    @for today in worst.nodes.iter().filter(|today| today.counts.missing > 0) {
                        li {
                            a href={ "/nodes/" (today.id) } { (today.name) } " "
                            span.quiet { (parts::number_of(today.counts.missing, "patch", "patches")) }
                        }
                    }
                    @if summary.counts.missing == 0 { li.quiet { "No node misses a patch." } }
                }
            }
            section.card {
                h2 { "Patches missing on most nodes" }
                ul.plain {
                    @for patch in &missing.most {
                        li { a href={ "/patches/" (patch.id) } { (patch.name) } " " span.quiet { (patch.version) " · " (parts::number_of(patch.n_missing, "node", "nodes")) } }
                    }
                    @if summary.counts.missing == 0 { li.quiet { "Nothing is missing." } }
                }
            }
        }
    };
    Ok(layout::page("Overview", Section::Overview, &session, &body))
}

fn fleet(summary: &FleetSummary) -> Markup {
    let parts = [
        ("good", "compliant", summary.n_compliant),
        ("bad", "not compliant", summary.n_non_compliant),
        ("doubt", "unknown", summary.n_unknown),
        ("", "unmanaged", summary.n_unmanaged),
    ];
    html! {
        section.card {
            h2 { (headline(summary)) }
            (parts::bar(&parts))
            div.legend {
                a href="/nodes?verdict=COMPLIANT" { "✓ " (summary.n_compliant) " compliant" }
                a href="/nodes?verdict=NON_COMPLIANT" { "✕ " (summary.n_non_compliant) " not compliant" }
                a href="/nodes?verdict=UNKNOWN" { "? " (summary.n_unknown) " unknown" }
                @if summary.n_unmanaged > 0 { a href="/nodes?verdict=UNMANAGED" { "○ " (summary.n_unmanaged) " unmanaged" } }
                @if summary.n_late > 0 { a href="/nodes?presence=late" { "◐ " (summary.n_late) " late" } }
                @if summary.n_silent > 0 { a href="/nodes?presence=silent" { "○ " (summary.n_silent) " silent" } }
                @if summary.n_stale > 0 { span.quiet { (summary.n_stale) " of the unknown were not scanned for " (crate::app::STALE_AFTER_HOURS) " hours" } }
            }
        }
    }
}

fn headline(summary: &FleetSummary) -> String {
    let nodes = parts::number_of(summary.n_nodes, "node", "nodes");
    match (summary.n_nodes, summary.n_non_compliant, summary.n_unknown + summary.n_unmanaged) {
        (0, _, _) => "No node has joined yet".to_owned(),
        (_, 0, 0) => format!("All of {nodes} compliant"),
        (_, 0, unknown) => format!("{unknown} of {nodes} could not be judged"),
        (_, wrong, _) => format!("{wrong} of {nodes} not compliant"),
    }
}

fn next_steps(summary: &FleetSummary, n_ending_exceptions: usize) -> Markup {
    let counts = &summary.counts;
    html! {
        ol.steps {
            @if summary.n_nodes == 0 { li { "Wait for the first scan of this machine, or look at the server's log." } }
            @if summary.n_silent > 0 { li { a href="/nodes?presence=silent" { "Find out why " (parts::number_of(summary.n_silent, "node is", "nodes are")) " silent" } "." } }
            @if summary.n_stale > 0 { li { a href="/nodes?sort=last_scan" { "Find out why " (parts::number_of(summary.n_stale, "node", "nodes")) " stopped reporting" } "." } }
            @if counts.failed > 0 { li { a href="/nodes?verdict=NON_COMPLIANT" { "Repair " (parts::number_of(counts.failed, "package that is", "packages that are")) " only partly installed" } "." } }
            @if counts.security_non_compliant > 0 { li { a href="/patches?classification=Security" { "Plan " (parts::number_of(counts.security_non_compliant, "missing security patch", "missing security patches")) } "." } }
            @if counts.installed_pending_reboot > 0 { li { "Reboot nodes where installed patches are not in effect yet." } }
            @if counts.available_security_update > 0 { li { a href="/patches?classification=Security" { "Decide about " (parts::number_of(counts.available_security_update, "security patch", "security patches")) " that no rule approves yet" } "." } }
            @if summary.n_unknown > summary.n_stale { li { a href="/nodes?verdict=UNKNOWN" { "See why " (parts::number_of(summary.n_unknown - summary.n_stale, "node", "nodes")) " could not be judged" } "." } }
            @if n_ending_exceptions > 0 { li { a href="/baselines" { "Renew or let go " (parts::number_of(u32::try_from(n_ending_exceptions).unwrap_or(u32::MAX), "exception that ends", "exceptions that end")) " soon" } "." } }
            @if summary.n_unmanaged > 0 { li { a href="/nodes?verdict=UNMANAGED" { "Find a baseline for " (parts::number_of(summary.n_unmanaged, "node", "nodes")) " that none is for" } "." } }
            @if summary.n_nodes > 0 && summary.n_compliant == summary.n_nodes { li { "Nothing. Every node is as its baseline wants it." } }
        }
    }
}

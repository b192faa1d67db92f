//! One node, on pages of its own: overview, patches, packages, repositories, changes, agent.

use api::v1::node::{ListNodePatches, ListPage};
use api::v1::operation::{CreateOperation, OperationKind};
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::model::compliance::PatchState;
use domain::model::id::PatchId;
use domain::model::inventory::{Inventory, Reboot};
use domain::model::node::Presence;
use domain::model::patch::{Classification, class_words};
use domain::model::policy::Drift;
use domain::model::scan_report::{PatchRow, ScanReport};
use domain::model::time::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use crate::App;
use crate::actions::inventories::{self, Change};
use crate::actions::nodes::{self, NodePatchPage, NodeToday};
use crate::actions::operations;
use crate::actions::verdicts::{self, PastVerdict};
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, PageQuery, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs, text};

/// The pages of a node, in the order of their tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Overview,
    Patches,
    Packages,
    Repositories,
    Changes,
    Agent,
}

impl Tab {
    const ALL: [Self; 6] = [Self::Overview, Self::Patches, Self::Packages, Self::Repositories, Self::Changes, Self::Agent];

    fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Patches => "Patches",
            Self::Packages => "Packages",
            Self::Repositories => "Repositories",
            Self::Changes => "Changes",
            Self::Agent => "Agent",
        }
    }

    fn path(self, id: &str) -> String {
        if self == Self::Overview { format!("/nodes/{id}") } else { format!("/nodes/{id}/{}", self.name().to_lowercase()) }
    }
}

/// The frame of a node's pages.
fn frame(today: &NodeToday, tab: Tab, session: &BrowserSession, body: &Markup) -> Html<String> {
    let id = today.id.as_str();
    let page = html! {
        div.title {
            div {
                div.crumbs { a href="/nodes" { "Nodes" } }
                h1 { (today.name) }
            }
            (parts::verdict(today.verdict))
            (parts::presence(today.presence))
            @if today.presence != Presence::Retired {
                a.button href={ "/nodes/" (id) "/install" } { "Patch now" }
                form method="post" action={ "/nodes/" (id) "/scan" } {
                    (layout::form_token(session))
                    button.primary { "Scan again" }
                }
            }
        }
        nav.tabs aria-label="Parts of the node" {
            @for known in Tab::ALL { a href=(known.path(id)) aria-current=[(known == tab).then_some("page")] { (known.name()) } }
        }
        (body)
    };
    layout::page(&today.name, Section::Nodes, session, &page)
}

fn not_reported() -> Markup {
    html! { section.card { div.empty { p { "This node has not reported yet." } } } }
}

/// A note after a request.
#[derive(Deserialize)]
pub struct ShowNode {
    requested: Option<String>,
}

pub async fn overview(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, PageQuery(query): PageQuery<ShowNode>) -> Result<Html<String>, PageError> {
    let (today, report) = nodes::find(&app, &session.caller, &id).await?;
    let inventory = inventories::find(&app, &session.caller, &id, None).await?;
    let n_not_applicable = report.as_ref().and_then(|report| nodes::count_not_applicable(&app, &session.caller, &id, report));
    let now = app.now();
    let body = html! {
        @if query.requested.is_some() {
            div.notice.good role="status" { p { "A scan was requested. It changes no package on the node; its result appears here when it is done." } }
        }
        @if let Some(clone_of) = &today.clone_of {
            div.notice role="status" { p { "This node is a copy of " a href={ "/nodes/" (clone_of) } { (clone_of) } ": it came with that node's identity and got its own." } }
        }
        @match (&report, &inventory) {
            (Some(report), Some(inventory)) => {
                div.columns { (why(report, n_not_applicable)) (facts(&today, report, inventory, now)) (place(&today, &session)) }
                (warnings(report))
                (host(inventory))
            }
            _ => { div.columns { (not_reported()) (place(&today, &session)) } }
        }
    };
    Ok(frame(&today, Tab::Overview, &session, &body))
}

fn why(report: &ScanReport, n_not_applicable: Option<u32>) -> Markup {
    let severities = &report.severities;
    let words = |counts: Vec<(&str, u32)>| counts.into_iter().map(|(word, n)| format!("{n} {}", word.to_lowercase())).collect::<Vec<_>>().join(", ");
    html! {
        section.card {
            h2 { "Why" }
            ul.plain { @for reason in &report.reasons { li { (reason.text) } } }
            @if !severities.non_compliant.is_empty() {
                p {
                    "By compliance level: " (words(severities.non_compliant.iter().map(|(level, n)| (level.word(), *n)).collect()))
                    "; by the vendor's severity: " (words(severities.non_compliant_by_vendor.iter().map(|(severity, n)| (severity.word(), *n)).collect())) "."
                }
            }
            @if let Some(n) = n_not_applicable.filter(|n| *n > 0) {
                p.quiet { (parts::number_of(n, "approved patch does", "approved patches do")) " not apply: the node does not have the package." }
            }
            @if let Some(baseline) = &report.baseline {
                p.quiet {
                    "Judged by "
                    @if let Some(id) = &baseline.id { a href={ "/baselines/" (id) } { (baseline.name) } } @else { (baseline.name) }
                    ", " (baseline.source.words()) "."
                }
            }
        }
    }
}

fn facts(today: &NodeToday, report: &ScanReport, inventory: &Inventory, now: Timestamp) -> Markup {
    html! {
        section.card {
            h2 { "Facts" }
            dl.facts {
                dt { "Platform" } dd { (today.platform) ", " (today.architecture) }
                dt { "Kernel" } dd {
                    (today.kernel.as_deref().unwrap_or("not reported"))
                    @if !inventory.host.kernels.is_empty() { span.quiet { "; installed: " (inventory.host.kernels.join(", ")) } }
                }
                dt { "Booted" } dd { @if let Some(at) = today.booted_at { (parts::ago(at, now)) } @else { "not reported" } }
                dt { "Packages" } dd { (report.node.n_packages) }
                dt { "Reboot" } dd {
                    @match &report.reboot {
                        Reboot::NotPending => { "not pending" }
                        Reboot::Pending { causes } => { "pending: " (causes.join("; ")) }
                        Reboot::Unknown => { "cannot be told" }
                    }
                }
                dt { "Package lists" } dd { @if let Some(at) = report.lists_refreshed_at { "refreshed " (parts::ago(at, now)) } @else { "never refreshed" } }
                dt { "Last scan" } dd { (parts::ago(report.scanned_at, now)) @if today.stale { ", stale" } }
                @if let Some(hardware) = &inventory.host.hardware {
                    dt { "Hardware" } dd {
                        (hardware.vendor.as_deref().unwrap_or_default()) " " (hardware.model.as_deref().unwrap_or_default())
                        @if hardware.vendor.is_some() || hardware.model.is_some() { ", " }
                        (parts::number_of(hardware.n_processors, "processor", "processors")) ", " (hardware.memory_mib) " MiB"
                    }
                }
            }
        }
    }
}

fn place(today: &NodeToday, session: &BrowserSession) -> Markup {
    html! {
        section.card {
            h2 { "Whose it is" }
            dl.facts {
                dt { "Account" } dd { (today.account) }
                dt { "Region" } dd { (today.region) }
                dt { "Tags" } dd { (parts::tags(&today.tags)) }
                dt { "Id" } dd { code { (today.id) } }
            }
            form.inline method="post" action="/nodes/tags" {
                (layout::form_token(session))
                input type="hidden" name="node" value=(today.id);
                label { "Set tag" input name="set" placeholder="key=value"; }
                label { "Remove tag" input name="remove" placeholder="key"; }
                button { "Change" }
            }
        }
    }
}

fn warnings(report: &ScanReport) -> Markup {
    html! {
        @if !report.warnings.is_empty() {
            section.notice {
                h2 { (parts::number_of(u32::try_from(report.warnings.len()).unwrap_or(u32::MAX), "warning", "warnings")) }
                ul.plain { @for warning in &report.warnings { li { (warning.message) @if let Some(hint) = &warning.hint { span.quiet { " — " (hint) } } } } }
            }
        }
    }
}

/// Interfaces, services, programs on replaced files, custom inventory.
fn host(inventory: &Inventory) -> Markup {
    let host = &inventory.host;
    let failed = host.services.iter().filter(|service| service.active == "failed").count();
    html! {
        @if !host.stale_processes.is_empty() {
            section.card {
                h2 { "Programs on replaced files" }
                p.quiet { "They run with files that were replaced or deleted since they started. Restart them to put what is installed into effect." }
                ul.plain { @for process in &host.stale_processes { li {
                    b { (process.name) } @if let Some(service) = &process.service { " (" (service) ")" } span.quiet { ": " (process.files.join(", ")) }
                } } }
            }
        }
        @if !host.interfaces.is_empty() {
            section.card {
                h2 { "Network" }
                ul.plain { @for interface in &host.interfaces { li {
                    b { (interface.name) } " " (interface.addresses.join(", ")) span.quiet { @if let Some(mac) = &interface.mac { " " (mac) } @if !interface.up { ", down" } }
                } } }
            }
        }
        @if !host.services.is_empty() {
            details.card open[failed > 0] {
                summary { (parts::number_of(u32::try_from(host.services.len()).unwrap_or(u32::MAX), "service", "services")) @if failed > 0 { ", " (failed) " failed" } }
                ul.plain { @for service in &host.services { li { (service.name) span.quiet { " " (service.active) ", " (service.sub) @if let Some(enabled) = &service.enabled { ", " (enabled) } } } } }
            }
        }
        @if !host.custom.is_empty() {
            section.card {
                h2 { "Custom inventory" }
                @for (name, value) in &host.custom { h3 { (name) } pre { (serde_json::to_string_pretty(value).unwrap_or_default()) } }
            }
        }
    }
}

/// Parameters of the page of patches.
#[derive(Deserialize)]
pub struct ShowPatches {
    q: Option<String>,
    state: Option<String>,
    classification: Option<String>,
    cursor: Option<String>,
}

pub async fn patches(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, PageQuery(query): PageQuery<ShowPatches>) -> Result<Html<String>, PageError> {
    let (today, _) = nodes::find(&app, &session.caller, &id).await?;
    let patch_query = ListNodePatches { q: query.q.clone(), state: query.state.clone(), classification: query.classification.clone(), cursor: query.cursor.clone(), limit: None };
    let page = nodes::list_patches(&app, &session.caller, &id, &patch_query).await?;
    Ok(frame(&today, Tab::Patches, &session, &patch_table(&id, &query, &page)))
}

fn patch_table(node_id: &str, query: &ShowPatches, page: &NodePatchPage) -> Markup {
    let (q, state, classification) = (text(query.q.as_ref()), text(query.state.as_ref()), text(query.classification.as_ref()));
    let path = Tab::Patches.path(node_id);
    html! {
        form.filters role="search" action=(path) {
            label { "Search" input type="search" name="q" value=(q) placeholder="package"; }
            label { "State" select name="state" {
                (parts::choice("", "any", state))
                @for known in PatchState::ALL { (parts::choice(known.code(), known.words(), state)) }
            } }
            label { "Classification" select name="classification" {
                (parts::choice("", "any", classification)) @for known in Classification::ALL { (parts::choice(known.word(), known.word(), classification)) }
            } }
            button { "Apply" }
            @if !q.is_empty() || !state.is_empty() || !classification.is_empty() { a.button href=(path) { "Clear" } }
        }
        section.card.flush {
            @if page.patches.is_empty() {
                div.empty { p { "No patch matches." } }
            } @else {
                div.scroll { table.cards {
                    caption { (page.n_found) " of the node's packages" }
                    thead { tr { th { "Package" } th { "State" } th { "Installed" } th { "Available" } th { "Class" } th { "Why" } } }
                    tbody { @for patch in &page.patches { (patch_row(&page.ecosystem, patch)) } }
                } }
                (parts::pages(&path, &[("q", q), ("state", state), ("classification", classification)], query.cursor.as_deref(), page.next_cursor.as_deref()))
            }
        }
    }
}

fn patch_row(ecosystem: &str, patch: &PatchRow) -> Markup {
    let id = patch.available_version.as_ref().map(|version| PatchId::of(ecosystem, &patch.name, &patch.architecture, version));
    html! {
        tr {
            td { @if let Some(id) = id { a href={ "/patches/" (id) } { (patch.name) } } @else { (patch.name) } span.quiet { ":" (patch.architecture) } }
            td { (parts::state(patch.state)) }
            td.version data-label="Installed" { (patch.installed_version) }
            td.version data-label="Available" { (patch.available_words()) }
            td data-label="Class" { (class_words(patch.classification, patch.severity)) }
            td data-label="Why" { (patch.reason.text) @if !patch.advisories.is_empty() { div.quiet { (patch.advisories.join(", ")) } } }
        }
    }
}

/// Parameters of the page of packages.
#[derive(Deserialize)]
pub struct ShowPackages {
    q: Option<String>,
    day: Option<String>,
}

/// Rows of the page; whoever has more packages than this searches.
const PACKAGES_SHOWN_MAX: usize = 1000;

pub async fn packages(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, PageQuery(query): PageQuery<ShowPackages>) -> Result<Html<String>, PageError> {
    let (today, _) = nodes::find(&app, &session.caller, &id).await?;
    let inventory = inventories::find(&app, &session.caller, &id, query.day.as_deref()).await?;
    let (q, day) = (text(query.q.as_ref()), text(query.day.as_ref()));
    let now = app.now();
    let body = html! {
        form.filters role="search" {
            label { "Search" input type="search" name="q" value=(q) placeholder="package or source"; }
            label { "At the end of" input type="date" name="day" value=(day); }
            button { "Apply" }
            @if !q.is_empty() || !day.is_empty() { a.button href=(Tab::Packages.path(&id)) { "Clear" } }
        }
        @if let Some(inventory) = inventory {
            @let found: Vec<_> = inventory.packages.iter().filter(|package| package.name.contains(q) || package.source.contains(q)).collect();
            section.card.flush {
                div.scroll { table.cards {
                    caption {
                        (found.len()) " of " (inventory.packages.len()) " packages, collected " (parts::ago(inventory.collected_at, now))
                        @if found.len() > PACKAGES_SHOWN_MAX { ", the first " (PACKAGES_SHOWN_MAX) " are shown" }
                    }
                    thead { tr { th { "Package" } th { "Version" } th { "Source" } th { "From" } th { "Marks" } th { "Installed" } } }
                    tbody { @for package in found.into_iter().take(PACKAGES_SHOWN_MAX) {
                        tr {
                            td { (package.name) span.quiet { ":" (package.architecture) } }
                            td.version data-label="Version" { (package.version) }
                            td data-label="Source" { (package.source) }
                            td data-label="From" { @if let Some(at) = inventory.named_repository(&package.repositories) { (inventory.repositories[at].short_name()) } @else { span.quiet { "no repository" } } }
                            td data-label="Marks" { @if package.held { "held " } @if package.automatic { "automatic " } @if package.state.is_broken() { (package.state.word()) } }
                            td data-label="Installed" { @if let Some(at) = package.installed_at { (parts::ago(at, now)) } }
                        }
                    } }
                } }
            }
        } @else { (not_reported()) }
    };
    Ok(frame(&today, Tab::Packages, &session, &body))
}

pub async fn repositories(State(app): State<App>, session: BrowserSession, Path(id): Path<String>) -> Result<Html<String>, PageError> {
    let (today, _) = nodes::find(&app, &session.caller, &id).await?;
    let inventory = inventories::find(&app, &session.caller, &id, None).await?;
    let now = app.now();
    let body = html! {
        @if let Some(inventory) = inventory {
            section.card.flush {
                @if inventory.repositories.is_empty() { div.empty { p { "There are no package lists on this node." } } } @else {
                    div.scroll { table.cards {
                        caption { "Lists refreshed " @if let Some(at) = inventory.lists_refreshed_at { (parts::ago(at, now)) } @else { "never" } }
                        thead { tr { th { "Repository" } th { "Component" } th { "Address" } th { "Signed" } th { "Published" } th { "Valid until" } } }
                        tbody { @for repository in &inventory.repositories {
                            tr {
                                td { (repository.short_name()) @if repository.is_security() { " " span.quiet { "security" } } }
                                td data-label="Component" { (repository.component.as_deref().unwrap_or("")) " " span.quiet { (repository.architecture.as_deref().unwrap_or("")) } }
                                td data-label="Address" { (repository.uri) }
                                td data-label="Signed" { @if repository.trusted { "✓ yes" } @else { "✕ no" } }
                                td data-label="Published" { @if let Some(at) = repository.released_at { (parts::ago(at, now)) } @else { "not stated" } }
                                td data-label="Valid until" { @if let Some(at) = repository.valid_until { time datetime=(at) { (at) } @if at < now { span.quiet { ", over" } } } @else { "not stated" } }
                            }
                        } }
                    } }
                }
            }
        } @else { (not_reported()) }
    };
    Ok(frame(&today, Tab::Repositories, &session, &body))
}

/// Parameters of the page of changes.
#[derive(Deserialize)]
pub struct ShowChanges {
    from: Option<String>,
    to: Option<String>,
    report: Option<u32>,
    cursor: Option<String>,
}

pub async fn changes(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, PageQuery(query): PageQuery<ShowChanges>) -> Result<Html<String>, PageError> {
    let caller = &session.caller;
    let (today, _) = nodes::find(&app, caller, &id).await?;
    let (from, to) = (text(query.from.as_ref()), text(query.to.as_ref()));
    let changes = match query.report {
        Some(report) => Some(inventories::list_changes_of_report(&app, caller, &id, report).await?),
        None if !from.is_empty() && !to.is_empty() => Some(inventories::list_changes(&app, caller, &id, from, to).await?),
        None => None,
    };
    let (reports, next_cursor) = inventories::list_reports(&app, caller, &id, &ListPage { cursor: query.cursor.clone(), limit: Some(20) }).await?;
    let past = verdicts::list(&app, caller, &id, None, Some(10)).await?;
    let now = app.now();
    let path = Tab::Changes.path(&id);
    let body = html! {
        form.filters {
            label { "Between the end of" input type="date" name="from" value=(from) required; }
            label { "and the end of" input type="date" name="to" value=(to) required; }
            button { "Compare" }
        }
        @if let Some(changes) = &changes { (change_table(changes)) }
        section.card.flush {
            @if reports.is_empty() { div.empty { p { "This node has not reported yet." } } } @else {
                div.scroll { table.cards {
                    caption { "Reports that said something new" }
                    thead { tr { th { "Collected" } th { "Received" } th { "What changed" } } }
                    tbody { @for report in &reports {
                        tr {
                            td { a href={ (path) "?report=" (report.number) } { (parts::ago(report.collected_at, now)) } }
                            td data-label="Received" { (parts::ago(report.received_at, now)) }
                            td data-label="What changed" { @if report.changed.is_empty() { "the first that is kept" } @else { (report.changed.iter().map(|section| section.word()).collect::<Vec<_>>().join(", ")) } }
                        }
                    } }
                } }
                (parts::pages(&path, &[], query.cursor.as_deref(), next_cursor.as_deref()))
            }
        }
        (past_verdicts(&past, now))
    };
    Ok(frame(&today, Tab::Changes, &session, &body))
}

fn past_verdicts(past: &[PastVerdict], now: Timestamp) -> Markup {
    html! { @if !past.is_empty() {
        section.card.flush { div.scroll { table.cards {
            caption { "What it was judged to be" }
            thead { tr { th { "Since" } th { "Verdict" } th.number { "Missing" } th.number { "Security" } th { "Judged by" } } }
            tbody { @for past in past { tr {
                td { (parts::ago(past.at(), now)) }
                td data-label="Verdict" { (parts::verdict(past.record.verdict)) }
                td.number data-label="Missing" { (past.record.counts.missing) }
                td.number data-label="Security" { (past.record.counts.security_non_compliant) }
                td data-label="Judged by" { @if past.judged_by.baseline_id.is_empty() { span.quiet { "no baseline" } } @else { (past.baseline.as_deref().unwrap_or(&past.judged_by.baseline_id)) span.quiet { ", version " (past.judged_by.version) ", through " (past.judged_by.through) } } }
            } } }
        } } }
    } }
}

fn change_table(changes: &[Change]) -> Markup {
    html! {
        section.card.flush {
            @if changes.is_empty() { div.empty { p { "Nothing changed." } } } @else {
                div.scroll { table.cards {
                    caption { (parts::number_of(u32::try_from(changes.len()).unwrap_or(u32::MAX), "change", "changes")) }
                    thead { tr { th { "Section" } th { "Kind" } th { "Before" } th { "After" } } }
                    tbody { @for change in changes {
                        tr {
                            td { (change.section.word()) }
                            td data-label="Kind" { @match (&change.before, &change.after) { (Some(_), Some(_)) => { "~ changed" } (None, _) => { "+ added" } (_, None) => { "− removed" } } }
                            td.line data-label="Before" { (change.before.as_deref().unwrap_or("").replace('\t', " ")) }
                            td.line data-label="After" { (change.after.as_deref().unwrap_or("").replace('\t', " ")) }
                        }
                    } }
                } }
            }
        }
    }
}

pub async fn agent(State(app): State<App>, session: BrowserSession, Path(id): Path<String>) -> Result<Html<String>, PageError> {
    let (today, _) = nodes::find(&app, &session.caller, &id).await?;
    let events = nodes::list_events(&app, &session.caller, &id, &ListPage::default()).await?;
    let (policies, drift) = nodes::policies_of(&app, &session.caller, &id)?;
    let now = app.now();
    let body = html! {
        @if !drift.is_empty() {
            section.notice { h2 { "This node is not as its policy says" } ul { @for Drift { what, mended_by } in &drift { li { (what) ". " span.quiet { "Mended by " (mended_by) "." } } } } }
        }
        div.columns {
            section.card {
                h2 { "Agent" }
                dl.facts {
                    dt { "Heard of" } dd { (parts::presence(today.presence)) " " @if let Some(at) = today.seen_at { (parts::ago(at, now)) } }
                    dt { "Version" } dd { (today.agent_version.as_deref().unwrap_or("the server itself looks after this machine")) }
                    dt { "Allows" } dd { (today.allows.words()) span.quiet { ", by the node's own configuration" } }
                    dt { "Policy" } dd {
                        @match policies.split_first() {
                            None => "none is for this node",
                            Some((acting, shadowed)) => {
                                a href={ "/documents/policies/" (acting) } { (acting) } " acts"
                                @if !shadowed.is_empty() { span.quiet { ", and shadows " (shadowed.join(", ")) ": its precedence is higher, or its name comes first" } }
                            }
                        }
                    }
                    dt { "Certificate" } dd { @if let Some(at) = today.certificate_expires_at { "expires " time datetime=(at) { (at) } } @else { "none" } }
                    dt { "Joined" } dd { (parts::ago(today.enrolled_at, now)) }
                    dt { "Id" } dd { code { (today.id) } }
                }
            }
            @if today.presence != Presence::Retired {
                section.card {
                    h2 { "Ask the node" }
                    p.quiet { "Orders are signed and expire. None of these changes a package." }
                    form.inline method="post" action={ "/nodes/" (id) "/orders" } {
                        (layout::form_token(&session))
                        @for (kind, words) in [("refresh", "Refresh package lists"), ("report", "Report everything again"), ("renew", "Renew the certificate")] {
                            button name="kind" value=(kind) { (words) }
                        }
                    }
                    h2 { "Retire" }
                    p.quiet { "Its certificate is refused from then on, and it leaves all lists and sums. What it reported stays." }
                    form.inline method="post" action={ "/nodes/" (id) "/retire" } {
                        (layout::form_token(&session))
                        label { "Type the node's name to confirm" input name="name" required autocomplete="off"; }
                        button.danger { "Retire this node" }
                    }
                }
            }
        }
        section.card.flush {
            div.scroll { table.cards {
                caption { "What happened" }
                thead { tr { th { "When" } th { "What" } th { "Detail" } } }
                tbody { @for event in &events { tr { td { (parts::ago(event.at, now)) } td data-label="What" { (event.kind.replace('_', " ")) } td data-label="Detail" { (event.detail) } } } }
            } }
        }
    };
    Ok(frame(&today, Tab::Agent, &session, &body))
}

pub async fn request_scan(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    request(&app, &session, &id, &form, OperationKind::Scan).await
}

pub async fn request_order(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    let kind = match form.value("kind") {
        "refresh" => OperationKind::Refresh,
        "report" => OperationKind::Report,
        "renew" => OperationKind::Renew,
        _ => OperationKind::Scan,
    };
    request(&app, &session, &id, &form, kind).await
}

async fn request(app: &App, session: &BrowserSession, id: &str, form: &FormPairs, kind: OperationKind) -> Result<Response, PageError> {
    if !form.belongs_to(session) {
        return Ok(cross_site());
    }
    let body = CreateOperation::new(kind, vec![id.to_owned()]);
    let (operation, _) = operations::request(app, &session.caller, &body, None).await?;
    Ok(Redirect::to(&format!("/nodes/{id}?requested={}", operation.id)).into_response())
}

pub async fn retire(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    let (today, _) = nodes::find(&app, &session.caller, &id).await?;
    if form.value("name") != today.name {
        return Err(crate::actions::ActionError::InvalidValue {
            field: "name",
            message: format!("`{}` is not the name of this node, so it was not retired", form.value("name")),
            hint: Some(format!("type `{}`", today.name)),
        }
        .into());
    }
    nodes::retire(&app, &session.caller, &id).await?;
    Ok(Redirect::to(&Tab::Agent.path(&id)).into_response())
}

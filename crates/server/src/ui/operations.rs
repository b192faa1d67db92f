//! An operation: the plan that waits for someone to agree, how far it is, what came of it.

use std::collections::BTreeMap;

use api::v1::node::ListPage;
use api::v1::operation::{CreateOperation, HookNames, InstallWish, OperationKind};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::decide::plan_rollout::RingState;
use domain::model::baseline::parse_document;
use domain::model::intent::IntentKind;
use domain::model::plan::Plan;
use domain::model::receipt::Receipt;
use domain::model::rollout::Rollout;
use domain::model::selector::Selector;
use domain::model::time::Timestamp;
use maud::{Markup, html};
use store::operations::{InvocationRecord, InvocationState, OperationRecord};

use crate::App;
use crate::actions::operations::{RolloutToday, Verb};
use crate::actions::{ActionError, documents, nodes, operations, organization, parse_node_query};
use crate::http::BrowserSession;
use crate::ui::errors::{PageError, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs};
use crate::ui::receipt;

/// A node's part, with all there is to show of it.
struct Part {
    name: String,
    invocation: InvocationRecord,
    plan: Option<Plan>,
    receipt: Option<Receipt>,
}

/// Operations, newest first.
pub async fn list(State(app): State<App>, session: BrowserSession, Query(query): Query<ListPage>) -> Result<Html<String>, PageError> {
    let (found, next_cursor) = operations::list(&app, &session.caller, &query).await?;
    let now = app.now();
    let body = html! {
        div.title { h1 { "Operations" } a.button href="/operations/new" { "Patch many nodes" } }
        section.card.flush {
            @if found.is_empty() { div.empty { p { "Nothing was asked of any node yet." } } } @else {
                div.scroll { table.cards {
                    caption { "Work that was asked for, the newest first" }
                    thead { tr { th { "What" } th { "State" } th { "Nodes" } th { "Requested by" } th { "When" } } }
                    tbody { @for (operation, counts) in &found { tr {
                        td { a href={ "/operations/" (operation.id) } { (heading(&operation.kind)) } @if let Some(policy) = &operation.policy { div.quiet { (policy) } } }
                        td data-label="State" { (state_badge(operations::state_of_counts(operation, counts))) }
                        td data-label="Nodes" { @for (state, n) in counts { (n) " " (state.to_lowercase()) " " } }
                        td data-label="Requested by" { (operation.requested_by) }
                        td data-label="When" { (parts::ago(operation.requested_at, now)) }
                    } } }
                } }
            }
        }
        (parts::pages("/operations", &[], query.cursor.as_deref(), next_cursor.as_deref()))
    };
    Ok(layout::page("Operations", Section::Operations, &session, &body))
}

/// Patch now, for many nodes.
pub async fn new(State(app): State<App>, session: BrowserSession) -> Html<String> {
    let tree = organization::read(&app, &session.caller);
    let choose = |words: &str, name: &str, names: &[&String]| {
        html! { @if names.len() > 1 { label { (words) select name=(name) { option value="" { "any" } @for known in names { option { (known) } } } } } }
    };
    let windows = documents::list(&app, &session.caller, IntentKind::Window).await.unwrap_or_default();
    let body = html! {
        div.title { div { div.crumbs { a href="/operations" { "Operations" } } h1 { "Patch many nodes" } } }
        p.quiet { "Each node gets what it lacks now, in exact versions. Nodes that lack nothing, or do not allow installs, are left out." }
        form.stack method="post" action="/operations" {
            (layout::form_token(&session))
            section.card {
                h2 { "Which nodes" }
                div.fields {
                    label { "Tagged" input name="tags" placeholder="env=prod, role=web"; }
                    label { "That a query finds" input name="query" placeholder="product = Debian12 and package nginx"; }
                    (choose("In the unit", "unit", &tree.units.iter().map(|unit| &unit.name).collect::<Vec<_>>()))
                    (choose("In the account", "account", &tree.accounts.iter().map(|account| &account.name).collect::<Vec<_>>()))
                    (choose("In the region", "region", &tree.regions.iter().map(|region| &region.name).collect::<Vec<_>>()))
                }
                label.check { input type="checkbox" name="everyone"; " Every node" }
            }
            section.card {
                h2 { "How" }
                div.fields {
                    label { "Nodes boot" select name="reboot" { option value="IF_NEEDED" { "when something needs it" } option value="NEVER" { "never" } option value="ALWAYS" { "in any case" } } }
                    label { "Hook before" input name="before" placeholder="a name in their agent.yaml"; }
                    label { "Hook at the end" input name="at_exit"; }
                    @if !windows.is_empty() { label { "Only inside the window" select name="window" { option value="" { "any time" } @for window in &windows { option { (window.name) } } } } }
                }
                label { "Rings, soaks and gates, as YAML; without any, as many at once and as many errors as AWS's Patch now has by the number of nodes"
                    textarea name="rollout" rows="6" spellcheck="false" placeholder="rings:\n  - {name: canary, percent: 5, soak_minutes: 30}\n  - {name: rest}" {}
                }
                label.check { input type="checkbox" name="emergency"; " An emergency: short soaks, and through freezes when a second person agrees" }
                label.check { input type="checkbox" name="needs_approval"; " Nothing begins before a second person agrees" }
                div.actions { button.primary { "Begin" } }
            }
        }
    };
    layout::page("Patch many nodes", Section::Operations, &session, &body)
}

/// Begins an install on many nodes.
pub async fn create(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    let list = |name: &str| Some(form.value(name).to_owned()).filter(|value| !value.is_empty()).into_iter().collect::<Vec<_>>();
    let word = |name: &str| list(name).into_iter().next();
    let text = form.value("rollout").trim();
    let rollout = (!text.is_empty()).then(|| parse_document::<Rollout>(text)).transpose().map_err(|error| ActionError::invalid("rollout", error.to_string()))?;
    let targets = Selector {
        everyone: form.has("everyone"),
        units: list("unit"),
        accounts: list("account"),
        regions: list("region"),
        tags: parts::parse_tags(form.value("tags")).map_err(|message| ActionError::invalid("tags", message))?,
        query: parse_node_query(form.value("query"))?,
        ..Selector::default()
    };
    let hooks = HookNames { before: word("before"), after: None, at_exit: word("at_exit") };
    let body = CreateOperation {
        targets: Some(targets),
        install: Some(InstallWish { reboot: word("reboot"), hooks, pause_updaters: true, ..InstallWish::default() }),
        rollout,
        emergency: form.has("emergency"),
        needs_approval: form.has("needs_approval"),
        windows: list("window"),
        ..CreateOperation::new(OperationKind::Install, Vec::new())
    };
    request(&app, &session, &form, body).await
}

/// What became of an operation, node by node.
pub async fn show(State(app): State<App>, session: BrowserSession, Path(id): Path<String>) -> Result<Html<String>, PageError> {
    let found = operations::find(&app, &session.caller, &id).await?;
    let today = operations::explain(&app, &found).await?;
    let (operation, invocations) = found;
    let n_nodes = invocations.len();
    // Of few nodes each says it itself.
    let failures = if n_nodes > CARDS_MAX { failures_by_cause(&invocations) } else { BTreeMap::new() };
    let invocations = most_telling(invocations);
    let mut parts_of_nodes = Vec::with_capacity(invocations.len());
    for invocation in invocations {
        let receipt = operations::find_receipt(&app, &session.caller, &id, &invocation.node_id).await.ok();
        let plan = operations::find_plan(&app, &session.caller, &id, &invocation.node_id).await.ok();
        let name = nodes::name_of(&app, &session.caller, &invocation.node_id).unwrap_or_default();
        parts_of_nodes.push(Part { name, invocation, plan, receipt });
    }
    let is_going_on = parts_of_nodes.iter().any(|part| part.invocation.finished_at.is_none());
    let is_agreeable = !is_going_on && parts_of_nodes.iter().any(|part| part.plan.as_ref().is_some_and(|plan| !plan.transaction.steps.is_empty()));
    let now = app.now();
    let form = |action: &str, body: &Markup| html! { form method="post" action={ "/operations/" (id) "/" (action) } { (layout::form_token(&session)) (body) } };
    let body = html! {
        div.title data-refresh[is_going_on] {
            div { div.crumbs { a href="/operations" { "Operations" } } h1 { (heading(&operation.kind)) } }
            span.quiet { "requested by " (operation.requested_by) ", " (parts::ago(operation.requested_at, now)) }
        }
        @if let Some(policy) = &operation.policy { p.quiet { "Of " (policy) "." } }
        (rollout(&operation, &today, &failures, &form, now))
        @if is_going_on {
            div.notice role="status" {
                @if today.state == "RUNNING" { p { "It is going on; this page follows it. A node that is asked to stop does so at the end of the step that it is in." } }
                div.actions {
                    @if today.state == "RUNNING" && operation.rollout.is_some() { (form("pause", &html! { button { "Pause" } })) }
                    (form("cancel", &html! { button { "Stop for good" } }))
                }
            }
        }
        @if is_agreeable {
            div.notice { p { "Nothing has changed yet. Each node does exactly this, or says why it cannot." } (form("agree", &html! { button.primary { "Install exactly this" } })) }
        }
        @if n_nodes > parts_of_nodes.len() { p.quiet { "The " (parts_of_nodes.len()) " most telling of " (n_nodes) " nodes: those that failed, then those at work, then those that wait." } }
        @if parts_of_nodes.len() > CARDS_MAX { (table(&id, &parts_of_nodes, &today, now)) } @else { @for part in &parts_of_nodes {
            @let take_back = form("rollback", &html! { input type="hidden" name="node" value=(part.invocation.node_id); button { "Take back" } });
            (card(&id, part, &today, &take_back, now))
        } }
    };
    Ok(layout::page(heading(&operation.kind), Section::Operations, &session, &body))
}

/// Up to so many nodes, each is shown with all there is to say.
const CARDS_MAX: usize = 10;
/// Most nodes that a page shows.
const NODES_SHOWN_MAX: usize = 50;

/// The first line of what failed nodes said, and how many said it.
fn failures_by_cause(invocations: &[InvocationRecord]) -> BTreeMap<String, u32> {
    let mut by_cause = BTreeMap::new();
    for invocation in invocations.iter().filter(|invocation| invocation.state == InvocationState::Failed) {
        let words = invocation.message.as_deref().and_then(|message| message.lines().next()).unwrap_or("it said nothing");
        *by_cause.entry(words.to_owned()).or_default() += 1;
    }
    by_cause
}

/// Those that a person looks for first.
fn most_telling(mut invocations: Vec<InvocationRecord>) -> Vec<InvocationRecord> {
    if invocations.len() > NODES_SHOWN_MAX {
        invocations.sort_by_key(|invocation| match invocation.state {
            InvocationState::Failed => 0,
            InvocationState::Running => 1,
            InvocationState::Pending => 2,
            InvocationState::Cancelled => 3,
            InvocationState::Succeeded => 4,
        });
        invocations.truncate(NODES_SHOWN_MAX);
    }
    invocations
}

/// Rings, why it stands still, and what a person can do.
fn rollout(operation: &OperationRecord, today: &RolloutToday, failures: &BTreeMap<String, u32>, form: &dyn Fn(&str, &Markup) -> Markup, now: Timestamp) -> Markup {
    let course = &operation.course;
    let verb = |path: &str, words: &str| form(path, &html! { button { (words) } });
    let mut by_reason = BTreeMap::<String, u32>::new();
    for hold in today.holds.values() {
        *by_reason.entry(hold.words(|at| at.to_string())).or_default() += 1;
    }
    html! {
        @if !failures.is_empty() {
            section.card { h2 { "Why nodes failed" } ul { @for (words, n) in failures { li { (parts::number_of(*n, "node: ", "nodes: ")) (words) } } } }
        }
        @if let Some(halt) = &course.halted {
            div.notice role="status" {
                p { strong { "Halted " (parts::ago(halt.at, now)) ": " } (halt.cause.words()) ". Nodes that had not begun are as they were." }
                @if course.ended_at.is_none() { p { "To mend it: " (halt.cause.mend()) "." } div.actions { (verb("resume", "Resume")) } }
            }
        }
        @if let Some(approval) = course.approval.as_ref().filter(|approval| approval.given.is_none() && course.ended_at.is_none()) {
            div.notice role="status" { p { "A second person has to agree, because " (approval.why) "; " (operation.requested_by) " asked for it." } div.actions { (verb("approve", "Agree")) } }
        }
        @if let Some(paused) = &course.paused {
            div.notice role="status" { p { "Paused by " (paused.by) " " (parts::ago(paused.at, now)) "." } div.actions { (verb("resume", "Resume")) } }
        }
        @if !today.rings.is_empty() {
            section.card.flush { div.scroll { table.cards {
                caption { "Rings, in order" }
                thead { tr { th { "Ring" } th { "State" } th.number { "Nodes" } th.number { "At work" } th.number { "Succeeded" } th.number { "Failed" } th.number { "Wait" } th { "Limits" } th { span.hidden { "Actions" } } } }
                tbody { @for (at, ring) in today.rings.iter().enumerate() { tr {
                    td { (ring.name) }
                    td data-label="State" {
                        (ring_badge(&ring.state))
                        @if let RingState::Soaking { until } = ring.state { span.quiet { " until " (until) } }
                        @if let Some(gate) = course.rings.get(at).and_then(|ring| ring.gate.as_ref()) { div.quiet { (gate.words) } }
                    }
                    td.number data-label="Nodes" { (ring.counts.nodes) }
                    td.number data-label="At work" { (ring.counts.at_work) }
                    td.number data-label="Succeeded" { (ring.counts.succeeded) }
                    td.number data-label="Failed" { (ring.counts.failed + ring.counts.lost) @if ring.counts.lost > 0 { span.quiet { " (" (ring.counts.lost) " lost)" } } }
                    td.number data-label="Wait" { (ring.counts.waiting + ring.counts.silent) @if ring.counts.silent > 0 { span.quiet { " (" (ring.counts.silent) " silent)" } } }
                    td data-label="Limits" { (ring.rate.concurrency) " at once, " (ring.rate.errors) " may fail" }
                    td { @if course.ended_at.is_none() && today.rings.len() > 1 && !matches!(ring.state, RingState::Passed | RingState::Skipped) { (verb(&format!("rings/{}/skip", ring.name), "Skip")) } }
                } } }
            } } }
        }
        @if !by_reason.is_empty() {
            section.card { h2 { "Why nodes wait" } ul { @for (words, n) in &by_reason { li { (parts::number_of(*n, "node: ", "nodes: ")) (words) } } } }
        }
    }
}

fn state_badge(state: &str) -> Markup {
    match state {
        "HALTED" => parts::badge("bad", "■", "halted"),
        "PAUSED" => parts::badge("doubt", "‖", "paused"),
        "WAITING_FOR_APPROVAL" => parts::badge("doubt", "?", "waits for approval"),
        "RUNNING" => parts::badge("note", "▸", "running"),
        _ => parts::badge("", "–", "ended"),
    }
}

fn ring_badge(state: &RingState) -> Markup {
    let (class, sign, words) = match state {
        RingState::Waiting => ("", "…", "waits"),
        RingState::Running => ("note", "▸", "running"),
        RingState::Soaking { .. } => ("note", "◷", "soaking"),
        RingState::AtGate => ("note", "▷", "at its gate"),
        RingState::Passed => ("good", "✓", "passed"),
        RingState::Skipped => ("doubt", "»", "skipped"),
    };
    parts::badge(class, sign, words)
}

fn heading(kind: &str) -> &'static str {
    match kind {
        "plan" => "Plan",
        "install" => "Install",
        "rollback" => "Rollback",
        "scan" => "Scan",
        _ => "Operation",
    }
}

/// Many nodes, a row each.
fn table(id: &str, parts_of_nodes: &[Part], today: &RolloutToday, now: Timestamp) -> Markup {
    let row = |part: &Part| {
        let Part { name, invocation, receipt: came, .. } = part;
        let hold = today.holds.get(&invocation.node_id).map(|hold| hold.words(|at| at.to_string()));
        html! { tr {
            td { a href={ "/nodes/" (invocation.node_id) } { (name) } }
            td data-label="Ring" { @if let Some(ring) = today.rings.get(invocation.ring as usize) { (ring.name) } }
            td data-label="State" { (node_badge(invocation, today)) }
            td data-label="What there is to say" { @if let Some(words) = invocation.message.clone().or_else(|| operations::doing(invocation, now)).or(hold) { (words) } }
            td data-label="Receipt" { @if came.is_some() { a href={ "/operations/" (id) "/receipts/" (invocation.node_id) } { "Download" } } }
        } }
    };
    html! {
        section.card.flush { div.scroll { table.cards {
            caption { "Nodes" }
            thead { tr { th { "Node" } th { "Ring" } th { "State" } th { "What there is to say" } th { "Receipt" } } }
            tbody { @for part in parts_of_nodes { (row(part)) } }
        } } }
    }
}

fn node_badge(invocation: &InvocationRecord, today: &RolloutToday) -> Markup {
    let (class, sign, words) = match invocation.state {
        InvocationState::Pending if today.holds.contains_key(&invocation.node_id) => ("", "…", "waits"),
        InvocationState::Pending => ("note", "…", "waits for the node"),
        InvocationState::Running => ("note", "▸", "at work"),
        InvocationState::Succeeded => ("good", "✓", "done"),
        InvocationState::Failed => ("bad", "✕", "not done"),
        InvocationState::Cancelled => ("doubt", "■", "stopped"),
    };
    parts::badge(class, sign, words)
}

fn card(id: &str, part: &Part, today: &RolloutToday, take_back: &Markup, now: Timestamp) -> Markup {
    let Part { name, invocation, plan, receipt: came } = part;
    html! {
        section.card {
            h2 { a href={ "/nodes/" (invocation.node_id) } { (name) } " " (node_badge(invocation, today)) }
            @if let Some(message) = &invocation.message { p { (message) } }
            @if let Some(hold) = today.holds.get(&invocation.node_id) { p { (hold.words(|at| at.to_string())) } }
            @if let Some(doing) = operations::doing(invocation, now) { p { (doing) } }
            @if let Some(progress) = invocation.progress.as_ref().filter(|_| invocation.state == InvocationState::Running) {
                @if let Some(percent) = progress.percent { progress max="100" value=(percent) { (percent) " %" } }
                @if !progress.lines.is_empty() { pre aria-label="Last lines" { (progress.lines.join("\n")) } }
            }
            @if let Some(plan) = plan { (receipt::plan(plan)) }
            @if let Some(came) = came {
                (receipt::receipt(came))
                (receipt::way_back(came, take_back))
                p { a href={ "/operations/" (id) "/receipts/" (invocation.node_id) } { "Download the receipt" } }
            }
        }
    }
}

/// Asks the nodes to stop.
pub async fn cancel(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    operations::cancel(&app, &session.caller, &id).await?;
    Ok(Redirect::to(&format!("/operations/{id}")).into_response())
}

/// Pauses, resumes, or agrees to a rollout.
pub async fn act(State(app): State<App>, session: BrowserSession, Path((id, verb)): Path<(String, String)>, form: FormPairs) -> Result<Response, PageError> {
    let verb = match verb.as_str() {
        "pause" => Verb::Pause,
        "resume" => Verb::Resume,
        "approve" => Verb::Approve,
        _ => return Err(ActionError::invalid("verb", format!("`{verb}` cannot be done to an operation")).into()),
    };
    act_on(&app, &session, &id, &form, &verb).await
}

/// Lets the ring after this one begin.
pub async fn skip_ring(State(app): State<App>, session: BrowserSession, Path((id, ring)): Path<(String, String)>, form: FormPairs) -> Result<Response, PageError> {
    act_on(&app, &session, &id, &form, &Verb::SkipRing(ring)).await
}

async fn act_on(app: &App, session: &BrowserSession, id: &str, form: &FormPairs, verb: &Verb) -> Result<Response, PageError> {
    if !form.belongs_to(session) {
        return Ok(cross_site());
    }
    operations::act(app, &session.caller, id, verb).await?;
    Ok(Redirect::to(&format!("/operations/{id}")).into_response())
}

/// Asks the nodes to do what their plans say.
pub async fn agree(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    let (_, invocations) = operations::find(&app, &session.caller, &id).await?;
    let nodes = invocations.into_iter().filter(|invocation| invocation.state == InvocationState::Succeeded).map(|invocation| invocation.node_id).collect();
    let wish = InstallWish { plan: Some(id), ..InstallWish::default() };
    request(&app, &session, &form, CreateOperation { install: Some(wish), ..CreateOperation::new(OperationKind::Install, nodes) }).await
}

/// Asks a node for the versions of before.
pub async fn roll_back(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    let nodes = form.values("node");
    request(&app, &session, &form, CreateOperation { rollback_of: Some(id), ..CreateOperation::new(OperationKind::Rollback, nodes) }).await
}

async fn request(app: &App, session: &BrowserSession, form: &FormPairs, body: CreateOperation) -> Result<Response, PageError> {
    if !form.belongs_to(session) {
        return Ok(cross_site());
    }
    let (operation, _) = operations::request(app, &session.caller, &body, None).await?;
    Ok(Redirect::to(&format!("/operations/{}", operation.id)).into_response())
}

/// A receipt as a file.
pub async fn download(State(app): State<App>, session: BrowserSession, Path((id, node)): Path<(String, String)>) -> Result<Response, PageError> {
    let receipt = operations::find_receipt(&app, &session.caller, &id, &node).await?;
    let text = serde_json::to_string_pretty(&receipt).expect("a receipt has text keys only");
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CONTENT_DISPOSITION, "attachment; filename=\"receipt.json\"")], text).into_response())
}

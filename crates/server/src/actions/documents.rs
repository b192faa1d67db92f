//! Documents that say what operators want: policies, windows, freezes, reboot groups, channels.

use std::collections::BTreeMap;

use api::v1::document::{CalendarEntry, DocumentToday, NextTime, SaveDocument, SavedDocument, SentNotification};
use domain::model::channel::{Destination, Event};
use domain::model::id::NodeId;
use domain::model::intent::{Intent, IntentKind};
use domain::model::policy::Policy;
use domain::model::schedule::Zone;
use domain::model::selector::Selector;
use domain::model::time::{DAY_MS, Timestamp};
use store::AuditEntry;
use store::intents::{ClockRecord, IntentVersion};
use store::notifications::Notification;

use crate::App;
use crate::actions::{ActionError, Caller, operations};
use crate::fleet::{NamedIntent, Node, State};
use crate::reconcilers::{due, notify};

/// Most documents of a kind.
const DOCUMENTS_MAX: usize = 1000;
/// Longest reason of a change.
const REASON_LENGTH_MAX: usize = 1000;
/// Most entries and days of a calendar.
const ENTRIES_MAX: usize = 1000;
const DAYS_MAX: u32 = 366;
/// Most times of one document on a calendar.
const TIMES_MAX: usize = 100;
/// Most nodes that are named.
const NAMES_MAX: usize = 5;
/// Most news that are shown.
const NEWS_MAX: u32 = 100;

/// Documents of a kind, by name.
pub async fn list(app: &App, _caller: &Caller, kind: IntentKind) -> Result<Vec<DocumentToday>, ActionError> {
    let clocks = clocks(app).await?;
    let now = app.now();
    let state = app.fleet().read();
    Ok(state.intents.list(kind).map(|named| today(&state, named, &clocks, now)).collect())
}

/// One document.
pub async fn find(app: &App, _caller: &Caller, kind: IntentKind, name: &str) -> Result<DocumentToday, ActionError> {
    let clocks = clocks(app).await?;
    let state = app.fleet().read();
    let named = state.intents.find(kind, name).ok_or_else(|| ActionError::not_found(kind.noun(), name))?;
    Ok(today(&state, named, &clocks, app.now()))
}

/// Every version of a document, newest first.
pub async fn list_versions(app: &App, _caller: &Caller, kind: IntentKind, name: &str) -> Result<Vec<IntentVersion>, ActionError> {
    let versions = app.database().read().await?.list_intent_versions(kind, name).await?;
    if versions.is_empty() { Err(ActionError::not_found(kind.noun(), name)) } else { Ok(versions) }
}

async fn clocks(app: &App) -> Result<BTreeMap<String, ClockRecord>, ActionError> {
    Ok(app.database().read().await?.list_clocks().await?.into_iter().map(|clock| (clock.name.clone(), clock)).collect())
}

/// Makes a document, or a new version of one; the same again makes none. What runs keeps to the version that it began with.
pub async fn save(app: &App, caller: &Caller, request: &SaveDocument) -> Result<SavedDocument, ActionError> {
    let intent =
        Intent::parse(&request.document).map_err(|error| ActionError::InvalidValue { field: "document", message: error.to_string(), hint: error.hint().map(str::to_owned) })?;
    let reason = request.reason.trim();
    if reason.len() > REASON_LENGTH_MAX || reason.contains(char::is_control) {
        return Err(ActionError::invalid("reason", format!("a reason is plain text of at most {REASON_LENGTH_MAX} bytes")));
    }
    let (kind, name) = (intent.kind(), intent.name().to_owned());
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let before = {
        let state = app.fleet().read();
        check_names(&state, &intent)?;
        let before = state.intents.find(kind, &name).cloned();
        if before.is_none() && state.intents.list(kind).count() >= DOCUMENTS_MAX {
            return Err(ActionError::invalid("document", format!("there are {DOCUMENTS_MAX} {} already", kind.plural())));
        }
        before
    };
    let is_same = before.as_ref().is_some_and(|before| before.intent == intent);
    let changes = if is_same { Vec::new() } else { changes(app, before.as_ref(), &intent) };
    let newest = app.database().read().await?.list_intent_versions(kind, &name).await?.first().map_or(0, |version| version.version);
    let named = NamedIntent { intent, version: newest + 1, changed_by: caller.actor.clone(), changed_at: now };
    if is_same || request.preview {
        let shown = before.filter(|_| is_same).unwrap_or(named);
        let clocks = clocks(app).await?;
        return Ok(SavedDocument { document: today(&app.fleet().read(), &shown, &clocks, now), changes });
    }
    let version =
        IntentVersion { kind, name, version: named.version, document: Some(named.intent.to_yaml()), changed_by: caller.actor.clone(), changed_at: now, reason: reason.to_owned() };
    let detail = format!("version {}: {reason}", named.version);
    put_in_force(app, version, before.as_ref(), Some(&named), detail).await?;
    let clocks = clocks(app).await?;
    Ok(SavedDocument { document: today(&app.fleet().read(), &named, &clocks, now), changes })
}

/// Writes a version with its clocks and its audit entry; from then on it is what holds.
async fn put_in_force(app: &App, version: IntentVersion, before: Option<&NamedIntent>, after: Option<&NamedIntent>, detail: String) -> Result<(), ActionError> {
    let IntentVersion { kind, ref name, changed_at: now, .. } = version;
    let mut tx = app.database().write().await?;
    tx.insert_intent_version(&version).await?;
    for (clock, _) in before.into_iter().flat_map(|before| due::first_times(&before.intent, now)) {
        tx.delete_clock(&clock).await?;
    }
    for (clock, next_at) in after.into_iter().flat_map(|after| due::first_times(&after.intent, now)) {
        if let Some(next_at) = next_at {
            tx.upsert_clock(&ClockRecord { name: clock, next_at, last_note: None }).await?;
        }
    }
    let action = format!("{}.{}", kind.noun(), if after.is_some() { "save" } else { "delete" });
    tx.append_audit(&AuditEntry { at: now, actor: version.changed_by.clone(), action, subject: name.clone(), detail }).await?;
    tx.commit().await?;
    app.fleet().write().place_intent(kind, name, after.cloned(), now);
    Ok(())
}

/// Takes a document out of force; its versions stay.
pub async fn delete(app: &App, caller: &Caller, kind: IntentKind, name: &str) -> Result<(), ActionError> {
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let (named, used_by) = {
        let state = app.fleet().read();
        let named = state.intents.find(kind, name).cloned().ok_or_else(|| ActionError::not_found(kind.noun(), name))?;
        let uses = state.intents.policies().filter(|policy| {
            (kind == IntentKind::Window && policy.windows.iter().any(|window| window == name))
                || (kind == IntentKind::Channel && policy.notify.iter().any(|channel| channel == name))
        });
        let used_by: Vec<_> = uses.map(|policy| policy.name.clone()).collect();
        (named, used_by)
    };
    if !used_by.is_empty() {
        let message = format!("the {} `{name}` is used by the policies {}", kind.noun(), used_by.join(", "));
        return Err(ActionError::InvalidValue { field: "name", message, hint: Some("change those first".to_owned()) });
    }
    let version =
        IntentVersion { kind, name: name.to_owned(), version: named.version + 1, document: None, changed_by: caller.actor.clone(), changed_at: now, reason: "deleted".to_owned() };
    put_in_force(app, version, Some(&named), None, String::new()).await
}

/// Names that a document uses have to be there.
fn check_names(state: &State, intent: &Intent) -> Result<(), ActionError> {
    let Intent::Policy(policy) = intent else { return Ok(()) };
    let missing = |noun: &str, name: &str| ActionError::invalid("document", format!("there is no {noun} `{name}`"));
    if let Some(name) = policy.windows.iter().find(|name| state.intents.find_window(name).is_none()) {
        return Err(missing("window", name));
    }
    if let Some(name) = policy.notify.iter().find(|name| state.intents.find(IntentKind::Channel, name).is_none()) {
        return Err(missing("channel", name));
    }
    for (system, name) in &policy.baselines {
        let named = state.baselines.find_by_name(name).ok_or_else(|| missing("baseline", name))?;
        if named.baseline.operating_system != *system {
            return Err(ActionError::invalid("document", format!("the baseline `{name}` is for {}, not for {}", named.baseline.operating_system.name(), system.name())));
        }
    }
    Ok(())
}

/// Whom a document is for.
fn targets(intent: &Intent) -> Option<&Selector> {
    match intent {
        Intent::Policy(policy) => Some(&policy.targets),
        Intent::Freeze(freeze) => Some(&freeze.targets),
        Intent::RebootGroup(group) => Some(&group.members),
        Intent::Window(_) | Intent::Channel(_) => None,
    }
}

/// What a new version changes, a sentence each.
fn changes(app: &App, before: Option<&NamedIntent>, after: &Intent) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(selector) = targets(after) {
        let old: Vec<NodeId> = before.and_then(|before| targets(&before.intent)).map(|old| operations::nodes_of(app, old)).unwrap_or_default();
        let new = operations::nodes_of(app, selector);
        let name = |id: &NodeId| app.fleet().read().find(id).map(|node| node.name.clone()).unwrap_or_default();
        for (verb, ids) in [("comes in", difference(&new, &old)), ("goes out", difference(&old, &new))] {
            match ids.as_slice() {
                [] => {}
                [one] => told.push(format!("{} {verb}", name(one))),
                [first, ..] => told.push(format!("{} nodes, {} among them: each {verb}", ids.len(), name(first))),
            }
        }
        if new.is_empty() {
            told.push("it is for no node that there is".to_owned());
        }
    }
    let text = before.map(|before| before.intent.to_yaml()).unwrap_or_default();
    let new_text = after.to_yaml();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(&text), lines(&new_text));
    told.extend(old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}")));
    told.extend(new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}")));
    told
}

fn difference(of: &[NodeId], without: &[NodeId]) -> Vec<NodeId> {
    // Both are sorted.
    of.iter().filter(|id| without.binary_search(id).is_err()).cloned().collect()
}

fn today(state: &State, named: &NamedIntent, clocks: &BTreeMap<String, ClockRecord>, now: Timestamp) -> DocumentToday {
    let NamedIntent { intent, version, changed_by, changed_at } = named;
    let nodes: Option<Vec<&Node>> = targets(intent).map(|selector| {
        let is_for = |node: &&Node| {
            !node.is_retired()
                && selector.selects(&state.placed(node))
                && (intent.kind() != IntentKind::Policy || state.policies_of(node).first().is_none_or(|acting| acting.name == intent.name()))
        };
        state.nodes.iter().filter(is_for).collect()
    });
    let mut words = state_words(intent, *changed_at, now);
    if let (Intent::Policy(policy), Some(nodes)) = (intent, &nodes) {
        words.push_str(&drift_words(state, policy, nodes));
    }
    DocumentToday {
        kind: intent.kind().noun().to_owned(),
        name: intent.name().to_owned(),
        version: *version,
        changed_by: changed_by.clone(),
        changed_at: changed_at.to_string(),
        summary: summary(intent),
        state: words,
        nodes: nodes.map(|nodes| u32::try_from(nodes.len()).unwrap_or(u32::MAX)),
        next: next_times(intent, clocks),
        document: intent.to_yaml(),
    }
}

/// Which nodes of a policy differ from what it says: `; 2 nodes differ from it: web-1, web-2`.
fn drift_words(state: &State, policy: &Policy, nodes: &[&Node]) -> String {
    let names: Vec<_> = nodes.iter().filter(|node| !state.drift(node, policy).is_empty()).map(|node| node.name.as_str()).collect();
    let n_more = names.len().saturating_sub(NAMES_MAX);
    let more = if n_more == 0 { String::new() } else { format!(" and {n_more} more") };
    match names.len() {
        0 => String::new(),
        1 => format!("; 1 node differs from it: {}", names[0]),
        n => format!("; {n} nodes differ from it: {}{more}", names[..n - n_more].join(", ")),
    }
}

fn next_times(intent: &Intent, clocks: &BTreeMap<String, ClockRecord>) -> Vec<NextTime> {
    let next = |what: &str, zone: &Zone| {
        let clock = clocks.get(&format!("{what} {}", intent.name()))?;
        Some(NextTime { what: what.to_owned(), at: clock.next_at.to_string(), local: zone.words(clock.next_at), last: clock.last_note.clone() })
    };
    match intent {
        Intent::Policy(policy) => {
            let scan = policy.scan.as_ref().and_then(|timing| next("scan", &timing.zone));
            scan.into_iter().chain(policy.install.as_ref().and_then(|timing| next("install", &timing.zone))).collect()
        }
        Intent::Window(window) => next("window", &window.zone).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// A sentence as a part of another.
fn lower(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn summary(intent: &Intent) -> String {
    match intent {
        Intent::Policy(policy) => {
            let timing = |verb: &str, timing: &domain::model::policy::Timing| format!("{verb} {}", lower(&timing.recurrence().words()));
            let parts = policy.scan.iter().map(|scan| timing("scan", scan)).chain(policy.install.iter().map(|install| timing("install", install)));
            let rings: Vec<_> = policy.rollout.rings.iter().map(|ring| ring.name.as_str()).collect();
            let rings = if rings.is_empty() { String::new() } else { format!("; rings {}", rings.join(", ")) };
            format!("{}: {}{rings}", policy.targets.words(), parts.collect::<Vec<_>>().join("; "))
        }
        Intent::Window(window) => format!("{}, for {} h, nothing begins in the last {} h", window.recurrence().words(), window.duration_hours, window.cutoff_hours),
        Intent::Freeze(freeze) => format!("{}, from {} until {}, by {}: {}", freeze.targets.words(), freeze.from, freeze.until, freeze.owner, freeze.reason),
        Intent::RebootGroup(group) => format!("{}: {} may be down at once", group.members.words(), group.max_down),
        Intent::Channel(channel) => match &channel.to {
            Destination::Webhook { url, .. } => format!("webhook {url}"),
            Destination::Slack { .. } => "Slack".to_owned(),
            Destination::Smtp { to, .. } => format!("mail to {}", to.join(", ")),
        },
    }
}

fn state_words(intent: &Intent, made_at: Timestamp, now: Timestamp) -> String {
    match intent {
        Intent::Window(window) => match window.current_or_next(now, made_at) {
            Some(opening) if opening.lets_begin(now) => format!("open, and lets work begin until {}", window.zone.words(opening.begins_until)),
            Some(opening) => format!("shut until {}", window.zone.words(opening.opens_at)),
            None => "does not open again".to_owned(),
        },
        Intent::Freeze(freeze) if freeze.holds(now) => format!("holds until {}", freeze.until),
        Intent::Freeze(freeze) if now < freeze.from => format!("begins {}", freeze.from),
        Intent::Freeze(_) => "is over".to_owned(),
        _ => "in force".to_owned(),
    }
}

/// What lies ahead: windows, freezes, scans and installs of policies.
pub fn calendar(app: &App, _caller: &Caller, days: Option<u32>) -> Result<Vec<CalendarEntry>, ActionError> {
    let days = days.unwrap_or(30);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(ActionError::invalid("days", format!("{days} is not from 1 to {DAYS_MAX}")));
    }
    let now = app.now();
    let end = now.plus_millis(i64::from(days) * DAY_MS);
    let state = app.fleet().read();
    let mut entries = Vec::new();
    for kind in [IntentKind::Window, IntentKind::Freeze, IntentKind::Policy] {
        for named in state.intents.list(kind) {
            let made_at = named.changed_at;
            let name = named.intent.name();
            let entry = |kind: &str, starts_at: Timestamp, ends_at: Option<Timestamp>, words: String| {
                (starts_at, CalendarEntry { kind: kind.to_owned(), name: name.to_owned(), starts_at: starts_at.to_string(), ends_at: ends_at.map(|at| at.to_string()), words })
            };
            let times = |next_after: &dyn Fn(Timestamp) -> Option<Timestamp>| {
                std::iter::successors(next_after(now), |at| next_after(*at)).take_while(|at| *at <= end).take(TIMES_MAX).collect::<Vec<_>>()
            };
            match &named.intent {
                Intent::Window(window) => {
                    let current = window.current_or_next(now, made_at).filter(|opening| opening.opens_at <= now).map(|opening| opening.opens_at);
                    for at in current.into_iter().chain(times(&|after| window.next_after(after, made_at))) {
                        let closes_at = window.opening_at(at).closes_at;
                        entries.push(entry("window", at, Some(closes_at), format!("{} to {}", window.zone.words(at), window.zone.words(closes_at))));
                    }
                }
                Intent::Freeze(freeze) if freeze.until > now && freeze.from <= end => {
                    entries.push(entry("freeze", freeze.from, Some(freeze.until), format!("{}, by {}: {}", freeze.targets.words(), freeze.owner, freeze.reason)));
                }
                Intent::Policy(policy) => {
                    for (what, timing) in [("scan", &policy.scan), ("install", &policy.install)] {
                        let Some(timing) = timing else { continue };
                        let recurrence = timing.recurrence();
                        entries.extend(times(&|after| recurrence.next_after(after, made_at)).into_iter().map(|at| entry(what, at, None, timing.zone.words(at))));
                    }
                }
                _ => {}
            }
        }
    }
    entries.sort_by(|a, b| (a.0, &a.1.kind, &a.1.name).cmp(&(b.0, &b.1.kind, &b.1.name)));
    entries.truncate(ENTRIES_MAX);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// Sends a channel something to try it; what came of it.
pub async fn test_channel(app: &App, caller: &Caller, name: &str) -> Result<SentNotification, ActionError> {
    if app.fleet().read().intents.find(IntentKind::Channel, name).is_none() {
        return Err(ActionError::not_found("channel", name));
    }
    let now = app.now();
    let subject = format!("{} tries the channel {name}", caller.actor);
    let news = notify::notification(app, name, Event::Test, &format!("test {now}"), &subject, "If you read this, it works.", now);
    let mut tx = app.database().write().await?;
    tx.insert_notification(&news).await?;
    tx.commit().await?;
    notify::send_due(app).await?;
    let sent = app.database().read().await?.list_notifications(NEWS_MAX).await?.into_iter().find(|sent| sent.id == news.id);
    Ok(sent_notification(sent.unwrap_or(news)))
}

/// The last news, newest first.
pub async fn list_notifications(app: &App, _caller: &Caller) -> Result<Vec<SentNotification>, ActionError> {
    Ok(app.database().read().await?.list_notifications(NEWS_MAX).await?.into_iter().map(sent_notification).collect())
}

fn sent_notification(notification: Notification) -> SentNotification {
    SentNotification {
        channel: notification.channel,
        event: notification.event,
        subject: notification.subject,
        at: notification.created_at.to_string(),
        sent_at: notification.sent_at.map(|at| at.to_string()),
        failure: notification.failure,
        attempts: notification.n_attempts,
    }
}

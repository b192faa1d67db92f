//! Baselines: those that ship with Fettle, which nobody can edit, and those that people write.

use std::collections::BTreeMap;

use api::v1::baseline::{AssignBaseline, BaselinePreview, PreviewBaseline, PreviewedNode, PreviewedPatch, SaveBaseline};
use domain::decide::assign::{PATCH_GROUP_LENGTH_MAX, policy_of};
use domain::decide::select::{self, Approval};
use domain::fleet::{Scope, StateChange, VersionNumber};
use domain::model::baseline::{Baseline, NamedBaseline};
use domain::model::compliance::PatchState;
use domain::model::id::BaselineId;
use domain::model::platform::OperatingSystem;
use domain::model::time::Timestamp;
use store::AuditEntry;
use store::baselines::BaselineVersion;

use crate::App;
use crate::actions::{ActionError, Caller, end_of_day};
use crate::fleet::State;

/// Longest reason of a change.
const REASON_LENGTH_MAX: usize = 1000;
/// Most baselines that people may have written.
const BASELINES_MAX: usize = 1000;
/// Nodes and patches of a preview.
const NODES_SHOWN_MAX: usize = 50;
const PATCHES_SHOWN_MAX: usize = 500;

/// A baseline and whom it judges, in words.
pub struct BaselineToday {
    /// The baseline.
    pub named: NamedBaseline,
    /// Whom it judges.
    pub judges: Vec<String>,
}

/// Every baseline: those that people wrote first, each kind by operating system and name.
pub fn list(app: &App, _caller: &Caller) -> Vec<BaselineToday> {
    let state = app.fleet().read();
    let mut all: Vec<_> = state.baselines.list().map(|named| today(&state, named)).collect();
    all.sort_by(|a, b| {
        let key = |today: &BaselineToday| (today.named.predefined, today.named.baseline.operating_system, today.named.baseline.name.clone());
        key(a).cmp(&key(b))
    });
    all
}

/// One baseline, by its id or name.
pub fn find(app: &App, _caller: &Caller, id: &str) -> Result<BaselineToday, ActionError> {
    let state = app.fleet().read();
    find_named(&state, id).map(|named| today(&state, named))
}

fn find_named<'a>(state: &'a State, id: &str) -> Result<&'a NamedBaseline, ActionError> {
    let by_id = id.parse::<BaselineId>().ok().and_then(|id| state.baselines.find(&id));
    by_id.or_else(|| state.baselines.find_by_name(id)).ok_or_else(|| ActionError::not_found("baseline", id))
}

fn today(state: &State, named: &NamedBaseline) -> BaselineToday {
    BaselineToday { named: named.clone(), judges: state.scopes_of(&named.id).iter().map(scope_words).collect() }
}

fn scope_words((system, group): &Scope) -> String {
    match group {
        Some(group) => match policy_of(group) {
            Some(policy) => format!("{} nodes of the policy {policy}", system.name()),
            None => format!("{} nodes of the patch group {group}", system.name()),
        },
        None => format!("{} nodes, as their default", system.name()),
    }
}

/// Every version of a baseline, newest first.
pub async fn list_versions(app: &App, caller: &Caller, id: &str) -> Result<Vec<BaselineVersion>, ActionError> {
    let found = find(app, caller, id)?.named;
    Ok(app.database().read().await?.list_baseline_versions(&found.id).await?)
}

/// Makes a baseline, or a new version of one; the same document again makes none. Every node that it is for
/// is judged by it when this returns.
pub async fn save(app: &App, caller: &Caller, id: Option<&str>, request: &SaveBaseline) -> Result<BaselineToday, ActionError> {
    let baseline = parse(&request.document)?;
    let reason = check_reason(&request.reason)?;
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let named = {
        let state = app.fleet().read();
        let edited = id.map(|id| find_named(&state, id)).transpose()?;
        if let Some(known) = state.baselines.find_by_name(&baseline.name).filter(|known| edited.is_none_or(|edited| edited.id != known.id)) {
            return Err(refuse("document", format!("there is a baseline `{}` already: {}", baseline.name, known.id), "give it another name, or save a new version of that one"));
        }
        match edited {
            None if state.baselines.list().filter(|named| !named.predefined).count() >= BASELINES_MAX => {
                return Err(ActionError::invalid("document", format!("there are {BASELINES_MAX} baselines already")));
            }
            None => NamedBaseline { id: app.create_id(|ids| BaselineId::create(ids, now)), predefined: false, version: 1, baseline },
            Some(edited) => {
                check_edit(edited, &baseline, request.edited_version)?;
                if edited.baseline == baseline {
                    return Ok(today(&state, edited));
                }
                NamedBaseline { version: edited.version + 1, baseline, ..edited.clone() }
            }
        }
    };
    let version = BaselineVersion {
        baseline_id: named.id.clone(),
        version: named.version,
        document: Some(named.baseline.clone()),
        changed_by: caller.actor.clone(),
        changed_at: now,
        reason: reason.clone(),
    };
    let mut tx = app.database().write().await?;
    tx.insert_baseline_version(&version).await?;
    let detail = format!("`{}`, version {}: {reason}", named.baseline.name, named.version);
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "baseline.save".to_owned(), subject: named.id.to_string(), detail }).await?;
    tx.commit().await?;
    let mut state = app.fleet().write();
    state.place_baseline(named.clone(), now);
    Ok(today(&state, &named))
}

fn check_edit(edited: &NamedBaseline, baseline: &Baseline, edited_version: Option<u32>) -> Result<(), ActionError> {
    if edited.predefined {
        return Err(refuse("baseline", format!("`{}` ships with Fettle and cannot be edited", edited.baseline.name), "save a copy of it under another name"));
    }
    if edited.baseline.operating_system != baseline.operating_system {
        let message = format!("`{}` is for {}, which cannot change", edited.baseline.name, edited.baseline.operating_system.name());
        return Err(refuse("document", message, "make another baseline for the other operating system"));
    }
    match edited_version {
        Some(version) if version != edited.version => {
            let message = format!("version {version} was edited, and somebody has saved version {} since", edited.version);
            Err(refuse("edited_version", message, "look at that version, and edit it"))
        }
        _ => Ok(()),
    }
}

/// Deletes a baseline that judges nobody. Its versions stay in the record.
pub async fn delete(app: &App, caller: &Caller, id: &str, reason: &str) -> Result<(), ActionError> {
    let reason = check_reason(reason)?;
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let named = {
        let state = app.fleet().read();
        let named = find_named(&state, id)?.clone();
        let uses = state.baselines.assignments.uses(&named.id);
        if named.predefined {
            return Err(refuse("baseline", format!("`{}` ships with Fettle and cannot be deleted", named.baseline.name), "choose another default instead"));
        }
        if !uses.is_empty() {
            return Err(refuse("baseline", format!("`{}` is {}", named.baseline.name, uses.join(", ")), "choose another baseline for these first"));
        }
        named
    };
    let version =
        BaselineVersion { baseline_id: named.id.clone(), version: named.version + 1, document: None, changed_by: caller.actor.clone(), changed_at: now, reason: reason.clone() };
    let mut tx = app.database().write().await?;
    tx.insert_baseline_version(&version).await?;
    let detail = format!("`{}`: {reason}", named.baseline.name);
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "baseline.delete".to_owned(), subject: named.id.to_string(), detail }).await?;
    tx.commit().await?;
    app.fleet().write().remove_baseline(&named.id);
    Ok(())
}

/// Every choice that somebody made: the scope and the baseline's name.
pub fn list_assignments(app: &App, _caller: &Caller) -> Vec<(Scope, String)> {
    let state = app.fleet().read();
    let name = |id: &BaselineId| state.baselines.find(id).map(|named| named.baseline.name.clone()).unwrap_or_default();
    let assignments = &state.baselines.assignments;
    let defaults = assignments.defaults.iter().map(|(system, id)| ((*system, None), name(id)));
    // What a policy names is a choice of the policy's.
    let groups = assignments.groups.iter().filter(|((_, group), _)| policy_of(group).is_none());
    defaults.chain(groups.map(|((system, group), id)| ((*system, Some(group.clone())), name(id)))).collect()
}

/// Chooses the baseline of a patch group, or of an operating system, or undoes the choice.
pub async fn assign(app: &App, caller: &Caller, request: &AssignBaseline) -> Result<(), ActionError> {
    let system = parse_system(&request.operating_system)?;
    let group = request.patch_group.as_deref().map(str::trim).filter(|group| !group.is_empty());
    if group.is_some_and(|group| group.len() > PATCH_GROUP_LENGTH_MAX || group.contains(char::is_control)) {
        return Err(ActionError::invalid("patch_group", format!("a patch group has a plain name of at most {PATCH_GROUP_LENGTH_MAX} bytes")));
    }
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let chosen = {
        let state = app.fleet().read();
        request.baseline.as_deref().map(|id| find_named(&state, id).cloned()).transpose()?
    };
    if let Some(named) = chosen.as_ref().filter(|named| named.baseline.operating_system != system) {
        let message = format!("`{}` is for {}, not for {}", named.baseline.name, named.baseline.operating_system.name(), system.name());
        return Err(ActionError::invalid("baseline", message));
    }
    let id = chosen.as_ref().map(|named| &named.id);
    let mut tx = app.database().write().await?;
    tx.assign_baseline(system, group, id).await?;
    let scope: Scope = (system, group.map(str::to_owned));
    let name = chosen.as_ref().map_or("none of its own", |named| named.baseline.name.as_str());
    let entry = AuditEntry {
        at: now,
        actor: caller.actor.clone(),
        action: "baseline.assign".to_owned(),
        subject: system.code().to_owned(),
        detail: format!("{}: {name}", scope_words(&scope)),
    };
    tx.append_audit(&entry).await?;
    tx.commit().await?;
    app.fleet().write().assign_baseline(&scope, id.cloned(), now);
    Ok(())
}

/// What a baseline would change, were it saved now. Nothing is.
pub fn preview(app: &App, _caller: &Caller, request: &PreviewBaseline) -> Result<BaselinePreview, ActionError> {
    let baseline = parse(&request.document)?;
    let now = app.now();
    let state = app.current_fleet(now);
    let edited = request.baseline.as_deref().map(|id| find_named(&state, id)).transpose()?;
    if let Some(edited) = edited {
        check_edit(edited, &baseline, None)?;
    }
    let scopes = edited.map_or_else(|| vec![(baseline.operating_system, None)], |edited| state.scopes_of(&edited.id));
    let mut preview = BaselinePreview { judges: scopes.iter().map(scope_words).collect(), warnings: warnings(&state, &baseline), ..BaselinePreview::default() };
    let mut patches = BTreeMap::<(VersionNumber, Option<PatchState>, Option<PatchState>), (Option<Timestamp>, u32)>::new();
    for scope in &scopes {
        let changed = state.index.preview(scope, &baseline, now);
        for node in state.nodes.iter().filter(|node| !node.is_retired()) {
            let Some(list) = node.list() else { continue };
            let Some(then) = changed.tallies.get(list.at()).copied().flatten() else { continue };
            let today = state.index.tally(list);
            preview.n_nodes += 1;
            let counter = match (state.index.is_non_compliant(list), then.is_non_compliant(changed.counts_available)) {
                (false, true) => &mut preview.n_newly_non_compliant,
                (true, false) => &mut preview.n_newly_compliant,
                _ => continue,
            };
            *counter += 1;
            if preview.nodes.len() < NODES_SHOWN_MAX {
                let id = node.record.id.to_string();
                preview.nodes.push(PreviewedNode { id, name: node.name.clone(), n_missing: today.n_missing(), n_missing_then: then.n_missing() });
            }
        }
        for StateChange { installed, about, before, after, changes_at, n_nodes } in changed.changes {
            let row = patches.entry((about.unwrap_or(installed), before, after)).or_insert((changes_at, 0));
            row.1 += n_nodes;
        }
    }
    preview.n_patches = u32::try_from(patches.len()).unwrap_or(u32::MAX);
    let mut patches: Vec<_> = patches.into_iter().collect();
    patches.sort_by_key(|(_, (_, n_nodes))| std::cmp::Reverse(*n_nodes));
    patches.truncate(PATCHES_SHOWN_MAX);
    let words = |state: Option<PatchState>| state.map(|state| state.code().to_owned()).unwrap_or_default();
    preview.patches = patches
        .into_iter()
        .map(|((version, before, after), (changes_at, n_nodes))| {
            let key = state.index.versions.key(version);
            PreviewedPatch {
                name: key.name.to_owned(),
                architecture: key.architecture.to_owned(),
                version: key.version.to_owned(),
                before: words(before),
                after: words(after),
                changes_at: changes_at.map(|until| until.to_string()),
                n_nodes,
            }
        })
        .collect();
    Ok(preview)
}

/// What a baseline can never do on the nodes that there are.
fn warnings(state: &State, baseline: &Baseline) -> Vec<String> {
    let mut platforms = BTreeMap::new();
    for system in state.nodes.iter().filter(|node| !node.is_retired()).filter_map(|node| state.system(node)) {
        if system.platform.operating_system == Some(baseline.operating_system) {
            platforms.entry(system.platform.product.clone()).or_insert_with(|| system.platform.clone());
        }
    }
    if platforms.is_empty() {
        return vec![format!("no node runs {}, so it judges none today", baseline.operating_system.name())];
    }
    // What is idle on every product is worth a word; what is idle on some is what filters are for.
    let mut idle = platforms.values().map(|platform| select::find_idle_rules(baseline, platform, state.index.catalog().covers(&platform.product)));
    let first = idle.next().unwrap_or_default();
    let others: Vec<_> = idle.collect();
    let subject = |problem: &domain::model::problem::Problem| problem.subject.clone();
    let everywhere = first.into_iter().filter(|problem| others.iter().all(|other| other.iter().any(|other| subject(other) == subject(problem))));
    let contradictions = baseline.approved_patches.iter().filter(|entry| baseline.rejected_patches.contains(entry));
    let contradictions = contradictions.map(|entry| format!("`{entry}` is in both lists: it is rejected"));
    let mut warnings: Vec<_> = everywhere.map(|problem| problem.message).chain(contradictions).collect();
    for number in state.index.idle_rules(baseline) {
        if !warnings.iter().any(|known| known.starts_with(&format!("rule {number} "))) {
            warnings.push(format!("rule {number} matches no patch that a node is offered today"));
        }
    }
    warnings
}

/// What a baseline says of a patch that a node is offered.
pub struct OfferedPatch<'s> {
    /// The product.
    pub product: String,
    /// Name, architecture and version.
    pub key: [&'s str; 3],
    /// The answer.
    pub approval: Approval<'s>,
}

/// What a baseline says of every patch that a node of its operating system is offered, now or at the end of a
/// day: `visit` gets them by product and name.
pub fn list_approvals<T>(app: &App, _caller: &Caller, id: &str, on: Option<&str>, visit: impl Fn(OfferedPatch) -> T) -> Result<Vec<T>, ActionError> {
    let now = app.now();
    let at = match on.map(str::trim).filter(|day| !day.is_empty()) {
        None => now,
        Some(day) => end_of_day("on", day)?,
    };
    let state = app.current_fleet(now);
    let named = find_named(&state, id)?;
    let mut found = Vec::new();
    state.index.select_offered(named.baseline.operating_system, &named.baseline, at, |product, version, approval| {
        let key = state.index.versions.key(version);
        found.push(OfferedPatch { product: product.to_owned(), key: [key.name, key.architecture, key.version], approval });
    });
    found.sort_by(|a, b| (&a.product, a.key).cmp(&(&b.product, b.key)));
    Ok(found.into_iter().map(visit).collect())
}

fn parse(document: &str) -> Result<Baseline, ActionError> {
    Baseline::parse(document).map_err(|error| ActionError::InvalidValue { field: "document", hint: error.hint().map(str::to_owned), message: error.to_string() })
}

fn parse_system(code: &str) -> Result<OperatingSystem, ActionError> {
    OperatingSystem::ALL.into_iter().find(|system| system.code() == code).ok_or_else(|| {
        let known = OperatingSystem::ALL.map(OperatingSystem::code).join(", ");
        refuse("operating_system", format!("`{}` is not an operating system that baselines are for", code.chars().take(60).collect::<String>()), &format!("these are: {known}"))
    })
}

fn check_reason(reason: &str) -> Result<String, ActionError> {
    let reason = reason.trim();
    if reason.len() > REASON_LENGTH_MAX || reason.contains(char::is_control) {
        return Err(ActionError::invalid("reason", format!("a reason is one line of at most {REASON_LENGTH_MAX} bytes")));
    }
    Ok(reason.to_owned())
}

fn refuse(field: &'static str, message: String, hint: &str) -> ActionError {
    ActionError::InvalidValue { field, message, hint: Some(hint.to_owned()) }
}

//! What an operation asks of each node: exact versions and how they are installed, or the run that is taken back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::v1::exception::GrantException;
use api::v1::operation::{HookNames, InstallWish};
use domain::decide::choose::choose_missing;
use domain::fleet::ListId;
use domain::model::id::{NodeId, OperationId};
use domain::model::node::Allows;
use domain::model::order::InstallWork;
use domain::model::override_list::OverrideList;
use domain::model::plan::{ConfigFiles, Extra, Hooks, OnFailure, RebootRule, ServiceRule, Terms};
use domain::model::platform::OperatingSystem;
use domain::model::receipt::{WayBack, names};
use domain::model::time::Timestamp;
use domain::model::transaction::{Action, Change};

use crate::App;
use crate::actions::{ActionError, Caller, exceptions, inventories, nodes};
use crate::fleet::{Node, State};

/// Most names of what to install.
const ONLY_MAX: usize = 100;
const NAME_LENGTH_MAX: usize = 128;

/// What is asked of one node.
#[derive(Debug, Clone)]
pub(crate) enum NodeWork {
    /// What the operation's kind says.
    Nothing,
    /// An install.
    Install(Arc<InstallWork>),
    /// It is left out, for this reason.
    LeftOut(String),
}

/// What an install asks of each node: what it lacks at this moment and is wished for, or what was agreed to. Nodes that were
/// not named one by one may be left out.
pub async fn of_install(app: &App, caller: &Caller, ids: &[NodeId], wish: &InstallWish, may_leave_out: bool) -> Result<Vec<NodeWork>, ActionError> {
    let terms = terms(wish)?;
    let list = wish.override_list.as_deref().map(OverrideList::parse).transpose().map_err(|error| ActionError::invalid("override_list", error.to_string()))?;
    if wish.only.len() > ONLY_MAX || wish.only.iter().any(|only| only.is_empty() || only.len() > NAME_LENGTH_MAX) {
        return Err(ActionError::invalid("only", format!("give at most {ONLY_MAX} names of 1 to {NAME_LENGTH_MAX} bytes")));
    }
    if [list.is_some(), !wish.only.is_empty(), wish.plan.is_some()].into_iter().filter(|given| *given).count() > 1 {
        return Err(ActionError::invalid("install", "give one of `only`, `override_list` and `plan`: each says what is installed"));
    }
    // Nodes with the same packages that are judged alike lack the same, and those that lack the same share what is asked.
    let mut missing = HashMap::<ListId, Vec<Change>>::new();
    let mut shared = HashMap::<Vec<Change>, Arc<InstallWork>>::new();
    let mut works = Vec::with_capacity(ids.len());
    for id in ids {
        match check_allowed(app, id, &terms) {
            Err(ActionError::InvalidValue { message, .. }) if may_leave_out => {
                works.push(NodeWork::LeftOut(format!("left out: {message}")));
                continue;
            }
            allowed => allowed?,
        }
        if let Some(plan) = &wish.plan {
            works.push(NodeWork::Install(Arc::new(agreed_work(app, plan, id).await?)));
            continue;
        }
        let changes = match &list {
            Some(list) => listed_changes(app, id, list).await?,
            None => missing_changes(app, caller, id, &wish.only, &mut missing).await?,
        };
        if changes.is_empty() && may_leave_out {
            works.push(NodeWork::LeftOut("left out: nothing is missing".to_owned()));
            continue;
        }
        let work = shared.entry(changes).or_insert_with_key(|changes| Arc::new(InstallWork { changes: changes.clone(), terms: terms.clone(), ..InstallWork::default() }));
        works.push(NodeWork::Install(work.clone()));
    }
    Ok(works)
}

/// The exact versions that a node lacks now: from the index, which every page shows; names of what is wanted are looked for
/// in all there is to say of its patches.
async fn missing_changes(app: &App, caller: &Caller, id: &NodeId, only: &[String], known: &mut HashMap<ListId, Vec<Change>>) -> Result<Vec<Change>, ActionError> {
    if only.is_empty() {
        return Ok(missing_now(&app.current_fleet(app.now()), id));
    }
    let list = app.fleet().read().find(id).and_then(Node::list);
    if let Some(changes) = list.and_then(|list| known.get(&list)) {
        return Ok(changes.clone());
    }
    let (_, report) = nodes::find(app, caller, id.as_str()).await?;
    let changes = choose_missing(&report.map(|report| report.patches).unwrap_or_default(), only);
    if let Some(list) = list {
        known.insert(list, changes.clone());
    }
    Ok(changes)
}

/// The exact versions that a node lacks.
pub(crate) fn missing_now(state: &State, id: &NodeId) -> Vec<Change> {
    let change = |number| {
        let key = state.index.versions.key(number);
        Change { name: key.name.to_owned(), architecture: key.architecture.to_owned(), version: key.version.to_owned() }
    };
    let list = state.find(id).and_then(Node::list);
    let mut changes: Vec<_> = list.into_iter().flat_map(|list| state.index.missing(list)).map(change).collect();
    changes.sort();
    changes
}

/// What a rollback asks of each node. The versions that go are held back there until someone lifts that.
pub async fn of_rollback(app: &App, caller: &Caller, ids: &[NodeId], operation_id: &OperationId, wish: &InstallWish) -> Result<Vec<NodeWork>, ActionError> {
    let terms = terms(wish)?;
    let mut held_back = BTreeMap::<(String, String), Vec<String>>::new();
    let mut works = Vec::with_capacity(ids.len());
    for id in ids {
        check_allowed(app, id, &terms)?;
        let receipt = app.database().read().await?.find_receipt(operation_id, id.as_str()).await?;
        let receipt = receipt.ok_or_else(|| ActionError::not_found("receipt", &format!("{operation_id} on {id}")))?;
        let WayBack { lost, .. } = &receipt.way_back;
        if !lost.is_empty() {
            let message = format!("node {id} cannot go back: it found no package of {}", names(lost));
            return Err(ActionError::InvalidValue { field: "rollback_of", message, hint: Some("add a repository that has them, or restore the node from a backup".to_owned()) });
        }
        for step in receipt.done.steps.iter().filter(|step| step.action != Action::Remove) {
            let version = (step.name.clone(), step.to.clone().unwrap_or_default());
            held_back.entry(version).or_default().push(id.to_string());
        }
        works.push(NodeWork::Install(Arc::new(InstallWork { takes_back: Some(operation_id.to_string()), terms: terms.clone(), ..InstallWork::default() })));
    }
    for ((name, version), nodes) in held_back {
        let exception = GrantException {
            patch: format!("{name}={version}"),
            decision: "REJECT".to_owned(),
            owner: caller.actor.clone(),
            reason: format!("taken back with {operation_id}"),
            until: UNTIL_LIFTED.to_owned(),
            nodes,
            ..GrantException::default()
        };
        exceptions::grant(app, caller, &exception).await?;
    }
    Ok(works)
}

/// A version that was taken back stays away until someone revokes the exception.
const UNTIL_LIFTED: &str = "9999-01-01";

/// What a node's own configuration does not allow is said before anything is asked.
fn check_allowed(app: &App, id: &NodeId, terms: &Terms) -> Result<(), ActionError> {
    let Allows { install, reboot, hooks } = app.fleet().read().find(id).ok_or_else(|| ActionError::not_found("node", id.as_str()))?.record.allows;
    let asked = [
        (true, install, "install", "installs"),
        (terms.reboot == RebootRule::Always, reboot, "reboot", "reboots"),
        (terms.hooks.names().next().is_some(), hooks, "hooks", "hooks"),
    ];
    match asked.into_iter().find(|(is_asked, is_allowed, ..)| *is_asked && !is_allowed) {
        None => Ok(()),
        Some((_, _, word, words)) => Err(ActionError::InvalidValue {
            field: "nodes",
            message: format!("node {id} does not allow {words}"),
            hint: Some(format!("its own configuration decides: add `{word}` to `allows` there, and start its agent again")),
        }),
    }
}

/// The work that a plan showed.
async fn agreed_work(app: &App, plan: &str, id: &NodeId) -> Result<InstallWork, ActionError> {
    let not_found = || ActionError::not_found("plan", &format!("{plan} for {id}"));
    let operation_id: OperationId = plan.parse().map_err(|_| not_found())?;
    let plan = app.database().read().await?.find_plan(&operation_id, id.as_str()).await?.ok_or_else(not_found)?;
    Ok(InstallWork { changes: plan.changes, takes_back: None, terms: plan.terms, planned: Some(plan.transaction) })
}

async fn listed_changes(app: &App, id: &NodeId, list: &OverrideList) -> Result<Vec<Change>, ActionError> {
    let Some(inventory) = inventories::read_current(app, id).await? else { return Ok(Vec::new()) };
    let scheme = inventory.platform.operating_system.map(OperatingSystem::scheme).unwrap_or_default();
    let chosen = list.choose(&inventory.available, scheme).into_iter();
    Ok(chosen.map(|version| Change { name: version.name.clone(), architecture: version.architecture.clone(), version: version.version.clone() }).collect())
}

/// How it is done, from the words of a request.
fn terms(wish: &InstallWish) -> Result<Terms, ActionError> {
    let HookNames { before, after, at_exit } = wish.hooks.clone();
    let hooks = Hooks { before, after, at_exit };
    if let Some(name) = hooks.names().find(|name| name.is_empty() || name.len() > NAME_LENGTH_MAX) {
        return Err(ActionError::invalid("hooks", format!("`{}` is no name of 1 to {NAME_LENGTH_MAX} bytes", name.chars().take(40).collect::<String>())));
    }
    let time = |field, text: &str| {
        Timestamp::parse_rfc3339(text)
            .ok_or_else(|| ActionError::invalid(field, format!("`{}` is no time such as 2026-12-01T02:00:00Z", text.chars().take(40).collect::<String>())))
    };
    let reboot = match wish.reboot.as_deref() {
        Some(at) if at.starts_with(|c: char| c.is_ascii_digit()) => RebootRule::At(time("reboot", at)?),
        word => pick("reboot", word, &[("IF_NEEDED", RebootRule::IfNeeded), ("NEVER", RebootRule::Never), ("ALWAYS", RebootRule::Always)])?,
    };
    Ok(Terms {
        extra: pick("allow", wish.allow.as_deref(), &[("DEPENDENCIES", Extra::Dependencies), ("NONE", Extra::None), ("AS_PLANNED", Extra::AsPlanned)])?,
        reboot,
        services: pick("services", wish.services.as_deref(), &[("RESTART", ServiceRule::Restart), ("LEAVE", ServiceRule::Leave)])?,
        hooks,
        config_files: pick("config_files", wish.config_files.as_deref(), &[("KEEP", ConfigFiles::Keep), ("REPLACE", ConfigFiles::Replace)])?,
        on_failure: pick("on_failure", wish.on_failure.as_deref(), &[("STOP", OnFailure::Stop), ("GO_ON", OnFailure::GoOn)])?,
        recover: wish.recover,
        pause_updaters: wish.pause_updaters,
        not_before: wish.not_before.as_deref().map(|text| time("not_before", text)).transpose()?,
        ends_by: wish.ends_by.as_deref().map(|text| time("ends_by", text)).transpose()?,
    })
}

/// The value of a word; without one, the first.
fn pick<T: Copy>(field: &'static str, word: Option<&str>, values: &[(&str, T)]) -> Result<T, ActionError> {
    let found = word.map_or(values.first(), |word| values.iter().find(|(known, _)| *known == word));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = values.iter().map(|(known, _)| *known).collect();
        ActionError::invalid(field, format!("`{}` is none of {}", word.unwrap_or_default().chars().take(40).collect::<String>(), known.join(", ")))
    })
}

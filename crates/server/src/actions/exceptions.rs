//! Exceptions: patches that are approved or rejected on some nodes for a while.

use api::v1::exception::GrantException;
use domain::model::baseline::{Decision, Exception};
use domain::model::exception::{EXCEPTIONS_MAX, GrantedException, NODES_MAX, Targets};
use domain::model::id::{AccountId, ExceptionId, NodeId, RegionId};
use domain::model::node::check_tags;
use domain::model::time::DAY_MS;
use store::AuditEntry;

use crate::App;
use crate::actions::nodes::parse_id;
use crate::actions::organization::{find_account, find_region};
use crate::actions::{ActionError, Caller};
use crate::fleet::State;

/// An exception as things stand now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionToday {
    /// The exception.
    pub granted: GrantedException,
    /// Whether it holds.
    pub holds: bool,
    /// For whom, in words.
    pub targets: String,
    /// Nodes that it is for.
    pub n_nodes: u32,
}

impl ExceptionToday {
    fn new(app: &App, state: &State, granted: GrantedException) -> Self {
        let holds = granted.holds(app.now());
        Self { targets: target_words(state, &granted.targets), n_nodes: if holds { state.n_nodes_of(&granted) } else { 0 }, holds, granted }
    }

    /// holds, ended or revoked.
    pub fn state(&self) -> &'static str {
        match (&self.granted.revoked, self.holds) {
            (Some(_), _) => "revoked",
            (None, true) => "holds",
            (None, false) => "ended",
        }
    }
}

/// Every exception, those that hold first, then the newest.
pub async fn list(app: &App, _caller: &Caller) -> Result<Vec<ExceptionToday>, ActionError> {
    let granted = app.database().read().await?.list_exceptions().await?;
    let state = app.fleet().read();
    let mut all: Vec<_> = granted.into_iter().rev().map(|(_, granted)| ExceptionToday::new(app, &state, granted)).collect();
    all.sort_by_key(|today| !today.holds);
    Ok(all)
}

/// An end is announced for so long.
pub const ANNOUNCED_MS: i64 = 14 * DAY_MS;

/// Exceptions that end soon, those of baselines and those for some nodes: whose it is, and the exception.
pub fn list_ending(app: &App, _caller: &Caller) -> Vec<(String, Exception)> {
    let now = app.now();
    let state = app.fleet().read();
    let of_baselines =
        state.baselines.list().flat_map(|named| named.baseline.ending_exceptions(now, ANNOUNCED_MS).map(|exception| (named.baseline.name.clone(), exception.clone())));
    let ends_soon = |granted: &&GrantedException| granted.holds(now) && granted.exception.ends_at().is_some_and(|end| end < now.plus_millis(ANNOUNCED_MS));
    let of_nodes = state.exceptions.values().filter(ends_soon).map(|granted| (target_words(&state, &granted.targets), granted.exception.clone()));
    of_baselines.chain(of_nodes).collect()
}

/// Grants an exception. It ends by itself.
pub async fn grant(app: &App, caller: &Caller, body: &GrantException) -> Result<ExceptionToday, ActionError> {
    let now = app.now();
    let decision = match body.decision.trim().to_ascii_uppercase().as_str() {
        "APPROVE" => Decision::Approve,
        "REJECT" => Decision::Reject,
        other => return Err(ActionError::invalid("decision", format!("`{}` is neither APPROVE nor REJECT", other.chars().take(40).collect::<String>()))),
    };
    let text = |text: &String| text.trim().to_owned();
    let exception = Exception { patch: text(&body.patch), decision, owner: text(&body.owner), reason: text(&body.reason), until: text(&body.until) };
    let mut wrong = Vec::new();
    exception.check("exception", &mut wrong);
    if let Some(first) = wrong.first() {
        return Err(ActionError::invalid("exception", first.clone()));
    }
    if exception.ends_at().is_none_or(|end| end < now) {
        return Err(ActionError::invalid("until", format!("{} is over", exception.until)));
    }
    check_tags(&body.tags).map_err(|error| ActionError::invalid("tags", error.to_string()))?;
    if body.nodes.len() > NODES_MAX {
        return Err(ActionError::invalid("nodes", format!("{} nodes are more than {NODES_MAX}: name a tag that they have", body.nodes.len())));
    }
    let _change = app.fleet().begin_change().await;
    let (number, targets) = {
        let state = app.fleet().read();
        let node = |id: &String| state.find(&parse_id(id)?).map(|node| node.record.id.clone()).ok_or_else(|| ActionError::not_found("node", id));
        let account = |name: &String| Ok(find_account(&state.organization, Some(name))?.into_iter().collect::<Vec<_>>());
        let region = |name: &String| Ok(find_region(&state.organization, Some(name))?.into_iter().collect::<Vec<_>>());
        let targets = Targets {
            nodes: body.nodes.iter().map(node).collect::<Result<_, ActionError>>()?,
            tags: body.tags.clone(),
            accounts: body.accounts.iter().map(account).collect::<Result<Vec<_>, ActionError>>()?.concat(),
            regions: body.regions.iter().map(region).collect::<Result<Vec<_>, ActionError>>()?.concat(),
        };
        if targets.is_empty() {
            return Err(ActionError::invalid("targets", "say for whom it is: nodes, tags, accounts or regions; what is for every node belongs into the baseline"));
        }
        if state.exceptions.len() >= EXCEPTIONS_MAX {
            return Err(ActionError::invalid("exception", format!("{EXCEPTIONS_MAX} exceptions hold, which is the limit")));
        }
        (state.next_exception(), targets)
    };
    let id = app.create_id(|ids| ExceptionId::create(ids, now));
    let granted = GrantedException { id, exception, targets, granted_by: caller.actor.clone(), granted_at: now, revoked: None };
    save(app, caller, number, &granted, "exception.grant").await?;
    let state = app.fleet().read();
    Ok(ExceptionToday::new(app, &state, granted))
}

/// Ends an exception before its day.
pub async fn revoke(app: &App, caller: &Caller, id: &str) -> Result<(), ActionError> {
    let _change = app.fleet().begin_change().await;
    let all = app.database().read().await?.list_exceptions().await?;
    let (number, mut granted) = all.into_iter().find(|(_, granted)| granted.id.as_str() == id).ok_or_else(|| ActionError::not_found("exception", id))?;
    if !granted.holds(app.now()) {
        return Err(ActionError::invalid("id", format!("`{id}` holds no more")));
    }
    granted.revoked = Some((app.now(), caller.actor.clone()));
    save(app, caller, number, &granted, "exception.revoke").await
}

async fn save(app: &App, caller: &Caller, number: u32, granted: &GrantedException, action: &str) -> Result<(), ActionError> {
    let now = app.now();
    let Exception { patch, decision, owner, reason, until } = &granted.exception;
    let detail = format!("{patch} is {} until {until} by {owner}: {reason}", decision.word());
    let mut tx = app.database().write().await?;
    tx.upsert_exception(number, granted).await?;
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: action.to_owned(), subject: granted.id.to_string(), detail }).await?;
    tx.commit().await?;
    app.fleet().write().place_exception(number, granted.clone(), now);
    Ok(())
}

fn target_words(state: &State, targets: &Targets) -> String {
    let organization = &state.organization;
    let node = |id: &NodeId| state.find(id).map_or_else(|| id.to_string(), |node| node.name.clone());
    let account = |id: &AccountId| organization.accounts.iter().find(|account| account.id == *id).map_or_else(|| id.to_string(), |account| account.name.clone());
    let region = |id: &RegionId| organization.regions.iter().find(|region| region.id == *id).map_or_else(|| id.to_string(), |region| region.name.clone());
    let tags: Vec<_> = targets.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let lists: [(&str, Vec<String>, &str); 4] = [
        ("", targets.nodes.iter().map(node).collect(), " or "),
        ("tagged ", tags, " and "),
        ("in account ", targets.accounts.iter().map(account).collect(), " or "),
        ("in region ", targets.regions.iter().map(region).collect(), " or "),
    ];
    let words = lists.iter().filter(|(_, names, _)| !names.is_empty()).map(|(before, names, between)| format!("{before}{}", names.join(between)));
    words.collect::<Vec<_>>().join(", ")
}

//! The organization: units, accounts, regions, and in which of them a node lives.

use domain::model::id::{AccountId, RegionId, UnitId};
use domain::model::organization::{Account, MEMBERS_MAX, Organization, OrganizationError, Region, Unit, check_name};
use store::{AuditEntry, WriteTx};

use crate::App;
use crate::actions::nodes::parse_id;
use crate::actions::{ActionError, Caller};

/// The whole tree.
pub fn read(app: &App, _caller: &Caller) -> Organization {
    app.fleet().read().organization.clone()
}

/// How many nodes that are not retired each account has.
pub fn count_nodes(app: &App, _caller: &Caller) -> Vec<(AccountId, u32)> {
    let state = app.fleet().read();
    let of = |account: &Account| state.nodes.iter().filter(|node| node.record.account_id == account.id && node.record.retired_at.is_none()).count();
    state.organization.accounts.iter().map(|account| (account.id.clone(), u32::try_from(of(account)).unwrap_or(u32::MAX))).collect()
}

/// Adds a unit below another, the root when none is named.
pub async fn create_unit(app: &App, caller: &Caller, name: &str, parent: Option<&str>) -> Result<Unit, ActionError> {
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let unit = {
        let organization = &app.fleet().read().organization;
        check_new("unit", name, organization.find_unit(name).is_some(), organization.units.len())?;
        let parent = find_parent(organization, parent)?;
        let id = app.create_id(|ids| UnitId::create(ids, now));
        organization.check_place(&id, Some(&parent)).map_err(|error| refuse("parent", &error))?;
        Unit { id, parent_id: Some(parent), name: name.to_owned() }
    };
    let mut tx = app.database().write().await?;
    tx.upsert_unit(&unit).await?;
    record(app, caller, &mut tx, "unit.create", unit.id.as_str(), name).await?;
    tx.commit().await?;
    app.fleet().write().organization.units.push(unit.clone());
    Ok(unit)
}

/// Adds an account to a unit, the root when none is named.
pub async fn create_account(app: &App, caller: &Caller, name: &str, unit: Option<&str>) -> Result<Account, ActionError> {
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let account = {
        let organization = &app.fleet().read().organization;
        check_new("account", name, organization.find_account(name).is_some(), organization.accounts.len())?;
        Account { id: app.create_id(|ids| AccountId::create(ids, now)), unit_id: find_parent(organization, unit)?, name: name.to_owned() }
    };
    let mut tx = app.database().write().await?;
    tx.upsert_account(&account).await?;
    record(app, caller, &mut tx, "account.create", account.id.as_str(), name).await?;
    tx.commit().await?;
    app.fleet().write().organization.accounts.push(account.clone());
    Ok(account)
}

/// Adds a region.
pub async fn create_region(app: &App, caller: &Caller, name: &str) -> Result<Region, ActionError> {
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let region = {
        let organization = &app.fleet().read().organization;
        check_new("region", name, organization.find_region(name).is_some(), organization.regions.len())?;
        Region { id: app.create_id(|ids| RegionId::create(ids, now)), name: name.to_owned() }
    };
    let mut tx = app.database().write().await?;
    tx.upsert_region(&region).await?;
    record(app, caller, &mut tx, "region.create", region.id.as_str(), name).await?;
    tx.commit().await?;
    app.fleet().write().organization.regions.push(region.clone());
    Ok(region)
}

/// Moves a unit or an account into another unit.
pub async fn move_member(app: &App, caller: &Caller, member: &str, unit: &str) -> Result<(), ActionError> {
    let _change = app.fleet().begin_change().await;
    let mut organization = app.fleet().read().organization.clone();
    let parent = find_parent(&organization, Some(unit))?;
    let mut tx = app.database().write().await?;
    if let Some(found) = organization.find_unit(member).cloned() {
        if found.parent_id.is_none() {
            return Err(ActionError::invalid("unit", "the root of the organization cannot be moved"));
        }
        organization.check_place(&found.id, Some(&parent)).map_err(|error| refuse("unit", &error))?;
        let moved = Unit { parent_id: Some(parent), ..found };
        tx.upsert_unit(&moved).await?;
        organization.units.iter_mut().filter(|unit| unit.id == moved.id).for_each(|unit| unit.clone_from(&moved));
    } else if let Some(found) = organization.find_account(member).cloned() {
        let moved = Account { unit_id: parent, ..found };
        tx.upsert_account(&moved).await?;
        organization.accounts.iter_mut().filter(|account| account.id == moved.id).for_each(|account| account.clone_from(&moved));
    } else {
        return Err(ActionError::not_found("unit or account", member));
    }
    record(app, caller, &mut tx, "organization.move", member, &format!("into {unit}")).await?;
    tx.commit().await?;
    let mut state = app.fleet().write();
    state.organization = organization;
    if state.intents.choose_baselines() {
        state.regroup_all(app.now());
    }
    Ok(())
}

/// Moves nodes into an account and a region: all of them, or none.
pub async fn move_nodes(app: &App, caller: &Caller, nodes: &[String], account: Option<&str>, region: Option<&str>) -> Result<usize, ActionError> {
    let _change = app.fleet().begin_change().await;
    let moved: Vec<_> = {
        let state = app.fleet().read();
        let (account_id, region_id) = (find_account(&state.organization, account)?, find_region(&state.organization, region)?);
        let place = |id: &String| {
            let mut record = state.find(&parse_id(id)?).ok_or_else(|| ActionError::not_found("node", id))?.record.clone();
            record.account_id = account_id.clone().unwrap_or(record.account_id);
            record.region_id = region_id.clone().unwrap_or(record.region_id);
            Ok::<_, ActionError>(record)
        };
        nodes.iter().map(place).collect::<Result<_, _>>()?
    };
    let mut tx = app.database().write().await?;
    for node in &moved {
        tx.upsert_node(node).await?;
        record(app, caller, &mut tx, "node.move", node.id.as_str(), &format!("{} {}", account.unwrap_or(""), region.unwrap_or(""))).await?;
    }
    tx.commit().await?;
    let n_moved = moved.len();
    let mut state = app.fleet().write();
    let now = app.now();
    for node in moved {
        let number = node.number;
        state.replace_record(node);
        state.regroup(number, now);
    }
    Ok(n_moved)
}

/// The account with this name; none when none is named.
pub(crate) fn find_account(organization: &Organization, name: Option<&str>) -> Result<Option<AccountId>, ActionError> {
    let known = || organization.accounts.iter().map(|account| account.name.as_str());
    name.map(|name| organization.find_account(name).map(|account| account.id.clone()).ok_or_else(|| unknown("account", name, known()))).transpose()
}

/// The region with this name; none when none is named.
pub(crate) fn find_region(organization: &Organization, name: Option<&str>) -> Result<Option<RegionId>, ActionError> {
    let known = || organization.regions.iter().map(|region| region.name.as_str());
    name.map(|name| organization.find_region(name).map(|region| region.id.clone()).ok_or_else(|| unknown("region", name, known()))).transpose()
}

fn unknown<'a>(noun: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> ActionError {
    let known: Vec<_> = known.take(10).collect();
    ActionError::InvalidValue {
        field: noun,
        message: format!("there is no {noun} `{}`", name.chars().take(60).collect::<String>()),
        hint: Some(format!("there are {}; `fettle {noun} create NAME` adds one", known.join(", "))),
    }
}

fn find_parent(organization: &Organization, name: Option<&str>) -> Result<UnitId, ActionError> {
    let root = || organization.units.iter().find(|unit| unit.parent_id.is_none());
    let unit = name.map_or_else(root, |name| organization.find_unit(name));
    unit.map(|unit| unit.id.clone()).ok_or_else(|| unknown("unit", name.unwrap_or_default(), organization.units.iter().map(|unit| unit.name.as_str())))
}

fn check_new(noun: &'static str, name: &str, taken: bool, n_members: usize) -> Result<(), ActionError> {
    check_name(name).map_err(|error| refuse("name", &error))?;
    if taken {
        return Err(refuse("name", &OrganizationError::Taken { noun, name: name.to_owned() }));
    }
    if n_members >= MEMBERS_MAX { Err(refuse("name", &OrganizationError::TooMany)) } else { Ok(()) }
}

fn refuse(field: &'static str, error: &OrganizationError) -> ActionError {
    ActionError::invalid(field, error.to_string())
}

async fn record(app: &App, caller: &Caller, tx: &mut WriteTx, action: &str, subject: &str, detail: &str) -> Result<(), ActionError> {
    let entry = AuditEntry { at: app.now(), actor: caller.actor.clone(), action: action.to_owned(), subject: subject.to_owned(), detail: detail.to_owned() };
    Ok(tx.append_audit(&entry).await?)
}

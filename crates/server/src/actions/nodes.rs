//! Nodes as they stand today.

use std::collections::{BTreeMap, HashSet};

use api::page::Cursor;
use api::v1::node::{EditTags, ListNodePatches, ListNodes, ListPage};
use domain::decide::assign::Through;
use domain::decide::judge::{self, LIST_AGE_DAYS_MAX};
use domain::model::baseline::NamedBaseline;
use domain::model::compliance::{Counts, PatchState, Reason, ReasonCode, Verdict};
use domain::model::id::NodeId;
use domain::model::node::{Allows, Presence, TagSource, check_tags};
use domain::model::patch::Classification;
use domain::model::policy::Drift;
use domain::model::scan_report::{BaselineSource, PatchRow, ScanReport};
use domain::model::time::Timestamp;
use store::AuditEntry;
use store::nodes::NodeEvent;

use crate::App;
use crate::actions::{ActionError, Caller, cut_page, decode_cursor, inventories, page_limit, parse_node_query, search_text};
use crate::fleet::{Node, NodeQuery, NodeSort, PagePlace, PageValue, Present, State};

/// A node with its verdict of today.
#[derive(Debug, Clone)]
pub struct NodeToday {
    /// Its number.
    pub number: u32,
    /// Its id.
    pub id: NodeId,
    /// Host name.
    pub name: String,
    /// Name of its account.
    pub account: String,
    /// Name of its region.
    pub region: String,
    /// Its tags with who gave each.
    pub tags: BTreeMap<String, (TagSource, String)>,
    /// Name of its operating system, when it has reported.
    pub platform: String,
    /// Product such as `Debian12`.
    pub product: String,
    /// Native architecture.
    pub architecture: String,
    /// Running kernel.
    pub kernel: Option<String>,
    /// What it lets be done to it.
    pub allows: Allows,
    /// The version of its agent; absent for the server's own machine.
    pub agent_version: Option<String>,
    /// When its certificate expires.
    pub certificate_expires_at: Option<Timestamp>,
    /// The node that it is a copy of.
    pub clone_of: Option<NodeId>,
    /// When it joined.
    pub enrolled_at: Timestamp,
    /// Whether it is heard of.
    pub presence: Presence,
    /// When it was last heard of.
    pub seen_at: Option<Timestamp>,
    /// When its inventory was last collected.
    pub last_scan_at: Option<Timestamp>,
    /// When it booted.
    pub booted_at: Option<Timestamp>,
    /// The verdict; unknown when the last scan is stale.
    pub verdict: Verdict,
    /// Whether the last scan is too old to prove anything.
    pub stale: bool,
    /// Installed packages.
    pub n_packages: u32,
    /// Patches by state.
    pub counts: Counts,
}

impl NodeToday {
    pub(crate) fn new(state: &State, node: &Node, present: &Present) -> Self {
        let (verdict, stale) = state.verdict(node, present.now, present.stale_before);
        let counts = state.tally(node).counts();
        let system = state.system(node);
        let name_of = |found: Option<&String>| found.cloned().unwrap_or_default();
        let organization = &state.organization;
        Self {
            number: node.record.number,
            id: node.record.id.clone(),
            name: node.name.clone(),
            account: name_of(organization.accounts.iter().find(|account| account.id == node.record.account_id).map(|account| &account.name)),
            region: name_of(organization.regions.iter().find(|region| region.id == node.record.region_id).map(|region| &region.name)),
            tags: node.all_tags().into_iter().map(|(key, (source, value))| (key.to_owned(), (source, value.to_owned()))).collect(),
            platform: system.map(|system| system.platform.name.clone()).unwrap_or_default(),
            product: system.map(|system| system.platform.product.clone()).unwrap_or_default(),
            architecture: system.map(|system| system.platform.architecture.clone()).unwrap_or_default(),
            kernel: system.and_then(|system| system.kernel.clone()),
            allows: node.record.allows,
            agent_version: node.record.agent_version.clone(),
            certificate_expires_at: node.record.certificate_expires_at,
            clone_of: node.record.clone_of.clone(),
            enrolled_at: node.record.enrolled_at,
            presence: present.presence(node),
            seen_at: node.seen_at(),
            last_scan_at: node.collected_at(),
            booted_at: node.booted_at,
            verdict,
            stale,
            n_packages: PatchState::ALL.into_iter().map(|state| counts.of(state)).sum(),
            counts,
        }
    }
}

/// A page of nodes.
pub struct NodePage {
    /// The nodes.
    pub nodes: Vec<NodeToday>,
    /// Cursor of the next page.
    pub next_cursor: Option<String>,
    /// Nodes on all pages.
    pub n_found: u32,
}

/// Lists nodes.
pub fn list(app: &App, _caller: &Caller, query: &ListNodes) -> Result<NodePage, ActionError> {
    let limit = page_limit(query.limit)?;
    let list = format!("nodes?{:?}", ListNodes { cursor: None, limit: None, ..query.clone() });
    let cursor = decode_cursor(query.cursor.as_deref(), &list)?;
    let present = app.present();
    let state = app.current_fleet(present.now);
    let mut node_query = parse_query(&state, query, limit as usize + 1)?;
    node_query.after = cursor.map(|cursor| page_place(node_query.sort, &cursor)).transpose()?;
    let (found, n_found) = state.list(&node_query, &present);
    let (found, next_cursor) = cut_page(found, limit, &list, |node| {
        let place = state.place(node, node_query.sort);
        let value = match place.value {
            PageValue::Number(number) => number.to_string(),
            PageValue::Text(text) => text,
        };
        Cursor { value, id: place.id.to_string() }
    });
    let nodes = found.into_iter().map(|node| NodeToday::new(&state, node, &present)).collect();
    Ok(NodePage { nodes, next_cursor, n_found })
}

/// Ids of all nodes that a query finds, when they are no more than `limit`.
pub fn find_ids(app: &App, _caller: &Caller, query: &ListNodes, limit: usize) -> Result<Vec<NodeId>, ActionError> {
    let present = app.present();
    let state = app.current_fleet(present.now);
    let node_query = parse_query(&state, query, limit)?;
    let ids: Vec<_> = state.find_all(&node_query, &present).map(|node| node.record.id.clone()).collect();
    if ids.len() > limit {
        return Err(ActionError::invalid("nodes", format!("the filter finds {} nodes, more than {limit}", ids.len())));
    }
    Ok(ids)
}

fn parse_query(state: &State, query: &ListNodes, limit: usize) -> Result<NodeQuery, ActionError> {
    let given = |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let organization = &state.organization;
    let unit = given(&query.unit).map(|name| organization.find_unit(&name).ok_or_else(|| ActionError::not_found("unit", &name))).transpose()?;
    let account = given(&query.account).map(|name| organization.find_account(&name).ok_or_else(|| ActionError::not_found("account", &name))).transpose()?;
    let region = given(&query.region).map(|name| organization.find_region(&name).ok_or_else(|| ActionError::not_found("region", &name))).transpose()?;
    let accounts = match (unit, account) {
        (None, None) => None,
        (None, Some(account)) => Some(vec![account.id.clone()]),
        (Some(unit), account) => {
            let below = organization.accounts_below(&unit.id).into_iter().cloned();
            Some(below.filter(|id| account.is_none_or(|account| account.id == *id)).collect())
        }
    };
    let tags = given(&query.tag).unwrap_or_default();
    let tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    Ok(NodeQuery {
        text: search_text(query.q.as_deref())?.map(|text| text.to_ascii_lowercase()),
        verdict: given(&query.verdict).as_deref().map(parse_verdict).transpose()?,
        presence: given(&query.presence).as_deref().map(parse_presence).transpose()?,
        accounts,
        region: region.map(|region| region.id.clone()),
        tags: tags.map(|tag| tag.split_once('=').map_or_else(|| (tag.to_owned(), None), |(key, value)| (key.to_owned(), Some(value.to_owned())))).collect(),
        product: given(&query.product),
        query: parse_node_query(query.query.as_deref().unwrap_or_default())?,
        sort: parse_sort(query.sort.as_deref())?,
        after: None,
        limit,
    })
}

/// One node with the judgement of its last report.
pub async fn find(app: &App, _caller: &Caller, id: &str) -> Result<(NodeToday, Option<ScanReport>), ActionError> {
    let present = app.present();
    let (today, assigned) = {
        let state = app.current_fleet(present.now);
        let node = state.find(&parse_id(id)?).ok_or_else(|| ActionError::not_found("node", id))?;
        let assigned = state.baseline_of(node);
        let excepted = |(named, through): (&NamedBaseline, Through)| {
            let mut named = named.clone();
            named.baseline.exceptions.extend(state.exceptions_of(node).cloned());
            (named, through)
        };
        (NodeToday::new(&state, node, &present), assigned.map(excepted))
    };
    let Some(inventory) = inventories::read_current(app, &today.id).await? else { return Ok((today, None)) };
    let judgement = judge::judge(&inventory, assigned.as_ref().map(|(named, _)| &named.baseline), LIST_AGE_DAYS_MAX, present.now);
    let reference = assigned.as_ref().map(|(named, through)| (&named.baseline, Some(named.id.to_string()), source(named, through)));
    let mut report = ScanReport::new(&inventory, reference, judgement);
    if today.stale {
        let text = format!("the last scan was on {}, too long ago to say anything", report.scanned_at);
        report.reasons.insert(0, Reason::new(ReasonCode::ScanStale, text));
    }
    Ok((today, Some(report)))
}

/// The policies that are for a node, the one that acts first, and how the node differs from what that says.
pub fn policies_of(app: &App, _caller: &Caller, id: &str) -> Result<(Vec<String>, Vec<Drift>), ActionError> {
    let state = app.fleet().read();
    let node = state.find(&parse_id(id)?).ok_or_else(|| ActionError::not_found("node", id))?;
    let policies = state.policies_of(node);
    let drift = policies.first().map(|acting| state.drift(node, acting)).unwrap_or_default();
    Ok((policies.into_iter().map(|policy| policy.name.clone()).collect(), drift))
}

/// A node's name; nothing of it is judged.
pub fn name_of(app: &App, _caller: &Caller, id: &str) -> Option<String> {
    app.fleet().read().find(&parse_id(id).ok()?).map(|node| node.name.clone())
}

/// Patches that a node's baseline approves and other nodes are offered, of packages that this one does not have: AWS
/// counts such as not applicable. Nothing where no baseline is for it.
pub fn count_not_applicable(app: &App, _caller: &Caller, id: &str, report: &ScanReport) -> Option<u32> {
    let now = app.now();
    let state = app.current_fleet(now);
    let node = state.find(&parse_id(id).ok()?)?;
    let (named, _) = state.baseline_of(node)?;
    let installed: HashSet<_> = report.patches.iter().map(|row| (row.name.as_str(), row.architecture.as_str())).collect();
    let mut n_patches = 0;
    state.index.select_offered(named.baseline.operating_system, &named.baseline, now, |product, version, approval| {
        let key = state.index.versions.key(version);
        n_patches += u32::from(product == report.platform.product && approval.is_approved() && !installed.contains(&(key.name, key.architecture)));
    });
    Some(n_patches)
}

fn source(named: &NamedBaseline, through: &Through) -> BaselineSource {
    if named.predefined && *through == Through::Predefined { BaselineSource::Predefined } else { BaselineSource::Assigned { version: named.version, through: through.words() } }
}

/// A page of a node's patches.
pub struct NodePatchPage {
    /// The system's id, under which the catalog keeps its versions.
    pub ecosystem: String,
    /// The rows.
    pub patches: Vec<PatchRow>,
    /// Cursor of the next page.
    pub next_cursor: Option<String>,
    /// Rows on all pages.
    pub n_found: usize,
}

/// Lists the patches of a node's last scan, most urgent first.
pub async fn list_patches(app: &App, caller: &Caller, id: &str, query: &ListNodePatches) -> Result<NodePatchPage, ActionError> {
    let (_, report) = find(app, caller, id).await?;
    let (ecosystem, mut rows) = report.map(|report| (report.platform.id, report.patches)).unwrap_or_default();
    let limit = page_limit(query.limit)?;
    let text = search_text(query.q.as_deref())?;
    let state = query.state.as_deref().filter(|state| !state.is_empty()).map(parse_state).transpose()?;
    let classification = query.classification.as_deref().filter(|word| !word.is_empty()).map(parse_classification).transpose()?;
    let list = format!("node-patches?{id}&{:?}&{:?}&{:?}", query.q, query.state, query.classification);
    let cursor = decode_cursor(query.cursor.as_deref(), &list)?;
    rows.retain(|row| {
        text.as_ref().is_none_or(|text| row.name.contains(text.as_str()))
            && state.is_none_or(|state| row.state == state)
            && classification.is_none_or(|classification| row.classification == classification)
    });
    rows.sort_by(|a, b| (a.state, &a.name, &a.architecture).cmp(&(b.state, &b.name, &b.architecture)));
    let n_found = rows.len();
    if let Some(cursor) = cursor {
        let start = rows.partition_point(|row| row_key(row) <= (cursor.value.clone(), cursor.id.clone()));
        rows.drain(..start);
    }
    rows.truncate(limit as usize + 1);
    let (patches, next_cursor) = cut_page(rows, limit, &list, |row| {
        let (value, id) = row_key(row);
        Cursor { value, id }
    });
    Ok(NodePatchPage { ecosystem, patches, next_cursor, n_found })
}

/// Place of a row in the list: states by urgency, then names.
fn row_key(row: &PatchRow) -> (String, String) {
    (format!("{}{}", row.state as u8, row.name), row.architecture.clone())
}

/// What happened to a node, newest first.
pub async fn list_events(app: &App, _caller: &Caller, id: &str, query: &ListPage) -> Result<Vec<NodeEvent>, ActionError> {
    let number = find_number(app, id)?;
    let limit = page_limit(query.limit)?;
    let mut events = app.database().read().await?.list_node_events(number, limit).await?;
    if events.len() < limit as usize {
        // Every node has this one; its record says all of it.
        let state = app.fleet().read();
        let record = &state.nodes[number as usize].record;
        let detail = record.activation_id.as_ref().map(|activation| format!("with activation {activation}")).unwrap_or_default();
        events.push(NodeEvent { node_number: number, at: record.enrolled_at, kind: "enrolled".to_owned(), detail });
    }
    Ok(events)
}

/// Adds and removes an operator's tags on many nodes: all of them, or none. How many changed.
pub async fn edit_tags(app: &App, caller: &Caller, edit: &EditTags) -> Result<usize, ActionError> {
    check_tags(&edit.set).map_err(|error| ActionError::invalid("set", error.to_string()))?;
    if edit.nodes.is_empty() || edit.nodes.len() > api::v1::operation::NODES_MAX {
        return Err(ActionError::invalid("nodes", format!("{} nodes are not from 1 to {}", edit.nodes.len(), api::v1::operation::NODES_MAX)));
    }
    if edit.set.is_empty() && edit.remove.is_empty() {
        return Err(ActionError::invalid("set", "there is no tag to set or remove"));
    }
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let mut changed = Vec::new();
    {
        let state = app.fleet().read();
        for id in &edit.nodes {
            let node = state.find(&parse_id(id)?).ok_or_else(|| ActionError::not_found("node", id))?;
            let mut tags: BTreeMap<_, _> =
                node.tags.iter().filter(|(_, (source, _))| *source == TagSource::Operator).map(|(key, (_, value))| (key.clone(), value.clone())).collect();
            let before = tags.clone();
            tags.retain(|key, _| !edit.remove.contains(key));
            tags.extend(edit.set.clone());
            check_tags(&tags).map_err(|error| ActionError::invalid("set", error.to_string()))?;
            if tags != before {
                changed.push((node.record.number, node.record.id.clone(), tags));
            }
        }
    }
    let mut tx = app.database().write().await?;
    for (number, id, tags) in &changed {
        tx.replace_tags(*number, TagSource::Operator, tags).await?;
        let detail = serde_json::to_string(tags).unwrap_or_default();
        tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "node.tag".to_owned(), subject: id.to_string(), detail }).await?;
    }
    // What an activation gave comes back when an operator's tag of the same key goes.
    let stored = tx.list_tags_of(&changed.iter().map(|(number, _, _)| *number).collect::<Vec<_>>()).await?;
    tx.commit().await?;
    let mut state = app.fleet().write();
    for (number, _, _) in &changed {
        let mut tags = BTreeMap::<String, (TagSource, String)>::new();
        for tag in stored.iter().filter(|tag| tag.node_number == *number) {
            if tags.get(&tag.key).is_none_or(|(source, _)| *source < tag.source) {
                tags.insert(tag.key.clone(), (tag.source, tag.value.clone()));
            }
        }
        state.nodes[*number as usize].tags = tags;
        state.regroup(*number, now);
    }
    Ok(changed.len())
}

/// Retires a node: its certificate is good for nothing from now on but to learn of that. What it
/// reported stays.
pub async fn retire(app: &App, caller: &Caller, id: &str) -> Result<(), ActionError> {
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let mut record = app.fleet().read().find(&parse_id(id)?).ok_or_else(|| ActionError::not_found("node", id))?.record.clone();
    if record.retired_at.is_some() {
        return Ok(());
    }
    record.retired_at = Some(now);
    let mut tx = app.database().write().await?;
    tx.upsert_node(&record).await?;
    tx.append_node_event(&NodeEvent { node_number: record.number, at: now, kind: "retired".to_owned(), detail: format!("by {}", caller.actor) }).await?;
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "node.retire".to_owned(), subject: id.to_owned(), detail: String::new() }).await?;
    tx.commit().await?;
    let number = record.number;
    app.fleet().write().replace_record(record);
    // An agent that waits for orders gets its last one.
    app.fleet().waker(number).notify_one();
    Ok(())
}

pub(crate) fn find_number(app: &App, id: &str) -> Result<u32, ActionError> {
    let state = app.fleet().read();
    Ok(state.find(&parse_id(id)?).ok_or_else(|| ActionError::not_found("node", id))?.record.number)
}

pub(crate) fn parse_id(id: &str) -> Result<NodeId, ActionError> {
    id.parse().map_err(|_| ActionError::not_found("node", id))
}

fn parse_sort(sort: Option<&str>) -> Result<NodeSort, ActionError> {
    match sort.unwrap_or_default() {
        "" | "missing" => Ok(NodeSort::Missing),
        "name" => Ok(NodeSort::Name),
        "last_scan" => Ok(NodeSort::LastReport),
        other => Err(ActionError::invalid("sort", format!("sort `{other}` is none of missing, name, last_scan"))),
    }
}

fn parse_verdict(text: &str) -> Result<Verdict, ActionError> {
    Verdict::parse(text).ok_or_else(|| ActionError::invalid("verdict", format!("verdict `{text}` is none of COMPLIANT, NON_COMPLIANT, UNKNOWN")))
}

fn parse_presence(text: &str) -> Result<Presence, ActionError> {
    Presence::parse(text).ok_or_else(|| ActionError::invalid("presence", format!("presence `{text}` is none of {}", Presence::ALL.map(Presence::word).join(", "))))
}

fn parse_state(text: &str) -> Result<PatchState, ActionError> {
    PatchState::parse(text).ok_or_else(|| ActionError::invalid("state", format!("state `{text}` is none of {}", PatchState::ALL.map(PatchState::code).join(", "))))
}

/// Reads a classification.
pub fn parse_classification(text: &str) -> Result<Classification, ActionError> {
    let known = || Classification::ALL.map(Classification::word).join(", ");
    Classification::parse(text).ok_or_else(|| ActionError::invalid("classification", format!("classification `{text}` is none of {}", known())))
}

fn page_place(sort: NodeSort, cursor: &Cursor) -> Result<PagePlace, ActionError> {
    let value = match sort {
        NodeSort::Name => PageValue::Text(cursor.value.clone()),
        NodeSort::Missing | NodeSort::LastReport => PageValue::Number(cursor.value.parse().map_err(|_| ActionError::InvalidCursor)?),
    };
    Ok(PagePlace { value, id: cursor.id.parse().map_err(|_| ActionError::InvalidCursor)? })
}

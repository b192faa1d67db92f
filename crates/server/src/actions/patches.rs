//! The catalog of patches, and the nodes that need them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use api::page::Cursor;
use api::v1::node::ListPage;
use api::v1::patch::ListPatches;
use domain::fleet::{PatchNodes, VersionNumber};
use domain::model::advisory::Advisory;
use domain::model::baseline::ComplianceLevel;
use domain::model::compliance::PatchState;
use domain::model::id::{NodeId, PatchId};
use domain::model::patch::{Classification, Severity};
use domain::model::time::Timestamp;

use crate::App;
use crate::actions::nodes::parse_classification;
use crate::actions::{ActionError, Caller, cut_page, decode_cursor, page_limit, search_text};
use crate::fleet::State;

/// A patch with the number of nodes that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its id.
    pub id: PatchId,
    /// Package name.
    pub name: String,
    /// Package architecture.
    pub architecture: String,
    /// The newer version.
    pub version: String,
    /// Source package.
    pub source: String,
    /// Vendor's classification.
    pub classification: Classification,
    /// Vendor's severity.
    pub severity: Severity,
    /// What the vendor's advisories say of it.
    pub advisory: Option<Arc<Advisory>>,
    /// Archive section.
    pub section: Option<String>,
    /// Archive priority.
    pub priority: Option<String>,
    /// Short name of its repository.
    pub repository: Option<String>,
    /// When a node was first offered it.
    pub first_seen_at: Timestamp,
    /// Nodes on which it is missing.
    pub n_missing: u32,
    /// Nodes on which it is known and not counted as missing.
    pub n_other: u32,
}

/// Lists patches that nodes need or are offered, those missing on most nodes first.
pub fn list(app: &App, _caller: &Caller, query: &ListPatches) -> Result<(Vec<Patch>, Option<String>), ActionError> {
    let limit = page_limit(query.limit)?;
    let list = format!("patches?{:?}&{:?}", query.q, query.classification);
    let after = decode_cursor(query.cursor.as_deref(), &list)?;
    let after = after.map(|cursor| Ok::<_, ActionError>((cursor.value.parse::<u32>().map_err(|_| ActionError::InvalidCursor)?, cursor.id))).transpose()?;
    let text = search_text(query.q.as_deref())?.map(|text| text.to_lowercase());
    let classification = query.classification.as_deref().filter(|word| !word.is_empty()).map(parse_classification).transpose()?;
    let state = app.current_fleet(app.now());
    let matches = |patch: &Patch| {
        text.as_ref().is_none_or(|text| patch.name.to_lowercase().contains(text) || patch.source.to_lowercase().contains(text))
            && classification.is_none_or(|classification| patch.classification == classification)
    };
    let mut patches: Vec<_> = state.index.count_patches().iter().map(|counted| patch(&state, counted)).filter(matches).collect();
    patches.sort_by(missing_on_most_first);
    if let Some((n_missing, id)) = after {
        patches.retain(|patch| patch.n_missing < n_missing || (patch.n_missing == n_missing && patch.id.as_str() > id.as_str()));
    }
    patches.truncate(limit as usize + 1);
    Ok(cut_page(patches, limit, &list, |patch| Cursor { value: patch.n_missing.to_string(), id: patch.id.to_string() }))
}

fn missing_on_most_first(a: &Patch, b: &Patch) -> Ordering {
    (b.n_missing, &a.id).cmp(&(a.n_missing, &b.id))
}

/// Missing patches, counted on each node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingPatches {
    /// Those that are missing on most nodes.
    pub most: Vec<Patch>,
    /// By the compliance level of the baseline that approves them.
    pub by_level: BTreeMap<ComplianceLevel, u64>,
    /// By the vendor's severity.
    pub by_severity: BTreeMap<Severity, u64>,
}

/// How many patches are missing, by severity, and the `n_most` that are missing on most nodes.
pub fn summarize_missing(app: &App, _caller: &Caller, n_most: usize) -> MissingPatches {
    let state = app.current_fleet(app.now());
    let mut missing = MissingPatches::default();
    for counted in state.index.count_patches().iter().filter(|counted| counted.n_missing > 0) {
        let patch = patch(&state, counted);
        *missing.by_severity.entry(patch.severity).or_default() += u64::from(counted.n_missing);
        for (level, n_nodes) in ComplianceLevel::ALL.into_iter().zip(counted.n_missing_by_level) {
            *missing.by_level.entry(level).or_default() += u64::from(n_nodes);
        }
        missing.most.push(patch);
    }
    missing.most.sort_by(missing_on_most_first);
    missing.most.truncate(n_most);
    missing
}

/// One patch.
pub fn find(app: &App, _caller: &Caller, id: &str) -> Result<Patch, ActionError> {
    let state = app.current_fleet(app.now());
    let version = find_version(&state, id)?;
    Ok(patch(&state, &state.index.count_patch(version)))
}

/// A node that a patch concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchNode {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Product such as `Debian12`.
    pub product: String,
    /// The state of the patch there.
    pub state: PatchState,
}

/// A page of the nodes that a patch concerns, each with the patch's state there.
pub fn list_nodes(app: &App, _caller: &Caller, id: &str, query: &ListPage) -> Result<(Vec<PatchNode>, Option<String>), ActionError> {
    let limit = page_limit(query.limit)?;
    let list = format!("patch-nodes?{id}");
    let after = decode_cursor(query.cursor.as_deref(), &list)?;
    let state = app.current_fleet(app.now());
    let states = state.index.states_of_patch(find_version(&state, id)?);
    let of_patch = |node: &crate::fleet::Node| states.get(node.list()?.at()).copied().flatten().filter(|_| !node.is_retired());
    let after = after.as_ref().map(|cursor| cursor.id.as_str());
    let found = state.in_order_after(after).filter_map(|node| Some((node, of_patch(node)?))).take(limit as usize + 1);
    let rows = found.map(|(node, patch_state)| PatchNode {
        id: node.record.id.clone(),
        name: node.name.clone(),
        product: state.system(node).map(|system| system.platform.product.clone()).unwrap_or_default(),
        state: patch_state,
    });
    Ok(cut_page(rows.collect(), limit, &list, |node: &PatchNode| Cursor { value: String::new(), id: node.id.to_string() }))
}

fn find_version(state: &State, id: &str) -> Result<VersionNumber, ActionError> {
    let not_found = || ActionError::not_found("patch", id);
    let patch_id: PatchId = id.parse().map_err(|_| not_found())?;
    state.index.versions.find_patch(&patch_id).ok_or_else(not_found)
}

fn patch(state: &State, counted: &PatchNodes) -> Patch {
    let key = state.index.versions.key(counted.version);
    let known = state.version(counted.version);
    let advisory = state.index.versions.advisory(counted.version);
    Patch {
        id: PatchId::of(key.ecosystem, key.name, key.architecture, key.version),
        name: key.name.to_owned(),
        architecture: key.architecture.to_owned(),
        version: key.version.to_owned(),
        source: known.facts.source.clone().unwrap_or_else(|| key.name.to_owned()),
        classification: state.index.versions.classification(counted.version),
        severity: advisory.map_or(Severity::Unspecified, |advisory| advisory.severity),
        advisory: advisory.cloned(),
        section: known.facts.section.clone(),
        priority: known.facts.priority.clone(),
        repository: known.repository.clone(),
        first_seen_at: known.first_seen_at,
        n_missing: counted.n_missing,
        n_other: counted.n_other,
    }
}

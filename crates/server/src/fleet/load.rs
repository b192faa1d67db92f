//! Reading the fleet from the store.

use std::collections::{BTreeMap, HashMap};

use domain::fleet::{PackageRow, VersionFacts, VersionKey};
use domain::model::baseline::NamedBaseline;
use domain::model::content::Content;
use domain::model::id::NodeId;
use domain::model::intent::Intent;
use domain::model::organization::{self, Organization};
use domain::model::section::{self, PerSection, Section};
use domain::model::time::Timestamp;
use store::contents::ContentBody;
use store::intents::IntentVersion;
use store::operations::InvocationState;
use store::reports::ReportRecord;
use store::{Database, ReadTx, StoreError};

use crate::fleet::prepare::READ;
use crate::fleet::{NamedIntent, Node, State};

/// Sections whose texts are kept as examples, because later ones are edits of them.
const EXAMPLES: [Section; 8] =
    [Section::System, Section::Packages, Section::Installed, Section::Available, Section::Repositories, Section::Services, Section::Condition, Section::Custom];

/// Reads everything.
pub async fn load(database: &Database, now: Timestamp) -> Result<State, StoreError> {
    let organization = load_organization(database).await?;
    let catalog = crate::feeds::load(database).await?;
    let mut tx = database.read().await?;
    let mut state = State { organization, ..State::default() };
    let stored = tx
        .list_baselines()
        .await?
        .into_iter()
        .filter_map(|version| Some(NamedBaseline { id: version.baseline_id, predefined: false, version: version.version, baseline: version.document? }));
    state.load_baselines(stored.collect(), tx.list_assignments().await?, now);
    state.load_intents(load_intents(&mut tx).await?, now);
    state.load_exceptions(tx.list_exceptions().await?, now);
    load_versions(&mut state, &mut tx).await?;
    state.index.set_catalog(catalog, now);
    load_contents(&mut state, &mut tx).await?;
    load_nodes(&mut state, &mut tx).await?;
    load_reports(&mut state, &mut tx, now).await?;
    if state.intents.choose_baselines() {
        state.regroup_all(now);
    }
    let (sequence, check_ins) = tx.list_check_ins().await?;
    state.check_in_sequence = sequence;
    for check_in in check_ins {
        if let Some(node) = state.nodes.get(check_in.node_number as usize) {
            node.collected(check_in.collected_at, check_in.lists_refreshed_at);
            node.saw(check_in.collected_at);
        }
    }
    for (invocations, at_work) in [(InvocationState::Pending, false), (InvocationState::Running, true)] {
        for id in tx.list_nodes_with_invocations(invocations).await? {
            let number = id.parse::<NodeId>().ok().and_then(|id| state.by_id.get(&id).copied());
            if at_work { state.at_work.extend(number) } else { state.awaited.extend(number) }
        }
    }
    Ok(state)
}

/// What operators want. A document that does not read any more is told, and left out.
async fn load_intents(tx: &mut ReadTx) -> Result<Vec<NamedIntent>, StoreError> {
    let read = |version: IntentVersion| {
        let intent = Intent::parse(version.document.as_deref().unwrap_or_default());
        let intent = intent.inspect_err(|error| tracing::error!(%error, "the {} `{}` does not read and counts for nothing", version.kind.noun(), version.name)).ok()?;
        Some(NamedIntent { intent, version: version.version, changed_by: version.changed_by, changed_at: version.changed_at })
    };
    Ok(tx.list_intents().await?.into_iter().filter_map(read).collect())
}

/// The organization; at the very first start it gets its root, one account and one region.
async fn load_organization(database: &Database) -> Result<Organization, StoreError> {
    let mut tx = database.read().await?;
    let found = Organization { units: tx.list_units().await?, accounts: tx.list_accounts().await?, regions: tx.list_regions().await? };
    if !found.units.is_empty() {
        return Ok(found);
    }
    drop(tx);
    let initial = organization::initial();
    let mut tx = database.write().await?;
    for unit in &initial.units {
        tx.upsert_unit(unit).await?;
    }
    for account in &initial.accounts {
        tx.upsert_account(account).await?;
    }
    for region in &initial.regions {
        tx.upsert_region(region).await?;
    }
    tx.commit().await?;
    Ok(initial)
}

async fn load_versions(state: &mut State, tx: &mut ReadTx) -> Result<(), StoreError> {
    for record in tx.list_versions().await? {
        let key = VersionKey { ecosystem: &record.ecosystem, name: &record.name, architecture: &record.architecture, version: &record.version };
        let facts = VersionFacts { facts: record.facts, first_seen_at: record.first_seen_at, classification: record.classification, repository: record.repository, advisory: None };
        let (number, _) = state.index.versions.number(&key, || facts);
        if number.0 != record.number {
            return Err(StoreError::Damaged { what: "version", detail: format!("version {} is missing or there twice", number.0) });
        }
    }
    state.n_stored_versions = state.index.versions.len();
    Ok(())
}

async fn load_contents(state: &mut State, tx: &mut ReadTx) -> Result<(), StoreError> {
    for (number, digest, edit_of) in tx.list_contents().await? {
        let before = edit_of.map(|of| state.known.get(of as usize).map(|(_, depth)| depth + 1));
        if number as usize != state.known.len() || before == Some(None) {
            return Err(StoreError::Damaged { what: "content", detail: format!("content {} is missing or is an edit of a later one", state.known.len()) });
        }
        state.known.push((digest, before.flatten().unwrap_or_default()));
        state.contents.insert(digest, number);
    }
    state.n_stored_contents = state.known.len();
    Ok(())
}

async fn load_nodes(state: &mut State, tx: &mut ReadTx) -> Result<(), StoreError> {
    let states: HashMap<_, _> = tx.list_node_states().await?.into_iter().map(|state| (state.node_number, state)).collect();
    for record in tx.list_nodes().await? {
        if record.number != state.next_number() {
            return Err(StoreError::Damaged { what: "node", detail: format!("node number {} is missing", state.next_number()) });
        }
        let stored = states.get(&record.number);
        let mut node = Node::new(record, stored.map(|state| state.name.clone()).unwrap_or_default());
        if let Some(stored) = stored {
            node.boot.clone_from(&stored.boot);
            node.booted_at = stored.booted_at;
            stored.seen_at.into_iter().for_each(|at| node.saw(at));
            stored.collected_at.into_iter().for_each(|at| node.collected(at, stored.lists_refreshed_at));
            node.unsaved = false.into();
        }
        state.insert(node);
    }
    for tag in tx.list_tags().await? {
        if let Some(node) = state.nodes.get_mut(tag.node_number as usize) {
            let known = node.tags.get(&tag.key).map(|(source, _)| *source);
            if known.is_none_or(|known| known < tag.source) {
                node.tags.insert(tag.key, (tag.source, tag.value));
            }
        }
    }
    for number in 0..state.nodes.len() {
        let cohort = state.cohort_of(&state.nodes[number]);
        state.nodes[number].cohort = cohort.into();
    }
    Ok(())
}

async fn load_reports(state: &mut State, tx: &mut ReadTx, now: Timestamp) -> Result<(), StoreError> {
    state.next_report = tx.next_report_number().await?;
    let reports = tx.list_current_reports().await?;
    let mut texts = Texts { bodies: tx.list_bodies().await?, ..Texts::default() };
    for report in reports {
        place_report(state, &mut texts, &report, now)?;
    }
    Ok(())
}

fn place_report(state: &mut State, texts: &mut Texts, report: &ReportRecord, now: Timestamp) -> Result<(), StoreError> {
    let damaged = |detail: String| StoreError::Damaged { what: "report", detail: format!("report {}: {detail}", report.number) };
    let mut digests = PerSection([domain::model::digest::Digest::from_bytes([0; 32]); Section::COUNT]);
    for section in Section::ALL {
        digests[section] = state.digest(report.sections[section]).ok_or_else(|| damaged(format!("its section {} is missing", section.word())))?;
    }
    let mut of_report = BTreeMap::new();
    // Most nodes have sections that another has had, and nothing has to be read for them.
    let known = PerSection(report.sections.0.map(Some));
    let wanted = READ.into_iter().filter(|section| state.must_read(report.node_number, *section, &known)).collect::<Vec<_>>();
    for section in wanted.iter().filter(|section| **section != Section::Packages) {
        of_report.insert(*section, texts.find(report.sections[*section])?);
    }
    let unknown = |_: &domain::model::section::PackageLine| VersionFacts {
        facts: domain::model::section::PackageFacts::default(),
        first_seen_at: now,
        classification: domain::model::patch::Classification::Other,
        repository: None,
        advisory: None,
    };
    let mut rows = None;
    if wanted.contains(&Section::Packages) {
        rows = match state.ecosystem(of_report.get(&Section::System), &digests) {
            Some(ecosystem) => texts.rows(state, &ecosystem, report.sections[Section::Packages])?,
            None => None,
        };
        if rows.is_none() {
            of_report.insert(Section::Packages, texts.find(report.sections[Section::Packages])?);
        }
    }
    let list = state.read_sections(&report.sections, &of_report, rows, report.node_number, unknown, now).map_err(|error| damaged(error.to_string()))?;
    if state.lacks_example(list) {
        for section in EXAMPLES {
            of_report.insert(section, texts.find(report.sections[section])?);
        }
        state.keep_example(list, &report.sections, &of_report);
    }
    state.index.join(list);
    let current = state.current_report(report.number, report.sections, &digests, list);
    let node = state.nodes.get_mut(report.node_number as usize).ok_or_else(|| damaged("its node is missing".to_owned()))?;
    node.set_report(current);
    Ok(())
}

/// Texts of contents. Whole ones are kept, because many are edits of them; of packages their rows.
#[derive(Default)]
struct Texts {
    bodies: HashMap<u32, ContentBody>,
    whole: HashMap<u32, Content>,
    rows: HashMap<String, HashMap<u32, Vec<PackageRow>>>,
}

impl Texts {
    /// The rows of a content of packages, without making the text of each edit; `None` when the text
    /// has to be read.
    fn rows(&mut self, state: &State, ecosystem: &str, number: u32) -> Result<Option<Vec<PackageRow>>, StoreError> {
        // The same lines mean other versions on other systems.
        let known = self.rows.entry(ecosystem.to_owned()).or_default();
        let mut edits = Vec::new();
        let mut at = number;
        while let Some(ContentBody::Edit { of, edit }) = self.bodies.get(&at).filter(|_| !known.contains_key(&at)) {
            if *of >= at {
                return Ok(None);
            }
            edits.push(edit.clone());
            at = *of;
        }
        let mut rows = if let Some(rows) = known.get(&at) {
            rows.clone()
        } else {
            let content = self.find(at)?;
            let rows = section::read_packages(&content).ok().and_then(|lines| lines.iter().map(|line| state.find_row(ecosystem, line)).collect::<Option<Vec<_>>>());
            let Some(rows) = rows else { return Ok(None) };
            self.rows.entry(ecosystem.to_owned()).or_default().insert(at, rows.clone());
            rows
        };
        for edit in edits.iter().rev() {
            if state.apply_to_rows(&mut rows, ecosystem, edit).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(rows))
    }

    fn find(&mut self, number: u32) -> Result<Content, StoreError> {
        let damaged = |detail: String| StoreError::Damaged { what: "content", detail: format!("content {number}: {detail}") };
        if let Some(content) = self.whole.get(&number) {
            return Ok(content.clone());
        }
        match self.bodies.get(&number) {
            None => Err(damaged("it is missing".to_owned())),
            Some(ContentBody::Whole(text)) => {
                let content = Content::parse(text.clone()).map_err(|error| damaged(error.to_string()))?;
                self.whole.insert(number, content.clone());
                Ok(content)
            }
            Some(ContentBody::Edit { of, edit }) => {
                let (of, edit) = (*of, edit.clone());
                if of >= number {
                    return Err(damaged(format!("it is an edit of {of}")));
                }
                self.find(of)?.apply(&edit).map_err(|error| damaged(error.to_string()))
            }
        }
    }
}

//! Writing reports: one task gathers what has arrived, commits it, then answers everyone.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use domain::fleet::{Like, ListId, PackageRow, VersionFacts, VersionKey, VersionNumber};
use domain::model::content::Content;
use domain::model::inventory::Reboot;
use domain::model::patch::Classification;
use domain::model::section::{self, PerSection, ReportDigest, Section, SectionError};
use domain::model::time::Timestamp;
use hashbrown::hash_map::Entry;
use store::contents::NewContent;
use store::nodes::NodeState;
use store::reports::{CheckIn, ReportRecord};
use store::versions::VersionRecord;
use store::{Database, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::fleet::node::CurrentReport;
use crate::fleet::prepare::{self, IncomingReport, Lacking, Prepared, ReportError};
use crate::fleet::{Example, Fleet, State, load};

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored for good.
    Recorded,
    /// The server needs more.
    Lacking(Lacking),
}

/// What waits to be written.
pub(super) enum Work {
    Report(Box<Prepared>, oneshot::Sender<Result<(), ReportError>>),
    CheckIn(CheckIn, oneshot::Sender<bool>),
}

/// Most pieces of work in one commit.
const BATCH_MAX: usize = 1024;
/// How long more work is waited for: a commit costs the same for one report and for hundreds.
const GATHER: Duration = Duration::from_millis(5);
/// A report of each whole list is kept in memory for this many lists.
const EXAMPLES_MAX: usize = 4096;

impl Fleet {
    /// Takes a report in. It is stored for good when this says so.
    pub async fn record(&self, database: &Database, report: IncomingReport) -> Result<Outcome, ReportError> {
        let prepared = match prepare::prepare(self, database, report).await {
            Ok(prepared) => prepared,
            Err(Ok(lacking)) => return Ok(Outcome::Lacking(lacking)),
            Err(Err(error)) => return Err(error),
        };
        let (answer, answered) = oneshot::channel();
        self.work.try_send(Work::Report(Box::new(prepared), answer)).map_err(|_| ReportError::Busy)?;
        answered.await.map_err(|_| ReportError::Busy)?.map(|()| Outcome::Recorded)
    }

    /// Takes in that nothing changed, when the server has that very report; whether it has.
    pub async fn check_in(&self, node_number: u32, digest: ReportDigest, collected_at: Timestamp, lists_refreshed_at: Option<Timestamp>) -> Result<bool, ReportError> {
        {
            let state = self.read();
            let node = state.nodes.get(node_number as usize);
            let current = node.and_then(|node| Some((node, node.report.as_ref()?))).filter(|(_, report)| report.digest == digest);
            let Some((node, _)) = current else { return Ok(false) };
            // A clock that runs ahead must not make a report look fresh for ever.
            node.collected(collected_at.min(self.clock.now()), lists_refreshed_at);
        }
        let (answer, answered) = oneshot::channel();
        let check_in = CheckIn { node_number, collected_at, lists_refreshed_at };
        self.work.try_send(Work::CheckIn(check_in, answer)).map_err(|_| ReportError::Busy)?;
        if answered.await.unwrap_or_default() { Ok(true) } else { Err(ReportError::Busy) }
    }

    /// Writes down when nodes were last heard of, and forgets the check-ins that this replaces.
    pub async fn save_states(&self, database: &Database) -> Result<usize, StoreError> {
        let _change = self.begin_change().await;
        let (states, up_to) = {
            let state = self.read();
            let unsaved = state.nodes.iter().filter(|node| node.unsaved.swap(false, std::sync::atomic::Ordering::Relaxed));
            (unsaved.map(super::Node::state).collect::<Vec<_>>(), state.check_in_sequence)
        };
        let mut tx = database.write().await?;
        tx.upsert_node_states(&states).await?;
        tx.delete_check_ins(up_to).await?;
        tx.commit().await?;
        Ok(states.len())
    }
}

/// Writes what arrives until the fleet is gone.
pub(super) async fn write_reports(fleet: Weak<Fleet>, database: Database, mut waiting: mpsc::Receiver<Work>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        if batch.len() < BATCH_MAX {
            tokio::time::sleep(GATHER).await;
            while batch.len() < BATCH_MAX
                && let Ok(work) = waiting.try_recv()
            {
                batch.push(work);
            }
        }
        let Some(fleet) = fleet.upgrade() else { return };
        write_batch(&fleet, &database, batch.drain(..)).await;
    }
}

async fn write_batch(fleet: &Arc<Fleet>, database: &Database, batch: impl Iterator<Item = Work>) {
    let now = fleet.clock.now();
    let _change = fleet.begin_change().await;
    let mut rows = Rows::default();
    let mut reported = Vec::new();
    let mut checked_in = Vec::new();
    {
        let mut state = fleet.write();
        rows.first_report = state.next_report;
        for work in batch {
            match work {
                // Its numbers may be others' by now; the agent sends it again.
                Work::Report(prepared, answer) if prepared.n_reloads != state.n_reloads => drop(answer.send(Err(ReportError::Busy))),
                Work::Report(prepared, answer) => match state.apply(*prepared, &mut rows, now) {
                    Ok(()) => reported.push(answer),
                    Err(error) => drop(answer.send(Err(error.into()))),
                },
                Work::CheckIn(check_in, answer) => {
                    rows.check_ins.push(check_in);
                    checked_in.push(answer);
                }
            }
        }
        state.take_versions(&mut rows);
        state.check_in_sequence += 1;
        rows.sequence = state.check_in_sequence;
        state.forget_unused();
    }
    match rows.store(database).await {
        Ok(()) => {
            let mut state = fleet.write();
            state.n_stored_contents = state.known.len();
            drop(state);
            // Whoever has gone away needs no answer.
            for answer in reported {
                let _ = answer.send(Ok(()));
            }
            for answer in checked_in {
                let _ = answer.send(true);
            }
        }
        Err(error) => {
            // What is in memory was not stored: begin again from what was.
            tracing::error!(%error, "reports could not be stored; reading the fleet again");
            match load::load(database, now).await {
                Ok(mut state) => {
                    let mut known = fleet.write();
                    state.n_reloads = known.n_reloads + 1;
                    *known = state;
                }
                Err(error) => tracing::error!(%error, "the fleet could not be read again"),
            }
            for answer in reported {
                let _ = answer.send(Err(ReportError::Busy));
            }
            for answer in checked_in {
                let _ = answer.send(false);
            }
        }
    }
}

#[derive(Default)]
struct Rows {
    versions: Vec<VersionRecord>,
    contents: Vec<NewContent>,
    reports: Vec<ReportRecord>,
    /// By node: a node may report twice in one batch.
    states: BTreeMap<u32, NodeState>,
    check_ins: Vec<CheckIn>,
    sequence: i64,
    first_report: u32,
}

impl Rows {
    async fn store(self, database: &Database) -> Result<(), StoreError> {
        let mut tx = database.write().await?;
        tx.insert_versions(&self.versions).await?;
        tx.insert_contents(&self.contents).await?;
        tx.insert_reports(&self.reports).await?;
        tx.upsert_node_states(&self.states.into_values().collect::<Vec<_>>()).await?;
        if !self.check_ins.is_empty() {
            tx.append_check_ins(self.sequence, self.first_report, &self.check_ins).await?;
        }
        tx.commit().await
    }
}

impl State {
    /// Puts a report in, and notes the rows to store.
    fn apply(&mut self, prepared: Prepared, rows: &mut Rows, now: Timestamp) -> Result<(), SectionError> {
        let Prepared { node_number, heading, boot, digests, texts, mut edits, rows: known_rows, facts, n_reloads: _ } = prepared;
        let node = &mut self.nodes[node_number as usize];
        let collected_at = heading.collected_at.min(now);
        let boot = boot.or_else(|| node.boot.clone());
        let is_renewed = (&node.name, node.booted_at, &node.boot) != (&heading.name, heading.booted_at, &boot);
        if node.name != heading.name {
            node.name = heading.name;
            self.names.take();
        }
        node.booted_at = heading.booted_at;
        node.boot = boot;
        node.saw(now);
        node.collected(collected_at, heading.lists_refreshed_at);
        // The times go with those of check-ins: many nodes in one row.
        rows.check_ins.push(CheckIn { node_number, collected_at, lists_refreshed_at: heading.lists_refreshed_at });
        if node.report.as_ref().is_some_and(|report| report.digest == ReportDigest::of(&digests)) {
            return Ok(());
        }
        // The rows of packages are needed before their content has a number.
        let ecosystem_facts = |line: &section::PackageLine| VersionFacts {
            facts: facts.get(&line.key()).cloned().unwrap_or_default(),
            first_seen_at: now,
            classification: Classification::Other,
            repository: None,
            advisory: None,
        };
        let numbers = self.number_contents(&digests);
        let list = self.read_sections(&numbers, &texts, known_rows, node_number, ecosystem_facts, now).inspect_err(|_| self.forget_unstored())?;
        let similar = self.examples.get(&self.index.whole_of(list)).map(|example| example.contents.clone()).unwrap_or_default();
        let empty = Content::default();
        for section in Section::ALL {
            if numbers[section] as usize == self.known.len() {
                let text = texts.get(&section).unwrap_or(&empty);
                let (body, depth) = prepare::store_as(text, edits.remove(&section), similar[section].as_ref(), |of| self.known[of as usize].1);
                self.known.push((digests[section], depth));
                self.contents.insert(digests[section], numbers[section]);
                rows.contents.push(NewContent { number: numbers[section], digest: digests[section], body, first_seen_at: now });
            }
        }
        self.keep_example(list, &numbers, &texts);

        let number = self.next_report;
        self.next_report += 1;
        rows.reports.push(ReportRecord { number, node_number, collected_at: heading.collected_at, received_at: now, sections: numbers });
        let report = self.current_report(number, numbers, &digests, list);
        self.index.join(list);
        if let Some(old) = self.nodes[node_number as usize].report.as_ref().map(|report| report.list) {
            self.index.leave(old);
        }
        self.nodes[node_number as usize].set_report(report);
        if self.intents.choose_baselines() {
            // What it runs is known now, and a policy may look at that.
            self.regroup(node_number, now);
        }
        if is_renewed {
            rows.states.insert(node_number, self.nodes[node_number as usize].state());
        }
        Ok(())
    }

    /// The numbers of a report's contents; new ones are numbered in the order of the sections.
    fn number_contents(&self, digests: &PerSection<domain::model::digest::Digest>) -> PerSection<u32> {
        let mut next = u32::try_from(self.known.len()).expect("there are fewer than four billion contents");
        let mut given = BTreeMap::new();
        PerSection(Section::ALL.map(|section| {
            let digest = digests[section];
            self.number_of(&digest).or_else(|| given.get(&digest).copied()).unwrap_or_else(|| {
                given.insert(digest, next);
                next += 1;
                next - 1
            })
        }))
    }

    /// Computes what follows from sections that were not read before; the node's list.
    pub(super) fn read_sections(
        &mut self,
        numbers: &PerSection<u32>,
        texts: &BTreeMap<Section, Content>,
        known_rows: Option<Vec<PackageRow>>,
        node_number: u32,
        facts: impl Fn(&section::PackageLine) -> VersionFacts,
        now: Timestamp,
    ) -> Result<ListId, SectionError> {
        let (packages, available) = (numbers[Section::Packages], numbers[Section::Available]);
        let empty = Content::default();
        let text = |section: Section| texts.get(&section).unwrap_or(&empty);
        if let Entry::Vacant(unknown) = self.systems.entry(numbers[Section::System]) {
            unknown.insert(Arc::new(section::read_system(text(Section::System))?));
        }
        let system = self.systems[&numbers[Section::System]].clone();
        let cohort = self.nodes.get(node_number as usize).map(|node| node.cohort.clone()).unwrap_or_default();
        let context = self.index.context(&system.platform, &cohort);
        if let Entry::Vacant(unknown) = self.reboots.entry(numbers[Section::Condition]) {
            unknown.insert(matches!(section::read_reboot(text(Section::Condition))?, Reboot::Pending { .. }));
        }
        if let Entry::Vacant(unknown) = self.fact_tags.entry(numbers[Section::Custom]) {
            unknown.insert(Arc::new(section::read_tags(text(Section::Custom))?));
        }
        let vouched = (available, numbers[Section::Repositories]);
        let must_parse = !self.available.contains_key(&(context, available)) || !self.vouched.contains_key(&vouched);
        if must_parse {
            let set = section::read_available(text(Section::Available))?;
            if let Entry::Vacant(unknown) = self.vouched.entry(vouched) {
                unknown.insert(section::vouched_until(&set.repositories, text(Section::Repositories), system.platform.operating_system)?);
            }
            let places: Arc<[String]> = set.repositories.iter().map(|repository| repository.uri.clone()).collect();
            let places = self.known_repositories.get(&places).cloned().unwrap_or(places);
            self.known_repositories.insert(places.clone());
            self.repositories.insert(available, places);
            let before = self.index.versions.len();
            let rows = self.index.read_available(context, &set, now);
            self.changed_versions.extend(rows.versions().filter(|number| (number.0 as usize) < before));
            self.available.insert((context, available), Arc::new(rows));
        }
        if let Some(list) = self.lists.get(&(context, packages, available)) {
            return Ok(*list);
        }
        let rows: Vec<PackageRow> = match (known_rows, texts.get(&Section::Packages), self.list_of_packages.get(&(context, packages))) {
            (Some(rows), _, _) => rows,
            (None, None, Some(list)) => self.index.packages(*list),
            (None, text, _) => section::read_packages(text.unwrap_or(&empty))?
                .into_iter()
                .map(|line| {
                    let key = VersionKey { ecosystem: &system.platform.id, name: line.name, architecture: line.architecture, version: line.version };
                    PackageRow { version: self.index.versions.number(&key, || facts(&line)).0, flags: line.flags }
                })
                .collect(),
        };
        let like = self.nodes.get(node_number as usize).and_then(|node| node.report.as_ref());
        let like = like.map(|report| Like { list: report.list, same_available: report.sections[Section::Available] == available });
        let rows_of = self.available[&(context, available)].clone();
        let list = self.index.list(context, &rows, &rows_of, like, now);
        self.lists.insert((context, packages, available), list);
        self.list_of_packages.insert((context, packages), list);
        Ok(list)
    }

    /// Forgets what was computed from contents that got no number after all.
    fn forget_unstored(&mut self) {
        let known = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.systems.retain(|number, _| *number < known);
        self.reboots.retain(|number, _| *number < known);
        self.fact_tags.retain(|number, _| *number < known);
        self.vouched.retain(|(available, repositories), _| *available < known && *repositories < known);
        self.repositories.retain(|number, _| *number < known);
        self.available.retain(|(_, number), _| *number < known);
        self.lists.retain(|(_, packages, available), _| *packages < known && *available < known);
        self.list_of_packages.retain(|(_, packages), _| *packages < known);
    }

    /// A node's last report, from what was read.
    pub(super) fn current_report(&self, number: u32, sections: PerSection<u32>, digests: &PerSection<domain::model::digest::Digest>, list: ListId) -> CurrentReport {
        CurrentReport {
            number,
            sections,
            digest: ReportDigest::of(digests),
            list,
            reboot_pending: self.reboots[&sections[Section::Condition]],
            vouched_until: self.vouched[&(sections[Section::Available], sections[Section::Repositories])],
            fact_tags: self.fact_tags[&sections[Section::Custom]].clone(),
        }
    }

    /// Whether the texts of a list's report are worth keeping.
    pub(super) fn lacks_example(&self, list: ListId) -> bool {
        self.index.whole_of(list) == list && self.examples.len() < EXAMPLES_MAX && !self.examples.contains_key(&list)
    }

    /// Keeps the texts of a whole list's first report.
    pub(super) fn keep_example(&mut self, list: ListId, numbers: &PerSection<u32>, texts: &BTreeMap<Section, Content>) {
        if !self.lacks_example(list) {
            return;
        }
        let contents = PerSection(Section::ALL.map(|section| texts.get(&section).map(|text| (numbers[section], Arc::new(text.clone())))));
        let lines = contents[Section::Packages].iter().flat_map(|(_, text)| text.lines());
        let ends = lines.scan(0, |end, line| {
            *end += u32::try_from(line.len()).ok()? + 1;
            Some(*end)
        });
        let rows: Arc<[_]> = self.index.packages(list).into_iter().zip(ends).collect();
        self.examples.insert(list, Example { contents, rows });
    }

    /// Versions that are new, or that a repository has come to offer.
    fn take_versions(&mut self, rows: &mut Rows) {
        let new = self.n_stored_versions..self.index.versions.len();
        let new = new.map(|number| VersionNumber(u32::try_from(number).unwrap_or(u32::MAX)));
        let numbers: Vec<_> = self.changed_versions.drain().chain(new).collect();
        self.n_stored_versions = self.index.versions.len();
        rows.versions = numbers.into_iter().map(|number| self.version_record(number)).collect();
    }

    fn version_record(&self, number: VersionNumber) -> VersionRecord {
        let key = self.index.versions.key(number);
        let known = self.version(number);
        VersionRecord {
            number: number.0,
            ecosystem: key.ecosystem.to_owned(),
            name: key.name.to_owned(),
            architecture: key.architecture.to_owned(),
            version: key.version.to_owned(),
            facts: known.facts.clone(),
            classification: known.classification,
            repository: known.repository.clone(),
            first_seen_at: known.first_seen_at,
        }
    }

    /// Drops lists that no node has, when they are many, and what was computed from contents that no
    /// node's last report has: it is read again when one comes back.
    fn forget_unused(&mut self) {
        let Some(kept) = self.index.forget_unused() else { return };
        let used = |section: Section| self.nodes.iter().filter_map(|node| Some(node.report.as_ref()?.sections[section])).collect::<HashSet<u32>>();
        let [systems, conditions, customs, availables, repositories] = [Section::System, Section::Condition, Section::Custom, Section::Available, Section::Repositories].map(used);
        self.systems.retain(|number, _| systems.contains(number));
        self.reboots.retain(|number, _| conditions.contains(number));
        self.fact_tags.retain(|number, _| customs.contains(number));
        self.available.retain(|(_, number), _| availables.contains(number));
        self.vouched.retain(|(available, dates), _| availables.contains(available) && repositories.contains(dates));
        self.repositories.retain(|number, _| availables.contains(number));
        self.known_repositories.retain(|places| Arc::strong_count(places) > 1);
        let renumber = |list: &mut ListId| kept.get(list).map(|new| *list = *new).is_some();
        self.lists.retain(|_, list| renumber(list));
        self.list_of_packages.retain(|_, list| renumber(list));
        self.examples = std::mem::take(&mut self.examples).into_iter().filter_map(|(list, example)| Some((*kept.get(&list)?, example))).collect();
        for node in &mut self.nodes {
            if let Some(list) = node.list() {
                node.set_list(kept[&list]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::model::id::{IdSource, NodeId};
    use domain::model::section::{self, Section};
    use store::Database;
    use store::nodes::NodeRecord;
    use testkit::clock::{START, TestClock};
    use testkit::inventories;

    use super::{Fleet, ReportError, Work, oneshot};
    use crate::fleet::prepare::{self, IncomingContent, IncomingReport, PackageFactsRow};
    use crate::fleet::{Node, Outcome};

    #[tokio::test]
    async fn a_report_that_was_prepared_before_the_fleet_was_read_again_is_asked_for_again() {
        let folder = testkit::folder();
        let database = Database::open_sqlite(&folder.path().join("fettle.db"), 0).await.unwrap();
        let fleet = Fleet::load(&database, Arc::new(TestClock::default())).await.unwrap();
        let record = NodeRecord::new(0, NodeId::create(&mut IdSource::seeded(1), START), START);
        fleet.write().insert(Node::new(record, "web-1".to_owned()));
        let inventory = inventories::debian("web-1", 20, 1, START);
        let (heading, sections) = section::write(&inventory);
        let contents = Section::ALL.into_iter().map(|section| (sections[section].digest(), IncomingContent::Whole(sections[section].text().to_owned())));
        let facts = domain::model::section::PackageFacts::of_all(&inventory).into_iter().map(|(package, facts)| PackageFactsRow { package, facts });
        let report = IncomingReport { node_number: 0, heading, boot: None, digests: sections.digests(), contents: contents.collect(), facts: facts.collect() };

        let prepared = prepare::prepare(&fleet, &database, report.clone()).await.unwrap_or_else(|_| panic!("the report is whole"));
        fleet.write().n_reloads += 1;
        let (answer, answered) = oneshot::channel();
        fleet.work.send(Work::Report(Box::new(prepared), answer)).await.unwrap();
        assert!(matches!(answered.await.unwrap(), Err(ReportError::Busy)));
        assert_eq!(fleet.record(&database, report).await.unwrap(), Outcome::Recorded);
    }
}

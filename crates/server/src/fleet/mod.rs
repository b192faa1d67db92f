//! What the server knows of every node at this moment, in memory: the fleet index, who the nodes
//! are, and when they were last heard of. The store has the truth; this is rebuilt from it at the
//! start.
//!
//! Reports are checked where they arrive (`prepare`), and written by one task that gathers what
//! has come, commits once and then answers all (`record`).

mod baselines;
mod exceptions;
mod intents;
mod load;
mod names;
mod node;
mod prepare;
mod query;
mod record;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use domain::decide::judge::LIST_AGE_DAYS_MAX;
use domain::fleet::{AvailableRows, ContextId, ListId, PackageRow, Tally, VersionFacts, VersionNumber};
use domain::model::compliance::Verdict;
use domain::model::content::Content;
use domain::model::digest::Digest;
use domain::model::exception::GrantedException;
use domain::model::id::NodeId;
use domain::model::organization::Organization;
use domain::model::section::{PerSection, Section, System};
use domain::model::time::{Clock, DAY_MS, Timestamp};
// Every request looks its node up, and a report its contents; this map is faster than the standard one.
use hashbrown::HashMap;
use store::nodes::NodeRecord;
use store::{Database, ReadTx, StoreError};
use tokio::sync::{Mutex, Notify, mpsc};

pub use self::baselines::{Baselines, patch_group};
pub use self::intents::{Intents, NamedIntent};
use self::names::Names;
pub use self::node::Node;
pub use self::prepare::{IncomingContent, IncomingReport, PackageFactsRow, ReportError};
pub use self::query::{FleetSummary, NodeQuery, NodeSort, PagePlace, PageValue, Present};
pub use self::record::Outcome;

/// Reports that wait to be written; a node that finds it full is asked to come later.
const WAITING_MAX: usize = 4096;

/// The fleet and the one task that writes reports.
pub struct Fleet {
    state: RwLock<State>,
    /// Held by whoever changes nodes, from reading what is there to having it committed.
    change: Mutex<()>,
    work: mpsc::Sender<record::Work>,
    /// Wakes the long poll of a node.
    wakers: std::sync::Mutex<HashMap<u32, Arc<Notify>>>,
    clock: Arc<dyn Clock>,
}

/// Everything, as of now.
#[derive(Default)]
pub struct State {
    /// Lists, standings, and what baselines say of them.
    pub index: domain::fleet::Fleet,
    /// Nodes by number.
    pub nodes: Vec<Node>,
    /// Whether the order of the nodes is that of their ids.
    ids_in_order: bool,
    by_id: HashMap<NodeId, u32>,
    /// What a search for a part of a name goes through; made by the first one after a node was renamed.
    names: OnceLock<Names>,
    /// Nodes by what an agent keeps to be known again, and by what tells its machine from others.
    by_identity: HashMap<String, Vec<u32>>,
    by_machine: HashMap<String, Vec<u32>>,
    /// The organization.
    pub organization: Organization,
    /// Baselines, and what each was chosen for.
    pub baselines: Baselines,
    /// Exceptions that hold, by number.
    pub exceptions: BTreeMap<u32, GrantedException>,
    n_exceptions: u32,
    /// What operators want.
    pub intents: Intents,
    contents: HashMap<Digest, u32>,
    /// By number of the content: its digest, and how many edits it is away from a whole one.
    known: Vec<(Digest, u8)>,
    lists: HashMap<(ContextId, u32, u32), ListId>,
    list_of_packages: HashMap<(ContextId, u32), ListId>,
    available: HashMap<(ContextId, u32), Arc<AvailableRows>>,
    systems: HashMap<u32, Arc<System>>,
    /// Whether a content of the section `condition` says that a reboot is pending.
    reboots: HashMap<u32, bool>,
    /// Until when the vendor's repositories vouch for their lists, by the contents of the sections
    /// `available` and `repositories`.
    vouched: HashMap<(u32, u32), Timestamp>,
    /// Where repositories are fetched from, by the content of the section `available`; most nodes have the same.
    repositories: HashMap<u32, Arc<[String]>>,
    known_repositories: HashSet<Arc<[String]>>,
    /// Tags that follow from facts, by the content of the section `custom`.
    fact_tags: HashMap<u32, Arc<BTreeMap<String, String>>>,
    /// A report of each whole list, so that similar contents are stored as edits of its.
    examples: HashMap<ListId, Example>,
    next_report: u32,
    /// How often this was read from the store anew: numbers of before mean nothing.
    n_reloads: u32,
    check_in_sequence: i64,
    n_stored_versions: usize,
    /// Contents with lower numbers are committed; the others are about to be.
    n_stored_contents: usize,
    changed_versions: HashSet<VersionNumber>,
    /// Nodes with work that they have not taken.
    awaited: HashSet<u32>,
    /// Nodes that have taken work and not said how it ended.
    at_work: HashSet<u32>,
}

/// A report of a whole list, for others that are like it.
#[derive(Clone, Default)]
struct Example {
    /// The numbers and texts of its contents.
    contents: PerSection<Option<(u32, Arc<Content>)>>,
    /// The rows of its packages, and where the line of each ends in their text.
    rows: Arc<[(PackageRow, u32)]>,
}

impl Fleet {
    /// Reads everything, and starts the task that writes reports.
    pub async fn load(database: &Database, clock: Arc<dyn Clock>) -> Result<Arc<Self>, StoreError> {
        let state = load::load(database, clock.now()).await?;
        let (work, waiting) = mpsc::channel(WAITING_MAX);
        let fleet = Arc::new(Self { state: RwLock::new(state), change: Mutex::default(), work, wakers: std::sync::Mutex::default(), clock });
        tokio::spawn(record::write_reports(Arc::downgrade(&fleet), database.clone(), waiting));
        Ok(fleet)
    }

    /// What is known now.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, to change it. Only what is committed may be written here.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps everyone else from changing nodes while it is held.
    pub(crate) async fn begin_change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.change.lock().await
    }

    /// Begins reading the store, once it holds these contents: memory knows a report a moment before
    /// it is committed.
    pub(crate) async fn begin_read(&self, database: &Database, contents: &[u32]) -> Result<ReadTx, StoreError> {
        let n_stored = self.read().n_stored_contents;
        if contents.iter().any(|number| *number as usize >= n_stored) {
            drop(self.begin_change().await);
        }
        database.read().await
    }

    /// Wakes a node that waits for work.
    pub(crate) fn wake(&self, number: u32) {
        self.write().awaited.insert(number);
        self.waker(number).notify_one();
    }

    /// What wakes a node.
    pub(crate) fn waker(&self, number: u32) -> Arc<Notify> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default().clone()
    }

    /// Whether there may be work for a node; asked often, so it costs no query.
    pub(crate) fn is_awaited(&self, number: u32) -> bool {
        self.read().awaited.contains(&number)
    }

    /// There was no more work for a node.
    pub(crate) fn has_no_work(&self, number: u32) {
        self.write().awaited.remove(&number);
    }

    /// A node took work, or said how it ended.
    pub(crate) fn set_at_work(&self, number: u32, at_work: bool) {
        let mut state = self.write();
        if at_work {
            state.at_work.insert(number)
        } else {
            state.at_work.remove(&number)
        };
    }

    /// Whether a node has work in hand.
    pub(crate) fn is_at_work(&self, number: u32) -> bool {
        self.read().at_work.contains(&number)
    }

    /// A node was heard of.
    pub(crate) fn saw(&self, number: u32, now: Timestamp) {
        if let Some(node) = self.read().nodes.get(number as usize) {
            node.saw(now);
        }
    }
}

impl State {
    /// The node with this id.
    pub fn find(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(*self.by_id.get(id)? as usize)
    }

    /// Puts a new node in.
    pub(crate) fn insert(&mut self, mut node: Node) {
        node.cohort = self.cohort_of(&node).into();
        self.ids_in_order = match self.nodes.last() {
            Some(last) => self.ids_in_order && last.record.id < node.record.id,
            None => true,
        };
        self.by_id.insert(node.record.id.clone(), node.record.number);
        if let Some(names) = self.names.get_mut() {
            names.push(&node.name, node.record.id.as_str());
        }
        self.remember_machine(&node.record);
        self.nodes.push(node);
    }

    /// Replaces what is known of a node.
    pub(crate) fn replace_record(&mut self, record: NodeRecord) {
        let number = record.number;
        self.remember_machine(&record);
        let old = self.nodes[number as usize].replace_record(record);
        for (map, key) in [(&mut self.by_identity, old.identity), (&mut self.by_machine, old.machine)] {
            if let Some(numbers) = key.and_then(|key| map.get_mut(&key)) {
                // The new entry, which may have the same key, stays.
                let first = numbers.iter().position(|known| *known == number);
                first.map(|at| numbers.remove(at));
            }
        }
    }

    fn remember_machine(&mut self, record: &NodeRecord) {
        for (map, key) in [(&mut self.by_identity, &record.identity), (&mut self.by_machine, &record.machine)] {
            if let Some(key) = key {
                map.entry(key.clone()).or_default().push(record.number);
            }
        }
    }

    /// Nodes that have this identity or are on this machine.
    pub(crate) fn find_machine(&self, identity: &str, machine: Option<&str>) -> impl Iterator<Item = &Node> {
        let of_machine = machine.and_then(|machine| self.by_machine.get(machine));
        self.by_identity.get(identity).into_iter().chain(of_machine).flatten().map(|number| &self.nodes[*number as usize])
    }

    /// The number that the next node gets.
    pub(crate) fn next_number(&self) -> u32 {
        u32::try_from(self.nodes.len()).expect("there are fewer than four billion nodes")
    }

    /// Patches by state on a node.
    pub fn tally(&self, node: &Node) -> Tally {
        node.list().map(|list| self.index.tally(list)).unwrap_or_default()
    }

    /// What a node runs.
    pub fn system(&self, node: &Node) -> Option<&Arc<System>> {
        self.systems.get(&node.report.as_ref()?.sections[Section::System])
    }

    /// Where a node's repositories are fetched from.
    pub fn repositories(&self, node: &Node) -> Option<&[String]> {
        self.repositories.get(&node.report.as_ref()?.sections[Section::Available]).map(Arc::as_ref)
    }

    /// The digest of a content.
    pub fn digest(&self, content: u32) -> Option<Digest> {
        self.known.get(content as usize).map(|(digest, _)| *digest)
    }

    /// A node's verdict at `now`, and whether its last report is too old to prove anything.
    pub fn verdict(&self, node: &Node, now: Timestamp, stale_before: Timestamp) -> (Verdict, bool) {
        let Some(list) = node.list() else { return (Verdict::Unknown, false) };
        if !self.index.has_baseline(self.index.context_of(list)) {
            return (Verdict::Unmanaged, false);
        }
        if node.collected_at().is_none_or(|at| at < stale_before) {
            return (Verdict::Unknown, true);
        }
        let verdict = if self.index.is_non_compliant(list) || node.is_reboot_pending() {
            Verdict::NonCompliant
        } else if now > node.vouched_until() || node.lists_refreshed_at().is_none_or(|at| at < now.plus_millis(-i64::from(LIST_AGE_DAYS_MAX) * DAY_MS)) {
            Verdict::Unknown
        } else {
            Verdict::Compliant
        };
        (verdict, false)
    }

    /// Makes sure that delays which passed are seen.
    pub(crate) fn needs_advance(&self, now: Timestamp) -> bool {
        self.index.next_change_at().is_some_and(|next| next <= now)
    }

    fn number_of(&self, digest: &Digest) -> Option<u32> {
        self.contents.get(digest).copied()
    }

    /// Since when a version is known.
    pub fn first_seen_at(&self, number: VersionNumber) -> Timestamp {
        self.version(number).first_seen_at
    }

    /// What is known of a version.
    pub fn version(&self, number: VersionNumber) -> &VersionFacts {
        self.index.versions.facts(number)
    }
}

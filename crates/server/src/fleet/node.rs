//! One node as the server knows it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use domain::fleet::ListId;
use domain::model::exception::Cohort;
use domain::model::node::TagSource;
use domain::model::section::{CUSTOM_TAG_PREFIX, PerSection, ReportDigest};
use domain::model::time::Timestamp;
use store::nodes::{NodeRecord, NodeState};

/// A node. What questions over the whole fleet read of it is here and fits a line of the processor's
/// cache; the rest is behind a pointer.
pub struct Node {
    details: Box<NodeDetails>,
    list: Option<ListId>,
    vouched_until: Timestamp,
    // Check-ins change these under a read lock; 0 says never.
    seen_at: AtomicI64,
    collected_at: AtomicI64,
    lists_refreshed_at: AtomicI64,
    reboot_pending: bool,
    retired: bool,
    /// Whether the times are newer than what is stored.
    pub unsaved: AtomicBool,
}

/// Who a node is, and its last report.
pub struct NodeDetails {
    /// Who it is.
    pub record: NodeRecord,
    /// Host name.
    pub name: String,
    /// Which boot it reported from.
    pub boot: Option<String>,
    /// When it booted.
    pub booted_at: Option<Timestamp>,
    /// Boots that it has left.
    pub former_boots: Vec<String>,
    /// Boots of machines that use this node's certificate without being it.
    pub clone_boots: Vec<String>,
    /// Its last report.
    pub report: Option<CurrentReport>,
    /// Its tags, but for those that follow from facts.
    pub tags: BTreeMap<String, (TagSource, String)>,
    /// What it is judged with; follows from its tags and its place.
    pub cohort: Arc<Cohort>,
}

impl Deref for Node {
    type Target = NodeDetails;

    fn deref(&self) -> &NodeDetails {
        &self.details
    }
}

impl DerefMut for Node {
    fn deref_mut(&mut self) -> &mut NodeDetails {
        &mut self.details
    }
}

/// A node's last report.
#[derive(Clone)]
pub struct CurrentReport {
    /// Its number.
    pub number: u32,
    /// The numbers of its sections' contents.
    pub sections: PerSection<u32>,
    /// Its digest.
    pub digest: ReportDigest,
    /// The packages and what is newer, in the index.
    pub list: ListId,
    /// Whether the node waits for a reboot.
    pub reboot_pending: bool,
    /// Until when the vendor's repositories vouch for their lists.
    pub vouched_until: Timestamp,
    /// Tags that follow from facts.
    pub fact_tags: Arc<BTreeMap<String, String>>,
}

impl Node {
    /// A node without reports.
    pub fn new(record: NodeRecord, name: String) -> Self {
        let retired = record.retired_at.is_some();
        let details = NodeDetails {
            record,
            name,
            boot: None,
            booted_at: None,
            former_boots: Vec::new(),
            clone_boots: Vec::new(),
            report: None,
            tags: BTreeMap::new(),
            cohort: Arc::default(),
        };
        Self {
            details: Box::new(details),
            list: None,
            vouched_until: Timestamp::from_millis(0),
            seen_at: AtomicI64::new(0),
            collected_at: AtomicI64::new(0),
            lists_refreshed_at: AtomicI64::new(0),
            reboot_pending: false,
            retired,
            unsaved: false.into(),
        }
    }

    /// Its packages and what is newer, in the index.
    pub fn list(&self) -> Option<ListId> {
        self.list
    }

    /// Whether its last report waits for a reboot.
    pub fn is_reboot_pending(&self) -> bool {
        self.reboot_pending
    }

    /// Until when the vendor's repositories vouch for the lists of its last report.
    pub fn vouched_until(&self) -> Timestamp {
        self.vouched_until
    }

    /// Whether it has left.
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// It has reported.
    pub fn set_report(&mut self, report: CurrentReport) {
        self.list = Some(report.list);
        self.vouched_until = report.vouched_until;
        self.reboot_pending = report.reboot_pending;
        self.report = Some(report);
    }

    /// The index has renumbered its lists.
    pub fn set_list(&mut self, list: ListId) {
        self.list = Some(list);
        if let Some(report) = &mut self.report {
            report.list = list;
        }
    }

    /// Replaces who it is; who it was.
    pub fn replace_record(&mut self, record: NodeRecord) -> NodeRecord {
        self.retired = record.retired_at.is_some();
        std::mem::replace(&mut self.record, record)
    }

    /// When it was last heard of.
    pub fn seen_at(&self) -> Option<Timestamp> {
        time(&self.seen_at)
    }

    /// When its inventory was last collected.
    pub fn collected_at(&self) -> Option<Timestamp> {
        time(&self.collected_at)
    }

    /// When its package lists were last refreshed.
    pub fn lists_refreshed_at(&self) -> Option<Timestamp> {
        time(&self.lists_refreshed_at)
    }

    /// It was heard of.
    pub fn saw(&self, now: Timestamp) {
        self.seen_at.fetch_max(now.as_millis(), Ordering::Relaxed);
        self.unsaved.store(true, Ordering::Relaxed);
    }

    /// Its inventory was collected, with lists of that age.
    pub fn collected(&self, at: Timestamp, lists_refreshed_at: Option<Timestamp>) {
        self.collected_at.fetch_max(at.as_millis(), Ordering::Relaxed);
        if let Some(at) = lists_refreshed_at {
            self.lists_refreshed_at.fetch_max(at.as_millis(), Ordering::Relaxed);
        }
        self.unsaved.store(true, Ordering::Relaxed);
    }

    /// Every tag with its source; an operator's counts more than an activation's, and that more
    /// than a fact.
    pub fn all_tags(&self) -> BTreeMap<&str, (TagSource, &str)> {
        let facts = self.report.iter().flat_map(|report| report.fact_tags.iter()).filter(|(key, _)| !key.starts_with(CUSTOM_TAG_PREFIX));
        let mut tags: BTreeMap<&str, (TagSource, &str)> = facts.map(|(key, value)| (key.as_str(), (TagSource::Fact, value.as_str()))).collect();
        tags.extend(self.tags.iter().map(|(key, (source, value))| (key.as_str(), (*source, value.as_str()))));
        tags
    }

    /// What is stored of it with every report.
    pub fn state(&self) -> NodeState {
        NodeState {
            node_number: self.record.number,
            name: self.name.clone(),
            boot: self.boot.clone(),
            seen_at: self.seen_at(),
            report_number: self.report.as_ref().map(|report| report.number),
            collected_at: self.collected_at(),
            lists_refreshed_at: self.lists_refreshed_at(),
            booted_at: self.booted_at,
        }
    }
}

fn time(millis: &AtomicI64) -> Option<Timestamp> {
    Some(millis.load(Ordering::Relaxed)).filter(|millis| *millis != 0).map(Timestamp::from_millis)
}

//! One node as the server knows it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::fleet::ListId;
use domain::model::node::TagSource;
use domain::model::section::{PerSection, ReportDigest};
use domain::model::time::Timestamp;
use store::nodes::{NodeRecord, NodeState};

/// A node: who it is, when it was heard of, and its last report.
pub struct Node {
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
    // Check-ins change these under a read lock; 0 says never.
    seen_at: AtomicI64,
    collected_at: AtomicI64,
    lists_refreshed_at: AtomicI64,
    /// Whether these are newer than what is stored.
    pub unsaved: std::sync::atomic::AtomicBool,
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
        Self {
            record,
            name,
            boot: None,
            booted_at: None,
            former_boots: Vec::new(),
            clone_boots: Vec::new(),
            report: None,
            tags: BTreeMap::new(),
            seen_at: AtomicI64::new(0),
            collected_at: AtomicI64::new(0),
            lists_refreshed_at: AtomicI64::new(0),
            unsaved: false.into(),
        }
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
        let facts = self.report.iter().flat_map(|report| report.fact_tags.iter());
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

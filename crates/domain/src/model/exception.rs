//! Exceptions for some nodes: a patch that is approved or rejected on them for a while, whatever their baseline says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::baseline::Exception;
use crate::model::id::{AccountId, ExceptionId, NodeId, RegionId};
use crate::model::time::Timestamp;

/// Most exceptions that hold at once.
pub const EXCEPTIONS_MAX: usize = 10_000;
/// Most nodes that one names.
pub const NODES_MAX: usize = 1000;

/// Whom an exception is for: the nodes that are in every list that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// Nodes by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeId>,
    /// Tags that a node must have, all of them; what it says of itself does not count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Accounts, of which one must be the node's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountId>,
    /// Regions, of which one must be the node's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RegionId>,
}

impl Targets {
    /// Whether it names nothing at all, and so would be for every node.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a node is among them; `tag` gives its tags.
    pub fn include<'a>(&self, node: &NodeId, account: &AccountId, region: &RegionId, tag: impl Fn(&str) -> Option<&'a str>) -> bool {
        (self.nodes.is_empty() || self.nodes.contains(node))
            && (self.accounts.is_empty() || self.accounts.contains(account))
            && (self.regions.is_empty() || self.regions.contains(region))
            && self.tags.iter().all(|(key, value)| tag(key) == Some(value))
    }
}

/// An exception that was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedException {
    /// Its id.
    pub id: ExceptionId,
    /// What is decided, by whom, why and until when.
    pub exception: Exception,
    /// For whom.
    pub targets: Targets,
    /// Who granted it.
    pub granted_by: String,
    /// When.
    pub granted_at: Timestamp,
    /// When it was revoked before its end, and by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<(Timestamp, String)>,
}

impl GrantedException {
    /// Whether it holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.exception.ends_at().is_some_and(|end| now <= end)
    }
}

/// What tells nodes of one platform apart when they are judged: their patch group, and the exceptions that are for
/// them, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Cohort {
    /// The patch group.
    pub patch_group: Option<String>,
    /// The exceptions, in order.
    pub exceptions: Vec<u32>,
}

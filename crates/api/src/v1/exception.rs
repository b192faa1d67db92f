//! Exceptions: patches that are approved or rejected on some nodes for a while.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Exception {
    /// Its id, `ex-…`.
    pub id: String,
    /// What it is about, as in the lists of a baseline.
    pub patch: String,
    /// APPROVE or REJECT.
    pub decision: String,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds.
    pub until: String,
    /// holds, ended or revoked.
    pub state: String,
    /// For whom, in words.
    pub targets: String,
    /// Nodes that it is for now.
    pub n_nodes: u32,
    /// Who granted it.
    pub granted_by: String,
    /// When.
    pub granted_at: String,
    /// When it was revoked.
    pub revoked_at: Option<String>,
    /// Who revoked it.
    pub revoked_by: Option<String>,
}

/// An exception to grant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantException {
    /// What it is about: a package, an advisory or a CVE, as in the lists of a baseline.
    pub patch: String,
    /// APPROVE or REJECT.
    pub decision: String,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds, such as `2026-12-31`.
    pub until: String,
    /// Ids of nodes; any when empty.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// Tags that a node must have, all of them.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Names or ids of accounts; any when empty.
    #[serde(default)]
    pub accounts: Vec<String>,
    /// Names or ids of regions; any when empty.
    #[serde(default)]
    pub regions: Vec<String>,
}

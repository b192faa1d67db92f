//! The catalog of patches.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A newer version that nodes were offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Patch {
    /// Its id, `pt-…`; follows from name, architecture and version.
    pub id: String,
    /// Package name.
    pub name: String,
    /// Package architecture.
    pub architecture: String,
    /// The version.
    pub version: String,
    /// Source package.
    pub source: String,
    /// Vendor's classification.
    pub classification: String,
    /// Vendor's severity.
    pub severity: String,
    /// Archive section.
    pub section: Option<String>,
    /// Archive priority.
    pub priority: Option<String>,
    /// Short name of its repository.
    pub repository: Option<String>,
    /// The vendor's advisories about it.
    #[serde(default)]
    pub advisories: Vec<String>,
    /// Vulnerabilities that it closes.
    #[serde(default)]
    pub cves: Vec<String>,
    /// When the vendor released it, where an advisory says so.
    #[serde(default)]
    pub released_at: Option<String>,
    /// When it was first seen.
    pub first_seen_at: String,
    /// Nodes on which it is missing.
    pub n_missing: u32,
    /// Nodes that are offered it without its being missing there.
    pub n_other: u32,
}

/// A node that a patch concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PatchNode {
    /// The node's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// State of the patch there.
    pub state: String,
}

/// Parameters of the list of patches.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListPatches {
    /// Part of the package's or the source's name.
    pub q: Option<String>,
    /// Security or Other.
    pub classification: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows of a page, 1 to 500.
    pub limit: Option<u32>,
}

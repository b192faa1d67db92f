//! Nodes, their patches and their scans.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::v1::summary::Counts;

/// A node as lists show it. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its id, `mi-…`.
    pub id: String,
    /// Host name.
    pub name: String,
    /// Name of its operating system.
    pub platform: String,
    /// Product such as `Debian12`.
    pub product: String,
    /// Native architecture.
    pub architecture: String,
    /// Running kernel.
    pub kernel: Option<String>,
    /// What the node lets be done to it: `scan`.
    pub allows: String,
    /// When it joined.
    pub enrolled_at: String,
    /// COMPLIANT, `NON_COMPLIANT` or UNKNOWN, as things stand today.
    pub verdict: String,
    /// When it was last scanned.
    pub last_scan_at: Option<String>,
    /// Whether that is too long ago to prove anything.
    pub stale: bool,
    /// Installed packages.
    pub n_packages: u32,
    /// Patches by state.
    pub counts: Counts,
}

/// A node with the reasons of its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeDetail {
    /// The node.
    #[serde(flatten)]
    pub node: Node,
    /// Why the verdict is so.
    pub reasons: Vec<Reason>,
    /// Name of the baseline it was judged by.
    pub baseline: Option<String>,
    /// Why a reboot is pending; empty when none is, absent when it could not be told.
    pub reboot_causes: Option<Vec<String>>,
    /// When its package lists were last refreshed.
    pub lists_refreshed_at: Option<String>,
    /// What may make the result less than it seems.
    pub warnings: Vec<Warning>,
}

/// Why something is so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// Stable code.
    pub code: String,
    /// In words.
    pub text: String,
}

/// What may make a result less than it seems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// Stable code.
    pub code: String,
    /// In words.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// One package of a node and the state of its patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodePatch {
    /// Package name.
    pub name: String,
    /// Package architecture.
    pub architecture: String,
    /// The version on the node.
    pub installed_version: String,
    /// The newer version the state is about.
    pub available_version: Option<String>,
    /// Id of that version in the catalog.
    pub patch_id: Option<String>,
    /// State, as in AWS Patch Manager.
    pub state: String,
    /// Vendor's classification.
    pub classification: String,
    /// Vendor's severity.
    pub severity: String,
    /// Archive section.
    pub section: Option<String>,
    /// Archive priority.
    pub priority: Option<String>,
    /// Source package.
    pub source: String,
    /// Since when the version is known.
    pub first_seen_at: Option<String>,
    /// Why the state is so.
    pub reason: Reason,
}

/// A scan in a node's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scan {
    /// Its id, `sc-…`.
    pub id: String,
    /// When.
    pub scanned_at: String,
    /// The verdict then.
    pub verdict: String,
    /// Missing patches then.
    pub n_missing: u32,
    /// Missing security patches then.
    pub n_security_non_compliant: u32,
    /// Digest of the packages: equal when nothing was installed or removed.
    pub package_set: String,
}

/// Parameters of the list of nodes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListNodes {
    /// Part of the name or the id.
    pub q: Option<String>,
    /// COMPLIANT, `NON_COMPLIANT` or UNKNOWN.
    pub verdict: Option<String>,
    /// `missing` (default), `name` or `last_scan`.
    pub sort: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows of a page, 1 to 500.
    pub limit: Option<u32>,
}

/// Parameters of the list of a node's patches.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListNodePatches {
    /// Part of the package's name.
    pub q: Option<String>,
    /// A state such as MISSING.
    pub state: Option<String>,
    /// Security or Other.
    pub classification: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows of a page, 1 to 500.
    pub limit: Option<u32>,
}

/// Parameters of lists without filters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListPage {
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows of a page, 1 to 500.
    pub limit: Option<u32>,
}

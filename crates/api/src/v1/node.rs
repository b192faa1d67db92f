//! Nodes, what they have, and what changed.

use std::collections::BTreeMap;

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
    /// Name of its account.
    pub account: String,
    /// Name of its region.
    pub region: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it is heard of: online, late, silent, awaited or retired.
    pub presence: String,
    /// When it was last heard of.
    pub seen_at: Option<String>,
    /// The version of its agent; absent for the server's own machine.
    pub agent_version: Option<String>,
    /// The node that it is a copy of.
    pub clone_of: Option<String>,
    /// Name of its operating system; empty until it has reported.
    pub platform: String,
    /// Product such as `Debian12`.
    pub product: String,
    /// Native architecture.
    pub architecture: String,
    /// Running kernel.
    pub kernel: Option<String>,
    /// What the node's own configuration lets be done to it, such as `scan, install`.
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
    /// Through what that applies to it, in words.
    #[serde(default)]
    pub judged_through: Option<String>,
    /// Why a reboot is pending; empty when none is, absent when it could not be told.
    pub reboot_causes: Option<Vec<String>>,
    /// When its package lists were last refreshed.
    pub lists_refreshed_at: Option<String>,
    /// What may make the result less than it seems.
    pub warnings: Vec<Warning>,
    /// Patches that its baseline approves and other nodes are offered, of packages that this one does not have.
    #[serde(default)]
    pub n_not_applicable: Option<u32>,
    /// Patches that make it non-compliant, by the baseline's compliance level.
    #[serde(default)]
    pub non_compliant_by_level: BTreeMap<String, u32>,
    /// The same by the vendor's severity.
    #[serde(default)]
    pub non_compliant_by_severity: BTreeMap<String, u32>,
    /// Those that are neither of the level critical nor about security.
    #[serde(default)]
    pub other_non_compliant: u32,
    /// The policies that are for it: the first acts, and shadows the others.
    #[serde(default)]
    pub policies: Vec<String>,
    /// How it differs from what the policy that acts says.
    #[serde(default)]
    pub drift: Vec<Drift>,
}

/// A difference between a node and its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// In what the node differs.
    pub what: String,
    /// By whom or what that is mended.
    pub mended_by: String,
}

/// Verdicts of a node up to a day.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
pub struct ListVerdicts {
    /// The day, such as `2026-03-12`; now when absent.
    pub on: Option<String>,
    /// How many, newest first.
    pub limit: Option<u32>,
}

/// What a node was judged to be from an instant on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PastVerdict {
    /// Since when, to the minute.
    pub since: String,
    /// `COMPLIANT`, `NON_COMPLIANT`, `UNKNOWN` or `UNMANAGED`.
    pub verdict: String,
    /// Patches by state.
    pub counts: Counts,
    /// The id of the baseline that judged it.
    pub baseline_id: String,
    /// Its name, while there is one.
    pub baseline: Option<String>,
    /// Its version.
    pub baseline_version: u32,
    /// Through what it applied.
    pub through: String,
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
    /// The package of another name that this version is of, which takes the place of this one.
    #[serde(default)]
    pub replaced_by: Option<String>,
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
    /// The vendor's advisories about it.
    #[serde(default)]
    pub advisories: Vec<String>,
    /// Vulnerabilities that it closes.
    #[serde(default)]
    pub cves: Vec<String>,
    /// When the vendor released it, where an advisory says so.
    #[serde(default)]
    pub released_at: Option<String>,
    /// Since when the version is known.
    pub first_seen_at: Option<String>,
    /// Why the state is so.
    pub reason: Reason,
}

/// A report that said something new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Its number.
    pub number: u32,
    /// When the node collected it.
    pub collected_at: String,
    /// When it arrived.
    pub received_at: String,
    /// The sections that differ from the report before it.
    pub changed: Vec<String>,
}

/// Something that changed on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// The section of the inventory, such as `packages`.
    pub section: String,
    /// The line before; absent for what was added.
    pub before: Option<String>,
    /// The line after; absent for what was removed.
    pub after: Option<String>,
}

/// Something that happened to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeEvent {
    /// When.
    pub at: String,
    /// Stable code, such as `clone_detected`.
    pub kind: String,
    /// In words.
    pub detail: String,
}

/// A change of an operator's tags on many nodes: all of them, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditTags {
    /// Ids of the nodes, 1 to 1000.
    pub nodes: Vec<String>,
    /// Tags to set.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Keys of tags to remove.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// How many nodes a request changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// How many.
    pub n_changed: usize,
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
    /// online, late, silent, awaited or retired; without it all but the retired.
    pub presence: Option<String>,
    /// Name or id of a unit: nodes in it and below it.
    pub unit: Option<String>,
    /// Name or id of an account.
    pub account: Option<String>,
    /// Name or id of a region.
    pub region: Option<String>,
    /// Tags that nodes must have, such as `env=prod,owner`; `custom:rack.row=7` asks for a value of the
    /// custom inventory.
    pub tag: Option<String>,
    /// Product such as `Debian12`.
    pub product: Option<String>,
    /// A free query, such as `package openssl < 3.0.15-1~deb12u1 and not tag.env = test`; see the guide to queries.
    pub query: Option<String>,
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

/// A day of a node's history.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OnDay {
    /// A day such as 2026-11-24 (UTC): what the node had at its end. Without it: now.
    pub day: Option<String>,
}

/// Two days of a node's history.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BetweenDays {
    /// The earlier day, such as 2026-11-01 (UTC).
    pub from: String,
    /// The later day.
    pub to: String,
}

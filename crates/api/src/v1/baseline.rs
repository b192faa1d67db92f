//! Baselines.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A baseline as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Baseline {
    /// Its id, `pb-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The operating system, such as DEBIAN.
    pub operating_system: String,
    /// Whether it ships with Fettle and cannot be edited.
    pub predefined: bool,
    /// Its newest version.
    pub version: u32,
    /// What it was chosen for, in words; nothing when it judges no node.
    pub judges: Vec<String>,
}

/// A baseline with its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BaselineDetail {
    /// The baseline.
    #[serde(flatten)]
    pub baseline: Baseline,
    /// Its rules in sentences.
    pub explanation: Vec<String>,
    /// The document, as `fettle scan --baseline` reads it.
    #[schema(value_type = Object)]
    pub document: serde_json::Value,
}

/// A baseline to make, or a new version of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveBaseline {
    /// The document, YAML or JSON.
    pub document: String,
    /// Why, for those who read the versions later.
    #[serde(default)]
    pub reason: String,
    /// The version that was edited: when there is a newer one by now, nothing is saved.
    #[serde(default)]
    pub edited_version: Option<u32>,
}

/// Why a baseline is deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteBaseline {
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// A version of a baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BaselineVersion {
    /// From 1.
    pub version: u32,
    /// Who made it.
    pub changed_by: String,
    /// When.
    pub changed_at: String,
    /// Why.
    pub reason: String,
    /// The document; none when this version deleted the baseline.
    #[schema(value_type = Option<Object>)]
    pub document: Option<serde_json::Value>,
}

/// What to look at before a baseline is saved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewBaseline {
    /// The document, YAML or JSON.
    pub document: String,
    /// The baseline that it would be a new version of; a new one is looked at as the default of its
    /// operating system.
    #[serde(default)]
    pub baseline: Option<String>,
}

/// What a baseline would change, were it saved now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BaselinePreview {
    /// Whom it would judge, in words.
    pub judges: Vec<String>,
    /// Nodes that it would judge.
    pub n_nodes: u32,
    /// Nodes that would not be compliant any more.
    pub n_newly_non_compliant: u32,
    /// Nodes that would have nothing missing any more.
    pub n_newly_compliant: u32,
    /// The first of these nodes.
    pub nodes: Vec<PreviewedNode>,
    /// Patches whose state would be another, those on most nodes first; at most 500.
    pub patches: Vec<PreviewedPatch>,
    /// All such patches.
    pub n_patches: u32,
    /// What can never have an effect, and other things to think about.
    pub warnings: Vec<String>,
}

/// A node whose compliance would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreviewedNode {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Patches that are missing today.
    pub n_missing: u32,
    /// Patches that would be missing.
    pub n_missing_then: u32,
}

/// A patch whose state would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreviewedPatch {
    /// Package name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version that it is about.
    pub version: String,
    /// The state today.
    pub before: String,
    /// The state that it would have.
    pub after: String,
    /// When that state would change by itself: a delay passes, or an exception ends.
    pub changes_at: Option<String>,
    /// Nodes that have the package so.
    pub n_nodes: u32,
}

/// Which approvals are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListApprovals {
    /// A day such as 2026-12-24: what would be approved at its end. Otherwise what is approved now.
    #[serde(default)]
    pub on: Option<String>,
}

/// What a baseline says of a patch that a node is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PatchApproval {
    /// The product, such as Debian12.
    pub product: String,
    /// Package name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version.
    pub version: String,
    /// `approved`, `deferred`, `rejected` or `not_approved`.
    pub approval: String,
    /// Why.
    pub reason: String,
    /// Until when it is deferred, where that is known.
    pub deferred_until: Option<String>,
}

/// A baseline that was chosen for a patch group, or as a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Assignment {
    /// The operating system, such as DEBIAN.
    pub operating_system: String,
    /// The patch group; none when it is the default of the operating system.
    pub patch_group: Option<String>,
    /// The name of the baseline.
    pub baseline: String,
}

/// Chooses the baseline of a patch group, or of an operating system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignBaseline {
    /// The operating system, such as DEBIAN.
    pub operating_system: String,
    /// The patch group; without one it is the default of the operating system.
    #[serde(default)]
    pub patch_group: Option<String>,
    /// Id or name of the baseline; without one the choice is undone.
    #[serde(default)]
    pub baseline: Option<String>,
}

//! The scan document: one judged inventory, as `fettle scan --format json` prints it and the
//! server keeps it. Its JSON schema is `docs/reference/scan.schema.json`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decide::judge::Judgement;
use crate::model::baseline::{Baseline, ComplianceLevel};
use crate::model::compliance::{Counts, PatchState, Reason, SeveritySummary, Verdict};
use crate::model::inventory::{Inventory, Reboot};
use crate::model::patch::{Classification, Replacement, Severity};
use crate::model::platform::Platform;
use crate::model::problem::Problem;
use crate::model::time::Timestamp;
use crate::model::transaction::Change;

/// The version of the document. Fields may be added within a version; none changes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScanSchema {
    /// The first.
    #[serde(rename = "scan/v1")]
    V1,
}

/// One judged inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScanReport {
    /// The version of the document.
    pub schema: ScanSchema,
    /// When the inventory was collected.
    pub scanned_at: Timestamp,
    /// Which node.
    pub node: ScannedNode,
    /// What it runs.
    pub platform: Platform,
    /// What it was judged against; absent when no baseline applies.
    pub baseline: Option<BaselineReference>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why the verdict is so.
    pub reasons: Vec<Reason>,
    /// Patches per state.
    pub counts: Counts,
    /// Patches by severity.
    #[serde(default)]
    pub severities: SeveritySummary,
    /// Whether a reboot waits.
    pub reboot: Reboot,
    /// When the package lists were last brought up to date.
    pub lists_refreshed_at: Option<Timestamp>,
    /// Every patch, by name and architecture.
    pub patches: Vec<PatchRow>,
    /// What may make the result less than it seems.
    pub warnings: Vec<Problem>,
}

/// Which node was scanned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScannedNode {
    /// Host name.
    pub name: String,
    /// Identity of the installation.
    pub machine: Option<String>,
    /// The running kernel's release.
    pub kernel: Option<String>,
    /// How many packages are installed.
    pub n_packages: u32,
}

/// Which baseline, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineReference {
    /// Its id; absent for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Where it came from.
    pub source: BaselineSource,
}

/// Where a baseline came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BaselineSource {
    /// It ships with Fettle and is the default of the operating system.
    Predefined,
    /// Somebody chose it for the node on the server.
    Assigned {
        /// Which version of it.
        version: u32,
        /// Through what: a patch group, or the default of the operating system.
        through: String,
    },
    /// A file given by the operator.
    File {
        /// Its path.
        path: String,
    },
}

impl BaselineSource {
    /// As part of a sentence, after the baseline's name.
    pub fn words(&self) -> String {
        match self {
            Self::Predefined => "the predefined default of its operating system".to_owned(),
            Self::Assigned { version, through } => format!("version {version}, through {through}"),
            Self::File { path } => format!("from the file {path}"),
        }
    }
}

impl PatchRow {
    /// What would bring the patch: the newer version, of the package that takes this one's place where there is one.
    pub fn change(&self) -> Option<Change> {
        let version = self.available_version.clone()?;
        let (name, architecture) = self.replaced_by.as_ref().map_or((&self.name, &self.architecture), |other| (&other.name, &other.architecture));
        Some(Change { name: name.clone(), architecture: architecture.clone(), version })
    }
}

/// One package of a node with the state of its newest relevant patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatchRow {
    /// Package name.
    pub name: String,
    /// Package architecture.
    pub architecture: String,
    /// The version on the node.
    pub installed_version: String,
    /// The newer version that the state is about, when there is one.
    pub available_version: Option<String>,
    /// The package of another name that this version is of, which takes the place of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<Replacement>,
    /// The state.
    pub state: PatchState,
    /// The vendor's classification.
    pub classification: Classification,
    /// The vendor's severity.
    pub severity: Severity,
    /// The baseline's compliance level.
    pub compliance_level: ComplianceLevel,
    /// Archive section.
    pub section: Option<String>,
    /// Archive priority.
    pub priority: Option<String>,
    /// Where the version comes from.
    pub repository: Option<Arc<RepositoryReference>>,
    /// Source package.
    pub source: String,
    /// The vendor's advisories about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<String>,
    /// Vulnerabilities that it closes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cves: Vec<String>,
    /// The vendor's release date, where an advisory gives one.
    pub released_at: Option<Timestamp>,
    /// Since when it is known to be offered.
    pub first_seen_at: Option<Timestamp>,
    /// Why the state is so.
    pub reason: Reason,
}

impl PatchRow {
    /// The newer version, with its package's name where that is another; empty when there is none.
    pub fn available_words(&self) -> String {
        let version = self.available_version.clone().unwrap_or_default();
        self.replaced_by.as_ref().map_or_else(|| version.clone(), |other| format!("{} {version}", other.name))
    }
}

/// A repository by its Release fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepositoryReference {
    /// `Origin`.
    pub origin: Option<String>,
    /// `Label`.
    pub label: Option<String>,
    /// `Suite`.
    pub suite: Option<String>,
}

impl ScanReport {
    /// Joins an inventory with its judgement.
    pub fn new(inventory: &Inventory, baseline: Option<(&Baseline, Option<String>, BaselineSource)>, judgement: Judgement) -> Self {
        Self {
            schema: ScanSchema::V1,
            scanned_at: inventory.collected_at,
            node: ScannedNode {
                name: inventory.name.clone(),
                machine: inventory.machine.clone(),
                kernel: inventory.kernel.clone(),
                n_packages: u32::try_from(inventory.packages.len()).unwrap_or(u32::MAX),
            },
            platform: inventory.platform.clone(),
            baseline: baseline.map(|(baseline, id, source)| BaselineReference { id, name: baseline.name.clone(), source }),
            verdict: judgement.verdict,
            reasons: judgement.reasons,
            counts: judgement.counts,
            severities: judgement.severities,
            reboot: inventory.reboot.clone(),
            lists_refreshed_at: inventory.lists_refreshed_at,
            patches: judgement.patches,
            warnings: judgement.warnings,
        }
    }
}

/// The JSON schema of the document.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(ScanReport)).expect("a schema is plain JSON")
}

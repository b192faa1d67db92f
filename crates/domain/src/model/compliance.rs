//! States of patches and verdicts of nodes, with the reason of each.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::baseline::ComplianceLevel;
use crate::model::patch::{Classification, Severity};

/// State of a patch on a node, as in AWS Patch Manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchState {
    /// Approved and not installed.
    Missing,
    /// Installation began and did not end well.
    Failed,
    /// Installed, and takes effect after a reboot.
    InstalledPendingReboot,
    /// Installed and rejected with the action BLOCK.
    InstalledRejected,
    /// A security patch that exists and is not approved or cannot be installed yet.
    AvailableSecurityUpdate,
    /// Approved and installed.
    Installed,
    /// Installed and not named by the baseline.
    InstalledOther,
}

impl PatchState {
    /// Every state, most urgent first.
    pub const ALL: [Self; 7] =
        [Self::Missing, Self::Failed, Self::InstalledPendingReboot, Self::InstalledRejected, Self::AvailableSecurityUpdate, Self::Installed, Self::InstalledOther];

    /// The spelling of the wire, such as `MISSING`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "MISSING",
            Self::Failed => "FAILED",
            Self::InstalledPendingReboot => "INSTALLED_PENDING_REBOOT",
            Self::InstalledRejected => "INSTALLED_REJECTED",
            Self::AvailableSecurityUpdate => "AVAILABLE_SECURITY_UPDATE",
            Self::Installed => "INSTALLED",
            Self::InstalledOther => "INSTALLED_OTHER",
        }
    }

    /// The words shown to people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::InstalledPendingReboot => "pending reboot",
            Self::InstalledRejected => "rejected but installed",
            Self::AvailableSecurityUpdate => "security, not approved",
            Self::Installed => "installed",
            Self::InstalledOther => "installed, other",
        }
    }

    /// The state with this wire spelling.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Whether a node with such a patch is not compliant.
    pub fn is_non_compliant(self) -> bool {
        matches!(self, Self::Missing | Self::Failed | Self::InstalledPendingReboot | Self::InstalledRejected)
    }
}

/// How many patches are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// In state MISSING.
    pub missing: u32,
    /// In state FAILED.
    pub failed: u32,
    /// In state `INSTALLED_PENDING_REBOOT`.
    pub installed_pending_reboot: u32,
    /// In state `INSTALLED_REJECTED`.
    pub installed_rejected: u32,
    /// In state `AVAILABLE_SECURITY_UPDATE`.
    pub available_security_update: u32,
    /// In state INSTALLED.
    pub installed: u32,
    /// In state `INSTALLED_OTHER`.
    pub installed_other: u32,
    /// Not compliant and classified Security.
    pub security_non_compliant: u32,
    /// Not compliant with the compliance level CRITICAL.
    pub critical_non_compliant: u32,
}

impl Counts {
    /// Of numbers in the order of the fields.
    pub fn of_numbers(numbers: [u32; 9]) -> Self {
        let [missing, failed, installed_pending_reboot, installed_rejected, available_security_update, installed, installed_other, security_non_compliant, critical_non_compliant] =
            numbers;
        Self {
            missing,
            failed,
            installed_pending_reboot,
            installed_rejected,
            available_security_update,
            installed,
            installed_other,
            security_non_compliant,
            critical_non_compliant,
        }
    }

    /// The numbers in the order of the fields.
    pub fn numbers(&self) -> [u32; 9] {
        [
            self.missing,
            self.failed,
            self.installed_pending_reboot,
            self.installed_rejected,
            self.available_security_update,
            self.installed,
            self.installed_other,
            self.security_non_compliant,
            self.critical_non_compliant,
        ]
    }

    /// The counter of a state.
    pub fn of(&self, state: PatchState) -> u32 {
        match state {
            PatchState::Missing => self.missing,
            PatchState::Failed => self.failed,
            PatchState::InstalledPendingReboot => self.installed_pending_reboot,
            PatchState::InstalledRejected => self.installed_rejected,
            PatchState::AvailableSecurityUpdate => self.available_security_update,
            PatchState::Installed => self.installed,
            PatchState::InstalledOther => self.installed_other,
        }
    }

    /// Adds one to the counter of a state.
    pub fn add(&mut self, state: PatchState) {
        let counter = match state {
            PatchState::Missing => &mut self.missing,
            PatchState::Failed => &mut self.failed,
            PatchState::InstalledPendingReboot => &mut self.installed_pending_reboot,
            PatchState::InstalledRejected => &mut self.installed_rejected,
            PatchState::AvailableSecurityUpdate => &mut self.available_security_update,
            PatchState::Installed => &mut self.installed,
            PatchState::InstalledOther => &mut self.installed_other,
        };
        *counter += 1;
    }
}

/// Patches by how bad it is that they are missing, and by how urgent the vendor says they are. A patch that is both
/// critical and about security is in both counters of `Counts`, so the other one tells how many are in neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeveritySummary {
    /// Patches that make the node non-compliant, by compliance level.
    pub non_compliant: BTreeMap<ComplianceLevel, u32>,
    /// Patches of the baseline that do not, by compliance level.
    pub compliant: BTreeMap<ComplianceLevel, u32>,
    /// Patches that make the node non-compliant, by the vendor's severity.
    pub non_compliant_by_vendor: BTreeMap<Severity, u32>,
    /// Patches that make the node non-compliant and are neither critical nor about security.
    pub other_non_compliant: u32,
}

impl SeveritySummary {
    /// The highest compliance level among patches that make the node non-compliant.
    pub fn overall(&self) -> Option<ComplianceLevel> {
        self.non_compliant.keys().max().copied()
    }

    /// Counts one patch.
    pub fn add(&mut self, is_wrong: bool, level: ComplianceLevel, classification: Classification, severity: Severity) {
        if !is_wrong {
            *self.compliant.entry(level).or_default() += 1;
            return;
        }
        *self.non_compliant.entry(level).or_default() += 1;
        *self.non_compliant_by_vendor.entry(severity).or_default() += 1;
        self.other_non_compliant += u32::from(level != ComplianceLevel::Critical && classification != Classification::Security);
    }
}

/// Whether a node is as its baseline wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Nothing is missing, failed, rejected or waiting for a reboot.
    Compliant,
    /// Something is.
    NonCompliant,
    /// It could not be judged.
    Unknown,
    /// No baseline is for it.
    Unmanaged,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [Self::NonCompliant, Self::Unknown, Self::Unmanaged, Self::Compliant];

    /// The spelling of the wire, such as `NON_COMPLIANT`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Compliant => "COMPLIANT",
            Self::NonCompliant => "NON_COMPLIANT",
            Self::Unknown => "UNKNOWN",
            Self::Unmanaged => "UNMANAGED",
        }
    }

    /// The words shown to people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Compliant => "compliant",
            Self::NonCompliant => "not compliant",
            Self::Unknown => "unknown",
            Self::Unmanaged => "unmanaged",
        }
    }

    /// The verdict with this wire spelling.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }
}

/// Why something is as it is: a code for programs, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The kind of reason.
    pub code: ReasonCode,
    /// The whole reason, in words.
    pub text: String,
}

impl Reason {
    /// A reason of this kind.
    pub fn new(code: ReasonCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Kinds of reasons, stable across releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// A rule of the baseline approves it.
    ApprovedByRule,
    /// The baseline's list of approved patches names it.
    ApprovedByList,
    /// A rule will approve it at a later time.
    Deferred,
    /// A rule would approve it, and its release came after the rule's cut-off date.
    AfterCutOff,
    /// The baseline's list of rejected patches names it.
    Rejected,
    /// The baseline's global filters leave it out.
    GlobalFilter,
    /// No rule matches it.
    NoRule,
    /// It does not come from a security repository and the rule wants that.
    NotSecurity,
    /// Approved, and an operator's hold keeps the package manager from it.
    Held,
    /// The node's package manager prefers another version.
    Pinned,
    /// Something on the node keeps it from being installed.
    Excluded,
    /// The vendor does not offer it to this machine yet.
    Phased,
    /// It takes effect after a reboot.
    RebootPending,
    /// The package is only partly installed.
    Broken,
    /// Some patches are missing.
    PatchesMissing,
    /// Security updates exist that the baseline does not approve, and it says that this matters.
    SecurityUpdatesAvailable,
    /// Somebody decided it for a while.
    Exception,
    /// Some installed patches are rejected.
    PatchesRejected,
    /// Nothing is wrong.
    NothingMissing,
    /// The package lists are too old to say that nothing is missing.
    ListsStale,
    /// There are no package lists to judge from.
    NoLists,
    /// No repository of the operating system's vendor is configured.
    NoOperatingSystemRepository,
    /// No baseline applies.
    NoBaseline,
    /// The node has not reported for too long.
    ScanStale,
}

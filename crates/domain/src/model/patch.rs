//! Newer versions that a node could install, and how its package manager sees them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;

/// A version of an installed package that is newer than the installed one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AvailableVersion {
    /// Binary package name.
    pub name: String,
    /// Architecture of the package.
    pub architecture: String,
    /// The newer version.
    pub version: String,
    /// How the node's package manager treats it.
    pub offer: Offer,
    /// Source package.
    pub source: String,
    /// Archive section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Archive priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Indexes into the inventory's repositories that offer it.
    pub repositories: Vec<usize>,
    /// Since when it is known to be offered; a server remembers this per version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen_at: Option<Timestamp>,
}

/// How the node's package manager treats a newer version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Offer {
    /// An upgrade would install it.
    Candidate,
    /// Newer than what is installed, older than the candidate.
    Superseded,
    /// Preferences or the repository's own settings prefer another version.
    Pinned {
        /// The pin priority that apt gives this version.
        priority: i32,
        /// The pin priority of the version that apt prefers.
        preferred_priority: i32,
    },
    /// The vendor offers it to a share of all machines, and this one is not among them yet.
    Phased {
        /// The share that gets it, in percent.
        percent: u8,
    },
}

impl Offer {
    /// Whether an upgrade of this node could install it.
    pub fn is_installable(&self) -> bool {
        matches!(self, Self::Candidate | Self::Superseded)
    }
}

/// What kind of change the vendor says a patch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Classification {
    /// Fixes a vulnerability.
    Security,
    /// Anything else; apt repositories do not say more.
    Other,
}

impl Classification {
    /// The word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Security => "Security",
            Self::Other => "Other",
        }
    }
}

/// How urgent the vendor says a patch is. apt repositories do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Severity {
    /// Most urgent.
    Critical,
    /// Urgent.
    Important,
    /// Amazon's `Medium` is the same.
    Moderate,
    /// Not urgent.
    Low,
    /// The vendor says nothing.
    Unspecified,
}

impl Severity {
    /// The word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "Critical",
            Self::Important => "Important",
            Self::Moderate => "Moderate",
            Self::Low => "Low",
            Self::Unspecified => "Unspecified",
        }
    }
}

//! Newer versions that a node could install, and how its package manager sees them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::advisory::Advisory;
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
    /// Version of the source package, where it differs from the binary's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
    /// Archive section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Archive priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Indexes into the inventory's repositories that offer it.
    pub repositories: Vec<usize>,
    /// What the vendor's advisories say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisory: Option<Arc<Advisory>>,
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
    /// An upgrade would install this other package in its place.
    Replacement(Replacement),
    /// Newer than what is installed, older than the candidate.
    Superseded,
    /// Preferences or the repository's own settings prefer another version.
    Pinned {
        /// The pin priority that apt gives this version.
        priority: i32,
        /// The pin priority of the version that apt prefers.
        preferred_priority: i32,
    },
    /// Something on the node keeps it from being installed.
    Excluded {
        /// What, in words, such as ``an exclude of the repository `base` ``.
        by: String,
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
        matches!(self, Self::Candidate | Self::Replacement(_) | Self::Superseded)
    }

    /// Whether an upgrade would install it.
    pub fn is_next(&self) -> bool {
        matches!(self, Self::Candidate | Self::Replacement(_))
    }

    /// What would take the place of the installed package.
    pub fn replacement(&self) -> Option<&Replacement> {
        if let Self::Replacement(replacement) = self { Some(replacement) } else { None }
    }
}

/// A package of another name that takes the place of an installed one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Replacement {
    /// Its name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
}

/// What kind of change the vendor says a patch is, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Classification {
    /// Fixes a vulnerability.
    Security,
    /// Mends what does not work.
    Bugfix,
    /// SUSE's word for what mends or betters.
    Recommended,
    /// Brings something new.
    Enhancement,
    /// Is a package that was not there before.
    Newpackage,
    /// SUSE's word for what few need.
    Optional,
    /// SUSE's word for something new.
    Feature,
    /// SUSE's word for documents.
    Document,
    /// SUSE's word for its own tools.
    Yast,
    /// Anything else; repositories of apt, apk and pacman say no more.
    Other,
}

impl Classification {
    /// Every one, the most urgent first.
    pub const ALL: [Self; 10] =
        [Self::Security, Self::Bugfix, Self::Recommended, Self::Enhancement, Self::Newpackage, Self::Optional, Self::Feature, Self::Document, Self::Yast, Self::Other];

    /// The word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Security => "Security",
            Self::Bugfix => "Bugfix",
            Self::Recommended => "Recommended",
            Self::Enhancement => "Enhancement",
            Self::Newpackage => "Newpackage",
            Self::Optional => "Optional",
            Self::Feature => "Feature",
            Self::Document => "Document",
            Self::Yast => "Yast",
            Self::Other => "Other",
        }
    }

    /// The classification with this word, whatever the case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.word().eq_ignore_ascii_case(word))
    }
}

/// How urgent the vendor says a patch is, the most urgent first. Only advisories say so.
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
    /// Every one, the most urgent first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::Important, Self::Moderate, Self::Low, Self::Unspecified];

    /// The severity with this word of a vendor or a baseline, whatever the case. Amazon says `medium` for
    /// what others call `moderate`; `None` and everything that no vendor says is unspecified.
    pub fn parse(word: &str) -> Option<Self> {
        if word.eq_ignore_ascii_case("medium") {
            return Some(Self::Moderate);
        }
        if word.eq_ignore_ascii_case("none") {
            return Some(Self::Unspecified);
        }
        Self::ALL.into_iter().find(|known| known.word().eq_ignore_ascii_case(word))
    }

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

/// Classification and severity for people: the latter where the vendor states one.
pub fn class_words(classification: Classification, severity: Severity) -> String {
    let class = classification.word();
    if severity == Severity::Unspecified { class.to_owned() } else { format!("{class}, {}", severity.word()) }
}

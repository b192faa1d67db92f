//! Feeds: where a vendor publishes its advisories, and what the last import of each brought.

use serde::{Deserialize, Serialize};

use crate::model::time::{HOUR_MS, Timestamp};

/// Most feeds of an installation.
pub const FEEDS_MAX: usize = 100;
/// Longest name of a feed.
pub const NAME_LENGTH_MAX: usize = 64;
/// Hours between two looks at a feed, at most.
pub const EVERY_HOURS_MAX: u16 = 24 * 31;
/// Problems of an import that are kept; the others are counted.
pub const PROBLEMS_MAX: usize = 20;

/// How a feed is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FeedFormat {
    /// Entries of OSV: an archive of them, or one.
    Osv,
    /// `updateinfo.xml`, plain or packed.
    Updateinfo,
    /// An rpm repository with `repodata/repomd.xml`, whose checksums are verified.
    Repository,
}

impl FeedFormat {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Osv, Self::Updateinfo, Self::Repository];

    /// The spelling of the wire.
    pub fn code(self) -> &'static str {
        match self {
            Self::Osv => "OSV",
            Self::Updateinfo => "UPDATEINFO",
            Self::Repository => "REPOSITORY",
        }
    }

    /// Whether its entries do not say which product they are for.
    pub fn needs_product(self) -> bool {
        self != Self::Osv
    }
}

/// A feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// Its name.
    pub name: String,
    /// How it is written.
    pub format: FeedFormat,
    /// Where it is fetched from; without one it is imported from files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The product that its entries are for, such as `RockyLinux9`, where they do not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Hours between two looks at it.
    pub every_hours: u16,
}

/// What became of a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedState {
    /// When it was last looked at.
    pub checked_at: Option<Timestamp>,
    /// When something was last imported.
    pub imported_at: Option<Timestamp>,
    /// What tells what was imported from what will be there later: an entity tag, a date or a digest.
    pub validator: Option<String>,
    /// Why the last look at it brought nothing.
    pub error: Option<String>,
    /// Entries that it has.
    pub n_entries: u32,
    /// What the last import brought.
    pub last: ImportCounts,
}

/// What an import brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportCounts {
    /// Entries that are new or have changed.
    pub n_changed: u32,
    /// Entries that are gone.
    pub n_removed: u32,
    /// Entries that concern no product that Fettle knows.
    pub n_passed_over: u32,
    /// Entries that do not read.
    pub n_malformed: u32,
    /// What is wrong with the first of them.
    pub problems: Vec<String>,
}

impl Feed {
    /// Whether it should be looked at.
    pub fn is_due(&self, state: &FeedState, now: Timestamp) -> bool {
        self.url.is_some() && state.checked_at.is_none_or(|at| at.plus_millis(i64::from(self.every_hours) * HOUR_MS) <= now)
    }
}

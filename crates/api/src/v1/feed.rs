//! Feeds: where vendors publish their advisories.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A feed with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Feed {
    /// Its name.
    pub name: String,
    /// OSV, UPDATEINFO or REPOSITORY.
    pub format: String,
    /// Where it is fetched from; none when files are imported.
    pub url: Option<String>,
    /// The product that its entries are for, where they do not say so.
    pub product: Option<String>,
    /// Hours between two looks at it.
    pub every_hours: u16,
    /// When it was last looked at.
    pub checked_at: Option<String>,
    /// When something was last imported.
    pub imported_at: Option<String>,
    /// Why the last look at it brought nothing.
    pub error: Option<String>,
    /// Entries that it has.
    pub n_entries: u32,
    /// Entries that were new or had changed in the last import.
    pub n_changed: u32,
    /// Entries that were gone in the last import.
    pub n_removed: u32,
    /// Entries that concern no product that Fettle knows.
    pub n_passed_over: u32,
    /// Entries that do not read.
    pub n_malformed: u32,
    /// What is wrong with the first of them.
    pub problems: Vec<String>,
}

/// A feed to add.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddFeed {
    /// Its name.
    pub name: String,
    /// OSV, UPDATEINFO or REPOSITORY.
    pub format: String,
    /// Where it is fetched from; without one, files are imported.
    #[serde(default)]
    pub url: Option<String>,
    /// The product that its entries are for, such as `RockyLinux9`; for UPDATEINFO and REPOSITORY.
    #[serde(default)]
    pub product: Option<String>,
    /// Hours between two looks at it, 1 to 744; 6 when absent.
    #[serde(default)]
    pub every_hours: Option<u16>,
}

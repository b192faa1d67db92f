//! Documents that say what operators want: policies, windows, freezes, reboot groups, channels.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A document in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DocumentToday {
    /// `policy`, `window`, `freeze`, `reboot-group` or `channel`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// Who made that version.
    pub changed_by: String,
    /// When.
    pub changed_at: String,
    /// What it says, in a line.
    pub summary: String,
    /// How it stands at this moment, such as `open until …`.
    pub state: String,
    /// How many nodes it is for; of a policy those that it acts on.
    pub nodes: Option<u32>,
    /// When what recurs in it comes next.
    pub next: Vec<NextTime>,
    /// The document, in YAML.
    pub document: String,
}

/// When something comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextTime {
    /// What, such as `install`.
    pub what: String,
    /// When.
    pub at: String,
    /// The same in the document's time zone.
    pub local: String,
    /// What became of the last time.
    pub last: Option<String>,
}

/// A new version of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveDocument {
    /// The document, in YAML or JSON.
    pub document: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Whether nothing is saved, and it is only said what would change.
    #[serde(default)]
    pub preview: bool,
}

/// What a new version changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SavedDocument {
    /// The document as it is now, or would be.
    pub document: DocumentToday,
    /// What changes, a sentence each; empty when it is the same.
    pub changes: Vec<String>,
}

/// A version of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DocumentVersion {
    /// From 1.
    pub version: u32,
    /// The document, in YAML; none when this version deleted it.
    pub document: Option<String>,
    /// Who made it.
    pub changed_by: String,
    /// When.
    pub changed_at: String,
    /// Why.
    pub reason: String,
}

/// News for a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SentNotification {
    /// The channel.
    pub channel: String,
    /// What it is about.
    pub event: String,
    /// In a line.
    pub subject: String,
    /// When it happened.
    pub at: String,
    /// When it was sent.
    pub sent_at: Option<String>,
    /// Why it was not, so far.
    pub failure: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
}

/// Something on the fleet's calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CalendarEntry {
    /// `window`, `freeze`, `scan` or `install`.
    pub kind: String,
    /// The name of its document.
    pub name: String,
    /// Its start.
    pub starts_at: String,
    /// Its end, if it has one.
    pub ends_at: Option<String>,
    /// In words, in the document's time zone.
    pub words: String,
}

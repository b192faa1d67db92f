//! What is wrong with foreign data or an installation, said so that a person can act.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kinds of problems, stable across releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The node has no repository of its operating system's vendor with lists on disk.
    NoOperatingSystemRepository,
    /// Package lists are older than the limit, or past the date their publisher gave.
    ListsStale,
    /// A repository is configured and its lists are not on disk.
    ListsMissing,
    /// A file could not be read.
    FileUnreadable,
    /// A stanza, a line or a value was not understood and was left out.
    Malformed,
    /// Something was larger than the limit and was left out.
    LimitReached,
    /// The lists of a repository are not signed.
    RepositoryUnsigned,
    /// The operating system is not one that Fettle knows.
    PlatformUnknown,
    /// The root is an image that is replaced as a whole.
    ImageBased,
    /// A baseline rule or list entry can never match on this operating system.
    RuleNeverMatches,
    /// The package manager's own refresh did not succeed.
    RefreshFailed,
    /// A file system has hardly any room.
    DiskFull,
    /// The init system could not be asked for its services.
    ServicesUnknown,
}

/// One problem: what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The kind.
    pub code: ProblemCode,
    /// What happened, in a sentence.
    pub message: String,
    /// The file, repository or rule it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(code: ProblemCode, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), subject: Some(subject.into()), hint: None }
    }

    /// The same problem with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

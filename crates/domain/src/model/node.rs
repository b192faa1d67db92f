//! What is known of a node besides its inventory: what it allows, whether it is heard of, its tags.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;

/// What a node's own configuration lets be done to it. The server can ask for no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allows {
    /// Installing patches.
    #[serde(default)]
    pub install: bool,
    /// Rebooting.
    #[serde(default)]
    pub reboot: bool,
    /// Running the hooks that its configuration names.
    #[serde(default)]
    pub hooks: bool,
}

/// A word that is none of `scan`, `install`, `reboot`, `hooks`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is nothing that a node can allow: scan, install, reboot or hooks")]
pub struct AllowsError {
    word: String,
}

impl Allows {
    /// Scanning only.
    pub const SCAN: Self = Self { install: false, reboot: false, hooks: false };

    /// The words, such as `scan, install`. Scanning is always allowed: it is what the agent is for.
    pub fn words(self) -> String {
        let more = [(self.install, ", install"), (self.reboot, ", reboot"), (self.hooks, ", hooks")];
        more.into_iter().filter(|(allowed, _)| *allowed).fold("scan".to_owned(), |words, (_, word)| words + word)
    }

    /// Reads words between commas or spaces.
    pub fn parse(words: &str) -> Result<Self, AllowsError> {
        let mut allows = Self::SCAN;
        for word in words.split([',', ' ']).filter(|word| !word.is_empty()) {
            match word {
                "scan" => {}
                "install" => allows.install = true,
                "reboot" => allows.reboot = true,
                "hooks" => allows.hooks = true,
                _ => return Err(AllowsError { word: word.chars().take(40).collect() }),
            }
        }
        Ok(allows)
    }
}

/// Who gave a node a tag. Where several did, the last of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagSource {
    /// It follows from facts, such as a cloud's metadata.
    Fact,
    /// The activation that the node enrolled with.
    Activation,
    /// An operator.
    Operator,
}

impl TagSource {
    /// The word shown to people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fact => "fact",
            Self::Activation => "activation",
            Self::Operator => "operator",
        }
    }

    /// The source with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Fact, Self::Activation, Self::Operator].into_iter().find(|source| source.word() == word)
    }
}

/// Most tags of one source on a node.
pub const TAGS_MAX: usize = 50;
/// Longest key of a tag, as in AWS.
pub const TAG_KEY_LENGTH_MAX: usize = 128;
/// Longest value of a tag, as in AWS.
pub const TAG_VALUE_LENGTH_MAX: usize = 256;

/// Why tags are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// A key or value is empty, too long, or holds control characters.
    #[error("the tag `{key}` is not well formed: a key of 1 to {TAG_KEY_LENGTH_MAX} plain characters without `=`, a value of at most {TAG_VALUE_LENGTH_MAX}")]
    Malformed {
        /// The key.
        key: String,
    },
    /// There are too many.
    #[error("{n} tags are more than {TAGS_MAX}")]
    TooMany {
        /// How many.
        n: usize,
    },
}

/// Checks tags from outside.
pub fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), TagError> {
    if tags.len() > TAGS_MAX {
        return Err(TagError::TooMany { n: tags.len() });
    }
    for (key, value) in tags {
        let plain = |text: &str, length_max: usize| text.len() <= length_max && !text.contains(char::is_control);
        if key.is_empty() || key.contains('=') || !plain(key, TAG_KEY_LENGTH_MAX) || !plain(value, TAG_VALUE_LENGTH_MAX) {
            return Err(TagError::Malformed { key: key.chars().take(40).collect() });
        }
    }
    Ok(())
}

/// Whether a node is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    /// It was heard of when it should have been.
    Online,
    /// It should have been heard of since `seen_at`.
    Late,
    /// It has not been heard of for so long that somebody should look.
    Silent,
    /// It enrolled and was never heard of again.
    Awaited,
    /// It left, and cannot come back with its certificate.
    Retired,
}

impl Presence {
    /// Every one, worst first.
    pub const ALL: [Self; 5] = [Self::Silent, Self::Late, Self::Awaited, Self::Online, Self::Retired];

    /// The word shown to people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Late => "late",
            Self::Silent => "silent",
            Self::Awaited => "awaited",
            Self::Retired => "retired",
        }
    }

    /// The one with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|presence| presence.word() == word)
    }
}

/// How long a node may be quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietLimits {
    /// After this many milliseconds it is late.
    pub late_after_ms: i64,
    /// After this many it is silent.
    pub silent_after_ms: i64,
}

/// Whether a node is heard of, at `now`.
pub fn presence(limits: QuietLimits, seen_at: Option<Timestamp>, retired: bool, now: Timestamp) -> Presence {
    let quiet_ms = seen_at.map(|seen_at| now.as_millis() - seen_at.as_millis());
    match quiet_ms {
        _ if retired => Presence::Retired,
        None => Presence::Awaited,
        Some(quiet_ms) if quiet_ms > limits.silent_after_ms => Presence::Silent,
        Some(quiet_ms) if quiet_ms > limits.late_after_ms => Presence::Late,
        Some(_) => Presence::Online,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_allows_reads_as_it_is_written() {
        for words in ["scan", "scan, install", "scan, install, reboot, hooks"] {
            assert_eq!(Allows::parse(words).unwrap().words(), words);
        }
        assert_eq!(Allows::parse("scan,root").unwrap_err().to_string(), "`root` is nothing that a node can allow: scan, install, reboot or hooks");
    }

    #[test]
    fn a_quiet_node_gets_late_and_then_silent() {
        let limits = QuietLimits { late_after_ms: 10, silent_after_ms: 100 };
        let at = Timestamp::from_millis;
        for (quiet, expected) in [(0, Presence::Online), (10, Presence::Online), (11, Presence::Late), (100, Presence::Late), (101, Presence::Silent), (-5, Presence::Online)] {
            assert_eq!(presence(limits, Some(at(1000)), false, at(1000 + quiet)), expected, "after {quiet} ms");
        }
        assert_eq!(presence(limits, None, false, at(0)), Presence::Awaited);
        assert_eq!(presence(limits, Some(at(0)), true, at(0)), Presence::Retired);
    }

    #[test]
    fn tags_have_limits() {
        let tags = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(check_tags(&tags("env", "prod")), Ok(()));
        for (key, value) in [("", "x"), ("a=b", "x"), ("a", "x\ny"), ("a", "x".repeat(257).as_str())] {
            assert!(matches!(check_tags(&tags(key, value)), Err(TagError::Malformed { .. })), "{key:?}");
        }
    }
}

//! Typed ids: one macro, one type per noun. An id is its noun's prefix and 17 hex digits, so ids
//! sort by creation and a wrong kind is seen at a glance.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::chance::Chance;
use crate::model::time::Timestamp;

/// A text that is not the id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {noun} id: expected `{prefix}` and 17 hexadecimal digits")]
pub struct IdError {
    text: String,
    noun: &'static str,
    prefix: &'static str,
}

/// Makes ids: 11 digits of time, 6 that begin at a seeded number in each millisecond and count up.
/// The seed decides everything, so a test repeats; 16 million ids of one millisecond differ.
#[derive(Debug, Clone)]
pub struct IdSource {
    chance: Chance,
    last_millis: u64,
    sequence: u64,
}

impl IdSource {
    /// A source whose sequence follows from `seed`.
    pub const fn seeded(seed: u64) -> Self {
        Self { chance: Chance::seeded(seed), last_millis: u64::MAX, sequence: 0 }
    }

    /// The next 17 digits, for an id created at `now`.
    pub fn next_digits(&mut self, now: Timestamp) -> String {
        let millis = now.as_millis().unsigned_abs() & 0xfff_ffff_ffff;
        self.sequence = if millis == self.last_millis { self.sequence.wrapping_add(1) } else { self.chance.next_number() };
        self.last_millis = millis;
        format!("{millis:011x}{:06x}", self.sequence & 0xff_ffff)
    }
}

fn check(text: &str, noun: &'static str, prefix: &'static str) -> Result<(), IdError> {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    let well_formed = digits.len() == 17 && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if well_formed { Ok(()) } else { Err(IdError { text: text.chars().take(60).collect(), noun, prefix }) }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $noun:literal, $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A fresh id.
            pub fn create(ids: &mut IdSource, now: Timestamp) -> Self {
                Self(format!(concat!($prefix, "{}"), ids.next_digits(now)).into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text, $noun, $prefix)?;
                Ok(Self(text.into()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// One managed machine.
    NodeId = "node", "mi-";
    /// A baseline.
    BaselineId = "baseline", "pb-";
    /// A unit of the organization.
    UnitId = "unit", "un-";
    /// An account.
    AccountId = "account", "ac-";
    /// A region.
    RegionId = "region", "rg-";
    /// A code that lets nodes enroll.
    ActivationId = "activation", "av-";
    /// A saved filter of the list of nodes.
    FilterId = "filter", "fi-";
    /// An exception.
    ExceptionId = "exception", "ex-";
    /// A request for work on nodes.
    OperationId = "operation", "op-";
    /// A person or program that signed in.
    SessionId = "session", "se-";
    /// An installable version of a package; follows from its system, name, architecture and version.
    PatchId = "patch", "pt-";
}

impl PatchId {
    /// The id of a version: equal on every server, for links that last.
    pub fn of(ecosystem: &str, name: &str, architecture: &str, version: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [ecosystem, name, architecture, version] {
            hasher.update(part.as_bytes());
            hasher.update(&[0]);
        }
        Self(format!("pt-{}", &hasher.finalize().to_hex()[..17]).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_creation_and_parse_back() {
        let mut ids = IdSource::seeded(1);
        let first = NodeId::create(&mut ids, Timestamp::from_millis(1_000));
        let second = NodeId::create(&mut ids, Timestamp::from_millis(2_000));
        assert!(first < second);
        assert_eq!(first.to_string().parse::<NodeId>(), Ok(first));
        assert_eq!(IdSource::seeded(1).next_digits(Timestamp::from_millis(5)), IdSource::seeded(1).next_digits(Timestamp::from_millis(5)));
    }

    #[test]
    fn ids_of_one_instant_differ() {
        let mut ids = IdSource::seeded(1);
        let digits: std::collections::BTreeSet<_> = (0..100_000).map(|_| ids.next_digits(Timestamp::from_millis(5))).collect();
        assert_eq!(digits.len(), 100_000);
    }

    #[test]
    fn another_kind_of_id_is_refused() {
        let error = "pb-0123456789abcdef0".parse::<NodeId>().unwrap_err();
        assert_eq!(error.to_string(), "`pb-0123456789abcdef0` is not a node id: expected `mi-` and 17 hexadecimal digits");
    }
}

//! Versions: one file per scheme, each with `compare` and an order-preserving byte key.

pub mod alpm;
pub mod apk;
pub mod deb;
pub mod rpm;

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose rules order the versions of a system's packages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// dpkg's: Debian and its kin.
    #[default]
    Deb,
    /// rpm's: Red Hat, SUSE, Amazon and their kin.
    Rpm,
    /// apk's: Alpine.
    Apk,
    /// pacman's: Arch.
    Alpm,
}

impl Scheme {
    /// Whether it is dpkg's.
    pub fn is_deb(&self) -> bool {
        *self == Self::Deb
    }

    /// Orders two versions.
    pub fn compare(self, left: &str, right: &str) -> Ordering {
        match self {
            Self::Deb => deb::compare(left, right),
            Self::Rpm => rpm::compare(left, right),
            Self::Apk => apk::compare(left, right),
            Self::Alpm => alpm::compare(left, right),
        }
    }

    /// A byte string whose `memcmp` order is the order of `compare`.
    pub fn key(self, version: &str) -> Vec<u8> {
        match self {
            Self::Deb => deb::key(version),
            Self::Rpm => rpm::key(version),
            Self::Apk => apk::key(version),
            Self::Alpm => alpm::key(version),
        }
    }
}

/// Both without leading zeros: the longer is the larger.
fn compare_numbers(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn skip_zeros(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|&&byte| byte == b'0').count()..]
}

/// Writes digits without leading zeros so that larger numbers sort later.
fn push_number(key: &mut Vec<u8>, digits: &[u8]) {
    match u8::try_from(digits.len()) {
        Ok(length) if length < u8::MAX => key.push(length),
        _ => {
            key.push(u8::MAX);
            key.extend((digits.len() as u64).to_be_bytes());
        }
    }
    key.extend_from_slice(digits);
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    type Compare = fn(&str, &str) -> Ordering;
    type Key = fn(&str) -> Vec<u8>;

    #[track_caller]
    pub(super) fn check_ascending(compare: Compare, key: Key, ascending: &[&str]) {
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                assert_eq!(compare(left, right), i.cmp(&j), "{left} against {right}");
                assert_eq!(key(left).cmp(&key(right)), i.cmp(&j), "keys of {left} and {right}");
            }
        }
    }

    #[track_caller]
    pub(super) fn check_equal(compare: Compare, key: Key, pairs: &[(&str, &str)]) {
        for (left, right) in pairs {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} against {right}");
            assert_eq!(key(left), key(right), "keys of {left} and {right}");
        }
    }

    pub(super) fn check_laws(compare: Compare, key: Key, a: String, b: String, c: String) -> Result<(), TestCaseError> {
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        prop_assert_eq!(key(&a).cmp(&key(&b)), compare(&a, &b));
        let mut sorted = [a, b, c];
        sorted.sort_by(|x, y| compare(x, y));
        prop_assert_ne!(compare(&sorted[0], &sorted[1]), Ordering::Greater);
        prop_assert_ne!(compare(&sorted[1], &sorted[2]), Ordering::Greater);
        prop_assert_ne!(compare(&sorted[0], &sorted[2]), Ordering::Greater);
        Ok(())
    }
}

//! Debian versions: `[epoch:]upstream[-revision]`, ordered as deb-version(7) says.
//!
//! `compare` and `key` are total: they take any bytes and agree with each other. `parse` refuses
//! what dpkg would not accept as the version of a package.

use std::cmp::Ordering;

use super::{compare_numbers, push_number, skip_zeros};

/// Why a text is not a Debian version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// There is nothing to parse.
    #[error("version is empty")]
    Empty,
    /// The part before the first colon is not a number that dpkg can hold.
    #[error("epoch `{0}` is not a number from 0 to 2147483647")]
    Epoch(String),
    /// The upstream part is missing.
    #[error("version `{0}` has no upstream part")]
    NoUpstream(String),
    /// A hyphen ends the version.
    #[error("version `{0}` has an empty revision")]
    EmptyRevision(String),
    /// A character that no part of a version may hold.
    #[error("version `{version}` holds `{character}`, which is not allowed")]
    Character {
        /// The whole text.
        version: String,
        /// The first offending character.
        character: char,
    },
}

/// The three parts of a version, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Digits before the first colon, without leading zeros; empty means zero.
    pub epoch: &'a [u8],
    /// What upstream calls the release.
    pub upstream: &'a [u8],
    /// What follows the last hyphen; empty when there is none.
    pub revision: &'a [u8],
}

/// Checks that `text` is a version dpkg accepts.
pub fn parse(text: &str) -> Result<(), VersionError> {
    if text.is_empty() {
        return Err(VersionError::Empty);
    }
    let rest = match text.split_once(':') {
        Some((epoch, rest)) => {
            let digits = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || epoch.parse::<u32>().map_or(true, |number| number > i32::MAX as u32) {
                return Err(VersionError::Epoch(epoch.to_owned()));
            }
            rest
        }
        None => text,
    };
    let (upstream, revision) = rest.rsplit_once('-').map_or((rest, None), |(upstream, revision)| (upstream, Some(revision)));
    if upstream.is_empty() {
        return Err(VersionError::NoUpstream(text.to_owned()));
    }
    if revision == Some("") {
        return Err(VersionError::EmptyRevision(text.to_owned()));
    }
    let in_upstream = |c: char| c.is_ascii_alphanumeric() || ".-+~:".contains(c);
    let in_revision = |c: char| c.is_ascii_alphanumeric() || ".+~".contains(c);
    let bad = upstream.chars().find(|&c| !in_upstream(c)).or_else(|| revision.and_then(|r| r.chars().find(|&c| !in_revision(c))));
    match bad {
        Some(character) => Err(VersionError::Character { version: text.to_owned(), character }),
        None => Ok(()),
    }
}

/// Splits a version at its first colon and its last hyphen. A part before a colon that is not a
/// number counts as upstream text.
pub fn split(version: &[u8]) -> Parts<'_> {
    let colon = version.iter().position(|&byte| byte == b':').filter(|&at| version[..at].iter().all(u8::is_ascii_digit));
    let (epoch, rest) = match colon {
        Some(at) => (skip_zeros(&version[..at]), &version[at + 1..]),
        None => (&version[..0], version),
    };
    match rest.iter().rposition(|&byte| byte == b'-') {
        Some(at) => Parts { epoch, upstream: &rest[..at], revision: &rest[at + 1..] },
        None => Parts { epoch, upstream: rest, revision: &rest[rest.len()..] },
    }
}

/// Orders two versions as `dpkg --compare-versions` does.
pub fn compare(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    let (left, right) = (split(left.as_bytes()), split(right.as_bytes()));
    compare_numbers(left.epoch, right.epoch).then_with(|| compare_part(left.upstream, right.upstream)).then_with(|| compare_part(left.revision, right.revision))
}

/// A byte string whose `memcmp` order is the order of `compare`.
///
/// Text runs are written symbol by symbol and closed with `END`, which sorts after `~` and before
/// everything else; numbers are their count of digits and the digits. The rule was checked against
/// dpkg on every version pair of a Debian release.
pub fn key(version: &str) -> Vec<u8> {
    let parts = split(version.as_bytes());
    let mut key = Vec::with_capacity(version.len() + 12);
    push_number(&mut key, parts.epoch);
    push_part(&mut key, parts.upstream);
    push_part(&mut key, parts.revision);
    key
}

const TILDE: u8 = 1;
const END: u8 = 2;

/// Weight of a symbol in a text run: `~` before the end of the run, letters next, the rest after.
const WEIGHT: [i16; 256] = {
    let mut weight = [0; 256];
    let mut byte = 0_u8;
    loop {
        weight[byte as usize] = match byte {
            b'~' => -1,
            b'0'..=b'9' => 0,
            b'a'..=b'z' | b'A'..=b'Z' => byte as i16,
            _ => byte as i16 + 256,
        };
        if byte == u8::MAX {
            break weight;
        }
        byte += 1;
    }
};

fn compare_part(left: &[u8], right: &[u8]) -> Ordering {
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        while (i < left.len() && !left[i].is_ascii_digit()) || (j < right.len() && !right[j].is_ascii_digit()) {
            let weight_left = left.get(i).map_or(0, |&byte| WEIGHT[byte as usize]);
            let weight_right = right.get(j).map_or(0, |&byte| WEIGHT[byte as usize]);
            if weight_left != weight_right {
                return weight_left.cmp(&weight_right);
            }
            i += 1;
            j += 1;
        }
        while left.get(i) == Some(&b'0') {
            i += 1;
        }
        while right.get(j) == Some(&b'0') {
            j += 1;
        }
        let mut difference = Ordering::Equal;
        loop {
            match (left.get(i).filter(|b| b.is_ascii_digit()), right.get(j).filter(|b| b.is_ascii_digit())) {
                (Some(a), Some(b)) => {
                    if difference == Ordering::Equal {
                        difference = a.cmp(b);
                    }
                    i += 1;
                    j += 1;
                }
                (Some(_), None) => return Ordering::Greater,
                (None, Some(_)) => return Ordering::Less,
                (None, None) => break,
            }
        }
        if difference != Ordering::Equal {
            return difference;
        }
    }
    Ordering::Equal
}

fn push_part(key: &mut Vec<u8>, mut part: &[u8]) {
    loop {
        let text = part.iter().take_while(|byte| !byte.is_ascii_digit()).count();
        for &byte in &part[..text] {
            match byte {
                b'~' => key.push(TILDE),
                b'a'..=b'z' | b'A'..=b'Z' => key.push(byte),
                0..=126 => key.push(128 + byte),
                _ => key.extend([255, byte]),
            }
        }
        key.push(END);
        part = &part[text..];
        let digits = part.iter().take_while(|byte| byte.is_ascii_digit()).count();
        push_number(key, skip_zeros(&part[..digits]));
        part = &part[digits..];
        if part.is_empty() {
            break;
        }
    }
    key.extend([END, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::version::tests::{check_ascending, check_equal, check_laws};
    use proptest::prelude::*;

    #[test]
    fn a_tilde_sorts_before_the_end_and_letters_before_the_rest() {
        check_ascending(compare, key, &["1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-1", "1.0a", "1.0+b1", "1.0.1"]);
    }

    #[test]
    fn an_epoch_outranks_everything_and_numbers_compare_as_numbers() {
        check_ascending(compare, key, &["9", "10", "099999999999999999999999", "1:0~", "1:0", "2:0", "10:0"]);
    }

    #[test]
    fn absent_parts_equal_zero() {
        check_equal(compare, key, &[("1.0", "1.0-0"), ("0:1", "1"), ("1.", "1.0"), ("a", "a0"), ("1.00", "1.0"), ("007", "7")]);
    }

    #[test]
    fn parse_names_what_is_wrong() {
        assert_eq!(parse("1:2.3~rc1-4+b1"), Ok(()));
        assert_eq!(parse(""), Err(VersionError::Empty));
        assert_eq!(parse("x:1"), Err(VersionError::Epoch("x".into())));
        assert_eq!(parse("9999999999:1"), Err(VersionError::Epoch("9999999999".into())));
        assert_eq!(parse("1:"), Err(VersionError::NoUpstream("1:".into())));
        assert_eq!(parse("1-"), Err(VersionError::EmptyRevision("1-".into())));
        assert_eq!(parse("1 2"), Err(VersionError::Character { version: "1 2".into(), character: ' ' }));
    }

    fn version() -> impl Strategy<Value = String> {
        prop_oneof!["([0-9]{1,2}:)?[0-9a-c.+~-]{0,12}(-[0-9a-c.+~]{0,4})?", "[0-9]{250,300}", "\\PC{0,6}"]
    }

    proptest! {
        #[test]
        fn the_order_is_total_and_keys_have_it(a in version(), b in version(), c in version()) {
            check_laws(compare, key, a, b, c)?;
        }
    }
}

//! RPM versions: `[epoch:]version[-release]`, ordered as rpm's own `rpmvercmp` orders each part.
//!
//! A part is a row of segments: runs of digits and runs of letters. Everything else separates them and
//! counts for nothing, save `~`, which comes before the end of the part, and `^`, which comes right after.

use std::cmp::Ordering;

use super::{compare_numbers, push_number, skip_zeros};

/// The three parts of a version, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Digits before the first colon, without leading zeros; empty means zero.
    pub epoch: &'a [u8],
    /// What upstream calls the release.
    pub version: &'a [u8],
    /// What follows the last hyphen; empty when there is none.
    pub release: &'a [u8],
}

/// Splits a version at its first colon and its last hyphen. What stands before a colon and is not a
/// number belongs to the version.
pub fn split(text: &[u8]) -> Parts<'_> {
    let colon = text.iter().position(|&byte| byte == b':').filter(|&at| text[..at].iter().all(u8::is_ascii_digit));
    let (epoch, rest) = match colon {
        Some(at) => (skip_zeros(&text[..at]), &text[at + 1..]),
        None => (&text[..0], text),
    };
    match rest.iter().rposition(|&byte| byte == b'-') {
        Some(at) => Parts { epoch, version: &rest[..at], release: &rest[at + 1..] },
        None => Parts { epoch, version: rest, release: &rest[rest.len()..] },
    }
}

/// The usual spelling of the three parts: an epoch of zero is left out.
pub fn join(epoch: &str, version: &str, release: &str) -> String {
    let epoch = epoch.trim_start_matches('0');
    let colon = if epoch.is_empty() { "" } else { ":" };
    let hyphen = if release.is_empty() { "" } else { "-" };
    format!("{epoch}{colon}{version}{hyphen}{release}")
}

/// Orders two versions as rpm does. A missing release equals an empty one.
pub fn compare(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    let (left, right) = (split(left.as_bytes()), split(right.as_bytes()));
    compare_numbers(left.epoch, right.epoch).then_with(|| compare_part(left.version, right.version)).then_with(|| compare_part(left.release, right.release))
}

/// A byte string whose `memcmp` order is the order of `compare`.
pub fn key(version: &str) -> Vec<u8> {
    let parts = split(version.as_bytes());
    let mut key = Vec::with_capacity(version.len() + 16);
    push_number(&mut key, parts.epoch);
    push_part(&mut key, parts.version);
    push_part(&mut key, parts.release);
    key
}

/// What stands at one place of a part, in the order of rpm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'a> {
    Tilde,
    End,
    Caret,
    Letters(&'a [u8]),
    /// Without leading zeros.
    Number(Digits<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digits<'a>(&'a [u8]);

impl Ord for Digits<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_numbers(self.0, other.0)
    }
}

impl PartialOrd for Digits<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Takes the next segment off a part.
fn next<'a>(part: &mut &'a [u8]) -> Segment<'a> {
    let is_segment = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^');
    let rest = part.iter().position(is_segment).map_or(&part[part.len()..], |at| &part[at..]);
    let take = |n: usize| rest.split_at(n);
    let run = |kind: fn(&u8) -> bool| take(rest.iter().take_while(|byte| kind(byte)).count());
    let (segment, rest) = match rest.first() {
        None => (Segment::End, rest),
        Some(b'~') => (Segment::Tilde, take(1).1),
        Some(b'^') => (Segment::Caret, take(1).1),
        Some(byte) if byte.is_ascii_digit() => {
            let (digits, rest) = run(u8::is_ascii_digit);
            (Segment::Number(Digits(skip_zeros(digits))), rest)
        }
        Some(_) => {
            let (letters, rest) = run(u8::is_ascii_alphabetic);
            (Segment::Letters(letters), rest)
        }
    };
    *part = rest;
    segment
}

fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    loop {
        let (of_left, of_right) = (next(&mut left), next(&mut right));
        if of_left != of_right || of_left == Segment::End {
            return of_left.cmp(&of_right);
        }
    }
}

fn push_part(key: &mut Vec<u8>, mut part: &[u8]) {
    loop {
        match next(&mut part) {
            Segment::Tilde => key.push(1),
            Segment::End => break key.push(2),
            Segment::Caret => key.push(3),
            Segment::Letters(letters) => {
                key.push(4);
                key.extend_from_slice(letters);
                key.push(0);
            }
            Segment::Number(Digits(digits)) => {
                key.push(5);
                push_number(key, digits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::version::tests::{check_ascending, check_equal, check_laws};
    use proptest::prelude::*;

    #[test]
    fn numbers_outrank_letters_and_letters_the_end() {
        check_ascending(compare, key, &["1.0~~", "1.0~rc1", "1.0", "1.0^git1", "1.0a", "1.0ab", "1.0b", "1.0.1", "1.1", "1.9", "1.10"]);
    }

    #[test]
    fn an_epoch_outranks_the_version_and_that_the_release() {
        check_ascending(compare, key, &["9", "9-1", "9-1.el9", "9-1.el9_2", "9-2", "10-1", "1:1-1", "2:0-1", "10:0-1"]);
    }

    #[test]
    fn separators_and_leading_zeros_count_for_nothing() {
        check_equal(compare, key, &[("1.0", "1_0"), ("1.0", "1.0."), ("1.05", "1.5"), ("0:1", "1"), ("1.é0", "1.0"), ("1-", "1"), ("a.1", "a1")]);
    }

    #[test]
    fn parts_join_to_the_usual_spelling() {
        assert_eq!([join("0", "1.2", "3.el9"), join("", "1", ""), join("2", "1", "1")], ["1.2-3.el9", "1", "2:1-1"]);
    }

    fn version() -> impl Strategy<Value = String> {
        prop_oneof!["([0-9]{1,2}:)?[0-9a-c.+~^_]{0,12}(-[0-9a-c.~^]{0,4})?", "[0-9]{250,300}", "\\PC{0,6}"]
    }

    proptest! {
        #[test]
        fn the_order_is_total_and_keys_have_it(a in version(), b in version(), c in version()) {
            check_laws(compare, key, a, b, c)?;
        }
    }
}

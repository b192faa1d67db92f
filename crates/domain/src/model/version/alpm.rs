//! Arch versions: `[epoch:]pkgver[-pkgrel]`, ordered as pacman's `vercmp` orders them.
//!
//! Like rpm's of old, with three rules of its own: how many characters separate two segments counts, a
//! letter that follows nothing comes before the end, and a release counts only when both have one.
//! Neither `~` nor `^` means anything.
//!
//! pacman's order is none where a part ends in a separator: `1a1` < `1a.b` < `1a.` < `1a1`. `compare`
//! follows it even there; `key` is for versions without that, which are all that packages have.

use std::cmp::Ordering;

use super::{compare_numbers, push_number, rpm, skip_zeros};

/// Orders two versions as `vercmp` does.
pub fn compare(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    let have_releases = left.contains('-') && right.contains('-');
    let (left, right) = (rpm::split(left.as_bytes()), rpm::split(right.as_bytes()));
    let releases = || if have_releases { compare_part(left.release, right.release) } else { Ordering::Equal };
    compare_numbers(left.epoch, right.epoch).then_with(|| compare_part(left.version, right.version)).then_with(releases)
}

/// A byte string whose `memcmp` order is the order of `compare` among versions with a release whose
/// parts end in a letter or a digit.
pub fn key(version: &str) -> Vec<u8> {
    let parts = rpm::split(version.as_bytes());
    let mut key = Vec::with_capacity(version.len() + 16);
    push_number(&mut key, parts.epoch);
    push_part(&mut key, parts.version);
    push_part(&mut key, parts.release);
    key
}

fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    while !left.is_empty() && !right.is_empty() {
        let (separators_left, separators_right) = (take_separators(&mut left), take_separators(&mut right));
        if left.is_empty() || right.is_empty() {
            break;
        }
        if separators_left != separators_right {
            return separators_left.cmp(&separators_right);
        }
        let ordering = match (left[0].is_ascii_digit(), right[0].is_ascii_digit()) {
            (true, true) => compare_numbers(skip_zeros(take(&mut left, u8::is_ascii_digit)), skip_zeros(take(&mut right, u8::is_ascii_digit))),
            (false, false) => take(&mut left, u8::is_ascii_alphabetic).cmp(take(&mut right, u8::is_ascii_alphabetic)),
            (of_left, of_right) => of_left.cmp(&of_right),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    let begins_with_letter = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_alphabetic);
    match (left.is_empty(), right.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) if !begins_with_letter(right) => Ordering::Less,
        _ if begins_with_letter(left) => Ordering::Less,
        _ => Ordering::Greater,
    }
}

fn take<'a>(part: &mut &'a [u8], kind: fn(&u8) -> bool) -> &'a [u8] {
    let (run, rest) = part.split_at(part.iter().take_while(|byte| kind(byte)).count());
    *part = rest;
    run
}

fn take_separators(part: &mut &[u8]) -> usize {
    take(part, |byte| !byte.is_ascii_alphanumeric()).len()
}

/// After a segment, in their order: a letter at once, the end, a digit at once, one separator and a
/// letter, one separator and a digit, and so on.
fn push_part(key: &mut Vec<u8>, mut part: &[u8]) {
    loop {
        let n_separators = take_separators(&mut part);
        let after_separators = u8::try_from(n_separators).unwrap_or(u8::MAX).saturating_mul(2).saturating_add(2);
        match part.first() {
            None => break key.push(1),
            Some(byte) if byte.is_ascii_digit() => {
                key.push(after_separators);
                push_number(key, skip_zeros(take(&mut part, u8::is_ascii_digit)));
            }
            Some(_) => {
                key.push(if n_separators == 0 { 0 } else { after_separators - 1 });
                key.extend_from_slice(take(&mut part, u8::is_ascii_alphabetic));
                key.push(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::version::tests::{check_ascending, check_laws};
    use proptest::prelude::*;

    #[test]
    fn letters_that_follow_nothing_come_before_the_end() {
        check_ascending(compare, key, &["1.0a-1", "1.0b-1", "1.0beta-1", "1.0rc1-1", "1.0-1", "1.0-1.1", "1.0-2", "1.0.a-1", "1.0.1-1", "1.1-1", "1.10-1", "1:0.1-1"]);
    }

    #[test]
    fn the_number_of_separators_counts() {
        check_ascending(compare, key, &["1.0-1", "1..0-1"]);
        assert_eq!(compare("1_0-1", "1.0-1"), Ordering::Equal);
    }

    #[test]
    fn a_release_counts_only_when_both_have_one() {
        assert_eq!(compare("1.0", "1.0-7"), Ordering::Equal);
        assert_eq!(compare("1.0-6", "1.0-7"), Ordering::Less);
    }

    #[test]
    fn the_rule_of_pacman_goes_round_where_a_part_ends_in_a_separator() {
        for (left, right) in [("1a1", "1a.b"), ("1a.b", "1a."), ("1a.", "1a1")] {
            assert_eq!(compare(left, right), Ordering::Less, "{left} against {right}");
        }
    }

    fn version() -> impl Strategy<Value = String> {
        "([0-9]{1,2}:)?([0-9a-c.+_~]{0,10}[0-9a-c])-([0-9]{1,2}(\\.[0-9])?)"
    }

    proptest! {
        #[test]
        fn the_order_is_total_and_keys_have_it(a in version(), b in version(), c in version()) {
            check_laws(compare, key, a, b, c)?;
        }
    }
}

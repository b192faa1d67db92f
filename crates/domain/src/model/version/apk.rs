//! Alpine versions: `1.2.3a_rc4~hash-r5`, ordered as apk-tools 3 orders them.
//!
//! A version is a row of tokens, and at each place of the row apk ranks what may stand there: a suffix
//! that comes before the release, the end, a revision, a hash, a suffix's number, a suffix that comes
//! after, a letter, a further number.

use std::cmp::Ordering;

use super::{compare_numbers, push_number, skip_zeros};

/// Suffixes before a release, then those after it, each in their order.
const SUFFIXES: [(&str, bool); 9] = [("alpha", true), ("beta", true), ("pre", true), ("rc", true), ("cvs", false), ("svn", false), ("git", false), ("hg", false), ("p", false)];

/// Orders two versions as libapk does. What is no version comes before what is one, from the place on
/// where it is none; only a suffix that comes before a release comes before that.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (Tokens::of(left), Tokens::of(right));
    loop {
        let (of_left, of_right) = (left.next(), right.next());
        match of_left.cmp(&of_right) {
            Ordering::Equal if !matches!(of_left, Token::End | Token::Invalid) => {}
            ordering => return ordering,
        }
    }
}

/// A byte string whose `memcmp` order is the order of `compare`.
pub fn key(version: &str) -> Vec<u8> {
    let mut tokens = Tokens::of(version);
    let mut key = Vec::with_capacity(version.len() + 8);
    loop {
        let token = tokens.next();
        key.push(token.rank());
        match token {
            Token::Invalid | Token::End => break key,
            Token::PreSuffix(at) | Token::PostSuffix(at) | Token::Letter(at) => key.push(at),
            Token::Revision(digits) | Token::SuffixNumber(digits) | Token::Number(digits) => push_number(&mut key, digits),
            Token::Hash(text) | Token::ZeroNumber(text) => {
                key.extend_from_slice(text);
                key.push(0);
            }
        }
    }
}

/// What stands at one place of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    PreSuffix(u8),
    Invalid,
    End,
    Revision(&'a [u8]),
    Hash(&'a [u8]),
    SuffixNumber(&'a [u8]),
    PostSuffix(u8),
    Letter(u8),
    /// A further number that begins with a zero: its digits are a text, as after a decimal point.
    ZeroNumber(&'a [u8]),
    Number(&'a [u8]),
}

impl Token<'_> {
    fn rank(&self) -> u8 {
        match self {
            Self::PreSuffix(_) => 0,
            Self::Invalid => 1,
            Self::End => 2,
            Self::Revision(_) => 3,
            Self::Hash(_) => 4,
            Self::SuffixNumber(_) => 5,
            Self::PostSuffix(_) => 6,
            Self::Letter(_) => 7,
            Self::ZeroNumber(_) => 8,
            Self::Number(_) => 9,
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::PreSuffix(a), Self::PreSuffix(b)) | (Self::PostSuffix(a), Self::PostSuffix(b)) | (Self::Letter(a), Self::Letter(b)) => a.cmp(b),
            (Self::Revision(a), Self::Revision(b)) | (Self::SuffixNumber(a), Self::SuffixNumber(b)) | (Self::Number(a), Self::Number(b)) => compare_numbers(a, b),
            (Self::Hash(a), Self::Hash(b)) | (Self::ZeroNumber(a), Self::ZeroNumber(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// Where in a version the reader is: tokens come in this order, and only numbers and suffixes repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Start,
    AfterNumber,
    AfterLetter,
    AfterSuffix,
    AfterSuffixNumber,
    AfterHash,
    AfterRevision,
}

struct Tokens<'a> {
    rest: &'a [u8],
    place: Place,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        Self { rest: text.as_bytes(), place: Place::Start }
    }

    fn next(&mut self) -> Token<'a> {
        let Some((&first, after)) = self.rest.split_first() else {
            return if self.place == Place::Start { Token::Invalid } else { Token::End };
        };
        match (first, self.place) {
            (b'0'..=b'9', Place::Start) => self.take_digits(self.rest, Place::AfterNumber, Token::Number),
            (b'.', Place::AfterNumber) if after.first() == Some(&b'0') => {
                let (digits, rest) = split_run(after, u8::is_ascii_digit);
                (self.rest, self.place) = (rest, Place::AfterNumber);
                Token::ZeroNumber(digits)
            }
            (b'.', Place::AfterNumber) => self.take_digits(after, Place::AfterNumber, Token::Number),
            (b'a'..=b'z', Place::AfterNumber) => {
                (self.rest, self.place) = (after, Place::AfterLetter);
                Token::Letter(first)
            }
            (b'_', Place::AfterNumber | Place::AfterLetter | Place::AfterSuffix | Place::AfterSuffixNumber) => self.take_suffix(after),
            (b'0'..=b'9', Place::AfterSuffix) => self.take_digits(self.rest, Place::AfterSuffixNumber, Token::SuffixNumber),
            (b'~', place) if Place::Start < place && place < Place::AfterHash => {
                let (hash, rest) = split_run(after, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                (self.rest, self.place) = (rest, Place::AfterHash);
                if hash.is_empty() { Token::Invalid } else { Token::Hash(hash) }
            }
            (b'-', place) if Place::Start < place && place < Place::AfterRevision && after.first() == Some(&b'r') => {
                self.take_digits(&after[1..], Place::AfterRevision, Token::Revision)
            }
            _ => Token::Invalid,
        }
    }

    fn take_digits(&mut self, from: &'a [u8], place: Place, token: fn(&'a [u8]) -> Token<'a>) -> Token<'a> {
        let (digits, rest) = split_run(from, u8::is_ascii_digit);
        (self.rest, self.place) = (rest, place);
        if digits.is_empty() { Token::Invalid } else { token(skip_zeros(digits)) }
    }

    fn take_suffix(&mut self, from: &'a [u8]) -> Token<'a> {
        let (name, rest) = split_run(from, u8::is_ascii_lowercase);
        (self.rest, self.place) = (rest, Place::AfterSuffix);
        match (0..).zip(SUFFIXES).find(|(_, (suffix, _))| suffix.as_bytes() == name) {
            Some((at, (_, true))) => Token::PreSuffix(at),
            Some((at, (_, false))) => Token::PostSuffix(at),
            None => Token::Invalid,
        }
    }
}

fn split_run(text: &[u8], kind: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| kind(byte)).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::version::tests::{check_ascending, check_equal, check_laws};
    use proptest::prelude::*;

    #[test]
    fn suffixes_stand_before_or_after_the_release() {
        check_ascending(
            compare,
            key,
            &[
                "1.0_alpha",
                "1.0_alpha2",
                "1.0_beta",
                "1.0_pre1",
                "1.0_rc1",
                "1.0_rc1_git2",
                "1.0_rc2",
                "1.0",
                "1.0-r1",
                "1.0-r10",
                "1.0_git1",
                "1.0_p1",
                "1.0_p2-r0",
                "1.0a",
                "1.0b",
                "1.0.1",
            ],
        );
    }

    #[test]
    fn numbers_after_a_point_that_begin_with_zero_are_fractions() {
        check_ascending(compare, key, &["1.0", "1.002", "1.01", "1.02", "1.1", "1.9", "1.10", "2.0"]);
    }

    #[test]
    fn what_is_no_version_comes_before_the_end() {
        check_equal(compare, key, &[("", "x"), ("1.", "1.x")]);
        check_ascending(compare, key, &["1_rc1", "1.x", "1", "1.0"]);
    }

    fn version() -> impl Strategy<Value = String> {
        prop_oneof!["[0-9]{1,3}(\\.[0-9]{1,3}){0,3}[a-c]?(_(alpha|rc|git|p|x)[0-9]{0,2}){0,2}(~[0-9a-f]{1,3})?(-r[0-9]{1,2})?", "\\PC{0,6}"]
    }

    proptest! {
        #[test]
        fn the_order_is_total_and_keys_have_it(a in version(), b in version(), c in version()) {
            check_laws(compare, key, a, b, c)?;
        }
    }
}

//! Content that nodes share: sorted lines, known by their digest, whole or as an edit of another.
//!
//! Every section of a report is such lines, so one mechanism serves the wire, the store and the
//! question what changed between two days.

use std::cmp::Ordering;

use crate::model::digest::Digest;

/// Most bytes of one content.
pub const CONTENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Sorted lines without repetition, each ended by a newline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    text: String,
}

/// Why a text is no content, or an edit does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// It is too large.
    #[error("content of {bytes} bytes is larger than {CONTENT_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Lines are not in order, repeated, or the last one has no end.
    #[error("line {line} of the content is out of order, repeated or not ended")]
    NotCanonical {
        /// The line, from 1.
        line: usize,
    },
    /// A line of an edit begins with neither `-` nor `+`, removes what is not there, or adds what is.
    #[error("line {line} of the edit does not fit the content it edits")]
    EditDoesNotFit {
        /// The line, from 1.
        line: usize,
    },
}

impl Content {
    /// The content of these lines, in any order.
    pub fn of_lines(lines: impl IntoIterator<Item = String>) -> Self {
        let mut lines: Vec<_> = lines.into_iter().collect();
        lines.sort_unstable();
        lines.dedup();
        Self { text: lines.into_iter().flat_map(|line| [line, "\n".to_owned()]).collect() }
    }

    /// A text that must be canonical already: what comes from elsewhere.
    pub fn parse(text: String) -> Result<Self, ContentError> {
        if text.len() > CONTENT_BYTES_MAX {
            return Err(ContentError::TooLarge { bytes: text.len() });
        }
        let (mut last, mut n_lines) = (None, 0);
        for line in ended_lines(&text) {
            n_lines += 1;
            if last.is_some_and(|last| last >= line) {
                return Err(ContentError::NotCanonical { line: n_lines });
            }
            last = Some(line);
        }
        let is_ended = text.is_empty() || text.ends_with('\n');
        if is_ended { Ok(Self { text }) } else { Err(ContentError::NotCanonical { line: n_lines + 1 }) }
    }

    /// A text that is canonical because of how it was made.
    pub fn of_canonical(text: String) -> Self {
        debug_assert!(Self::parse(text.clone()).is_ok(), "{text}");
        Self { text }
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        ended_lines(&self.text)
    }

    /// BLAKE3 of the text.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// What turns this content into `new`: lines that begin with `-` are removed, with `+` added.
    pub fn edit_to(&self, new: &Self) -> String {
        let mut edit = String::new();
        let mut push = |sign: char, line: &str| {
            edit.push(sign);
            edit.push_str(line);
            edit.push('\n');
        };
        for_each_difference(self, new, |line, side| push(if side == Side::Old { '-' } else { '+' }, line));
        edit
    }

    /// The content that an edit turns this one into.
    pub fn apply(&self, edit: &str) -> Result<Self, ContentError> {
        let mut text = String::with_capacity(self.text.len() + edit.len());
        let (mut copied, mut last) = (0, None);
        for (at, change) in changed_lines(edit).enumerate() {
            let error = ContentError::EditDoesNotFit { line: at + 1 };
            let (side, changed) = change.filter(|(_, changed)| last.is_none_or(|last| last < *changed)).ok_or_else(|| error.clone())?;
            let (start, is_present) = self.find_line(copied, changed);
            text.push_str(&self.text[copied..start]);
            copied = start;
            match (side, is_present) {
                (Side::Old, true) => copied += changed.len() + 1,
                (Side::New, false) => {
                    text.push_str(changed);
                    text.push('\n');
                }
                _ => return Err(error),
            }
            last = Some(changed);
        }
        text.push_str(&self.text[copied..]);
        if text.len() > CONTENT_BYTES_MAX { Err(ContentError::TooLarge { bytes: text.len() }) } else { Ok(Self { text }) }
    }

    /// Where a line is, or would be, not before the line that begins at `from`.
    fn find_line(&self, from: usize, wanted: &str) -> (usize, bool) {
        let bytes = self.text.as_bytes();
        let (mut low, mut high) = (from, bytes.len());
        while low < high {
            let middle = low.midpoint(high);
            let start = bytes[low..middle].iter().rposition(|byte| *byte == b'\n').map_or(low, |at| low + at + 1);
            let end = bytes[middle..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| middle + at);
            match bytes[start..end].cmp(wanted.as_bytes()) {
                Ordering::Less => low = end + 1,
                Ordering::Equal => return (start, true),
                Ordering::Greater => high = start,
            }
        }
        (low, false)
    }
}

/// The lines of a text, each of which has an end.
fn ended_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', text.as_bytes()).map(move |end| {
        let line = &text[start..end];
        start = end + 1;
        line
    })
}

/// The lines of an edit: which side has each. `None` stands for one that says neither.
pub fn changed_lines(edit: &str) -> impl Iterator<Item = Option<(Side, &str)>> {
    edit.split_terminator('\n').map(|line| match line.split_at_checked(1)? {
        ("-", changed) => Some((Side::Old, changed)),
        ("+", changed) => Some((Side::New, changed)),
        _ => None,
    })
}

/// Which content has a line that the other has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The old one: the line was removed.
    Old,
    /// The new one: the line was added.
    New,
}

/// Visits the lines that only one of two contents has, in order.
pub fn for_each_difference<'a>(old: &'a Content, new: &'a Content, mut visit: impl FnMut(&'a str, Side)) {
    let (mut old, mut new) = (old.lines().peekable(), new.lines().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        match order {
            Ordering::Less => old.next().into_iter().for_each(|line| visit(line, Side::Old)),
            Ordering::Greater => new.next().into_iter().for_each(|line| visit(line, Side::New)),
            Ordering::Equal => {
                old.next();
                new.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(lines: &[&str]) -> Content {
        Content::of_lines(lines.iter().map(ToString::to_string))
    }

    #[test]
    fn an_edit_names_what_changed_and_nothing_else() {
        let (old, new) = (content(&["a 1", "b 1", "c 1"]), content(&["a 1", "b 2", "d 1"]));
        assert_eq!(old.edit_to(&new), "-b 1\n+b 2\n-c 1\n+d 1\n");
        assert_eq!(old.apply(&old.edit_to(&new)), Ok(new));
        assert_eq!(old.edit_to(&old), "");
    }

    #[test]
    fn what_is_not_canonical_is_refused_with_its_line() {
        for (text, line) in [("b\na\n", 2), ("a\na\n", 2), ("a\nb", 2), ("a\n\nb\n", 2)] {
            assert_eq!(Content::parse(text.to_owned()), Err(ContentError::NotCanonical { line }), "{text:?}");
        }
        let some = content(&["a", "b"]);
        for (edit, line) in [("-c\n", 1), ("+a\n", 1), ("-a\n*b\n", 2), ("-a\n\n", 2), ("-b\n-a\n", 2)] {
            assert_eq!(some.apply(edit), Err(ContentError::EditDoesNotFit { line }), "{edit:?}");
        }
    }

    proptest! {
        #[test]
        fn an_edit_leads_from_any_content_to_any_other(old in proptest::collection::vec("[a-d\t]{0,3}", 0..8), new in proptest::collection::vec("[a-d\t]{0,3}", 0..8)) {
            let (old, new) = (Content::of_lines(old), Content::of_lines(new));
            prop_assert_eq!(Content::parse(new.text().to_owned()), Ok(new.clone()));
            prop_assert_eq!(old.apply(&old.edit_to(&new)), Ok(new));
        }

        #[test]
        fn no_edit_panics(text in "[-+a-c\n]{0,12}", edit in "\\PC{0,12}") {
            if let Ok(content) = Content::parse(text) {
                let _ = content.apply(&edit);
            }
        }
    }
}

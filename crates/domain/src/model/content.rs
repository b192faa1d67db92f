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
        let mut last = None;
        for (at, line) in text.split_inclusive('\n').enumerate() {
            let in_order = last.is_none_or(|last: &str| last.trim_end_matches('\n') < line.trim_end_matches('\n'));
            if !in_order || !line.ends_with('\n') {
                return Err(ContentError::NotCanonical { line: at + 1 });
            }
            last = Some(line);
        }
        Ok(Self { text })
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
        self.text.lines()
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
        let mut lines = self.lines().peekable();
        for (at, change) in edit.lines().enumerate() {
            let error = ContentError::EditDoesNotFit { line: at + 1 };
            let (sign, changed) = change.split_at_checked(1).ok_or_else(|| error.clone())?;
            while let Some(line) = lines.next_if(|line| *line < changed) {
                push_line(&mut text, line);
            }
            let present = lines.next_if_eq(&changed).is_some();
            match (sign, present) {
                ("-", true) => {}
                ("+", false) => push_line(&mut text, changed),
                _ => return Err(error),
            }
        }
        lines.for_each(|line| push_line(&mut text, line));
        Self::parse(text)
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
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

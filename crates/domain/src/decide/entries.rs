//! Entries of the lists of approved and rejected patches: which patches they name.
//!
//! An entry is an advisory, a CVE, a number in the vendor's bug tracker, `name`, `name.arch`, `name:arch`,
//! `name=version`, or any form of a NEVRA; `*` `?` `[…]` are allowed.

use hashbrown::HashMap;

use crate::decide::select::PatchFacts;
use crate::model::glob::{self, Case};
use crate::model::nevra;

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'b> {
    text: &'b str,
    /// What everything that a pattern matches begins with; nothing for plain text.
    pattern: Option<&'b str>,
}

impl<'b> Entry<'b> {
    /// Reads an entry.
    pub fn new(text: &'b str) -> Self {
        let literal = text.find(['*', '?', '[', '\\']).map_or(text, |at| &text[..at]);
        // The epoch of a NEVRA may come before the name.
        let literal = if literal.starts_with(|c: char| c.is_ascii_digit()) { "" } else { literal };
        Self { text, pattern: glob::is_pattern(text).then_some(literal) }
    }

    /// Whether it names a patch.
    pub fn names(&self, patch: &PatchFacts) -> bool {
        patch.advisory.is_some_and(|advisory| advisory.is_named(self.text)) || self.names_package(patch)
    }

    fn names_package(&self, patch: &PatchFacts) -> bool {
        let entry = self.text;
        let Some(literal) = self.pattern else {
            return match entry.strip_prefix(patch.name).map(|rest| (rest, rest.as_bytes().first())) {
                Some((_, None)) => true,
                Some((rest, Some(b'.' | b':'))) => &rest[1..] == patch.architecture,
                Some((rest, Some(b'='))) => &rest[1..] == patch.version,
                _ => nevra::names(entry, patch.name, patch.version, patch.architecture),
            };
        };
        let shared = literal.len().min(patch.name.len());
        if literal.as_bytes()[..shared] != patch.name.as_bytes()[..shared] {
            return false;
        }
        let whole = |separator: char, part: &str| format!("{}{separator}{part}", patch.name);
        glob::matches(entry, patch.name, Case::Sensitive)
            || glob::matches(entry, &whole('.', patch.architecture), Case::Sensitive)
            || glob::matches(entry, &whole(':', patch.architecture), Case::Sensitive)
            || glob::matches(entry, &whole('=', patch.version), Case::Sensitive)
            || (entry.contains('-') && nevra::names(entry, patch.name, patch.version, patch.architecture))
    }
}

/// The packages that a plain entry may name: what comes before a version or an architecture.
pub fn possible_names(entry: &str) -> impl Iterator<Item = &str> {
    let without_epoch = entry.split_once(':').filter(|(epoch, _)| !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit())).map(|(_, rest)| rest);
    let cut = |entry: &'_ str| entry.match_indices(['.', ':', '=', '-']).map(|(at, _)| at).chain([entry.len()]).collect::<Vec<_>>();
    std::iter::once(entry).chain(without_epoch).flat_map(move |entry| cut(entry).into_iter().map(move |at| &entry[..at]))
}

/// A list of entries, found by the names of packages: thousands of versions are looked up in it.
#[derive(Debug)]
pub struct Entries<'b> {
    entries: Vec<Entry<'b>>,
    /// Plain entries by the names that they may mean.
    by_name: HashMap<&'b str, Vec<usize>>,
    patterns: Vec<usize>,
}

impl<'b> Entries<'b> {
    /// Reads a list.
    pub fn new(list: &'b [String]) -> Self {
        let entries: Vec<_> = list.iter().map(|text| Entry::new(text)).collect();
        let mut by_name = HashMap::<_, Vec<_>>::new();
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.pattern.is_none()) {
            for name in possible_names(entry.text) {
                by_name.entry(name).or_default().push(at);
            }
        }
        let patterns = (0..entries.len()).filter(|at| entries[*at].pattern.is_some()).collect();
        Self { entries, by_name, patterns }
    }

    /// The first entry that names a patch.
    pub fn find(&self, patch: &PatchFacts) -> Option<&'b str> {
        if self.entries.is_empty() {
            return None;
        }
        let names = |at: &usize| self.entries[*at].names_package(patch);
        let plain = self.by_name.get(patch.name).and_then(|possible| possible.iter().copied().find(names));
        let pattern = self.patterns.iter().copied().take_while(|at| plain.is_none_or(|plain| *at < plain)).find(names);
        let advised = patch.advisory.and_then(|advisory| self.entries.iter().position(|entry| advisory.is_named(entry.text)));
        [plain, pattern, advised].into_iter().flatten().min().map(|at| self.entries[at].text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::advisory::{Advisory, Suggestion};
    use crate::model::patch::{Classification, Severity};

    fn patch<'a>(name: &'a str, version: &'a str, advisory: Option<&'a Advisory>) -> PatchFacts<'a> {
        let classification = Classification::Security;
        let (section, priority, repository, released_at, first_seen_at) = (None, None, None, None, None);
        PatchFacts { name, architecture: "amd64", version, classification, advisory, section, priority, repository, released_at, first_seen_at }
    }

    fn advisory() -> Advisory {
        Advisory {
            ids: vec!["RHSA-1".into()],
            classification: Classification::Security,
            severity: Severity::Low,
            cves: vec!["CVE-1".into()],
            bugs: vec!["2100000".into()],
            released_at: None,
            suggestion: Suggestion::Nothing,
        }
    }

    #[test]
    fn every_documented_form_names_the_patch() {
        let advisory = advisory();
        let found = patch("bind-libs", "32:9.16-1", Some(&advisory));
        for entry in
            ["bind-libs", "bind-libs.amd64", "bind-libs:amd64", "bind-libs=32:9.16-1", "bind-libs-9.16-1", "32:bind-libs-9.16-1.amd64", "RHSA-1", "cve-1", "2100000", "bind*"]
        {
            assert_eq!(Entries::new(&[entry.to_owned()]).find(&found), Some(entry));
        }
        for entry in ["bind", "bind-libs.i386", "bind-libs=9", "libs", "CVE-2", "bin[a-c]*"] {
            assert_eq!(Entries::new(&[entry.to_owned()]).find(&found), None, "{entry}");
        }
    }

    proptest! {
        #[test]
        fn the_list_finds_what_looking_at_each_entry_does(entries in proptest::collection::vec("[ab12*?.:=-]{1,6}|CVE-1|2100000", 0..8), name in "[ab]{1,2}(-[ab])?", version in "(1:)?[12](-[12])?", advised: bool) {
            let advisory = advisory();
            let patch = patch(&name, &version, advised.then_some(&advisory));
            let first = entries.iter().map(String::as_str).find(|entry| Entry::new(entry).names(&patch));
            prop_assert_eq!(Entries::new(&entries).find(&patch), first);
            for entry in entries.iter().filter(|entry| entry.contains(['*', '?'])) {
                // What a pattern begins with rules out no more than the pattern does.
                let plainly = Entry { text: entry, pattern: Some("") };
                prop_assert_eq!(Entry::new(entry).names(&patch), plainly.names(&patch));
            }
        }
    }
}

//! Install override lists of AWS Patch Manager: packages to install, whatever the baseline says.

use serde::Deserialize;

use crate::model::glob::{self, Case};
use crate::model::patch::AvailableVersion;
use crate::model::version::{Scheme, rpm};

/// Largest list, in bytes.
const BYTES_MAX: usize = 1024 * 1024;
/// Most entries.
const ENTRIES_MAX: usize = 1000;

/// A list; what else its document says is passed over, as AWS does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OverrideList {
    patches: Vec<OverrideEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct OverrideEntry {
    /// `name.arch`, with `*` anywhere.
    id: String,
    /// A version of it: `{name}.{arch}:{version}` (apt) or `{name}.{arch}:{epoch}:{version}-{release}` (rpm), with `*`.
    #[serde(default)]
    title: Option<String>,
}

/// Why a list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideListError {
    /// It is too long.
    #[error("the list has more than {BYTES_MAX} bytes or {ENTRIES_MAX} entries")]
    TooLong,
    /// It does not read.
    #[error("the list does not read: {detail}")]
    Malformed {
        /// What is wrong, and where.
        detail: String,
    },
    /// It names nothing.
    #[error("the list names no patch: it needs `patches:` with an `id` each")]
    Empty,
}

impl OverrideList {
    /// Reads a list, in YAML or JSON.
    pub fn parse(text: &str) -> Result<Self, OverrideListError> {
        if text.len() > BYTES_MAX {
            return Err(OverrideListError::TooLong);
        }
        let list: Self = serde_saphyr::from_str(text).map_err(|error| OverrideListError::Malformed { detail: error.without_snippet().to_string() })?;
        match list.patches.len() {
            0 => Err(OverrideListError::Empty),
            1..=ENTRIES_MAX => Ok(list),
            _ => Err(OverrideListError::TooLong),
        }
    }

    /// The versions to install of those that are newer and can be installed: of each package that an entry names the
    /// newest one, or the newest whose title matches.
    pub fn choose<'a>(&self, available: &'a [AvailableVersion], scheme: Scheme) -> Vec<&'a AvailableVersion> {
        let mut chosen: Vec<&AvailableVersion> = Vec::new();
        // Versions of a package come newest first.
        for version in available.iter().filter(|version| version.offer.is_installable() && version.offer.replacement().is_none()) {
            let is_new = !chosen.iter().any(|other| (&other.name, &other.architecture) == (&version.name, &version.architecture));
            if is_new && self.patches.iter().any(|entry| entry.names(version, scheme)) {
                chosen.push(version);
            }
        }
        chosen
    }
}

impl OverrideEntry {
    fn names(&self, version: &AvailableVersion, scheme: Scheme) -> bool {
        let id = format!("{}.{}", version.name, version.architecture);
        let is_named = glob::matches(&self.id, &id, Case::Sensitive) || self.id == version.name;
        let title = || match scheme {
            Scheme::Rpm => {
                let parts = rpm::split(version.version.as_bytes());
                let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
                let epoch = Some(text(parts.epoch)).filter(|epoch| !epoch.is_empty()).unwrap_or("0");
                format!("{id}:{epoch}:{}-{}", text(parts.version), text(parts.release))
            }
            _ => format!("{id}:{}", version.version),
        };
        is_named && self.title.as_ref().is_none_or(|wanted| glob::matches(wanted, &title(), Case::Sensitive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::patch::Offer;

    fn choose(list: &str, scheme: Scheme) -> Vec<String> {
        let version = |name: &str, version: &str, offer: Offer| AvailableVersion {
            name: name.into(),
            architecture: "x86_64".into(),
            version: version.into(),
            offer,
            source: name.into(),
            source_version: None,
            section: None,
            priority: None,
            repositories: vec![],
            advisory: None,
            first_seen_at: None,
        };
        let available = [
            version("kernel", "1:6.2-1", Offer::Candidate),
            version("kernel", "6.1-1", Offer::Superseded),
            version("kernel-tools", "6.2-1", Offer::Candidate),
            version("openssl", "3.2-1", Offer::Excluded { by: "a lock".into() }),
        ];
        OverrideList::parse(list).unwrap().choose(&available, scheme).into_iter().map(|version| format!("{} {}", version.name, version.version)).collect()
    }

    #[test]
    fn entries_choose_the_newest_version_that_they_name() {
        let one = |id: &str| choose(&format!("patches:\n- id: '{id}'\n  other: 1\n"), Scheme::Rpm);
        assert_eq!(one("kernel.x86_64"), ["kernel 1:6.2-1"]);
        assert_eq!(one("kernel*.x86_64"), ["kernel 1:6.2-1", "kernel-tools 6.2-1"]);
        assert_eq!(one("kernel"), ["kernel 1:6.2-1"]);
        assert_eq!([one("openssl*"), one("kernel.noarch")], [Vec::<String>::new(), Vec::new()]);
        let titled = |title: &str, scheme| choose(&format!("patches: [{{id: 'kernel.*', title: '{title}'}}]"), scheme);
        assert_eq!(titled("*:0:6.1-1", Scheme::Rpm), ["kernel 6.1-1"]);
        assert_eq!(titled("kernel.x86_64:1:6.2-1", Scheme::Deb), ["kernel 1:6.2-1"]);
        assert_eq!(titled("*7*", Scheme::Deb), Vec::<String>::new());
    }

    #[test]
    fn lists_that_name_nothing_are_refused() {
        assert_eq!(OverrideList::parse("patches: []"), Err(OverrideListError::Empty));
        let malformed = OverrideList::parse("patches:\n- title: x\n").unwrap_err().to_string();
        assert!(malformed.contains("id") && malformed.contains("line 2"), "{malformed}");
        assert_eq!(OverrideList::parse(&"x".repeat(BYTES_MAX + 1)), Err(OverrideListError::TooLong));
    }
}

//! What a vendor's advisories say of a version: which holes it closes, how urgent that is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::patch::{Classification, Severity};
use crate::model::time::Timestamp;

/// The advisories that name one version of a package, merged: the most urgent classification and
/// severity, every reference, and the latest date.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Advisory {
    /// Their ids, such as `RHSA-2026:0001`.
    pub ids: Vec<String>,
    /// What kind of change they announce.
    pub classification: Classification,
    /// How urgent the vendor says it is.
    pub severity: Severity,
    /// Vulnerabilities that it closes, such as `CVE-2026-0001`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cves: Vec<String>,
    /// Numbers in the vendor's bug tracker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bugs: Vec<String>,
    /// When it was last updated, else issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<Timestamp>,
    /// What should be started again for it to take effect.
    #[serde(default, skip_serializing_if = "Suggestion::is_nothing")]
    pub suggestion: Suggestion,
}

/// What a vendor suggests after an update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Suggestion {
    /// Nothing.
    #[default]
    Nothing,
    /// To start the program again.
    Restart,
    /// To log in again.
    Relogin,
    /// To reboot.
    Reboot,
}

impl Suggestion {
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

impl Advisory {
    /// Adds what another advisory says of the same version.
    pub fn merge(&mut self, other: &Self) {
        fn add(to: &mut Vec<String>, from: &[String]) {
            to.extend_from_slice(from);
            to.sort_unstable();
            to.dedup();
        }
        add(&mut self.ids, &other.ids);
        add(&mut self.cves, &other.cves);
        add(&mut self.bugs, &other.bugs);
        self.classification = self.classification.min(other.classification);
        self.severity = self.severity.min(other.severity);
        self.released_at = self.released_at.max(other.released_at);
        self.suggestion = self.suggestion.max(other.suggestion);
    }

    /// Whether a person means it by this id: its own, that of a vulnerability, or a number in the vendor's bug
    /// tracker, whatever the case.
    pub fn is_named(&self, id: &str) -> bool {
        self.ids.iter().chain(&self.cves).chain(&self.bugs).any(|known| known.eq_ignore_ascii_case(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_advisories_keep_the_most_urgent_of_each() {
        let advisory = |id: &str, classification, severity, at| Advisory {
            ids: vec![id.to_owned()],
            classification,
            severity,
            cves: vec![format!("CVE-{id}")],
            bugs: vec!["7".to_owned()],
            released_at: Some(Timestamp::from_millis(at)),
            suggestion: Suggestion::Nothing,
        };
        let mut merged = advisory("B", Classification::Bugfix, Severity::Unspecified, 5);
        merged.merge(&Advisory { suggestion: Suggestion::Reboot, ..advisory("A", Classification::Security, Severity::Low, 3) });
        let expected = Advisory {
            ids: vec!["A".into(), "B".into()],
            cves: vec!["CVE-A".into(), "CVE-B".into()],
            suggestion: Suggestion::Reboot,
            ..advisory("", Classification::Security, Severity::Low, 5)
        };
        assert_eq!(merged, expected);
        assert!(merged.is_named("cve-a") && merged.is_named("B") && merged.is_named("7") && !merged.is_named("C"));
    }
}

//! Which of the versions that a node is offered an install is about.

use crate::decide::entries::Entry;
use crate::decide::select::PatchFacts;
use crate::model::compliance::PatchState;
use crate::model::scan_report::PatchRow;
use crate::model::transaction::Change;

/// The missing patches, or those of them that an entry names, as in the lists of a baseline: packages, advisories, CVEs.
pub fn choose_missing(patches: &[PatchRow], only: &[String]) -> Vec<Change> {
    let entries: Vec<_> = only.iter().map(|entry| Entry::new(entry)).collect();
    let is_named = |patch: &PatchRow| {
        let facts = PatchFacts {
            name: &patch.name,
            architecture: &patch.architecture,
            version: patch.available_version.as_deref().unwrap_or_default(),
            classification: patch.classification,
            advisory: None,
            section: None,
            priority: None,
            repository: None,
            released_at: None,
            first_seen_at: None,
        };
        let ids = || patch.advisories.iter().chain(&patch.cves);
        only.is_empty() || entries.iter().any(|entry| entry.names(&facts)) || only.iter().any(|only| ids().any(|id| id.eq_ignore_ascii_case(only)))
    };
    patches.iter().filter(|patch| patch.state == PatchState::Missing && is_named(patch)).filter_map(PatchRow::change).collect()
}

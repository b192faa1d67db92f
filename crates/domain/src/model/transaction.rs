//! What a package manager would do to a node, or did.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::package::InstalledPackage;

/// A version that is wanted on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Package name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version.
    pub version: String,
}

impl Change {
    /// The version that is installed.
    pub fn of(package: &InstalledPackage) -> Self {
        Self { name: package.name.clone(), architecture: package.architecture.clone(), version: package.version.clone() }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What happens to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It was not there, or another version stays beside it.
    Install,
    /// A newer version takes its place.
    Upgrade,
    /// An older version takes its place.
    Downgrade,
    /// The same version is installed again.
    Reinstall,
    /// It goes.
    Remove,
}

impl Action {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
            Self::Reinstall => "reinstall",
            Self::Remove => "remove",
        }
    }
}

/// What happens to one package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Package name.
    pub name: String,
    /// Its architecture, where the package manager says it or the package is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// What happens.
    pub action: Action,
    /// The version of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The version of after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Where that comes from, in the package manager's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

/// Everything that a package manager does at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// By name and architecture.
    pub steps: Vec<Step>,
    /// What the package manager says about what it leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// KiB to download, where the package manager says it beside the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_kib: Option<u64>,
}

impl Transaction {
    /// Of steps in any order. What the package manager does not print of a package is that of the installed
    /// one, the newest of several.
    pub fn new(mut steps: Vec<Step>, remarks: Vec<String>, installed: &[InstalledPackage]) -> Self {
        let mut by_name = BTreeMap::<&str, Vec<&InstalledPackage>>::new();
        for package in installed.iter().filter(|package| !package.older_of_several) {
            by_name.entry(&package.name).or_default().push(package);
        }
        for step in &mut steps {
            let same_name = by_name.get(step.name.as_str()).into_iter().flatten();
            let Some(package) = same_name.copied().find(|package| step.architecture.as_ref().is_none_or(|architecture| *architecture == package.architecture)) else { continue };
            step.architecture.get_or_insert_with(|| package.architecture.clone());
            if step.action != Action::Install {
                step.from.get_or_insert_with(|| package.version.clone());
            }
        }
        steps.sort();
        steps.dedup();
        Self { steps, remarks, download_kib: None }
    }

    /// Steps that nobody asked for: dependencies, and what has to go.
    pub fn unasked<'a>(&'a self, asked: &'a [Change]) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(|step| !asked.iter().any(|change| step.is(change)))
    }

    /// Changes that would not come about.
    pub fn left_out<'a>(&'a self, asked: &'a [Change]) -> impl Iterator<Item = &'a Change> {
        asked.iter().filter(|change| !self.steps.iter().any(|step| step.is(change)))
    }
}

impl Step {
    /// Whether this brings about a change.
    pub fn is(&self, change: &Change) -> bool {
        self.name == change.name
            && self.architecture.as_ref().is_none_or(|architecture| *architecture == change.architecture)
            && self.to.as_deref() == Some(change.version.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Change, Step, Transaction};
    use crate::model::package::InstalledPackage;

    fn step(action: Action, name: &str, to: Option<&str>) -> Step {
        Step { name: name.into(), architecture: Some("x86_64".into()), action, from: None, to: to.map(str::to_owned), repository: None }
    }

    #[test]
    fn a_transaction_is_told_from_what_was_asked() {
        let installed =
            |version: &str, older_of_several| InstalledPackage { older_of_several, ..InstalledPackage::new("tb-a".to_owned(), "x86_64".to_owned(), version.to_owned()) };
        let steps = vec![step(Action::Remove, "tb-old", None), step(Action::Install, "tb-dep", Some("1")), step(Action::Upgrade, "tb-a", Some("3"))];
        let transaction = Transaction::new(steps, Vec::new(), &[installed("2", false), installed("1", true)]);
        assert_eq!(transaction.steps[0].from.as_deref(), Some("2"));
        let change = |name: &str, version: &str| Change { name: name.into(), architecture: "x86_64".into(), version: version.into() };
        let asked = [change("tb-a", "3"), change("tb-b", "1"), change("tb-dep", "2")];
        assert_eq!(transaction.unasked(&asked).map(|step| step.name.as_str()).collect::<Vec<_>>(), ["tb-dep", "tb-old"]);
        assert_eq!(transaction.left_out(&asked).map(|change| change.name.as_str()).collect::<Vec<_>>(), ["tb-b", "tb-dep"]);
    }
}

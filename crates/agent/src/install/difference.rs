//! What really happened: the package database before and after.

use std::collections::{BTreeMap, BTreeSet};

use domain::model::package::InstalledPackage;
use domain::model::transaction::{Action, Step, Transaction};
use domain::model::version::Scheme;

/// The steps from one state to the other. A version that came while another of the package went took its place;
/// versions that stay beside each other, as of kernels, were installed.
pub fn between(before: &[InstalledPackage], after: &[InstalledPackage], scheme: Scheme) -> Transaction {
    let (before, after) = (by_package(before), by_package(after));
    let none = BTreeSet::new();
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut steps = Vec::new();
    for (name, architecture) in keys {
        let versions = |of: &BTreeMap<(&str, &str), BTreeSet<String>>| of.get(&(*name, *architecture)).cloned().unwrap_or_else(|| none.clone());
        let (old, new) = (versions(&before), versions(&after));
        let mut gone: Vec<_> = old.difference(&new).cloned().collect();
        let mut come: Vec<_> = new.difference(&old).cloned().collect();
        let step = |action, from: Option<String>, to: Option<String>| Step {
            name: (*name).to_owned(),
            architecture: Some((*architecture).to_owned()),
            action,
            from,
            to,
            repository: None,
        };
        while let (Some(to), Some(from)) = (come.last().cloned(), gone.last().cloned()) {
            let action = if scheme.compare(&to, &from).is_lt() { Action::Downgrade } else { Action::Upgrade };
            steps.push(step(action, Some(from), Some(to)));
            come.pop();
            gone.pop();
        }
        steps.extend(come.into_iter().map(|to| step(Action::Install, None, Some(to))));
        steps.extend(gone.into_iter().map(|from| step(Action::Remove, Some(from), None)));
    }
    Transaction { steps, ..Transaction::default() }
}

fn by_package(packages: &[InstalledPackage]) -> BTreeMap<(&str, &str), BTreeSet<String>> {
    let mut by_package = BTreeMap::<_, BTreeSet<_>>::new();
    for package in packages {
        by_package.entry((package.name.as_str(), package.architecture.as_str())).or_default().insert(package.version.clone());
    }
    by_package
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_told() {
        let packages = |list: &[(&str, &str)]| list.iter().map(|(name, version)| InstalledPackage::new((*name).into(), "amd64".into(), (*version).into())).collect::<Vec<_>>();
        let before = packages(&[("same", "1"), ("up", "1"), ("down", "2"), ("gone", "1"), ("kernel", "1"), ("old-kernel", "1"), ("old-kernel", "2")]);
        let after = packages(&[("same", "1"), ("up", "2"), ("down", "1"), ("new", "1"), ("kernel", "1"), ("kernel", "2"), ("old-kernel", "2"), ("old-kernel", "3")]);
        let told: Vec<_> = between(&before, &after, Scheme::Deb)
            .steps
            .into_iter()
            .map(|step| format!("{} {} {} {}", step.action.word(), step.name, step.from.unwrap_or_default(), step.to.unwrap_or_default()))
            .collect();
        assert_eq!(told, ["downgrade down 2 1", "remove gone 1 ", "install kernel  2", "install new  1", "upgrade old-kernel 1 3", "upgrade up 1 2"]);
    }
}

//! Installing with `apt-get`. Checked against apt 2.6.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::model::package::InstalledPackage;
use domain::model::plan::{Extra, Plan};

use super::simulate::{name_of, wish};
use crate::command::{self, CommandError, Output};
use crate::root::Root;

/// Files that an owner changed stay as they are; those that nobody touched are replaced. Nothing is asked, not
/// even by a dpkg whose debconf is told to.
const ARGUMENTS: [&str; 6] = [
    "--quiet",
    "--yes",
    "--option=Dpkg::Use-Pty=0",
    "--option=Dpkg::Options::=--force-confdef",
    "--option=Dpkg::Options::=--force-confold",
    // What goes is in the plan or does not go.
    "--option=APT::Get::AllowUnauthenticated=false",
];

/// Installs the exact versions of a plan.
pub fn install(root: &Root, before: &[InstalledPackage], plan: &Plan, patience: Duration) -> Result<Output, CommandError> {
    let wished: Vec<_> = plan.changes.iter().map(wish).collect();
    let may_remove = plan.extra == Extra::AsPlanned;
    let arguments = ARGUMENTS.into_iter().chain((!may_remove).then_some("--no-remove")).chain(["install"]).chain(wished.iter().map(String::as_str));
    let mut output = command::change(root, "apt-get", &arguments.collect::<Vec<_>>(), patience)?;
    // Whoever is named counts as wanted for good from then on; dependencies stay dependencies.
    let automatic: BTreeSet<_> = before.iter().filter(|package| package.automatic).map(|package| (package.name.as_str(), package.architecture.as_str())).collect();
    let named = plan.changes.iter().filter(|change| automatic.contains(&(change.name.as_str(), change.architecture.as_str())));
    let names: Vec<_> = named.map(name_of).collect();
    if !names.is_empty() {
        let arguments: Vec<_> = ["auto"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let marked = command::change(root, "apt-mark", &arguments, patience)?;
        output.stdout.push_str(&marked.stdout);
    }
    Ok(output)
}

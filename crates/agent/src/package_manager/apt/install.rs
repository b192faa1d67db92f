//! Downloading and installing with `apt-get`. Checked against apt 2.6.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::model::package::InstalledPackage;
use domain::model::plan::{ConfigFiles, Extra, Plan};
use domain::model::transaction::Change;

use super::simulate::{name_of, wish};
use super::way_back::{ARCHIVES, find_kept};
use crate::command::{self, CommandError, Output, Watch};
use crate::root::Root;

/// Nothing is asked, not even by a dpkg whose debconf is told to.
pub const ARGUMENTS: [&str; 5] = [
    "--quiet",
    "--yes",
    "--option=Dpkg::Use-Pty=0",
    "--option=Dpkg::Options::=--force-confdef",
    // What is not signed is not in the plan.
    "--option=APT::Get::AllowUnauthenticated=false",
];
/// Files that an owner changed stay as they are; those that nobody touched are replaced.
pub const KEEP: &str = "--option=Dpkg::Options::=--force-confold";
const REPLACE: &str = "--option=Dpkg::Options::=--force-confnew";

/// Downloads the exact versions of a plan, unless all of them are there.
pub fn download(root: &Root, plan: &Plan, patience: Duration, watch: Watch<'_>) -> Option<Result<Output, CommandError>> {
    let mut comes = plan.transaction.steps.iter().filter_map(|step| Some(Change { name: step.name.clone(), architecture: step.architecture.clone()?, version: step.to.clone()? }));
    if comes.all(|change| find_kept(root, ARCHIVES, &change).is_some()) {
        return None;
    }
    let wished: Vec<_> = plan.changes.iter().map(wish).collect();
    let arguments = ARGUMENTS.into_iter().chain(["--download-only", "install"]).chain(wished.iter().map(String::as_str));
    Some(command::change(root, "apt-get", &arguments.collect::<Vec<_>>(), patience, watch))
}

/// Installs the exact versions of a plan.
pub fn install(root: &Root, before: &[InstalledPackage], plan: &Plan, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let wished: Vec<_> = plan.changes.iter().map(wish).collect();
    let may_remove = plan.terms.extra == Extra::AsPlanned;
    let config_files = if plan.terms.config_files == ConfigFiles::Replace { REPLACE } else { KEEP };
    let arguments = ARGUMENTS.into_iter().chain([config_files]).chain((!may_remove).then_some("--no-remove")).chain(["install"]).chain(wished.iter().map(String::as_str));
    let mut output = command::change(root, "apt-get", &arguments.collect::<Vec<_>>(), patience, watch)?;
    keep_automatic(root, before, &plan.changes, patience, &mut output)?;
    Ok(output)
}

/// Whoever is named counts as wanted for good from then on; dependencies stay dependencies. Without names, all that
/// were.
pub fn keep_automatic(root: &Root, before: &[InstalledPackage], named: &[Change], patience: Duration, output: &mut Output) -> Result<(), CommandError> {
    let automatic = before.iter().filter(|package| package.automatic).map(Change::of);
    let is_named = |change: &Change| named.is_empty() || named.iter().any(|named| named.name == change.name && named.architecture == change.architecture);
    let names: BTreeSet<_> = automatic.filter(is_named).map(|change| name_of(&change)).collect();
    if !names.is_empty() {
        let arguments: Vec<_> = ["auto"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let marked = command::change(root, "apt-mark", &arguments, patience, &mut |_| {})?;
        output.stdout.push_str(&marked.stdout);
    }
    Ok(())
}

/// Ends what an installation of before left half done.
pub fn recover(root: &Root, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let configure = ["--configure", "--pending", "--force-confdef", "--force-confold"];
    command::change(root, "dpkg", &configure, patience, watch)
}

/// KiB that the versions of a plan are to download: the third field of what apt prints of each file.
pub fn download_kib(root: &Root, changes: &[Change]) -> Option<u64> {
    let wished: Vec<_> = changes.iter().map(wish).collect();
    let arguments: Vec<_> = ["--quiet", "--yes", "--print-uris", "install"].into_iter().chain(wished.iter().map(String::as_str)).collect();
    let output = command::output(root, "apt-get", &arguments, Duration::from_mins(1)).ok().filter(|output| output.code == Some(0))?;
    let bytes = output.stdout.lines().filter(|line| line.starts_with('\'')).filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    Some(bytes.sum::<u64>().div_ceil(1024))
}

//! What came of a run, from the package database and the running processes.

use domain::model::inventory::{Inventory, Reboot};
use domain::model::package::InstalledPackage;
use domain::model::plan::Plan;
use domain::model::platform::OperatingSystem;
use domain::model::receipt::{Cause, Effect, Outcome, PackageResult, PackageState, Receipt};
use domain::model::run::{Run, Step};
use domain::model::time::Timestamp;
use domain::model::transaction::Change;

use super::{config_files, difference, services};
use crate::package_manager::PackageManager;
use crate::root::Root;

/// Longest words of a failure, in characters.
const WORDS_LENGTH_MAX: usize = 2000;
/// Most reasons why something is not in effect.
const REASONS_MAX: usize = 20;

/// The receipt of a run that has ended. What the database says counts, not how the tool ended: one that succeeds may
/// have left something out.
pub fn write(run: &Run, plan: Plan, root: &Root, manager: &PackageManager, after: &Inventory, now: Timestamp) -> Receipt {
    let packages = results(&plan.changes, &run.before, &after.packages);
    let scheme = after.platform.operating_system.map(OperatingSystem::scheme).unwrap_or_default();
    let done = difference::between(&run.before, &after.packages, scheme);
    let is_there = packages.iter().all(|package| package.state == PackageState::Installed);
    let outcome = match &run.stopped {
        Some(outcome) => outcome.clone(),
        None if is_there && !run.tool_failed => Outcome::Installed,
        None => failure(&run.log),
    };
    let config_files = if run.has_begun(Step::Apply) { config_files::find(root).into_iter().filter(|file| !run.config_files.contains(file)).collect() } else { Vec::new() };
    Receipt {
        started_at: run.started_at,
        ended_at: now,
        outcome,
        done,
        config_files,
        log: run.log.clone(),
        steps: run.steps.clone(),
        hooks: run.hooks.clone(),
        services: run.services.clone(),
        effect: effect(root, &packages, run, after),
        packages,
        way_back: run.way_back.clone(),
        history: if run.has_begun(Step::Apply) { manager.last_transaction(root, &after.platform) } else { None },
        plan,
    }
}

/// What a failure is, by the package manager's words.
pub fn failure(log: &str) -> Outcome {
    let cause = Cause::of_words(log);
    Outcome::Failed { cause, words: words(log, cause) }
}

/// Whether what is there is what runs.
fn effect(root: &Root, packages: &[PackageResult], run: &Run, after: &Inventory) -> Effect {
    if !root.is_running_system() || run.record(Step::Prove).is_none_or(|record| record.skipped.is_some()) {
        return Effect::Unknown;
    }
    let missing = packages.iter().filter(|package| package.state != PackageState::Installed);
    let mut reasons: Vec<_> = missing.map(|package| format!("{} is not installed as it should be", package.change)).collect();
    if let Reboot::Pending { causes } = &after.reboot {
        reasons.extend(causes.iter().map(|cause| format!("the system waits for a boot: {cause}")));
    }
    if let Some(why) = run.record(Step::Reboot).and_then(|record| record.skipped.as_ref()).filter(|_| !reasons.is_empty()) {
        reasons.push(format!("it was not booted: {why}"));
    }
    reasons.extend(services::find_stale(root).iter().map(services::words));
    reasons.truncate(REASONS_MAX);
    if reasons.is_empty() { Effect::InEffect } else { Effect::NotInEffect { reasons } }
}

/// What became of each change.
pub fn results(changes: &[Change], before: &[InstalledPackage], after: &[InstalledPackage]) -> Vec<PackageResult> {
    let result = |change: &Change| {
        let found = find(after, change);
        let state = match found {
            Some(package) if package.version == change.version => {
                if package.state.is_broken() {
                    PackageState::Broken
                } else {
                    PackageState::Installed
                }
            }
            _ => PackageState::NotInstalled,
        };
        let version = |package: Option<&InstalledPackage>| package.map(|package| package.version.clone());
        PackageResult { change: change.clone(), before: version(find(before, change)), after: version(found), state }
    };
    changes.iter().map(result).collect()
}

fn find<'a>(packages: &'a [InstalledPackage], change: &Change) -> Option<&'a InstalledPackage> {
    let same = packages.iter().filter(|package| package.name == change.name && package.architecture == change.architecture);
    same.max_by_key(|package| (package.version == change.version, !package.older_of_several))
}

/// The lines of a log that say what went wrong: those that tell the cause, and the errors.
fn words(log: &str, cause: Cause) -> String {
    let is_error = |line: &&str| {
        ["E:", "dpkg: error", "Error", "error:", "ERROR", "Problem"].iter().any(|start| line.trim_start().starts_with(start))
            || (cause != Cause::Unknown && Cause::of_words(line) == cause)
    };
    let lines: Vec<_> = log.lines().filter(is_error).map(str::trim).collect();
    let text = if lines.is_empty() { log.trim().lines().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n") } else { lines.join("\n") };
    text.chars().take(WORDS_LENGTH_MAX).collect()
}

/// The end of a text, when it is longer than so many bytes.
pub fn end_of(text: &str, bytes_max: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes_max))..]
}

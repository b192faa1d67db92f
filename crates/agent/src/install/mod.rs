//! Patching one system in place: a plan, checks before it, the native tool, and what the package database says
//! afterwards. Who decides what is asked for is elsewhere; here nothing is chosen.

mod config_files;
mod difference;
mod preflight;

use std::io;
use std::path::Path;
use std::time::Duration;

use domain::decide::check_plan;
use domain::model::inventory::Inventory;
use domain::model::plan::{Cause, Extra, Hold, Outcome, PackageResult, PackageState, Plan, PlanSchema, Receipt};
use domain::model::time::Timestamp;
use domain::model::transaction::{Change, Transaction};

use crate::inventory::{self, CollectError};
use crate::package_manager::SimulateError;
use crate::root::Root;

/// How long a run may take.
const PATIENCE: Duration = Duration::from_hours(2);
/// Longest log that is kept, in bytes: the end of it.
const LOG_BYTES_MAX: usize = 64 * 1024;
/// Longest words of a failure, in characters.
const WORDS_LENGTH_MAX: usize = 2000;

/// Why a run has no receipt.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The system cannot be read.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// It has no package manager.
    #[error("the system has no package manager that installs can be made with")]
    NoPackageManager,
    /// The plan could not be made.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
}

/// What a run is doing, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading what is installed, and looking for what stands in the way.
    Check,
    /// Asking the package manager what it would do.
    Simulate,
    /// Downloading and installing.
    Install,
    /// Reading what is installed now.
    Prove,
}

impl Phase {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Check => "looking for what stands in the way",
            Self::Simulate => "asking the package manager what it would do",
            Self::Install => "downloading and installing",
            Self::Prove => "reading what is installed now",
        }
    }
}

/// Waits for another program that changes packages, so that a plan is about what it leaves.
pub fn wait_for_others(root: &Root, wait: Duration) {
    let _ = preflight::wait_for_lock(root, wait);
}

/// Makes a plan that brings these versions.
pub fn plan(root: &Root, inventory: &Inventory, changes: Vec<Change>, extra: Extra, now: Timestamp) -> Result<Plan, InstallError> {
    let manager = inventory::package_manager(root).ok_or(InstallError::NoPackageManager)?;
    let transaction = manager.simulate(root, &inventory.platform, &changes, &inventory.packages)?;
    Ok(Plan { schema: PlanSchema::V1, changes, extra, transaction, made_at: now })
}

/// Carries a plan out. `wait` is how long to wait for another program that changes packages; `watch` hears what
/// is being done.
pub fn run(root: &Root, plan: Plan, wait: Duration, now: &dyn Fn() -> Timestamp, mut watch: impl FnMut(Phase)) -> Result<Receipt, InstallError> {
    let started_at = now();
    watch(Phase::Check);
    let manager = inventory::package_manager(root).ok_or(InstallError::NoPackageManager)?;
    // What another program is about to change is read when it has ended.
    let lock = preflight::wait_for_lock(root, wait);
    let before = inventory::collect(root, None, started_at)?;
    let receipt = |plan: Plan, outcome, done, packages, config_files, log| Receipt { plan, started_at, ended_at: now(), outcome, done, packages, config_files, log };
    let held = |plan: Plan, hold| {
        let packages = results(&plan, &before, &before);
        Ok(receipt(plan, Outcome::Held { hold }, Transaction::default(), packages, Vec::new(), String::new()))
    };
    // What is there already needs nothing more.
    let open: Vec<_> = results(&plan, &before, &before).into_iter().filter(|package| package.state != PackageState::Installed).map(|package| package.change).collect();
    if open.is_empty() {
        let packages = results(&plan, &before, &before);
        return Ok(receipt(plan, Outcome::Installed, Transaction::default(), packages, Vec::new(), String::new()));
    }
    let open = Plan { changes: open, ..plan.clone() };
    if let Some(hold) = lock.or_else(|| preflight::find_hold(root, &manager, &before.packages)) {
        return held(plan, hold);
    }
    watch(Phase::Simulate);
    match manager.simulate(root, &before.platform, &open.changes, &before.packages) {
        Err(SimulateError::Refused { words, .. }) => return held(plan, Hold::Refused { words }),
        Err(error) => return Err(error.into()),
        Ok(transaction) => {
            let deviations = check_plan::deviations(&open, &transaction);
            if !deviations.is_empty() {
                return held(plan, Hold::Deviates { deviations });
            }
        }
    }
    watch(Phase::Install);
    let files_before = config_files::find(root);
    let applied = manager.install(root, &before, &open, PATIENCE);
    watch(Phase::Prove);
    let after = inventory::collect(root, None, now())?;
    let packages = results(&plan, &before, &after);
    let done = difference::between(&before.packages, &after.packages, before.platform.operating_system.map(domain::model::platform::OperatingSystem::scheme).unwrap_or_default());
    let config_files = config_files::find(root).into_iter().filter(|file| !files_before.contains(file)).collect();
    let (log, ended) = match applied {
        Ok(output) => (end_of(&format!("{}{}", output.stdout, output.stderr), LOG_BYTES_MAX).to_owned(), output.code == Some(0)),
        Err(error) => (error.to_string(), false),
    };
    // What the database says counts, not how the tool ended: one that succeeds may have left something out.
    let is_there = packages.iter().all(|package| package.state == PackageState::Installed);
    let outcome = if is_there && ended {
        Outcome::Installed
    } else {
        let cause = Cause::of_words(&log);
        Outcome::Failed { cause, words: words(&log, cause) }
    };
    Ok(receipt(plan, outcome, done, packages, config_files, log))
}

fn results(plan: &Plan, before: &Inventory, after: &Inventory) -> Vec<PackageResult> {
    let of = |inventory: &Inventory, change: &Change| {
        let same = inventory.packages.iter().filter(|package| package.name == change.name && package.architecture == change.architecture);
        same.max_by_key(|package| (package.version == change.version, !package.older_of_several)).cloned()
    };
    let result = |change: &Change| {
        let found = of(after, change);
        let state = match &found {
            Some(package) if package.version == change.version => {
                if package.state.is_broken() {
                    PackageState::Broken
                } else {
                    PackageState::Installed
                }
            }
            _ => PackageState::NotInstalled,
        };
        PackageResult { change: change.clone(), before: of(before, change).map(|package| package.version), after: found.map(|package| package.version), state }
    };
    plan.changes.iter().map(result).collect()
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

fn end_of(text: &str, bytes_max: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes_max))..]
}

/// Whether a path can be walked; what cannot is passed over.
fn entries(path: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(path).into_iter().flatten().filter_map(io::Result::ok)
}

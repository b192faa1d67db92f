//! Patching one system in place: a plan, checks before it, the native tool, and what the package database and the
//! running processes say afterwards. Who decides what is asked for is elsewhere; here nothing is chosen.

mod config_files;
mod difference;
mod foresee;
mod hooks;
mod preflight;
mod receipt;
mod services;
mod steps;
mod updaters;
mod way_back;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use domain::model::inventory::Inventory;
use domain::model::node::Allows;
use domain::model::order::InstallWork;
use domain::model::plan::{Foreseen, Plan, PlanSchema};
use domain::model::run::{Run, Step};
use domain::model::time::Timestamp;

pub use self::hooks::Hook;
pub use self::steps::carry_out;
use crate::inventory::{self, CollectError};
use crate::package_manager::SimulateError;
use crate::root::Root;

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
    /// How far it got could not be kept: nothing more is begun.
    #[error("failed to keep how far the run got")]
    Keep {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What happens in a run, for whoever watches.
#[derive(Debug, Clone)]
pub enum Event {
    /// A step begins.
    Begins(Step),
    /// The package manager printed a line; how much of the step is done, in percent, when that can be told.
    Line(String, Option<u8>),
    /// It waits with a step until then.
    Waits(Step, Timestamp),
    /// The system is about to go down. It does when the answer comes, or a moment later.
    GoesDown(mpsc::Sender<()>),
}

/// What a run needs besides what it was asked.
pub struct Surroundings<'a> {
    /// The system.
    pub root: &'a Root,
    /// What its own configuration lets be done to it.
    pub allows: Allows,
    /// Programs that its own configuration names.
    pub hooks: &'a BTreeMap<String, Hook>,
    /// How long another program that changes packages is waited for.
    pub wait: Duration,
    /// A folder of the system for what leads back.
    pub kept: &'a str,
    /// A folder for what makes reading faster.
    pub cache: Option<&'a Path>,
    /// Tells this boot from others.
    pub boot: &'a str,
    /// The clock.
    pub now: &'a dyn Fn() -> Timestamp,
    /// Keeps how far the run got, for good.
    pub save: &'a dyn Fn(&Run) -> io::Result<()>,
    /// Hears what happens.
    pub watch: &'a dyn Fn(Event),
    /// Whether someone wants it to stop.
    pub is_cancelled: &'a dyn Fn() -> bool,
}

/// Waits for another program that changes packages, so that a plan is about what it leaves.
pub fn wait_for_others(root: &Root, wait: Duration) {
    let _ = preflight::wait_for_lock(root, wait);
}

/// Makes a plan of what is asked. Versions that are taken back need the folder of what leads back.
pub fn plan(root: &Root, inventory: &Inventory, work: &InstallWork, kept: &str, now: Timestamp) -> Result<Plan, InstallError> {
    let manager = inventory::package_manager(root).ok_or(InstallError::NoPackageManager)?;
    let (changes, transaction) = match (&work.takes_back, &work.planned) {
        (Some(operation_id), _) => way_back::plan(root, &inventory.packages, kept, operation_id),
        (None, Some(planned)) => (work.changes.clone(), planned.clone()),
        (None, None) => (work.changes.clone(), manager.simulate(root, &inventory.platform, &work.changes, &inventory.packages)?),
    };
    Ok(Plan { schema: PlanSchema::V1, changes, terms: work.terms.clone(), transaction, foreseen: Foreseen::default(), made_at: now })
}

/// A plan with what would follow from it, for people to look at.
pub fn plan_and_foresee(root: &Root, inventory: &Inventory, work: &InstallWork, kept: &str, now: Timestamp) -> Result<Plan, InstallError> {
    let plan = plan(root, inventory, work, kept, now)?;
    let manager = inventory::package_manager(root).ok_or(InstallError::NoPackageManager)?;
    let foreseen = foresee::look(root, &manager, &plan);
    Ok(Plan { foreseen, ..plan })
}

/// Whether a path can be walked; what cannot is passed over.
fn entries(path: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(path).into_iter().flatten().filter_map(io::Result::ok)
}

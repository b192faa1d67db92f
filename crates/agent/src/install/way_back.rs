//! The way back: files of the versions that a run takes away, kept before it begins, and the plan that brings
//! them again.

use std::fs;
use std::path::PathBuf;

use domain::model::inventory::Inventory;
use domain::model::package::InstalledPackage;
use domain::model::plan::Plan;
use domain::model::receipt::{Hold, WayBack};
use domain::model::transaction::{Action, Change, Step, Transaction};

use super::entries;
use crate::command::Watch;
use crate::package_manager::PackageManager;
use crate::root::Root;

/// Runs whose files are kept; of more, the oldest go.
const RUNS_MAX: usize = 3;
const NAME: &str = "way-back.json";
const HISTORY: &str = "history";

/// Keeps what leads back from a plan. `kept` is the folder of all runs, as a path of the system.
pub fn keep(root: &Root, manager: &PackageManager, inventory: &Inventory, plan: &Plan, kept: &str, operation_id: &str, watch: Watch<'_>) -> WayBack {
    let folder = format!("{kept}/{operation_id}");
    let goes = |step: &&Step| matches!(step.action, Action::Upgrade | Action::Downgrade | Action::Remove);
    let old: Vec<_> = plan.transaction.steps.iter().filter(goes).filter_map(|step| find(&inventory.packages, step)).collect();
    let comes = plan.transaction.steps.iter().filter(|step| step.action == Action::Install);
    let new = comes.filter_map(|step| Some(Change { name: step.name.clone(), architecture: step.architecture.clone().unwrap_or_default(), version: step.to.clone()? }));
    let new = new.collect();
    make_room(root, kept, operation_id);
    // Without the folder nothing can be kept, and all of it is told as lost.
    let _ = fs::create_dir_all(root.join(&folder));
    manager.keep(root, &inventory.platform, &old, &folder, watch);
    let (kept, lost) = old.into_iter().map(Change::of).partition(|change| manager.find_kept(root, &folder, change).is_some());
    let way_back = WayBack { kept, new, lost };
    let text = serde_json::to_string(&way_back).expect("a way back has text keys only");
    // One that cannot be written is none, as the receipt of the next run says.
    let _ = fs::write(root.join(&folder).join(NAME), text);
    way_back
}

/// Keeps which transaction of the package manager's own history a run was.
pub fn keep_history(root: &Root, kept: &str, operation_id: &str, number: &str) {
    // Without it, the files lead back alone.
    let _ = fs::write(root.join(&format!("{kept}/{operation_id}/{HISTORY}")), number);
}

/// That transaction.
pub fn history(root: &Root, kept: &str, operation_id: &str) -> Option<String> {
    root.read_text(&format!("{kept}/{operation_id}/{HISTORY}"), &mut Vec::new())
}

/// The versions of before a run, and what bringing them again does.
pub fn plan(root: &Root, installed: &[InstalledPackage], kept: &str, operation_id: &str) -> (Vec<Change>, Transaction) {
    let way_back = load(root, kept, operation_id).unwrap_or_default();
    let is_installed = |change: &&Change| is_there(installed, change);
    let step = |change: &Change, action: Action, to: Option<String>| Step {
        name: change.name.clone(),
        architecture: Some(change.architecture.clone()).filter(|architecture| !architecture.is_empty()),
        action,
        from: None,
        to,
        repository: None,
    };
    let back = way_back.kept.iter().map(|change| step(change, if is_installed(&change) { Action::Downgrade } else { Action::Install }, Some(change.version.clone())));
    let gone = way_back.new.iter().filter(is_installed).map(|change| step(change, Action::Remove, None));
    let steps = back.chain(gone).collect();
    (way_back.kept, Transaction::new(steps, Vec::new(), installed))
}

/// Why a run cannot be taken back.
pub fn find_hold(root: &Root, manager: &PackageManager, kept: &str, operation_id: &str) -> Option<Hold> {
    let no_way = |packages: Vec<String>| Some(Hold::NoWayBack { packages });
    let Some(way_back) = load(root, kept, operation_id) else { return no_way(vec![format!("nothing is kept of {operation_id}")]) };
    let folder = format!("{kept}/{operation_id}");
    let is_gone = |change: &&Change| manager.find_kept(root, &folder, change).is_none();
    let lost: Vec<_> = way_back.lost.iter().chain(way_back.kept.iter().filter(is_gone)).map(ToString::to_string).collect();
    if lost.is_empty() { None } else { no_way(lost) }
}

/// The files of the versions that are asked for, as paths of the system.
pub fn files(root: &Root, manager: &PackageManager, kept: &str, operation_id: &str, changes: &[Change]) -> Vec<String> {
    let folder = format!("{kept}/{operation_id}");
    let in_system = |path: PathBuf| Some(format!("/{}", path.strip_prefix(root.path()).ok()?.to_str()?));
    changes.iter().filter_map(|change| in_system(manager.find_kept(root, &folder, change)?)).collect()
}

/// Packages that came with a run and are there.
pub fn new_packages(root: &Root, kept: &str, operation_id: &str, installed: &[InstalledPackage]) -> Vec<Change> {
    let new = load(root, kept, operation_id).unwrap_or_default().new;
    new.into_iter().filter(|change| is_there(installed, change)).collect()
}

fn is_there(installed: &[InstalledPackage], change: &Change) -> bool {
    installed.iter().any(|package| package.name == change.name && package.architecture == change.architecture)
}

fn load(root: &Root, kept: &str, operation_id: &str) -> Option<WayBack> {
    let text = root.read_text(&format!("{kept}/{operation_id}/{NAME}"), &mut Vec::new())?;
    serde_json::from_str(&text).ok()
}

fn find<'a>(installed: &'a [InstalledPackage], step: &Step) -> Option<&'a InstalledPackage> {
    let same = installed.iter().filter(|package| package.name == step.name && step.architecture.as_ref().is_none_or(|architecture| *architecture == package.architecture));
    same.max_by_key(|package| !package.older_of_several)
}

/// Ids of operations sort by the time of their request.
fn make_room(root: &Root, kept: &str, operation_id: &str) {
    let mut runs: Vec<_> = entries(&root.join(kept)).filter(|entry| entry.file_name() != *operation_id).map(|entry| entry.path()).collect();
    runs.sort_unstable();
    for old in runs.iter().rev().skip(RUNS_MAX - 1) {
        // What stays takes room, and does no harm.
        let _ = fs::remove_dir_all(old);
    }
}

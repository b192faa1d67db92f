//! The way back of apk: package files of installed versions, and what installs them again.

use std::path::PathBuf;
use std::time::Duration;

use domain::model::package::InstalledPackage;
use domain::model::transaction::Change;

use super::install::add;
use crate::command::{self, CommandError, Output, Watch};
use crate::package_manager::{Back, find_below, keep_file};
use crate::root::Root;

const CACHES: [&str; 2] = ["/etc/apk/cache", "/var/cache/apk"];
/// How long downloading older versions may take.
const PATIENCE: Duration = Duration::from_mins(30);

/// Puts the files of these versions into a folder, as far as they are to be had.
pub fn keep(root: &Root, old: &[&InstalledPackage], folder: &str, watch: Watch<'_>) {
    for package in old {
        let version = format!("{}={}", package.name, package.version);
        // Only with what they need does it take versions. What does not come is told as lost.
        let _ = command::change(root, "apk", &["fetch", "--quiet", "--recursive", "--output", folder, &version], PATIENCE, watch);
    }
    let files: Vec<_> = CACHES.iter().flat_map(|cache| find_below(root, cache, ".apk")).collect();
    for package in old {
        // A cache has a part of the checksum behind the version.
        let start = format!("/{}-{}.", package.name, package.version);
        if let Some(file) = files.iter().find(|file| file.contains(&start)) {
            keep_file(root, file, folder);
        }
    }
    let kept: Vec<_> = old.iter().filter_map(|package| find_kept(root, folder, &Change::of(package))).collect();
    for file in find_below(root, folder, ".apk").into_iter().map(|file| root.join(&file)).filter(|file| !kept.contains(file)) {
        // What stays takes room, and does no harm.
        let _ = std::fs::remove_file(file);
    }
}

/// The file of a version.
pub fn find_kept(root: &Root, folder: &str, change: &Change) -> Option<PathBuf> {
    let start = format!("/{}-{}.", change.name, change.version);
    find_below(root, folder, ".apk").into_iter().find(|file| file.contains(&start)).map(|file| root.join(&file))
}

/// Installs older versions from files, which their signatures vouch for; what came with the newer ones goes with them,
/// because nobody asked for it.
pub fn go_back(root: &Root, back: &Back<'_>, is_dry: bool, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    add(root, if is_dry { &["--simulate"] } else { &[] }, back.files, patience, watch)
}

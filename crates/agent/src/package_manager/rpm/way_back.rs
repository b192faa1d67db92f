//! The way back of rpm systems: package files of installed versions, and what installs them again.

use std::path::PathBuf;
use std::time::Duration;

use domain::model::package::InstalledPackage;
use domain::model::platform::Platform;
use domain::model::transaction::Change;

use super::install::{ask, has_history, tool_of};
use super::simulate::{DNF5, MICRODNF, ZYPPER, wish};
use crate::command::{self, CommandError, Output, Watch};
use crate::package_manager::{Back, arguments_for, find_below, install_then_remove, keep_file};
use crate::root::Root;

/// Where the tools keep what they downloaded.
const CACHES: [&str; 5] = ["/var/cache/dnf", "/var/cache/libdnf5", "/var/cache/yum", "/var/cache/zypp/packages", "/var/cache/PackageKit"];
/// How long downloading older versions may take.
const PATIENCE: Duration = Duration::from_mins(30);

/// Puts the files of these versions into a folder, as far as they are to be had: an rpm cannot be built from what is
/// installed.
pub fn keep(root: &Root, platform: &Platform, old: &[&InstalledPackage], folder: &str, watch: Watch<'_>) {
    let offered: Vec<_> = old.iter().filter(|package| !package.repositories.is_empty()).map(|package| Change::of(package)).collect();
    if !offered.is_empty() {
        let destination = format!("--downloaddir={folder}");
        let tool = tool_of(root, platform);
        // What does not come is told as lost.
        let _ = match tool {
            ZYPPER => ask(root, tool, &["--non-interactive", "--no-refresh", "install", "--force", "--download-only"], &offered, PATIENCE, watch),
            MICRODNF => ask(root, tool, &["--assumeyes", "download"], &offered, PATIENCE, watch),
            // It puts them into its cache, where they are found below.
            DNF5 => ask(root, tool, &["--assumeyes", "reinstall", "--downloadonly"], &offered, PATIENCE, watch),
            _ => ask(root, tool, &["--assumeyes", "reinstall", "--downloadonly", &destination], &offered, PATIENCE, watch),
        };
    }
    let files: Vec<_> = CACHES.iter().flat_map(|cache| find_below(root, cache, ".rpm")).collect();
    for change in old.iter().map(|package| Change::of(package)) {
        let name = file_name(&change);
        if let Some(file) = files.iter().find(|file| file.ends_with(&format!("/{name}"))) {
            keep_file(root, file, folder);
        }
    }
}

/// The file of a version.
pub fn find_kept(root: &Root, folder: &str, change: &Change) -> Option<PathBuf> {
    let path = root.join(&format!("{folder}/{}", file_name(change)));
    path.is_file().then_some(path)
}

/// A file's name says no epoch.
fn file_name(change: &Change) -> String {
    let version = change.version.split_once(':').map_or(change.version.as_str(), |(_, version)| version);
    format!("{}-{version}.{}.rpm", change.name, change.architecture)
}

/// What the tool has in its history, it undoes itself, when its repositories have all of it; else rpm installs older
/// versions from files, and takes packages away, alike under every tool.
pub fn go_back(root: &Root, back: &Back<'_>, is_dry: bool, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let tool = tool_of(root, &back.now.platform);
    if let Some(number) = back.history.filter(|_| !is_dry && has_history(tool))
        && let Ok(undone) = command::change(root, tool, &["history", "undo", number, "--assumeyes", "--cacheonly"], patience, watch)
        && undone.code == Some(0)
    {
        return Ok(undone);
    }
    let names: Vec<_> = back.goes.iter().filter(|_| !is_dry).map(wish).collect();
    let fixed: &[&str] = if is_dry { &["--upgrade", "--oldpackage", "--verbose", "--test"] } else { &["--upgrade", "--oldpackage", "--verbose"] };
    let install = arguments_for(fixed, back.files.iter().map(String::as_str));
    let remove = arguments_for(&["--erase", "--verbose"], names.iter().map(String::as_str));
    install_then_remove(root, "rpm", &install, &remove, patience, watch)
}

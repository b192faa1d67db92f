//! The way back of pacman: package files of installed versions, and what installs them again.

use std::path::PathBuf;
use std::time::Duration;

use domain::model::package::InstalledPackage;
use domain::model::transaction::Change;

use crate::command::{CommandError, Output, Watch};
use crate::package_manager::{Back, arguments_for, find_below, install_then_remove, keep_file};
use crate::root::Root;

const CACHE: &str = "/var/cache/pacman/pkg";

/// Puts the files of these versions into a folder: pacman keeps what it installed, until someone cleans up.
pub fn keep(root: &Root, old: &[&InstalledPackage], folder: &str) {
    let files = find_below(root, CACHE, "");
    for package in old {
        let start = format!("/{}-{}-{}.pkg.tar", package.name, package.version, package.architecture);
        for file in files.iter().filter(|file| file.contains(&start)) {
            keep_file(root, file, folder);
        }
    }
}

/// The file of a version; its signature lies beside it.
pub fn find_kept(root: &Root, folder: &str, change: &Change) -> Option<PathBuf> {
    let start = format!("/{}-{}-{}.pkg.tar", change.name, change.version, change.architecture);
    find_below(root, folder, "").into_iter().find(|file| file.contains(&start) && !file.contains(".sig")).map(|file| root.join(&file))
}

/// Installs older versions from files, and takes packages away.
pub fn go_back(root: &Root, back: &Back<'_>, is_dry: bool, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let fixed: &[&str] = if is_dry { &["--upgrade", "--noconfirm", "--noprogressbar", "--print"] } else { &["--upgrade", "--noconfirm", "--noprogressbar"] };
    let install = arguments_for(fixed, back.files.iter().map(String::as_str));
    let remove = arguments_for(&["--remove", "--noconfirm", "--noprogressbar"], back.goes.iter().filter(|_| !is_dry).map(|change| change.name.as_str()));
    install_then_remove(root, "pacman", &install, &remove, patience, watch)
}

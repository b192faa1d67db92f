//! The way back of pacman: package files of installed versions, and what installs them again.

use std::path::PathBuf;
use std::time::Duration;

use domain::model::package::InstalledPackage;
use domain::model::transaction::Change;

use crate::command::{self, CommandError, Output, Watch};
use crate::package_manager::{Back, find_below, keep_file};
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
    let dry = is_dry.then_some("--print");
    let mut output = Output { code: Some(0), stdout: String::new(), stderr: String::new() };
    if !back.files.is_empty() {
        let arguments: Vec<_> = ["--upgrade", "--noconfirm", "--noprogressbar"].into_iter().chain(dry).chain(back.files.iter().map(String::as_str)).collect();
        output = command::change(root, "pacman", &arguments, patience, watch)?;
    }
    if output.code == Some(0) && !back.goes.is_empty() && !is_dry {
        let arguments: Vec<_> = ["--remove", "--noconfirm", "--noprogressbar"].into_iter().chain(back.goes.iter().map(|change| change.name.as_str())).collect();
        let removed = command::change(root, "pacman", &arguments, patience, watch)?;
        output = Output { code: removed.code, stdout: output.stdout + &removed.stdout, stderr: String::new() };
    }
    Ok(output)
}

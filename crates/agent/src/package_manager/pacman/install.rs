//! Downloading and installing with `pacman`: the whole system at once, or nothing. Checked against pacman
//! 7.0.

use std::time::Duration;

use crate::command::{self, CommandError, Output, Watch};
use crate::root::Root;

/// Downloads everything.
pub fn download(root: &Root, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    command::change(root, "pacman", &["--sync", "--sysupgrade", "--downloadonly", "--noconfirm", "--noprogressbar"], patience, watch)
}

/// Upgrades everything. The plan has all of it, or was not let through.
pub fn install(root: &Root, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    command::change(root, "pacman", &["--sync", "--sysupgrade", "--noconfirm", "--noprogressbar"], patience, watch)
}

/// KiB that an upgrade of everything is to download.
pub fn download_kib(root: &Root) -> Option<u64> {
    let output =
        command::output(root, "pacman", &["--sync", "--sysupgrade", "--print", "--print-format=%s"], Duration::from_mins(1)).ok().filter(|output| output.code == Some(0))?;
    Some(output.stdout.lines().filter_map(|line| line.trim().parse::<u64>().ok()).sum::<u64>().div_ceil(1024))
}

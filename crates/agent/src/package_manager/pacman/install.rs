//! Installing with `pacman`: the whole system at once, or nothing. Checked against pacman 7.0.

use std::time::Duration;

use crate::command::{self, CommandError, Output};
use crate::root::Root;

/// Upgrades everything. The plan has all of it, or was not let through.
pub fn install(root: &Root, patience: Duration) -> Result<Output, CommandError> {
    command::change(root, "pacman", &["--sync", "--sysupgrade", "--noconfirm", "--noprogressbar"], patience)
}

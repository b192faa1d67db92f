//! Installing with `apk`. Checked against apk-tools 3.0.

use std::fs;
use std::time::Duration;

use domain::model::plan::Plan;

use super::simulate::wish;
use crate::command::{self, CommandError, Output, Watch};
use crate::root::Root;

/// What people asked for.
const WORLD: &str = "/etc/apk/world";

/// Installs the exact versions of a plan.
pub fn install(root: &Root, plan: &Plan, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let wished: Vec<_> = plan.changes.iter().map(wish).collect();
    add(root, &[], &wished, patience, watch)
}

/// Asking for a version writes it into the world file, which would hold the package there for ever: that file is put
/// back as it was.
pub fn add(root: &Root, options: &[&str], wished: &[String], patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let world = fs::read(root.join(WORLD));
    let arguments: Vec<_> = ["--no-interactive", "--no-progress", "add"].iter().chain(options).copied().chain(wished.iter().map(String::as_str)).collect();
    let output = command::change(root, "apk", &arguments, patience, watch);
    if let Ok(world) = world {
        fs::write(root.join(WORLD), world).map_err(|source| CommandError::Start { program: "apk", source })?;
    }
    output
}

//! Installing with dnf, yum, microdnf or zypper. Checked against dnf 4.23 and zypper 1.14.

use std::time::Duration;

use domain::model::plan::Plan;
use domain::model::platform::Platform;

use super::simulate::{MICRODNF, ZYPPER, find_tool, wish, wish_of_zypper};
use crate::command::{self, CommandError, Output};
use crate::root::Root;

/// zypper's codes for a run that went well: a reboot is wanted, or a restart of itself.
const GOOD_OF_ZYPPER: [i32; 3] = [0, 102, 103];

/// Installs the exact versions of a plan.
pub fn install(root: &Root, platform: &Platform, plan: &Plan, patience: Duration) -> Result<Output, CommandError> {
    // The plan was made with it.
    let tool = find_tool(root, platform).unwrap_or("dnf");
    let wished: Vec<_> = plan.changes.iter().map(if tool == ZYPPER { wish_of_zypper } else { wish }).collect();
    let fixed: &[&str] = match tool {
        ZYPPER => &["--non-interactive", "--no-refresh", "install", "--auto-agree-with-licenses"],
        MICRODNF => &["--assumeyes", "upgrade"],
        _ => &["--assumeyes", "--quiet", "upgrade"],
    };
    let arguments: Vec<_> = fixed.iter().copied().chain(wished.iter().map(String::as_str)).collect();
    let mut output = command::change(root, tool, &arguments, patience)?;
    if tool == ZYPPER && output.code.is_some_and(|code| GOOD_OF_ZYPPER.contains(&code)) {
        output.code = Some(0);
    }
    Ok(output)
}

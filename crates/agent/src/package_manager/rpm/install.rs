//! Downloading and installing with dnf, yum, microdnf, or zypper. Checked against dnf 4.23 and
//! zypper 1.14.

use std::time::Duration;

use domain::model::plan::Plan;
use domain::model::platform::Platform;
use domain::model::transaction::Change;

use super::simulate::{MICRODNF, ZYPPER, find_tool, wish, wish_of_zypper};
use crate::command::{self, CommandError, Output, Watch};
use crate::root::Root;

/// zypper's codes for a run that went well: a reboot is wanted, or a restart of itself.
const GOOD_OF_ZYPPER: [i32; 3] = [0, 102, 103];

/// How long reading dnf's history may take.
const HISTORY_PATIENCE: Duration = Duration::from_secs(30);

/// Downloads the exact versions of a plan; microdnf can only do so while it installs.
pub fn download(root: &Root, platform: &Platform, plan: &Plan, patience: Duration, watch: Watch<'_>) -> Option<Result<Output, CommandError>> {
    let tool = tool_of(root, platform);
    let fixed: &[&str] = match tool {
        ZYPPER => &["--non-interactive", "--no-refresh", "install", "--auto-agree-with-licenses", "--download-only"],
        MICRODNF => return None,
        _ => &["--assumeyes", "upgrade", "--downloadonly"],
    };
    Some(ask(root, tool, fixed, &plan.changes, patience, watch))
}

/// Installs the exact versions of a plan.
pub fn install(root: &Root, platform: &Platform, plan: &Plan, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let tool = tool_of(root, platform);
    let fixed: &[&str] = match tool {
        ZYPPER => &["--non-interactive", "--no-refresh", "install", "--auto-agree-with-licenses"],
        _ => &["--assumeyes", "upgrade"],
    };
    ask(root, tool, fixed, &plan.changes, patience, watch)
}

/// The tool that plans were made with.
pub fn tool_of(root: &Root, platform: &Platform) -> &'static str {
    find_tool(root, platform).unwrap_or("dnf")
}

/// Asks a tool for exact versions.
pub fn ask(root: &Root, tool: &'static str, fixed: &[&str], changes: &[Change], patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let wished: Vec<_> = changes.iter().map(if tool == ZYPPER { wish_of_zypper } else { wish }).collect();
    let arguments: Vec<_> = fixed.iter().copied().chain(wished.iter().map(String::as_str)).collect();
    let mut output = command::change(root, tool, &arguments, patience, watch)?;
    if tool == ZYPPER && output.code.is_some_and(|code| GOOD_OF_ZYPPER.contains(&code)) {
        output.code = Some(0);
    }
    Ok(output)
}

/// Whether a tool keeps a history of what it did, by number.
pub fn has_history(tool: &str) -> bool {
    ![ZYPPER, MICRODNF].contains(&tool)
}

/// The number of the last transaction in a tool's history.
pub fn last_transaction(root: &Root, platform: &Platform) -> Option<String> {
    let tool = Some(tool_of(root, platform)).filter(|tool| has_history(tool))?;
    let output = command::output(root, tool, &["history", "list", "last", "--quiet"], HISTORY_PATIENCE).ok().filter(|output| output.code == Some(0))?;
    output.stdout.lines().filter_map(|line| line.split_whitespace().next()).find(|word| word.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned)
}

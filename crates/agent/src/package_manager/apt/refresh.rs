//! Refreshing the lists with the native tool: it fetches, and it verifies signatures.

use std::process::Command;
use std::process::Stdio;

use domain::model::problem::{Problem, ProblemCode};

use crate::root::Root;

/// Most of the tool's output that is shown, in characters.
const OUTPUT_LENGTH_MAX: usize = 500;

/// Runs `apt-get update` on the running system. What goes wrong is a problem of the report, because
/// the lists of the last refresh are still there to judge by. Another root is left as it is.
pub fn refresh(root: &Root) -> Option<Problem> {
    if !root.is_running_system() {
        return None;
    }
    let failed = |message: String| {
        Some(Problem::new(ProblemCode::RefreshFailed, "apt-get update", message).with_hint("run `apt-get update` by hand to see more, or scan with --no-refresh"))
    };
    let output = Command::new("apt-get").args(ARGUMENTS).env("LC_ALL", "C").stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let start: String = text.trim().chars().take(OUTPUT_LENGTH_MAX).collect();
            failed(format!("`apt-get update` failed: {start}"))
        }
        Err(error) => failed(format!("failed to start `apt-get`: {error}")),
    }
}

/// Errors of single repositories count; a lock held by another apt is waited for, for a while.
const ARGUMENTS: [&str; 6] = ["-q", "-o", "APT::Update::Error-Mode=any", "-o", "DPkg::Lock::Timeout=60", "update"];

//! Refreshing the lists with the native tool: it fetches, and it verifies signatures.

use domain::model::problem::Problem;

/// Runs `apt-get update`.
pub fn refresh() -> Option<Problem> {
    crate::package_manager::refresh_with("apt-get", &ARGUMENTS)
}

/// Errors of single repositories count; a lock held by another apt is waited for, for a while.
const ARGUMENTS: [&str; 6] = ["-q", "-o", "APT::Update::Error-Mode=any", "-o", "DPkg::Lock::Timeout=60", "update"];

//! Sums over the fleet.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The fleet in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetSummary {
    /// All nodes.
    pub n_nodes: u32,
    /// Compliant nodes.
    pub n_compliant: u32,
    /// Nodes that are not.
    pub n_non_compliant: u32,
    /// Nodes of which it cannot be said.
    pub n_unknown: u32,
    /// Nodes that no baseline is for.
    #[serde(default)]
    pub n_unmanaged: u32,
    /// Unknown nodes whose last scan is too old.
    pub n_stale: u32,
    /// Nodes that should have been heard of.
    pub n_late: u32,
    /// Nodes that were not heard of for so long that somebody should look.
    pub n_silent: u32,
    /// Patches by state, summed over nodes.
    pub counts: Counts,
}

/// Patches by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Approved and not installed.
    pub missing: u32,
    /// Only partly installed.
    pub failed: u32,
    /// In effect after a reboot only.
    pub installed_pending_reboot: u32,
    /// Installed and rejected.
    pub installed_rejected: u32,
    /// Security patches that exist and are not approved or not installable.
    pub available_security_update: u32,
    /// Approved and installed.
    pub installed: u32,
    /// Installed and not named by the baseline.
    pub installed_other: u32,
    /// Non-compliant security patches.
    pub security_non_compliant: u32,
    /// Non-compliant patches with the compliance level CRITICAL.
    pub critical_non_compliant: u32,
}

impl From<domain::model::compliance::Counts> for Counts {
    fn from(counts: domain::model::compliance::Counts) -> Self {
        Self {
            missing: counts.missing,
            failed: counts.failed,
            installed_pending_reboot: counts.installed_pending_reboot,
            installed_rejected: counts.installed_rejected,
            available_security_update: counts.available_security_update,
            installed: counts.installed,
            installed_other: counts.installed_other,
            security_non_compliant: counts.security_non_compliant,
            critical_non_compliant: counts.critical_non_compliant,
        }
    }
}

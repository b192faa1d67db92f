//! What is installed on a node.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::advisory::Advisory;
use crate::model::time::Timestamp;

/// One installed package with the facts that decisions need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub struct InstalledPackage {
    /// Binary package name.
    pub name: String,
    /// Its architecture, `all` included.
    pub architecture: String,
    /// The installed version.
    pub version: String,
    /// Source package.
    pub source: String,
    /// Version of the source package, where it differs from the binary's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
    /// Archive section, such as `libs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Archive priority, such as `optional`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// How far its installation got.
    pub state: InstallState,
    /// An operator put it on hold: the package manager will not change it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub held: bool,
    /// It came as a dependency, not by request.
    #[serde(default, skip_serializing_if = "is_false")]
    pub automatic: bool,
    /// A newer version of the same package is installed beside it, as of kernels.
    #[serde(default, skip_serializing_if = "is_false")]
    pub older_of_several: bool,
    /// `Multi-Arch` value, where it is not `no`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_arch: Option<String>,
    /// The node is waiting for a reboot because of this package.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reboot_pending: bool,
    /// Indexes into the inventory's repositories that offer the installed version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<usize>,
    /// What the vendor's advisories say of the installed version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisory: Option<Arc<Advisory>>,
    /// When it was installed or last upgraded, where the package manager knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_at: Option<Timestamp>,
}

impl InstalledPackage {
    /// A package that is installed as it should be, of which nothing more is known.
    pub fn new(name: String, architecture: String, version: String) -> Self {
        Self {
            source: name.clone(),
            name,
            architecture,
            version,
            source_version: None,
            section: None,
            priority: None,
            state: InstallState::Installed,
            held: false,
            automatic: false,
            older_of_several: false,
            multi_arch: None,
            reboot_pending: false,
            repositories: Vec::new(),
            advisory: None,
            installed_at: None,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// How far a package's installation got, in dpkg's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstallState {
    /// All went well.
    Installed,
    /// Unpacking began and did not end.
    HalfInstalled,
    /// Unpacked, not configured.
    Unpacked,
    /// Configuration began and did not end.
    HalfConfigured,
    /// Waits for another package's trigger.
    TriggersAwaited,
    /// Its own trigger has not run yet.
    TriggersPending,
}

impl InstallState {
    /// Every state.
    pub const ALL: [Self; 6] = [Self::Installed, Self::HalfInstalled, Self::Unpacked, Self::HalfConfigured, Self::TriggersAwaited, Self::TriggersPending];

    /// Whether the package is in a state that needs repair.
    pub fn is_broken(self) -> bool {
        matches!(self, Self::HalfInstalled | Self::Unpacked | Self::HalfConfigured)
    }

    /// The word that dpkg uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::HalfInstalled => "half-installed",
            Self::Unpacked => "unpacked",
            Self::HalfConfigured => "half-configured",
            Self::TriggersAwaited => "triggers-awaited",
            Self::TriggersPending => "triggers-pending",
        }
    }
}

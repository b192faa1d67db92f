//! What a node reports: everything a judgement needs, collected at one time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::advisory::Advisory;
use crate::model::host::Host;
use crate::model::package::InstalledPackage;
use crate::model::patch::{AvailableVersion, Classification};
use crate::model::platform::Platform;
use crate::model::problem::Problem;
use crate::model::repository::Repository;
use crate::model::time::Timestamp;

/// One report of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// When it was collected.
    pub collected_at: Timestamp,
    /// Host name.
    pub name: String,
    /// Identity of the installation: a digest of /etc/machine-id, so that the id itself stays secret.
    pub machine: Option<String>,
    /// What it runs.
    pub platform: Platform,
    /// The running kernel's release; absent for a folder.
    pub kernel: Option<String>,
    /// Installed packages, by name and architecture.
    pub packages: Vec<InstalledPackage>,
    /// Newer versions, by name and architecture, newest first.
    pub available: Vec<AvailableVersion>,
    /// Where versions come from.
    pub repositories: Vec<Repository>,
    /// When the package lists were last brought up to date.
    pub lists_refreshed_at: Option<Timestamp>,
    /// Whether the node waits for a reboot.
    pub reboot: Reboot,
    /// What the node is besides its packages.
    #[serde(default)]
    pub host: Host,
    /// What went wrong while collecting.
    pub problems: Vec<Problem>,
    /// Whether a vendor's feed says something of its product; only a server knows.
    #[serde(skip)]
    pub has_feed: bool,
}

impl Inventory {
    /// What an advisory says; without one, security when any of these repositories is a security repository.
    pub fn classify(&self, advisory: Option<&Advisory>, repositories: &[usize]) -> Classification {
        if let Some(advisory) = advisory {
            return advisory.classification;
        }
        let security = repositories.iter().filter_map(|&at| self.repositories.get(at)).any(Repository::is_security);
        if security { Classification::Security } else { Classification::Other }
    }

    /// The number of the repository to name for a version: a security one when there is one, else the first.
    pub fn named_repository(&self, repositories: &[usize]) -> Option<usize> {
        let is_security = |at: &&usize| self.repositories.get(**at).is_some_and(Repository::is_security);
        repositories.iter().find(is_security).or_else(|| repositories.first()).copied()
    }
}

/// Whether a node waits for a reboot, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Reboot {
    /// Nothing waits.
    NotPending,
    /// Something installed takes effect only after a reboot.
    Pending {
        /// What says so, in words.
        causes: Vec<String>,
    },
    /// It could not be told, such as for a folder that is not running.
    Unknown,
}

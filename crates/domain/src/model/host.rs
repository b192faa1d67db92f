//! What a node is besides its packages: its hardware, network, services and what runs on it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;

/// Facts about a running node. A folder that is not running has none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// When it booted.
    pub booted_at: Option<Timestamp>,
    /// Releases of the installed kernels.
    pub kernels: Vec<String>,
    /// What it is made of.
    pub hardware: Option<Hardware>,
    /// Its network interfaces.
    pub interfaces: Vec<Interface>,
    /// Its services.
    pub services: Vec<Service>,
    /// Programs that still use files which were replaced or deleted.
    pub stale_processes: Vec<StaleProcess>,
    /// What the operator added: one JSON value for each file of the custom inventory folder.
    pub custom: BTreeMap<String, serde_json::Value>,
    /// Tags that follow from facts, such as a cloud's region or instance type.
    pub tags: BTreeMap<String, String>,
}

/// What a machine is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hardware {
    /// Who made it, or the hypervisor's name.
    pub vendor: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// The processor's name.
    pub processor: Option<String>,
    /// How many processors the system sees.
    pub n_processors: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Size of the root file system in MiB.
    pub root_mib: Option<u64>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// Whether it is up.
    pub up: bool,
}

/// A service and the state of its unit, in the words of the init system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Its unit, such as `ssh.service`.
    pub name: String,
    /// Such as `active` or `failed`.
    pub active: String,
    /// Such as `running` or `exited`.
    pub sub: String,
    /// Whether it starts with the system, such as `enabled`.
    pub enabled: Option<String>,
}

/// A program that still uses files which were replaced or deleted since it started.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct StaleProcess {
    /// The program's name.
    pub name: String,
    /// The unit that it belongs to.
    pub service: Option<String>,
    /// How many processes of this kind there are.
    pub n_processes: u32,
    /// Some of the files, without the mark of deletion.
    pub files: Vec<String>,
}

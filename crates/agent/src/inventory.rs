//! Collecting an inventory: the one function that a scan and the running agent call.

use std::path::Path;

use domain::model::digest::Digest;
use domain::model::host::Host;
use domain::model::inventory::Inventory;
use domain::model::platform::{self, Platform};
use domain::model::problem::{Problem, ProblemCode};
use domain::model::time::Timestamp;

use crate::package_manager::{self, DATABASES, PackageManager};
use crate::reboot;
use crate::root::Root;

/// Why nothing could be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The root is not there.
    #[error("failed to open the root folder `{path}`")]
    Root {
        /// The folder.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No package manager that Fettle knows keeps its database there.
    #[error("`{path}` holds no system that Fettle knows: there is no {DATABASES}")]
    NoPackageManager {
        /// The folder.
        path: String,
    },
    /// The package database cannot be read.
    #[error("failed to read the package database below `{path}`")]
    Database {
        /// The folder.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Collects the inventory of a root. `cache` is a folder for what makes the next one faster.
pub fn collect(root: &Root, cache: Option<&Path>, now: Timestamp) -> Result<Inventory, CollectError> {
    let path = root.path().display().to_string();
    std::fs::read_dir(root.path()).map_err(|source| CollectError::Root { path: path.clone(), source })?;
    let mut problems = Vec::new();
    let mut platform = platform(root, &mut problems);
    let Some(manager) = package_manager::detect(root, &platform) else { return Err(CollectError::NoPackageManager { path }) };
    let mut facts = manager.collect(root, &platform, cache, &mut problems).map_err(|source| CollectError::Database { path, source })?;
    platform.architecture = facts.architecture.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    if platform.operating_system.is_none() {
        let message = format!("`{}` is not an operating system that Fettle has a baseline for", platform.id);
        problems.push(Problem::new(ProblemCode::PlatformUnknown, "/etc/os-release", message).with_hint("give a baseline with --baseline"));
    }
    problems.extend(crate::host::image_problem(root));
    let reboot = reboot::find(root, &mut facts.packages, &mut problems);
    Ok(Inventory {
        collected_at: now,
        name: host_name(root),
        machine: machine(root),
        platform,
        kernel: reboot::running_kernel(root),
        packages: facts.packages,
        available: facts.available,
        repositories: facts.repositories,
        lists_refreshed_at: facts.lists_refreshed_at,
        reboot,
        host: Host::default(),
        problems,
        has_feed: false,
    })
}

/// The package manager of a root, when it is one that Fettle knows.
pub fn package_manager(root: &Root) -> Option<PackageManager> {
    package_manager::detect(root, &platform(root, &mut Vec::new()))
}

/// What the root says it is; the package manager knows its architecture.
pub fn platform(root: &Root, problems: &mut Vec<Problem>) -> Platform {
    let os_release = root.read_text("/etc/os-release", &mut Vec::new()).or_else(|| root.read_text("/usr/lib/os-release", problems)).unwrap_or_default();
    platform::detect(&os_release, "")
}

/// The machine's name.
pub fn host_name(root: &Root) -> String {
    let running = root.is_running_system().then(|| root.read_text("/proc/sys/kernel/hostname", &mut Vec::new())).flatten();
    let name = running.or_else(|| root.read_text("/etc/hostname", &mut Vec::new())).unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(255).collect();
    if name.is_empty() { root.path().display().to_string() } else { name }
}

/// A digest in place of the machine id, which machine-id(5) asks to keep confidential.
fn machine(root: &Root) -> Option<String> {
    let id = root.read_text("/etc/machine-id", &mut Vec::new())?;
    let id = id.trim();
    (!id.is_empty()).then(|| Digest::of(format!("fettle node {id}").as_bytes()).short(32))
}

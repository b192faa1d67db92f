//! Package managers, one folder each. Only `detect` tells them apart.

mod apk;
pub mod apt;
mod cache;
pub mod own_repositories;
mod pacman;
pub mod rpm;
mod simulate;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use domain::model::inventory::Inventory;
use domain::model::package::InstalledPackage;
use domain::model::patch::AvailableVersion;
use domain::model::plan::Plan;
use domain::model::platform::{OperatingSystem, Platform};
use domain::model::problem::{Problem, ProblemCode};
use domain::model::repository::Repository;
use domain::model::time::Timestamp;
use domain::model::transaction::{Change, Transaction};
use domain::model::version::Scheme;

pub use self::simulate::SimulateError;
use crate::command::{CommandError, Output};
use crate::root::Root;

/// What a package manager knows of a node.
#[derive(Debug)]
pub struct PackageFacts {
    /// Native architecture, where the package manager knows it.
    pub architecture: Option<String>,
    /// Installed packages, by name and architecture.
    pub packages: Vec<InstalledPackage>,
    /// Newer versions of them, by name and architecture, newest first.
    pub available: Vec<AvailableVersion>,
    /// Repositories with lists on disk.
    pub repositories: Vec<Repository>,
    /// When the lists were last refreshed.
    pub lists_refreshed_at: Option<Timestamp>,
}

/// The package manager of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageManager {
    /// dpkg and apt.
    Apt,
    /// rpm, under dnf, yum, microdnf or zypper, with its database.
    Rpm(PathBuf),
    /// apk, with its database.
    Apk(PathBuf),
    /// pacman, with its database.
    Pacman(PathBuf),
}

/// Where each keeps its database, for the message when there is none.
pub const DATABASES: &str = "database of dpkg, rpm, apk or pacman";

/// The package manager of the system, by what the system is; of an unknown one by whose database is there.
pub fn detect(root: &Root, platform: &Platform) -> Option<PackageManager> {
    let apt = || apt::is_present(root).then_some(PackageManager::Apt);
    let rpm = || rpm::find(root).map(PackageManager::Rpm);
    let apk = || apk::find(root).map(PackageManager::Apk);
    let pacman = || pacman::find(root).map(PackageManager::Pacman);
    match platform.operating_system.map(OperatingSystem::scheme) {
        Some(Scheme::Deb) => apt(),
        Some(Scheme::Rpm) => rpm(),
        Some(Scheme::Apk) => apk(),
        Some(Scheme::Alpm) => pacman(),
        None => apt().or_else(rpm).or_else(apk).or_else(pacman),
    }
}

/// The site and the address of a repository, without any password; a local folder has no site.
fn address(uri: &str) -> (String, String) {
    let (_, after_scheme) = uri.split_once("://").unwrap_or_default();
    let authority = after_scheme.split('/').next().unwrap_or_default();
    let site = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (site.to_owned(), if authority.is_empty() { uri.to_owned() } else { uri.replacen(authority, site, 1) })
}

/// Most of a tool's output that is shown, in characters.
const OUTPUT_LENGTH_MAX: usize = 500;

/// Runs the tool that brings lists up to date.
fn refresh_with(tool: &str, arguments: &[&str]) -> Option<Problem> {
    let failed = |message: String| {
        let problem = Problem::new(ProblemCode::RefreshFailed, format!("{tool} {}", arguments.last().copied().unwrap_or_default()), message);
        Some(problem.with_hint(format!("run `{tool}` by hand to see more, or scan with --no-refresh")))
    };
    match Command::new(tool).args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let start: String = text.trim().chars().take(OUTPUT_LENGTH_MAX).collect();
            failed(format!("`{tool}` failed to refresh the package lists: {start}"))
        }
        Err(error) => failed(format!("failed to start `{tool}`: {error}")),
    }
}

impl PackageManager {
    /// What changes whenever packages or lists do.
    pub fn watched(&self, root: &Root) -> Vec<PathBuf> {
        match self {
            Self::Apt => [apt::STATUS_PATH, apt::LISTS_PATH].map(|path| root.join(path)).to_vec(),
            Self::Rpm(database) | Self::Apk(database) => vec![database.clone()],
            Self::Pacman(database) => vec![database.join("local"), database.join("sync")],
        }
    }

    /// Reads everything. `cache` is a folder for what makes the next scan faster.
    pub fn collect(&self, root: &Root, platform: &Platform, cache: Option<&Path>, problems: &mut Vec<Problem>) -> io::Result<PackageFacts> {
        match self {
            Self::Apt => apt::collect(root, cache, problems),
            Self::Rpm(database) => rpm::collect(root, database, platform, cache, problems),
            Self::Apk(database) => apk::collect(root, database, problems),
            Self::Pacman(database) => pacman::collect(root, database, problems),
        }
    }

    /// Brings the lists of the running system up to date with the native tool. What goes wrong is a problem of
    /// the report, because the lists of the last refresh are still there to judge by.
    pub fn refresh(&self, root: &Root) -> Option<Problem> {
        if !root.is_running_system() {
            return None;
        }
        match self {
            Self::Apt => apt::refresh(),
            Self::Rpm(_) => rpm::refresh(root),
            Self::Apk(_) => refresh_with("apk", &["--quiet", "--no-interactive", "update"]),
            // Refreshing alone would let the next single installation mix versions of two days.
            Self::Pacman(_) => None,
        }
    }

    /// Does what a plan says, by the native tool. What it prints and how it ends is told; what is there
    /// afterwards only the database knows.
    pub fn install(&self, root: &Root, before: &Inventory, plan: &Plan, patience: Duration) -> Result<Output, CommandError> {
        match self {
            Self::Apt => apt::install(root, &before.packages, plan, patience),
            Self::Rpm(_) => rpm::install(root, &before.platform, plan, patience),
            Self::Apk(_) => apk::install(root, plan, patience),
            Self::Pacman(_) => pacman::install(root, patience),
        }
    }

    /// What bringing these versions would do, by the native tool and the lists of the last refresh. pacman
    /// upgrades everything, whatever is asked for.
    pub fn simulate(&self, root: &Root, platform: &Platform, changes: &[Change], installed: &[InstalledPackage]) -> Result<Transaction, SimulateError> {
        if changes.is_empty() {
            return Ok(Transaction::default());
        }
        let printed = match self {
            Self::Apt => apt::simulate(root, changes),
            Self::Rpm(_) => rpm::simulate(root, platform, changes),
            Self::Apk(_) => apk::simulate(root, changes),
            Self::Pacman(database) => pacman::simulate(root, database),
        }?;
        Ok(Transaction::new(printed.steps, printed.remarks, installed))
    }
}

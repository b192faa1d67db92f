//! Package managers, one folder each. Only `detect` tells them apart.

mod apk;
pub mod apt;
mod cache;
pub mod own_repositories;
mod pacman;
mod progress;
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

pub use self::progress::Progress;
pub use self::simulate::SimulateError;
use crate::command::{self, CommandError, Output, Watch};
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

/// What leads back to what was there before.
#[derive(Debug)]
pub struct Back<'a> {
    /// What is there now.
    pub now: &'a Inventory,
    /// Package files, as paths of the system.
    pub files: &'a [String],
    /// Packages that go.
    pub goes: &'a [Change],
    /// The number of what is taken back in the package manager's own history.
    pub history: Option<&'a str>,
}

/// How long listing files may take.
const FILES_PATIENCE: Duration = Duration::from_mins(1);

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

/// Copies a file of the system into a folder of it. What cannot be copied is as good as not there.
fn keep_file(root: &Root, file: &str, folder: &str) {
    let name = file.rsplit('/').next().unwrap_or_default();
    let _ = std::fs::copy(root.join(file), root.join(&format!("{folder}/{name}")));
}

/// For tools that cannot do both at once: installs from files, and when that went well takes packages away. What has no
/// arguments is left out.
fn install_then_remove(root: &Root, tool: &'static str, install: &[&str], remove: &[&str], patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let mut both = Output { code: Some(0), stdout: String::new(), stderr: String::new() };
    for arguments in [install, remove] {
        if both.code == Some(0) && !arguments.is_empty() {
            let output = command::change(root, tool, arguments, patience, watch)?;
            both = Output { code: output.code, stdout: both.stdout + &output.stdout, stderr: String::new() };
        }
    }
    Ok(both)
}

/// The fixed arguments of a tool with what it is told of; nothing when it is told of nothing.
fn arguments_for<'a>(fixed: &[&'a str], named: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut named = named.into_iter().peekable();
    if named.peek().is_none() { Vec::new() } else { fixed.iter().copied().chain(named).collect() }
}

const FOUND_MAX: usize = 100_000;

/// Files below a folder whose names end so, as paths of the system.
fn find_below(root: &Root, folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
            let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
            let path = format!("{folder}/{name}");
            if kind.is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) && found.len() < FOUND_MAX {
                found.push(path);
            }
        }
    }
    found
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

    /// Downloads what a plan says; nothing where the tool cannot do that by itself, or all of it is there.
    pub fn download(&self, root: &Root, platform: &Platform, plan: &Plan, patience: Duration, watch: Watch<'_>) -> Option<Result<Output, CommandError>> {
        match self {
            Self::Apt => apt::download(root, plan, patience, watch),
            Self::Rpm(_) => rpm::download(root, platform, plan, patience, watch),
            Self::Apk(_) => None,
            Self::Pacman(_) => Some(pacman::download(root, patience, watch)),
        }
    }

    /// Does what a plan says, by the native tool. What it prints and how it ends is told; what is there
    /// afterwards only the database knows.
    pub fn install(&self, root: &Root, before: &Inventory, plan: &Plan, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
        match self {
            Self::Apt => apt::install(root, &before.packages, plan, patience, watch),
            Self::Rpm(_) => rpm::install(root, &before.platform, plan, patience, watch),
            Self::Apk(_) => apk::install(root, plan, patience, watch),
            Self::Pacman(_) => pacman::install(root, patience, watch),
        }
    }

    /// Whether a part of an upgrade is no upgrade.
    pub fn is_all_or_nothing(&self) -> bool {
        matches!(self, Self::Pacman(_))
    }

    /// Puts files of installed versions into a folder of the system, as far as they are to be had.
    pub fn keep(&self, root: &Root, platform: &Platform, old: &[&InstalledPackage], folder: &str, watch: Watch<'_>) {
        match self {
            Self::Apt => apt::keep(root, old, folder, watch),
            Self::Rpm(_) => rpm::keep(root, platform, old, folder, watch),
            Self::Apk(_) => apk::keep(root, old, folder, watch),
            Self::Pacman(_) => pacman::keep(root, old, folder),
        }
    }

    /// The file of a version in such a folder.
    pub fn find_kept(&self, root: &Root, folder: &str, change: &Change) -> Option<PathBuf> {
        match self {
            Self::Apt => apt::find_kept(root, folder, change),
            Self::Rpm(_) => rpm::find_kept(root, folder, change),
            Self::Apk(_) => apk::find_kept(root, folder, change),
            Self::Pacman(_) => pacman::find_kept(root, folder, change),
        }
    }

    /// Installs older versions from files and takes packages away; a dry run only says whether that would do.
    pub fn go_back(&self, root: &Root, back: &Back<'_>, is_dry: bool, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
        match self {
            Self::Apt => apt::go_back(root, back, is_dry, patience, watch),
            Self::Rpm(_) => rpm::go_back(root, back, is_dry, patience, watch),
            Self::Apk(_) => apk::go_back(root, back, is_dry, patience, watch),
            Self::Pacman(_) => pacman::go_back(root, back, is_dry, patience, watch),
        }
    }

    /// Ends what an installation of before left half done, where there is such a thing.
    pub fn recover(&self, root: &Root, patience: Duration, watch: Watch<'_>) -> Option<Result<Output, CommandError>> {
        match self {
            Self::Apt => Some(apt::recover(root, patience, watch)),
            Self::Apk(_) => Some(command::change(root, "apk", &["--no-interactive", "fix"], patience, watch)),
            Self::Rpm(_) | Self::Pacman(_) => None,
        }
    }

    /// KiB to download, where the tool says it when it is asked for that alone.
    pub fn download_kib(&self, root: &Root, changes: &[Change]) -> Option<u64> {
        match self {
            Self::Apt => apt::download_kib(root, changes),
            Self::Pacman(_) => pacman::download_kib(root),
            Self::Rpm(_) | Self::Apk(_) => None,
        }
    }

    /// Files of installed packages, given as name and architecture.
    pub fn files(&self, root: &Root, packages: &[(&str, &str)]) -> Vec<String> {
        let named = |text: &dyn Fn(&str, &str) -> String| packages.iter().map(|(name, architecture)| text(name, architecture)).collect::<Vec<_>>();
        let (tool, fixed, names): (&'static str, &[&str], Vec<String>) = match self {
            Self::Apt => return apt::files(root, packages),
            Self::Rpm(_) => ("rpm", &["--query", "--list"], named(&|name, architecture| format!("{name}.{architecture}"))),
            Self::Apk(_) => ("apk", &["info", "--quiet", "--contents"], named(&|name, _| name.to_owned())),
            Self::Pacman(_) => ("pacman", &["--query", "--list", "--quiet"], named(&|name, _| name.to_owned())),
        };
        if names.is_empty() {
            return Vec::new();
        }
        let arguments: Vec<_> = fixed.iter().copied().chain(names.iter().map(String::as_str)).collect();
        let listed = command::output(root, tool, &arguments, FILES_PATIENCE).map(|output| output.stdout).unwrap_or_default();
        // apk leaves the first slash out.
        listed.lines().filter(|line| !line.is_empty()).map(|line| format!("/{}", line.trim_start_matches('/'))).collect()
    }

    /// The number of the last transaction in the package manager's own history.
    pub fn last_transaction(&self, root: &Root, platform: &Platform) -> Option<String> {
        match self {
            Self::Rpm(_) => rpm::last_transaction(root, platform),
            _ => None,
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
        Ok(Transaction { download_kib: printed.download_kib, ..Transaction::new(printed.steps, printed.remarks, installed) })
    }
}

//! Repositories of a baseline: the only ones while a node is scanned and patched with it, and gone afterwards.
//!
//! As in AWS Patch Manager they take the place of the node's own, whose files are moved aside meanwhile. Names say
//! what was done, so that whoever comes next puts back what a crash left.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use domain::model::baseline::Source;
use domain::model::platform::Platform;

use crate::command::{self, CommandError};
use crate::inventory;
use crate::package_manager::simulate::{self, SimulateError};
use crate::package_manager::{PackageManager, rpm};
use crate::root::Root;

/// How long reading their lists may take.
const PATIENCE: Duration = Duration::from_mins(10);
/// What files begin with that were placed here, so that one that a crash left is found.
const PREFIX: &str = "fettle-source-";
/// What the names of the node's own files end with meanwhile; no package manager reads such files.
const ASIDE: &str = ".fettle-aside";

/// Why a baseline's repositories cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The package manager has no files for single repositories.
    #[error("this package manager has no files for single repositories; sources are for apt, dnf, yum and zypper")]
    Unsupported,
    /// A file cannot be written.
    #[error("failed to write `{path}`: {source}")]
    Write {
        /// Which.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no tool.
    #[error(transparent)]
    NoTool(#[from] SimulateError),
    /// The tool could not be run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The tool cannot read them.
    #[error("`{tool}` cannot read the baseline's repositories: {words}")]
    Refused {
        /// Which.
        tool: &'static str,
        /// What it said.
        words: String,
    },
}

/// Repositories that are in place; they go when this is dropped, and the node's own come back.
#[derive(Debug)]
pub struct Placed {
    root: Root,
    files: Files,
    /// On the folder, so that two runs do not take each other's away.
    _lock: File,
}

/// Where a package manager is told of repositories.
#[derive(Debug, Clone, Copy)]
struct Files {
    folder: &'static str,
    /// What the names of files end with that it reads; the first is that of ours.
    endings: &'static [&'static str],
    /// A file outside the folder.
    file: Option<&'static str>,
}

const APT_GET: &str = "apt-get";
const APT: Files = Files { folder: "/etc/apt/sources.list.d", endings: &[".list", ".sources"], file: Some("/etc/apt/sources.list") };
const YUM: Files = Files { folder: "/etc/yum.repos.d", endings: &[".repo"], file: None };
const ZYPPER: Files = Files { folder: "/etc/zypp/repos.d", endings: &[".repo"], file: None };

impl Files {
    /// Every file that tells of a repository.
    fn list(&self, root: &Root) -> Vec<PathBuf> {
        let names = root.list_names(self.folder, &mut Vec::new());
        let read = names.iter().filter(|name| self.endings.iter().any(|ending| name.ends_with(ending)));
        let paths = read.map(|name| root.join(&format!("{}/{name}", self.folder)));
        paths.chain(self.file.map(|file| root.join(file)).filter(|path| path.exists())).collect()
    }

    /// Takes ours away and brings the node's own back.
    fn restore(&self, root: &Root) -> io::Result<()> {
        for ours in self.list(root).iter().filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))) {
            fs::remove_file(ours)?;
        }
        let names = root.list_names(self.folder, &mut Vec::new());
        let aside = names.iter().filter(|name| name.ends_with(ASIDE)).map(|name| root.join(&format!("{}/{name}", self.folder)));
        let of_file = self.file.map(|file| root.join(&format!("{file}{ASIDE}"))).filter(|path| path.exists());
        for path in aside.chain(of_file) {
            let own = path.to_string_lossy().trim_end_matches(ASIDE).to_owned();
            fs::rename(&path, own)?;
        }
        Ok(())
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if let Err(error) = self.files.restore(&self.root) {
            tracing::error!(%error, folder = self.files.folder, "the node's own repositories could not be put back; the next run tries again");
        }
    }
}

/// Puts repositories in place and reads their lists. Waits for another who has some in place; what a crash left is
/// mended, also where there is nothing to place.
pub fn place(root: &Root, sources: &[Source]) -> Result<Option<Placed>, SourceError> {
    let Some(manager) = inventory::package_manager(root) else { return Ok(None) };
    let platform = inventory::platform(root, &mut Vec::new());
    let (tool, files) = match find_tool(root, &manager, &platform) {
        Err(_) if sources.is_empty() => return Ok(None),
        found => found?,
    };
    let failed = |path: &str| {
        let path = path.to_owned();
        move |source| SourceError::Write { path, source }
    };
    let folder = root.join(files.folder);
    if !sources.is_empty() {
        fs::create_dir_all(&folder).map_err(failed(files.folder))?;
    }
    if !folder.is_dir() {
        return Ok(None);
    }
    let lock = File::open(&folder).map_err(failed(files.folder))?;
    if lock.try_lock().is_err() {
        tracing::info!("waiting for another run, which has a baseline's repositories in place");
        lock.lock().map_err(failed(files.folder))?;
    }
    files.restore(root).map_err(failed(files.folder))?;
    let wanted: Vec<_> = sources.iter().filter(|source| source.is_for(&platform.product)).collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let placed = Placed { root: root.clone(), files, _lock: lock };
    for own in files.list(root) {
        fs::rename(&own, format!("{}{ASIDE}", own.display())).map_err(failed(&own.to_string_lossy()))?;
    }
    for source in wanted {
        let path = root.join(&format!("{}/{PREFIX}{}{}", files.folder, source.name, files.endings[0]));
        fs::write(&path, format!("{}\n", source.configuration.trim_end())).map_err(failed(&path.to_string_lossy()))?;
    }
    read_lists(root, tool)?;
    Ok(Some(placed))
}

/// The tool that reads lists, and the files that tell it of repositories.
fn find_tool(root: &Root, manager: &PackageManager, platform: &Platform) -> Result<(&'static str, Files), SourceError> {
    match manager {
        PackageManager::Apt => Ok((APT_GET, APT)),
        PackageManager::Rpm(_) => Ok(rpm::find_tool(root, platform).map(|tool| (tool, if tool == rpm::ZYPPER { ZYPPER } else { YUM }))?),
        PackageManager::Apk(_) | PackageManager::Pacman(_) => Err(SourceError::Unsupported),
    }
}

fn read_lists(root: &Root, tool: &'static str) -> Result<(), SourceError> {
    let arguments: &[&str] = match tool {
        APT_GET => &["--quiet", "--option=APT::Update::Error-Mode=any", "--option=APT::Get::List-Cleanup=false", "update"],
        rpm::ZYPPER => &["--non-interactive", "--quiet", "refresh"],
        rpm::MICRODNF => &["makecache"],
        _ => &["--quiet", "makecache"],
    };
    let output = command::change(root, tool, arguments, PATIENCE, &mut |_| {})?;
    if output.code == Some(0) {
        return Ok(());
    }
    Err(SourceError::Refused { tool, words: simulate::words_of(&output) })
}

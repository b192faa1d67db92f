//! Repositories of a baseline: the only ones while a node is scanned and patched with it, and gone afterwards. And those of
//! a policy, which are the node's own until the policy says otherwise.
//!
//! As in AWS Patch Manager a baseline's take the place of the node's own, whose files are moved aside meanwhile. Names say
//! what was done, so that whoever comes next puts back what a crash left.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
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
/// Names of files that tell what was done.
#[derive(Debug, Clone, Copy)]
struct Marks {
    /// What files begin with that were placed here.
    ours: &'static str,
    /// What the names of the node's own files end with meanwhile; no package manager reads such files.
    aside: &'static str,
}

/// Of a baseline, for a run; one that a crash left is found by them.
const FOR_A_RUN: Marks = Marks { ours: "fettle-source-", aside: ".fettle-aside" };
/// Of a policy. apt passes over `.save` without a word.
const FOR_GOOD: Marks = Marks { ours: "fettle-policy-", aside: ".fettle.save" };

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
    #[error("`{tool}` cannot read the repositories that the server names: {words}")]
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

    /// Those that were placed with these marks, and the others.
    fn split(&self, root: &Root, marks: Marks) -> (Vec<PathBuf>, Vec<PathBuf>) {
        self.list(root).into_iter().partition(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(marks.ours)))
    }

    /// Takes ours away and brings the node's own back; whether there were any.
    fn restore(&self, root: &Root, marks: Marks) -> Result<bool, SourceError> {
        let (ours, _) = self.split(root, marks);
        for path in &ours {
            fs::remove_file(path).map_err(failed(path))?;
        }
        let names = root.list_names(self.folder, &mut Vec::new());
        let aside = names.iter().filter(|name| name.ends_with(marks.aside)).map(|name| root.join(&format!("{}/{name}", self.folder)));
        let of_file = self.file.map(|file| root.join(&format!("{file}{}", marks.aside))).filter(|path| path.exists());
        let aside: Vec<_> = aside.chain(of_file).collect();
        for path in &aside {
            fs::rename(path, path.to_string_lossy().trim_end_matches(marks.aside)).map_err(failed(path))?;
        }
        Ok(!ours.is_empty() || !aside.is_empty())
    }

    /// Moves files aside and writes ours.
    fn replace(marks: Marks, others: &[PathBuf], texts: &BTreeMap<PathBuf, String>) -> Result<(), SourceError> {
        for own in others {
            fs::rename(own, format!("{}{}", own.display(), marks.aside)).map_err(failed(own))?;
        }
        for (path, text) in texts {
            fs::write(path, text).map_err(failed(path))?;
        }
        Ok(())
    }

    /// What is written of those that are for a product.
    fn texts(&self, root: &Root, marks: Marks, sources: &[Source], product: &str) -> BTreeMap<PathBuf, String> {
        let text = |source: &Source| {
            let path = root.join(&format!("{}/{}{}{}", self.folder, marks.ours, source.name, self.endings[0]));
            (path, format!("{}\n", source.configuration.trim_end()))
        };
        sources.iter().filter(|source| source.is_for(product)).map(text).collect()
    }

    /// Keeps others from changing repositories while it is held. None where there is no folder for them.
    fn lock(&self, root: &Root, make: bool) -> Result<Option<File>, SourceError> {
        let folder = root.join(self.folder);
        if make {
            fs::create_dir_all(&folder).map_err(failed(&folder))?;
        }
        if !folder.is_dir() {
            return Ok(None);
        }
        let lock = File::open(&folder).map_err(failed(&folder))?;
        if lock.try_lock().is_err() {
            tracing::info!("waiting for another run, which has a baseline's repositories in place");
            lock.lock().map_err(failed(&folder))?;
        }
        Ok(Some(lock))
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> SourceError {
    let path = path.display().to_string();
    move |source| SourceError::Write { path, source }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if let Err(error) = self.files.restore(&self.root, FOR_A_RUN) {
            tracing::error!(%error, folder = self.files.folder, "the node's own repositories could not be put back; the next run tries again");
        }
    }
}

/// Puts repositories in place and reads their lists. Waits for another who has some in place; what a crash left is
/// mended, also where there is nothing to place.
pub fn place(root: &Root, sources: &[Source]) -> Result<Option<Placed>, SourceError> {
    let Some(Locked { tool, files, product, lock }) = lock(root, sources)? else { return Ok(None) };
    let texts = files.texts(root, FOR_A_RUN, sources, &product);
    if texts.is_empty() {
        return Ok(None);
    }
    let placed = Placed { root: root.clone(), files, _lock: lock };
    Files::replace(FOR_A_RUN, &files.list(root), &texts)?;
    read_lists(root, tool)?;
    Ok(Some(placed))
}

/// Makes a policy's repositories the node's only ones for good; those that it had come back when there are none. Whether
/// anything changed. What the package manager cannot read is taken back.
pub fn adopt(root: &Root, sources: &[Source]) -> Result<bool, SourceError> {
    let Some(Locked { tool, files, product, lock: _lock }) = lock(root, sources)? else { return Ok(false) };
    let texts = files.texts(root, FOR_GOOD, sources, &product);
    if texts.is_empty() {
        return files.restore(root, FOR_GOOD);
    }
    let (ours, others) = files.split(root, FOR_GOOD);
    let before: BTreeMap<_, _> = ours.into_iter().filter_map(|path| Some((fs::read_to_string(&path).ok()?, path))).map(|(text, path)| (path, text)).collect();
    if before == texts && others.is_empty() {
        return Ok(false);
    }
    let removed = before.keys().try_for_each(|path| fs::remove_file(path).map_err(failed(path)));
    let adopted = removed.and_then(|()| Files::replace(FOR_GOOD, &others, &texts)).and_then(|()| read_lists(root, tool));
    let Err(error) = adopted else { return Ok(true) };
    // However far it got: what was not written is not there, and what was not moved has not gone.
    for path in texts.keys() {
        let _ = fs::remove_file(path);
    }
    for own in &others {
        let _ = fs::rename(format!("{}{}", own.display(), FOR_GOOD.aside), own);
    }
    Files::replace(FOR_GOOD, &[], &before)?;
    Err(error)
}

/// Repositories that nobody else changes meanwhile.
struct Locked {
    tool: &'static str,
    files: Files,
    product: String,
    lock: File,
}

/// Waits for another who has a baseline's repositories in place, and mends what a crash left. None where there is nothing that
/// could be changed, and nothing is asked for.
fn lock(root: &Root, sources: &[Source]) -> Result<Option<Locked>, SourceError> {
    let Some(manager) = inventory::package_manager(root) else { return Ok(None) };
    let platform = inventory::platform(root, &mut Vec::new());
    let (tool, files) = match find_tool(root, &manager, &platform) {
        Err(_) if sources.is_empty() => return Ok(None),
        found => found?,
    };
    let Some(lock) = files.lock(root, !sources.is_empty())? else { return Ok(None) };
    files.restore(root, FOR_A_RUN)?;
    Ok(Some(Locked { tool, files, product: platform.product, lock }))
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

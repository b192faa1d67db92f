//! rpm under dnf (4 and 5), yum, microdnf and zypper: Red Hat and its kin, Fedora, Amazon, SUSE.
//!
//! A scan reads the rpm database and the metadata that the native tool keeps on disk, and starts no
//! program (save `rpm`, for databases of Berkeley DB). Only `refresh` runs the native tool, because
//! fetching and verifying metadata is its business. Checked against dnf 4.23, dnf5 5.4 and zypper 1.14.

mod candidates;
mod config;
mod database;
mod header;
mod install;
mod locks;
mod modules;
mod primary;
mod primary_database;
mod products;
mod simulate;
mod summary;
mod way_back;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use catalog::repomd::{self, Metadata};
use catalog::updateinfo;
use domain::model::platform::Platform;
use domain::model::problem::{Problem, ProblemCode};
use domain::model::repository::Repository;
use domain::model::time::Timestamp;
use sha2::{Digest, Sha256};

use self::candidates::Filters;
use self::config::RepositoryConfig;
use self::database::RpmPackage;
use self::locks::Locks;
use self::modules::Modules;
use self::summary::{Summary, SummaryWriter};
use super::{PackageFacts, address};
use crate::root::{Root, modified_at};

pub use self::database::find;
pub use self::install::{download, install, last_transaction};
pub use self::products::tags as product_tags;
pub use self::simulate::{MICRODNF, ZYPPER, find_tool, simulate};
pub use self::way_back::{find_kept, go_back, keep};

/// Where dnf, dnf5, yum and zypper keep metadata.
const DNF_CACHE: &str = "/var/cache/dnf";
const DNF5_CACHE: &str = "/var/cache/libdnf5";
const YUM_CACHE: &str = "/var/cache/yum";
const ZYPPER_CACHE: &str = "/var/cache/zypp/raw";
/// How to bring metadata up to date, for hints.
const REFRESH_HINT: &str = "run `dnf makecache` or `zypper refresh` on the node";

/// A repository whose metadata is on disk.
struct Source {
    config: RepositoryConfig,
    summary: Summary,
}

/// Reads everything.
pub fn collect(root: &Root, database: &Path, platform: &Platform, cache: Option<&Path>, problems: &mut Vec<Problem>) -> io::Result<PackageFacts> {
    let packages = database::read(root, database, problems)?;
    let architecture = native_architecture(&packages).unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let release = packages.iter().filter_map(|package| package.release.clone()).min().map(|(_, release)| release).or_else(|| platform.release.clone()).unwrap_or_default();
    let (main, configs) = config::read(root, &release, &architecture, problems);
    let folders = CacheFolders { root, dnf: main.cache_folder.clone().unwrap_or_else(|| DNF_CACHE.to_owned()), yum: format!("{YUM_CACHE}/{architecture}/{release}") };
    let (mut sources, mut repositories, mut refreshed_at) = (Vec::new(), Vec::new(), None::<Timestamp>);
    for config in configs {
        let Some(folder) = folders.find(&config) else {
            let problem = Problem::new(ProblemCode::ListsMissing, &config.id, format!("the metadata of the repository `{}` is not on disk", config.id));
            problems.push(problem.with_hint(REFRESH_HINT));
            continue;
        };
        match open(&folder, &config, root, cache) {
            Ok((metadata, summary)) => {
                // Nothing is known that is newer than the oldest of them.
                let at = checked_at(&folder);
                refreshed_at = if sources.is_empty() { at } else { refreshed_at.min(at) };
                repositories.push(repository(&config, &metadata, &summary, &architecture));
                sources.push(Source { config, summary });
            }
            Err(error) => {
                let message = format!("the metadata of the repository `{}` cannot be used: {error}", config.id);
                problems.push(Problem::new(ProblemCode::FileUnreadable, &config.id, message).with_hint(REFRESH_HINT));
            }
        }
    }
    let streams = modules::configured(root, problems);
    let filters = Filters { main: &main, locks: Locks::read(root, problems), modules: Modules::of(&sources, &streams) };
    let (packages, available) = candidates::find(packages, &sources, &filters);
    Ok(PackageFacts { architecture: Some(architecture), packages, available, repositories, lists_refreshed_at: refreshed_at })
}

/// The metadata of a repository; its summary is made when it is not kept yet.
fn open(folder: &Path, config: &RepositoryConfig, root: &Root, cache: Option<&Path>) -> io::Result<(Metadata, Summary)> {
    let metadata = Metadata::open(folder)?;
    if config.is_metadata_signed && !folder.join("repomd.xml.asc").is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it must be signed, and there is no repomd.xml.asc"));
    }
    let place = format!("{}\n{}", root.path().canonicalize().unwrap_or_else(|_| root.path().to_owned()).display(), config.id);
    let kept = cache.map(|cache| cache.join(format!("rpm-{}.summary", &blake3::hash(place.as_bytes()).to_hex()[..16])));
    if let Some(summary) = kept.as_ref().and_then(|path| Summary::open(path, &metadata.digest)) {
        return Ok((metadata, summary));
    }
    let mut writer = SummaryWriter::new(&metadata.digest);
    if let Some(path) = metadata.primary_database()? {
        primary_database::read(&path, &mut writer)?;
    } else if let Some(input) = metadata.read("primary")? {
        primary::read(input, &mut writer)?;
    }
    if let Some(input) = metadata.read("updateinfo")? {
        updateinfo::read(input, |advisory, packages| writer.add_advisory(advisory, packages))?;
    }
    if let Some(input) = metadata.read("modules")? {
        modules::read(input, &mut writer)?;
    }
    let summary = writer.finish()?;
    if let Some(path) = kept {
        // It is a cache: where it cannot be kept, the next scan makes it again.
        let _ = summary.save(&path);
    }
    Ok((metadata, summary))
}

fn repository(config: &RepositoryConfig, metadata: &Metadata, summary: &Summary, architecture: &str) -> Repository {
    let (site, uri) = address(&config.uri);
    Repository {
        origin: summary.vendor().map(str::to_owned),
        label: Some(config.id.clone()),
        suite: None,
        codename: None,
        component: None,
        version: None,
        architecture: Some(architecture.to_owned()),
        site,
        uri,
        released_at: metadata.revision.and_then(Timestamp::from_seconds),
        valid_until: None,
        trusted: config.is_signed,
        not_automatic: false,
        but_automatic_upgrades: false,
    }
}

/// When the native tool last made sure that metadata is the newest: dnf touches the index then, zypper
/// a file beside its folder.
fn checked_at(folder: &Path) -> Option<Timestamp> {
    let index = modified_at(&folder.join("repomd.xml"))?;
    Some(folder.parent().and_then(|parent| modified_at(&parent.join("cookie"))).map_or(index, |cookie| cookie.max(index)))
}

/// The architecture of most packages that have one.
fn native_architecture(packages: &[RpmPackage]) -> Option<String> {
    let mut times = HashMap::<&str, usize>::new();
    for package in packages.iter().filter(|package| package.package.architecture != "noarch") {
        *times.entry(&package.package.architecture).or_default() += 1;
    }
    times.into_iter().max_by_key(|(name, n)| (*n, *name)).map(|(architecture, _)| architecture.to_owned())
}

struct CacheFolders<'a> {
    root: &'a Root,
    dnf: String,
    yum: String,
}

impl CacheFolders<'_> {
    /// The folder with the newest metadata of a repository that any of the tools keeps.
    fn find(&self, config: &RepositoryConfig) -> Option<PathBuf> {
        // dnf tells apart repositories that had one id at different times.
        let hash = &repomd::hex(&Sha256::digest(config.uri.as_bytes()))[..16];
        let id = &config.id;
        let named = [
            format!("{}/{id}-{hash}/repodata", self.dnf),
            format!("{DNF_CACHE}/{id}-{hash}/repodata"),
            format!("{DNF5_CACHE}/{id}-{hash}/repodata"),
            format!("{ZYPPER_CACHE}/{id}/repodata"),
            format!("{}/{id}", self.yum),
        ];
        let newest = |paths: Vec<String>| paths.iter().map(|path| self.root.join(path)).filter(|path| checked_at(path).is_some()).max_by_key(|path| checked_at(path));
        // Where the address was written otherwise when it was fetched, the id has to do.
        newest(named.to_vec()).or_else(|| newest([DNF_CACHE, DNF5_CACHE].iter().flat_map(|cache| self.of_id(cache, id)).collect()))
    }

    /// Folders of a cache whose name is an id and a hash.
    fn of_id(&self, cache: &str, id: &str) -> Vec<String> {
        let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let names = self.root.list_names(cache, &mut Vec::new()).into_iter();
        names.filter(|name| name.strip_prefix(id).and_then(|rest| rest.strip_prefix('-')).is_some_and(is_hash)).map(|name| format!("{cache}/{name}/repodata")).collect()
    }
}

/// Runs the native tool that is there.
pub fn refresh(root: &Root) -> Option<Problem> {
    let tools: [(&str, &[&str]); 4] =
        [("dnf", &["-q", "-y", "makecache"]), ("zypper", &["--non-interactive", "--quiet", "refresh"]), ("yum", &["-q", "-y", "makecache"]), ("microdnf", &["-y", "makecache"])];
    let found = tools.into_iter().find(|(tool, _)| ["/usr/bin", "/bin"].iter().any(|folder| root.join(&format!("{folder}/{tool}")).exists()));
    let Some((tool, arguments)) = found else {
        let problem = Problem::new(ProblemCode::RefreshFailed, "refresh", "there is neither dnf nor zypper, yum or microdnf on the node");
        return Some(problem.with_hint("scan with --no-refresh"));
    };
    super::refresh_with(tool, arguments)
}

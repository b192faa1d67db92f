//! apt and dpkg: Debian, Ubuntu and their kin.
//!
//! A scan reads the node's own files and starts no program: dpkg's status, apt's lists, sources,
//! preferences and configuration. Only `refresh` runs `apt-get update`, because fetching and
//! verifying lists is the native tool's business, and `simulate` asks `apt-get` what it would do. Checked against apt 2.2 (Debian 11), 2.6
//! (Debian 12) and 3.0 (Debian 13).

mod config;
pub mod index;
mod install;
pub mod lists;
mod phasing;
mod policy;
mod preferences;
mod refresh;
mod release;
mod simulate;
mod sources;
mod stanza;
mod status;
mod way_back;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use domain::model::package::InstalledPackage;
use domain::model::patch::{AvailableVersion, Offer};
use domain::model::problem::{Problem, ProblemCode};
use domain::model::repository::Repository;
use domain::model::time::Timestamp;
use domain::model::version::deb;

use self::config::AptConfig;
use self::index::{EVERYTHING, Index, ListReader, Subject};
use self::lists::ListFile;
use self::policy::{Origin, Policy, VersionView};
use self::stanza::text;
use crate::package_manager::PackageFacts;
use crate::root::{Root, unreadable};

pub use self::install::{download, download_kib, install, recover};
pub use self::refresh::refresh;
pub use self::simulate::simulate;
pub use self::status::{STATUS_PATH, fill_install_dates};
pub use self::way_back::{find_kept, go_back, keep};

/// Where apt keeps package lists.
pub const LISTS_PATH: &str = "/var/lib/apt/lists";

/// Whether the root holds a system that dpkg manages.
pub fn is_present(root: &Root) -> bool {
    root.join(STATUS_PATH).is_file()
}

/// Reads everything. `cache` is the folder for the index over the lists; without one, or where it
/// cannot be written, the index lives for this call only.
pub fn collect(root: &Root, cache: Option<&Path>, problems: &mut Vec<Problem>) -> std::io::Result<PackageFacts> {
    let config = AptConfig::read(root, problems);
    let mut packages = status::read(root, problems)?;
    let architectures = find_architectures(root, &config, &packages, problems);
    let native = architectures[0].clone();

    let found = find_lists(root, &architectures, problems);
    let mut pins = preferences::read(root, problems);
    pins.splice(0..0, default_release(&config, &found.repositories, problems));
    let policy = Policy::new(pins, &native, &found.repositories);

    let index_path = cache.map(|folder| index_path(folder, root));
    let offered = look_up(&packages, &found, index_path.as_deref(), &native, problems);
    let phasing = Phasing::new(root, &config);
    let mut available = Vec::new();
    for (package, of_package) in packages.iter_mut().zip(offered) {
        decide_package(package, of_package, &found.repositories, &policy, &native, &phasing, &mut available);
    }
    Ok(PackageFacts { architecture: Some(native), packages, available, repositories: found.repositories, lists_refreshed_at: refreshed_at(root) })
}

/// When apt last brought its lists up to date: the newest of what it touches then. The lists
/// themselves carry the publisher's times.
fn refreshed_at(root: &Root) -> Option<Timestamp> {
    ["/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/lists/partial", LISTS_PATH].into_iter().filter_map(|path| root.modified_at(path)).max()
}

/// The native architecture, then the foreign ones.
fn find_architectures(root: &Root, config: &AptConfig, packages: &[InstalledPackage], problems: &mut Vec<Problem>) -> Vec<String> {
    let foreign = root.read_text("/var/lib/dpkg/arch", problems).unwrap_or_default();
    let of_package = |name: &str| packages.iter().find(|package| package.name == name && package.architecture != "all").map(|package| package.architecture.clone());
    let native = config
        .get("APT::Architecture")
        .map(str::to_owned)
        .or_else(|| of_package("dpkg"))
        .or_else(|| of_package("base-files"))
        .or_else(|| foreign.lines().next().map(str::to_owned));
    let mut architectures = vec![native.unwrap_or_else(|| "amd64".to_owned())];
    let configured: Vec<_> = config.list("APT::Architectures").map(str::to_owned).collect();
    let others = if configured.is_empty() { foreign.lines().map(|line| line.trim().to_owned()).collect() } else { configured };
    for architecture in others.into_iter().filter(|architecture| !architecture.is_empty()) {
        if !architectures.contains(&architecture) {
            architectures.push(architecture);
        }
    }
    architectures
}

/// Lists on disk with the repository of each, by the same number.
struct FoundLists {
    files: Vec<ListFile>,
    repositories: Vec<Repository>,
    /// What each list must have once unpacked, by its Release file.
    expected_bytes: Vec<Option<u64>>,
}

fn find_lists(root: &Root, architectures: &[String], problems: &mut Vec<Problem>) -> FoundLists {
    let folder = root.join(LISTS_PATH);
    let mut releases = release::Releases::default();
    let mut found = FoundLists { files: Vec::new(), repositories: Vec::new(), expected_bytes: Vec::new() };
    for target in sources::read(root, architectures, problems) {
        let release = releases.of(root, &target, problems);
        match lists::find(&folder, &target.file_name()) {
            Some(file) => {
                found.files.push(file);
                found.repositories.push(release.repository(&target));
                found.expected_bytes.push(release.size_of(&target));
            }
            // Repositories rarely have a list of their own for `all`; others are missed only when promised or unknown.
            None if target.architecture.as_deref() != Some("all") && (release.promises(&target) || release.repository(&target).origin.is_none()) => {
                let name = format!("{} {} {}", target.uri, target.distribution, target.path_in_release());
                problems.push(Problem::new(ProblemCode::ListsMissing, &name, format!("the lists of {name} are not on disk")).with_hint("run `apt-get update` on the node"));
            }
            None => {}
        }
    }
    found
}

fn default_release(config: &AptConfig, repositories: &[Repository], problems: &mut Vec<Problem>) -> Option<preferences::Pin> {
    let release = config.get("APT::Default-Release").filter(|value| !value.is_empty())?;
    let pin = preferences::default_release_pin(release);
    if repositories.iter().any(|repository| pin.matcher.matches_origin(&Origin::Repository(repository))) || release.contains('=') || release == "now" {
        return Some(pin);
    }
    let message = format!("APT::Default-Release is `{release}`, and no repository has that release");
    problems.push(Problem::new(ProblemCode::Malformed, "APT::Default-Release", message).with_hint("apt refuses to work with this value; mend or remove it"));
    None
}

fn index_path(folder: &Path, root: &Root) -> PathBuf {
    let place = root.path().canonicalize().unwrap_or_else(|_| root.path().to_owned());
    folder.join(format!("apt-{}.index", &blake3::hash(place.as_os_str().as_encoded_bytes()).to_hex()[..16]))
}

/// A version of a package as one list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ListedVersion {
    version: String,
    source: String,
    source_version: String,
    section: Option<String>,
    priority: Option<String>,
    phased_percent: u8,
    lists: Vec<usize>,
}

/// What the lists have of one package.
#[derive(Debug, Clone, Default)]
struct Offered {
    /// Lists with the installed version.
    installed: Vec<usize>,
    /// Other versions, newest first.
    others: Vec<ListedVersion>,
}

/// What the lists offer for each package, in the order of `packages`.
fn look_up(packages: &[InstalledPackage], found: &FoundLists, index_path: Option<&Path>, native: &str, problems: &mut Vec<Problem>) -> Vec<Offered> {
    let Some(path) = index_path else {
        return look_up_anew(&Index::build(&found.files), packages, found, native, problems);
    };
    let narrow_path = path.with_extension("narrow");
    let subject = subject_of(packages);
    let known = Index::open(&narrow_path, &found.files, &subject).and_then(|index| look_up_in(&index, packages, found, native, problems));
    known.unwrap_or_else(|| {
        let saved = Index::open(path, &found.files, &EVERYTHING).and_then(|index| Some((look_up_in(&index, packages, found, native, problems)?, index)));
        let (offered, index) = saved.unwrap_or_else(|| {
            let index = Index::build(&found.files);
            // Both indexes are caches: where they cannot be kept, the next scan builds them again.
            let _ = index.save(path);
            (look_up_anew(&index, packages, found, native, problems), index)
        });
        if let Ok(narrow) = index.narrow(&subject, packages.iter().map(|package| package.name.as_str()), &mut ListReader::new(&found.files)) {
            let _ = narrow.save(&narrow_path);
        }
        offered
    })
}

fn look_up_anew(index: &Index, packages: &[InstalledPackage], found: &FoundLists, native: &str, problems: &mut Vec<Problem>) -> Vec<Offered> {
    look_up_in(index, packages, found, native, problems).unwrap_or_else(|| {
        problems.push(Problem::new(ProblemCode::FileUnreadable, LISTS_PATH, "the package lists changed while they were read").with_hint("scan again"));
        vec![Offered::default(); packages.len()]
    })
}

/// The names of the packages, as the subject of a narrowed index.
fn subject_of(packages: &[InstalledPackage]) -> Subject {
    let mut hasher = blake3::Hasher::new();
    for package in packages {
        hasher.update(package.name.as_bytes());
        hasher.update(b"\n");
    }
    *hasher.finalize().as_bytes()
}

/// `None` when the index does not fit the lists.
fn look_up_in(index: &Index, packages: &[InstalledPackage], found: &FoundLists, native: &str, problems: &mut Vec<Problem>) -> Option<Vec<Offered>> {
    let mut reader = ListReader::new(&found.files);
    let mut malformed = HashMap::new();
    let mut offered = Vec::with_capacity(packages.len());
    for package in packages {
        let wanted = native_for_all(&package.architecture, native);
        let mut of_package = Offered::default();
        let visited = index.visit(&package.name, &mut reader, |list, stanza| match parse_listed(stanza) {
            Some(listed) if native_for_all(listed.architecture, native) != wanted => {}
            // The usual case, and what is installed is known already.
            Some(listed) if listed.version == package.version => of_package.installed.push(list),
            Some(listed) => add_listed(&mut of_package.others, &listed, &package.name, list),
            None => *malformed.entry(list).or_insert(0_u32) += 1,
        });
        visited.ok()?;
        of_package.others.sort_by(|a, b| deb::compare(&b.version, &a.version));
        offered.push(of_package);
    }
    report_list_problems(index, found, &malformed, problems);
    Some(offered)
}

/// Packages for all architectures live beside native ones in apt's eyes.
fn native_for_all<'a>(architecture: &'a str, native: &'a str) -> &'a str {
    if architecture == "all" { native } else { architecture }
}

fn add_listed(versions: &mut Vec<ListedVersion>, listed: &ListedFields, name: &str, list: usize) {
    if let Some(known) = versions.iter_mut().find(|known| known.version == listed.version) {
        known.lists.push(list);
        return;
    }
    let (source, source_version) = status::split_source(listed.source.map(text).as_deref(), name);
    versions.push(ListedVersion {
        version: listed.version.to_owned(),
        source,
        source_version: source_version.unwrap_or_else(|| listed.version.to_owned()),
        section: listed.section.map(text),
        priority: listed.priority.map(text),
        phased_percent: listed.phased_percent,
        lists: vec![list],
    });
}

/// Fields of a list's stanza, borrowed from it.
struct ListedFields<'a> {
    version: &'a str,
    architecture: &'a str,
    source: Option<&'a [u8]>,
    section: Option<&'a [u8]>,
    priority: Option<&'a [u8]>,
    phased_percent: u8,
}

/// Reads a list's stanza; `None` when a field is missing or impossible.
fn parse_listed(stanza: &[u8]) -> Option<ListedFields<'_>> {
    let [mut version, mut architecture, mut source, mut section, mut priority, mut phased] = [None; 6];
    for (key, value) in stanza::fields(stanza).flatten() {
        let place = match key {
            b"Version" => &mut version,
            b"Architecture" => &mut architecture,
            b"Source" => &mut source,
            b"Section" => &mut section,
            b"Priority" => &mut priority,
            b"Phased-Update-Percentage" => &mut phased,
            _ => continue,
        };
        *place = Some(value);
    }
    let version = std::str::from_utf8(version?).ok().filter(|version| deb::parse(version).is_ok())?;
    let percent = phased.and_then(|value: &[u8]| std::str::from_utf8(value).ok()?.parse().ok()).filter(|percent| *percent <= 100);
    Some(ListedFields { version, architecture: std::str::from_utf8(architecture?).ok()?, source, section, priority, phased_percent: percent.unwrap_or(100) })
}

fn report_list_problems(index: &Index, found: &FoundLists, malformed: &HashMap<usize, u32>, problems: &mut Vec<Problem>) {
    for (number, (summary, file)) in index.lists.iter().zip(&found.files).enumerate() {
        let path = file.path.display().to_string();
        let n_malformed = summary.n_malformed + malformed.get(&number).copied().unwrap_or(0);
        let mut report = |code, message: String| problems.push(Problem::new(code, &path, message).with_hint("run `apt-get update` on the node"));
        if n_malformed > 0 {
            report(ProblemCode::Malformed, format!("{n_malformed} stanzas of {path} were not understood and were left out"));
        }
        if summary.n_oversized > 0 {
            report(ProblemCode::LimitReached, format!("{} stanzas of {path} are longer than {} bytes and were left out", summary.n_oversized, stanza::STANZA_BYTES_MAX));
        }
        if let Some(error) = &summary.error {
            report(ProblemCode::FileUnreadable, format!("{path} was read up to byte {}: {error}", summary.n_bytes));
        } else if let Some(expected) = found.expected_bytes[number].filter(|&expected| expected != summary.n_bytes) {
            report(ProblemCode::Malformed, format!("{path} has {} bytes, and its Release file says {expected}: it is cut off or was changed", summary.n_bytes));
        }
    }
}

/// Fills in where the installed version comes from, and adds the newer ones with apt's view of each.
fn decide_package(
    package: &mut InstalledPackage,
    offered: Offered,
    repositories: &[Repository],
    policy: &Policy,
    native: &str,
    phasing: &Phasing,
    available: &mut Vec<AvailableVersion>,
) {
    package.repositories = offered.installed;
    let mut listed = offered.others;
    let installed_at = listed.partition_point(|version| deb::compare(&version.version, &package.version) == Ordering::Greater);
    if installed_at == 0 {
        return;
    }
    listed.insert(installed_at, ListedVersion::installed(package));

    let origins: Vec<Vec<Origin>> = (listed.iter().enumerate())
        .map(|(at, version)| {
            let status = (at == installed_at).then_some(Origin::Status);
            version.lists.iter().map(|&list| Origin::Repository(&repositories[list])).chain(status).collect()
        })
        .collect();
    let views: Vec<VersionView> = (listed.iter().zip(&origins).enumerate())
        .map(|(at, (version, origins))| VersionView {
            package: &package.name,
            architecture: native_for_all(&package.architecture, native),
            version: &version.version,
            source: &version.source,
            source_version: &version.source_version,
            origins,
            repositories: &version.lists,
            installed: at == installed_at,
        })
        .collect();
    let candidate = policy.candidate(&views);
    for (at, version) in listed[..installed_at].iter().enumerate() {
        let offer = match candidate {
            Some((preferred, _)) if preferred == at => phasing.offer(version, &listed[at..installed_at], repositories),
            Some((preferred, _)) if preferred < at && policy.priority(&views[at]) > 0 => Offer::Superseded,
            Some((_, preferred_priority)) => Offer::Pinned { priority: policy.priority(&views[at]), preferred_priority },
            None => Offer::Pinned { priority: policy.priority(&views[at]), preferred_priority: 0 },
        };
        available.push(AvailableVersion {
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            version: version.version.clone(),
            offer,
            source: version.source.clone(),
            source_version: Some(version.source_version.clone()).filter(|source_version| *source_version != version.version),
            section: version.section.clone(),
            priority: version.priority.clone(),
            // A repository has a version at the latest when it was published.
            first_seen_at: version.lists.iter().filter_map(|&list| repositories[list].released_at).min(),
            repositories: version.lists.clone(),
            advisory: None,
        });
    }
}

impl ListedVersion {
    /// The installed version, as dpkg knows it.
    fn installed(package: &InstalledPackage) -> Self {
        Self {
            version: package.version.clone(),
            source: package.source.clone(),
            source_version: package.source_version.clone().unwrap_or_else(|| package.version.clone()),
            section: package.section.clone(),
            priority: package.priority.clone(),
            phased_percent: 100,
            lists: package.repositories.clone(),
        }
    }
}

/// Whether this machine takes part in phased updates, and how.
enum Phasing {
    Always,
    Never,
    ByMachine(String),
}

impl Phasing {
    fn new(root: &Root, config: &AptConfig) -> Self {
        let flag = |name: &str| config.flag(&format!("APT::Get::{name}")).or_else(|| config.flag(&format!("Update-Manager::{name}")));
        if flag("Always-Include-Phased-Updates") == Some(true) {
            return Self::Always;
        }
        if flag("Never-Include-Phased-Updates") == Some(true) {
            return Self::Never;
        }
        let configured = config.get("APT::Machine-ID").map(str::to_owned);
        match configured.or_else(|| root.read_text("/etc/machine-id", &mut Vec::new())).map(|id| id.trim().to_owned()) {
            Some(id) if !id.is_empty() => Self::ByMachine(id),
            _ => Self::Always,
        }
    }

    /// How the candidate is offered; `newer` are the versions from it down to the installed one.
    /// Security updates are never held back, as apt rules.
    fn offer(&self, candidate: &ListedVersion, newer: &[ListedVersion], repositories: &[Repository]) -> Offer {
        let percent = candidate.phased_percent;
        let is_security = || newer.iter().flat_map(|version| &version.lists).any(|&list| repositories[list].suite.as_deref().is_some_and(|suite| suite.ends_with("-security")));
        let excluded = match self {
            Self::Always => false,
            Self::Never => true,
            Self::ByMachine(id) => phasing::is_excluded(&candidate.source, &candidate.source_version, id, percent),
        };
        if percent < 100 && excluded && !is_security() { Offer::Phased { percent } } else { Offer::Candidate }
    }
}

/// Reads a problem into the report when the status file cannot be read.
pub fn status_problem(error: &std::io::Error) -> Problem {
    unreadable(STATUS_PATH, error)
}

/// Files of installed packages, given as name and architecture, as dpkg lists them.
pub fn files(root: &Root, packages: &[(&str, &str)]) -> Vec<String> {
    let read = |list: String| root.read_text(&format!("/var/lib/dpkg/info/{list}.list"), &mut Vec::new());
    let lists = packages.iter().filter_map(|(name, architecture)| read(format!("{name}:{architecture}")).or_else(|| read((*name).to_owned())));
    lists.flat_map(|list| list.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

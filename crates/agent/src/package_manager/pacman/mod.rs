//! pacman: Arch and its kin.
//!
//! Installed packages are a folder each below `local`, repositories an archive each below `sync`. No program
//! is started. Checked against pacman 7.0.

mod install;
mod simulate;
mod way_back;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use domain::model::glob::{self, Case};
use domain::model::package::InstalledPackage;
use domain::model::patch::{AvailableVersion, Offer};
use domain::model::problem::{Problem, ProblemCode};
use domain::model::repository::Repository;
use domain::model::time::Timestamp;
use domain::model::version::alpm;

use crate::package_manager::{PackageFacts, address};
use crate::root::{Root, modified_at};
use catalog::unpack;

pub use self::install::{download, download_kib, install};
pub use self::simulate::simulate;
pub use self::way_back::{find_kept, go_back, keep};

const DATABASE: &str = "/var/lib/pacman";
const CONFIG: &str = "/etc/pacman.conf";
const INCLUDE_DEPTH_MAX: usize = 8;
/// Repositories of Arch itself; its kin name theirs otherwise.
const VENDOR_REPOSITORIES: [&str; 3] = ["core", "extra", "multilib"];
const ARCHIVE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
const DESCRIPTION_BYTES_MAX: u64 = 1024 * 1024;

/// The database below a root.
pub fn find(root: &Root) -> Option<PathBuf> {
    let path = root.join(DATABASE);
    path.join("local").is_dir().then_some(path)
}

/// Reads everything.
pub fn collect(root: &Root, database: &Path, problems: &mut Vec<Problem>) -> io::Result<PackageFacts> {
    let config = Config::read(root, problems);
    let mut packages = read_local(&database.join("local"), problems)?;
    let by_name: HashMap<String, usize> = packages.iter().enumerate().map(|(at, package)| (package.name.clone(), at)).collect();
    let mut found: Vec<Vec<(usize, Description)>> = packages.iter().map(|_| Vec::new()).collect();
    let (mut repositories, mut refreshed_at) = (Vec::<Repository>::new(), None::<Timestamp>);
    for source in &config.sources {
        let path = database.join(format!("sync/{}.db", source.name));
        let number = repositories.len();
        let read = read_sync(&path, |description| {
            if let Some(&at) = by_name.get(&description.name) {
                found[at].push((number, description));
            }
        });
        match read {
            Ok(()) => {
                let at = modified_at(&path);
                refreshed_at = if number == 0 { at } else { refreshed_at.min(at) };
                repositories.push(source.repository());
            }
            Err(error) => {
                let (code, message) = match error.kind() {
                    io::ErrorKind::NotFound => (ProblemCode::ListsMissing, format!("the database of the repository `{}` is not on disk", source.name)),
                    _ => (ProblemCode::FileUnreadable, format!("the database of the repository `{}` cannot be used: {error}", source.name)),
                };
                problems.push(Problem::new(code, &source.name, message).with_hint("run `pacman -Sy` on the node, together with an upgrade"));
                for found in &mut found {
                    found.retain(|(of, _)| *of != number);
                }
            }
        }
    }
    let mut available = Vec::new();
    for (package, found) in packages.iter_mut().zip(found) {
        decide(package, &found, &repositories, &config, &mut available);
    }
    let architecture = packages.iter().map(|package| &package.architecture).find(|architecture| *architecture != "any").cloned();
    Ok(PackageFacts { architecture, packages, available, repositories, lists_refreshed_at: refreshed_at })
}

/// A package as its `desc` file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Description {
    name: String,
    version: String,
    base: String,
    architecture: String,
    built_at: Option<i64>,
    installed_at: Option<i64>,
    is_dependency: bool,
    groups: Vec<String>,
}

impl Description {
    /// Lines of `%FIELD%`, each with lines of values up to an empty one.
    fn parse(text: &str) -> Option<Self> {
        let mut description = Self::default();
        let mut field = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')) {
                field = name;
            } else if line.is_empty() {
                field = "";
            } else {
                match field {
                    "NAME" => line.clone_into(&mut description.name),
                    "VERSION" => line.clone_into(&mut description.version),
                    "BASE" => line.clone_into(&mut description.base),
                    "ARCH" => line.clone_into(&mut description.architecture),
                    "BUILDDATE" => description.built_at = line.parse().ok(),
                    "INSTALLDATE" => description.installed_at = line.parse().ok(),
                    "REASON" => description.is_dependency = line == "1",
                    "GROUPS" => description.groups.push(line.to_owned()),
                    _ => {}
                }
            }
        }
        (!description.name.is_empty() && !description.version.is_empty()).then_some(description)
    }

    fn installed(self) -> InstalledPackage {
        let architecture = if self.architecture.is_empty() { "any".to_owned() } else { self.architecture };
        InstalledPackage {
            source: if self.base.is_empty() { self.name.clone() } else { self.base },
            automatic: self.is_dependency,
            installed_at: self.installed_at.and_then(Timestamp::from_seconds),
            ..InstalledPackage::new(self.name, architecture, self.version)
        }
    }
}

fn read_local(folder: &Path, problems: &mut Vec<Problem>) -> io::Result<Vec<InstalledPackage>> {
    let mut packages = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let mut bytes = Vec::new();
        let read = fs::File::open(path.join("desc")).and_then(|file| file.take(DESCRIPTION_BYTES_MAX).read_to_end(&mut bytes));
        if let Some(description) = read.ok().and_then(|_| Description::parse(&String::from_utf8_lossy(&bytes))) {
            packages.push(description.installed());
        } else {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            problems.push(Problem::new(ProblemCode::Malformed, &name, format!("the installed package `{name}` has no readable description")).with_hint("install it again"));
        }
    }
    packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    Ok(packages)
}

fn read_sync(path: &Path, mut visit: impl FnMut(Description)) -> io::Result<()> {
    let mut archive = tar::Archive::new(unpack::open_by_content(path, ARCHIVE_BYTES_MAX)?);
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.path()?.file_name().is_some_and(|name| name == "desc") {
            let mut bytes = Vec::new();
            entry.take(DESCRIPTION_BYTES_MAX).read_to_end(&mut bytes)?;
            if let Some(description) = Description::parse(&String::from_utf8_lossy(&bytes)) {
                visit(description);
            }
        }
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Config {
    ignored: Vec<String>,
    ignored_groups: Vec<String>,
    signatures: Option<String>,
    sources: Vec<Source>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Source {
    name: String,
    server: Option<String>,
    signatures: Option<String>,
}

impl Config {
    fn read(root: &Root, problems: &mut Vec<Problem>) -> Self {
        let mut config = Self::default();
        config.read_file(root, CONFIG, &mut String::new(), 0, problems);
        let default = config.signatures.clone();
        for source in &mut config.sources {
            source.signatures = source.signatures.take().or_else(|| default.clone());
        }
        config
    }

    fn read_file(&mut self, root: &Root, path: &str, section: &mut String, depth: usize, problems: &mut Vec<Problem>) {
        for line in root.read_text(path, problems).unwrap_or_default().lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(section);
                if name != "options" {
                    self.sources.push(Source { name: name.to_owned(), ..Source::default() });
                }
                continue;
            }
            let (key, value) = line.split_once('=').map_or((line, ""), |(key, value)| (key.trim(), value.trim()));
            let words = || value.split_whitespace().map(str::to_owned);
            match (key, self.sources.last_mut().filter(|source| source.name == *section)) {
                ("Include", _) if depth < INCLUDE_DEPTH_MAX => {
                    for included in included(root, value, problems) {
                        self.read_file(root, &included, section, depth + 1, problems);
                    }
                }
                ("IgnorePkg", _) => self.ignored.extend(words()),
                ("IgnoreGroup", _) => self.ignored_groups.extend(words()),
                ("Server", Some(source)) if source.server.is_none() => source.server = Some(value.to_owned()),
                ("SigLevel", Some(source)) => source.signatures = Some(value.to_owned()),
                ("SigLevel", None) => self.signatures = Some(value.to_owned()),
                _ => {}
            }
        }
    }
}

/// The files that a pattern names.
fn included(root: &Root, pattern: &str, problems: &mut Vec<Problem>) -> Vec<String> {
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if !glob::is_pattern(name) {
        return vec![pattern.to_owned()];
    }
    root.list_names(folder, problems).into_iter().filter(|found| glob::matches(name, found, Case::Sensitive)).map(|found| format!("{folder}/{found}")).collect()
}

impl Source {
    fn repository(&self) -> Repository {
        let (site, uri) = address(self.server.as_deref().unwrap_or_default());
        Repository {
            origin: VENDOR_REPOSITORIES.contains(&self.name.as_str()).then(|| "Arch Linux".to_owned()),
            label: Some(self.name.clone()),
            suite: None,
            codename: None,
            component: None,
            version: None,
            architecture: None,
            site,
            uri,
            released_at: None,
            valid_until: None,
            // pacman's own default is to require signatures of packages.
            trusted: !self.signatures.as_deref().unwrap_or_default().split_whitespace().any(|word| word == "Never" || word == "PackageNever"),
            not_automatic: false,
            but_automatic_upgrades: false,
        }
    }
}

/// pacman takes the version of the first repository that has the package, however old it is there.
fn decide(package: &mut InstalledPackage, found: &[(usize, Description)], repositories: &[Repository], config: &Config, available: &mut Vec<AvailableVersion>) {
    let matches = |patterns: &[String], name: &str| patterns.iter().find(|pattern| glob::matches(pattern, name, Case::Sensitive)).cloned();
    let mut versions: Vec<_> = found.iter().collect();
    versions.sort_by(|(of_a, a), (of_b, b)| alpm::compare(&b.version, &a.version).then(of_a.cmp(of_b)));
    let Some((first, _)) = found.first() else { return };
    for of_version in versions.chunk_by(|(_, a), (_, b)| alpm::compare(&a.version, &b.version).is_eq()) {
        let numbers: Vec<usize> = of_version.iter().map(|(number, _)| *number).collect();
        let (_, description) = of_version[0];
        match alpm::compare(&description.version, &package.version) {
            std::cmp::Ordering::Less => break,
            std::cmp::Ordering::Equal => package.repositories = numbers,
            std::cmp::Ordering::Greater => {
                let ignored = matches(&config.ignored, &package.name).map(|pattern| format!("IgnorePkg of pacman.conf names `{pattern}`"));
                let ignored = ignored.or_else(|| {
                    description.groups.iter().find_map(|group| matches(&config.ignored_groups, group)).map(|group| format!("IgnoreGroup of pacman.conf names `{group}`"))
                });
                let offer = if let Some(by) = ignored {
                    package.held = true;
                    Offer::Excluded { by }
                } else if numbers.contains(first) {
                    Offer::Candidate
                } else {
                    let name = |number: usize| repositories.get(number).and_then(|repository| repository.label.clone()).unwrap_or_default();
                    Offer::Excluded { by: format!("the repository `{}` comes before `{}`, and has an older version", name(*first), name(numbers[0])) }
                };
                available.push(AvailableVersion {
                    name: package.name.clone(),
                    architecture: package.architecture.clone(),
                    version: description.version.clone(),
                    offer,
                    source: if description.base.is_empty() { package.source.clone() } else { description.base.clone() },
                    source_version: None,
                    section: None,
                    priority: None,
                    repositories: numbers,
                    advisory: None,
                    first_seen_at: description.built_at.and_then(Timestamp::from_seconds),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_read() {
        let text = "%NAME%\nbash\n\n%VERSION%\n5.2-1\n\n%REASON%\n1\n\n%GROUPS%\nbase\ncore\n\n%UNKNOWN%\nx\n\n%BUILDDATE%\n7\n";
        let description = Description::parse(text).unwrap();
        assert_eq!((description.name.as_str(), description.version.as_str(), description.is_dependency, description.built_at), ("bash", "5.2-1", true, Some(7)));
        assert_eq!(description.groups, ["base", "core"]);
        assert_eq!([Description::parse(""), Description::parse("%NAME%\nx\n")], [None, None]);
    }
}

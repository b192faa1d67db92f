//! apk: Alpine.
//!
//! Installed packages are in `/lib/apk/db/installed`, what the operator wants in the world file, and the
//! indexes of repositories in apk's cache. No program is started. Checked against apk-tools 3.0.

mod install;
mod simulate;
mod way_back;

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use domain::model::package::{InstallState, InstalledPackage};
use domain::model::patch::{AvailableVersion, Offer};
use domain::model::problem::{Problem, ProblemCode};
use domain::model::repository::Repository;
use domain::model::time::Timestamp;
use domain::model::version::apk;
use sha1::{Digest, Sha1};

use crate::package_manager::{PackageFacts, address};
use crate::root::{Root, modified_at};
use catalog::unpack;

pub use self::install::install;
pub use self::simulate::simulate;
pub use self::way_back::{find_kept, go_back, keep};

/// Where the database is: of old and today.
const DATABASES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
const WORLD: &str = "/etc/apk/world";
const REPOSITORIES: &str = "/etc/apk/repositories";
const REPOSITORIES_FOLDER: &str = "/etc/apk/repositories.d";
const CACHES: [&str; 2] = ["/etc/apk/cache", "/var/cache/apk"];
const INDEX: &str = "APKINDEX.tar.gz";
/// Most bytes that an index may unpack to; Alpine's largest has 20 MB.
const INDEX_BYTES_MAX: u64 = 512 * 1024 * 1024;
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// The database below a root.
pub fn find(root: &Root) -> Option<PathBuf> {
    DATABASES.iter().map(|path| root.join(path)).find(|path| path.is_file())
}

/// Reads everything.
pub fn collect(root: &Root, database: &Path, problems: &mut Vec<Problem>) -> io::Result<PackageFacts> {
    let mut packages = Vec::new();
    read_stanzas(std::fs::File::open(database)?, |stanza| packages.extend(stanza.installed()))?;
    packages.sort_by(|a: &InstalledPackage, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    let native = root.read_text("/etc/apk/arch", problems).and_then(|text| text.lines().next().map(|line| line.trim().to_owned()));
    let native = native
        .or_else(|| packages.iter().map(|package| package.architecture.clone()).find(|architecture| architecture != "noarch"))
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let world = World::read(root, problems);
    for package in &mut packages {
        package.automatic = !world.0.contains_key(&package.name);
    }
    let by_name: HashMap<String, usize> = packages.iter().enumerate().map(|(at, package)| (package.name.clone(), at)).collect();
    let mut found: Vec<Vec<(usize, Stanza)>> = packages.iter().map(|_| Vec::new()).collect();
    let (mut repositories, mut tags, mut refreshed_at) = (Vec::new(), Vec::new(), None::<Timestamp>);
    for source in sources(root, &native, problems) {
        let Some(path) = source.index(root) else {
            let (_, uri) = address(&source.uri);
            let problem = Problem::new(ProblemCode::ListsMissing, &uri, format!("the index of {uri} is not on disk"));
            problems.push(problem.with_hint("run `apk update` on the node, and see that it has a cache (`setup-apkcache`)"));
            continue;
        };
        let number = repositories.len();
        let read = read_index(&path, |stanza| {
            if let Some(&at) = by_name.get(&stanza.name) {
                found[at].push((number, stanza));
            }
        });
        match read {
            Ok(description) => {
                let at = modified_at(&path);
                refreshed_at = if number == 0 { at } else { refreshed_at.min(at) };
                repositories.push(source.repository(description, &native));
                tags.push(source.tag);
            }
            Err(error) => {
                let (_, uri) = address(&source.uri);
                problems.push(Problem::new(ProblemCode::FileUnreadable, &uri, format!("the index of {uri} cannot be used: {error}")).with_hint("run `apk update` on the node"));
                for found in &mut found {
                    found.retain(|(of, _)| *of != number);
                }
            }
        }
    }
    let mut available = Vec::new();
    for (package, found) in packages.iter_mut().zip(found) {
        decide(package, found, &tags, &world, &mut available);
    }
    Ok(PackageFacts { architecture: Some(native), packages, available, repositories, lists_refreshed_at: refreshed_at })
}

/// A package in the database or an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stanza {
    name: String,
    version: String,
    architecture: String,
    origin: String,
    built_at: Option<i64>,
    /// Files, a script or attributes that went wrong; other flags tell kinds of checksums.
    is_broken: bool,
}

impl Stanza {
    fn installed(self) -> Option<InstalledPackage> {
        if self.name.is_empty() || self.version.is_empty() {
            return None;
        }
        Some(InstalledPackage {
            source: if self.origin.is_empty() { self.name.clone() } else { self.origin },
            state: if self.is_broken { InstallState::HalfConfigured } else { InstallState::Installed },
            ..InstalledPackage::new(self.name, self.architecture, self.version)
        })
    }
}

/// Lines of a letter, a colon and a value; an empty line ends a package.
fn read_stanzas(input: impl Read, mut visit: impl FnMut(Stanza)) -> io::Result<()> {
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let (mut line, mut stanza) = (Vec::new(), Stanza::default());
    loop {
        line.clear();
        let n = Read::take(&mut input, LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
        if n == LINE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of it is too long"));
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if text.is_empty() {
            let done = std::mem::take(&mut stanza);
            if !done.name.is_empty() {
                visit(done);
            }
            if n == 0 {
                return Ok(());
            }
            continue;
        }
        let [letter, b':', value @ ..] = text else { continue };
        let value = || String::from_utf8_lossy(value).into_owned();
        match letter {
            b'P' => stanza.name = value(),
            b'V' => stanza.version = value(),
            b'A' => stanza.architecture = value(),
            b'o' => stanza.origin = value(),
            b't' => stanza.built_at = value().parse().ok(),
            b'f' => stanza.is_broken = value().contains(['f', 's', 'x']),
            _ => {}
        }
    }
}

/// Reads an index, which is a tar with a description; that.
fn read_index(path: &Path, mut visit: impl FnMut(Stanza)) -> io::Result<Option<String>> {
    let (mut description, mut is_there) = (None, false);
    // A signature comes first, in a member of its own that ends with no end of archive.
    let mut archive = tar::Archive::new(unpack::open(path, INDEX_BYTES_MAX)?);
    archive.set_ignore_zeros(true);
    for entry in archive.entries()? {
        let entry = entry?;
        match entry.path()?.to_str() {
            Some("APKINDEX") => {
                is_there = true;
                read_stanzas(entry, &mut visit)?;
            }
            Some("DESCRIPTION") => {
                let mut text = String::new();
                // What cannot be read of it is no loss.
                let _ = entry.take(1024).read_to_string(&mut text);
                description = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            }
            _ => {}
        }
    }
    if is_there { Ok(description) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "there is no APKINDEX in it")) }
}

/// A repository as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    tag: Option<String>,
    uri: String,
    architecture: String,
}

fn sources(root: &Root, native: &str, problems: &mut Vec<Problem>) -> Vec<Source> {
    let more = root.list_names(REPOSITORIES_FOLDER, problems).into_iter().filter_map(|name| name.strip_suffix(".list").map(|_| format!("{REPOSITORIES_FOLDER}/{name}")));
    let paths: Vec<_> = std::iter::once(REPOSITORIES.to_owned()).chain(more).collect();
    let mut sources = Vec::new();
    for path in paths {
        for line in root.read_text(&path, problems).unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (tag, uri) = match line.strip_prefix('@').and_then(|rest| rest.split_once(char::is_whitespace)) {
                Some((tag, uri)) => (Some(tag.to_owned()), uri.trim()),
                None => (None, line),
            };
            let source = Source { tag, uri: uri.trim_end_matches('/').to_owned(), architecture: native.to_owned() };
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
    }
    sources
}

impl Source {
    /// The index on disk: of a folder in it, of all others in the cache, under the start of a digest of its address.
    fn index(&self, root: &Root) -> Option<PathBuf> {
        let address = format!("{}/{}/{INDEX}", self.uri, self.architecture);
        if self.uri.starts_with('/') {
            return Some(root.join(&address)).filter(|path| path.is_file());
        }
        // apk-tools 3 names it by the index, apk-tools 2 by the repository.
        let names = [&address, &self.uri].map(|of| Sha1::digest(of.as_bytes())[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let paths = CACHES.iter().flat_map(|cache| names.iter().map(move |name| root.join(&format!("{cache}/APKINDEX.{name}.tar.gz"))));
        paths.into_iter().find(|path| path.is_file())
    }

    fn repository(&self, description: Option<String>, native: &str) -> Repository {
        let (site, uri) = address(&self.uri);
        let mut parts = self.uri.rsplit('/');
        let (component, branch) = (parts.next(), parts.next());
        let is_vendor = self.uri.split('/').any(|part| part == "alpine") && matches!(component, Some("main" | "community"));
        Repository {
            origin: is_vendor.then(|| "Alpine".to_owned()),
            label: component.map(str::to_owned),
            suite: branch.map(str::to_owned),
            codename: None,
            component: component.map(str::to_owned),
            version: description,
            architecture: Some(native.to_owned()),
            site,
            uri,
            released_at: None,
            valid_until: None,
            // apk keeps no index that it has not verified.
            trusted: true,
            not_automatic: self.tag.is_some(),
            but_automatic_upgrades: false,
        }
    }
}

/// What the world file asks for of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wish {
    tag: Option<String>,
    /// An operator of versions, and a version.
    constraint: Option<(String, String)>,
}

/// The packages that the operator asked for.
struct World(HashMap<String, Wish>);

impl World {
    fn read(root: &Root, problems: &mut Vec<Problem>) -> Self {
        let text = root.read_text(WORLD, problems).unwrap_or_default();
        Self(text.split_whitespace().filter(|word| !word.starts_with('!')).map(parse_wish).collect())
    }
}

/// `name`, `name@tag`, `name=1.2-r3`, `name>1`, `name~1.2`, and tags after constraints.
fn parse_wish(word: &str) -> (String, Wish) {
    let (word, tag) = word.split_once('@').map_or((word, None), |(word, tag)| (word, Some(tag.to_owned())));
    let end = word.find(['=', '<', '>', '~']).unwrap_or(word.len());
    let (name, constraint) = word.split_at(end);
    let version = constraint.trim_start_matches(['=', '<', '>', '~']);
    let operator = &constraint[..constraint.len() - version.len()];
    (name.to_owned(), Wish { tag, constraint: (!operator.is_empty()).then(|| (operator.to_owned(), version.to_owned())) })
}

impl Wish {
    fn allows(&self, version: &str) -> bool {
        let Some((operator, wanted)) = &self.constraint else { return true };
        // `~1.2` is every version that begins with 1.2.
        if operator.contains('~') {
            let rest = version.strip_prefix(wanted.as_str());
            return rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
        }
        let ordering = apk::compare(version, wanted);
        (ordering.is_eq() && operator.contains('=')) || (ordering.is_lt() && operator.contains('<')) || (ordering.is_gt() && operator.contains('>'))
    }
}

/// apk installs the newest version of the repositories without a tag, and of those with the tag that the
/// world file asks for.
fn decide(package: &mut InstalledPackage, mut found: Vec<(usize, Stanza)>, tags: &[Option<String>], world: &World, available: &mut Vec<AvailableVersion>) {
    found.sort_by(|(of_a, a), (of_b, b)| apk::compare(&b.version, &a.version).then(of_a.cmp(of_b)));
    let wish = world.0.get(&package.name);
    let mut is_first = true;
    for of_version in found.chunk_by(|(_, a), (_, b)| apk::compare(&a.version, &b.version).is_eq()) {
        let numbers: Vec<usize> = of_version.iter().map(|(number, _)| *number).collect();
        let (_, stanza) = &of_version[0];
        match apk::compare(&stanza.version, &package.version) {
            std::cmp::Ordering::Less => break,
            std::cmp::Ordering::Equal => package.repositories = numbers,
            std::cmp::Ordering::Greater => {
                let is_open = |number: &usize| tags[*number].is_none() || tags[*number] == wish.and_then(|wish| wish.tag.clone());
                let offer = if !numbers.iter().any(is_open) {
                    let tag = tags[numbers[0]].as_deref().unwrap_or_default();
                    Offer::Excluded { by: format!("its repository is tagged `@{tag}`, and the world file does not ask for that") }
                } else if let Some(wish) = wish.filter(|wish| !wish.allows(&stanza.version)) {
                    package.held = true;
                    let (operator, version) = wish.constraint.clone().unwrap_or_default();
                    Offer::Excluded { by: format!("the world file asks for `{}{operator}{version}`", package.name) }
                } else if std::mem::replace(&mut is_first, false) {
                    Offer::Candidate
                } else {
                    Offer::Superseded
                };
                available.push(AvailableVersion {
                    name: package.name.clone(),
                    architecture: package.architecture.clone(),
                    version: stanza.version.clone(),
                    offer,
                    source: if stanza.origin.is_empty() { package.source.clone() } else { stanza.origin.clone() },
                    source_version: None,
                    section: None,
                    priority: None,
                    repositories: numbers,
                    advisory: None,
                    first_seen_at: stanza.built_at.and_then(Timestamp::from_seconds),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_of_the_world_file_are_understood() {
        let check = |word: &str, name: &str, allowed: &[&str], refused: &[&str]| {
            let (found, wish) = parse_wish(word);
            assert_eq!(found, name, "{word}");
            assert!(allowed.iter().all(|version| wish.allows(version)), "{word} allows {allowed:?}");
            assert!(!refused.iter().any(|version| wish.allows(version)), "{word} refuses {refused:?}");
        };
        check("a", "a", &["1", "2"], &[]);
        check("a@edge", "a", &["1"], &[]);
        check("a=1.2-r0", "a", &["1.2-r0"], &["1.2-r1", "1.1"]);
        check("a<2@edge", "a", &["1.9"], &["2", "3"]);
        check("a>=2", "a", &["2", "3"], &["1.9"]);
        check("a~1.2", "a", &["1.2", "1.2.3-r4", "1.2-r1"], &["1.20", "1.3"]);
        check("a~=1.2", "a", &["1.2.3"], &["1.3"]);
    }

    #[test]
    fn stanzas_are_read_and_foreign_lines_are_passed_over() {
        let mut found = Vec::new();
        read_stanzas(&b"P:a\nV:1-r0\nA:x86_64\nx\n\xff\n\n\n\nP:b\nV:2\no:src\nt:7"[..], |stanza| found.push((stanza.name, stanza.version, stanza.origin, stanza.built_at)))
            .unwrap();
        assert_eq!(found, [("a".into(), "1-r0".into(), String::new(), None), ("b".into(), "2".into(), "src".into(), Some(7))]);
        assert!(read_stanzas(io::repeat(b'a').take(2 * LINE_BYTES_MAX as u64), |_| {}).is_err());
    }
}

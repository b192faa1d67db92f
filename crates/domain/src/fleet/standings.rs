//! Standings: a package as one node has it, with what is newer there.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::decide::entries;
use crate::decide::judge::{self, INSTALLED_APPEARED_AT, Newer, Standing};
use crate::decide::select::{PatchFacts, Selector};
use crate::fleet::intern::Interner;
use crate::fleet::tally::Byte;
use crate::fleet::versions::{VersionFacts, VersionKey, VersionNumber, Versions};
use crate::model::advisory::Advisory;
use crate::model::catalog::{Advised, Catalog};
use crate::model::patch::{Classification, Offer};
use crate::model::repository::Repository;
use crate::model::section::{AvailableSet, PackageFacts, PackageFlags};
use crate::model::time::Timestamp;

/// An installed package: its version and marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackageRow {
    /// The installed version.
    pub version: VersionNumber,
    /// State and marks.
    pub flags: PackageFlags,
}

/// Where an installed version comes from and what is newer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Offering {
    installed_is_security: bool,
    installed_advisory: Option<Arc<Advisory>>,
    newer: Box<[NewerVersion]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct NewerVersion {
    version: VersionNumber,
    offer: Offer,
    classification: Classification,
    /// The short name of the repository that offers it, a security one when there is one.
    repository: Option<Arc<str>>,
    advisory: Option<Arc<Advisory>>,
}

/// A section `available` in numbers.
#[derive(Debug, Clone)]
pub struct AvailableRows {
    usual: u32,
    of_package: HashMap<u32, u32>,
    offered: Vec<VersionNumber>,
}

impl AvailableRows {
    /// The newer versions.
    pub fn versions(&self) -> impl Iterator<Item = VersionNumber> {
        self.offered.iter().copied()
    }
}

/// All standings, by number.
#[derive(Debug, Default)]
pub struct Standings {
    offerings: Interner<Offering>,
    standings: Interner<(PackageRow, u32)>,
    of_package: Vec<Vec<u32>>,
}

/// What a baseline says of a standing.
pub struct JudgedStanding {
    /// The byte.
    pub byte: Byte,
    /// The newer version that it is about.
    pub about: Option<VersionNumber>,
    /// When a delay passes.
    pub next_change_at: Option<Timestamp>,
}

impl Standings {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.standings.len()
    }

    /// The installed version of a standing.
    pub fn version(&self, number: u32) -> VersionNumber {
        self.standings.get(number).0.version
    }

    /// The installed package of a standing.
    pub fn row(&self, number: u32) -> PackageRow {
        self.standings.get(number).0
    }

    /// Numbers what a section `available` says.
    pub fn read_available(&mut self, versions: &mut Versions, ecosystem: &str, set: &AvailableSet, now: Timestamp) -> AvailableRows {
        let classify = |numbers: &[usize]| {
            let security = numbers.iter().filter_map(|&number| set.repositories.get(number)).any(Repository::is_security);
            if security { Classification::Security } else { Classification::Other }
        };
        let is_security = |numbers: &[usize]| classify(numbers) == Classification::Security;
        let repository_names: Vec<Arc<str>> = set.repositories.iter().map(|repository| repository.short_name().into()).collect();
        let usual_is_security = is_security(&set.usual_origin);
        let usual = self.offerings.number_of(Offering { installed_is_security: usual_is_security, installed_advisory: None, newer: Box::default() });
        let of_installed = |name: &str, architecture: &str| {
            let key = (name.to_owned(), architecture.to_owned());
            (set.origins.get(&key).map_or(usual_is_security, |origin| is_security(origin)), set.advisories.get(&key).cloned())
        };
        let mut of_package = HashMap::new();
        let mut offered = Vec::with_capacity(set.versions.len());
        for (name, architecture) in set.origins.keys().chain(set.advisories.keys()) {
            let package = versions.number_package(ecosystem, name, architecture);
            let (installed_is_security, installed_advisory) = of_installed(name, architecture);
            of_package.insert(package, self.offerings.number_of(Offering { installed_is_security, installed_advisory, newer: Box::default() }));
        }
        for group in set.versions.chunk_by(|a, b| a.name == b.name && a.architecture == b.architecture) {
            let newer: Box<[_]> = group
                .iter()
                .map(|version| {
                    let key = VersionKey { ecosystem, name: &version.name, architecture: &version.architecture, version: &version.version };
                    let classification = version.advisory.as_ref().map_or_else(|| classify(&version.repositories), |advisory| advisory.classification);
                    let facts = PackageFacts {
                        source: Some(version.source.clone()).filter(|source| *source != version.name),
                        source_version: version.source_version.clone(),
                        section: version.section.clone(),
                        priority: version.priority.clone(),
                        ..PackageFacts::default()
                    };
                    let (number, _) = versions.number(&key, || VersionFacts { facts, first_seen_at: now, classification: Classification::Other, repository: None, advisory: None });
                    let named = |wanted: fn(&Repository) -> bool| version.repositories.iter().find(|&&at| set.repositories.get(at).is_some_and(wanted));
                    let repository = named(Repository::is_security).or(version.repositories.first()).and_then(|&at| repository_names.get(at)).cloned();
                    versions.offered(number, classification, version.advisory.as_ref(), || repository.as_deref().map(str::to_owned));
                    NewerVersion { version: number, offer: version.offer.clone(), classification, repository, advisory: version.advisory.clone() }
                })
                .collect();
            offered.extend(newer.iter().map(|newer| newer.version));
            let package = versions.package_of(newer[0].version);
            let (installed_is_security, installed_advisory) = of_installed(&group[0].name, &group[0].architecture);
            of_package.insert(package, self.offerings.number_of(Offering { installed_is_security, installed_advisory, newer }));
        }
        AvailableRows { usual, of_package, offered }
    }

    /// The number of a package's standing.
    pub fn number(&mut self, versions: &Versions, row: PackageRow, available: &AvailableRows) -> u32 {
        let package = versions.package_of(row.version);
        // What is newer is newer than the newest that is installed.
        let offering = available.of_package.get(&package).copied().filter(|_| !row.flags.older_of_several()).unwrap_or(available.usual);
        let key = (row, offering);
        let (number, is_new) = self.standings.number(&key, |known| *known == key, || key);
        if is_new {
            self.of_package.resize_with(versions.n_packages(), Vec::new);
            self.of_package[package as usize].push(number);
        }
        number
    }

    /// The standings of packages that list entries name; `None` when an entry names none, and so may be an
    /// advisory's id.
    pub fn of_entries(&self, versions: &Versions, ecosystem: &str, entries: &[String]) -> Option<Vec<u32>> {
        let mut standings = Vec::new();
        for entry in entries {
            let mut packages = entries::possible_names(entry).flat_map(|name| versions.packages_named(ecosystem, name)).peekable();
            packages.peek()?;
            standings.extend(packages.filter_map(|package| self.of_package.get(package as usize)).flatten());
        }
        Some(standings)
    }

    /// What the catalog says of a standing on nodes with a product; nothing when it says nothing.
    pub fn advise(&self, number: u32, versions: &Versions, catalog: &Catalog, product: &str) -> Option<Advised> {
        let (row, offering) = self.standings.get(number);
        let offering = self.offerings.get(*offering);
        let installed = versions.built(row.version);
        let of_newer = |newer: &NewerVersion| catalog.closed_between(product, &installed, &versions.built(newer.version), (newer.classification, newer.advisory.as_deref()));
        let advised = Advised {
            installed: catalog.closed_by(product, &installed, (offering.installed_classification(), offering.installed_advisory.as_deref())),
            newer: offering.newer.iter().map(of_newer).collect(),
        };
        (!advised.is_nothing()).then_some(advised)
    }

    /// The newer versions of a standing.
    pub fn newer_versions(&self, number: u32) -> impl Iterator<Item = VersionNumber> {
        let (_, offering) = self.standings.get(number);
        self.offerings.get(*offering).newer.iter().map(|newer| newer.version)
    }

    /// What is known of each newer version of a standing.
    pub fn newer<'a>(&'a self, number: u32, versions: &'a Versions, advised: Option<&'a Advised>) -> impl Iterator<Item = (VersionNumber, PatchFacts<'a>)> {
        let (_, offering) = self.standings.get(number);
        self.offerings.get(*offering).newer.iter().enumerate().map(move |(at, newer)| (newer.version, newer.facts(versions, of_newer(advised, at))))
    }

    /// Judges one standing.
    pub fn judge(&self, number: u32, versions: &Versions, advised: Option<&Advised>, selector: &Selector) -> JudgedStanding {
        let (row, offering) = self.standings.get(number);
        let offering = self.offerings.get(*offering);
        let advisory = advised.and_then(|advised| advised.installed.as_deref());
        let classification = advisory.map_or_else(|| offering.installed_classification(), |advisory| advisory.classification);
        let of_installed = facts(versions, row.version, classification, advisory.or(offering.installed_advisory.as_deref()));
        let installed = PatchFacts { released_at: INSTALLED_APPEARED_AT, first_seen_at: INSTALLED_APPEARED_AT, ..of_installed };
        let standing = Standing { installed, state: row.flags.state(), held: row.flags.held(), reboot_pending: row.flags.reboot_pending() };
        // Nearly every package is the newest there is.
        if offering.newer.is_empty() {
            let answer = judge::judge_standing(selector, &standing, &[]);
            let next_change_at = if selector.has_exceptions() { judge::next_change(selector, &standing, &[]) } else { None };
            return JudgedStanding { byte: Byte::of(&answer, classification), about: None, next_change_at };
        }
        let newer: Vec<_> = offering.newer.iter().enumerate().map(|(at, newer)| Newer { facts: newer.facts(versions, of_newer(advised, at)), offer: &newer.offer }).collect();
        let answer = judge::judge_standing(selector, &standing, &newer);
        JudgedStanding {
            byte: Byte::of(&answer, answer.about.map_or(classification, |at| newer[at].facts.classification)),
            about: answer.about.map(|at| offering.newer[at].version),
            next_change_at: judge::next_change(selector, &standing, &newer),
        }
    }
}

impl Offering {
    fn installed_classification(&self) -> Classification {
        let of_repository = if self.installed_is_security { Classification::Security } else { Classification::Other };
        self.installed_advisory.as_ref().map_or(of_repository, |advisory| advisory.classification)
    }
}

/// What the catalog says of a newer version.
fn of_newer(advised: Option<&Advised>, at: usize) -> Option<&Advisory> {
    advised?.newer.get(at)?.as_deref()
}

impl NewerVersion {
    fn facts<'a>(&'a self, versions: &'a Versions, advised: Option<&'a Advisory>) -> PatchFacts<'a> {
        let classification = advised.map_or(self.classification, |advised| advised.classification);
        PatchFacts { repository: self.repository.as_deref(), ..facts(versions, self.version, classification, advised.or(self.advisory.as_deref())) }
    }
}

fn facts<'a>(versions: &'a Versions, number: VersionNumber, classification: Classification, advisory: Option<&'a Advisory>) -> PatchFacts<'a> {
    let key = versions.key(number);
    let known = versions.facts(number);
    PatchFacts {
        name: key.name,
        architecture: key.architecture,
        version: key.version,
        classification,
        advisory,
        section: known.facts.section.as_deref(),
        priority: known.facts.priority.as_deref(),
        repository: None,
        released_at: advisory.and_then(|advisory| advisory.released_at),
        first_seen_at: Some(known.first_seen_at),
    }
}

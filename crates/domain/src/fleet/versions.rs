//! Every version of every package that any node had or was offered.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::fleet::intern::Interner;
use crate::model::advisory::Advisory;
use crate::model::catalog::Built;
use crate::model::id::PatchId;
use crate::model::patch::Classification;
use crate::model::section::{PackageFacts, PackageFlags, PackageLine};
use crate::model::time::Timestamp;

/// The number of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionNumber(pub u32);

/// What tells versions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionKey<'a> {
    /// The system's id, such as `debian`: other systems may use the same name and version.
    pub ecosystem: &'a str,
    /// Package name.
    pub name: &'a str,
    /// Package architecture.
    pub architecture: &'a str,
    /// The version.
    pub version: &'a str,
}

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFacts {
    /// What packages say of themselves.
    pub facts: PackageFacts,
    /// When any node first had it or was offered it.
    pub first_seen_at: Timestamp,
    /// The best classification that any repository gave it.
    pub classification: Classification,
    /// Short name of a repository that offers it, a security one when there is one.
    pub repository: Option<String>,
    /// What the vendor's advisories say of it.
    pub advisory: Option<Arc<Advisory>>,
}

/// All versions, by number.
#[derive(Debug, Default)]
pub struct Versions {
    packages: Interner<Package>,
    versions: Interner<Version>,
    by_patch: HashMap<PatchId, VersionNumber>,
    /// There are few of these, so that comparing packages compares little more than names.
    ecosystems: Interner<Box<str>>,
    architectures: Interner<Box<str>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Package {
    /// Which of the ecosystems.
    ecosystem: u32,
    /// Which of the architectures.
    architecture: u32,
    name: Box<str>,
}

impl Hash for Package {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.ecosystem, self.architecture, &*self.name).hash(state);
    }
}

#[derive(Debug)]
struct Version {
    package: u32,
    /// Name, architecture and version between tabs, as lines of sections begin.
    line: Box<str>,
    /// Where in the line the version begins.
    version_at: u32,
    facts: VersionFacts,
    /// What the catalog says of it on any node, with what its repositories say.
    advised: Option<Arc<Advisory>>,
}

impl Version {
    fn new(package: u32, key: &VersionKey, facts: VersionFacts) -> Self {
        let line = PackageLine { name: key.name, architecture: key.architecture, version: key.version, flags: PackageFlags::default() }.write();
        let version_at = u32::try_from(line.len() - key.version.len()).expect("names are shorter than four gigabytes");
        Self { package, line: line.into(), version_at, facts, advised: None }
    }

    fn version(&self) -> &str {
        &self.line[self.version_at as usize..]
    }

    fn is(&self, package: u32, version: &str) -> bool {
        self.package == package && self.version() == version
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.package, other.version())
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.package, self.version()).hash(state);
    }
}

impl Versions {
    /// The number of a version that was seen before.
    pub fn find(&self, key: &VersionKey) -> Option<VersionNumber> {
        let package = self.find_package(key.ecosystem, key.name, key.architecture)?;
        self.versions.find(&(package, key.version), |known| known.is(package, key.version)).map(VersionNumber)
    }

    /// The number of a version, and whether it is new; then `facts` says what is known of it.
    pub fn number(&mut self, key: &VersionKey, facts: impl FnOnce() -> VersionFacts) -> (VersionNumber, bool) {
        let package = self.number_package(key.ecosystem, key.name, key.architecture);
        let (number, is_new) = self.versions.number(&(package, key.version), |known| known.is(package, key.version), || Version::new(package, key, facts()));
        if is_new {
            self.by_patch.insert(PatchId::of(key.ecosystem, key.name, key.architecture, key.version), VersionNumber(number));
        }
        (VersionNumber(number), is_new)
    }

    /// What tells a version apart.
    pub fn key(&self, number: VersionNumber) -> VersionKey<'_> {
        let version = self.versions.get(number.0);
        let package = self.packages.get(version.package);
        VersionKey {
            ecosystem: self.ecosystems.get(package.ecosystem),
            name: &package.name,
            architecture: self.architectures.get(package.architecture),
            version: version.version(),
        }
    }

    /// The line of a version in a section `packages`, without marks.
    pub fn line(&self, number: VersionNumber) -> &str {
        &self.versions.get(number.0).line
    }

    /// How the name of a version's package compares to another, in the order of lists.
    pub(crate) fn compare_name(&self, number: VersionNumber, name: &str) -> Ordering {
        (*self.packages.get(self.package_of(number)).name).cmp(name)
    }

    /// What is known of a version.
    pub fn facts(&self, number: VersionNumber) -> &VersionFacts {
        &self.versions.get(number.0).facts
    }

    /// What repositories and the catalog say of a version.
    pub fn advisory(&self, number: VersionNumber) -> Option<&Arc<Advisory>> {
        let version = self.versions.get(number.0);
        version.advised.as_ref().or(version.facts.advisory.as_ref())
    }

    /// Its classification by both.
    pub fn classification(&self, number: VersionNumber) -> Classification {
        let version = self.versions.get(number.0);
        version.advised.as_ref().map_or(version.facts.classification, |advised| advised.classification.min(version.facts.classification))
    }

    /// The version with its source.
    pub(crate) fn built(&self, number: VersionNumber) -> Built<'_> {
        let VersionKey { name, version, .. } = self.key(number);
        let facts = &self.facts(number).facts;
        Built { name, version, source: facts.source.as_deref(), source_version: facts.source_version.as_deref() }
    }

    /// Remembers what the catalog says of a version on some node.
    pub(crate) fn advise(&mut self, number: VersionNumber, advisory: &Arc<Advisory>) {
        let known = &mut self.versions.get_mut(number.0).advised;
        match known {
            Some(known) if known != advisory => Arc::make_mut(known).merge(advisory),
            Some(_) => {}
            None => *known = Some(advisory.clone()),
        }
    }

    /// Forgets what the catalog said.
    pub(crate) fn forget_advised(&mut self) {
        for number in 0..self.len() {
            self.versions.get_mut(u32::try_from(number).unwrap_or(u32::MAX)).advised = None;
        }
    }

    /// The version with this id.
    pub fn find_patch(&self, id: &PatchId) -> Option<VersionNumber> {
        self.by_patch.get(id).copied()
    }

    /// How many there are; their numbers are those below.
    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Remembers which repository offers a version, and what advisories say of it; a security one is
    /// remembered for good.
    pub(crate) fn offered(&mut self, number: VersionNumber, classification: Classification, advisory: Option<&Arc<Advisory>>, repository: impl FnOnce() -> Option<String>) {
        let facts = &mut self.versions.get_mut(number.0).facts;
        let better = classification < facts.classification;
        if better || facts.advisory.is_none() {
            facts.advisory = advisory.cloned();
        }
        if better || facts.repository.is_none() {
            facts.repository = repository();
            facts.classification = classification;
        }
    }

    fn find_package(&self, ecosystem: &str, name: &str, architecture: &str) -> Option<u32> {
        let (ecosystem, architecture) = (find_word(&self.ecosystems, ecosystem)?, find_word(&self.architectures, architecture)?);
        self.packages.find(&(ecosystem, architecture, name), |known| (known.ecosystem, known.architecture, &*known.name) == (ecosystem, architecture, name))
    }

    pub(crate) fn number_package(&mut self, ecosystem: &str, name: &str, architecture: &str) -> u32 {
        let (ecosystem, architecture) = (number_word(&mut self.ecosystems, ecosystem), number_word(&mut self.architectures, architecture));
        let (number, _) = self.packages.number(
            &(ecosystem, architecture, name),
            |known| (known.ecosystem, known.architecture, &*known.name) == (ecosystem, architecture, name),
            || Package { ecosystem, architecture, name: name.into() },
        );
        number
    }

    pub(crate) fn package_of(&self, number: VersionNumber) -> u32 {
        self.versions.get(number.0).package
    }

    pub(crate) fn n_packages(&self) -> usize {
        self.packages.len()
    }

    /// The packages with this name, of whatever architecture.
    pub(crate) fn packages_named<'a>(&'a self, ecosystem: &'a str, name: &'a str) -> impl Iterator<Item = u32> + 'a {
        self.architectures.values().filter_map(move |architecture| self.find_package(ecosystem, name, architecture))
    }

    /// The order of two versions' packages in a section's lines.
    pub(crate) fn compare_packages(&self, a: VersionNumber, b: VersionNumber) -> Ordering {
        let (a, b) = (self.package_of(a), self.package_of(b));
        if a == b {
            return Ordering::Equal;
        }
        let (a, b) = (self.packages.get(a), self.packages.get(b));
        // Lines have a tab after the name, which sorts before everything that a name may hold.
        let architecture = |package: &Package| self.architectures.get(package.architecture);
        a.name.cmp(&b.name).then_with(|| architecture(a).cmp(architecture(b)))
    }
}

fn find_word(words: &Interner<Box<str>>, word: &str) -> Option<u32> {
    words.find(&word, |known| **known == *word)
}

fn number_word(words: &mut Interner<Box<str>>, word: &str) -> u32 {
    words.number(&word, |known| **known == *word, || word.into()).0
}

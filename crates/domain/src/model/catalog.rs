//! The catalog: what vendors' feeds say of holes, and in which versions of which product they are closed.
//!
//! Repositories of rpm carry their own advisories, those of apt and apk none. A feed's entry names source
//! packages with the version that closes a hole, so what a patch closes follows from what is installed: it is
//! every entry that is closed after the installed version and not after the newer one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::advisory::{Advisory, Suggestion};
use crate::model::inventory::Inventory;
use crate::model::package::InstalledPackage;
use crate::model::patch::{Classification, Severity};
use crate::model::platform::OperatingSystem;
use crate::model::time::Timestamp;
use crate::model::version::Scheme;

/// Most entries of all feeds together; every public feed of five systems has some 400,000.
pub const ENTRIES_MAX: usize = 2_000_000;

/// One notice of a vendor, or one vulnerability, as a feed has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id, such as `DSA-5532-1` or `DEBIAN-CVE-2023-5363`.
    pub id: String,
    /// What kind of change it announces; absent from mere vulnerabilities of vendors that have notices too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    /// How urgent the vendor says it is.
    pub severity: Severity,
    /// Vulnerabilities that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cves: Vec<String>,
    /// Numbers in the vendor's bug tracker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bugs: Vec<String>,
    /// When it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// When it last changed; an import skips what has not.
    pub modified_at: Timestamp,
    /// Since when its vendor no longer stands by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
    /// What should be started again for it to take effect.
    #[serde(default)]
    pub suggestion: Suggestion,
    /// The versions that close it.
    pub fixes: Vec<Fix>,
}

/// A version that closes a hole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fix {
    /// The product, such as `Debian12`; `Alpine3.18` stands for `Alpine3.18.4` too.
    pub product: String,
    /// Source package, or binary package in feeds of rpm.
    pub package: String,
    /// The first version without the hole.
    pub version: String,
    /// The first version with it, where it is not in every older one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introduced: Option<String>,
}

impl Entry {
    /// Whether it is a vendor's notice, not a mere vulnerability.
    pub fn is_notice(&self) -> bool {
        !self.id.contains("CVE-")
    }
}

/// A version of a package, with the source that it was built from.
#[derive(Debug, Clone, Copy)]
pub struct Built<'a> {
    /// Package name.
    pub name: &'a str,
    /// The version.
    pub version: &'a str,
    /// Source package, where it has another name.
    pub source: Option<&'a str>,
    /// Version of the source package, where it is another.
    pub source_version: Option<&'a str>,
}

/// What the repository of a version says of it: its classification, and its advisory.
pub type Own<'a> = (Classification, Option<&'a Advisory>);

/// Every entry that stands, by product and package.
#[derive(Debug, Default)]
pub struct Catalog {
    entries: Vec<Advisory>,
    products: HashMap<String, Product>,
}

#[derive(Debug)]
struct Product {
    scheme: Scheme,
    /// By package; each in the order of the versions that close holes.
    packages: HashMap<Box<str>, Vec<Closing>>,
}

#[derive(Debug)]
struct Closing {
    /// The byte key of the version.
    closed: Box<[u8]>,
    introduced: Option<Box<[u8]>>,
    /// Which of the entries.
    entry: u32,
}

impl Catalog {
    /// The catalog of these entries; the order does not matter.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut catalog = Self::default();
        let mut severities = HashMap::<String, Severity>::new();
        for entry in entries.into_iter().filter(|entry| entry.withdrawn_at.is_none()).take(ENTRIES_MAX) {
            let number = u32::try_from(catalog.entries.len()).unwrap_or(u32::MAX);
            for fix in &entry.fixes {
                let scheme = scheme(&fix.product);
                let product = catalog.products.entry(fix.product.clone()).or_insert_with(|| Product { scheme, packages: HashMap::new() });
                let key = |version: &str| scheme.key(version).into_boxed_slice();
                let closing = Closing { closed: key(&fix.version), introduced: fix.introduced.as_deref().map(key), entry: number };
                product.packages.entry(fix.package.as_str().into()).or_default().push(closing);
            }
            if !entry.is_notice() {
                for cve in &entry.cves {
                    severities.entry(cve.clone()).and_modify(|known| *known = entry.severity.min(*known)).or_insert(entry.severity);
                }
            }
            catalog.entries.push(entry.into_advisory());
        }
        for package in catalog.products.values_mut().flat_map(|product| product.packages.values_mut()) {
            package.sort_by(|a, b| (&a.closed, a.entry).cmp(&(&b.closed, b.entry)));
            package.shrink_to_fit();
        }
        // Debian's and Ubuntu's notices have no severity; their vulnerabilities do.
        for notice in catalog.entries.iter_mut().filter(|notice| notice.severity == Severity::Unspecified) {
            notice.severity = notice.cves.iter().filter_map(|cve| severities.get(cve)).min().copied().unwrap_or(Severity::Unspecified);
        }
        catalog
    }

    /// How many entries stand.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What a newer version of an installed package closes, with what is known of it already: `own` from its
    /// repository. Nothing where nobody says anything.
    pub fn closed_between(&self, product: &str, installed: &Built, newer: &Built, own: Own) -> Option<Arc<Advisory>> {
        self.merge(product, newer, own, |closings, scheme, name, up_to| {
            let from = scheme.key(installed.version_of(name));
            let begin = closings.partition_point(|closing| *closing.closed <= *from);
            let end = closings.partition_point(|closing| *closing.closed <= *up_to).max(begin);
            closings[begin..end].iter().filter(|closing| closing.introduced.as_ref().is_none_or(|introduced| **introduced <= *from)).collect()
        })
    }

    /// What a version was made for: the entries that it is the first to close.
    pub fn closed_by(&self, product: &str, version: &Built, own: Own) -> Option<Arc<Advisory>> {
        self.merge(product, version, own, |closings, _, _, key| {
            let begin = closings.partition_point(|closing| *closing.closed < *key);
            closings[begin..].iter().take_while(|closing| *closing.closed == *key).collect()
        })
    }

    fn merge<'c>(
        &'c self,
        product: &str,
        version: &Built,
        (of_repository, own): Own,
        choose: impl Fn(&'c [Closing], Scheme, &str, &[u8]) -> Vec<&'c Closing>,
    ) -> Option<Arc<Advisory>> {
        let source = version.source();
        let mut merged: Option<Advisory> = None;
        for product in self.products_of(product) {
            let names = [Some(&*source), Some(version.name).filter(|name| *name != source)];
            for name in names.into_iter().flatten() {
                let Some(closings) = product.packages.get(name) else { continue };
                for closing in choose(closings, product.scheme, name, &product.scheme.key(version.version_of(name))) {
                    let entry = &self.entries[closing.entry as usize];
                    match &mut merged {
                        Some(merged) => merged.merge(entry),
                        None => merged = Some(entry.clone()),
                    }
                }
            }
        }
        let mut merged = merged?;
        // What a mere vulnerability is about says nothing of the kind of change.
        merged.classification = merged.classification.min(of_repository);
        if let Some(own) = own {
            merged.merge(own);
        }
        Some(Arc::new(merged))
    }

    /// Whether any entry is about a product.
    pub fn covers(&self, product: &str) -> bool {
        self.products_of(product).next().is_some()
    }

    /// Adds to an inventory what the catalog says of its packages.
    pub fn advise(&self, inventory: &mut Inventory) {
        let product = inventory.platform.product.clone();
        inventory.has_feed = self.covers(&product);
        if !inventory.has_feed {
            return;
        }
        let mut packages = std::mem::take(&mut inventory.packages);
        let mut available = std::mem::take(&mut inventory.available);
        let installed: HashMap<_, _> = packages.iter().filter(|package| !package.older_of_several).map(|package| ((&*package.name, &*package.architecture), package)).collect();
        for version in &mut available {
            let Some(installed) = installed.get(&(&*version.name, &*version.architecture)) else { continue };
            let newer = Built { name: &version.name, version: &version.version, source: Some(&version.source), source_version: version.source_version.as_deref() };
            let own = (inventory.classify(version.advisory.as_deref(), &version.repositories), version.advisory.as_deref());
            version.advisory = self.closed_between(&product, &Built::of(installed), &newer, own).or_else(|| version.advisory.take());
        }
        for package in &mut packages {
            let own = (inventory.classify(package.advisory.as_deref(), &package.repositories), package.advisory.as_deref());
            package.advisory = self.closed_by(&product, &Built::of(package), own).or_else(|| package.advisory.take());
        }
        (inventory.packages, inventory.available) = (packages, available);
    }

    /// Feeds name a product by its release, nodes at times by a point release of it.
    fn products_of<'c>(&'c self, product: &str) -> impl Iterator<Item = &'c Product> {
        let names = std::iter::once(product).chain(product.match_indices('.').map(|(at, _)| &product[..at]));
        names.filter_map(|name| self.products.get(name))
    }
}

impl<'a> Built<'a> {
    fn of(package: &'a InstalledPackage) -> Self {
        Self { name: &package.name, version: &package.version, source: Some(&package.source), source_version: package.source_version.as_deref() }
    }

    /// The source that holes are counted by: `linux-signed-amd64` signs what `linux` builds.
    fn source(&self) -> Cow<'_, str> {
        let source = self.source.unwrap_or(self.name);
        match source.strip_prefix("linux-signed") {
            None => source.into(),
            Some("" | "-amd64" | "-arm64" | "-i386") => "linux".into(),
            Some(flavour) => format!("linux{flavour}").into(),
        }
    }

    /// The version to compare with those of the package or source `name`. What is signed anew has a version of
    /// its own; its binaries keep that of what they are built from.
    fn version_of(&self, name: &str) -> &str {
        self.source_version.filter(|_| self.source.unwrap_or(self.name) == name).unwrap_or(self.version)
    }
}

fn scheme(product: &str) -> Scheme {
    OperatingSystem::ALL.into_iter().find(|system| product.starts_with(system.product_word())).map_or(Scheme::Rpm, OperatingSystem::scheme)
}

impl Entry {
    fn into_advisory(self) -> Advisory {
        let is_notice = self.is_notice();
        Advisory {
            ids: if is_notice { vec![self.id] } else { Vec::new() },
            classification: self.classification.unwrap_or(Classification::Other),
            severity: self.severity,
            cves: self.cves,
            bugs: self.bugs,
            released_at: if is_notice { self.published_at } else { None },
            suggestion: self.suggestion,
        }
    }
}

/// What the catalog says of a package as a node has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advised {
    /// Of the installed version.
    pub installed: Option<Arc<Advisory>>,
    /// Of each newer one.
    pub newer: Box<[Option<Arc<Advisory>>]>,
}

impl Advised {
    /// Whether it says nothing.
    pub fn is_nothing(&self) -> bool {
        self.installed.is_none() && self.newer.iter().all(Option::is_none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, severity: Severity, cves: &[&str], fixes: &[(&str, &str, &str)]) -> Entry {
        Entry {
            id: id.to_owned(),
            classification: (!id.contains("CVE-")).then_some(Classification::Security),
            severity,
            cves: cves.iter().map(|cve| (*cve).to_owned()).collect(),
            bugs: Vec::new(),
            published_at: Some(Timestamp::from_millis(5)),
            modified_at: Timestamp::from_millis(6),
            withdrawn_at: None,
            suggestion: Suggestion::Nothing,
            fixes: fixes
                .iter()
                .map(|(product, package, version)| Fix { product: (*product).into(), package: (*package).into(), version: (*version).into(), introduced: None })
                .collect(),
        }
    }

    fn catalog() -> Catalog {
        Catalog::new([
            entry("DSA-1", Severity::Unspecified, &["CVE-1", "CVE-2"], &[("Debian12", "openssl", "3.0.11-1~deb12u1")]),
            entry("DSA-2", Severity::Unspecified, &["CVE-3"], &[("Debian12", "openssl", "3.0.11-1~deb12u2"), ("Debian11", "openssl", "1.1.1w-0+deb11u1")]),
            entry("DEBIAN-CVE-2", Severity::Important, &["CVE-2"], &[("Debian12", "openssl", "3.0.11-1~deb12u1")]),
            entry("DEBIAN-CVE-9", Severity::Low, &["CVE-9"], &[("Debian12", "linux", "6.1.55-1")]),
            Entry { withdrawn_at: Some(Timestamp::from_millis(7)), ..entry("DSA-3", Severity::Critical, &[], &[("Debian12", "openssl", "3.0.11-1~deb12u1")]) },
        ])
    }

    fn libssl(version: &str) -> Built<'_> {
        Built { name: "libssl3", version, source: Some("openssl"), source_version: None }
    }

    fn ids(found: Option<Arc<Advisory>>) -> String {
        found.map_or_else(|| "nothing".to_owned(), |found| format!("{} {} {:?}", found.ids.join(" "), found.cves.join(" "), found.severity))
    }

    #[test]
    fn a_patch_closes_what_is_closed_after_the_installed_version() {
        let catalog = catalog();
        let between = |from, to| ids(catalog.closed_between("Debian12", &libssl(from), &libssl(to), (Classification::Other, None)));
        assert_eq!(between("3.0.9-1", "3.0.11-1~deb12u2"), "DSA-1 DSA-2 CVE-1 CVE-2 CVE-3 Important");
        assert_eq!(between("3.0.11-1~deb12u1", "3.0.13-1~deb12u1"), "DSA-2 CVE-3 Unspecified");
        assert_eq!(between("3.0.11-1~deb12u2", "3.0.13-1~deb12u1"), "nothing");
        // A node may go back.
        assert_eq!(between("3.0.11-1~deb12u2", "3.0.9-1"), "nothing");
        assert_eq!(ids(catalog.closed_by("Debian12", &libssl("3.0.11-1~deb12u2"), (Classification::Other, None))), "DSA-2 CVE-3 Unspecified");
        assert_eq!(ids(catalog.closed_between("Debian13", &libssl("1"), &libssl("9"), (Classification::Other, None))), "nothing");
    }

    #[test]
    fn a_mere_vulnerability_leaves_the_classification_to_the_repository() {
        let catalog = catalog();
        let image = |version, source_version| Built { name: "linux-image-6.1.0-13-amd64", version, source: Some("linux-signed-amd64"), source_version: Some(source_version) };
        let found = catalog.closed_between("Debian12", &image("6.1.52-1", "6.1.52+1"), &image("6.1.55-1", "6.1.55+1"), (Classification::Other, None)).unwrap();
        assert_eq!((found.classification, found.cves.join(" "), found.ids.len(), found.released_at), (Classification::Other, "CVE-9".to_owned(), 0, None));
    }

    #[test]
    fn a_hole_that_the_installed_version_does_not_have_yet_is_not_closed() {
        let mut one = entry("DSA-1", Severity::Low, &[], &[("Debian12", "openssl", "3")]);
        one.fixes[0].introduced = Some("2".to_owned());
        let catalog = Catalog::new([one]);
        let between = |from, to| ids(catalog.closed_between("Debian12", &libssl(from), &libssl(to), (Classification::Other, None)));
        assert_eq!([between("1", "3"), between("2", "3")], ["nothing", "DSA-1  Low"]);
    }

    #[test]
    fn a_release_stands_for_its_point_releases() {
        let catalog = Catalog::new([entry("ALPINE-CVE-1", Severity::Critical, &["CVE-1"], &[("Alpine3.18", "busybox", "1.36.1-r2")])]);
        let busybox = |version| Built { name: "busybox", version, source: None, source_version: None };
        let find = |product| ids(catalog.closed_between(product, &busybox("1.36.1-r1"), &busybox("1.36.1-r4"), (Classification::Other, None)));
        assert_eq!([find("Alpine3.18.4"), find("Alpine3.18"), find("Alpine3.19.1")], [" CVE-1 Critical", " CVE-1 Critical", "nothing"]);
    }
}

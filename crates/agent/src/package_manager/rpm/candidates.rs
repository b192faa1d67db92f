//! Which versions a node could install, as dnf chooses: the newest of the repositories with the best
//! priority, of what no exclude hides.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::model::advisory::Advisory;
use domain::model::nevra;
use domain::model::package::InstalledPackage;
use domain::model::patch::{AvailableVersion, Offer, Replacement};
use domain::model::time::Timestamp;
use domain::model::version::rpm;

use super::Source;
use super::config::MainConfig;
use super::database::{self, RpmPackage};
use super::locks::Locks;
use super::modules::Modules;
use super::summary::{Line, ListedPackage, Obsoletes};

/// A version of an installed package as one repository has it.
struct Found<'a> {
    listed: ListedPackage<'a>,
    source: usize,
    /// What hides it, in words.
    hidden: Option<String>,
}

/// What hides packages from an upgrade.
pub struct Filters<'a> {
    /// The main configuration.
    pub main: &'a MainConfig,
    /// Locks.
    pub locks: Locks,
    /// Module streams.
    pub modules: Modules<'a>,
}

/// What advisories say, by name, architecture and version.
type Advisories<'a> = HashMap<(&'a str, &'a str, &'a str), Arc<Advisory>>;

/// Installed packages, each with what is known of its version, and newer versions of them.
pub fn find(packages: Vec<RpmPackage>, sources: &[Source], filters: &Filters) -> (Vec<InstalledPackage>, Vec<AvailableVersion>) {
    let mut packages: Vec<InstalledPackage> = packages.into_iter().map(|package| package.package).collect();
    // Of packages that are installed several times, what is newer is newer than the newest.
    let mut by_name = HashMap::<&str, Vec<usize>>::new();
    for (at, package) in packages.iter().enumerate().filter(|(_, package)| !package.older_of_several) {
        by_name.entry(&package.name).or_default().push(at);
    }
    let mut found: Vec<Vec<Found>> = packages.iter().map(|_| Vec::new()).collect();
    let mut replacing: Vec<Vec<Found>> = packages.iter().map(|_| Vec::new()).collect();
    let mut replacing_names = HashSet::new();
    let mut advisories = Advisories::new();
    for (number, source) in sources.iter().enumerate() {
        let mut current = None;
        let mut last_listed = None;
        for line in source.summary.lines() {
            match line {
                Line::Package(listed) => {
                    last_listed = Some(listed);
                    for &at in by_name.get(listed.name).into_iter().flatten().filter(|&&at| is_of(&listed, &packages[at])) {
                        if rpm::compare(listed.version, &packages[at].version).is_ge() {
                            let hidden = hide(&listed, source, filters);
                            found[at].push(Found { listed, source: number, hidden });
                        }
                    }
                }
                // Also where `obsoletes=0` is configured: `dnf upgrade` does not mind that either.
                Line::Obsoletes(obsoletes) => {
                    let Some(listed) = last_listed.filter(|listed| listed.name != obsoletes.name) else { continue };
                    for &at in by_name.get(obsoletes.name).into_iter().flatten() {
                        let is_meant = is_of(&listed, &packages[at]) && means(&obsoletes, &packages[at].version);
                        if is_meant && hide(&listed, source, filters).is_none() {
                            replacing_names.insert(listed.name);
                            replacing[at].push(Found { listed, source: number, hidden: None });
                        }
                    }
                }
                Line::Advisory(advisory) => current = Some((advisory, None::<Arc<Advisory>>)),
                Line::Advised([name, architecture, version]) if by_name.contains_key(name) || replacing_names.contains(name) => {
                    let Some((line, read)) = current.as_mut() else { continue };
                    if read.is_none() {
                        *read = line.read().map(Arc::new);
                    }
                    let Some(advisory) = read else { continue };
                    let known = advisories.entry((name, architecture, version)).or_insert_with(|| advisory.clone());
                    if known != advisory {
                        Arc::make_mut(known).merge(advisory);
                    }
                }
                _ => {}
            }
        }
    }
    let mut available = Vec::new();
    let decided: Vec<_> = packages
        .iter()
        .zip(found)
        .zip(replacing)
        .map(|((package, found), replacing)| decide(package, found, best_replacement(&replacing, sources), sources, &advisories, &mut available))
        .collect();
    for (package, (repositories, held)) in packages.iter_mut().zip(decided) {
        package.repositories = repositories;
        package.held = held;
    }
    for package in &mut packages {
        package.advisory = advisories.get(&(package.name.as_str(), package.architecture.as_str(), package.version.as_str())).cloned();
    }
    (packages, available)
}

/// Whether a listed package can take the place of an installed one: the same architecture, or from or
/// to none.
fn is_of(listed: &ListedPackage, package: &InstalledPackage) -> bool {
    let (new, old) = (listed.architecture, package.architecture.as_str());
    new == old || new == "noarch" || old == "noarch"
}

/// Whether a package takes the place of this version. One without a release means every release.
fn means(obsoletes: &Obsoletes, installed: &str) -> bool {
    let installed = if obsoletes.version.contains('-') { installed } else { installed.rsplit_once('-').map_or(installed, |(version, _)| version) };
    let order = rpm::compare(installed, obsoletes.version);
    match obsoletes.flags {
        "LT" => order.is_lt(),
        "LE" => order.is_le(),
        "EQ" => order.is_eq(),
        "GE" => order.is_ge(),
        "GT" => order.is_gt(),
        _ => true,
    }
}

/// Of what would take a package's place, that of the best repository, the newest.
fn best_replacement<'a, 'f>(replacing: &'f [Found<'a>], sources: &[Source]) -> Option<&'f Found<'a>> {
    let config = |found: &Found| &sources[found.source].config;
    replacing.iter().min_by(|a, b| {
        let by_priority = config(a).priority.cmp(&config(b).priority).then_with(|| a.listed.name.cmp(b.listed.name));
        by_priority.then_with(|| rpm::compare(b.listed.version, a.listed.version)).then_with(|| config(a).cost.cmp(&config(b).cost))
    })
}

/// What hides a package from dnf, in words.
fn hide(listed: &ListedPackage, source: &Source, filters: &Filters) -> Option<String> {
    let main = filters.main;
    let names = |typed: &String| nevra::names(typed, listed.name, listed.version, listed.architecture);
    let of_repository = format!("the repository `{}`", source.config.id);
    for (excludes, whose) in [(&main.excludes, "the main configuration"), (&source.config.excludes, of_repository.as_str())] {
        if let Some(exclude) = excludes.iter().find(|exclude| names(exclude)) {
            return Some(format!("{whose} excludes `{exclude}`"));
        }
    }
    for (includes, whose) in [(&main.includes, "the main configuration"), (&source.config.includes, of_repository.as_str())] {
        if !includes.is_empty() && !includes.iter().any(names) {
            return Some(format!("{whose} includes only other packages"));
        }
    }
    filters.locks.hides(listed).or_else(|| filters.modules.hides(listed, source.config.module_hotfixes))
}

/// The repositories that offer the installed version, and whether all that is newer is hidden.
fn decide(
    package: &InstalledPackage,
    mut found: Vec<Found>,
    replacement: Option<&Found>,
    sources: &[Source],
    advisories: &Advisories,
    available: &mut Vec<AvailableVersion>,
) -> (Vec<usize>, bool) {
    let cost = |found: &Found| sources[found.source].config.cost;
    found.sort_by(|a, b| rpm::compare(b.listed.version, a.listed.version).then(cost(a).cmp(&cost(b))).then(a.source.cmp(&b.source)));
    let newer_end = found.partition_point(|found| rpm::compare(found.listed.version, &package.version) == Ordering::Greater);
    let (newer, same) = found.split_at(newer_end);
    let priority = |found: &Found| sources[found.source].config.priority;
    let best = newer.iter().filter(|found| found.hidden.is_none()).min_by_key(|found| priority(found));
    let mut is_first = true;
    let mut offer_version = |found: &Found, offer: Offer, repositories: Vec<usize>| {
        let listed = found.listed;
        available.push(AvailableVersion {
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            version: listed.version.to_owned(),
            offer,
            source: database::split_source(listed.source_rpm).map_or_else(|| package.source.clone(), |(name, _)| name.to_owned()),
            source_version: None,
            section: None,
            priority: None,
            repositories,
            advisory: advisories.get(&(listed.name, listed.architecture, listed.version)).cloned(),
            // Without an advisory a version exists since it was built.
            first_seen_at: listed.built_at.and_then(Timestamp::from_seconds),
        });
    };
    if let Some(replacement) = replacement {
        let other = Replacement { name: replacement.listed.name.to_owned(), architecture: replacement.listed.architecture.to_owned() };
        offer_version(replacement, Offer::Replacement(other), vec![replacement.source]);
    }
    for of_version in newer.chunk_by(|a, b| rpm::compare(a.listed.version, b.listed.version).is_eq()) {
        let shown = of_version.iter().find(|found| found.hidden.is_none() && best.is_some_and(|best| priority(found) == priority(best)));
        let offer = match (shown, best, &of_version[0].hidden) {
            (Some(_), ..) if let Some(replacement) = replacement => Offer::Excluded { by: format!("`{}` takes the place of the package", replacement.listed.name) },
            (Some(_), ..) if std::mem::replace(&mut is_first, false) => Offer::Candidate,
            (Some(_), ..) => Offer::Superseded,
            (None, Some(best), None) => {
                let (config, preferred) = (&sources[of_version[0].source].config, &sources[best.source].config);
                Offer::Excluded {
                    by: format!("the repository `{}` (priority {}) is preferred to `{}` (priority {})", preferred.id, preferred.priority, config.id, config.priority),
                }
            }
            (None, _, hidden) => Offer::Excluded { by: hidden.clone().or_else(|| of_version.iter().find_map(|found| found.hidden.clone())).unwrap_or_default() },
        };
        offer_version(shown.unwrap_or(&of_version[0]), offer, of_version.iter().map(|found| found.source).collect());
    }
    (same.iter().map(|found| found.source).collect(), !newer.is_empty() && newer.iter().all(|found| found.hidden.is_some()))
}

//! apt's choice among versions: the pin priority of each, and the candidate.
//!
//! The rules are those of apt's `pkgPolicy`: a repository has priority 500, or 100
//! (`ButAutomaticUpgrades`), or 1 (`NotAutomatic`), unless a pin says otherwise; what is installed
//! has 100; the highest priority wins, then the highest version; only a priority of 1000 and more
//! goes back to an older version.

use std::cmp::Ordering;

use domain::model::repository::Repository;
use domain::model::version::deb;

use super::preferences::{NEVER, Pin, PinnedPackages};

/// Where a version is known from.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// dpkg's status file: it is installed.
    Status,
    /// A repository's list.
    Repository(&'a Repository),
}

/// A version as pins see it.
#[derive(Debug)]
pub struct VersionView<'a> {
    /// Package name.
    pub package: &'a str,
    /// Architecture, with the native one in place of `all`.
    pub architecture: &'a str,
    /// The version.
    pub version: &'a str,
    /// Source package.
    pub source: &'a str,
    /// Version of the source package.
    pub source_version: &'a str,
    /// Where it is known from.
    pub origins: &'a [Origin<'a>],
    /// Numbers of the repositories that offer it.
    pub repositories: &'a [usize],
    /// Whether it is the installed one.
    pub installed: bool,
}

/// Pins and the priorities they give to repositories.
#[derive(Debug)]
pub struct Policy {
    pins: Vec<Pin>,
    native: String,
    /// By number of the repository.
    repository_priorities: Vec<i32>,
    status_priority: i32,
}

impl Policy {
    /// The policy of these pins over these repositories.
    pub fn new(pins: Vec<Pin>, native: &str, repositories: &[Repository]) -> Self {
        let priority_of = |origin: &Origin, default: i32| {
            let mut matching = pins.iter().filter(|pin| pin.packages == PinnedPackages::All && pin.matcher.matches_origin(origin)).map(|pin| pin.priority);
            let first = matching.next().unwrap_or(default);
            if matching.any(|priority| priority == NEVER) { NEVER } else { first }
        };
        let default_of = |repository: &Repository| match (repository.but_automatic_upgrades, repository.not_automatic) {
            (true, _) => 100,
            (false, true) => 1,
            (false, false) => 500,
        };
        let repository_priorities = repositories.iter().map(|repository| priority_of(&Origin::Repository(repository), default_of(repository))).collect();
        let status_priority = priority_of(&Origin::Status, 100);
        Self { pins, native: native.to_owned(), repository_priorities, status_priority }
    }

    /// The pin priority of a version.
    pub fn priority(&self, version: &VersionView) -> i32 {
        let of_places = version.repositories.iter().map(|&number| self.repository_priorities[number]).chain(version.installed.then_some(self.status_priority));
        let pin = self.pins.iter().find(|pin| pin.packages.cover(version, &self.native) && pin.matcher.matches_version(version));
        match pin {
            Some(pin) if of_places.clone().any(|priority| priority != NEVER) => pin.priority,
            _ => of_places.max().unwrap_or(0),
        }
    }

    /// The number and priority of the version that apt prefers. `versions` are sorted, newest first.
    pub fn candidate(&self, versions: &[VersionView]) -> Option<(usize, i32)> {
        let installed = versions.iter().find(|version| version.installed).map(|version| version.version);
        let mut best: Option<(usize, i32)> = None;
        for (number, version) in versions.iter().enumerate() {
            let priority = self.priority(version);
            let is_older = installed.is_some_and(|installed| deb::compare(version.version, installed) == Ordering::Less);
            if priority == 0 || priority <= best.map_or(-1, |(_, priority)| priority) || (is_older && priority < 1000) {
                continue;
            }
            best = Some((number, priority));
        }
        best
    }
}

//! `apt_preferences(5)`: pins, and which versions and repositories they match.
//!
//! Checked against apt 2.2, 2.6 and 3.0. A pin for `*` sets the priority of repositories, the
//! first that matches wins; a pin for named packages sets the priority of their versions.

use domain::model::glob::{self, Case};
use domain::model::problem::{Problem, ProblemCode};

use super::config::is_fragment;
use super::policy::{Origin, VersionView};
use super::stanza;
use crate::root::Root;

/// `Pin-Priority: never`.
pub const NEVER: i32 = i16::MIN as i32;

/// One pin for one name pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What it is for.
    pub packages: PinnedPackages,
    /// What it matches.
    pub matcher: PinMatcher,
    /// The priority it gives.
    pub priority: i32,
}

/// Which packages a pin is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinnedPackages {
    /// Every package: the pin is for repositories.
    All,
    /// Binary packages of a name or pattern, of one architecture or the native one.
    Binary { name: String, architecture: Option<String> },
    /// Binary packages built from a source of a name or pattern.
    Source { name: String, architecture: Option<String> },
}

/// What a pin matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinMatcher {
    /// A version.
    Version(Expected),
    /// The version of the source package.
    SourceVersion(Expected),
    /// Fields of the Release file.
    Release(ReleaseMatcher),
    /// The host of the repository.
    Site(String),
}

/// A version that is expected literally, as a beginning (`1.2*`), or as a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(String);

/// Fields of a Release file that must all match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseMatcher {
    all: bool,
    version: Option<String>,
    origin: Option<String>,
    archive: Option<String>,
    codename: Option<String>,
    /// Archive or code name.
    release: Option<String>,
    label: Option<String>,
    component: Option<String>,
    architecture: Option<String>,
}

/// Reads `preferences`, then `preferences.d` in the order of names.
pub fn read(root: &Root, problems: &mut Vec<Problem>) -> Vec<Pin> {
    let mut pins = Vec::new();
    let parts = root.list_names("/etc/apt/preferences.d", problems).into_iter().filter(|name| is_fragment(name, "pref"));
    for path in std::iter::once("/etc/apt/preferences".to_owned()).chain(parts.map(|name| format!("/etc/apt/preferences.d/{name}"))) {
        let Some(text) = root.read_text(&path, problems) else { continue };
        for stanza in stanza::split_text(&text) {
            match parse_stanza(&stanza) {
                Ok(found) => pins.extend(found),
                Err(message) => {
                    let problem = Problem::new(ProblemCode::Malformed, &path, format!("{path}: {message}"));
                    problems.push(problem.with_hint("apt refuses to work with this file; mend or remove the pin"));
                }
            }
        }
    }
    pins
}

/// The pin that `APT::Default-Release` stands for.
pub fn default_release_pin(release: &str) -> Pin {
    Pin { packages: PinnedPackages::All, matcher: PinMatcher::Release(ReleaseMatcher::parse(release)), priority: 990 }
}

fn parse_stanza(stanza: &str) -> Result<Vec<Pin>, String> {
    if stanza.lines().all(|line| line.starts_with('#')) {
        return Ok(Vec::new());
    }
    let packages = stanza::folded_field(stanza, "Package").filter(|value| !value.is_empty()).ok_or("a stanza has no Package field")?;
    let Some(pin) = stanza::folded_field(stanza, "Pin") else { return Ok(Vec::new()) };
    let (kind, data) = pin.split_once(char::is_whitespace).map_or((pin.as_str(), ""), |(kind, data)| (kind, data.trim()));
    let all = packages == "*";
    let matcher = match kind.to_ascii_lowercase().as_str() {
        "version" if !all => PinMatcher::Version(Expected(data.to_owned())),
        "source-version" if !all => PinMatcher::SourceVersion(Expected(data.to_owned())),
        "release" => PinMatcher::Release(ReleaseMatcher::parse(data)),
        "origin" => PinMatcher::Site(data.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(data).to_owned()),
        _ => return Err(format!("the pin `{pin}` is not understood for package `{packages}`")),
    };
    let priority = stanza::folded_field(stanza, "Pin-Priority").unwrap_or_default();
    let priority = match priority.as_str() {
        "never" if all => NEVER,
        text => {
            i32::from(text.parse::<i16>().ok().filter(|&number| number != 0).ok_or_else(|| format!("the pin priority `{text}` is not a number from -32768 to 32767 other than 0"))?)
        }
    };
    if all {
        return Ok(vec![Pin { packages: PinnedPackages::All, matcher, priority }]);
    }
    Ok(packages.split_ascii_whitespace().map(|name| Pin { packages: PinnedPackages::parse(name), matcher: matcher.clone(), priority }).collect())
}

impl PinnedPackages {
    fn parse(text: &str) -> Self {
        let (text, is_source) = text.strip_prefix("src:").map_or((text, false), |rest| (rest, true));
        let (name, architecture) = text.rsplit_once(':').map_or((text, None), |(name, architecture)| (name, Some(architecture.to_owned())));
        let name = name.to_owned();
        if is_source { Self::Source { name, architecture } } else { Self::Binary { name, architecture } }
    }

    /// Whether a pin for these packages is for this version. `native` is the node's architecture.
    pub fn cover(&self, version: &VersionView, native: &str) -> bool {
        let (expected, architecture, name) = match self {
            Self::All => return false,
            Self::Binary { name, architecture } => (name, architecture, version.package),
            Self::Source { name, architecture } => (name, architecture, version.source),
        };
        let architecture_fits = match architecture.as_deref().unwrap_or("native") {
            "any" => true,
            "native" | "all" => version.architecture == native,
            other => version.architecture == other,
        };
        architecture_fits && (expected == name || (is_expression(expected) && expression_matches(expected, name)))
    }
}

impl PinMatcher {
    /// Whether a repository matches; versions never do.
    pub fn matches_origin(&self, origin: &Origin) -> bool {
        match (self, origin) {
            (Self::Release(matcher), Origin::Status) => matcher.matches_status(),
            (Self::Release(matcher), Origin::Repository(repository)) => matcher.matches(repository),
            (Self::Site(site), Origin::Repository(repository)) => expression_matches(site, &repository.site),
            _ => false,
        }
    }

    /// Whether a version matches, by itself or by one of the places that offer it.
    pub fn matches_version(&self, version: &VersionView) -> bool {
        match self {
            Self::Version(expected) => expected.matches(version.version),
            Self::SourceVersion(expected) => expected.matches(version.source_version),
            _ => version.origins.iter().any(|origin| self.matches_origin(origin)),
        }
    }
}

impl Expected {
    fn matches(&self, actual: &str) -> bool {
        let (beginning, prefix_only) = self.0.strip_suffix('*').map_or((self.0.as_str(), false), |beginning| (beginning, true));
        let starts = actual.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning));
        (starts && (prefix_only || actual.len() == beginning.len())) || expression_matches(&self.0, actual)
    }
}

impl ReleaseMatcher {
    fn parse(data: &str) -> Self {
        let mut matcher = Self::default();
        if data == "*" {
            matcher.all = true;
        } else if data.contains('=') {
            for fragment in data.split(',').map(str::trim).filter(|fragment| fragment.len() > 2) {
                let (key, value) = fragment.split_at(2);
                let place = match key.to_ascii_lowercase().as_str() {
                    "v=" => &mut matcher.version,
                    "o=" => &mut matcher.origin,
                    "a=" => &mut matcher.archive,
                    "n=" => &mut matcher.codename,
                    "l=" => &mut matcher.label,
                    "c=" => &mut matcher.component,
                    "b=" => &mut matcher.architecture,
                    _ => continue,
                };
                *place = Some(value.to_owned());
            }
        } else if data.starts_with(|c: char| c.is_ascii_digit()) {
            matcher.version = Some(data.to_owned());
        } else if !data.is_empty() {
            matcher.release = Some(data.to_owned());
        }
        matcher
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn matches(&self, repository: &domain::model::repository::Repository) -> bool {
        if self.all {
            return true;
        }
        let fits = |expected: &Option<String>, actual: &Option<String>| match (expected, actual) {
            (None, _) => true,
            (Some(expected), Some(actual)) => expression_matches(expected, actual),
            (Some(_), None) => false,
        };
        let version_fits = self.version.as_ref().is_none_or(|expected| repository.version.as_deref().is_some_and(|actual| Expected(expected.clone()).matches(actual)));
        !self.is_empty()
            && version_fits
            && fits(&self.origin, &repository.origin)
            && fits(&self.archive, &repository.suite)
            && fits(&self.codename, &repository.codename)
            && (fits(&self.release, &repository.suite) || fits(&self.release, &repository.codename))
            && fits(&self.label, &repository.label)
            && fits(&self.component, &repository.component)
            && fits(&self.architecture, &repository.architecture)
    }

    /// dpkg's status file has no Release file; apt calls its archive `now`.
    fn matches_status(&self) -> bool {
        let is_now = |expected: &Option<String>| expected.as_ref().is_none_or(|expected| expression_matches(expected, "now"));
        let names_other = [&self.origin, &self.label, &self.version, &self.codename, &self.architecture].into_iter().any(Option::is_some);
        self.all || (!names_other && is_now(&self.archive) && is_now(&self.release) && is_now(&self.component))
    }
}

fn is_expression(text: &str) -> bool {
    glob::is_pattern(text) || as_regex(text).is_some()
}

fn as_regex(text: &str) -> Option<&str> {
    text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'))
}

/// `/regex/`, or a shell pattern without regard to case.
fn expression_matches(expression: &str, text: &str) -> bool {
    match as_regex(expression) {
        Some(regex) => regex_lite::RegexBuilder::new(regex).case_insensitive(true).build().is_ok_and(|regex| regex.is_match(text)),
        None => glob::matches(expression, text, Case::Folded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_become_pins() {
        let pins = parse_stanza("Explanation: x\nPackage: curl src:glibc libx*:i386\nPin: release a=stable, l=Debian\nPin-Priority: 900\n").unwrap();
        assert_eq!(pins.len(), 3);
        assert_eq!(pins[1].packages, PinnedPackages::Source { name: "glibc".into(), architecture: None });
        assert_eq!(pins[2].packages, PinnedPackages::Binary { name: "libx*".into(), architecture: Some("i386".into()) });
        assert_eq!(pins[0].matcher, PinMatcher::Release(ReleaseMatcher { archive: Some("stable".into()), label: Some("Debian".into()), ..Default::default() }));
    }

    #[test]
    fn bad_stanzas_say_why() {
        assert_eq!(parse_stanza("Pin: release x\n"), Err("a stanza has no Package field".into()));
        assert_eq!(parse_stanza("Package: a\nPin: release x\n"), Err("the pin priority `` is not a number from -32768 to 32767 other than 0".into()));
        assert_eq!(parse_stanza("Package: a\nPin: releases x\nPin-Priority: 1\n"), Err("the pin `releases x` is not understood for package `a`".into()));
        assert_eq!(parse_stanza("# only a comment\n"), Ok(vec![]));
    }

    #[test]
    fn versions_match_literally_by_beginning_or_pattern() {
        for (expected, actual, fits) in [("1.2", "1.2", true), ("1.2", "1.2.1", false), ("1.2*", "1.2.1", true), ("*deb12*", "1+deb12u1", true), ("/^1\\.[23]/", "1.3-1", true)] {
            assert_eq!(Expected(expected.into()).matches(actual), fits, "{expected} on {actual}");
        }
    }
}

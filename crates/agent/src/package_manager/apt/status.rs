//! What dpkg says is installed: `/var/lib/dpkg/status`, and apt's `extended_states`.

use std::collections::HashSet;
use std::fs::File;
use std::io;

use domain::model::package::{InstallState, InstalledPackage};
use domain::model::problem::{Problem, ProblemCode};
use domain::model::version::deb;

use super::stanza::{self, StanzaReader, text};
use crate::root::Root;

/// Path of dpkg's status file.
pub const STATUS_PATH: &str = "/var/lib/dpkg/status";
const EXTENDED_STATES_PATH: &str = "/var/lib/apt/extended_states";

/// Most malformed stanzas that are named one by one; the rest is counted.
const NAMED_PROBLEMS_MAX: usize = 20;

/// Reads the installed packages, sorted by name and architecture.
pub fn read(root: &Root, problems: &mut Vec<Problem>) -> io::Result<Vec<InstalledPackage>> {
    let mut reader = StanzaReader::new(File::open(root.join(STATUS_PATH))?);
    let mut packages = Vec::new();
    let mut malformed = Vec::new();
    while let Some((offset, stanza)) = reader.next()? {
        match parse_stanza(stanza) {
            Ok(Some(package)) => packages.push(package),
            Ok(None) => {}
            Err(message) => malformed.push(format!("{message} (stanza at byte {offset})")),
        }
    }
    report_malformed(malformed, problems);
    if reader.n_oversized() > 0 {
        let message = format!("{} stanzas of {STATUS_PATH} are longer than {} bytes and were left out", reader.n_oversized(), stanza::STANZA_BYTES_MAX);
        problems.push(Problem::new(ProblemCode::LimitReached, STATUS_PATH, message));
    }
    packages.sort_unstable_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    mark_automatic(root, &mut packages, problems);
    Ok(packages)
}

fn report_malformed(malformed: Vec<String>, problems: &mut Vec<Problem>) {
    let n_unnamed = malformed.len().saturating_sub(NAMED_PROBLEMS_MAX);
    for message in malformed.into_iter().take(NAMED_PROBLEMS_MAX) {
        problems.push(Problem::new(ProblemCode::Malformed, STATUS_PATH, message).with_hint("`dpkg --audit` on the node shows broken entries"));
    }
    if n_unnamed > 0 {
        problems.push(Problem::new(ProblemCode::Malformed, STATUS_PATH, format!("{n_unnamed} more stanzas were not understood")));
    }
}

/// `None` for a package that is known and not on the disk.
fn parse_stanza(stanza: &[u8]) -> Result<Option<InstalledPackage>, String> {
    let [mut name, mut version, mut architecture, mut status] = [const { None }; 4];
    let [mut source, mut section, mut priority, mut multi_arch] = [const { None }; 4];
    for field in stanza::fields(stanza) {
        let (key, value) = field.map_err(|line| format!("`{}` is not a field", text(&line[..line.len().min(60)])))?;
        let place = match key {
            b"Package" => &mut name,
            b"Version" => &mut version,
            b"Architecture" => &mut architecture,
            b"Status" => &mut status,
            b"Source" => &mut source,
            b"Section" => &mut section,
            b"Priority" => &mut priority,
            b"Multi-Arch" => &mut multi_arch,
            _ => continue,
        };
        *place = Some(text(value));
    }
    let name = name.filter(|name| is_package_name(name)).ok_or("a stanza has no valid Package field")?;
    let status = status.ok_or_else(|| format!("package `{name}` has no Status field"))?;
    let (held, state) = match parse_status(&status) {
        Some(Status::OnDisk { held, state }) => (held, state),
        Some(Status::Absent) => return Ok(None),
        None => return Err(format!("package `{name}` has the status `{status}`, which dpkg does not write")),
    };
    let version = version.ok_or_else(|| format!("package `{name}` has no Version field"))?;
    deb::parse(&version).map_err(|error| format!("package `{name}`: {error}"))?;
    let architecture = architecture.ok_or_else(|| format!("package `{name}` has no Architecture field"))?;
    let (source, source_version) = split_source(source.as_deref(), &name);
    Ok(Some(InstalledPackage {
        source_version: source_version.filter(|source_version| *source_version != version),
        source,
        name,
        architecture,
        version,
        section,
        priority,
        state,
        held,
        automatic: false,
        older_of_several: false,
        multi_arch: multi_arch.filter(|value| value != "no"),
        reboot_pending: false,
        repositories: Vec::new(),
        advisory: None,
        installed_at: None,
    }))
}

/// What a `Status` field says.
enum Status {
    OnDisk {
        held: bool,
        state: InstallState,
    },
    /// Nothing of the package is on the disk but perhaps its configuration.
    Absent,
}

/// Reads `want flag state`.
fn parse_status(status: &str) -> Option<Status> {
    let mut words = status.split_ascii_whitespace();
    let (want, _flag, state) = (words.next()?, words.next()?, words.next()?);
    let state = match state {
        "installed" => InstallState::Installed,
        "half-installed" => InstallState::HalfInstalled,
        "unpacked" => InstallState::Unpacked,
        "half-configured" => InstallState::HalfConfigured,
        "triggers-awaited" => InstallState::TriggersAwaited,
        "triggers-pending" => InstallState::TriggersPending,
        "not-installed" | "config-files" => return Some(Status::Absent),
        _ => return None,
    };
    Some(Status::OnDisk { held: want == "hold", state })
}

/// Reads `name` or `name (version)`; without a field the source has the package's name.
pub fn split_source(field: Option<&str>, name: &str) -> (String, Option<String>) {
    match field.and_then(|field| field.split_once(" (")) {
        Some((source, version)) => (source.to_owned(), Some(version.trim_end_matches(')').to_owned())),
        None => (field.unwrap_or(name).to_owned(), None),
    }
}

/// Whether this is a name that dpkg allows, in any case of letters.
pub fn is_package_name(name: &str) -> bool {
    name.len() >= 2 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn mark_automatic(root: &Root, packages: &mut [InstalledPackage], problems: &mut Vec<Problem>) {
    let Some(text) = root.read_text(EXTENDED_STATES_PATH, problems) else { return };
    let mut automatic = HashSet::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if field("Auto-Installed") == Some("1")
            && let (Some(name), Some(architecture)) = (field("Package"), field("Architecture"))
        {
            automatic.insert((name, architecture));
        }
    }
    // apt files packages for all architectures under the native one, so the name alone decides there.
    let names: HashSet<_> = automatic.iter().map(|(name, _)| *name).collect();
    for package in packages {
        package.automatic =
            if package.architecture == "all" { names.contains(package.name.as_str()) } else { automatic.contains(&(package.name.as_str(), package.architecture.as_str())) };
    }
}

/// Fills in when packages were installed or last upgraded: dpkg writes each one's list of files then.
pub fn fill_install_dates(root: &Root, packages: &mut [InstalledPackage]) {
    for package in packages {
        let list = |name: &str| root.modified_at(&format!("/var/lib/dpkg/info/{name}.list"));
        package.installed_at = list(&package.name).or_else(|| list(&format!("{}:{}", package.name, package.architecture)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(stanza: &str) -> Result<Option<InstalledPackage>, String> {
        parse_stanza(stanza.as_bytes())
    }

    #[test]
    fn a_package_is_read_with_its_hold_and_source() {
        let package = parse("Package: libc6\nStatus: hold ok installed\nArchitecture: amd64\nSource: glibc (2.36-9)\nVersion: 2.36-9+b1\nMulti-Arch: same\n").unwrap().unwrap();
        assert!(package.held);
        assert_eq!((package.source.as_str(), package.source_version.as_deref()), ("glibc", Some("2.36-9")));
        assert_eq!(package.multi_arch.as_deref(), Some("same"));
    }

    #[test]
    fn removed_packages_are_not_installed() {
        assert_eq!(parse("Package: old\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"), Ok(None));
    }

    #[test]
    fn bad_stanzas_say_what_is_missing() {
        assert_eq!(parse("Package: a1\nStatus: install ok installed\nArchitecture: all\n"), Err("package `a1` has no Version field".into()));
        assert_eq!(parse("Package: a1\nVersion: 1\n"), Err("package `a1` has no Status field".into()));
        assert_eq!(parse("Package: a1\nStatus: gone\n"), Err("package `a1` has the status `gone`, which dpkg does not write".into()));
        assert_eq!(parse("Version: 1\n"), Err("a stanza has no valid Package field".into()));
        assert_eq!(parse("\u{0}\u{1}"), Err("`\u{0}\u{1}` is not a field".into()));
    }
}

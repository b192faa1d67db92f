//! What dnf, dnf5, yum, microdnf or zypper would do. Checked against dnf 4.23, dnf5 5.4 and zypper 1.14;
//! yum 3 and microdnf 3 by what they are documented to print.

use domain::model::platform::{OperatingSystem, Platform};
use domain::model::transaction::{Action, Change, Step};

use crate::package_manager::simulate::{self, Printed, SimulateError};
use crate::root::Root;
use catalog::xml;

/// The tool of SUSE.
pub const ZYPPER: &str = "zypper";
/// The tool that takes the place of dnf.
pub const DNF5: &str = "dnf5";
/// The tool of small images.
pub const MICRODNF: &str = "microdnf";
/// A SUSE system may have dnf too, and is meant for zypper.
const TOOLS: [&str; 5] = [ZYPPER, DNF5, "dnf", "yum", MICRODNF];

/// Asks the tool for exact versions.
pub fn simulate(root: &Root, platform: &Platform, changes: &[Change]) -> Result<Printed, SimulateError> {
    let tool = find_tool(root, platform)?;
    if tool == ZYPPER {
        let fixed = ["--non-interactive", "--no-refresh", "--xmlout", "install", "--dry-run"];
        let output = simulate::run(root, tool, &fixed, changes, wish_of_zypper)?;
        // 102 and 103 say what a real run would need afterwards.
        return match output.code {
            Some(0 | 102 | 103) => Ok(parse_zypper(&output.stdout)),
            _ => Err(SimulateError::Refused { tool, words: words_of_zypper(&output.stdout) }),
        };
    }
    let fixed: &[&str] = match tool {
        MICRODNF => &["--assumeno", "upgrade"],
        // The others leave out what is not there by themselves.
        DNF5 => &["--cacheonly", "--assumeno", "upgrade", "--skip-unavailable"],
        _ => &["--cacheonly", "--assumeno", "upgrade"],
    };
    let output = simulate::run(root, tool, fixed, changes, wish)?;
    let mut printed = parse_table(&output.stdout);
    printed.download_kib = output.stdout.lines().find_map(|line| parse_size(line.strip_prefix("Total download size:")?));
    let lines = output.stdout.lines().chain(output.stderr.lines());
    printed.remarks.extend(lines.map(str::trim).filter(|line| line.starts_with("No match for argument") || line.starts_with("Problem")).map(str::to_owned));
    // To be refused its question is an error to the tool; a real one leaves no table.
    if output.code != Some(0) && printed == Printed::default() {
        return Err(simulate::refused(tool, &output));
    }
    Ok(printed)
}

/// The tool that changes packages of the system.
pub fn find_tool(root: &Root, platform: &Platform) -> Result<&'static str, SimulateError> {
    let is_suse = matches!(platform.operating_system, Some(OperatingSystem::Suse | OperatingSystem::OpenSuse));
    simulate::find_tool(root, if is_suse { &TOOLS[..] } else { &TOOLS[1..] })
}

/// A version as dnf and its kin are asked for it.
pub fn wish(change: &Change) -> String {
    format!("{}-{}.{}", change.name, change.version, change.architecture)
}

/// A version as zypper is asked for it.
pub fn wish_of_zypper(change: &Change) -> String {
    format!("{}.{}={}", change.name, change.architecture, change.version)
}

/// The table of a transaction. Sections begin with what happens to their packages; a row is the name,
/// architecture, version, repository and size, and goes on in the next line when it is long. microdnf's rows
/// begin with all three in one.
fn parse_table(text: &str) -> Printed {
    let mut printed = Printed::default();
    let mut section = None;
    let mut row: Vec<&str> = Vec::new();
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if !line.starts_with(' ') {
            row.clear();
            section = words.first().filter(|_| line.trim_end().ends_with(':')).and_then(|word| Section::parse(word));
            // The summary below the table has such words too.
            if line.starts_with("Transaction Summary") {
                break;
            }
            continue;
        }
        let Some(section) = section else { continue };
        if let ["replacing", replaced @ ..] = words.as_slice() {
            row.clear();
            replace(&mut printed.steps, replaced);
            continue;
        }
        row.extend(words);
        if let Some((name, architecture, version, repository)) = read_row(&row) {
            match section {
                Section::Action(action) => {
                    let is_going = action == Action::Remove;
                    let repository = Some(repository.to_owned()).filter(|_| !is_going);
                    let (from, to) = if is_going { (Some(version), None) } else { (None, Some(version)) };
                    printed.steps.push(Step { from, repository, ..simulate::step(action, name, Some(architecture), to.as_deref()) });
                }
                Section::Skipped => printed.remarks.push(format!("{name}-{version}.{architecture} is left out")),
            }
            row.clear();
        }
    }
    printed
}

/// A size as dnf writes it, such as `212 k` or `1.2 M`, in KiB.
fn parse_size(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let number: f64 = words.next()?.parse().ok()?;
    let kib = match words.next() {
        None => number / 1024.0,
        Some("k") => number,
        Some("M") => number * 1024.0,
        Some("G") => number * 1024.0 * 1024.0,
        Some(_) => return None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size that a person reads")]
    (kib >= 0.0).then(|| kib.ceil() as u64)
}

/// What a part of the table is about.
#[derive(Clone, Copy)]
enum Section {
    Action(Action),
    Skipped,
}

impl Section {
    /// By the first word of its heading.
    fn parse(word: &str) -> Option<Self> {
        Some(Self::Action(match word.trim_end_matches(':') {
            "Installing" => Action::Install,
            "Upgrading" | "Updating" => Action::Upgrade,
            "Downgrading" => Action::Downgrade,
            "Reinstalling" => Action::Reinstall,
            "Removing" => Action::Remove,
            "Skipping" | "Skipped" => return Some(Self::Skipped),
            _ => return None,
        }))
    }
}

/// Name, architecture, version and repository of a row, once all of them are there.
fn read_row<'a>(row: &[&'a str]) -> Option<(&'a str, &'a str, String, &'a str)> {
    match *row {
        // The size follows, perhaps in two words.
        [name, architecture, version, repository, _, ..] => Some((name, architecture, without_epoch_zero(version), repository)),
        [nevra, repository, ..] if row.len() > 2 => {
            let (name, architecture, version) = split_nevra(nevra)?;
            Some((name, architecture, without_epoch_zero(version), repository))
        }
        _ => None,
    }
}

/// `NAME.ARCHITECTURE VERSION` (dnf, yum), `NAME ARCHITECTURE VERSION REPOSITORY SIZE` (dnf5) or
/// `NAME-VERSION.ARCHITECTURE` (microdnf): what the last step takes the place of.
fn replace(steps: &mut Vec<Step>, words: &[&str]) {
    let replaced = match *words {
        [name, architecture, version, _, ..] => Some((name, architecture, version)),
        [package, version] => package.rsplit_once('.').map(|(name, architecture)| (name, architecture, version)),
        [nevra] => split_nevra(nevra),
        _ => None,
    };
    let Some((name, architecture, version)) = replaced else { return };
    let version = without_epoch_zero(version);
    match steps.last_mut() {
        Some(step) if step.name == name => step.from = Some(version),
        _ => steps.push(Step { from: Some(version), ..simulate::step(Action::Remove, name, Some(architecture), None) }),
    }
}

/// Name, architecture and version of `NAME-[EPOCH:]VERSION-RELEASE.ARCHITECTURE`.
fn split_nevra(nevra: &str) -> Option<(&str, &str, &str)> {
    let (rest, architecture) = nevra.rsplit_once('.')?;
    let (dash, _) = rest.rmatch_indices('-').nth(1)?;
    Some((&rest[..dash], architecture, &rest[dash + 1..]))
}

fn without_epoch_zero(version: &str) -> String {
    version.strip_prefix("0:").unwrap_or(version).to_owned()
}

/// The summary in zypper's XML.
fn parse_zypper(text: &str) -> Printed {
    let mut printed = Printed::default();
    let mut action = None;
    let read = xml::walk(text.as_bytes(), |piece| {
        let xml::Piece::Start(element) = piece else { return };
        match element.local_name().into_inner() {
            "install-summary" => printed.download_kib = xml::attribute(element, "download-size").parse::<u64>().ok().map(|bytes| bytes.div_ceil(1024)),
            "to-install" => action = Some(Action::Install),
            "to-upgrade" | "to-upgrade-change-arch" => action = Some(Action::Upgrade),
            "to-downgrade" | "to-downgrade-change-arch" => action = Some(Action::Downgrade),
            "to-reinstall" => action = Some(Action::Reinstall),
            "to-remove" => action = Some(Action::Remove),
            "solvable" => {
                let value = |name: &str| Some(xml::attribute(element, name)).filter(|value| !value.is_empty());
                if let (Some("package"), Some(action), Some(name), Some(edition)) = (value("type").as_deref(), action, value("name"), value("edition")) {
                    let architecture = value("arch");
                    let (from, to) = if action == Action::Remove { (Some(edition), None) } else { (value("edition-old"), Some(edition)) };
                    let repository = value("repository").filter(|_| action != Action::Remove);
                    printed.steps.push(Step { name, architecture, action, from, to, repository });
                }
            }
            _ => {}
        }
    });
    if let Err(error) = read {
        printed.remarks.push(format!("zypper's answer ends early: {error}"));
    }
    printed
}

/// What zypper says went wrong: its errors, and the problem that it asks about.
fn words_of_zypper(text: &str) -> String {
    let mut words = Vec::new();
    let mut is_error = false;
    let _ = xml::walk(text.as_bytes(), |piece| match piece {
        xml::Piece::Start(element) => is_error = xml::attribute(element, "type") == "error",
        xml::Piece::End(name, text) => {
            if (name == "message" && is_error) || name == "description" {
                words.push(text.lines().map(str::trim).collect::<Vec<_>>().join("; "));
            }
        }
    });
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use domain::model::transaction::Action;

    use super::{Printed, parse_size, parse_table};

    fn rows(printed: &Printed) -> Vec<String> {
        let row = |step: &domain::model::transaction::Step| {
            let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".to_owned());
            format!("{} {} {} {} {}", step.action.word(), step.name, step.architecture.clone().unwrap_or_default(), version(&step.from), version(&step.to))
        };
        printed.steps.iter().map(row).collect()
    }

    #[test]
    fn sizes_are_read_as_dnf_writes_them() {
        assert_eq!(["212 k", "1.2 M", "1 G", "300"].map(parse_size), [Some(212), Some(1229), Some(1 << 20), Some(1)]);
        assert_eq!(["", "k", "1 x", "-1 k"].map(parse_size), [None; 4]);
    }

    #[test]
    fn reads_the_table_of_dnf() {
        let text = "\
Dependencies resolved.
================================================================================
 Package            Architecture Version           Repository        Size
================================================================================
Installing:
 kernel             x86_64       6.1.9-1           base             12 k
     replacing  tb-old.noarch 1.0-1
Upgrading:
 tb-a-name-that-is-very-long-for-its-column
                    noarch       1.2-1             base              1
 tb-lib             x86_64       0:1.1-1           a-repository-with-a-long-name
                                                                    212 k
Installing dependencies:
 tb-dep             noarch       1:2.0-1           base            1.2 M
Removing dependent packages:
 tb-gone            noarch       1.0-1             @base             1
Skipping packages with conflicts:
(add '--best --allowerasing' to command line to force their upgrade):
 tb-svc             noarch       1.1-1             base              1

Transaction Summary
================================================================================
Upgrade  2 Packages
";
        let printed = parse_table(text);
        assert_eq!(
            rows(&printed),
            [
                "install kernel x86_64 - 6.1.9-1",
                "remove tb-old noarch 1.0-1 -",
                "upgrade tb-a-name-that-is-very-long-for-its-column noarch - 1.2-1",
                "upgrade tb-lib x86_64 - 1.1-1",
                "install tb-dep noarch - 1:2.0-1",
                "remove tb-gone noarch 1.0-1 -",
            ]
        );
        assert_eq!(printed.steps[3].repository.as_deref(), Some("a-repository-with-a-long-name"));
    }

    #[test]
    fn reads_the_tables_of_dnf5_yum_and_microdnf() {
        let dnf5 = "\
Package                 Arch   Version  Repository      Size
Upgrading:
 tb-lib                 x86_64 1.1-1    updates     40.2 KiB
   replacing tb-lib     x86_64 1.0-1    fedora      40.1 KiB
Installing:
 tb-new                 noarch 3-1      updates      0.0   B
   replacing tb-old     noarch 1.0-1    <unknown>    1.0   B

Transaction Summary:
 Installing:         1 package
";
        assert_eq!(rows(&parse_table(dnf5)), ["upgrade tb-lib x86_64 1.0-1 1.1-1", "install tb-new noarch - 3-1", "remove tb-old noarch 1.0-1 -"]);
        let yum = "\
Dependencies Resolved

================================================================================
 Package        Arch       Version                  Repository            Size
================================================================================
Updating:
 kernel-tools   x86_64     5.10.244-240.965.amzn2   amzn2extra-kernel-5.10
                                                                         212 k
Installing for dependencies:
 gawk           x86_64     4.0.2-4.amzn2.1.3        amzn2-core           873 k

Transaction Summary
================================================================================
Upgrade  1 Package
";
        assert_eq!(rows(&parse_table(yum)), ["upgrade kernel-tools x86_64 - 5.10.244-240.965.amzn2", "install gawk x86_64 - 4.0.2-4.amzn2.1.3"]);
        let microdnf = "\
Package                                    Repository        Size
Installing:
 tb-b-1.0.0-1.noarch                       base           5,9 kB
   replacing tb-a-1.0.0-1.noarch
Upgrading:
 tb-c-2:1.8.0-3.fc26.x86_64                base           1,7 MB
   replacing tb-c-2:1.7.0-3.fc26.x86_64
Transaction Summary:
 Installing:        1 packages
";
        assert_eq!(rows(&parse_table(microdnf)), ["install tb-b noarch - 1.0.0-1", "remove tb-a noarch 1.0.0-1 -", "upgrade tb-c x86_64 2:1.7.0-3.fc26 2:1.8.0-3.fc26"]);
        assert_eq!(parse_table("Upgrading:\n a\n   replacing\n replacing x\n\nRemoving:\n"), Printed::default());
        assert_eq!(Action::Install.word(), "install");
    }
}

//! What `apk` would do. Checked against apk-tools 3.0.

use domain::model::transaction::{Action, Change, Step};

use crate::package_manager::simulate::{self, Printed, SimulateError};
use crate::root::Root;

const TOOL: &str = "apk";
/// A wish for a version goes into the world file of a real run; a simulation leaves that alone. Indexes are
/// not fetched however old they are; without a network at all, apk would pass over what is not in its cache.
const ARGUMENTS: [&str; 6] = ["--no-interactive", "--no-progress", "--cache-max-age", "5256000", "--simulate", "add"];

/// Asks it for exact versions.
pub fn simulate(root: &Root, changes: &[Change]) -> Result<Printed, SimulateError> {
    simulate::ask(root, TOOL, &ARGUMENTS, changes, wish, parse)
}

/// A version as apk is asked for it.
pub fn wish(change: &Change) -> String {
    format!("{}={}", change.name, change.version)
}

/// `(1/3) Upgrading NAME (OLD -> NEW)`, `Installing NAME (NEW)`, `Purging NAME (OLD)`; a tag of the repository
/// may follow the name.
fn parse(line: &str) -> Option<Step> {
    let (_, rest) = line.strip_prefix('(')?.split_once(") ")?;
    let (verb, rest) = rest.split_once(' ')?;
    let (name, versions) = rest.strip_suffix(')')?.split_once(" (")?;
    let name = name.split('@').next()?;
    let (from, to) = match versions.split_once(" -> ") {
        Some((from, to)) => (Some(from), to),
        None => (None, versions),
    };
    let action = match verb {
        "Installing" => Action::Install,
        "Upgrading" => Action::Upgrade,
        "Downgrading" => Action::Downgrade,
        "Reinstalling" | "Replacing" => Action::Reinstall,
        "Purging" => return Some(Step { from: Some(versions.to_owned()), ..simulate::step(Action::Remove, name, None, None) }),
        _ => return None,
    };
    Some(Step { from: from.map(str::to_owned), ..simulate::step(action, name, None, Some(to)) })
}

#[cfg(test)]
mod tests {
    use domain::model::transaction::Action;

    use super::parse;

    #[test]
    fn reads_every_kind_of_line() {
        let read = |line: &str| parse(line).map(|step| (step.action, step.name, step.from.unwrap_or_default(), step.to.unwrap_or_default()));
        let expect = |action, name: &str, from: &str, to: &str| Some((action, name.to_owned(), from.to_owned(), to.to_owned()));
        assert_eq!(read("(1/3) Upgrading curl@edge (8.1-r0 -> 8.2-r0)"), expect(Action::Upgrade, "curl", "8.1-r0", "8.2-r0"));
        assert_eq!(read("( 2/13) Installing libx (1-r0)"), expect(Action::Install, "libx", "", "1-r0"));
        assert_eq!(read("(3/3) Purging liby (1-r0)"), expect(Action::Remove, "liby", "1-r0", ""));
        for other in ["OK: 12 MiB in 30 packages", "(1/2) Upgrading", "(1/2) Upgrading a (1 -> 2", ""] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}

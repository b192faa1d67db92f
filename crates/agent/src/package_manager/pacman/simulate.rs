//! What `pacman` would do. It upgrades a whole system or none of it: Arch tests no mixture of old and new
//! packages, so what was asked for does not matter. Checked against pacman 7.0.

use std::collections::BTreeSet;
use std::path::Path;

use domain::model::transaction::{Action, Step};

use super::read_local;
use crate::package_manager::simulate::{self, Printed, SimulateError};
use crate::root::Root;

const TOOL: &str = "pacman";
/// Name, version, architecture, repository and what it replaces.
const ARGUMENTS: [&str; 4] = ["--sync", "--sysupgrade", "--print", "--print-format=%n\t%v\t%a\t%r\t%R"];

/// Asks it for an upgrade of the whole system.
pub fn simulate(root: &Root, database: &Path) -> Result<Printed, SimulateError> {
    // It prints what comes, and not what goes.
    let installed = read_local(&database.join("local"), &mut Vec::new()).unwrap_or_default();
    let installed: BTreeSet<&str> = installed.iter().map(|package| package.name.as_str()).collect();
    simulate::ask(root, TOOL, &ARGUMENTS, &[], |_| String::new(), |line| parse(line, &installed))
}

fn parse(line: &str, installed: &BTreeSet<&str>) -> Vec<Step> {
    let fields: Vec<_> = line.split('\t').collect();
    let [name, version, architecture, repository, replaces] = fields[..] else { return Vec::new() };
    let action = if installed.contains(name) { Action::Upgrade } else { Action::Install };
    let comes = Step { repository: Some(repository.to_owned()), ..simulate::step(action, name, Some(architecture), Some(version)) };
    // A name, and perhaps which versions of it.
    let replaced = replaces.split(' ').map(|entry| entry.split(['<', '>', '=']).next().unwrap_or_default());
    let goes = replaced.filter(|replaced| *replaced != name && installed.contains(replaced)).map(|replaced| simulate::step(Action::Remove, replaced, None, None));
    std::iter::once(comes).chain(goes).collect()
}

#[cfg(test)]
mod tests {
    use domain::model::transaction::Action;

    use super::parse;

    #[test]
    fn reads_what_comes_and_what_it_replaces() {
        let installed = ["tb-a", "tb-old"].into();
        let read = |line: &str| parse(line, &installed).into_iter().map(|step| (step.action, step.name, step.to)).collect::<Vec<_>>();
        assert_eq!(read("tb-a\t1:2-1\tany\tcore\t"), [(Action::Upgrade, "tb-a".to_owned(), Some("1:2-1".to_owned()))]);
        assert_eq!(
            read("tb-new\t1-1\tany\tcore\ttb-older tb-old<2"),
            [(Action::Install, "tb-new".to_owned(), Some("1-1".to_owned())), (Action::Remove, "tb-old".to_owned(), None)]
        );
        assert_eq!(read(":: Starting full system upgrade..."), []);
    }
}

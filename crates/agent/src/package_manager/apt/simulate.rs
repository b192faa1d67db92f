//! What `apt-get` would do. Checked against apt 2.2 to 3.0.

use domain::model::transaction::{Action, Change, Step};

use crate::package_manager::simulate::{self, Printed, SimulateError};
use crate::root::Root;

const TOOL: &str = "apt-get";
/// Packages that are on hold stay as they are; what has to go is shown, for others to refuse.
const ARGUMENTS: [&str; 4] = ["--quiet", "--simulate", "--option=APT::Get::Show-User-Simulation-Note=false", "install"];

/// Asks it for exact versions.
pub fn simulate(root: &Root, changes: &[Change]) -> Result<Printed, SimulateError> {
    simulate::ask(root, TOOL, &ARGUMENTS, changes, wish, parse)
}

/// A version as apt is asked for it.
pub fn wish(change: &Change) -> String {
    format!("{}={}", name_of(change), change.version)
}

/// A package as apt is told of it.
pub fn name_of(change: &Change) -> String {
    match change.architecture.as_str() {
        "all" => change.name.clone(),
        architecture => format!("{}:{architecture}", change.name),
    }
}

/// `Inst NAME [OLD] (NEW ORIGIN:VERSION/SUITE, … [ARCHITECTURE]) …`, without the old version of what is new;
/// `Remv NAME [OLD] …` and `Purg`.
fn parse(line: &str) -> Option<Step> {
    let (verb, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    let name = name.split(':').next()?;
    let (from, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((from, rest)) => (Some(from), rest.trim_start()),
        None => (None, rest),
    };
    let from = from.map(str::to_owned);
    match verb {
        "Inst" => {
            let (inside, _) = rest.strip_prefix('(')?.split_once(')')?;
            let (to, inside) = inside.split_once(' ')?;
            let (origins, architecture) = inside.strip_suffix(']')?.rsplit_once('[')?;
            let repository = origins.split(',').next().map(str::trim).filter(|origin| !origin.is_empty());
            let action = match &from {
                None => Action::Install,
                Some(from) if from == to => Action::Reinstall,
                Some(from) if domain::model::version::deb::compare(to, from).is_lt() => Action::Downgrade,
                Some(_) => Action::Upgrade,
            };
            Some(Step { from, repository: repository.map(str::to_owned), ..simulate::step(action, name, Some(architecture), Some(to)) })
        }
        // The architecture of what goes is not printed unless it is a foreign one.
        "Remv" | "Purg" => Some(Step { from, ..simulate::step(Action::Remove, name, None, None) }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::model::transaction::{Action, Step};

    use super::parse;

    #[test]
    fn reads_every_kind_of_line() {
        let read = |line: &str| parse(line).map(|step| (step.action, step.name, step.architecture.unwrap_or_default(), step.from.unwrap_or_default(), step.to.unwrap_or_default()));
        let expect = |action, name: &str, architecture: &str, from: &str, to: &str| Some((action, name.to_owned(), architecture.to_owned(), from.to_owned(), to.to_owned()));
        assert_eq!(
            read("Inst perl [5.36.0-7+deb12u3] (5.36.0-7+deb12u4 Debian-Security:12/oldstable-security [amd64]) []"),
            expect(Action::Upgrade, "perl", "amd64", "5.36.0-7+deb12u3", "5.36.0-7+deb12u4")
        );
        assert_eq!(read("Inst libc6:i386 (2.36-9 Debian:12.15/oldstable [i386])"), expect(Action::Install, "libc6", "i386", "", "2.36-9"));
        assert_eq!(read("Inst tb [2] (1 a:1/s, b:1/s [all])"), expect(Action::Downgrade, "tb", "all", "2", "1"));
        assert_eq!(read("Remv systemd-sysv [252.38-1~deb12u1] []"), expect(Action::Remove, "systemd-sysv", "", "252.38-1~deb12u1", ""));
        assert_eq!(parse("Conf perl (5.36.0-7+deb12u4 Debian-Security:12/oldstable-security [amd64])"), None::<Step>);
        for broken in ["", "Inst", "Inst a", "Inst a (", "Inst a (1", "Inst a (1 x [amd64", "Remv"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}

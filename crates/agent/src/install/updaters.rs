//! Other updaters, which stand still while a run goes on and go on when it has ended.

use crate::command;
use crate::host::UPDATERS;
use crate::root::Root;

/// Units that are at work now, and would get into the way.
pub fn find(root: &Root) -> Vec<String> {
    if !root.is_running_system() || !root.join("/run/systemd/system").is_dir() {
        return Vec::new();
    }
    let is_active = |unit: &&str| command::run("systemctl", &["is-active", "--quiet", unit]).is_ok();
    UPDATERS.iter().map(|(unit, _)| *unit).filter(is_active).map(str::to_owned).collect()
}

/// Stops them.
pub fn pause(units: &[String]) {
    ask("stop", units);
}

/// Starts them again.
pub fn go_on(units: &[String]) {
    ask("start", units);
}

fn ask(verb: &str, units: &[String]) {
    let units = units.iter().map(String::as_str);
    let arguments: Vec<_> = [verb, "--no-block"].into_iter().chain(units).collect();
    if arguments.len() > 2
        && let Err(error) = command::run("systemctl", &arguments)
    {
        tracing::warn!(%error, "other updaters could not be asked to {verb}");
    }
}

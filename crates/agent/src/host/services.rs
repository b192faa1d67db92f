//! Services and the state of their units, as systemd or `OpenRC` says.

use std::collections::HashMap;

use domain::model::host::Service;
use domain::model::problem::{Problem, ProblemCode};

use crate::command;
use crate::root::Root;

const SERVICES_MAX: usize = 2000;

/// Asks the init system.
pub fn collect(root: &Root, problems: &mut Vec<Problem>) -> Vec<Service> {
    let result = if root.join("/run/systemd/system").is_dir() {
        systemd()
    } else if root.join("/run/openrc").is_dir() {
        command::run("rc-status", &["--all", "--format", "ini"]).map(|text| parse_openrc(&text))
    } else {
        return Vec::new();
    };
    match result {
        Ok(mut services) => {
            services.sort();
            services.truncate(SERVICES_MAX);
            services
        }
        Err(error) => {
            problems.push(Problem::new(ProblemCode::ServicesUnknown, "services", format!("the services could not be listed: {error}")));
            Vec::new()
        }
    }
}

fn systemd() -> Result<Vec<Service>, command::CommandError> {
    let units = command::run("systemctl", &["list-units", "--type=service", "--all", "--plain", "--no-legend", "--no-pager", "--full"])?;
    let files = command::run("systemctl", &["list-unit-files", "--type=service", "--no-legend", "--no-pager", "--full"])?;
    Ok(parse_systemd(&units, &files))
}

/// Lines are `UNIT LOAD ACTIVE SUB DESCRIPTION` and `UNIT STATE PRESET`. Units that are only
/// mentioned by others are not there.
fn parse_systemd(units: &str, files: &str) -> Vec<Service> {
    let enabled: HashMap<_, _> = files.lines().filter_map(|line| line.split_whitespace().next().zip(line.split_whitespace().nth(1))).collect();
    let service = |line: &str| {
        let mut fields = line.split_whitespace();
        let (name, load, active, sub) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        (load != "not-found").then(|| Service {
            name: name.to_owned(),
            active: active.to_owned(),
            sub: sub.to_owned(),
            enabled: enabled.get(name).map(|state| (*state).to_owned()),
        })
    };
    units.lines().filter_map(service).collect()
}

/// Sections are runlevels, lines `name = state`.
fn parse_openrc(text: &str) -> Vec<Service> {
    let mut runlevel = "";
    let mut services = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            runlevel = name;
        } else if let Some((name, state)) = line.split_once('=') {
            let state = state.trim().to_owned();
            let active = if state.starts_with("started") {
                "active"
            } else if state.starts_with("crashed") {
                "failed"
            } else {
                "inactive"
            };
            services.push(Service { name: name.trim().to_owned(), active: active.to_owned(), sub: state, enabled: Some(runlevel.to_owned()) });
        }
    }
    services
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_with_whether_they_start() {
        let units =
            "ssh.service loaded active running OpenBSD Secure Shell server\nplymouth.service not-found inactive dead plymouth.service\nnginx.service loaded failed failed nginx\n";
        let files = "ssh.service enabled enabled\nnginx.service disabled enabled\n";
        let words: Vec<_> =
            parse_systemd(units, files).into_iter().map(|service| format!("{} {} {} {}", service.name, service.active, service.sub, service.enabled.unwrap())).collect();
        assert_eq!(words, ["ssh.service active running enabled", "nginx.service failed failed disabled"]);
    }

    #[test]
    fn openrc_services_are_read_with_their_runlevel() {
        let services = parse_openrc("[default]\nsshd = started 00:01:02 (0)\ncrond = crashed\n[boot]\nhwclock = stopped\n");
        let words: Vec<_> = services.into_iter().map(|service| format!("{} {} {}", service.name, service.active, service.enabled.unwrap())).collect();
        assert_eq!(words, ["sshd active default", "crond failed default", "hwclock inactive boot"]);
    }
}

//! Services that still run code which was replaced: what was installed is not in effect for them.

use domain::model::host::StaleProcess;
use domain::model::receipt::ServiceRestart;

use crate::command::{self, CommandError};
use crate::host;
use crate::root::Root;

/// What others cannot do without, or what ends people's sessions: only a boot restarts these. Those of needrestart's
/// own list.
const NOT_RESTARTED: [&str; 15] = [
    "dbus",
    "systemd-logind",
    "systemd-journald",
    "getty@",
    "serial-getty@",
    "console-getty",
    "user@",
    "gdm",
    "lightdm",
    "sddm",
    "NetworkManager",
    "networking",
    "wpa_supplicant",
    "docker",
    "auditd",
];
/// This agent starts itself anew when the run has ended.
const AGENT: [&str; 2] = ["fettle-agent.service", "fettle-agent"];

/// Programs of the running system with replaced code, but for this one.
pub fn find_stale(root: &Root) -> Vec<StaleProcess> {
    if !root.is_running_system() {
        return Vec::new();
    }
    let mut stale = host::stale_processes(root);
    stale.retain(|process| process.service.as_deref().is_none_or(|service| !AGENT.contains(&service)));
    stale
}

/// Restarts the services among them that may be.
pub fn restart(root: &Root) -> Vec<ServiceRestart> {
    let stale = find_stale(root);
    let mut restarts = Vec::new();
    if stale.iter().any(|process| process.service.is_none() && process.name == "systemd") {
        restarts.push(told("systemd", command::run("systemctl", &["daemon-reexec"])));
    }
    let mut services: Vec<_> = stale.iter().filter_map(|process| process.service.as_deref()).filter(|service| may_restart(service)).collect();
    services.dedup();
    let is_openrc = root.join("/run/openrc").is_dir();
    let ask = |service: &str| if is_openrc { command::run("rc-service", &[service, "restart"]) } else { command::run("systemctl", &["restart", service]) };
    restarts.extend(services.into_iter().map(|service| told(service, ask(service))));
    restarts
}

fn told(service: &str, asked: Result<String, CommandError>) -> ServiceRestart {
    ServiceRestart { service: service.to_owned(), failure: asked.err().map(|error| error.to_string()) }
}

fn may_restart(service: &str) -> bool {
    let is = |kept: &&str| service.strip_prefix(*kept).is_some_and(|rest| kept.ends_with('@') || rest.is_empty() || rest == ".service" || rest.starts_with('-'));
    !NOT_RESTARTED.iter().any(is)
}

/// What a program that runs replaced code is called in a reason.
pub fn words(process: &StaleProcess) -> String {
    let file = process.files.first().map(String::as_str).unwrap_or_default();
    match &process.service {
        Some(service) => format!("{service} still runs what {file} was before"),
        None => format!("{}, which is no service, still runs what {file} was before", process.name),
    }
}

#[cfg(test)]
mod tests {
    use super::may_restart;

    #[test]
    fn what_others_need_is_not_restarted() {
        let may = |services: &[&str]| services.iter().map(|service| may_restart(service)).collect::<Vec<_>>();
        assert_eq!(may(&["ssh.service", "nginx.service", "gdmap.service"]), [true; 3]);
        assert_eq!(may(&["dbus", "networking", "wpa_supplicant", "sshd"]), [false, false, false, true]);
        assert_eq!(may(&["dbus.service", "dbus-broker.service", "getty@tty1.service", "user@1000.service", "docker.service"]), [false; 5]);
    }
}

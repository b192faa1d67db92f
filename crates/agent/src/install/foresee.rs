//! What would follow from a plan: services that run code of what is replaced, packages that need a boot.

use std::collections::{BTreeMap, BTreeSet};

use domain::model::plan::{Foreseen, Plan};

use crate::host;
use crate::package_manager::PackageManager;
use crate::reboot;
use crate::root::Root;

/// Looks at the running processes and at the files of the packages that a plan replaces.
pub fn look(root: &Root, manager: &PackageManager, plan: &Plan) -> Foreseen {
    let steps = || plan.transaction.steps.iter();
    let replaced: Vec<_> = steps().filter(|step| step.from.is_some()).map(|step| (step.name.as_str(), step.architecture.as_deref().unwrap_or_default())).collect();
    let reboot = steps().map(|step| step.name.as_str()).filter(|name| reboot::needs_boot(name)).map(str::to_owned).collect::<BTreeSet<_>>();
    let services = if root.is_running_system() { find_services(&host::running_code(root), &manager.files(root, &replaced)) } else { Vec::new() };
    let download_kib = plan.transaction.download_kib.or_else(|| manager.download_kib(root, &plan.changes));
    Foreseen { download_kib, services, reboot: reboot.into_iter().collect() }
}

/// Services of which a process has one of these files mapped. `/usr` is left out of both, because some packages name
/// files by the folders of old.
fn find_services(running: &BTreeMap<String, BTreeSet<String>>, files: &[String]) -> Vec<String> {
    fn plain(path: &str) -> &str {
        path.strip_prefix("/usr").unwrap_or(path)
    }
    let files: BTreeSet<_> = files.iter().map(|file| plain(file)).collect();
    running.iter().filter(|(_, mapped)| mapped.iter().any(|file| files.contains(plain(file)))).map(|(service, _)| service.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, find_services};

    #[test]
    fn a_service_is_found_by_the_code_that_it_runs() {
        let running = BTreeMap::from([
            ("ssh.service".to_owned(), ["/usr/lib/x86_64-linux-gnu/libcrypto.so.3".to_owned(), "/usr/sbin/sshd".to_owned()].into()),
            ("cron.service".to_owned(), ["/usr/sbin/cron".to_owned()].into()),
        ]);
        let files = ["/lib/x86_64-linux-gnu/libcrypto.so.3".to_owned(), "/usr/share/doc/libssl3/copyright".to_owned()];
        assert_eq!(find_services(&running, &files), ["ssh.service"]);
        assert_eq!(find_services(&running, &[]), Vec::<String>::new());
    }
}

//! Which processes belong to which service of `OpenRC`. It keeps a folder of daemons for each service that it started;
//! one is named by its pid file, and what it forked comes with it. Checked against `OpenRC` 0.63.

use std::collections::HashMap;

use crate::root::Root;

const DAEMONS: &str = "/run/openrc/daemons";
/// Longest line of ancestors that is followed.
const ANCESTORS_MAX: usize = 64;

/// Services by the id of the process that they began with; none where another init system is at work.
pub struct Daemons(HashMap<String, String>);

impl Daemons {
    /// Reads what was started.
    pub fn read(root: &Root) -> Self {
        let mut services = HashMap::new();
        let list = |path: &str| root.list_names(path, &mut Vec::new());
        let read = |path: &str| root.read_text(path, &mut Vec::new());
        for service in list(DAEMONS) {
            for daemon in list(&format!("{DAEMONS}/{service}")) {
                let text = read(&format!("{DAEMONS}/{service}/{daemon}")).unwrap_or_default();
                let pid_file = text.lines().find_map(|line| line.strip_prefix("pidfile=")).filter(|path| !path.is_empty());
                if let Some(pid) = pid_file.and_then(read) {
                    services.insert(pid.trim().to_owned(), service.clone());
                }
            }
        }
        Self(services)
    }

    /// The service that a process or one of its ancestors began.
    pub fn service_of(&self, root: &Root, pid: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let parent = |pid: &String| parent(&root.read_text(&format!("/proc/{pid}/stat"), &mut Vec::new())?);
        std::iter::successors(Some(pid.to_owned()), parent).take(ANCESTORS_MAX).find_map(|pid| self.0.get(&pid).cloned())
    }
}

/// The fourth field of proc(5)'s `stat`; the second is a name in parentheses that may hold anything.
fn parent(stat: &str) -> Option<String> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_daemon_forked_belongs_to_its_service() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("run/openrc/daemons/nginx/001", "exec=/usr/sbin/nginx\nargv_0=/usr/sbin/nginx\npidfile=/run/nginx.pid\n");
        write("run/openrc/daemons/setup-dns/001", "exec=/bin/cp\npidfile=\n");
        write("run/nginx.pid", "218\n");
        write("proc/218/stat", "218 (nginx: master) S 1 218 218 0");
        write("proc/220/stat", "220 (a) b (c) S 218 218 218 0");
        write("proc/300/stat", "300 (sh) S 1 300");
        let root = Root::new(folder.path());
        let daemons = Daemons::read(&root);
        let service_of = |pid| daemons.service_of(&root, pid);
        assert_eq!((service_of("218").as_deref(), service_of("220").as_deref(), service_of("300"), service_of("999")), (Some("nginx"), Some("nginx"), None, None));
    }
}

//! Programs that still use files which were replaced or deleted: what was installed is not in
//! effect for them.

use std::collections::{BTreeMap, BTreeSet};

use domain::model::host::StaleProcess;
use domain::model::problem::{Problem, ProblemCode};

use super::openrc::Daemons;
use crate::root::Root;

const PROCESSES_MAX: usize = 20_000;
const FILES_SHOWN_MAX: usize = 10;
/// Mapped code lives in these places; a deleted file elsewhere is a program's own scratch file.
const CODE_FOLDERS: [&str; 7] = ["/usr/", "/lib", "/bin/", "/sbin/", "/opt/", "/snap/", "/srv/"];

/// Programs that have mapped code which is gone.
pub fn collect(root: &Root, problems: &mut Vec<Problem>) -> Vec<StaleProcess> {
    let mut found = BTreeMap::<(String, Option<String>), (u32, BTreeSet<String>)>::new();
    for_each(root, problems, |process| {
        let files: BTreeSet<_> = process.code().filter_map(|file| file.strip_suffix(DELETED)).map(str::to_owned).collect();
        if !files.is_empty() {
            let entry = found.entry((process.read("comm").trim().to_owned(), process.service())).or_default();
            entry.0 += 1;
            entry.1.extend(files);
        }
    });
    let stale = |((name, service), (n_processes, files)): ((String, Option<String>), (u32, BTreeSet<String>))| StaleProcess {
        name,
        service,
        n_processes,
        files: files.into_iter().take(FILES_SHOWN_MAX).collect(),
    };
    found.into_iter().map(stale).collect()
}

/// The code that the processes of each service have mapped.
pub fn running_code(root: &Root) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for_each(root, &mut Vec::new(), |process| {
        if let Some(service) = process.service() {
            found.entry(service).or_default().extend(process.code().map(str::to_owned));
        }
    });
    found
}

/// Whether this process has mapped code which is gone.
pub fn is_outdated(root: &Root) -> bool {
    let maps = root.read_text("/proc/self/maps", &mut Vec::new()).unwrap_or_default();
    code(&maps).any(|file| file.ends_with(DELETED))
}

/// How proc(5) marks a file that is gone.
const DELETED: &str = " (deleted)";

struct Process<'a> {
    root: &'a Root,
    daemons: &'a Daemons,
    id: &'a str,
    maps: String,
}

fn for_each(root: &Root, problems: &mut Vec<Problem>, mut look: impl FnMut(&Process<'_>)) {
    let names = root.list_names("/proc", &mut Vec::new());
    let processes: Vec<_> = names.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).collect();
    if processes.len() > PROCESSES_MAX {
        problems.push(Problem::new(ProblemCode::LimitReached, "/proc", format!("{} processes are more than {PROCESSES_MAX}; the rest was left out", processes.len())));
    }
    let daemons = Daemons::read(root);
    for id in processes.into_iter().take(PROCESSES_MAX) {
        let mut process = Process { root, daemons: &daemons, id, maps: String::new() };
        process.maps = process.read("maps");
        look(&process);
    }
}

impl Process<'_> {
    /// A process may end at any time; then there is nothing to say about it.
    fn read(&self, name: &str) -> String {
        self.root.read_text(&format!("/proc/{}/{name}", self.id), &mut Vec::new()).unwrap_or_default()
    }

    /// Files with code that are mapped.
    fn code(&self) -> impl Iterator<Item = &str> {
        code(&self.maps)
    }

    fn service(&self) -> Option<String> {
        unit(&self.read("cgroup")).or_else(|| self.daemons.service_of(self.root, self.id))
    }
}

/// Files with code, as proc(5) lists them.
fn code(maps: &str) -> impl Iterator<Item = &str> {
    maps.lines().filter_map(|line| {
        let is_code = line.split_ascii_whitespace().nth(1)?.contains('x');
        let path = line.get(line.find('/')?..)?;
        (is_code && CODE_FOLDERS.iter().any(|folder| path.starts_with(folder))).then_some(path)
    })
}

/// The unit of a control group, such as `ssh.service` in `0::/system.slice/ssh.service`.
fn unit(cgroup: &str) -> Option<String> {
    let units = cgroup.lines().flat_map(|line| line.rsplit('/')).filter(|part| part.ends_with(".service"));
    units.map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_counts() {
        let maps = "\
7f10-7f20 r-xp 00000000 08:01 42 /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)
7f20-7f30 r--p 00001000 08:01 42 /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)
7f30-7f40 r-xp 00000000 08:01 43 /usr/lib/x86_64-linux-gnu/libc.so.6
7f40-7f50 rw-s 00000000 00:01 44 /dev/zero (deleted)
7f50-7f60 r-xp 00000000 00:01 45 /tmp/jit-1 (deleted)
7f60-7f70 r-xp 00000000 00:01 46 /memfd:code (deleted)
7f70-7f80 rw-p 00000000 00:00 0 [heap]
";
        assert_eq!(code(maps).collect::<Vec<_>>(), ["/usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)", "/usr/lib/x86_64-linux-gnu/libc.so.6"]);
        assert_eq!(unit("0::/system.slice/ssh.service\n").as_deref(), Some("ssh.service"));
        assert_eq!(unit("1:name=systemd:/user.slice/user-0.slice/user@0.service/app.slice/x.scope").as_deref(), Some("user@0.service"));
        assert_eq!(unit(""), None);
    }
}

//! Locks on packages: the versionlock plugin of dnf and yum, and zypper's locks.

use domain::model::nevra;
use domain::model::problem::Problem;

use super::summary::ListedPackage;
use crate::root::Root;

const VERSION_LOCKS: [&str; 2] = ["/etc/dnf/plugins/versionlock.list", "/etc/yum/pluginconf.d/versionlock.list"];
const ZYPPER_LOCKS: &str = "/etc/zypp/locks";

/// Every lock of a node.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Locks {
    /// The only versions of their packages that may come in.
    locked: Vec<String>,
    /// What must not come in.
    excluded: Vec<String>,
}

impl Locks {
    /// Reads the files.
    pub fn read(root: &Root, problems: &mut Vec<Problem>) -> Self {
        let mut locks = Self::default();
        for text in VERSION_LOCKS.iter().filter_map(|path| root.read_text(path, problems)) {
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                match line.strip_prefix('!') {
                    Some(excluded) => locks.excluded.push(excluded.trim().to_owned()),
                    None => locks.locked.push(line.to_owned()),
                }
            }
        }
        let text = root.read_text(ZYPPER_LOCKS, problems).unwrap_or_default();
        locks.excluded.extend(text.lines().filter_map(|line| line.strip_prefix("solvable_name:")).map(|name| name.trim().to_owned()));
        locks
    }

    /// What keeps a version out, in words.
    pub fn hides(&self, listed: &ListedPackage) -> Option<String> {
        let names = |typed: &&String| nevra::names(typed, listed.name, listed.version, listed.architecture);
        if let Some(lock) = self.excluded.iter().find(names) {
            return Some(format!("a lock on `{lock}`"));
        }
        // A lock is about the packages of its name.
        let of_name = |lock: &&String| lock.rmatch_indices('-').any(|(at, _)| &lock[..at] == listed.name);
        let mut of_package = self.locked.iter().filter(of_name);
        let first = of_package.next()?;
        let is_allowed = std::iter::once(first).chain(of_package).any(|lock| names(&lock));
        (!is_allowed).then(|| format!("the version is locked to `{first}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_let_in_what_they_name_and_keep_out_the_rest_of_its_name() {
        let folder = testkit::folder();
        let root = Root::new(folder.path());
        for (path, text) in [(VERSION_LOCKS[0], "# a comment\nbash-0:5.1-1.*\n!curl-0:8-2.*\n"), (ZYPPER_LOCKS, "\ntype: package\nmatch_type: glob\nsolvable_name: vim*\n")] {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), text).unwrap();
        }
        let locks = Locks::read(&root, &mut Vec::new());
        let hides = |name: &str, version: &str| locks.hides(&ListedPackage { name, architecture: "x86_64", version, built_at: None, source_rpm: "" });
        assert_eq!([hides("bash", "5.1-1"), hides("bash-completion", "2-1"), hides("curl", "8-1")], [None, None, None]);
        assert_eq!(hides("bash", "5.1-2").as_deref(), Some("the version is locked to `bash-0:5.1-1.*`"));
        assert_eq!(hides("curl", "8-2").as_deref(), Some("a lock on `curl-0:8-2.*`"));
        assert_eq!(hides("vim-minimal", "9-1").as_deref(), Some("a lock on `vim*`"));
    }
}

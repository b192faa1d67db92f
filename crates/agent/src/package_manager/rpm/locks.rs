//! Locks on packages: versionlock of dnf, dnf5 and yum, and zypper's locks.

use std::cmp::Ordering;

use domain::model::nevra;
use domain::model::problem::{Problem, ProblemCode};
use domain::model::version::rpm;
use serde::Deserialize;

use super::summary::ListedPackage;
use crate::root::Root;

const VERSION_LOCKS: [&str; 2] = ["/etc/dnf/plugins/versionlock.list", "/etc/yum/pluginconf.d/versionlock.list"];
const DNF5_LOCKS: &str = "/etc/dnf/versionlock.toml";
const ZYPPER_LOCKS: &str = "/etc/zypp/locks";

/// Every lock of a node.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Locks {
    /// The only versions of their packages that may come in.
    locked: Vec<String>,
    /// What must not come in.
    excluded: Vec<String>,
    /// Those of dnf5.
    conditional: Vec<ConditionalLock>,
}

/// The file of dnf5.
#[derive(Deserialize)]
struct Dnf5Locks {
    #[serde(default)]
    packages: Vec<ConditionalLock>,
}

/// The versions of a package that may come in: those that fulfil every condition.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct ConditionalLock {
    name: String,
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Condition {
    key: String,
    comparator: String,
    value: String,
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
        if let Some(text) = root.read_text(DNF5_LOCKS, problems) {
            match toml::from_str::<Dnf5Locks>(&text) {
                Ok(read) => locks.conditional = read.packages,
                Err(error) => problems.push(Problem::new(ProblemCode::Malformed, DNF5_LOCKS, format!("{DNF5_LOCKS} does not read: {}", error.message()))),
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
        let mut conditional = self.conditional.iter().filter(|lock| lock.name == listed.name).peekable();
        if conditional.peek().is_some() && !conditional.any(|lock| lock.lets_in(listed)) {
            return Some(format!("{DNF5_LOCKS} keeps this version out"));
        }
        // A lock is about the packages of its name.
        let of_name = |lock: &&String| lock.rmatch_indices('-').any(|(at, _)| &lock[..at] == listed.name);
        let mut of_package = self.locked.iter().filter(of_name);
        let first = of_package.next()?;
        let is_allowed = std::iter::once(first).chain(of_package).any(|lock| names(&lock));
        (!is_allowed).then(|| format!("the version is locked to `{first}`"))
    }
}

impl ConditionalLock {
    /// A condition on anything but the version and the architecture does not count, as in dnf5.
    fn lets_in(&self, listed: &ListedPackage) -> bool {
        self.conditions.iter().all(|condition| {
            let value = condition.value.as_str();
            let order = match condition.key.as_str() {
                "evr" => rpm::compare(listed.version, value),
                "epoch" => epoch(listed.version).cmp(&value.parse().unwrap_or_default()),
                "arch" => listed.architecture.cmp(value),
                _ => return true,
            };
            match condition.comparator.as_str() {
                "=" => order.is_eq(),
                "!=" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                ">=" => order != Ordering::Less,
                _ => true,
            }
        })
    }
}

fn epoch(version: &str) -> u32 {
    version.split_once(':').and_then(|(epoch, _)| epoch.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_let_in_what_they_name_and_keep_out_the_rest_of_its_name() {
        let folder = testkit::folder();
        let root = Root::new(folder.path());
        let lock = |name: &str, conditions: &[[&str; 3]]| {
            let conditions = conditions.iter().map(|[key, comparator, value]| format!("[[packages.conditions]]\nkey = '{key}'\ncomparator = '{comparator}'\nvalue = '{value}'\n"));
            format!("[[packages]]\nname = '{name}'\ncomment = 'c'\n{}", conditions.collect::<String>())
        };
        let zsh = [lock("zsh", &[["evr", "<=", "5.9-1"]]), lock("zsh", &[["evr", "=", "0:6-1"]])].concat();
        let dnf5 = format!("version = '1.0'\n{zsh}{}", lock("tar", &[["evr", "!=", "1.35-1"], ["version", "=", "1"]]));
        for (path, text) in [
            (DNF5_LOCKS, dnf5.as_str()),
            (VERSION_LOCKS[0], "# a comment\nbash-0:5.1-1.*\n!curl-0:8-2.*\n"),
            (ZYPPER_LOCKS, "\ntype: package\nmatch_type: glob\nsolvable_name: vim*\n"),
        ] {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), text).unwrap();
        }
        let locks = Locks::read(&root, &mut Vec::new());
        let hides = |name: &str, version: &str| locks.hides(&ListedPackage { name, architecture: "x86_64", version, built_at: None, source_rpm: "" });
        assert_eq!([hides("bash", "5.1-1"), hides("bash-completion", "2-1"), hides("curl", "8-1")], [None, None, None]);
        assert_eq!(hides("bash", "5.1-2").as_deref(), Some("the version is locked to `bash-0:5.1-1.*`"));
        assert_eq!(hides("curl", "8-2").as_deref(), Some("a lock on `curl-0:8-2.*`"));
        assert_eq!([hides("zsh", "5.8-1"), hides("zsh", "6-1"), hides("tar", "1.36-1")], [None, None, None]);
        assert_eq!(hides("zsh", "5.9-2").as_deref(), Some("/etc/dnf/versionlock.toml keeps this version out"));
        assert!(hides("tar", "1.35-1").is_some());
        std::fs::write(root.join(DNF5_LOCKS), "packages = 7").unwrap();
        let mut problems = Vec::new();
        Locks::read(&root, &mut problems);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(hides("vim-minimal", "9-1").as_deref(), Some("a lock on `vim*`"));
    }
}

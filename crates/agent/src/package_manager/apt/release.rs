//! Release files: who publishes a repository, when, and the sizes of its lists.

use std::collections::HashMap;

use domain::model::problem::Problem;
use domain::model::repository::Repository;
use domain::model::time::Timestamp;

use super::sources::ListTarget;
use crate::root::Root;

/// The fields of one Release file that decisions need.
#[derive(Debug, Default)]
pub struct Release {
    fields: HashMap<String, String>,
    sizes: HashMap<String, u64>,
    signed: bool,
}

/// Reads the Release files of repositories, each once.
#[derive(Debug, Default)]
pub struct Releases {
    by_prefix: HashMap<String, Release>,
}

impl Releases {
    /// The Release file of a list's repository; empty when there is none.
    pub fn of(&mut self, root: &Root, target: &ListTarget, problems: &mut Vec<Problem>) -> &Release {
        self.by_prefix.entry(target.release_prefix()).or_insert_with_key(|prefix| Release::read(root, prefix, problems))
    }
}

impl Release {
    fn read(root: &Root, prefix: &str, problems: &mut Vec<Problem>) -> Self {
        let lists = super::LISTS_PATH;
        if let Some(text) = root.read_text(&format!("{lists}/{prefix}InRelease"), problems) {
            return Self { signed: text.starts_with("-----BEGIN PGP SIGNED MESSAGE-----"), ..Self::parse(&text) };
        }
        let signed = root.join(&format!("{lists}/{prefix}Release.gpg")).exists();
        let text = root.read_text(&format!("{lists}/{prefix}Release"), problems).unwrap_or_default();
        Self { signed, ..Self::parse(&text) }
    }

    fn parse(text: &str) -> Self {
        let mut release = Self::default();
        let mut in_sizes = false;
        for line in text.lines().take_while(|line| *line != "-----BEGIN PGP SIGNATURE-----") {
            if let Some(entry) = line.strip_prefix(' ') {
                let mut words = entry.split_ascii_whitespace().skip(usize::from(in_sizes));
                if let (true, Some(Ok(size)), Some(path)) = (in_sizes, words.next().map(str::parse), words.next()) {
                    release.sizes.insert(path.to_owned(), size);
                }
            } else if let Some((name, value)) = line.split_once(':') {
                in_sizes = name == "SHA256";
                if !value.trim().is_empty() {
                    release.fields.insert(name.to_owned(), value.trim().to_owned());
                }
            }
        }
        release
    }

    /// The size that a list must have once unpacked.
    pub fn size_of(&self, target: &ListTarget) -> Option<u64> {
        self.sizes.get(&target.path_in_release()).copied()
    }

    /// Whether the repository says that it has this list.
    pub fn promises(&self, target: &ListTarget) -> bool {
        let path = target.path_in_release();
        ["", ".xz", ".gz"].iter().any(|suffix| self.sizes.get(&format!("{path}{suffix}")).is_some_and(|&size| size > 0))
    }

    /// The repository that a list belongs to.
    pub fn repository(&self, target: &ListTarget) -> Repository {
        let field = |name: &str| self.fields.get(name).cloned();
        let date = |name: &str| Timestamp::parse_rfc2822(self.fields.get(name)?);
        let yes = |name: &str| self.fields.get(name).is_some_and(|value| value == "yes");
        Repository {
            origin: field("Origin"),
            label: field("Label"),
            suite: field("Suite"),
            codename: field("Codename"),
            component: target.component.clone(),
            version: field("Version"),
            architecture: target.architecture.clone(),
            site: target.site(),
            uri: target.uri.clone(),
            released_at: date("Date"),
            valid_until: date("Valid-Until"),
            trusted: self.signed || target.trusted,
            not_automatic: yes("NotAutomatic"),
            but_automatic_upgrades: yes("ButAutomaticUpgrades"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_sizes_are_read_up_to_the_signature() {
        let release = Release::parse(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nValid-Until: Sun, 29 Nov 2026 19:58:56 UTC\nMD5Sum:\n aa 7 main/binary-amd64/Packages\nSHA256:\n bb 9 main/binary-amd64/Packages\n-----BEGIN PGP SIGNATURE-----\nOrigin: Evil\n",
        );
        let target = ListTarget { uri: "http://x/".into(), distribution: "s".into(), component: Some("main".into()), architecture: Some("amd64".into()), trusted: false };
        let repository = release.repository(&target);
        assert_eq!((repository.origin.as_deref(), release.size_of(&target)), (Some("Debian"), Some(9)));
        assert_eq!(repository.valid_until.unwrap().to_string(), "2026-11-29T19:58:56Z");
        assert!(!repository.trusted && !repository.is_security());
    }
}

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
    /// The text up to its signature.
    text: String,
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
            return Self { signed: text.starts_with("-----BEGIN PGP SIGNED MESSAGE-----"), ..Self::parse(text) };
        }
        let signed = root.join(&format!("{lists}/{prefix}Release.gpg")).exists();
        let text = root.read_text(&format!("{lists}/{prefix}Release"), problems).unwrap_or_default();
        Self { signed, ..Self::parse(text) }
    }

    fn parse(mut text: String) -> Self {
        if let Some(signature) = text.find("\n-----BEGIN PGP SIGNATURE-----") {
            text.truncate(signature + 1);
        }
        Self { text, signed: false }
    }

    fn field(&self, name: &str) -> Option<&str> {
        // The lists of sums come last and are long.
        let lines = self.text.lines().take_while(|line| !matches!(*line, "MD5Sum:" | "SHA1:" | "SHA256:" | "SHA512:"));
        lines
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The size of a file by the list of SHA256 sums. These lists are long, so they are searched
    /// and not read line by line.
    fn size(&self, path: &str) -> Option<u64> {
        let sums = &self.text[self.text.find("\nSHA256:")?..];
        let end = sums.find(&format!(" {path}\n"))?;
        let line = &sums[sums[..end].rfind('\n')?..end];
        line.rsplit(' ').next()?.parse().ok()
    }

    /// The size that a list must have once unpacked.
    pub fn size_of(&self, target: &ListTarget) -> Option<u64> {
        self.size(&target.path_in_release())
    }

    /// Whether the repository says that it has this list.
    pub fn promises(&self, target: &ListTarget) -> bool {
        let path = target.path_in_release();
        ["", ".xz", ".gz"].iter().any(|suffix| self.size(&format!("{path}{suffix}")).is_some_and(|size| size > 0))
    }

    /// The repository that a list belongs to.
    pub fn repository(&self, target: &ListTarget) -> Repository {
        let field = |name: &str| self.field(name).map(str::to_owned);
        let date = |name: &str| Timestamp::parse_rfc2822(self.field(name)?);
        let yes = |name: &str| self.field(name) == Some("yes");
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
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nValid-Until: Sun, 29 Nov 2026 19:58:56 UTC\nMD5Sum:\n aa 7 main/binary-amd64/Packages\nSHA256:\n bb 9 main/binary-amd64/Packages\n-----BEGIN PGP SIGNATURE-----\nLabel: Evil\n".to_owned(),
        );
        let target = ListTarget { uri: "http://x/".into(), distribution: "s".into(), component: Some("main".into()), architecture: Some("amd64".into()), trusted: false };
        let repository = release.repository(&target);
        assert_eq!((repository.origin.as_deref(), repository.label.as_deref(), release.size_of(&target)), (Some("Debian"), None, Some(9)));
        assert_eq!(repository.valid_until.unwrap().to_string(), "2026-11-29T19:58:56Z");
        assert!(!repository.trusted && !repository.is_security());
    }
}

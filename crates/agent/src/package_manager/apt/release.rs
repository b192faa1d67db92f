//! Release files: who publishes a repository, when, and the sizes of its lists.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};

use domain::model::problem::Problem;
use domain::model::repository::Repository;
use domain::model::time::Timestamp;

use super::sources::ListTarget;
use super::stanza::text;
use crate::root::{Root, unreadable};

/// What one Release file says.
#[derive(Debug, Default)]
pub struct Release {
    /// Fields before the lists of sums, by name.
    fields: Vec<(String, String)>,
    /// Sizes of package lists, packed and unpacked, by their path in the repository.
    list_sizes: Vec<(String, u64)>,
    signed: bool,
}

/// Most bytes of a Release file that are read; the largest has about 1 MB.
const RELEASE_BYTES_MAX: u64 = 16 * 1024 * 1024;

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
        let mut read = |name: &str| {
            let path = format!("{lists}/{prefix}{name}");
            let file = root.open(&path, problems)?;
            match Self::parse(BufReader::new(file.take(RELEASE_BYTES_MAX))) {
                Ok(release) => Some(release),
                Err(error) => {
                    problems.push(unreadable(&path, &error));
                    None
                }
            }
        };
        let signed_apart = root.join(&format!("{lists}/{prefix}Release.gpg")).exists();
        read("InRelease").or_else(|| Some(Self { signed: signed_apart, ..read("Release")? })).unwrap_or_default()
    }

    /// Reads up to the signature. The lists of sums are long, and only package lists are of interest.
    fn parse(mut source: impl BufRead) -> io::Result<Self> {
        let mut release = Self::default();
        let mut line = Vec::new();
        let mut section = Vec::new();
        while source.read_until(b'\n', &mut line)? > 0 {
            let content = line.trim_ascii_end();
            match content.first() {
                Some(b'-') if content == b"-----BEGIN PGP SIGNED MESSAGE-----" => release.signed = true,
                Some(b'-') if content == b"-----BEGIN PGP SIGNATURE-----" => break,
                Some(b' ') => {
                    let is_list = content.ends_with(b"Packages") || content.ends_with(b"Packages.gz") || content.ends_with(b"Packages.xz");
                    if is_list && section == b"SHA256" {
                        release.list_sizes.extend(parse_sum(&text(content)));
                    }
                }
                Some(_) => {
                    if let Some(colon) = memchr::memchr(b':', content) {
                        section.clear();
                        section.extend_from_slice(&content[..colon]);
                        release.fields.push((text(&section), text(content[colon + 1..].trim_ascii())));
                    }
                }
                None => {}
            }
            line.clear();
        }
        Ok(release)
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    fn size(&self, path: &str) -> Option<u64> {
        self.list_sizes.iter().find(|(known, _)| known == path).map(|(_, size)| *size)
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

/// Reads ` SUM SIZE PATH`.
fn parse_sum(line: &str) -> Option<(String, u64)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let size = words.next()?.parse().ok()?;
    Some((words.next()?.to_owned(), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_sizes_are_read_up_to_the_signature() {
        let release = Release::parse(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nValid-Until: Sun, 29 Nov 2026 19:58:56 UTC\nMD5Sum:\n aa 7 main/binary-amd64/Packages\nSHA256:\n bb 9 main/binary-amd64/Packages\n-----BEGIN PGP SIGNATURE-----\nLabel: Evil\n".as_bytes(),
        )
        .unwrap();
        let target = ListTarget { uri: "http://x/".into(), distribution: "s".into(), component: Some("main".into()), architecture: Some("amd64".into()), trusted: false };
        let repository = release.repository(&target);
        assert_eq!((repository.origin.as_deref(), repository.label.as_deref(), release.size_of(&target)), (Some("Debian"), None, Some(9)));
        assert_eq!(repository.valid_until.unwrap().to_string(), "2026-11-29T19:58:56Z");
        assert!(repository.trusted && !repository.is_security());
    }
}

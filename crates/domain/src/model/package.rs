//! What is installed on a node: packages, and the package set that equal nodes share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One installed package with the facts that decisions need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstalledPackage {
    /// Binary package name.
    pub name: String,
    /// Its architecture, `all` included.
    pub architecture: String,
    /// The installed version.
    pub version: String,
    /// Source package.
    pub source: String,
    /// Version of the source package, where it differs from the binary's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
    /// Archive section, such as `libs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Archive priority, such as `optional`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// How far its installation got.
    pub state: InstallState,
    /// An operator put it on hold: the package manager will not change it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub held: bool,
    /// It came as a dependency, not by request.
    #[serde(default, skip_serializing_if = "is_false")]
    pub automatic: bool,
    /// `Multi-Arch` value, where it is not `no`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_arch: Option<String>,
    /// The node is waiting for a reboot because of this package.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reboot_pending: bool,
    /// Indexes into the inventory's repositories that offer the installed version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<usize>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// How far a package's installation got, in dpkg's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstallState {
    /// All went well.
    Installed,
    /// Unpacking began and did not end.
    HalfInstalled,
    /// Unpacked, not configured.
    Unpacked,
    /// Configuration began and did not end.
    HalfConfigured,
    /// Waits for another package's trigger.
    TriggersAwaited,
    /// Its own trigger has not run yet.
    TriggersPending,
}

impl InstallState {
    /// Whether the package is in a state that needs repair.
    pub fn is_broken(self) -> bool {
        matches!(self, Self::HalfInstalled | Self::Unpacked | Self::HalfConfigured)
    }

    /// The word that dpkg uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::HalfInstalled => "half-installed",
            Self::Unpacked => "unpacked",
            Self::HalfConfigured => "half-configured",
            Self::TriggersAwaited => "triggers-awaited",
            Self::TriggersPending => "triggers-pending",
        }
    }
}

/// The sorted names, architectures and versions of a node. Its canonical bytes and their digest
/// are the identity that equal nodes share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSet {
    rows: Vec<(String, String, String)>,
}

impl PackageSet {
    /// The set of these packages, in any order.
    pub fn of<'a>(packages: impl IntoIterator<Item = &'a InstalledPackage>) -> Self {
        let mut rows: Vec<_> = packages.into_iter().map(|package| (package.name.clone(), package.architecture.clone(), package.version.clone())).collect();
        rows.sort_unstable();
        rows.dedup();
        Self { rows }
    }

    /// How many packages it holds.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One line a package: name, architecture and version between tabs.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.rows.len() * 40);
        for (name, architecture, version) in &self.rows {
            for (part, end) in [(name, b'\t'), (architecture, b'\t'), (version, b'\n')] {
                bytes.extend_from_slice(part.as_bytes());
                bytes.push(end);
            }
        }
        bytes
    }

    /// BLAKE3 of the canonical bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical_bytes())
    }
}

/// A content digest: BLAKE3, 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> InstalledPackage {
        InstalledPackage {
            name: name.into(),
            architecture: "amd64".into(),
            version: version.into(),
            source: name.into(),
            source_version: None,
            section: None,
            priority: None,
            state: InstallState::Installed,
            held: false,
            automatic: false,
            multi_arch: None,
            reboot_pending: false,
            repositories: Vec::new(),
        }
    }

    #[test]
    fn the_digest_ignores_order_and_sees_every_version() {
        let (a, b) = (package("a", "1"), package("b", "2"));
        let set = PackageSet::of([&a, &b]);
        assert_eq!(set.digest(), PackageSet::of([&b, &a]).digest());
        assert_ne!(set.digest(), PackageSet::of([&a, &package("b", "2.1")]).digest());
        assert_eq!(set.canonical_bytes(), b"a\tamd64\t1\nb\tamd64\t2\n");
    }
}

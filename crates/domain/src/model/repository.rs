//! Where a node's packages come from, as the repository's own Release file says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;

/// One repository component whose lists are on the node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Repository {
    /// Who publishes it, such as `Debian`.
    pub origin: Option<String>,
    /// Its label, such as `Debian-Security`.
    pub label: Option<String>,
    /// The suite, such as `stable-security`.
    pub suite: Option<String>,
    /// The code name, such as `bookworm-security`.
    pub codename: Option<String>,
    /// The component, such as `main`.
    pub component: Option<String>,
    /// The version of the release, such as `12.15`.
    pub version: Option<String>,
    /// The architecture of the list.
    pub architecture: Option<String>,
    /// Host it is fetched from; empty for a local folder.
    pub site: String,
    /// Where it is fetched from, without any password.
    pub uri: String,
    /// When it was published.
    pub released_at: Option<Timestamp>,
    /// Until when its publisher vouches for it.
    pub valid_until: Option<Timestamp>,
    /// The package manager checked its signature, or was told to trust it.
    pub trusted: bool,
    /// Nothing is installed from it unless asked for by name.
    #[serde(default)]
    pub not_automatic: bool,
    /// What was installed from it is upgraded from it.
    #[serde(default)]
    pub but_automatic_upgrades: bool,
}

impl Repository {
    /// Whether its packages count as security updates: it is trusted, and its label is
    /// `Debian-Security` or its suite or code name contains `security`. This is the test of AWS
    /// Patch Manager on apt, with the label in place of the site's description; it covers
    /// `bookworm-security`, `jammy-security` and `jammy-apps-security` (ESM).
    pub fn is_security(&self) -> bool {
        let names_security = |name: &Option<String>| name.as_deref().is_some_and(|name| name.contains("security"));
        self.trusted && (self.label.as_deref() == Some("Debian-Security") || names_security(&self.suite) || names_security(&self.codename))
    }

    /// A short name for people: label or origin, and suite.
    pub fn short_name(&self) -> String {
        let who = self.label.as_deref().or(self.origin.as_deref()).unwrap_or(&self.site);
        match self.codename.as_deref().or(self.suite.as_deref()) {
            Some(suite) => format!("{who} {suite}"),
            None => who.to_owned(),
        }
    }
}

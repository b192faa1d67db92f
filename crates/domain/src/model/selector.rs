//! Which nodes something is for: by their place in the organization, their tags, their system, a query, or one by one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::node::check_tags;
use crate::model::platform::OperatingSystem;
use crate::model::query::{Fact, Query};

/// Most entries of one list.
const ENTRIES_MAX: usize = 1000;
/// Longest entry.
const ENTRY_LENGTH_MAX: usize = 128;

/// Nodes that are in every list that says something; of a list, one entry is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Every node; a selector that says nothing is for none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    /// Names of units; those below them count too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    /// Names of accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    /// Names of regions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Tags, all of them; `*` is any value. What a node says of itself does not count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Operating systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operating_systems: Vec<OperatingSystem>,
    /// A free query, such as `product = Debian12 and package nginx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// Nodes by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Nodes that are left out all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Box<Selector>>,
}

/// What a selector asks of a node.
pub trait Selectable {
    /// Its id.
    fn id(&self) -> &str;
    /// The name of its account.
    fn account(&self) -> &str;
    /// The names of the units above it.
    fn units(&self) -> &[&str];
    /// The name of its region.
    fn region(&self) -> &str;
    /// The value of a tag that somebody gave it.
    fn tag(&self, key: &str) -> Option<&str>;
    /// What it runs.
    fn operating_system(&self) -> Option<OperatingSystem>;
    /// What it says of itself.
    fn fact(&self, _fact: &Fact) -> Option<&str> {
        None
    }
    /// Whether it has a package by this name in a version that is wanted.
    fn has_package(&self, _name: &str, _is_wanted: &dyn Fn(&str) -> bool) -> bool {
        false
    }
}

impl Selector {
    /// Every node.
    pub fn everyone() -> Self {
        Self { everyone: true, ..Self::default() }
    }

    /// Whether a node is one of them.
    pub fn selects(&self, node: &impl Selectable) -> bool {
        let among = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
        let says_something = self.everyone || !self.says_nothing();
        says_something
            && (self.units.is_empty() || node.units().iter().any(|unit| self.units.iter().any(|known| known == unit)))
            && among(&self.accounts, node.account())
            && among(&self.regions, node.region())
            && among(&self.nodes, node.id())
            && self.tags.iter().all(|(key, value)| node.tag(key).is_some_and(|found| value == "*" || found == value))
            && (self.operating_systems.is_empty() || node.operating_system().is_some_and(|system| self.operating_systems.contains(&system)))
            && self.query.as_ref().is_none_or(|query| query.finds(node))
            && self.exclude.as_ref().is_none_or(|exclude| !exclude.selects(node))
    }

    /// Whether it names nothing.
    pub fn says_nothing(&self) -> bool {
        let Self { units, accounts, regions, tags, operating_systems, query, nodes, .. } = self;
        [units, accounts, regions, nodes].into_iter().all(Vec::is_empty) && tags.is_empty() && operating_systems.is_empty() && query.is_none()
    }

    /// What is not possible in it, a sentence each.
    pub fn check(&self, place: &str, wrong: &mut Vec<String>) {
        if !self.everyone && self.says_nothing() {
            wrong.push(format!("{place} names nobody: name units, accounts, regions, tags, operating_systems, a query or nodes, or say `everyone: true`"));
        }
        for (name, list) in [("units", &self.units), ("accounts", &self.accounts), ("regions", &self.regions), ("nodes", &self.nodes)] {
            if list.len() > ENTRIES_MAX || list.iter().any(|entry| entry.is_empty() || entry.len() > ENTRY_LENGTH_MAX) {
                wrong.push(format!("{place}.{name} may have {ENTRIES_MAX} entries of 1 to {ENTRY_LENGTH_MAX} bytes"));
            }
        }
        if let Err(error) = check_tags(&self.tags) {
            wrong.push(format!("{place}.tags: {error}"));
        }
        if let Some(exclude) = &self.exclude {
            if exclude.exclude.is_some() {
                wrong.push(format!("{place}.exclude cannot exclude again"));
            }
            exclude.check(&format!("{place}.exclude"), wrong);
        }
    }

    /// In words: `every node`, `tag env=prod in region eu`.
    pub fn words(&self) -> String {
        let list = |noun: &str, names: &[String]| (!names.is_empty()).then(|| format!("{noun} {}", names.join(" or ")));
        let systems: Vec<_> = self.operating_systems.iter().map(|system| system.name().to_owned()).collect();
        let tags = self.tags.iter().map(|(key, value)| format!("tag {key}={value}"));
        let parts = [list("unit", &self.units), list("account", &self.accounts), list("region", &self.regions), list("running", &systems), list("node", &self.nodes)];
        let parts: Vec<_> = parts.into_iter().flatten().chain(tags).chain(self.query.iter().map(|query| format!("query `{query}`"))).collect();
        let all = if parts.is_empty() { if self.everyone { "every node".to_owned() } else { "nobody".to_owned() } } else { parts.join(", ") };
        match &self.exclude {
            Some(exclude) => format!("{all}, but not {}", exclude.words()),
            None => all,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A node with tags, by the name of `web-1`.
    pub struct Tagged<'a>(pub &'a str, pub &'a [(&'a str, &'a str)]);

    impl Selectable for Tagged<'_> {
        fn id(&self) -> &str {
            self.0
        }
        fn account(&self) -> &'static str {
            "shop"
        }
        fn units(&self) -> &[&str] {
            &["organization", "retail"]
        }
        fn region(&self) -> &'static str {
            "eu"
        }
        fn tag(&self, key: &str) -> Option<&str> {
            self.1.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
        }
        fn operating_system(&self) -> Option<OperatingSystem> {
            Some(OperatingSystem::Debian)
        }
        fn fact(&self, fact: &Fact) -> Option<&str> {
            match fact {
                Fact::Name => Some("web-1"),
                Fact::Product => Some("Debian12"),
                Fact::Architecture => Some("amd64"),
                Fact::Agent => Some("0.1.0"),
                Fact::Tag(key) => (key == "cloud:zone").then_some("a b"),
            }
        }
        fn has_package(&self, name: &str, is_wanted: &dyn Fn(&str) -> bool) -> bool {
            name == "openssl" && ["3.0.9-1", "3.0.15-1~deb12u1"].into_iter().any(is_wanted)
        }
    }

    #[test]
    fn every_list_counts_and_one_entry_of_a_list_is_enough() {
        let node = Tagged("mi-1", &[("env", "prod"), ("role", "web")]);
        let selects = |text: &str| serde_saphyr::from_str::<Selector>(text).unwrap().selects(&node);
        for yes in [
            "everyone: true",
            "units: [retail]",
            "accounts: [bank, shop]",
            "tags: {env: prod}",
            "tags: {env: '*'}",
            "nodes: [mi-1]",
            "operating_systems: [DEBIAN]",
            "query: tag.role = w*",
        ] {
            assert!(selects(yes), "{yes}");
        }
        for no in [
            "{}",
            "units: [bank]",
            "{units: [retail], regions: [us]}",
            "tags: {env: prod, role: db}",
            "{everyone: true, exclude: {tags: {role: web}}}",
            "operating_systems: [UBUNTU]",
            "nodes: [mi-2]",
            "{tags: {env: prod}, query: tag.role = db}",
        ] {
            assert!(!selects(no), "{no}");
        }
        let mut wrong = Vec::new();
        serde_saphyr::from_str::<Selector>("{exclude: {everyone: true}}").unwrap().check("targets", &mut wrong);
        assert_eq!(wrong, ["targets names nobody: name units, accounts, regions, tags, operating_systems, a query or nodes, or say `everyone: true`"]);
        let words = |text: &str| serde_saphyr::from_str::<Selector>(text).unwrap().words();
        assert_eq!(words("{tags: {env: prod}, exclude: {regions: [us]}}"), "tag env=prod, but not region us");
        assert_eq!(words("query: package nginx or name = web-*"), "query `package nginx or name = web-*`");
    }
}

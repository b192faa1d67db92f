//! Patch policies: which nodes are scanned and patched, by which baselines, when, and how carefully.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::baseline::Source;
use crate::model::glob::{self, Case};
use crate::model::node::Allows;
use crate::model::plan::Hooks;
use crate::model::platform::OperatingSystem;
use crate::model::rollout::Rollout;
use crate::model::schedule::{Recurrence, Schedule, Zone};
use crate::model::selector::{Selectable, Selector};
use crate::model::window::CatchUp;

/// The version of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicySchema {
    /// The first.
    #[serde(rename = "policy/v1")]
    V1,
}

/// A patch policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// `policy/v1`.
    pub schema: PolicySchema,
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Which nodes.
    pub targets: Selector,
    /// Of several policies for a node the one with the highest number acts; of equal ones the first by name.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub precedence: i32,
    /// Names of the baselines that judge its nodes, by operating system; those that judge them anyway, when absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub baselines: BTreeMap<OperatingSystem, String>,
    /// The repositories that its nodes have, in place of all others; those that they have, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repositories: Option<Repositories>,
    /// When its nodes are scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Timing>,
    /// When they install what they lack; never, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<Timing>,
    /// Names of the windows inside which alone nodes install; any time when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<String>,
    /// How long an install may take until nothing more begins, in minutes; a day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_minutes: Option<u32>,
    /// Whether nodes boot.
    #[serde(default)]
    pub reboot: PolicyReboot,
    /// Names of hooks in the configuration of the nodes.
    #[serde(default)]
    pub hooks: Hooks,
    /// How an install goes over the nodes.
    #[serde(default)]
    pub rollout: Rollout,
    /// Whether a second person must agree before an install begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_approval: bool,
    /// Names of the channels that are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
}

/// The repositories of a policy's nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repositories {
    /// What each node has for its product. Nodes for whose product there is none keep what they have.
    pub sources: Vec<Source>,
    /// Whether nodes that differ are mended with their next scan; else the difference is only shown.
    #[serde(default)]
    pub mend: bool,
}

/// Most repositories of a policy.
const SOURCES_MAX: usize = 20;

/// When something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// When.
    pub schedule: Schedule,
    /// Whose local time; `UTC` when absent.
    #[serde(default)]
    pub zone: Zone,
    /// Days after the day that the schedule names, 1 to 6.
    #[serde(default, skip_serializing_if = "is_none")]
    pub offset_days: u8,
    /// Whether it waits for its first time; else it is done at once when the policy is made or changed.
    #[serde(default = "yes")]
    pub wait_until_first: bool,
    /// What becomes of a time at which no server ran.
    #[serde(default)]
    pub catch_up: CatchUp,
}

/// Whether nodes boot after an install.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PolicyReboot {
    /// When something is in effect only after a boot.
    #[default]
    IfNeeded,
    /// They do not.
    Never,
    /// In any case.
    Always,
}

impl PolicyReboot {
    /// The word of the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::IfNeeded => "IF_NEEDED",
            Self::Never => "NEVER",
            Self::Always => "ALWAYS",
        }
    }
}

/// Longest run: a week.
const MINUTES_MAX: u32 = 7 * 24 * 60;

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(days: &u8) -> bool {
    *days == 0
}

impl Timing {
    /// When, as instants.
    pub fn recurrence(&self) -> Recurrence {
        Recurrence { schedule: self.schedule.clone(), zone: self.zone.clone(), offset_days: self.offset_days }
    }
}

impl Policy {
    /// How long an install may take until nothing more begins.
    pub fn maximum_minutes(&self) -> u32 {
        self.maximum_minutes.unwrap_or(24 * 60)
    }

    /// What is not possible in it, a sentence each.
    pub fn check(&self, wrong: &mut Vec<String>) {
        self.targets.check("targets", wrong);
        self.rollout.check(wrong);
        for (name, timing) in [("scan", &self.scan), ("install", &self.install)] {
            if let Some(Err(error)) = timing.as_ref().map(|timing| timing.recurrence().check()) {
                wrong.push(format!("{name}.schedule: {error}"));
            }
        }
        for (at, source) in self.repositories.iter().flat_map(|repositories| &repositories.sources).enumerate() {
            source.check_text(&format!("repositories.sources[{at}]"), wrong);
        }
        if let Some(Repositories { sources, .. }) = &self.repositories {
            let names: BTreeSet<_> = sources.iter().map(|source| &source.name).collect();
            if names.len() < sources.len() || !(1..=SOURCES_MAX).contains(&sources.len()) {
                wrong.push(format!("repositories.sources must have 1 to {SOURCES_MAX} sources, each with a name of its own"));
            }
        }
        if self.scan.is_none() && self.install.is_none() {
            wrong.push("it does nothing: give `scan` or `install` a schedule".to_owned());
        }
        if !(1..=MINUTES_MAX).contains(&self.maximum_minutes()) {
            wrong.push(format!("maximum_minutes {} is not from 1 to {MINUTES_MAX}", self.maximum_minutes()));
        }
    }
}

/// A difference between a node and what the policy that acts on it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// In what the node differs.
    pub what: String,
    /// By whom or what that is mended.
    pub mended_by: String,
}

/// What a node is, as far as a policy may want it otherwise.
#[derive(Debug, Clone, Copy)]
pub struct NodeFacts<'a> {
    /// What its own configuration allows.
    pub allows: Allows,
    /// Its product.
    pub product: &'a str,
    /// Where its repositories are fetched from; nothing is known before its first report.
    pub repositories: Option<&'a [String]>,
}

/// How a node differs from what a policy needs. What it does not allow, only its owner can mend: no server may make an agent do
/// that. Baselines cannot differ, because the server judges by what the policy names.
pub fn drift(policy: &Policy, node: &NodeFacts<'_>) -> Vec<Drift> {
    let Allows { install, reboot, hooks } = node.allows;
    let needed = [
        (policy.install.is_some() && !install, "install", "it installs"),
        (policy.install.is_some() && policy.reboot != PolicyReboot::Never && !reboot, "reboot", "it boots nodes"),
        (policy.hooks.names().next().is_some() && !hooks, "hooks", "it runs hooks"),
        (policy.repositories.as_ref().is_some_and(|repositories| repositories.mend) && policy.install.is_none() && !install, "install", "it mends repositories"),
    ];
    let of_allows = needed.into_iter().filter(|(is_missing, ..)| *is_missing).map(|(_, word, why)| Drift {
        what: format!("the node does not allow `{word}`, and the policy {} needs it: {why}", policy.name),
        mended_by: format!("its owner, who adds `{word}` to `allows` in its agent.yaml and starts the agent again"),
    });
    of_allows.chain(drift_of_repositories(policy, node)).collect()
}

fn drift_of_repositories(policy: &Policy, node: &NodeFacts<'_>) -> Vec<Drift> {
    let (Some(Repositories { sources, mend }), Some(found)) = (&policy.repositories, node.repositories) else { return Vec::new() };
    let wanted: Vec<_> = sources.iter().filter(|source| source.is_for(node.product)).map(|source| (source, source.places())).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let is_at = |place: &String, uri: &String| glob::matches(place, uri.trim_end_matches('/'), Case::Sensitive);
    let lacks = |(source, places): &(&Source, Vec<String>)| {
        let missing = places.iter().find(|place| !found.iter().any(|uri| is_at(place, uri)))?;
        Some(format!("the node lacks the repository {} of the policy {}: {missing}", source.name, policy.name))
    };
    // What a list of mirrors leads to cannot be told from the node's own.
    let all_known = wanted.iter().all(|(_, places)| !places.is_empty());
    let is_other = |uri: &&String| all_known && !wanted.iter().flat_map(|(_, places)| places).any(|place| is_at(place, uri));
    let others: BTreeSet<_> = found.iter().filter(is_other).collect();
    let has = others.into_iter().map(|uri| format!("the node has a repository that the policy {} does not name: {uri}", policy.name));
    let mended_by = match (mend, node.allows.install) {
        (true, true) => "the policy, with the node's next scan",
        (true, false) => "the policy, when the node's owner allows `install`",
        (false, _) => "`mend: true` under the policy's `repositories`, or a change of the node",
    };
    wanted.iter().filter_map(lacks).chain(has).map(|what| Drift { what, mended_by: mended_by.to_owned() }).collect()
}

/// The policies that are for a node: the first acts, the others are shadowed by it.
pub fn policies_of<'a>(policies: impl Iterator<Item = &'a Policy>, node: &impl Selectable) -> Vec<&'a Policy> {
    let mut found: Vec<_> = policies.filter(|policy| policy.targets.selects(node)).collect();
    found.sort_by(|a, b| b.precedence.cmp(&a.precedence).then_with(|| a.name.cmp(&b.name)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::intent::Intent;
    use crate::model::selector::tests::Tagged;

    fn policy(name: &str, precedence: i32, targets: &str) -> Policy {
        let text = format!("schema: policy/v1\nname: {name}\nprecedence: {precedence}\ntargets: {targets}\nscan: {{schedule: daily 01:00}}\n");
        let Intent::Policy(policy) = Intent::parse(&text).unwrap() else { panic!("{name} is a policy") };
        *policy
    }

    #[test]
    fn the_highest_precedence_acts_and_equal_ones_go_by_name() {
        let policies =
            [policy("bbb", 0, "{everyone: true}"), policy("aaa", 0, "{everyone: true}"), policy("web", 10, "{tags: {role: web}}"), policy("dbs", 10, "{tags: {role: db}}")];
        let names = |tags: &[(&str, &str)]| policies_of(policies.iter(), &Tagged("mi-1", tags)).into_iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>().join(" ");
        assert_eq!(names(&[("role", "web")]), "web aaa bbb");
        assert_eq!(names(&[]), "aaa bbb");
    }

    #[test]
    fn a_node_differs_in_what_it_allows_and_in_its_repositories() {
        let differs = |policy: &Policy, allows: Allows, uris: &[&str]| {
            let uris: Vec<_> = uris.iter().map(|uri| (*uri).to_owned()).collect();
            let drift = drift(policy, &NodeFacts { allows, product: "Debian12", repositories: Some(&uris) });
            drift.into_iter().map(|drift| drift.what).collect::<Vec<_>>().join("; ")
        };
        let installs = policy("all", 0, "{everyone: true}\ninstall: {schedule: daily 02:00}");
        let only_install = Allows { install: true, reboot: false, hooks: false };
        assert_eq!(differs(&installs, only_install, &[]), "the node does not allow `reboot`, and the policy all needs it: it boots nodes");
        assert_eq!(differs(&policy("all", 0, "{everyone: true}"), Allows::SCAN, &["http://any"]), "");

        let with = |sources: &str| policy("all", 0, &format!("{{everyone: true}}\nrepositories:\n  mend: true\n  sources:\n{sources}"));
        let debian = "  - {name: debian, products: [Debian12], configuration: 'deb [arch=amd64 signed-by=/k.gpg] http://deb.example/debian/ bookworm main'}";
        let rpm = "  - {name: rpms, products: ['*'], configuration: \"[a]\\nbaseurl=https://rpm.example/$releasever/${arch}/os\\ngpgkey=https://rpm.example/key\"}";
        let mirrors = "  - {name: mirrors, products: ['*'], configuration: \"[a]\\nmirrorlist=https://rpm.example/list\"}";
        let here = "http://deb.example/debian";
        assert_eq!(differs(&with(debian), only_install, &[here]), "");
        assert_eq!(
            differs(&with(debian), only_install, &[here, "http://evil.example", "http://evil.example"]),
            "the node has a repository that the policy all does not name: http://evil.example"
        );
        assert_eq!(
            differs(&with(debian), only_install, &["http://evil.example"]),
            "the node lacks the repository debian of the policy all: http://deb.example/debian; the node has a repository that the policy all does not name: http://evil.example"
        );
        assert_eq!(differs(&with(rpm), only_install, &["https://rpm.example/9/x86_64/os/"]), "");
        assert_eq!(differs(&with(mirrors), only_install, &["https://anywhere.example"]), "", "where mirrors lead is not known");
        assert_eq!(differs(&with(&debian.replace("Debian12", "Debian13")), only_install, &["http://evil.example"]), "", "there is none for its product");
        assert!(differs(&with(debian), Allows::SCAN, &[here]).ends_with("needs it: it mends repositories"));
    }
}

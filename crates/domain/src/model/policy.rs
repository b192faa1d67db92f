//! Patch policies: which nodes are scanned and patched, by which baselines, when, and how carefully.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        if self.scan.is_none() && self.install.is_none() {
            wrong.push("it does nothing: give `scan` or `install` a schedule".to_owned());
        }
        if !(1..=MINUTES_MAX).contains(&self.maximum_minutes()) {
            wrong.push(format!("maximum_minutes {} is not from 1 to {MINUTES_MAX}", self.maximum_minutes()));
        }
    }
}

/// How a node's own configuration differs from what a policy needs, a sentence each. Only the node's owner can mend it: no
/// server may make an agent do what that does not allow.
pub fn drift(policy: &Policy, allows: Allows) -> Vec<String> {
    let Allows { install, reboot, hooks } = allows;
    let needed = [
        (policy.install.is_some() && !install, "install", "it installs"),
        (policy.install.is_some() && policy.reboot != PolicyReboot::Never && !reboot, "reboot", "it boots nodes"),
        (policy.hooks.names().next().is_some() && !hooks, "hooks", "it runs hooks"),
    ];
    needed
        .into_iter()
        .filter(|(is_missing, ..)| *is_missing)
        .map(|(_, word, why)| format!("the node does not allow `{word}`, and the policy {} needs it: {why}", policy.name))
        .collect()
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

    #[test]
    fn the_highest_precedence_acts_and_equal_ones_go_by_name() {
        let policy = |name: &str, precedence: i32, targets: &str| {
            let text = format!("schema: policy/v1\nname: {name}\nprecedence: {precedence}\ntargets: {targets}\nscan: {{schedule: daily 01:00}}\n");
            let Intent::Policy(policy) = Intent::parse(&text).unwrap() else { panic!("{name} is a policy") };
            *policy
        };
        let policies =
            [policy("bbb", 0, "{everyone: true}"), policy("aaa", 0, "{everyone: true}"), policy("web", 10, "{tags: {role: web}}"), policy("dbs", 10, "{tags: {role: db}}")];
        let names = |tags: &[(&str, &str)]| policies_of(policies.iter(), &Tagged("mi-1", tags)).into_iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>().join(" ");
        let installs = policy("all", 0, "{everyone: true}\ninstall: {schedule: daily 02:00}");
        assert_eq!(drift(&installs, Allows { install: true, reboot: false, hooks: false }), ["the node does not allow `reboot`, and the policy all needs it: it boots nodes"]);
        assert_eq!(drift(&policies[0], Allows::SCAN), Vec::<String>::new());
        assert_eq!(names(&[("role", "web")]), "web aaa bbb");
        assert_eq!(names(&[]), "aaa bbb");
    }
}

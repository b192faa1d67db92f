//! Rollouts: an operation that moves through rings, a few nodes first, and goes on only on evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::digest::Digest;
use crate::model::intent::check_text;
use crate::model::rate::Rate;
use crate::model::selector::{Selectable, Selector};
use crate::model::time::Timestamp;
use crate::model::window::CutoffBehavior;

/// Most rings.
pub const RINGS_MAX: usize = 20;
/// Longest soak: four weeks.
const SOAK_MINUTES_MAX: u32 = 28 * 24 * 60;
/// The tag by which a node's owner puts it into a later ring. What a node says of itself counts here: it can only wait.
pub const RING_TAG: &str = "fettle:ring";

/// How an operation goes over its nodes. Without rings all are in one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// In order; a node is in the first that has it, and what none has is in the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rings: Vec<Ring>,
    /// How each ring begins.
    #[serde(default)]
    pub start: Start,
    /// Minutes over which the beginnings of a ring's nodes are spread; each node has its own minute, always the same.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spread_minutes: u32,
}

/// A stage of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// Its name.
    pub name: String,
    /// The nodes of a selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Selector>,
    /// This share of the nodes, always the same ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// How many are at work at once: a number or a share of the ring; by its size, as in AWS's Patch now, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<String>,
    /// How many may fail; one more halts the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
    /// The share that must have succeeded before the next ring begins; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_percent: Option<u8>,
    /// How many must have succeeded; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_succeeded: Option<u32>,
    /// Minutes that pass after its last node before the next ring begins.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub soak_minutes: u32,
    /// The same in an emergency.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub emergency_soak_minutes: u32,
    /// What is looked at after the soak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

/// How a ring begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Start {
    /// With as many nodes as may be at work.
    #[default]
    AtOnce,
    /// With one node; the others when that has succeeded.
    FirstNode,
    /// With one, then with one more for each that has succeeded.
    Ramp,
}

/// What tells whether the nodes of a ring do their work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Gate {
    /// A program in the server's folder `gates`, which ends with 0 when all is well.
    Hook {
        /// Its name.
        name: String,
    },
    /// An address that answers with a status from 200 to 299.
    Http {
        /// The address.
        url: String,
    },
    /// A query whose every result is not 0; one without results does not pass.
    Prometheus {
        /// The address of the Prometheus server.
        url: String,
        /// The query.
        query: String,
    },
}

impl Gate {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Hook { name } => format!("the program `{name}`"),
            Self::Http { url } => format!("an answer from {url}"),
            Self::Prometheus { query, .. } => format!("the query `{query}`"),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What is not possible in limits, a sentence each.
pub fn check_limits(place: &str, concurrency: Option<&str>, errors: Option<&str>, wrong: &mut Vec<String>) {
    for (field, limit) in [("concurrency", concurrency), ("errors", errors)] {
        if let Err(error) = (Rate { concurrency: 1, errors: 0 }).with(limit, None, 100) {
            wrong.push(format!("{place}.{field}: {error}"));
        }
        if field == "concurrency" && limit.is_some_and(|limit| limit.trim_end_matches('%') == "0") {
            wrong.push(format!("{place}.concurrency: `0` would let no node begin"));
        }
    }
}

impl Rollout {
    /// The rings, of which there is always one.
    pub fn rings(&self) -> Vec<Ring> {
        if self.rings.is_empty() { vec![Ring { name: "all".to_owned(), ..Ring::default() }] } else { self.rings.clone() }
    }

    /// The ring of a node. Nodes of a ring by percentage follow from the seed, so that they are the same each time.
    pub fn ring_of(&self, node: &impl Selectable, wished: Option<&str>, seed: &str) -> usize {
        let last = self.rings.len().saturating_sub(1);
        let share = share(seed, node.id());
        let mut up_to = 0;
        let is_in = |ring: &Ring| {
            let in_share = ring.percent.map(|percent| {
                up_to += u64::from(percent) * 100;
                share < up_to
            });
            let selected = ring.nodes.as_ref().map(|selector| selector.selects(node));
            in_share.into_iter().chain(selected).all(|is| is) && (ring.percent.is_some() || ring.nodes.is_some())
        };
        let own = self.rings.iter().position(is_in).unwrap_or(last);
        let wished = wished.and_then(|name| self.rings.iter().position(|ring| ring.name == name)).unwrap_or(0);
        own.max(wished)
    }

    /// What is not possible in it, a sentence each.
    pub fn check(&self, wrong: &mut Vec<String>) {
        if self.rings.len() > RINGS_MAX {
            wrong.push(format!("rollout: {} rings are more than {RINGS_MAX}", self.rings.len()));
        }
        let mut percent = 0;
        for (at, ring) in self.rings.iter().enumerate() {
            let place = format!("rollout.rings[{at}]");
            check_text(&format!("{place}.name"), &ring.name, 1, wrong);
            if self.rings[..at].iter().any(|other| other.name == ring.name) {
                wrong.push(format!("{place}.name: there are two rings `{}`", ring.name));
            }
            if ring.nodes.is_none() && ring.percent.is_none() && at + 1 < self.rings.len() {
                wrong.push(format!("{place} has nobody: name `nodes` or a `percent`; only the last ring takes the rest"));
            }
            if let Some(selector) = &ring.nodes {
                selector.check(&format!("{place}.nodes"), wrong);
            }
            percent += u32::from(ring.percent.unwrap_or_default());
            if ring.percent == Some(0) || percent > 100 {
                wrong.push(format!("{place}.percent: shares are from 1, and together at most 100"));
            }
            if ring.success_percent.is_some_and(|percent| percent > 100) {
                wrong.push(format!("{place}.success_percent is more than 100"));
            }
            if ring.soak_minutes.max(ring.emergency_soak_minutes) > SOAK_MINUTES_MAX {
                wrong.push(format!("{place}: a soak is at most {SOAK_MINUTES_MAX} minutes"));
            }
            check_limits(&place, ring.concurrency.as_deref(), ring.errors.as_deref(), wrong);
            let is_url = |url: &str| (url.starts_with("https://") || url.starts_with("http://")) && url.len() < 2000;
            let is_gate = match &ring.gate {
                Some(Gate::Hook { name }) => !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
                Some(Gate::Http { url }) => is_url(url),
                Some(Gate::Prometheus { url, query }) => is_url(url) && !query.is_empty() && query.len() < 4000,
                None => true,
            };
            if !is_gate {
                wrong.push(format!("{place}.gate: a hook is named by letters, digits, `-` and `_`; an address begins with https:// or http://; a query says something"));
            }
        }
    }
}

/// Where a node stands among ten thousand.
fn share(seed: &str, id: &str) -> u64 {
    spread(seed, id) % 10_000
}

/// A number that follows from two names.
pub fn spread(seed: &str, id: &str) -> u64 {
    let digits = Digest::of(format!("{seed} {id}").as_bytes()).short(15);
    u64::from_str_radix(&digits, 16).unwrap_or_default()
}

/// What happened to a rollout as a whole; what happened to its nodes is with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Each ring, in order.
    pub rings: Vec<RingCourse>,
    /// Who paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Act>,
    /// Why it halted itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<Halt>,
    /// What a second person must agree to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Whether soaks are short, and freezes count no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emergency: bool,
    /// After this nothing begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Windows inside which alone nodes begin; any time when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<String>,
    /// What becomes of work that runs when the windows shut.
    #[serde(default)]
    pub cutoff: CutoffBehavior,
    /// Operations that have to end before it begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Whether it halts when what is pinned is not approved any more; who resumes it then keeps to what was pinned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watches_approvals: bool,
    /// Names of the channels that are told; every one when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// What happened to a ring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingCourse {
    /// When its first node could begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_at: Option<Timestamp>,
    /// What its gate showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateResult>,
    /// When the next ring could begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_at: Option<Timestamp>,
    /// Who let the next ring begin without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Act>,
    /// Failures that somebody who resumed a halted rollout has seen.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgiven: u32,
}

/// Somebody did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What a gate showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    /// When.
    pub at: Timestamp,
    /// Whether all is well.
    pub passed: bool,
    /// In words.
    pub words: String,
}

/// A second person's agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What it is about.
    pub why: String,
    /// Who agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Act>,
}

/// Why a rollout halted itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: HaltCause,
}

/// Why a rollout halts itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HaltCause {
    /// Too many nodes failed.
    Failures {
        /// The ring.
        ring: String,
        /// How many.
        failed: u32,
        /// How many may.
        allowed: u32,
    },
    /// Too few of a ring succeeded.
    Success {
        /// The ring.
        ring: String,
        /// How many succeeded.
        succeeded: u32,
        /// How many must.
        needed: u32,
    },
    /// The gate of a ring does not let the next one begin.
    Gate {
        /// The ring.
        ring: String,
        /// What it showed.
        words: String,
    },
    /// Something that is pinned was withdrawn or rejected since it began.
    Withdrawn {
        /// What, and why.
        words: String,
    },
}

impl HaltCause {
    /// In a sentence.
    pub fn words(&self) -> String {
        match self {
            Self::Failures { ring, failed, allowed } => format!("{failed} nodes of the ring {ring} failed, and {allowed} may"),
            Self::Success { ring, succeeded, needed } => format!("{succeeded} nodes of the ring {ring} succeeded, and {needed} must before the next ring begins"),
            Self::Gate { ring, words } => format!("the gate of the ring {ring} is closed: {words}"),
            Self::Withdrawn { words } => words.clone(),
        }
    }

    /// What to do.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Failures { .. } | Self::Success { .. } => "read the receipts of the nodes that failed, then resume, skip the ring, roll it back, or stop",
            Self::Gate { .. } => "find out whether the new versions are the reason; then resume, which asks the gate again, or roll the ring back",
            Self::Withdrawn { .. } => "stop it, and begin again with what is approved now; or resume, which keeps to what was pinned",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::selector::tests::Tagged;

    fn rollout(text: &str) -> Rollout {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn a_node_is_in_the_first_ring_that_has_it_and_its_owner_can_only_make_it_later() {
        let rollout = rollout("rings: [{name: canary, nodes: {tags: {canary: '*'}}}, {name: early, percent: 10}, {name: rest}]");
        let ring = |id: &str, tags: &[(&str, &str)], wished: Option<&str>| rollout.ring_of(&Tagged(id, tags), wished, "web");
        assert_eq!(ring("mi-1", &[("canary", "yes")], None), 0);
        assert_eq!(ring("mi-1", &[("canary", "yes")], Some("rest")), 2);
        let rings: Vec<_> = (0..1000).map(|n| ring(&format!("mi-{n}"), &[], None)).collect();
        let n_early = rings.iter().filter(|ring| **ring == 1).count();
        assert!((80..120).contains(&n_early), "{n_early} of 1000 are in the ring of 10 %");
        let first_late = format!("mi-{}", rings.iter().position(|ring| *ring == 2).unwrap());
        assert_eq!(ring(&first_late, &[], Some("canary")), 2, "never earlier");
        assert_eq!(Rollout::default().ring_of(&Tagged("mi-1", &[]), None, "web"), 0);
    }

    #[test]
    fn what_is_impossible_is_named() {
        let mut wrong = Vec::new();
        let text = "rings: [{name: a}, {name: b, percent: 60, concurrency: '0'}, {name: b, percent: 60, errors: many, gate: {http: {url: ftp://x}}, soak_minutes: 99999}]";
        rollout(text).check(&mut wrong);
        assert_eq!(
            wrong,
            [
                "rollout.rings[0] has nobody: name `nodes` or a `percent`; only the last ring takes the rest",
                "rollout.rings[1].concurrency: `0` would let no node begin",
                "rollout.rings[2].name: there are two rings `b`",
                "rollout.rings[2].percent: shares are from 1, and together at most 100",
                "rollout.rings[2]: a soak is at most 40320 minutes",
                "rollout.rings[2].errors: `many` is neither a number nor a share such as 10%",
                "rollout.rings[2].gate: a hook is named by letters, digits, `-` and `_`; an address begins with https:// or http://; a query says something",
            ]
        );
    }
}

//! What operators want: the documents in force, and which of them are for a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::decide::assign::policy_group;
use domain::model::channel::Channel;
use domain::model::freeze::Freeze;
use domain::model::id::BaselineId;
use domain::model::intent::{Intent, IntentKind};
use domain::model::node::TagSource;
use domain::model::platform::OperatingSystem;
use domain::model::policy::{Drift, NodeFacts, Policy, drift, policies_of};
use domain::model::query::Fact;
use domain::model::reboot_group::RebootGroup;
use domain::model::section::System;
use domain::model::selector::Selectable;
use domain::model::time::Timestamp;
use domain::model::window::Window;

use crate::fleet::{Node, State};

/// A document in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedIntent {
    /// The document.
    pub intent: Intent,
    /// Its version.
    pub version: u32,
    /// Who made that.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
}

/// Every document in force.
#[derive(Debug, Default)]
pub struct Intents(BTreeMap<(IntentKind, String), NamedIntent>);

impl Intents {
    /// Those of a kind, by name.
    pub fn list(&self, kind: IntentKind) -> impl Iterator<Item = &NamedIntent> {
        self.0.range((kind, String::new())..).take_while(move |((of, _), _)| *of == kind).map(|(_, named)| named)
    }

    /// One of them.
    pub fn find(&self, kind: IntentKind, name: &str) -> Option<&NamedIntent> {
        self.0.get(&(kind, name.to_owned()))
    }

    /// The policies.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.list(IntentKind::Policy).filter_map(|named| if let Intent::Policy(policy) = &named.intent { Some(&**policy) } else { None })
    }

    /// Whether a policy names baselines: then what a node runs may change what judges it.
    pub fn choose_baselines(&self) -> bool {
        self.policies().any(|policy| !policy.baselines.is_empty())
    }

    /// A window, and since when it is so.
    pub fn find_window(&self, name: &str) -> Option<(&Window, Timestamp)> {
        let named = self.find(IntentKind::Window, name)?;
        if let Intent::Window(window) = &named.intent { Some((window, named.changed_at)) } else { None }
    }

    /// The freezes, of the past and the future too.
    pub fn freezes(&self) -> impl Iterator<Item = &Freeze> {
        self.list(IntentKind::Freeze).filter_map(|named| if let Intent::Freeze(freeze) = &named.intent { Some(freeze) } else { None })
    }

    /// The reboot groups.
    pub fn reboot_groups(&self) -> impl Iterator<Item = &RebootGroup> {
        self.list(IntentKind::RebootGroup).filter_map(|named| if let Intent::RebootGroup(group) = &named.intent { Some(group) } else { None })
    }

    /// The channels.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.list(IntentKind::Channel).filter_map(|named| if let Intent::Channel(channel) = &named.intent { Some(channel) } else { None })
    }
}

/// A node with its place in the organization.
pub struct Placed<'a> {
    state: &'a State,
    node: &'a Node,
    account: &'a str,
    units: Vec<&'a str>,
    region: &'a str,
    system: Option<&'a System>,
}

impl Selectable for Placed<'_> {
    fn id(&self) -> &str {
        self.node.record.id.as_str()
    }

    fn account(&self) -> &str {
        self.account
    }

    fn units(&self) -> &[&str] {
        &self.units
    }

    fn region(&self) -> &str {
        self.region
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.node.tags.get(key).filter(|(source, _)| *source != TagSource::Fact).map(|(_, value)| value.as_str())
    }

    fn operating_system(&self) -> Option<OperatingSystem> {
        self.system.and_then(|system| system.platform.operating_system)
    }

    fn fact(&self, fact: &Fact) -> Option<&str> {
        match fact {
            Fact::Name => Some(&self.node.name),
            Fact::Product => self.system.map(|system| system.platform.product.as_str()),
            Fact::Architecture => self.system.map(|system| system.platform.architecture.as_str()),
            Fact::Agent => self.node.record.agent_version.as_deref(),
            Fact::Tag(key) => self.node.report.as_ref()?.fact_tags.get(key).map(String::as_str),
        }
    }

    fn has_package(&self, name: &str, is_wanted: &dyn Fn(&str) -> bool) -> bool {
        self.node.list().is_some_and(|list| self.state.index.versions_of(list, name).any(is_wanted))
    }
}

impl State {
    /// A node with its place in the organization.
    pub fn placed<'a>(&'a self, node: &'a Node) -> Placed<'a> {
        let organization = &self.organization;
        let account = organization.accounts.iter().find(|account| account.id == node.record.account_id);
        let region = organization.regions.iter().find(|region| region.id == node.record.region_id);
        Placed {
            state: self,
            node,
            account: account.map(|account| account.name.as_str()).unwrap_or_default(),
            units: account.map(|account| organization.path(&account.unit_id).into_iter().map(|unit| unit.name.as_str()).collect()).unwrap_or_default(),
            region: region.map(|region| region.name.as_str()).unwrap_or_default(),
            system: self.system(node).map(Arc::as_ref),
        }
    }

    /// The policies that are for a node: the first acts, the others are shadowed.
    pub fn policies_of(&self, node: &Node) -> Vec<&Policy> {
        policies_of(self.intents.policies(), &self.placed(node))
    }

    /// How a node differs from what a policy says.
    pub fn drift(&self, node: &Node, policy: &Policy) -> Vec<Drift> {
        let product = self.system(node).map(|system| system.platform.product.as_str()).unwrap_or_default();
        drift(policy, &NodeFacts { allows: node.record.allows, product, repositories: self.repositories(node) })
    }

    /// What chooses a node's baseline: the policy that acts, where that names baselines, else its patch group.
    pub(super) fn group_of(&self, node: &Node) -> Option<String> {
        if !self.intents.choose_baselines() {
            return super::patch_group(node).cloned();
        }
        let acting = self.policies_of(node).into_iter().next().filter(|policy| !policy.baselines.is_empty());
        acting.map(|policy| policy_group(&policy.name)).or_else(|| super::patch_group(node).cloned())
    }

    /// Takes in what the store has.
    pub(crate) fn load_intents(&mut self, intents: Vec<NamedIntent>, now: Timestamp) {
        self.intents = Intents(intents.into_iter().map(|named| ((named.intent.kind(), named.intent.name().to_owned()), named)).collect());
        for (system, group, id) in self.policy_baselines() {
            self.assign_baseline(&(system, Some(group)), Some(id), now);
        }
    }

    /// Nodes are judged by what they run now, where a policy looks at that.
    pub(crate) fn regroup_all(&mut self, now: Timestamp) {
        for number in 0..self.next_number() {
            self.regroup(number, now);
        }
    }

    /// A document has a new version, or is there no more: nodes are judged by the baselines that it names.
    pub(crate) fn place_intent(&mut self, kind: IntentKind, name: &str, named: Option<NamedIntent>, now: Timestamp) {
        match named {
            Some(named) => self.intents.0.insert((kind, name.to_owned()), named),
            None => self.intents.0.remove(&(kind, name.to_owned())),
        };
        if kind != IntentKind::Policy {
            return;
        }
        let wanted: BTreeMap<_, _> = self.policy_baselines().into_iter().map(|(system, group, id)| ((system, group), id)).collect();
        let is_of_policy = |group: &String| domain::decide::assign::policy_of(group).is_some();
        let present: Vec<_> = self.baselines.assignments.groups.iter().filter(|((_, group), _)| is_of_policy(group)).map(|(scope, id)| (scope.clone(), id.clone())).collect();
        for (scope, _) in present.iter().filter(|(scope, _)| !wanted.contains_key(scope)) {
            self.assign_baseline(&(scope.0, Some(scope.1.clone())), None, now);
        }
        for (scope, id) in wanted {
            if !present.contains(&(scope.clone(), id.clone())) {
                self.assign_baseline(&(scope.0, Some(scope.1)), Some(id), now);
            }
        }
        self.regroup_all(now);
    }

    /// The baselines that policies name; what is not there is judged by the default.
    fn policy_baselines(&self) -> Vec<(OperatingSystem, String, BaselineId)> {
        let of_policy = |policy: &Policy| {
            let group = policy_group(&policy.name);
            let found = policy.baselines.iter().filter_map(|(system, name)| Some((*system, self.baselines.find_by_name(name)?)));
            found.map(|(system, named)| (system, group.clone(), named.id.clone())).collect::<Vec<_>>()
        };
        self.intents.policies().flat_map(of_policy).collect()
    }
}

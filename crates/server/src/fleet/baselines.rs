//! The baselines that there are, what each was chosen for, and keeping the index in step with both.

use std::collections::BTreeMap;

use domain::decide::assign::{Assignments, PATCH_GROUP_TAGS, Through};
use domain::fleet::Scope;
use domain::model::baseline::{self, NamedBaseline};
use domain::model::id::BaselineId;
use domain::model::node::TagSource;
use domain::model::platform::OperatingSystem;
use domain::model::section::Section;
use domain::model::time::Timestamp;

use crate::fleet::{Node, State};

/// Every baseline by its id, and what each was chosen for.
#[derive(Debug, Default)]
pub struct Baselines {
    named: BTreeMap<BaselineId, NamedBaseline>,
    /// What people chose.
    pub assignments: Assignments,
}

impl Baselines {
    /// Every baseline, by id.
    pub fn list(&self) -> impl Iterator<Item = &NamedBaseline> {
        self.named.values()
    }

    /// The baseline with this id.
    pub fn find(&self, id: &BaselineId) -> Option<&NamedBaseline> {
        self.named.get(id)
    }

    /// The baseline with this name. Names are unique.
    pub fn find_by_name(&self, name: &str) -> Option<&NamedBaseline> {
        self.named.values().find(|named| named.baseline.name == name)
    }

    /// The baseline of a node with this system and patch group, and through what it applies.
    pub fn of(&self, system: OperatingSystem, group: Option<&str>) -> Option<(&NamedBaseline, Through)> {
        let (id, through) = self.assignments.assign(system, group);
        Some((self.named.get(&id)?, through))
    }
}

/// A node's patch group: facts that a node says of itself do not count.
pub fn patch_group(node: &Node) -> Option<&String> {
    PATCH_GROUP_TAGS.iter().find_map(|key| node.tags.get(*key)).filter(|(source, _)| *source != TagSource::Fact).map(|(_, value)| value)
}

impl State {
    /// The baseline that judges a node, once its operating system is known.
    pub fn baseline_of(&self, node: &Node) -> Option<(&NamedBaseline, Through)> {
        self.baselines.of(self.system(node)?.platform.operating_system?, node.cohort.patch_group.as_deref())
    }

    /// Takes in what the store has; without anything it is the predefined baselines.
    pub(crate) fn load_baselines(&mut self, stored: Vec<NamedBaseline>, assignments: Assignments, now: Timestamp) {
        let all = baseline::predefined().into_iter().chain(stored);
        self.baselines = Baselines { named: all.map(|named| (named.id.clone(), named)).collect(), assignments };
        let groups = self.baselines.assignments.groups.keys().map(|(system, group)| (*system, Some(group.clone())));
        let scopes: Vec<Scope> = OperatingSystem::ALL.map(|system| (system, None)).into_iter().chain(groups).collect();
        for scope in scopes {
            self.judge_scope(&scope, now);
        }
    }

    /// A baseline has a new version: the nodes that it is for are judged again.
    pub(crate) fn place_baseline(&mut self, named: NamedBaseline, now: Timestamp) {
        let id = named.id.clone();
        self.baselines.named.insert(id.clone(), named);
        for scope in self.scopes_of(&id) {
            self.judge_scope(&scope, now);
        }
    }

    /// A baseline was deleted; it was for nobody.
    pub(crate) fn remove_baseline(&mut self, id: &BaselineId) {
        self.baselines.named.remove(id);
    }

    /// Another baseline was chosen for a scope, or none.
    pub(crate) fn assign_baseline(&mut self, scope: &Scope, id: Option<BaselineId>, now: Timestamp) {
        let Assignments { defaults, groups } = &mut self.baselines.assignments;
        let (system, group) = scope.clone();
        match (group, id) {
            (None, Some(id)) => drop(defaults.insert(system, id)),
            (None, None) => drop(defaults.remove(&system)),
            (Some(group), Some(id)) => drop(groups.insert((system, group), id)),
            (Some(group), None) => drop(groups.remove(&(system, group))),
        }
        self.judge_scope(scope, now);
    }

    /// The scopes that a baseline judges.
    pub fn scopes_of(&self, id: &BaselineId) -> Vec<Scope> {
        let Assignments { groups, .. } = &self.baselines.assignments;
        let defaults = OperatingSystem::ALL.into_iter().filter(|system| self.baselines.assignments.assign(*system, None).0 == *id).map(|system| (system, None));
        let groups = groups.iter().filter(|(_, chosen)| *chosen == id).map(|((system, group), _)| (*system, Some(group.clone())));
        defaults.chain(groups).collect()
    }

    /// Puts the baseline of a scope into the index; a group without one has none of its own.
    fn judge_scope(&mut self, scope: &Scope, now: Timestamp) {
        let (system, group) = scope;
        let has_own = group.as_ref().is_none_or(|group| self.baselines.assignments.groups.contains_key(&(*system, group.clone())));
        let baseline = self.baselines.of(*system, group.as_deref()).filter(|_| has_own).map(|(named, _)| named.baseline.clone());
        self.index.set_baseline(scope, baseline, now);
    }

    /// The tags or the place of a node changed, or the exceptions: if its cohort did, its packages are judged with those
    /// of that.
    pub(crate) fn regroup(&mut self, number: u32, now: Timestamp) {
        let cohort = self.cohort_of(&self.nodes[number as usize]);
        if *self.nodes[number as usize].cohort == cohort {
            return;
        }
        self.nodes[number as usize].cohort = cohort.into();
        let node = &self.nodes[number as usize];
        let (Some(list), Some(report)) = (node.list(), node.report.as_ref()) else { return };
        let platform = self.systems[&report.sections[Section::System]].platform.clone();
        let (packages, available) = (report.sections[Section::Packages], report.sections[Section::Available]);
        let context = self.index.context(&platform, &node.cohort.clone());
        let moved = self.lists.get(&(context, packages, available)).copied();
        let moved = moved.unwrap_or_else(|| self.index.move_list(list, context, now));
        if let Some(rows) = self.available.get(&(self.index.context_of(list), available)).cloned() {
            self.available.insert((context, available), rows);
        }
        self.lists.insert((context, packages, available), moved);
        self.list_of_packages.insert((context, packages), moved);
        self.index.join(moved);
        self.index.leave(list);
        self.nodes[number as usize].set_list(moved);
    }
}

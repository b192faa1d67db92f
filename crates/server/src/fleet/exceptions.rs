//! Exceptions that hold, and whose each node's are.

use domain::model::baseline::Exception;
use domain::model::exception::{Cohort, GrantedException};
use domain::model::node::TagSource;
use domain::model::time::Timestamp;

use crate::fleet::{Node, State};

impl State {
    /// Takes in what the store has; what has ended is for nobody.
    pub(crate) fn load_exceptions(&mut self, granted: Vec<(u32, GrantedException)>, now: Timestamp) {
        self.n_exceptions = granted.last().map_or(0, |(number, _)| number + 1);
        for (number, granted) in granted.into_iter().filter(|(_, granted)| granted.holds(now)) {
            self.index.set_exception(number, Some(granted.exception.clone()));
            self.exceptions.insert(number, granted);
        }
    }

    /// The number that the next exception gets.
    pub(crate) fn next_exception(&self) -> u32 {
        self.n_exceptions
    }

    /// An exception was granted or revoked: the nodes that it is for are judged with it or without.
    pub(crate) fn place_exception(&mut self, number: u32, granted: GrantedException, now: Timestamp) {
        self.n_exceptions = self.n_exceptions.max(number + 1);
        if granted.holds(now) {
            self.index.set_exception(number, Some(granted.exception.clone()));
            self.exceptions.insert(number, granted);
        } else {
            self.exceptions.remove(&number);
        }
        self.regroup_all(now);
        if !self.exceptions.contains_key(&number) {
            self.index.set_exception(number, None);
        }
    }

    /// What a node is judged with.
    pub(super) fn cohort_of(&self, node: &Node) -> Cohort {
        let exceptions = self.exceptions.iter().filter(|(_, granted)| is_for(granted, node)).map(|(number, _)| *number);
        Cohort { patch_group: self.group_of(node), exceptions: exceptions.collect() }
    }

    /// The exceptions that are for a node.
    pub fn exceptions_of<'s>(&'s self, node: &'s Node) -> impl Iterator<Item = &'s Exception> {
        node.cohort.exceptions.iter().filter_map(|number| self.exceptions.get(number)).map(|granted| &granted.exception)
    }

    /// How many nodes an exception is for.
    pub fn n_nodes_of(&self, granted: &GrantedException) -> u32 {
        let n_nodes = self.nodes.iter().filter(|node| !node.is_retired() && is_for(granted, node)).count();
        u32::try_from(n_nodes).unwrap_or(u32::MAX)
    }
}

/// Whether an exception is for a node. What a node says of itself does not count.
fn is_for(granted: &GrantedException, node: &Node) -> bool {
    let tag = |key: &str| node.tags.get(key).filter(|(source, _)| *source != TagSource::Fact).map(|(_, value)| value.as_str());
    granted.targets.include(&node.record.id, &node.record.account_id, &node.record.region_id, tag)
}

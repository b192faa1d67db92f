//! Questions about the whole fleet, answered from memory.

use std::cmp::Ordering;

use domain::model::compliance::{Counts, Verdict};
use domain::model::id::{AccountId, NodeId, RegionId};
use domain::model::node::{Presence, QuietLimits, presence};
use domain::model::query::Query;
use domain::model::time::Timestamp;

use crate::fleet::names::Names;
use crate::fleet::{Node, State};

/// Which nodes are wanted, in which order.
#[derive(Debug, Clone)]
pub struct NodeQuery {
    /// Part of the name or the id, in lower case; host names are ASCII.
    pub text: Option<String>,
    /// Verdict as it stands today.
    pub verdict: Option<Verdict>,
    /// Whether they are heard of; without it retired nodes are left out.
    pub presence: Option<Presence>,
    /// In one of these accounts.
    pub accounts: Option<Vec<AccountId>>,
    /// In this region.
    pub region: Option<RegionId>,
    /// With these tags; a tag without a value matches any.
    pub tags: Vec<(String, Option<String>)>,
    /// With this product, such as `Debian12`.
    pub product: Option<String>,
    /// That this finds.
    pub query: Option<Query>,
    /// Order.
    pub sort: NodeSort,
    /// The last node of the page before.
    pub after: Option<PagePlace>,
    /// Most nodes of the page.
    pub limit: usize,
}

/// Orders of nodes; each ends with the id, so that it is total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NodeSort {
    /// Most missing patches first.
    #[default]
    Missing,
    /// By name.
    Name,
    /// Longest without a report first.
    LastReport,
}

/// Where a page ends: the sort column's value and the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagePlace {
    /// The value.
    pub value: PageValue,
    /// The id.
    pub id: NodeId,
}

/// A sort column's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageValue {
    /// Counts and times.
    Number(i64),
    /// Names.
    Text(String),
}

/// Sums over all nodes but the retired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetSummary {
    /// All nodes.
    pub n_nodes: u32,
    /// Compliant ones.
    pub n_compliant: u32,
    /// Those that are not.
    pub n_non_compliant: u32,
    /// Those of which it cannot be said.
    pub n_unknown: u32,
    /// Nodes that no baseline is for.
    pub n_unmanaged: u32,
    /// Of the unknown, those whose last report is too old.
    pub n_stale: u32,
    /// Nodes that are late.
    pub n_late: u32,
    /// Nodes that are silent.
    pub n_silent: u32,
    /// Patches by state, summed.
    pub counts: Counts,
}

/// What a question is asked with besides its filters.
#[derive(Debug, Clone, Copy)]
pub struct Present {
    /// Now.
    pub now: Timestamp,
    /// Reports before this instant are stale.
    pub stale_before: Timestamp,
    /// How long a node may be quiet.
    pub limits: QuietLimits,
}

impl Present {
    /// Whether a node is heard of.
    pub fn presence(&self, node: &Node) -> Presence {
        presence(self.limits, node.seen_at(), node.is_retired(), self.now)
    }
}

/// A node's place in an order, without copying its name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Number(i64),
    Text(&'a str),
}

/// A place in the order of ids, by the node's number where that is the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank<'a> {
    /// Before all nodes.
    First,
    Number(u32),
    Id(&'a str),
}

impl State {
    /// A page of nodes, and how many there are on all pages.
    pub fn list(&self, query: &NodeQuery, present: &Present) -> (Vec<&Node>, u32) {
        let after = query.after.as_ref().map(|place| {
            let key = match &place.value {
                PageValue::Number(number) => Key::Number(*number),
                PageValue::Text(text) => Key::Text(text),
            };
            (key, self.rank_of_id(place.id.as_str()))
        });
        let mut n_found = 0;
        // The page is kept sorted while nodes go by: most do not get in.
        let mut page: Vec<((Key, Rank), &Node)> = Vec::with_capacity(query.limit + 1);
        for (number, node) in self.candidates(query).filter(|(_, node)| self.matches(node, query, present)) {
            n_found += 1;
            let place = (self.key(node, query.sort), self.rank(number, node));
            if after.as_ref().is_some_and(|after| place <= *after) || (page.len() == query.limit && page.last().is_some_and(|(last, _)| place >= *last)) {
                continue;
            }
            let at = page.partition_point(|(other, _)| other.cmp(&place) == Ordering::Less);
            page.insert(at, (place, node));
            page.truncate(query.limit);
        }
        (page.into_iter().map(|(_, node)| node).collect(), n_found)
    }

    /// A node's place in the order of ids. Ids follow from the time, so nodes are nearly always in it.
    fn rank<'a>(&self, number: u32, node: &'a Node) -> Rank<'a> {
        if self.ids_in_order { Rank::Number(number) } else { Rank::Id(node.record.id.as_str()) }
    }

    fn rank_of_id<'a>(&self, id: &'a str) -> Rank<'a> {
        if !self.ids_in_order {
            return Rank::Id(id);
        }
        let n_up_to = self.nodes.partition_point(|node| node.record.id.as_str() <= id);
        n_up_to.checked_sub(1).map_or(Rank::First, |number| Rank::Number(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// Every node that a query finds.
    pub fn find_all<'a>(&'a self, query: &'a NodeQuery, present: &'a Present) -> impl Iterator<Item = &'a Node> {
        self.candidates(query).map(|(_, node)| node).filter(move |node| self.matches(node, query, present))
    }

    /// The nodes that the text of a query finds, by number.
    fn candidates<'a>(&'a self, query: &NodeQuery) -> Box<dyn Iterator<Item = (u32, &'a Node)> + 'a> {
        let Some(text) = &query.text else { return Box::new((0..).zip(&self.nodes)) };
        let names = self.names.get_or_init(|| Names::of(self.nodes.iter().map(|node| (node.name.as_str(), node.record.id.as_str()))));
        Box::new(names.find(text).filter_map(|number| Some((u32::try_from(number).ok()?, self.nodes.get(number)?))))
    }

    /// Nodes in the order of their ids, from the first after this one.
    pub fn in_order_after(&self, id: Option<&str>) -> Box<dyn Iterator<Item = &Node> + '_> {
        let is_up_to = |node: &Node| id.is_some_and(|id| node.record.id.as_str() <= id);
        if self.ids_in_order {
            return Box::new(self.nodes[self.nodes.partition_point(is_up_to)..].iter());
        }
        let mut nodes: Vec<&Node> = self.nodes.iter().filter(|node| !is_up_to(node)).collect();
        nodes.sort_unstable_by(|a, b| a.record.id.cmp(&b.record.id));
        Box::new(nodes.into_iter())
    }

    fn key<'a>(&self, node: &'a Node, sort: NodeSort) -> Key<'a> {
        match sort {
            NodeSort::Missing => Key::Number(-i64::from(self.tally(node).n_missing())),
            NodeSort::Name => Key::Text(&node.name),
            NodeSort::LastReport => Key::Number(node.collected_at().map_or(0, Timestamp::as_millis)),
        }
    }

    /// Where a node stands in an order.
    pub fn place(&self, node: &Node, sort: NodeSort) -> PagePlace {
        let value = match self.key(node, sort) {
            Key::Number(number) => PageValue::Number(number),
            Key::Text(text) => PageValue::Text(text.to_owned()),
        };
        PagePlace { value, id: node.record.id.clone() }
    }

    /// Whether a node is wanted, but for the text.
    fn matches(&self, node: &Node, query: &NodeQuery, present: &Present) -> bool {
        let is_present = match query.presence {
            Some(presence) => present.presence(node) == presence,
            None => !node.is_retired(),
        };
        let has_tag = |(key, value): &(String, Option<String>)| {
            let own = node.tags.get(key).map(|(_, value)| value);
            let of_facts = || node.report.as_ref().and_then(|report| report.fact_tags.get(key));
            own.or_else(of_facts).is_some_and(|found| value.as_ref().is_none_or(|wanted| wanted == found))
        };
        is_present
            && query.accounts.as_ref().is_none_or(|accounts| accounts.contains(&node.record.account_id))
            && query.region.as_ref().is_none_or(|region| node.record.region_id == *region)
            && query.product.as_ref().is_none_or(|product| self.system(node).is_some_and(|system| system.platform.product == *product))
            && query.tags.iter().all(has_tag)
            && query.query.as_ref().is_none_or(|wanted| wanted.finds(&self.placed(node)))
            && query.verdict.is_none_or(|verdict| self.verdict(node, present.now, present.stale_before).0 == verdict)
    }

    /// Sums over all nodes, as things stand now.
    pub fn summarize(&self, present: &Present) -> FleetSummary {
        let mut summary = FleetSummary::default();
        let mut sums = [0_u64; 9];
        for node in self.nodes.iter().filter(|node| !node.is_retired()) {
            summary.n_nodes += 1;
            let (verdict, stale) = self.verdict(node, present.now, present.stale_before);
            summary.n_stale += u32::from(stale);
            match verdict {
                Verdict::Compliant => summary.n_compliant += 1,
                Verdict::NonCompliant => summary.n_non_compliant += 1,
                Verdict::Unknown => summary.n_unknown += 1,
                Verdict::Unmanaged => summary.n_unmanaged += 1,
            }
            match present.presence(node) {
                Presence::Late => summary.n_late += 1,
                Presence::Silent => summary.n_silent += 1,
                _ => {}
            }
            for (sum, count) in sums.iter_mut().zip(self.tally(node).0) {
                *sum += u64::from(count.unsigned_abs());
            }
        }
        summary.counts = Counts::of_numbers(sums.map(|sum| u32::try_from(sum).unwrap_or(u32::MAX)));
        summary
    }
}

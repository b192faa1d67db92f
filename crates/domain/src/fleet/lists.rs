//! Lists of standings: whole, or as an edit of a similar whole one.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::fleet::ContextId;
use crate::fleet::tally::{Tally, TallyOf};

/// The number of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId(u32);

impl ListId {
    /// Its place among what is kept for each list.
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// All lists, by number, and which lists hold a standing.
#[derive(Debug, Default)]
pub struct Lists {
    lists: Vec<List>,
    /// Whole lists that hold a standing.
    wholes_with: Vec<Vec<u32>>,
    /// Edits that add a standing.
    edits_with: Vec<Vec<u32>>,
    /// Edits that remove a standing.
    without: HashMap<u32, Vec<u32>>,
    n_entries: usize,
    n_unused: usize,
}

#[derive(Debug)]
struct List {
    context: ContextId,
    body: Body,
    /// Of a whole list its tally, of an edit the difference.
    tally: Tally,
    n_users: u32,
    /// Users of the list and of its edits.
    n_users_in_all: u32,
}

#[derive(Debug)]
enum Body {
    Whole(Box<[u32]>),
    Edit { of: u32, changes: Box<[Change]> },
}

/// At a place of the whole list, a standing is left out or put in.
#[derive(Debug, Clone, Copy)]
struct Change {
    at: u32,
    number: u32,
    adds: bool,
}

/// An edit with more changes than this share of the list is stored whole: it is another image, and
/// nodes that drifted from it are small edits of it.
const EDIT_SHARE_MAX: usize = 8;
/// How many of its rarest standings a list is looked up by, in how many lists each, and how many of
/// the lists that most of them name are compared.
const PROBES: usize = 12;
const LISTS_PER_PROBE: usize = 32;
const SIMILAR_MAX: usize = 3;
/// Forgetting costs a pass over everything, so it waits until there is something to gain.
const UNUSED_MIN: usize = 1024;

impl Lists {
    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Makes room for this many standings.
    pub fn grow(&mut self, n_standings: usize) {
        self.wholes_with.resize_with(n_standings, Vec::new);
        self.edits_with.resize_with(n_standings, Vec::new);
    }

    /// Standings in all lists, an edit counted by its changes.
    pub fn n_entries(&self) -> usize {
        self.n_entries
    }

    /// The whole list that a list is an edit of, or itself.
    pub fn whole(&self, list: ListId) -> ListId {
        ListId(self.whole_of(list.0))
    }

    /// The context of a list.
    pub fn context(&self, list: ListId) -> ContextId {
        self.lists[list.0 as usize].context
    }

    /// Adds a list of standings in the order of their packages. `like` is a list of the same context.
    pub fn insert(&mut self, context: ContextId, numbers: &[u32], like: Option<ListId>, order: impl Fn(u32, u32) -> Ordering, tally: impl Fn(u32) -> Tally) -> ListId {
        let n_changes_max = numbers.len() / EDIT_SHARE_MAX;
        let compare = |of: u32| Some((of, difference(self.whole_numbers(of), numbers, n_changes_max, &order)?));
        let best = like
            .and_then(|like| compare(self.whole_of(like.0)))
            .or_else(|| self.similar(context, numbers).into_iter().filter_map(compare).min_by_key(|(_, changes)| changes.len()));
        let (body, tally) = if let Some((of, changes)) = best {
            let sum = changes.iter().fold(Tally::default(), |sum, change| if change.adds { sum.plus(&tally(change.number)) } else { sum - tally(change.number) });
            (Body::Edit { of, changes: changes.into() }, sum)
        } else {
            (Body::Whole(numbers.into()), numbers.iter().fold(Tally::default(), |sum, number| sum.plus(&tally(*number))))
        };
        self.push(List { context, body, tally, n_users: 0, n_users_in_all: 0 })
    }

    fn push(&mut self, list: List) -> ListId {
        let id = u32::try_from(self.lists.len()).expect("there are fewer than four billion lists");
        match &list.body {
            Body::Whole(numbers) => {
                self.n_entries += numbers.len();
                for &number in numbers {
                    self.wholes_with[number as usize].push(id);
                }
            }
            Body::Edit { changes, .. } => {
                self.n_entries += changes.len();
                for change in changes {
                    if change.adds { self.edits_with[change.number as usize].push(id) } else { self.without.entry(change.number).or_default().push(id) }
                }
            }
        }
        self.n_unused += usize::from(list.n_users_in_all == 0);
        self.lists.push(list);
        ListId(id)
    }

    /// The standings of a list, in the order of their packages.
    pub fn numbers(&self, list: ListId) -> Vec<u32> {
        match &self.lists[list.0 as usize].body {
            Body::Whole(numbers) => numbers.to_vec(),
            Body::Edit { of, changes } => {
                let whole = self.whole_numbers(*of);
                let mut numbers = Vec::with_capacity(whole.len() + changes.len());
                let mut from = 0;
                for change in changes {
                    let at = change.at as usize;
                    numbers.extend_from_slice(&whole[from..at]);
                    from = at;
                    if change.adds { numbers.push(change.number) } else { from += 1 }
                }
                numbers.extend_from_slice(&whole[from..]);
                numbers
            }
        }
    }

    /// The standings of a list that are equal by an order in which lists are sorted.
    pub fn range(&self, list: ListId, order: impl Fn(u32) -> Ordering) -> Vec<u32> {
        let of_whole = |of: u32| {
            let whole = self.whole_numbers(of);
            let from = whole.partition_point(|number| order(*number).is_lt());
            whole[from..].iter().copied().take_while(|number| order(*number).is_eq())
        };
        match &self.lists[list.0 as usize].body {
            Body::Whole(_) => of_whole(list.0).collect(),
            Body::Edit { of, changes } => {
                let of_range = |adds: bool| changes.iter().filter(move |change| change.adds == adds).map(|change| change.number).filter(|number| order(*number).is_eq());
                of_whole(*of).filter(|number| !of_range(false).any(|removed| removed == *number)).chain(of_range(true)).collect()
            }
        }
    }

    /// Patches by state on a node with this list.
    pub fn tally(&self, list: ListId) -> Tally {
        let list = &self.lists[list.0 as usize];
        match &list.body {
            Body::Whole(_) => list.tally,
            Body::Edit { of, .. } => self.lists[*of as usize].tally.plus(&list.tally),
        }
    }

    /// More or fewer nodes have a list.
    pub fn change_users(&mut self, list: ListId, change: i32) {
        let of = self.whole_of(list.0);
        self.lists[list.0 as usize].n_users = self.lists[list.0 as usize].n_users.saturating_add_signed(change);
        let whole = if of == list.0 { None } else { Some(of) };
        for at in std::iter::once(list.0).chain(whole) {
            let list = &mut self.lists[at as usize];
            let was_used = list.n_users_in_all > 0;
            list.n_users_in_all = list.n_users_in_all.saturating_add_signed(change);
            match (was_used, list.n_users_in_all > 0) {
                (true, false) => self.n_unused += 1,
                (false, true) => self.n_unused -= 1,
                _ => {}
            }
        }
    }

    /// Nodes of a context that have a standing.
    pub fn n_nodes_with(&self, context: ContextId, number: u32) -> u32 {
        let of_context = |list: &&List| list.context == context;
        let with = self.with(number).map(|at| &self.lists[at as usize]).filter(of_context);
        let without = self.without.get(&number).into_iter().flatten().map(|at| &self.lists[*at as usize]).filter(of_context);
        with.map(|list| list.n_users_in_all).sum::<u32>() - without.map(|list| list.n_users_in_all).sum::<u32>()
    }

    /// Marks the lists of a context that hold one of these standings, by their numbers.
    pub fn mark<T: Copy>(&self, context: ContextId, standings: &[(u32, T)], marks: &mut Vec<Option<T>>) {
        marks.resize(self.lists.len(), None);
        let of_context = |at: &&u32| self.lists[**at as usize].context == context;
        let mut marks_wholes = false;
        for &(number, mark) in standings {
            for &whole in self.wholes_with[number as usize].iter().filter(of_context) {
                marks[whole as usize] = Some(mark);
                marks_wholes = true;
            }
        }
        if marks_wholes {
            // A list is made before its edits.
            for (at, list) in self.lists.iter().enumerate().filter(|(_, list)| list.context == context) {
                if let Body::Edit { of, .. } = &list.body {
                    marks[at] = marks[*of as usize];
                }
            }
        }
        for (number, _) in standings {
            for &at in self.without.get(number).into_iter().flatten().filter(of_context) {
                marks[at as usize] = None;
            }
        }
        for &(number, mark) in standings {
            for &at in self.edits_with[number as usize].iter().filter(of_context) {
                marks[at as usize] = Some(mark);
            }
        }
    }

    /// How many lists these standings are in.
    pub fn touches(&self, changes: &[(u32, Tally)]) -> usize {
        changes.iter().map(|(number, _)| self.with(*number).count() + self.without.get(number).map_or(0, Vec::len)).sum()
    }

    /// Changes the tallies of the lists of a context that hold these standings.
    pub fn change_tallies(&mut self, context: ContextId, changes: &[(u32, Tally)]) {
        for (number, difference) in changes {
            for &at in self.wholes_with[*number as usize].iter().chain(&self.edits_with[*number as usize]) {
                let list = &mut self.lists[at as usize];
                if list.context == context {
                    list.tally += *difference;
                }
            }
            for &at in self.without.get(number).into_iter().flatten() {
                let list = &mut self.lists[at as usize];
                if list.context == context {
                    list.tally = list.tally - *difference;
                }
            }
        }
    }

    /// Counts every list of a context again.
    pub fn recount(&mut self, context: ContextId, table: &TallyOf) {
        for list in self.lists.iter_mut().filter(|list| list.context == context) {
            list.tally = match &list.body {
                Body::Whole(numbers) => table.sum(numbers),
                Body::Edit { changes, .. } => {
                    changes.iter().fold(Tally::default(), |sum, change| if change.adds { sum.plus(&table.of(change.number)) } else { sum - table.of(change.number) })
                }
            };
        }
    }

    /// What the tallies of the lists of a context would be by other bytes, by the numbers of the lists.
    pub fn tallies_by(&self, context: ContextId, table: &TallyOf, tallies: &mut Vec<Option<Tally>>) {
        tallies.resize(self.lists.len(), None);
        for (at, list) in self.lists.iter().enumerate().filter(|(_, list)| list.context == context) {
            // A list is made before its edits.
            tallies[at] = match &list.body {
                Body::Whole(numbers) => Some(table.sum(numbers)),
                Body::Edit { of, changes } => tallies[*of as usize]
                    .map(|whole| changes.iter().fold(whole, |sum, change| if change.adds { sum.plus(&table.of(change.number)) } else { sum - table.of(change.number) })),
            };
        }
    }

    /// Whether most lists have no node.
    pub fn is_mostly_unused(&self) -> bool {
        self.n_unused > UNUSED_MIN && self.n_unused * 2 > self.lists.len()
    }

    /// Forgets lists without nodes; the new ids of the others.
    pub fn forget_unused(&mut self) -> HashMap<ListId, ListId> {
        let n_standings = self.wholes_with.len();
        let old = std::mem::take(self);
        self.grow(n_standings);
        let mut kept = HashMap::new();
        for (list, at) in old.lists.into_iter().zip(0..).filter(|(list, _)| list.n_users_in_all > 0) {
            let body = match list.body {
                Body::Edit { of, changes } => {
                    let ListId(of) = kept[&ListId(of)];
                    Body::Edit { of, changes }
                }
                whole @ Body::Whole(_) => whole,
            };
            let id = self.push(List { body, ..list });
            kept.insert(ListId(at), id);
        }
        kept
    }

    /// Whole lists that hold a standing, and edits that add it.
    fn with(&self, number: u32) -> impl Iterator<Item = u32> {
        self.wholes_with[number as usize].iter().chain(&self.edits_with[number as usize]).copied()
    }

    /// Whole lists that are probably similar: those that hold most of the rarest standings.
    fn similar(&self, context: ContextId, numbers: &[u32]) -> Vec<u32> {
        let mut rarest: Vec<_> = numbers.iter().map(|number| (self.wholes_with[*number as usize].len(), *number)).filter(|(n_lists, _)| *n_lists > 0).collect();
        if rarest.len() > PROBES {
            rarest.select_nth_unstable(PROBES);
            rarest.truncate(PROBES);
        }
        let named = rarest.iter().flat_map(|(_, number)| self.wholes_with[*number as usize].iter().rev().take(LISTS_PER_PROBE));
        let mut named: Vec<u32> = named.copied().filter(|list| self.lists[*list as usize].context == context).collect();
        named.sort_unstable();
        let mut counted: Vec<_> = named.chunk_by(|a, b| a == b).map(|same| (std::cmp::Reverse(same.len()), same[0])).collect();
        counted.sort_unstable();
        counted.into_iter().take(SIMILAR_MAX).map(|(_, list)| list).collect()
    }

    fn whole_of(&self, list: u32) -> u32 {
        match &self.lists[list as usize].body {
            Body::Whole(_) => list,
            Body::Edit { of, .. } => *of,
        }
    }

    fn whole_numbers(&self, list: u32) -> &[u32] {
        match &self.lists[self.whole_of(list) as usize].body {
            Body::Whole(numbers) => numbers,
            Body::Edit { .. } => &[],
        }
    }
}

/// The changes that lead from one list to another, both in the order of their packages; `None` when
/// there are more than `n_max`.
fn difference(old: &[u32], new: &[u32], n_max: usize, order: impl Fn(u32, u32) -> Ordering) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    let (mut from, mut to) = (0, 0);
    while from < old.len() || to < new.len() {
        if changes.len() > n_max {
            return None;
        }
        let at = u32::try_from(from).unwrap_or(u32::MAX);
        match (old.get(from), new.get(to)) {
            (Some(a), Some(b)) if a == b => (from, to) = (from + 1, to + 1),
            // Of two standings of one package the old one goes first, as in an edit's lines.
            (Some(&a), Some(&b)) if order(a, b).is_gt() => {
                changes.push(Change { at, number: b, adds: true });
                to += 1;
            }
            (Some(&number), _) => {
                changes.push(Change { at, number, adds: false });
                from += 1;
            }
            (None, Some(&number)) => {
                changes.push(Change { at, number, adds: true });
                to += 1;
            }
            (None, None) => break,
        }
    }
    (changes.len() <= n_max).then_some(changes)
}

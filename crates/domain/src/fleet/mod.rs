//! The fleet index: every package standing that any node has, numbered once and judged once.
//!
//! A *standing* is a package as one node has it: installed version, marks, and what is newer there.
//! Nodes share few distinct ones, so a node is a *list* of their numbers (mostly an edit of an image's list),
//! a baseline is a byte for each number, and judging a node is a sum over bytes. When a byte
//! changes, only the lists that hold its number are touched. All of it can be rebuilt from the
//! store at any time, and a test counts everything again from nothing.

mod intern;
mod lists;
mod standings;
mod tally;
mod versions;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::decide::select::{Approval, Filters, PatchFacts, Selector};
use crate::fleet::lists::Lists;
use crate::fleet::standings::Standings;
use crate::fleet::tally::TallyOf;
use crate::model::baseline::{Baseline, ComplianceLevel, Exception};
use crate::model::catalog::{Advised, Catalog};
use crate::model::compliance::{Counts, PatchState};
use crate::model::exception::Cohort;
use crate::model::platform::{OperatingSystem, Platform};
use crate::model::section::AvailableSet;
use crate::model::time::Timestamp;

pub use self::lists::ListId;
pub use self::standings::{AvailableRows, PackageRow};
pub(crate) use self::tally::Byte;
pub use self::tally::Tally;
pub use self::versions::{VersionFacts, VersionKey, VersionNumber, Versions};

/// Lists, standings, and what the baselines say of them.
#[derive(Debug, Default)]
pub struct Fleet {
    /// Every version ever seen.
    pub versions: Versions,
    standings: Standings,
    lists: Lists,
    contexts: Vec<Context>,
    baselines: Baselines,
    catalog: Arc<Catalog>,
}

/// Whom a baseline is for: the nodes of an operating system that are in a patch group, or in none that has
/// a baseline.
pub type Scope = (OperatingSystem, Option<String>);

#[derive(Debug, Default)]
struct Baselines {
    by_scope: HashMap<Scope, Baseline>,
    /// Exceptions that are for some nodes, by number.
    exceptions: HashMap<u32, Exception>,
}

impl Baselines {
    /// The baseline of a scope, and whether it is that of the group itself.
    fn of(&self, system: Option<OperatingSystem>, group: Option<&String>) -> Option<&Baseline> {
        let of_group = group.and_then(|group| self.by_scope.get(&(system?, Some(group.clone()))));
        of_group.or_else(|| self.by_scope.get(&(system?, None)))
    }
}

/// What a node is judged in: equal products under equal baselines and exceptions.
#[derive(Debug)]
struct Context {
    ecosystem: String,
    product: String,
    operating_system: Option<OperatingSystem>,
    cohort: Cohort,
    has_baseline: bool,
    /// Whether security updates that are not approved make a node non-compliant.
    counts_available: bool,
    /// A byte for each standing; absent ones are not of this context.
    bytes: Vec<Byte>,
    /// Which version a byte is about.
    about: HashMap<u32, VersionNumber>,
    /// What the catalog says of standings.
    advised: HashMap<u32, Advised>,
    members: Vec<u32>,
    /// When a delay passes next.
    next_change_at: Option<Timestamp>,
}

/// The number of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(u32);

impl ContextId {
    fn at(self) -> usize {
        self.0 as usize
    }
}

/// A patch with the number of nodes that it concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchNodes {
    /// The newer version.
    pub version: VersionNumber,
    /// Nodes on which it is missing.
    pub n_missing: u32,
    /// The same by compliance level, in the order of `ComplianceLevel::ALL`.
    pub n_missing_by_level: [u32; ComplianceLevel::ALL.len()],
    /// Nodes on which it is known and not counted as missing.
    pub n_other: u32,
}

/// What another baseline would change.
#[derive(Debug, Clone, Default)]
pub struct Preview {
    /// Packages whose state would be another.
    pub changes: Vec<StateChange>,
    /// What the tallies would be, by `ListId::at`; nothing where the baseline does not apply.
    pub tallies: Vec<Option<Tally>>,
    /// Whether security updates that are not approved would make a node non-compliant.
    pub counts_available: bool,
}

/// A package whose state would be another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// The installed version.
    pub installed: VersionNumber,
    /// The newer version that the state is about.
    pub about: Option<VersionNumber>,
    /// The state today.
    pub before: Option<PatchState>,
    /// The state that it would have.
    pub after: Option<PatchState>,
    /// When that would change by itself: a delay passes, or an exception ends.
    pub changes_at: Option<Timestamp>,
    /// Nodes that have the package so.
    pub n_nodes: u32,
}

/// A list that is probably similar to one that is made.
#[derive(Debug, Clone, Copy)]
pub struct Like {
    /// The list.
    pub list: ListId,
    /// Whether it was made with the same newer versions.
    pub same_available: bool,
}

impl Fleet {
    /// The context of nodes with this platform in this cohort.
    pub fn context(&mut self, platform: &Platform, cohort: &Cohort) -> ContextId {
        if let Some(known) = self.find_context(platform, cohort) {
            return known;
        }
        let number = u32::try_from(self.contexts.len()).expect("there are fewer than four billion products");
        let baseline = self.baselines.of(platform.operating_system, cohort.patch_group.as_ref());
        self.contexts.push(Context {
            ecosystem: platform.id.clone(),
            product: platform.product.clone(),
            operating_system: platform.operating_system,
            cohort: cohort.clone(),
            has_baseline: baseline.is_some(),
            counts_available: baseline.is_some_and(Baseline::counts_available),
            bytes: Vec::new(),
            about: HashMap::new(),
            advised: HashMap::new(),
            members: Vec::new(),
            next_change_at: None,
        });
        ContextId(number)
    }

    /// The context of nodes with this platform in this cohort, when there are any.
    pub fn find_context(&self, platform: &Platform, cohort: &Cohort) -> Option<ContextId> {
        // There are few of them.
        let is_of = |context: &Context| context.ecosystem == platform.id && context.product == platform.product && context.cohort == *cohort;
        self.contexts.iter().zip(0..).find(|(context, _)| is_of(context)).map(|(_, number)| ContextId(number))
    }

    /// The name under which versions of this context are kept apart from those of other systems.
    pub fn ecosystem(&self, context: ContextId) -> &str {
        &self.contexts[context.at()].ecosystem
    }

    /// Takes in a section `available`, so that lists can be made with it.
    pub fn read_available(&mut self, context: ContextId, set: &AvailableSet, now: Timestamp) -> AvailableRows {
        let ecosystem = &self.contexts[context.at()].ecosystem;
        self.standings.read_available(&mut self.versions, ecosystem, set, now)
    }

    /// The list of a node with these packages and these newer versions.
    pub fn list(&mut self, context: ContextId, packages: &[PackageRow], available: &AvailableRows, like: Option<Like>, now: Timestamp) -> ListId {
        let like = like.filter(|like| self.lists.context(like.list) == context);
        let numbers = self.numbers(packages, available, like);
        self.lists.grow(self.standings.len());
        self.judge_new(context, &numbers, now);
        let order = |a: u32, b: u32| self.versions.compare_packages(self.standings.version(a), self.standings.version(b));
        let bytes = &self.contexts[context.at()].bytes;
        self.lists.insert(context, &numbers, like.map(|like| like.list), order, |number| bytes[number as usize].tally())
    }

    /// The standings of packages. Those that a list with the same newer versions has are found there.
    fn numbers(&mut self, packages: &[PackageRow], available: &AvailableRows, like: Option<Like>) -> Vec<u32> {
        let known = like.filter(|like| like.same_available).map(|like| self.lists.numbers(like.list)).unwrap_or_default();
        let mut known = known.into_iter().peekable();
        let (standings, versions) = (&mut self.standings, &self.versions);
        let number = |row: &PackageRow| {
            while let Some(&next) = known.peek() {
                if standings.row(next) == *row {
                    return next;
                }
                if versions.compare_packages(standings.version(next), row.version).is_ge() {
                    break;
                }
                known.next();
            }
            standings.number(versions, *row, available)
        };
        packages.iter().map(number).collect()
    }

    /// The packages of a list, in the order of their lines.
    pub fn packages(&self, list: ListId) -> Vec<PackageRow> {
        self.lists.numbers(list).into_iter().map(|number| self.standings.row(number)).collect()
    }

    /// The versions of a package that a list has.
    pub fn versions_of<'a>(&'a self, list: ListId, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let numbers = self.lists.range(list, |number| self.versions.compare_name(self.standings.version(number), name));
        numbers.into_iter().map(|number| self.versions.key(self.standings.version(number)).version)
    }

    /// Patches by state on each node with this list.
    pub fn counts(&self, list: ListId) -> Counts {
        self.lists.tally(list).counts()
    }

    /// The same in the small form.
    pub fn tally(&self, list: ListId) -> Tally {
        self.lists.tally(list)
    }

    /// The context of a list.
    pub fn context_of(&self, list: ListId) -> ContextId {
        self.lists.context(list)
    }

    /// Whether a baseline applies in a context.
    pub fn has_baseline(&self, context: ContextId) -> bool {
        self.contexts[context.at()].has_baseline
    }

    /// The same list in another context: that of the same platform in another cohort.
    pub fn move_list(&mut self, list: ListId, context: ContextId, now: Timestamp) -> ListId {
        let numbers = self.lists.numbers(list);
        self.judge_new(context, &numbers, now);
        let order = |a: u32, b: u32| self.versions.compare_packages(self.standings.version(a), self.standings.version(b));
        let bytes = &self.contexts[context.at()].bytes;
        self.lists.insert(context, &numbers, None, order, |number| bytes[number as usize].tally())
    }

    /// Whether the packages of a list make a node non-compliant.
    pub fn is_non_compliant(&self, list: ListId) -> bool {
        self.lists.tally(list).is_non_compliant(self.contexts[self.lists.context(list).at()].counts_available)
    }

    /// One more node has this list.
    pub fn join(&mut self, list: ListId) {
        self.lists.change_users(list, 1);
    }

    /// One node fewer has it.
    pub fn leave(&mut self, list: ListId) {
        self.lists.change_users(list, -1);
    }

    /// Forgets lists that no node has, when they are many. Gives the new id of each one that stays.
    pub fn forget_unused(&mut self) -> Option<HashMap<ListId, ListId>> {
        self.lists.is_mostly_unused().then(|| self.lists.forget_unused())
    }

    /// Distinct lists, for those who watch memory.
    pub fn n_lists(&self) -> usize {
        self.lists.len()
    }

    /// Distinct standings.
    pub fn n_standings(&self) -> usize {
        self.standings.len()
    }

    /// Adds an exception, or forgets one that no cohort has any more. It is for the nodes whose cohorts have it.
    pub fn set_exception(&mut self, number: u32, exception: Option<Exception>) {
        match exception {
            Some(exception) => drop(self.baselines.exceptions.insert(number, exception)),
            None => drop(self.baselines.exceptions.remove(&number)),
        }
    }

    /// Sets what judges the nodes of a scope, or nothing of its own, and judges them again. When only list
    /// entries that name packages changed, only those packages are looked at.
    pub fn set_baseline(&mut self, scope: &Scope, baseline: Option<Baseline>, now: Timestamp) {
        let affected: Vec<_> = (0..self.contexts.len()).filter(|at| self.is_judged_by(*at, scope)).collect();
        let old = self.baselines.of(Some(scope.0), scope.1.as_ref()).cloned();
        match baseline {
            Some(baseline) => drop(self.baselines.by_scope.insert(scope.clone(), baseline)),
            None => drop(self.baselines.by_scope.remove(scope)),
        }
        let new = self.baselines.of(Some(scope.0), scope.1.as_ref());
        let names = old.zip(new).and_then(|(old, new)| changed_names(&old, new));
        let (has_baseline, counts_available) = (new.is_some(), new.is_some_and(Baseline::counts_available));
        for at in affected {
            self.contexts[at].has_baseline = has_baseline;
            self.contexts[at].counts_available = counts_available;
            let only = names.as_ref().and_then(|names| self.standings.of_entries(&self.versions, &self.contexts[at].ecosystem, names));
            self.rejudge(at, only.as_deref(), now);
        }
    }

    /// What vendors' feeds say.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Sets what vendors' feeds say, and judges again what that concerns.
    pub fn set_catalog(&mut self, catalog: Arc<Catalog>, now: Timestamp) {
        self.catalog = catalog;
        self.versions.forget_advised();
        for at in 0..self.contexts.len() {
            let members = self.contexts[at].members.clone();
            let changed: Vec<_> = members.into_iter().filter(|number| self.advise(at, *number)).collect();
            self.rejudge(at, Some(&changed), now);
        }
    }

    /// Looks a standing of a context up in the catalog; whether that says something else than before.
    fn advise(&mut self, at: usize, number: u32) -> bool {
        let context = &mut self.contexts[at];
        let advised = if self.catalog.is_empty() { None } else { self.standings.advise(number, &self.versions, &self.catalog, &context.product) };
        for (version, advisory) in advised.iter().flat_map(|advised| self.standings.newer_versions(number).zip(&advised.newer)) {
            if let Some(advisory) = advisory {
                self.versions.advise(version, advisory);
            }
        }
        let before = match &advised {
            Some(advised) => context.advised.insert(number, advised.clone()),
            None => context.advised.remove(&number),
        };
        before != advised
    }

    /// What would change if a baseline judged the nodes of a scope: the same judgement, nothing kept.
    pub fn preview<'b>(&'b self, scope: &Scope, baseline: &'b Baseline, now: Timestamp) -> Preview {
        let mut preview = Preview { counts_available: baseline.counts_available(), ..Preview::default() };
        for at in (0..self.contexts.len()).filter(|at| self.is_judged_by(*at, scope)) {
            let (context, id) = (&self.contexts[at], ContextId(u32::try_from(at).unwrap_or_default()));
            let mut bytes = context.bytes.clone();
            let selector = context.selector_of(baseline, &self.baselines, now);
            for &number in &context.members {
                let answer = self.standings.judge(number, &self.versions, context.advised.get(&number), &selector);
                let before = bytes[number as usize];
                if answer.byte == before {
                    continue;
                }
                bytes[number as usize] = answer.byte;
                if before.state() != answer.byte.state() {
                    let n_nodes = self.lists.n_nodes_with(id, number);
                    let change = StateChange {
                        installed: self.standings.version(number),
                        about: answer.about.or_else(|| context.about.get(&number).copied()),
                        before: before.state(),
                        after: answer.byte.state(),
                        changes_at: answer.next_change_at,
                        n_nodes,
                    };
                    preview.changes.extend((n_nodes > 0).then_some(change));
                }
            }
            self.lists.tallies_by(id, &TallyOf::new(&bytes), &mut preview.tallies);
        }
        preview
    }

    /// Every newer version that a node of an operating system is offered, once for each product.
    fn offered(&self, system: OperatingSystem) -> impl Iterator<Item = (&str, VersionNumber, PatchFacts<'_>)> {
        let mut seen = HashSet::new();
        let contexts = self.contexts.iter().filter(move |context| context.operating_system == Some(system));
        let standings = contexts.flat_map(|context| context.members.iter().map(move |number| (context, *number)));
        let versions = standings.flat_map(|(context, number)| {
            let newer = self.standings.newer(number, &self.versions, context.advised.get(&number));
            newer.map(move |(version, facts)| (context.product.as_str(), version, facts))
        });
        versions.filter(move |(product, version, _)| seen.insert((*product, *version)))
    }

    /// What a baseline says of every newer version that a node of an operating system is offered, product by
    /// product: `visit` gets the product, the version and the approval.
    pub fn select_offered<'b>(&self, system: OperatingSystem, baseline: &'b Baseline, now: Timestamp, mut visit: impl FnMut(&str, VersionNumber, Approval<'b>)) {
        let mut selectors = HashMap::new();
        for (product, version, facts) in self.offered(system) {
            let selector = selectors.entry(product).or_insert_with(|| Selector::new(baseline, product, now));
            visit(product, version, selector.select(&facts));
        }
    }

    /// The numbers, from 1, of a baseline's rules whose filters let through no newer version that a node is
    /// offered today.
    pub fn idle_rules(&self, baseline: &Baseline) -> Vec<usize> {
        let mut idle: Vec<_> = baseline.approval_rules.iter().zip(1..).collect();
        for (product, _, facts) in self.offered(baseline.operating_system) {
            idle.retain(|(rule, _)| !Filters::new(&rule.filters, product).let_through(&facts));
            if idle.is_empty() {
                break;
            }
        }
        idle.into_iter().map(|(_, number)| number).collect()
    }

    /// Whether the nodes of a context are judged by the baseline of this scope.
    fn is_judged_by(&self, at: usize, (system, group): &Scope) -> bool {
        let context = &self.contexts[at];
        let has_own = || context.cohort.patch_group.is_some() && self.baselines.by_scope.contains_key(&(*system, context.cohort.patch_group.clone()));
        context.operating_system == Some(*system) && (context.cohort.patch_group == *group || (group.is_none() && !has_own()))
    }

    /// When a delay passes next.
    pub fn next_change_at(&self) -> Option<Timestamp> {
        self.contexts.iter().filter_map(|context| context.next_change_at).min()
    }

    /// The list that a list is an edit of, itself when it is whole.
    pub fn whole_of(&self, list: ListId) -> ListId {
        self.lists.whole(list)
    }

    /// Judges again where a delay has passed; whether anything was looked at.
    pub fn advance(&mut self, now: Timestamp) -> bool {
        let due: Vec<_> = (0..self.contexts.len()).filter(|&at| self.contexts[at].next_change_at.is_some_and(|next| next <= now)).collect();
        for &at in &due {
            self.rejudge(at, None, now);
        }
        !due.is_empty()
    }

    /// Every patch that nodes are offered, with their numbers.
    pub fn count_patches(&self) -> Vec<PatchNodes> {
        let mut counted = HashMap::<VersionNumber, PatchNodes>::new();
        for (context, id) in self.contexts.iter().zip(0..) {
            for (&number, &version) in &context.about {
                let patch = counted.entry(version).or_insert_with(|| PatchNodes::new(version));
                patch.count(context, number, self.lists.n_nodes_with(ContextId(id), number));
            }
        }
        counted.into_values().filter(|patch| patch.n_missing + patch.n_other > 0).collect()
    }

    /// The numbers of nodes that are offered this patch.
    pub fn count_patch(&self, version: VersionNumber) -> PatchNodes {
        let mut patch = PatchNodes::new(version);
        for (context, id) in self.contexts.iter().zip(0..) {
            for (&number, _) in context.about.iter().filter(|(_, about)| **about == version) {
                patch.count(context, number, self.lists.n_nodes_with(ContextId(id), number));
            }
        }
        patch
    }

    /// The state of a patch on the nodes with each list, by `ListId::at`; nothing where it does not concern them.
    pub fn states_of_patch(&self, version: VersionNumber) -> Vec<Option<PatchState>> {
        let mut states = Vec::new();
        for (context, number) in self.contexts.iter().zip(0..) {
            let about = context.about.iter().filter(|(_, about)| **about == version);
            let standings: Vec<_> = about.map(|(&standing, _)| (standing, context.bytes[standing as usize].state().unwrap_or(PatchState::InstalledOther))).collect();
            self.lists.mark(ContextId(number), &standings, &mut states);
        }
        states
    }

    /// The newer versions that a list lacks.
    pub fn missing(&self, list: ListId) -> impl Iterator<Item = VersionNumber> {
        let context = &self.contexts[self.lists.context(list).at()];
        let is_missing = |number: &u32| context.bytes[*number as usize].state() == Some(PatchState::Missing);
        self.lists.numbers(list).into_iter().filter(is_missing).filter_map(|number| context.about.get(&number).copied())
    }

    /// Counts a list again from its standings: what the index says must equal it.
    pub fn recount(&self, list: ListId) -> Counts {
        let bytes = &self.contexts[self.lists.context(list).at()].bytes;
        let mut sum = Tally::default();
        for number in self.lists.numbers(list) {
            sum += bytes[number as usize].tally();
        }
        sum.counts()
    }

    /// Judges the standings that this context has not seen.
    fn judge_new(&mut self, context: ContextId, numbers: &[u32], now: Timestamp) {
        let at = context.at();
        self.contexts[at].bytes.resize(self.standings.len(), Byte::ABSENT);
        let is_new = |context: &Context, number: u32| context.bytes[number as usize] == Byte::ABSENT;
        let new: Vec<_> = numbers.iter().copied().filter(|number| is_new(&self.contexts[at], *number)).collect();
        if new.is_empty() {
            return;
        }
        for number in &new {
            self.advise(at, *number);
        }
        let Self { versions, standings, contexts, baselines, .. } = self;
        let context = &mut contexts[at];
        let selector = context.selector(baselines, now);
        for number in new {
            // A list may name one twice.
            if is_new(context, number) {
                context.judge(number, versions, standings, selector.as_ref());
                context.members.push(number);
            }
        }
    }

    /// Judges the standings of a context again, all or only some, and mends the lists' tallies.
    fn rejudge(&mut self, at: usize, only: Option<&[u32]>, now: Timestamp) {
        let Self { versions, standings, lists, contexts, baselines, .. } = self;
        let context = &mut contexts[at];
        let id = ContextId(u32::try_from(at).unwrap_or_default());
        let selector = context.selector(baselines, now);
        let members = std::mem::take(&mut context.members);
        if only.is_none() {
            context.next_change_at = None;
        }
        let mut changes = Vec::new();
        for &number in only.unwrap_or(&members) {
            let old = context.bytes.get(number as usize).copied().unwrap_or(Byte::ABSENT);
            if old != Byte::ABSENT {
                context.judge(number, versions, standings, selector.as_ref());
                let new = context.bytes[number as usize];
                if new != old {
                    changes.push((number, new.tally() - old.tally()));
                }
            }
        }
        context.members = members;
        if lists.touches(&changes) * 4 < lists.n_entries() {
            lists.change_tallies(id, &changes);
        } else {
            let table = TallyOf::new(&context.bytes);
            lists.recount(id, &table);
        }
    }
}

impl PatchNodes {
    fn new(version: VersionNumber) -> Self {
        Self { version, n_missing: 0, n_missing_by_level: [0; ComplianceLevel::ALL.len()], n_other: 0 }
    }

    fn count(&mut self, context: &Context, standing: u32, n_nodes: u32) {
        let byte = context.bytes[standing as usize];
        if byte.state() == Some(PatchState::Missing) {
            self.n_missing += n_nodes;
            self.n_missing_by_level[byte.level() as usize] += n_nodes;
        } else {
            self.n_other += n_nodes;
        }
    }
}

impl Context {
    /// The baseline that applies, made ready.
    fn selector<'b>(&self, baselines: &'b Baselines, now: Timestamp) -> Option<Selector<'b>> {
        let baseline = baselines.of(self.operating_system, self.cohort.patch_group.as_ref())?;
        Some(self.selector_of(baseline, baselines, now))
    }

    /// Any baseline with the exceptions that are for these nodes, made ready.
    fn selector_of<'b>(&self, baseline: &'b Baseline, baselines: &'b Baselines, now: Timestamp) -> Selector<'b> {
        let exceptions = self.cohort.exceptions.iter().filter_map(|number| baselines.exceptions.get(number));
        Selector::new(baseline, &self.product, now).with_exceptions(exceptions)
    }

    fn judge(&mut self, number: u32, versions: &Versions, standings: &Standings, selector: Option<&Selector>) {
        let Some(selector) = selector else {
            self.bytes[number as usize] = Byte::UNJUDGED;
            return;
        };
        let answer = standings.judge(number, versions, self.advised.get(&number), selector);
        self.bytes[number as usize] = answer.byte;
        match answer.about {
            Some(version) => drop(self.about.insert(number, version)),
            None => drop(self.about.remove(&number)),
        }
        self.next_change_at = [self.next_change_at, answer.next_change_at].into_iter().flatten().min();
    }
}

/// The list entries that differ between two baselines; `None` when more than entries without wildcards
/// changed.
fn changed_names(old: &Baseline, new: &Baseline) -> Option<Vec<String>> {
    let without_lists = |baseline: &Baseline| Baseline { approved_patches: Vec::new(), rejected_patches: Vec::new(), ..baseline.clone() };
    if without_lists(old) != without_lists(new) {
        return None;
    }
    let lists = [(&old.approved_patches, &new.approved_patches), (&old.rejected_patches, &new.rejected_patches)];
    let only_in = |a: &[String], b: &[String]| a.iter().filter(|entry| !b.contains(entry)).cloned().collect::<Vec<_>>();
    let changed: Vec<_> = lists.iter().flat_map(|(old, new)| only_in(old, new).into_iter().chain(only_in(new, old))).collect();
    changed.iter().all(|entry| !crate::model::glob::is_pattern(entry)).then_some(changed)
}

#[cfg(test)]
mod tests;

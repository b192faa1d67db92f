//! What nodes were judged to be over time. A verdict follows from what is known at any moment; what changed is
//! written down every minute, with what judged it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::fleet::ContextId;
use domain::model::compliance::{Counts, Verdict};
use domain::model::time::Timestamp;
use store::StoreError;
use store::verdicts::{VerdictAssignment, VerdictRecord, minute_of};

use crate::App;
use crate::actions::nodes::find_number;
use crate::actions::{ActionError, Caller, end_of_day, page_limit};
use crate::fleet::{Node, Present, State};
use crate::reconcilers::notify;

/// Verdicts of one transaction.
const BATCH: usize = 5000;

/// What was written down last.
pub(crate) struct Recorded {
    /// Of each node, by number, what its last record says; 0 when there is none.
    signatures: Vec<u64>,
    /// Of each node, whether its last record says that it is not compliant.
    non_compliant: Vec<bool>,
    assignments: HashMap<VerdictAssignment, u32>,
}

/// Writes down which verdicts changed since the last time; how many.
pub async fn record(app: &App) -> Result<usize, StoreError> {
    let mut recorded = app.recorded_verdicts().await;
    if recorded.is_none() {
        *recorded = Some(load(app).await?);
    }
    let recorded = recorded.as_mut().expect("it was loaded a moment ago");
    let present = app.present();
    let (changed, new_assignments) = changes(&app.current_fleet(present.now), recorded, &present);
    let mut tx = app.database().write().await?;
    for (number, assignment) in &new_assignments {
        tx.insert_verdict_assignment(*number, assignment).await?;
    }
    tx.commit().await?;
    recorded.assignments.extend(new_assignments.into_iter().map(|(number, assignment)| (assignment, number)));
    for batch in changed.chunks(BATCH) {
        let mut tx = app.database().write().await?;
        tx.upsert_verdicts(batch).await?;
        tx.commit().await?;
        for record in batch {
            recorded.signatures[record.node_number as usize] = signature(record);
        }
    }
    let mut new = Vec::new();
    for record in &changed {
        let is_bad = record.verdict == Verdict::NonCompliant;
        let was_bad = std::mem::replace(&mut recorded.non_compliant[record.node_number as usize], is_bad);
        if is_bad && !was_bad {
            new.push(record.node_number);
        }
    }
    if !new.is_empty() {
        notify::tell_non_compliant(app, &new, present.now).await?;
    }
    Ok(changed.len())
}

async fn load(app: &App) -> Result<Recorded, StoreError> {
    let mut tx = app.database().read().await?;
    let assignments = tx.list_verdict_assignments().await?.into_iter().zip(0..).collect();
    let (mut signatures, mut non_compliant) = (Vec::new(), Vec::new());
    for record in tx.list_last_verdicts().await? {
        let at = record.node_number as usize;
        signatures.resize(signatures.len().max(at + 1), 0);
        signatures[at] = signature(&record);
        non_compliant.resize(signatures.len(), false);
        non_compliant[at] = record.verdict == Verdict::NonCompliant;
    }
    Ok(Recorded { signatures, non_compliant, assignments })
}

/// The verdicts that are others than those written down, and what judges that never did before.
fn changes(state: &State, recorded: &mut Recorded, present: &Present) -> (Vec<VerdictRecord>, Vec<(u32, VerdictAssignment)>) {
    recorded.signatures.resize(state.nodes.len(), 0);
    recorded.non_compliant.resize(state.nodes.len(), false);
    let minute = minute_of(present.now);
    let mut new = Vec::new();
    // Nodes are judged alike where they are in one context.
    let mut of_context = HashMap::<Option<ContextId>, u32>::new();
    let mut changed = Vec::new();
    for node in state.nodes.iter().filter(|node| !node.is_retired()) {
        let context = node.list().map(|list| state.index.context_of(list));
        let assignment = *of_context.entry(context).or_insert_with(|| {
            let assignment = assignment(state, node);
            let known = recorded.assignments.get(&assignment).copied();
            known.or_else(|| new.iter().find(|(_, other)| *other == assignment).map(|(number, _)| *number)).unwrap_or_else(|| {
                let number = u32::try_from(recorded.assignments.len() + new.len()).unwrap_or(u32::MAX);
                new.push((number, assignment));
                number
            })
        });
        let (verdict, _) = state.verdict(node, present.now, present.stale_before);
        let record = VerdictRecord { node_number: node.record.number, minute, assignment, verdict, counts: state.tally(node).counts() };
        if recorded.signatures[node.record.number as usize] != signature(&record) {
            changed.push(record);
        }
    }
    (changed, new)
}

fn assignment(state: &State, node: &Node) -> VerdictAssignment {
    state.baseline_of(node).map_or_else(VerdictAssignment::default, |(named, through)| VerdictAssignment {
        baseline_id: named.id.to_string(),
        version: named.version,
        through: through.words(),
    })
}

/// What a record says besides the time; never 0. That more packages are installed as they should be is no news.
fn signature(record: &VerdictRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    let counts = Counts { installed: 0, installed_other: 0, ..record.counts };
    (record.assignment, record.verdict, counts).hash(&mut hasher);
    hasher.finish() | 1
}

/// What a node was judged to be, since when, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastVerdict {
    /// Verdict and counts.
    pub record: VerdictRecord,
    /// What judged it.
    pub judged_by: VerdictAssignment,
    /// The name of the baseline, while there is one.
    pub baseline: Option<String>,
}

impl PastVerdict {
    /// Since when it was so.
    pub fn at(&self) -> Timestamp {
        self.record.at()
    }
}

/// A node's verdicts up to the end of a day, or up to now, newest first: the first is what held then.
pub async fn list(app: &App, _caller: &Caller, id: &str, day: Option<&str>, limit: Option<u32>) -> Result<Vec<PastVerdict>, ActionError> {
    let number = find_number(app, id)?;
    let limit = page_limit(limit)?;
    let up_to = match day.map(str::trim).filter(|day| !day.is_empty()) {
        Some(day) => end_of_day("on", day)?.min(app.now()),
        None => app.now(),
    };
    let mut tx = app.database().read().await?;
    let assignments = tx.list_verdict_assignments().await?;
    let records = tx.list_verdicts(number, minute_of(up_to), limit).await?;
    let state = app.fleet().read();
    let past = |record: VerdictRecord| {
        let judged_by = assignments.get(record.assignment as usize).cloned().unwrap_or_default();
        let baseline = judged_by.baseline_id.parse().ok().and_then(|id| state.baselines.find(&id)).map(|named| named.baseline.name.clone());
        PastVerdict { record, judged_by, baseline }
    };
    Ok(records.into_iter().map(past).collect())
}

//! Rollouts move on: which nodes begin, which ring is entered, whether it halts. Looked at when something happened, when
//! a time has come, and now and then.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::decide::check_rollout;
use domain::decide::plan_rollout::{FreezeState, GroupState, NodeState, RolloutInput, RolloutNode, RolloutPlan, RolloutReport, WindowState, plan_rollout};
use domain::fleet::ListId;
use domain::model::channel::Event;
use domain::model::compliance::PatchState;
use domain::model::id::{NodeId, OperationId};
use domain::model::node::Presence;
use domain::model::order::InstallWork;
use domain::model::reboot_group::{RebootGroup, RebootLock};
use domain::model::rollout::{Course, GateResult, HaltCause};
use domain::model::time::Timestamp;
use domain::model::window::CutoffBehavior;
use store::operations::{InvocationRecord, InvocationState, OperationRecord};

use crate::App;
use crate::actions::{ActionError, Caller, nodes, operations, works};
use crate::fleet::{Node, State};
use crate::http::chain;
use crate::reconcilers::{gates, notify};

/// How long a node is expected to take before one of the operation has shown it.
const EXPECTED_MS: i64 = 10 * 60 * 1000;
/// Nothing takes less.
const EXPECTED_MIN_MS: i64 = 60 * 1000;
/// How often every open rollout is looked at, whatever happens: nodes come back, freezes end.
const SWEEP_PERIOD: Duration = Duration::from_secs(15);
/// How long after a failure another look is tried.
const RETRY_MS: i64 = 5000;
/// A rollout that goes on changing would go on for ever.
const LOOKS_MAX: usize = 10;
/// Up to so many nodes, one that has ended lets others begin in the same breath.
const SMALL: usize = 200;

/// What the loop knows between two looks.
pub struct Signals {
    /// When each rollout is looked at next.
    due: Mutex<BTreeMap<OperationId, Timestamp>>,
    /// How many nodes each has.
    sizes: Mutex<HashMap<OperationId, usize>>,
    /// Gates that are being asked.
    asked: Mutex<HashSet<(OperationId, usize)>>,
    wake: tokio::sync::Notify,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
    /// Programs that gates may run.
    gates: PathBuf,
}

impl Signals {
    /// Nothing is due; programs of gates are in this folder.
    pub fn new(gates: PathBuf) -> Self {
        Self { due: Mutex::default(), sizes: Mutex::default(), asked: Mutex::default(), wake: tokio::sync::Notify::new(), looking: tokio::sync::Mutex::default(), gates }
    }

    /// Keeps rollouts from moving on while it is held.
    pub(crate) async fn look(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.looking.lock().await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at rollouts for as long as the server runs.
pub async fn run(app: App) {
    let signals = app.rollouts();
    let mut sweep = tokio::time::interval(SWEEP_PERIOD);
    loop {
        let next = lock(&signals.due).values().min().copied();
        let pause = next.map_or(SWEEP_PERIOD, |next| Duration::from_millis(u64::try_from(next.as_millis() - app.now().as_millis()).unwrap_or(0)));
        tokio::select! {
            () = signals.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = sweep.tick() => match sweep_open(&app).await {
                Ok(()) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "open rollouts could not be listed"),
            },
        }
        let now = app.now();
        let due: Vec<_> = lock(&signals.due).iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()).collect();
        for id in due {
            lock(&signals.due).remove(&id);
            let began = tokio::time::Instant::now();
            match drive(&app, &id).await {
                Ok(Some(look_at)) => put_off(&app, &id, look_at),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(operation.id = %id, error = %chain(&error), "a rollout could not be looked at; it is tried again");
                    put_off(&app, &id, now.plus_millis(RETRY_MS));
                }
            }
            // Looks at large rollouts cost something: what happens meanwhile is seen by one look.
            tokio::time::sleep(began.elapsed() * 2).await;
        }
    }
}

async fn sweep_open(app: &App) -> Result<(), ActionError> {
    let open = app.database().read().await?.list_open_operations().await?;
    let now = app.now();
    let mut due = lock(&app.rollouts().due);
    for operation in open {
        due.insert(operation.id, now);
    }
    Ok(())
}

fn put_off(app: &App, id: &OperationId, at: Timestamp) {
    let mut due = lock(&app.rollouts().due);
    let known = due.entry(id.clone()).or_insert(at);
    *known = (*known).min(at);
}

/// Something happened to an operation. A small one moves on before this returns.
pub(crate) async fn touch(app: &App, id: &OperationId) -> Result<(), ActionError> {
    let size = lock(&app.rollouts().sizes).get(id).copied();
    if size.is_none_or(|size| size <= SMALL) {
        if let Some(look_at) = drive(app, id).await? {
            put_off(app, id, look_at);
            app.rollouts().wake.notify_one();
        }
    } else {
        put_off(app, id, app.now());
        app.rollouts().wake.notify_one();
    }
    Ok(())
}

/// Moves a rollout on as far as it goes now; when to look again.
pub(crate) async fn drive(app: &App, id: &OperationId) -> Result<Option<Timestamp>, ActionError> {
    let signals = app.rollouts();
    let _one = signals.look().await;
    for _ in 0..LOOKS_MAX {
        let Some(seen) = Seen::load(app, id).await? else {
            lock(&signals.sizes).remove(id);
            return Ok(None);
        };
        lock(&signals.sizes).insert(id.clone(), seen.invocations.len());
        let now = app.now();
        let (mut plan, report, broken) = seen.plan(app, now);
        if let Some(first) = broken.first() {
            tracing::error!(operation.id = %id, "a plan of a rollout breaks {} rules and is not carried out: {first}", broken.len());
            return Ok(Some(now.plus_millis(RETRY_MS)));
        }
        if let Some(words) = seen.find_withdrawn(app, &plan).await? {
            plan = RolloutPlan { halt: Some(HaltCause::Withdrawn { words }), ..RolloutPlan::default() };
        }
        if let Some(ring) = plan.ask_gate
            && lock(&signals.asked).insert((id.clone(), ring))
        {
            tokio::spawn(ask_gate(app.clone(), id.clone(), ring, seen.operation.clone()));
        }
        plan.ask_gate = None;
        let look_at = [report.look_at, seen.back_by(now)].into_iter().flatten().min();
        if plan.is_empty() {
            return Ok(look_at);
        }
        seen.carry_out(app, &plan, now).await?;
    }
    Ok(Some(app.now()))
}

/// Asks the gate of a ring, and keeps what it showed.
async fn ask_gate(app: App, id: OperationId, ring: usize, operation: OperationRecord) {
    let rings = operation.rollout.map(|rollout| rollout.rings()).unwrap_or_default();
    let asked = rings.get(ring).and_then(|ring| Some((ring.gate.clone()?, ring.name.clone())));
    if let Some((gate, name)) = asked {
        let (passed, words) = gates::ask(&gate, &app.rollouts().gates, &id, &name).await;
        let result = GateResult { at: app.now(), passed, words };
        let kept = operations::change_course(&app, &id, |course| {
            course.rings.resize_with(course.rings.len().max(ring + 1), Default::default);
            course.rings[ring].gate = Some(result.clone());
        });
        if let Err(error) = kept.await {
            tracing::error!(operation.id = %id, error = %chain(&error), "what a gate showed could not be kept; it is asked again");
        }
    }
    lock(&app.rollouts().asked).remove(&(id.clone(), ring));
    put_off(&app, &id, app.now());
    app.rollouts().wake.notify_one();
}

/// Everything that counts for a rollout.
pub(crate) struct Seen {
    /// The operation.
    pub operation: OperationRecord,
    /// Its parts, by node.
    pub invocations: Vec<InvocationRecord>,
    busy: BTreeSet<String>,
    locks: Vec<(String, RebootLock)>,
    /// An operation that has to end before this one begins has not.
    is_early: bool,
}

impl Seen {
    /// Reads a rollout that has not ended.
    async fn load(app: &App, id: &OperationId) -> Result<Option<Self>, ActionError> {
        let mut tx = app.database().read().await?;
        let found = tx.find_operation(id).await?;
        let Some(operation) = found.filter(|operation| operation.rollout.is_some() && operation.course.ended_at.is_none()) else { return Ok(None) };
        let invocations = tx.list_invocations(id).await?;
        drop(tx);
        Self::of(app, operation, invocations).await.map(Some)
    }

    /// The same of an operation that was read.
    pub(crate) async fn of(app: &App, operation: OperationRecord, invocations: Vec<InvocationRecord>) -> Result<Self, ActionError> {
        let mut tx = app.database().read().await?;
        let busy = tx.list_busy_nodes(&operation.id).await?;
        let locks = tx.list_reboot_locks().await?;
        let mut is_early = false;
        for before in operation.course.after.iter().filter_map(|id| id.parse().ok()) {
            is_early |= tx.find_operation(&before).await?.is_some_and(|before| before.course.ended_at.is_none());
        }
        Ok(Self { operation, invocations, busy, locks, is_early })
    }

    /// What happens next, why each node waits, and the rules that it breaks.
    pub(crate) fn plan(&self, app: &App, now: Timestamp) -> (RolloutPlan, RolloutReport, Vec<String>) {
        if self.is_early {
            // Looked at again when what comes before it ends.
            return (RolloutPlan::default(), RolloutReport::default(), Vec::new());
        }
        let present = app.present_at(now);
        let state = app.fleet().read();
        let course = &self.operation.course;
        let rollout = self.operation.rollout.clone().unwrap_or_default();
        let freezes: Vec<_> = state.intents.freezes().filter(|freeze| freeze.holds(now) && !course.emergency).collect();
        let groups: Vec<_> = state.intents.reboot_groups().collect();
        let looks_at_place = !freezes.is_empty() || !groups.is_empty();
        let nodes = self.invocations.iter().map(|invocation| {
            let node = invocation.node_id.parse::<NodeId>().ok().and_then(|id| state.find(&id));
            let node_state = match (invocation.state, node) {
                (InvocationState::Pending, node) if node.is_none_or(Node::is_retired) => NodeState::LeftOut,
                (InvocationState::Pending, _) => invocation.released_at.map_or(NodeState::Waiting, NodeState::Released),
                (InvocationState::Running, node) => {
                    let is_overdue = invocation.progress.as_ref().and_then(|progress| progress.back_by).is_some_and(|back_by| back_by < now);
                    let is_gone = node.is_none_or(|node| matches!(present.presence(node), Presence::Silent | Presence::Retired));
                    if is_gone || is_overdue { NodeState::Lost } else { NodeState::Running }
                }
                (InvocationState::Succeeded, _) => NodeState::Succeeded(invocation.finished_at.unwrap_or(now)),
                (InvocationState::Failed, _) => NodeState::Failed(invocation.finished_at.unwrap_or(now)),
                (InvocationState::Cancelled, _) => NodeState::LeftOut,
            };
            let silent_since = node.filter(|node| present.presence(node) != Presence::Online).map(|node| node.seen_at().unwrap_or(node.record.enrolled_at));
            let placed = node.filter(|_| looks_at_place).map(|node| state.placed(node));
            RolloutNode {
                id: &invocation.node_id,
                ring: invocation.ring as usize,
                state: node_state,
                silent_since,
                is_busy: self.busy.contains(&invocation.node_id),
                freeze: placed.as_ref().and_then(|placed| freezes.iter().position(|freeze| freeze.targets.selects(placed))),
                group: placed.as_ref().and_then(|placed| groups.iter().position(|group| group.members.selects(placed))),
            }
        });
        let nodes: Vec<_> = nodes.collect();
        let groups: Vec<_> =
            groups.iter().map(|group| GroupState { name: &group.name, max_down: group.max_down, down_elsewhere: self.down_elsewhere(&state, group, &nodes, now) }).collect();
        let freezes: Vec<_> = freezes.iter().map(|freeze| FreezeState { name: &freeze.name, owner: &freeze.owner, until: freeze.until }).collect();
        let window_name = course.windows.join(" or ");
        let opening = (!course.windows.is_empty()).then(|| {
            let openings = course.windows.iter().filter_map(|name| state.intents.find_window(name)).filter_map(|(window, made_at)| window.current_or_next(now, made_at));
            WindowState { name: &window_name, opening: openings.min(), cancels: course.cutoff == CutoffBehavior::CancelTask }
        });
        let seed = self.operation.policy.as_deref().unwrap_or(self.operation.id.as_str());
        // The version of a policy changes nobody's minute.
        let seed = seed.split(", version").next().unwrap_or(seed);
        let input = RolloutInput { rollout: &rollout, course, nodes: &nodes, opening, freezes: &freezes, groups: &groups, expected_ms: self.expected_ms(), seed };
        let (plan, report) = plan_rollout(&input, now);
        let broken = check_rollout::violations(&input, &plan, &report, now);
        (plan, report, broken)
    }

    fn down_elsewhere(&self, state: &State, group: &RebootGroup, nodes: &[RolloutNode<'_>], now: Timestamp) -> u32 {
        let locks = self.locks.iter().filter(|(of, lock)| *of == group.name && lock.expires_at > now).count();
        let own: HashSet<_> = nodes.iter().map(|node| node.id).collect();
        let is_member = |id: &&String| {
            let node = id.parse::<NodeId>().ok().and_then(|id| state.find(&id));
            !own.contains(id.as_str()) && node.is_some_and(|node| group.members.selects(&state.placed(node)))
        };
        u32::try_from(locks + self.busy.iter().filter(is_member).count()).unwrap_or(u32::MAX)
    }

    /// What the slowest node of the operation took.
    fn expected_ms(&self) -> i64 {
        let took = |invocation: &InvocationRecord| {
            let (claimed_at, finished_at) = (invocation.claimed_at?, invocation.finished_at?);
            Some(finished_at.as_millis() - claimed_at.as_millis())
        };
        self.invocations.iter().filter_map(took).max().map_or(EXPECTED_MS, |took| took.max(EXPECTED_MIN_MS))
    }

    /// When the next node that boots is expected back.
    fn back_by(&self, now: Timestamp) -> Option<Timestamp> {
        let running = self.invocations.iter().filter(|invocation| invocation.state == InvocationState::Running);
        running.filter_map(|invocation| invocation.progress.as_ref()?.back_by).filter(|back_by| *back_by >= now).map(|back_by| back_by.plus_millis(1)).min()
    }

    /// What nodes that begin would install, and what is not approved for them any more.
    async fn find_withdrawn(&self, app: &App, plan: &RolloutPlan) -> Result<Option<String>, ActionError> {
        if !self.operation.course.watches_approvals || plan.begin.is_empty() {
            return Ok(None);
        }
        // Nodes with the same packages and the same approvals are asked about once.
        let mut of_list = HashMap::<ListId, &str>::new();
        {
            let state = app.fleet().read();
            for at in &plan.begin {
                let id = self.invocations[*at].node_id.as_str();
                if let Some(list) = id.parse::<NodeId>().ok().and_then(|id| state.find(&id)?.list()) {
                    of_list.entry(list).or_insert(id);
                }
            }
        }
        let caller = Caller::of(&self.operation.requested_by);
        for id in of_list.into_values() {
            let work = app.database().read().await?.find_work(&self.operation.id, id).await?;
            let work: InstallWork = work.and_then(|work| serde_json::from_str(&work).ok()).unwrap_or_default();
            let is_missing = |node: &NodeId| {
                let missing = works::missing_now(&app.current_fleet(app.now()), node);
                work.changes.iter().all(|change| missing.binary_search(change).is_ok())
            };
            if id.parse().is_ok_and(|id| is_missing(&id)) {
                continue;
            }
            let (_, report) = nodes::find(app, &caller, id).await?;
            let rows = report.map(|report| report.patches).unwrap_or_default();
            for change in &work.changes {
                let row = rows.iter().find(|row| row.name == change.name && row.architecture == change.architecture && row.installed_version != change.version);
                if let Some(row) = row.filter(|row| !matches!(row.state, PatchState::Missing | PatchState::Failed | PatchState::InstalledPendingReboot)) {
                    return Ok(Some(format!("{} {} is not approved any more: {}", change.name, change.version, row.reason.text)));
                }
            }
        }
        Ok(None)
    }

    async fn carry_out(&self, app: &App, plan: &RolloutPlan, now: Timestamp) -> Result<(), ActionError> {
        let id = &self.operation.id;
        let names = |places: &[usize]| places.iter().map(|at| self.invocations[*at].node_id.as_str()).collect::<Vec<_>>();
        let mut course: Course = self.operation.course.clone();
        let n_rings = self.operation.rollout.as_ref().map_or(1, |rollout| rollout.rings().len());
        plan.note(&mut course, n_rings, now);
        let mut tx = app.database().write().await?;
        if course != self.operation.course && !tx.save_course(id, self.operation.course_version, &course).await? {
            // Someone else changed it meanwhile; the next look sees that.
            return Ok(());
        }
        tx.take_back_parts(id, &names(&plan.take_back), now).await?;
        tx.cancel_parts(id, &names(&plan.cancel), now).await?;
        tx.release_parts(id, &names(&plan.begin), now).await?;
        if plan.halt.is_some() {
            tx.hold_parts(id).await?;
        }
        if plan.is_over {
            let message = course.halted.as_ref().map_or_else(|| "not begun: the time was over".to_owned(), |halt| format!("not begun: {}", halt.cause.words()));
            tx.end_pending(id, &message, now).await?;
        }
        let heading = operations::heading(&self.operation);
        if let Some(halt) = course.halted.as_ref().filter(|_| plan.halt.is_some()) {
            let subject = format!("{heading} halted: {}", halt.cause.words());
            notify::tell(app, &mut tx, &course.notify, Event::Halted, &format!("{id} halted {now}"), &subject, halt.cause.mend(), now).await?;
        }
        if plan.is_over {
            let count = |state: InvocationState| self.invocations.iter().filter(|invocation| invocation.state == state).count();
            let detail = format!("{} nodes succeeded, {} failed", count(InvocationState::Succeeded), count(InvocationState::Failed));
            notify::tell(app, &mut tx, &course.notify, Event::Finished, &format!("{id} finished"), &format!("{heading} has ended"), &detail, now).await?;
        }
        tx.commit().await?;
        for node in names(&plan.begin).into_iter().chain(names(&plan.cancel)) {
            operations::wake(app, node);
        }
        if plan.is_over {
            for waiting in app.database().read().await?.list_open_operations().await?.into_iter().filter(|operation| operation.course.after.contains(&id.to_string())) {
                put_off(app, &waiting.id, now);
            }
            app.rollouts().wake.notify_one();
        }
        Ok(())
    }
}

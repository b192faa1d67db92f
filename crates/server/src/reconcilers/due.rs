//! What recurs begins when its time has come: scans and installs of policies, tasks of windows. Next times are kept in the
//! store, so that one at which no server ran is seen.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::decide::plan_due::{Clockwork, Due, plan_due};
use domain::model::intent::{Intent, IntentKind};
use domain::model::policy::{Policy, Timing};
use domain::model::rollout::{Approval, Course, Ring, Rollout};
use domain::model::time::Timestamp;
use domain::model::window::{CatchUp, CutoffBehavior, TaskKind, Window};
use store::intents::ClockRecord;

use crate::App;
use crate::actions::operations::{self, NewOperation};
use crate::actions::{ActionError, Caller};
use crate::fleet::NamedIntent;

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(5);
/// How late a policy may begin; after that its time was missed.
const GRACE_MS: i64 = 60 * 60 * 1000;

/// Begins what is due, for as long as the server runs.
pub async fn run(app: App) {
    let mut period = tokio::time::interval(PERIOD);
    loop {
        period.tick().await;
        if let Err(error) = begin_due(&app).await {
            tracing::error!(%error, "what is due could not be begun; it is tried again");
        }
    }
}

/// Something that recurs, of a document.
enum Recurring<'a> {
    Scan(&'a Policy, &'a Timing),
    Install(&'a Policy, &'a Timing),
    Window(&'a Window),
}

impl Recurring<'_> {
    fn next_after(&self, after: Timestamp, made_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Scan(_, timing) | Self::Install(_, timing) => timing.recurrence().next_after(after, made_at),
            Self::Window(window) => window.next_after(after, made_at),
        }
    }

    /// Its first time after its document was made or changed.
    fn first_at(&self, made_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Scan(_, timing) | Self::Install(_, timing) if !timing.wait_until_first => Some(made_at),
            _ => self.next_after(made_at, made_at),
        }
    }

    fn catch_up(&self) -> (CatchUp, i64) {
        match self {
            Self::Scan(_, timing) | Self::Install(_, timing) => (timing.catch_up, GRACE_MS),
            Self::Window(window) => {
                let opening = window.opening_at(Timestamp::from_millis(0));
                (window.catch_up, opening.begins_until.as_millis())
            }
        }
    }
}

/// What recurs of a document, by the name of its clock.
fn recurring(intent: &Intent) -> Vec<(String, Recurring<'_>)> {
    match intent {
        Intent::Policy(policy) => {
            let scan = policy.scan.iter().map(|timing| (format!("scan {}", policy.name), Recurring::Scan(policy, timing)));
            let install = policy.install.iter().map(|timing| (format!("install {}", policy.name), Recurring::Install(policy, timing)));
            scan.chain(install).collect()
        }
        Intent::Window(window) if !window.tasks.is_empty() => vec![(format!("window {}", window.name), Recurring::Window(window))],
        _ => Vec::new(),
    }
}

/// The clocks of a document, at their first times.
pub(crate) fn first_times(intent: &Intent, made_at: Timestamp) -> Vec<(String, Option<Timestamp>)> {
    recurring(intent).into_iter().map(|(name, recurring)| (name, recurring.first_at(made_at))).collect()
}

/// Begins what is due once.
pub async fn begin_due(app: &App) -> Result<(), ActionError> {
    let now = app.now();
    let clocks: BTreeMap<_, _> = app.database().read().await?.list_clocks().await?.into_iter().map(|clock| (clock.name, clock.next_at)).collect();
    if clocks.values().all(|next_at| *next_at > now) {
        return Ok(());
    }
    let documents: Vec<NamedIntent> = {
        let state = app.fleet().read();
        [IntentKind::Policy, IntentKind::Window].into_iter().flat_map(|kind| state.intents.list(kind)).cloned().collect()
    };
    for named in &documents {
        for (name, recurring) in recurring(&named.intent) {
            let Some(next_at) = clocks.get(&name).copied().filter(|next_at| *next_at <= now) else { continue };
            let (catch_up, grace_ms) = recurring.catch_up();
            let is_running = operations::is_open(app, &name).await?;
            let clockwork = Clockwork { next_at, grace_ms, catch_up, is_running };
            let (due, next) = plan_due(&clockwork, now, |after| recurring.next_after(after, named.changed_at));
            let note = match due {
                Due::NotYet => continue,
                Due::Begin(at) => format!("begun for {at}"),
                Due::CatchUp(at) => format!("begun at {now}, because {at} was missed"),
                Due::Missed(at) => format!("{at} was missed, and left out"),
                Due::Overlaps(at) => format!("{at} was left out, because the one before goes on"),
            };
            // Another server that looks at the same time finds the clock moved on.
            let mut tx = app.database().write().await?;
            match next {
                Some(next_at) => tx.upsert_clock(&ClockRecord { name: name.clone(), next_at, last_note: Some(note.clone()) }).await?,
                None => tx.delete_clock(&name).await?,
            }
            tx.commit().await?;
            tracing::info!(clock = name, "{name}: {note}");
            if let Due::Begin(at) | Due::CatchUp(at) = due {
                let opened_at = if matches!(due, Due::CatchUp(_)) { now } else { at };
                if let Err(error) = begin(app, named, &name, &recurring, opened_at, now).await {
                    tracing::error!(error = error.to_string(), "{name} could not begin");
                }
            }
        }
    }
    Ok(())
}

async fn begin(app: &App, named: &NamedIntent, name: &str, recurring: &Recurring<'_>, opened_at: Timestamp, now: Timestamp) -> Result<(), ActionError> {
    match recurring {
        Recurring::Scan(policy, _) => begin_policy(app, named, policy, name, false, now).await,
        Recurring::Install(policy, _) => begin_policy(app, named, policy, name, true, now).await,
        Recurring::Window(window) => begin_window(app, named, window, name, opened_at).await,
    }
}

fn caller_of(named: &NamedIntent) -> Caller {
    Caller::of(&named.changed_by)
}

async fn begin_policy(app: &App, named: &NamedIntent, policy: &Policy, name: &str, installs: bool, now: Timestamp) -> Result<(), ActionError> {
    let mut course = Course { ends_at: Some(now.plus_millis(i64::from(policy.maximum_minutes()) * 60_000)), notify: policy.notify.clone(), ..Course::default() };
    if installs {
        course.windows.clone_from(&policy.windows);
        course.approval = policy.needs_approval.then(|| Approval { why: format!("the policy {} asks for it", policy.name), given: None });
    }
    let nodes = operations::nodes_of_policy(app, policy);
    if nodes.is_empty() {
        return Ok(());
    }
    let new = NewOperation {
        kind: if installs { "install" } else { "refresh" },
        nodes,
        wish: operations::wish_of_policy(policy),
        rollout: installs.then(|| policy.rollout.clone()),
        course,
        policy: Some(format!("{name}, version {}", named.version)),
    };
    operations::begin(app, &caller_of(named), new).await.map(|_| ())
}

async fn begin_window(app: &App, named: &NamedIntent, window: &Window, name: &str, opened_at: Timestamp) -> Result<(), ActionError> {
    let mut tasks: Vec<_> = window.tasks.iter().collect();
    tasks.sort_by_key(|task| task.priority);
    let opening = window.opening_at(opened_at);
    let (mut before, mut same) = (Vec::new(), Vec::new());
    let mut priority = None;
    for task in tasks {
        if priority.replace(task.priority) != Some(task.priority) {
            before = std::mem::take(&mut same);
        }
        let nodes = operations::nodes_of(app, &task.targets);
        if nodes.is_empty() {
            continue;
        }
        let ring = Ring { name: "all".to_owned(), concurrency: task.concurrency.clone(), errors: task.errors.clone(), ..Ring::default() };
        let course = Course {
            ends_at: Some(opening.begins_until),
            windows: if task.cutoff == CutoffBehavior::CancelTask { vec![window.name.clone()] } else { Vec::new() },
            cutoff: task.cutoff,
            after: before.clone(),
            ..Course::default()
        };
        let new = NewOperation {
            kind: if task.kind == TaskKind::Install { "install" } else { "refresh" },
            nodes,
            wish: api::v1::operation::InstallWish::default(),
            rollout: Some(Rollout { rings: vec![ring], ..Rollout::default() }),
            course,
            policy: Some(format!("{name} {}, version {}", task.name, named.version)),
        };
        same.push(operations::begin(app, &caller_of(named), new).await?.id.to_string());
    }
    Ok(())
}

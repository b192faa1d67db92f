//! Going through the steps of a run. How far it got is kept before and after each of them.

use std::sync::mpsc;
use std::time::Duration;

use domain::decide::check_plan;
use domain::decide::next_step::{Next, Situation, next_step};
use domain::decide::plan_batch::{Took, next_batch};
use domain::model::inventory::{Inventory, Reboot};
use domain::model::plan::{OnFailure, Plan};
use domain::model::receipt::{Cause, Hold, Outcome, PackageResult, PackageState, Receipt};
use domain::model::run::{Run, Step};
use domain::model::transaction::Change;

use super::receipt::{self, end_of, failure, results};
use super::{Event, InstallError, Surroundings, config_files, hooks, preflight, services, updaters, way_back};
use crate::command::{self, CommandError, Output, Watch};
use crate::inventory;
use crate::package_manager::{Back, PackageManager, Progress, SimulateError};

/// How long a package manager may take.
const PATIENCE: Duration = Duration::from_hours(2);
/// How long a system may take to go down.
const DOWN_PATIENCE: Duration = Duration::from_mins(2);
/// How long whoever watches may take to say that the system goes down.
const TELL_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the clock.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest log that is kept, in bytes: the end of it.
const LOG_BYTES_MAX: usize = 64 * 1024;

/// Goes on with a run until its end, step by step; what is there already needs nothing more.
pub fn carry_out(run: &mut Run, around: &Surroundings<'_>) -> Result<Receipt, InstallError> {
    let mut seen = Seen::default();
    loop {
        run.cancelled |= (around.is_cancelled)();
        // Only a reboot that is due next is worth the look.
        let needs_reboot = needs_look(run) && !matches!(seen.look(around)?.reboot, Reboot::NotPending);
        let now = (around.now)();
        let situation = Situation { now, boot: around.boot, needs_reboot, may_reboot: around.allows.reboot && around.root.is_running_system() };
        match next_step(run, &situation) {
            Next::Do(step) => {
                run.begin(step, now);
                if step == Step::Reboot {
                    run.left_boot = Some(around.boot.to_owned());
                }
                save(run, around)?;
                (around.watch)(Event::Begins(step));
                match step {
                    // It has ended when the next boot has begun.
                    Step::Reboot => reboot(run, around),
                    Step::Check => check(run, &mut seen, around)?,
                    Step::HookBefore | Step::HookAfter | Step::HookAtExit => {
                        call_hook(run, step, around);
                        seen.forget();
                    }
                    Step::Download => download(run, &mut seen, around)?,
                    Step::KeepWayBack => keep_way_back(run, &mut seen, around)?,
                    Step::Apply => apply(run, &mut seen, around)?,
                    Step::RestartServices => run.services = services::restart(around.root),
                    Step::Prove => {}
                }
                if step != Step::Reboot {
                    run.end((around.now)());
                }
            }
            Next::HasEnded(_) => run.end(now),
            Next::Skip(step, why) => run.skip(step, why, now),
            Next::Stop(outcome) => run.stopped = Some(outcome),
            Next::Wait(step, at) => {
                (around.watch)(Event::Waits(step, at));
                while (around.now)() < at && !(around.is_cancelled)() {
                    std::thread::sleep(PAUSE);
                }
                continue;
            }
            Next::End => break,
        }
        save(run, around)?;
    }
    updaters::go_on(&std::mem::take(&mut run.paused));
    seen.forget();
    let after = seen.look(around)?;
    let manager = inventory::package_manager(around.root).ok_or(InstallError::NoPackageManager)?;
    let plan = match run.plan.clone() {
        Some(plan) => plan,
        None => super::plan(around.root, after, &run.work, around.kept, run.started_at)?,
    };
    Ok(receipt::write(run, plan, around.root, &manager, after, (around.now)()))
}

/// Whether what is next may depend on a reboot that waits.
fn needs_look(run: &Run) -> bool {
    run.stopped.is_none() && run.has_ended(Step::Check) && !run.has_ended(Step::Reboot) && (run.n_open == 0 || run.has_ended(Step::Apply))
}

fn save(run: &Run, around: &Surroundings<'_>) -> Result<(), InstallError> {
    (around.save)(run).map_err(|source| InstallError::Keep { source })
}

/// What the system has, as it was last looked at. Whatever may have changed it makes that forgotten.
#[derive(Default)]
struct Seen(Option<Inventory>);

impl Seen {
    fn look(&mut self, around: &Surroundings<'_>) -> Result<&Inventory, InstallError> {
        if self.0.is_none() {
            self.0 = Some(inventory::collect(around.root, around.cache, (around.now)())?);
        }
        Ok(self.0.as_ref().expect("it was just looked at"))
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

/// Fixes the plan, when there is none, and looks for what stands in the way of it.
fn check(run: &mut Run, seen: &mut Seen, around: &Surroundings<'_>) -> Result<(), InstallError> {
    let root = around.root;
    let manager = inventory::package_manager(root).ok_or(InstallError::NoPackageManager)?;
    if run.work.terms.pause_updaters && run.paused.is_empty() {
        run.paused = updaters::find(root);
        save(run, around)?;
        updaters::pause(&run.paused);
    }
    // What another program is about to change is read when it has ended.
    let lock = preflight::wait_for_lock(root, around.wait);
    if run.work.terms.recover
        && lock.is_none()
        && let Some(recovered) = manager.recover(root, PATIENCE, &mut |line| tell(around, line, None))
    {
        note(run, &recovered);
    }
    seen.forget();
    let before = seen.look(around)?;
    let hold = |run: &mut Run, hold| run.stopped = Some(Outcome::Held { hold });
    let unknown = run.work.terms.hooks.names().find(|name| !around.allows.hooks || !around.hooks.contains_key(*name)).map(str::to_owned);
    if let Some(hook) = unknown {
        hold(run, Hold::NoHook { hook });
    } else if let Some(operation_id) = run.work.takes_back.clone()
        && let Some(found) = way_back::find_hold(root, &manager, around.kept, &operation_id)
    {
        hold(run, found);
    } else if let Some(found) = lock.or_else(|| preflight::find_hold(root, &manager, &before.packages)) {
        hold(run, found);
    }
    run.before.clone_from(&before.packages);
    if run.stopped.is_some() {
        return Ok(());
    }
    match super::plan(root, before, &run.work, around.kept, (around.now)()) {
        Ok(plan) => run.plan = Some(plan),
        Err(InstallError::Simulate(SimulateError::Refused { words, .. })) => {
            hold(run, Hold::Refused { words });
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let plan = run.plan.as_ref().expect("it was just made");
    run.n_open = open(&plan.changes, before).len() + packages_that_go(run, around, before).len();
    if run.n_open > 0
        && let Some(hold) = simulate(run, plan, before, around)?
    {
        run.stopped = Some(Outcome::Held { hold });
    }
    Ok(())
}

/// Packages of a run that is taken back, which have to go.
fn packages_that_go(run: &Run, around: &Surroundings<'_>, now: &Inventory) -> Vec<Change> {
    run.work.takes_back.as_ref().map(|operation_id| way_back::new_packages(around.root, around.kept, operation_id, &now.packages)).unwrap_or_default()
}

/// Why what the package manager would do now is not what was planned.
fn simulate(run: &Run, plan: &Plan, before: &Inventory, around: &Surroundings<'_>) -> Result<Option<Hold>, InstallError> {
    let root = around.root;
    let manager = inventory::package_manager(root).ok_or(InstallError::NoPackageManager)?;
    let open = Plan { changes: open(&plan.changes, before), ..plan.clone() };
    if run.work.planned.is_none() && run.work.takes_back.is_none() {
        // The plan was just made by this very question.
        let deviations = check_plan::deviations(&open, &plan.transaction);
        return Ok((!deviations.is_empty()).then_some(Hold::Deviates { deviations }));
    }
    if let Some(operation_id) = &run.work.takes_back {
        let files = way_back::files(root, &manager, around.kept, operation_id, &open.changes);
        let back = Back { now: before, files: &files, goes: &packages_that_go(run, around, before), history: None };
        let output = manager.go_back(root, &back, true, PATIENCE, &mut |_| {});
        return Ok(match output {
            Ok(output) if output.code == Some(0) => None,
            Ok(output) => Some(Hold::Refused { words: output.stdout.trim().chars().take(2000).collect() }),
            Err(error) => Some(Hold::Refused { words: error.to_string() }),
        });
    }
    Ok(match manager.simulate(root, &before.platform, &open.changes, &before.packages) {
        Err(SimulateError::Refused { words, .. }) => Some(Hold::Refused { words }),
        Err(error) => return Err(error.into()),
        Ok(transaction) => {
            let deviations = check_plan::deviations(&open, &transaction);
            (!deviations.is_empty()).then_some(Hold::Deviates { deviations })
        }
    })
}

/// Changes that are not there.
fn open(changes: &[Change], now: &Inventory) -> Vec<Change> {
    let is_open = |package: &PackageResult| package.state != PackageState::Installed;
    results(changes, &[], &now.packages).into_iter().filter(is_open).map(|package| package.change).collect()
}

fn call_hook(run: &mut Run, step: Step, around: &Surroundings<'_>) {
    let names = &run.work.terms.hooks;
    let name = match step {
        Step::HookBefore => &names.before,
        Step::HookAfter => &names.after,
        _ => &names.at_exit,
    };
    let Some(name) = name.clone() else { return };
    let called = hooks::run(run, step, &name, around);
    if called.code != Some(0) && run.stopped.is_none() {
        run.stopped = Some(Outcome::Failed { cause: Cause::HookFailed, words: format!("`{name}` {}: {}", called.words(), called.output.trim()) });
    }
    run.hooks.push(called);
}

fn download(run: &mut Run, seen: &mut Seen, around: &Surroundings<'_>) -> Result<(), InstallError> {
    if run.work.takes_back.is_some() {
        return Ok(());
    }
    let now = seen.look(around)?;
    let plan = run.plan.clone().expect("a plan is checked before its download");
    let open = Plan { changes: open(&plan.changes, now), ..plan };
    let manager = inventory::package_manager(around.root).ok_or(InstallError::NoPackageManager)?;
    let downloaded = manager.download(around.root, &now.platform, &open, PATIENCE, &mut |line| tell(around, line, None));
    if let Some(Ok(output)) = &downloaded
        && output.code != Some(0)
    {
        run.stopped = Some(failure(&output.stdout));
    }
    if let Some(downloaded) = &downloaded {
        note(run, downloaded);
    }
    if run.stopped.is_none()
        && let Some(hold) = preflight::find_full(around.root)
    {
        run.stopped = Some(Outcome::Held { hold });
    }
    Ok(())
}

fn keep_way_back(run: &mut Run, seen: &mut Seen, around: &Surroundings<'_>) -> Result<(), InstallError> {
    let manager = inventory::package_manager(around.root).ok_or(InstallError::NoPackageManager)?;
    let now = seen.look(around)?;
    let plan = run.plan.as_ref().expect("a plan is checked before its way back is kept");
    run.way_back = way_back::keep(around.root, &manager, now, plan, around.kept, &run.operation_id, &mut |line| tell(around, line, None));
    run.config_files = config_files::find(around.root).into_iter().collect();
    Ok(())
}

/// Installs what is open, in batches that end in time; one by one when something failed and the rest is to go on.
fn apply(run: &mut Run, seen: &mut Seen, around: &Surroundings<'_>) -> Result<(), InstallError> {
    let manager = inventory::package_manager(around.root).ok_or(InstallError::NoPackageManager)?;
    if run.record(Step::Apply).is_some_and(|record| record.n_attempts > 1) {
        // An agent that was killed in the middle left a package manager at work, a machine that went down left what it
        // had not ended.
        let _ = preflight::wait_for_lock(around.root, PATIENCE);
        if let Some(recovered) = manager.recover(around.root, PATIENCE, &mut |line| tell(around, line, None)) {
            note(run, &recovered);
        }
        seen.forget();
    }
    let plan = run.plan.clone().expect("a plan is checked before it is applied");
    let (mut took, mut given_up, mut one_by_one) = (Vec::new(), Vec::new(), false);
    loop {
        let now = seen.look(around)?;
        let goes = packages_that_go(run, around, now);
        let mut left = open(&plan.changes, now);
        left.retain(|change| !given_up.contains(change));
        if left.is_empty() && goes.is_empty() {
            if took.len() == 1 && run.record(Step::Apply).is_some_and(|record| record.n_attempts == 1) {
                keep_history(run, &manager, now, around);
            }
            break;
        }
        if (around.is_cancelled)() && !took.is_empty() {
            run.stopped = Some(Outcome::Cancelled { before: Step::Apply });
            return Ok(());
        }
        let is_whole = run.work.takes_back.is_some() || manager.is_all_or_nothing();
        let millis_left = plan.terms.ends_by.filter(|_| !is_whole).map(|ends_by| ends_by.as_millis() - (around.now)().as_millis());
        let n = next_batch(if one_by_one { 1 } else { left.len() }, &took, millis_left);
        if n == 0 && !left.is_empty() {
            run.stopped = Some(out_of_time(&plan, took.is_empty(), left.len()));
            return Ok(());
        }
        left.truncate(n);
        let batch = Plan { changes: left, ..plan.clone() };
        let began_at = (around.now)();
        let mut progress = Progress::new(plan.transaction.steps.len());
        let applied = hand_over(run, &manager, now, &batch, &goes, around, &mut |line| tell(around, line, progress.hear(line)));
        took.push(Took { n_packages: n, millis: (around.now)().as_millis() - began_at.as_millis() });
        note(run, &applied);
        let has_failed = !matches!(&applied, Ok(output) if output.code == Some(0));
        run.tool_failed |= has_failed;
        save(run, around)?;
        seen.forget();
        let failed = results(&batch.changes, &[], &seen.look(around)?.packages).into_iter().filter(|package| package.state != PackageState::Installed);
        let failed: Vec<_> = failed.collect();
        if is_whole || (plan.terms.on_failure == OnFailure::Stop && (has_failed || !failed.is_empty())) {
            if has_failed || !failed.is_empty() {
                run.stopped = Some(failure(&run.log));
            }
            return Ok(());
        }
        // What is broken stays so. The others of its batch may only have failed with it: each gets a turn of its own.
        one_by_one |= !failed.is_empty();
        given_up.extend(failed.into_iter().filter(|package| n == 1 || package.state == PackageState::Broken).map(|package| package.change));
    }
    if !given_up.is_empty() {
        run.stopped = Some(failure(&run.log));
    }
    Ok(())
}

/// What one transaction did can be taken back by its number.
fn keep_history(run: &Run, manager: &PackageManager, now: &Inventory, around: &Surroundings<'_>) {
    if let Some(number) = manager.last_transaction(around.root, &now.platform) {
        way_back::keep_history(around.root, around.kept, &run.operation_id, &number);
    }
}

fn out_of_time(plan: &Plan, is_first: bool, n_left: usize) -> Outcome {
    match plan.terms.ends_by {
        Some(ends_by) if is_first => Outcome::Held { hold: Hold::OutOfTime { ends_by } },
        _ => Outcome::Failed { cause: Cause::OutOfTime, words: format!("{n_left} packages were not begun") },
    }
}

/// Lets the package manager do it.
fn hand_over(run: &Run, manager: &PackageManager, now: &Inventory, batch: &Plan, goes: &[Change], around: &Surroundings<'_>, watch: Watch<'_>) -> Result<Output, CommandError> {
    match &run.work.takes_back {
        Some(operation_id) => {
            let files = way_back::files(around.root, manager, around.kept, operation_id, &batch.changes);
            let history = way_back::history(around.root, around.kept, operation_id);
            let back = Back { now, files: &files, goes, history: history.as_deref() };
            manager.go_back(around.root, &back, false, PATIENCE, watch)
        }
        None => manager.install(around.root, now, batch, PATIENCE, watch),
    }
}

/// Keeps what a tool said.
fn note(run: &mut Run, output: &Result<Output, CommandError>) {
    let said = match output {
        Ok(output) => format!("{}{}", output.stdout, output.stderr),
        Err(error) => error.to_string(),
    };
    run.log.push_str(&said);
    run.log = end_of(&run.log, LOG_BYTES_MAX).to_owned();
}

fn tell(around: &Surroundings<'_>, line: &str, percent: Option<u8>) {
    (around.watch)(Event::Line(line.to_owned(), percent));
}

/// Asks the system to boot. When it does, this process does not live to see it.
fn reboot(run: &mut Run, around: &Surroundings<'_>) {
    if let Some(inhibitor) = find_inhibitor() {
        run.skip(Step::Reboot, format!("{inhibitor} keeps the system from going down"), (around.now)());
        return;
    }
    let (answer, answered) = mpsc::channel();
    (around.watch)(Event::GoesDown(answer));
    // Nobody may be there to answer.
    let _ = answered.recv_timeout(TELL_PATIENCE);
    let asked = if around.root.join("/run/systemd/system").is_dir() { command::run("systemctl", &["reboot"]) } else { command::run("reboot", &[]) };
    match asked {
        Ok(_) => std::thread::sleep(DOWN_PATIENCE),
        Err(error) => run.skip(Step::Reboot, format!("the system does not go down: {error}"), (around.now)()),
    }
}

/// A program that wants the system to stay up, as systemd-inhibit(1) lists it: who, its user, its process, its name, what it
/// is about, why, and how.
fn find_inhibitor() -> Option<String> {
    let listed = command::run("systemd-inhibit", &["--list", "--mode=block", "--no-legend", "--no-pager"]).ok()?;
    let line = listed.lines().find(|line| line.split_whitespace().any(|word| word.split(':').any(|what| what == "shutdown")))?;
    line.split_whitespace().next().map(str::to_owned)
}

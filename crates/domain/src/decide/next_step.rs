//! What a run does next, from what it did and how things are. The order and what is left out after a failure are
//! those of AWS-RunPatchBaselineWithHooks: a failure skips to the exit hook, which always runs.

use crate::model::plan::{RebootRule, ServiceRule};
use crate::model::receipt::{Cause, Outcome};
use crate::model::run::{Run, Step};
use crate::model::time::Timestamp;

/// How things are.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The time.
    pub now: Timestamp,
    /// The boot that the system is in.
    pub boot: &'a str,
    /// Whether something is in effect only after a boot.
    pub needs_reboot: bool,
    /// Whether the node's own configuration lets it boot.
    pub may_reboot: bool,
}

/// What is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This step, begun or begun again.
    Do(Step),
    /// This step ended while nobody looked.
    HasEnded(Step),
    /// Not this step.
    Skip(Step, String),
    /// This step, when it is time.
    Wait(Step, Timestamp),
    /// The run stops here, for this reason.
    Stop(Outcome),
    /// Nothing more.
    End,
}

/// How often a step is begun: a machine that goes down each time must not do so for ever.
const ATTEMPTS_MAX: u32 = 5;

/// The next step of a run.
pub fn next_step(run: &Run, situation: &Situation<'_>) -> Next {
    let terms = &run.work.terms;
    // Ahead of its time a run only downloads.
    let ahead = terms.not_before.filter(|_| !run.has_ended(Step::Download)).map(|_| [Step::Check, Step::Download]);
    let order = ahead.iter().flatten().copied().chain(Step::ALL);
    let Some(step) = order.into_iter().find(|step| !run.has_ended(*step)) else { return Next::End };
    let is_stopped = run.stopped.is_some();
    let n_attempts = run.record(step).map_or(0, |record| record.n_attempts);
    if step == Step::Reboot && n_attempts > 0 && run.left_boot.as_deref().is_some_and(|left| left != situation.boot) {
        return Next::HasEnded(step);
    }
    if n_attempts >= ATTEMPTS_MAX {
        let words = format!("{} was begun {n_attempts} times and did not end", step.words());
        return if is_stopped { Next::Skip(step, words) } else { Next::Stop(Outcome::Failed { cause: Cause::Interrupted, words }) };
    }
    match why_not(run, step, situation) {
        Some(why) => Next::Skip(step, why),
        // What was begun is ended first, a cancel waits for it.
        None if run.cancelled && !is_stopped && n_attempts == 0 && step < Step::Prove => Next::Stop(Outcome::Cancelled { before: step }),
        None => match due_at(run, step) {
            Some(at) if situation.now < at => Next::Wait(step, at),
            _ => Next::Do(step),
        },
    }
}

/// Before which time a step is not begun.
fn due_at(run: &Run, step: Step) -> Option<Timestamp> {
    let terms = &run.work.terms;
    match (step, terms.reboot) {
        (Step::HookBefore | Step::KeepWayBack, _) => terms.not_before,
        (Step::Reboot, RebootRule::At(at)) => Some(at),
        _ => None,
    }
}

/// Why a step is left out.
fn why_not(run: &Run, step: Step, situation: &Situation<'_>) -> Option<String> {
    let terms = &run.work.terms;
    let hook = match step {
        Step::HookBefore => Some(&terms.hooks.before),
        Step::HookAfter => Some(&terms.hooks.after),
        Step::HookAtExit => Some(&terms.hooks.at_exit),
        _ => None,
    };
    let reboot = why_no_reboot(terms.reboot, situation);
    let nothing_open = run.n_open == 0;
    let why = match step {
        Step::Prove if run.has_begun(Step::Apply) || run.stopped.is_none() => return None,
        _ if hook.is_some_and(Option::is_none) => "there is none",
        Step::HookAtExit => return None,
        _ if run.stopped.is_some() => "the run stopped before it",
        Step::HookBefore | Step::HookAfter if nothing_open && reboot.is_some() => "there is nothing to do",
        Step::Download | Step::KeepWayBack | Step::Apply if nothing_open => "everything is there already",
        Step::RestartServices if terms.services == ServiceRule::Leave => "the plan leaves them as they are",
        Step::RestartServices if reboot.is_none() && terms.reboot != RebootRule::Never => "the node boots",
        Step::Reboot => return reboot.map(str::to_owned),
        _ => return None,
    };
    Some(why.to_owned())
}

fn why_no_reboot(rule: RebootRule, situation: &Situation<'_>) -> Option<&'static str> {
    match rule {
        RebootRule::Never => Some("the plan lets the node not boot"),
        RebootRule::IfNeeded | RebootRule::At(_) if !situation.needs_reboot => Some("nothing needs it"),
        _ if !situation.may_reboot => Some("the node's own configuration does not allow it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Next, Situation, next_step};
    use crate::model::order::InstallWork;
    use crate::model::plan::{Hooks, RebootRule, ServiceRule, Terms};
    use crate::model::receipt::{Cause, Hold, Outcome};
    use crate::model::run::{Run, Step};
    use crate::model::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_millis(1000);

    fn run(reboot: RebootRule, n_open: usize) -> Run {
        let hooks = Hooks { before: Some("drain".into()), after: None, at_exit: Some("tell".into()) };
        let work = InstallWork { terms: Terms { reboot, hooks, services: ServiceRule::Restart, ..Terms::default() }, ..InstallWork::default() };
        Run { n_open, ..Run::new("op-1".into(), work, NOW) }
    }

    fn situation(boot: &str) -> Situation<'_> {
        Situation { now: NOW, boot, needs_reboot: true, may_reboot: true }
    }

    /// Plays a run to its end; a step is told by its name, one that is left out in brackets.
    fn play(mut run: Run, mut situation: Situation<'_>, mut during: impl FnMut(Step, &mut Run)) -> String {
        let mut told = Vec::new();
        loop {
            match next_step(&run, &situation) {
                Next::Do(step) => {
                    run.begin(step, NOW);
                    told.push(step.word().to_owned());
                    during(step, &mut run);
                    if step == Step::Reboot {
                        run.left_boot = Some(situation.boot.to_owned());
                        situation.boot = "the next";
                    } else {
                        run.end(NOW);
                    }
                }
                Next::HasEnded(_) => run.end(NOW),
                Next::Skip(step, why) => {
                    assert!(!why.is_empty());
                    run.skip(step, why, NOW);
                }
                Next::Wait(step, at) => {
                    told.push(format!("wait for {}", step.word()));
                    situation.now = at;
                }
                Next::Stop(outcome) => {
                    told.push(outcome.words().unwrap());
                    run.stopped = Some(outcome);
                }
                Next::End => return told.join(" "),
            }
        }
    }

    #[test]
    fn steps_follow_one_another_as_the_terms_say() {
        let nothing = |_: Step, _: &mut Run| {};
        assert_eq!(play(run(RebootRule::IfNeeded, 1), situation("a"), nothing), "check hook_before download keep_way_back apply reboot prove hook_at_exit");
        assert_eq!(play(run(RebootRule::Never, 1), situation("a"), nothing), "check hook_before download keep_way_back apply restart_services prove hook_at_exit");
        let calm = Situation { needs_reboot: false, ..situation("a") };
        assert_eq!(play(run(RebootRule::IfNeeded, 1), calm, nothing), "check hook_before download keep_way_back apply restart_services prove hook_at_exit");
        assert_eq!(play(run(RebootRule::Always, 1), calm, nothing), "check hook_before download keep_way_back apply reboot prove hook_at_exit");
        let later = RebootRule::At(Timestamp::from_millis(5000));
        assert_eq!(play(run(later, 1), situation("a"), nothing), "check hook_before download keep_way_back apply wait for reboot reboot prove hook_at_exit");
        let bound = Situation { may_reboot: false, ..situation("a") };
        assert_eq!(play(run(RebootRule::Always, 1), bound, nothing), "check hook_before download keep_way_back apply restart_services prove hook_at_exit");
        let mut ahead = run(RebootRule::Never, 1);
        ahead.work.terms.not_before = Some(Timestamp::from_millis(5000));
        assert_eq!(play(ahead, situation("a"), nothing), "check download wait for hook_before hook_before keep_way_back apply restart_services prove hook_at_exit");
        // Nothing is missing: only a reboot that waits is a reason to do anything.
        assert_eq!(play(run(RebootRule::IfNeeded, 0), calm, nothing), "check restart_services prove hook_at_exit");
        assert_eq!(play(run(RebootRule::IfNeeded, 0), situation("a"), nothing), "check hook_before reboot prove hook_at_exit");
    }

    #[test]
    fn a_failure_skips_to_the_proof_and_the_exit_hook() {
        let failing = |at: Step| {
            move |step: Step, run: &mut Run| {
                if step == at {
                    run.stopped = Some(Outcome::Failed { cause: Cause::Unknown, words: String::new() });
                }
            }
        };
        assert_eq!(play(run(RebootRule::Always, 1), situation("a"), failing(Step::HookBefore)), "check hook_before hook_at_exit");
        assert_eq!(play(run(RebootRule::Always, 1), situation("a"), failing(Step::Apply)), "check hook_before download keep_way_back apply prove hook_at_exit");
        let held = |step: Step, run: &mut Run| {
            if step == Step::Check {
                run.stopped = Some(Outcome::Held { hold: Hold::Refused { words: "no".into() } });
            }
        };
        assert_eq!(play(run(RebootRule::Always, 1), situation("a"), held), "check hook_at_exit");
    }

    #[test]
    fn a_cancel_takes_effect_between_steps() {
        let cancel = |at: Step| move |step: Step, run: &mut Run| run.cancelled |= step == at;
        assert_eq!(
            play(run(RebootRule::Always, 1), situation("a"), cancel(Step::Download)),
            "check hook_before download cancelled before this: keeping what is needed to go back hook_at_exit"
        );
        assert_eq!(
            play(run(RebootRule::Always, 1), situation("a"), cancel(Step::Apply)),
            "check hook_before download keep_way_back apply cancelled before this: rebooting prove hook_at_exit"
        );
    }

    #[test]
    fn what_was_begun_is_begun_again_and_not_for_ever() {
        let mut run = run(RebootRule::Always, 1);
        for n_attempts in 1..=5 {
            assert_eq!(next_step(&run, &situation("a")), Next::Do(Step::Check));
            run.begin(Step::Check, NOW);
            assert_eq!((run.steps.len(), run.steps[0].n_attempts), (1, n_attempts));
        }
        assert!(matches!(next_step(&run, &situation("a")), Next::Stop(Outcome::Failed { cause: Cause::Interrupted, .. })));
        // A reboot that did not come about is asked for again; one that did has ended.
        let mut run = self::run(RebootRule::Always, 1);
        for step in Step::ALL.into_iter().take_while(|step| *step < Step::Reboot) {
            run.skip(step, "test".into(), NOW);
        }
        run.begin(Step::Reboot, NOW);
        run.left_boot = Some("a".into());
        assert_eq!(next_step(&run, &situation("a")), Next::Do(Step::Reboot));
        assert_eq!(next_step(&run, &situation("b")), Next::HasEnded(Step::Reboot));
    }
}

//! Whether what a package manager would do now is what was planned.

use crate::model::plan::{Extra, Plan};
use crate::model::transaction::{Action, Step, Transaction};

/// In which ways a transaction is not what was planned, in sentences; none when it may be run. It must bring
/// everything that is asked for, and do no more than the plan allows: what was not asked for must be in the plan too.
pub fn deviations(plan: &Plan, now: &Transaction) -> Vec<String> {
    let mut deviations: Vec<_> = now.left_out(&plan.changes).map(|change| format!("{change} would not come")).collect();
    for step in now.unasked(&plan.changes) {
        let is_planned = plan.transaction.steps.iter().any(|planned| is_same(planned, step));
        let is_allowed = match (plan.terms.extra, step.action) {
            (Extra::None, _) | (Extra::Dependencies, Action::Remove | Action::Downgrade) => false,
            (Extra::Dependencies | Extra::AsPlanned, _) => is_planned,
        };
        if !is_allowed {
            let why = match (plan.terms.extra, is_planned) {
                (Extra::None, _) => "and nothing may happen beside what is asked for",
                (Extra::Dependencies, true) => "and nothing may go or go back",
                (_, false) => "which is not planned",
                (Extra::AsPlanned, true) => "which is planned",
            };
            deviations.push(format!("it would {} {}{}, {why}", step.action.word(), step.name, step.to.as_ref().map(|to| format!(" {to}")).unwrap_or_default()));
        }
    }
    deviations
}

fn is_same(planned: &Step, step: &Step) -> bool {
    let same_architecture = planned.architecture.is_none() || step.architecture.is_none() || planned.architecture == step.architecture;
    planned.name == step.name && planned.action == step.action && planned.to == step.to && same_architecture
}

#[cfg(test)]
mod tests {
    use super::deviations;
    use crate::model::plan::{Extra, Foreseen, Plan, PlanSchema, Terms};
    use crate::model::time::Timestamp;
    use crate::model::transaction::{Action, Change, Step, Transaction};

    fn step(action: Action, name: &str, to: Option<&str>) -> Step {
        Step { name: name.into(), architecture: Some("amd64".into()), action, from: None, to: to.map(str::to_owned), repository: None }
    }

    #[track_caller]
    fn check(extra: Extra, planned: &[Step], now: &[Step], expected: &[&str]) {
        let transaction = |steps: &[Step]| Transaction { steps: steps.to_vec(), ..Transaction::default() };
        let changes = vec![Change { name: "a".into(), architecture: "amd64".into(), version: "2".into() }];
        let plan = Plan {
            schema: PlanSchema::V1,
            changes,
            terms: Terms { extra, ..Terms::default() },
            transaction: transaction(planned),
            foreseen: Foreseen::default(),
            made_at: Timestamp::from_millis(0),
        };
        assert_eq!(deviations(&plan, &transaction(now)), expected);
    }

    #[test]
    fn a_transaction_may_do_what_was_planned_and_allowed_and_no_more() {
        let asked = || step(Action::Upgrade, "a", Some("2"));
        let new = || step(Action::Install, "dep", Some("1"));
        let gone = || step(Action::Remove, "old", None);
        check(Extra::None, &[asked()], &[asked()], &[]);
        check(Extra::None, &[asked(), new()], &[asked(), new()], &["it would install dep 1, and nothing may happen beside what is asked for"]);
        check(Extra::Dependencies, &[asked(), new()], &[asked(), new()], &[]);
        check(Extra::Dependencies, &[asked()], &[asked(), new()], &["it would install dep 1, which is not planned"]);
        check(Extra::Dependencies, &[asked(), gone()], &[asked(), gone()], &["it would remove old, and nothing may go or go back"]);
        check(Extra::AsPlanned, &[asked(), gone()], &[asked(), gone()], &[]);
        check(Extra::AsPlanned, &[asked()], &[asked(), gone()], &["it would remove old, which is not planned"]);
        check(Extra::AsPlanned, &[asked(), new()], &[asked(), step(Action::Install, "dep", Some("3"))], &["it would install dep 3, which is not planned"]);
        // Less than what was planned is no deviation, unless it was asked for.
        check(Extra::Dependencies, &[asked(), new()], &[asked()], &[]);
        check(Extra::Dependencies, &[asked()], &[new()], &["a 2 would not come", "it would install dep 1, which is not planned"]);
    }
}

//! What must hold of every plan of a rollout, said a second time and in another way than the planner says it. A plan that
//! breaks a rule is not carried out.

use std::collections::BTreeSet;

use crate::decide::plan_rollout::{NodeState, RolloutInput, RolloutPlan, RolloutReport, TAKEN_WITHIN_MS, rate_of};
use crate::model::rollout::Start;
use crate::model::time::Timestamp;

/// Rules that a plan breaks, a sentence each.
pub fn violations(input: &RolloutInput<'_>, plan: &RolloutPlan, report: &RolloutReport, now: Timestamp) -> Vec<String> {
    let mut broken = Vec::new();
    let course = input.course;
    let rings = input.rollout.rings();
    let begin: BTreeSet<_> = plan.begin.iter().copied().collect();
    let take_back: BTreeSet<_> = plan.take_back.iter().copied().collect();
    let ring_of = |at: usize| input.nodes[at].ring.min(rings.len() - 1);
    let mut rule = |holds: bool, words: &dyn Fn() -> String| {
        if !holds {
            broken.push(words());
        }
    };

    rule(begin.len() == plan.begin.len(), &|| "a node begins twice".to_owned());
    let held: BTreeSet<_> = report.holds.iter().map(|(at, _)| *at).collect();
    for (at, node) in input.nodes.iter().enumerate() {
        let waits = matches!(node.state, NodeState::Waiting) || take_back.contains(&at);
        let is_said = usize::from(begin.contains(&at)) + usize::from(held.contains(&at));
        rule(is_said == usize::from(waits), &|| format!("{} waits: {waits}, and is said {is_said} times to begin or to be held", node.id));
    }
    for at in &take_back {
        let expired = matches!(input.nodes[*at].state, NodeState::Released(since) if since.plus_millis(TAKEN_WITHIN_MS) <= now);
        rule(expired, &|| format!("{} still has time to take its work", input.nodes[*at].id));
    }

    let may_begin = course.halted.is_none()
        && plan.halt.is_none()
        && course.paused.is_none()
        && course.ended_at.is_none()
        && course.approval.as_ref().is_none_or(|approval| approval.given.is_some())
        && course.ends_at.is_none_or(|ends_at| now < ends_at)
        && input.opening.is_none_or(|window| window.opening.is_some_and(|opening| opening.lets_begin(now)));
    rule(may_begin || begin.is_empty(), &|| format!("{} nodes begin though nothing may", begin.len()));

    for at in &begin {
        let node = &input.nodes[*at];
        rule(node.freeze.is_none(), &|| format!("{} begins though it is frozen", node.id));
        rule(node.silent_since.is_none() && !node.is_busy, &|| format!("{} begins though it is silent or busy", node.id));
        let ring = ring_of(*at);
        for (before, of) in rings[..ring].iter().enumerate() {
            let known = course.rings.get(before);
            let is_empty = !input.nodes.iter().any(|node| node.ring.min(rings.len() - 1) == before);
            let has_passed = known.is_some_and(|known| known.passed_at.is_some() || known.skipped.is_some()) || plan.pass.contains(&before) || is_empty;
            // A ring of which every node was left out passes without a word.
            let is_left_out = input.nodes.iter().filter(|node| node.ring.min(rings.len() - 1) == before).all(|node| node.state == NodeState::LeftOut);
            rule(has_passed || is_left_out, &|| format!("{} of the ring {} begins before the ring {} passed", node.id, rings[ring].name, of.name));
        }
    }

    for (at, ring) in rings.iter().enumerate() {
        let of_ring = || input.nodes.iter().enumerate().filter(|(place, _)| ring_of(*place) == at);
        let count = |is: &dyn Fn(usize, NodeState) -> bool| u32::try_from(of_ring().filter(|(place, node)| is(*place, node.state)).count()).unwrap_or(u32::MAX);
        let rate = rate_of(ring, count(&|_, _| true));
        let begins = count(&|place, _| begin.contains(&place));
        let at_work = begins + count(&|place, state| matches!(state, NodeState::Running | NodeState::Released(_)) && !take_back.contains(&place));
        rule(begins == 0 || at_work <= rate.concurrency, &|| format!("{at_work} nodes of the ring {} are at work, and {} may", ring.name, rate.concurrency));
        let failed = count(&|_, state| matches!(state, NodeState::Failed(_) | NodeState::Lost));
        let known = course.rings.get(at).cloned().unwrap_or_default();
        let is_too_many = known.skipped.is_none() && failed.saturating_sub(known.forgiven) > rate.errors;
        rule(!is_too_many || course.halted.is_some() || plan.halt.is_some(), &|| format!("{failed} nodes of the ring {} failed, and it goes on", ring.name));
        let succeeded = count(&|_, state| matches!(state, NodeState::Succeeded(_)));
        let first = match input.rollout.start {
            Start::AtOnce => u32::MAX,
            Start::FirstNode if succeeded > 0 => u32::MAX,
            Start::FirstNode => 1,
            Start::Ramp => succeeded + 1,
        };
        rule(begins == 0 || at_work <= first, &|| format!("{at_work} nodes of the ring {} are at work before the first succeeded", ring.name));
        if plan.pass.contains(&at) && at + 1 < rings.len() {
            let minutes = if course.emergency { ring.emergency_soak_minutes } else { ring.soak_minutes };
            let last_end = of_ring().filter_map(|(_, node)| if let NodeState::Succeeded(end) | NodeState::Failed(end) = node.state { Some(end) } else { None }).max();
            let soaked = last_end.is_none_or(|end| end.plus_millis(i64::from(minutes) * 60_000) <= now);
            rule(soaked, &|| format!("the ring {} passes before its soak ended", ring.name));
            let is_gate_open = ring.gate.is_none() || known.gate.as_ref().is_some_and(|gate| gate.passed);
            rule(is_gate_open || last_end.is_none(), &|| format!("the ring {} passes through a gate that is not open", ring.name));
            rule(at_work == begins, &|| format!("the ring {} passes while its nodes are at work", ring.name));
        }
    }

    for (at, group) in input.groups.iter().enumerate() {
        let of_group = || input.nodes.iter().enumerate().filter(|(_, node)| node.group == Some(at));
        let is_down = |place: usize, state: NodeState| match state {
            NodeState::Running | NodeState::Lost | NodeState::Failed(_) => true,
            NodeState::Released(_) => !take_back.contains(&place),
            _ => begin.contains(&place),
        };
        let begins = of_group().any(|(place, _)| begin.contains(&place));
        let down = of_group().filter(|(place, node)| is_down(*place, node.state) || begin.contains(place)).count() + group.down_elsewhere as usize;
        rule(!begins || down <= group.max_down as usize, &|| format!("{down} of the reboot group {} are down, and {} may", group.name, group.max_down));
    }
    rule(!plan.is_over || begin.is_empty(), &|| "it is over, and nodes begin".to_owned());
    broken
}

//! Times the planning of a large rollout and of many windows, for `cargo xtask bench rollouts`; prints JSON.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads a clock and prints")]

use std::hint::black_box;
use std::time::Instant;

use domain::decide::check_rollout;
use domain::decide::plan_due::{Clockwork, plan_due};
use domain::decide::plan_rollout::{NodeState, RolloutInput, RolloutNode, plan_rollout};
use domain::model::rollout::{Course, RingCourse, Rollout};
use domain::model::time::Timestamp;
use domain::model::window::Window;

const N_NODES: usize = 100_000;
const N_RINGS: usize = 10;
const N_WINDOWS: usize = 10_000;
const ROUNDS: usize = 5;
const NOW: Timestamp = Timestamp::from_millis(1_796_000_000_000);

fn main() {
    let rings: Vec<_> = (0..N_RINGS).map(|ring| format!("{{\"name\":\"ring-{ring}\",\"percent\":10}}")).collect();
    let rollout: Rollout = serde_json::from_str(&format!("{{\"rings\":[{}],\"spread_minutes\":0}}", rings.join(","))).expect("the rollout reads");
    let ids: Vec<String> = (0..N_NODES).map(|node| format!("mi-{node:017x}")).collect();
    let state = |node: usize| match (node % N_RINGS, node % 100) {
        (0..5, _) => NodeState::Succeeded(NOW),
        (5, 0..50) => NodeState::Running,
        _ => NodeState::Waiting,
    };
    let node = |at: usize| RolloutNode { id: &ids[at], ring: at % N_RINGS, state: state(at), silent_since: None, is_busy: false, freeze: None, group: None };
    let nodes: Vec<_> = (0..N_NODES).map(node).collect();
    let passed = RingCourse { entered_at: Some(NOW), passed_at: Some(NOW), ..RingCourse::default() };
    let course = Course { rings: vec![passed; 5], ..Course::default() };
    let input = RolloutInput { rollout: &rollout, course: &course, nodes: &nodes, opening: None, freezes: &[], groups: &[], expected_ms: 600_000, seed: "bench" };
    let plan_ms = best(|| plan_rollout(&input, NOW).1.holds.len());
    let (plan, report) = plan_rollout(&input, NOW);
    let check_ms = best(|| check_rollout::violations(&input, &plan, &report, NOW).len());
    assert!(check_rollout::violations(&input, &plan, &report, NOW).is_empty(), "the plan keeps the rules");

    let zones = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC"];
    let window = |number: usize| -> Window {
        let text = format!(
            "{{\"schema\":\"window/v1\",\"name\":\"window-{number}\",\"schedule\":\"cron({} {} ? * {} *)\",\"zone\":\"{}\",\"duration_hours\":4}}",
            number % 60,
            number % 24,
            ["SUN", "TUE#2", "MON-FRI"][number % 3],
            zones[number % zones.len()]
        );
        serde_json::from_str(&text).expect("the window reads")
    };
    let windows: Vec<_> = (0..N_WINDOWS).map(window).collect();
    // Each opened a moment ago: it begins, and its next time is computed.
    let due = |window: &Window| {
        let clockwork = Clockwork { next_at: NOW, grace_ms: 4 * 3_600_000, catch_up: window.catch_up, is_running: false };
        plan_due(&clockwork, NOW, |after| window.next_after(after, Timestamp::from_millis(0)))
    };
    let due_ms = best(|| windows.iter().filter(|window| due(window).1.is_some()).count());
    println!("{{\"n_nodes\": {N_NODES}, \"n_rings\": {N_RINGS}, \"plan_ms\": {plan_ms}, \"check_ms\": {check_ms}, \"n_windows\": {N_WINDOWS}, \"due_ms\": {due_ms}}}");
}

/// Milliseconds of the best of some rounds.
fn best(round: impl Fn() -> usize) -> f64 {
    let spent = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        black_box(round());
        start.elapsed().as_secs_f64() * 1000.0
    });
    spent.fold(f64::INFINITY, f64::min)
}

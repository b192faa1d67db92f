//! A small world for scenarios: nodes that take their time, fail or fall silent, and a server that only plans.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use domain::decide::check_rollout;
use domain::decide::plan_due::{Clockwork, Due, plan_due};
use domain::decide::plan_rollout::{FreezeState, GroupState, NodeState, RolloutHold, RolloutInput, RolloutNode, RolloutReport, WindowState, plan_rollout};
use domain::model::intent::Intent;
use domain::model::platform::OperatingSystem;
use domain::model::policy::{Policy, policies_of};
use domain::model::reboot_group::{RebootLock, may_lock};
use domain::model::rollout::{Act, Approval, Course, GateResult, Halt, HaltCause, RING_TAG, Rollout};
use domain::model::selector::{Selectable, Selector};
use domain::model::time::{DAY_MS, Timestamp};
use domain::model::window::{CatchUp, CutoffBehavior, Window};

const MINUTE_MS: i64 = 60_000;
/// A scenario that goes on for so many steps would go on for ever.
const STEPS_MAX: usize = 200_000;

#[derive(Default)]
pub struct World {
    now: Timestamp0,
    nodes: Vec<SimulatedNode>,
    documents: BTreeMap<(&'static str, String), (Intent, Timestamp)>,
    /// Next times, by what they are of.
    clocks: BTreeMap<String, Timestamp>,
    operations: Vec<Operation>,
    locks: BTreeMap<String, Vec<RebootLock>>,
    gate_is_open: Option<bool>,
    server_is_down: bool,
    told: String,
}

/// An instant that begins at the start of 1970.
#[derive(Clone, Copy)]
struct Timestamp0(Timestamp);

impl Default for Timestamp0 {
    fn default() -> Self {
        Self(Timestamp::from_millis(0))
    }
}

struct SimulatedNode {
    name: String,
    tags: BTreeMap<String, String>,
    takes_ms: i64,
    fails: bool,
    /// It falls silent when it has begun.
    dies: bool,
    /// It is heard of, and takes nothing.
    deaf: bool,
    silent_since: Option<Timestamp>,
}

impl Selectable for SimulatedNode {
    fn id(&self) -> &str {
        &self.name
    }
    fn account(&self) -> &'static str {
        "default"
    }
    fn units(&self) -> &[&str] {
        &["organization"]
    }
    fn region(&self) -> &'static str {
        "default"
    }
    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }
    fn operating_system(&self) -> Option<OperatingSystem> {
        Some(OperatingSystem::Debian)
    }
}

struct Operation {
    name: String,
    rollout: Rollout,
    course: Course,
    /// What each node is, its ring, how far it is, and when it ends.
    parts: Vec<Part>,
    window: Option<String>,
    cutoff: CutoffBehavior,
    /// What has to be over before it begins.
    after: Vec<usize>,
    look_at: Option<Timestamp>,
    seed: String,
}

struct Part {
    node: usize,
    ring: usize,
    state: NodeState,
    ends_at: Option<Timestamp>,
}

impl World {
    /// Plays a script, and tells what happened.
    pub fn play(mut self, script: &str) -> String {
        let mut lines = script.lines().peekable();
        while let Some(line) = lines.next() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut block = String::new();
            while let Some(more) = lines.next_if(|next| next.starts_with(' ')) {
                block.push_str(more.strip_prefix("  ").unwrap_or(more));
                block.push('\n');
            }
            let _ = writeln!(self.told, "> {line}");
            self.obey(line, &block);
        }
        self.told
    }

    fn obey(&mut self, line: &str, block: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        let rest = |n: usize| words[n..].join(" ");
        match words.as_slice() {
            ["at", time] => self.now = Timestamp0(Timestamp::parse_rfc3339(time).unwrap()),
            ["document"] => self.save(block),
            ["nodes", n, prefix, tags @ ..] => self.add_nodes(n.parse().unwrap(), prefix, tags),
            ["tag", names, tags @ ..] => self.change(names, |node| node.tags.extend(read_tags(tags))),
            ["takes", names, time] => self.change(names, |node| node.takes_ms = millis(time)),
            ["fails", names] => self.change(names, |node| node.fails = true),
            ["mend", names] => self.change(names, |node| (node.fails, node.dies, node.deaf) = (false, false, false)),
            ["dies", names] => self.change(names, |node| node.dies = true),
            ["deaf", names] => self.change(names, |node| node.deaf = true),
            ["silent", names] => {
                let now = self.now();
                self.change(names, |node| node.silent_since = Some(now));
            }
            ["back", names] => self.change(names, |node| node.silent_since = None),
            ["start", name, options @ ..] => self.start_by_hand(name, options, block),
            ["run", "for", time] => self.run_until(self.now().plus_millis(millis(time))),
            ["run", "until", time] => self.run_until(Timestamp::parse_rfc3339(time).unwrap()),
            ["run"] => self.run_until(self.now().plus_millis(40 * DAY_MS)),
            ["server", "down"] => self.server_is_down = true,
            ["server", "up"] => self.server_is_down = false,
            ["gate", state] => self.gate_is_open = Some(*state == "open"),
            ["pause", by] => self.last().course.paused = Some(self.act(by)),
            ["approve", by] => {
                let act = self.act(by);
                self.last().course.approval.as_mut().unwrap().given = Some(act);
            }
            ["resume", ..] => self.resume(),
            ["skip", ring] => {
                let act = self.act("operator");
                let operation = self.last();
                let at = operation.rollout.rings().iter().position(|known| known.name == *ring).unwrap();
                operation.course.rings[at].skipped = Some(act);
                operation.course.halted = None;
            }
            ["stop"] => {
                let operation = self.last();
                for part in operation.parts.iter_mut().filter(|part| part.state == NodeState::Waiting) {
                    part.state = NodeState::LeftOut;
                }
            }
            ["withdraw", ..] => {
                let at = self.now();
                self.last().course.halted = Some(Halt { at, cause: HaltCause::Withdrawn { words: rest(1) } });
            }
            ["lock", group, holder] => self.lock(group, holder),
            ["policies", name] => self.tell_policies(name),
            ["times", kind, name, n] => self.tell_times(kind, name, n.parse().unwrap()),
            ["show"] => self.show(),
            _ => panic!("`{line}` is no command"),
        }
    }

    fn now(&self) -> Timestamp {
        self.now.0
    }

    fn act(&self, by: &str) -> Act {
        Act { by: by.to_owned(), at: self.now() }
    }

    fn last(&mut self) -> &mut Operation {
        self.operations.last_mut().expect("an operation was started")
    }

    fn tell(&mut self, words: &str) {
        let _ = writeln!(self.told, "{} {words}", self.now().to_string().replace('T', " ").replace(":00Z", "Z"));
    }

    fn change(&mut self, names: &str, change: impl Fn(&mut SimulatedNode)) {
        for node in self.nodes.iter_mut().filter(|node| matches_name(names, &node.name)) {
            change(node);
        }
    }

    fn add_nodes(&mut self, n: usize, prefix: &str, tags: &[&str]) {
        let width = n.to_string().len().max(2);
        for number in 1..=n {
            let name = format!("{prefix}-{number:0width$}");
            self.nodes.push(SimulatedNode { name, tags: read_tags(tags).collect(), takes_ms: 10 * MINUTE_MS, fails: false, dies: false, deaf: false, silent_since: None });
        }
    }

    fn save(&mut self, text: &str) {
        let intent = match Intent::parse(text) {
            Ok(intent) => intent,
            Err(error) => return self.tell(&format!("refused: {error}")),
        };
        let now = self.now();
        if let Intent::Policy(policy) = &intent {
            for (kind, timing) in [("scan", &policy.scan), ("install", &policy.install)] {
                let Some(timing) = timing else { continue };
                let next = if timing.wait_until_first { timing.recurrence().next_after(now, now) } else { Some(now) };
                self.clocks.insert(format!("{kind} {}", policy.name), next.unwrap());
            }
        }
        if let Intent::Window(window) = &intent
            && !window.tasks.is_empty()
        {
            self.clocks.insert(format!("window {}", window.name), window.next_after(now, now).unwrap());
        }
        self.documents.insert((intent.kind().noun(), intent.name().to_owned()), (intent, now));
    }

    fn policy(&self, name: &str) -> &Policy {
        match &self.documents[&("policy", name.to_owned())].0 {
            Intent::Policy(policy) => policy,
            _ => unreachable!("it was found under policies"),
        }
    }

    fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.documents.values().filter_map(|(intent, _)| if let Intent::Policy(policy) = intent { Some(&**policy) } else { None })
    }

    fn window(&self, name: &str) -> (&Window, Timestamp) {
        match &self.documents[&("window", name.to_owned())] {
            (Intent::Window(window), made_at) => (window, *made_at),
            _ => unreachable!("it was found under windows"),
        }
    }

    fn tell_policies(&mut self, name: &str) {
        let node = self.nodes.iter().find(|node| node.name == name).unwrap();
        let names: Vec<_> = policies_of(self.policies(), node).into_iter().map(|policy| policy.name.clone()).collect();
        let words = match names.split_first() {
            None => "no policy".to_owned(),
            Some((first, [])) => format!("{first} acts"),
            Some((first, others)) => format!("{first} acts, and shadows {}", others.join(", ")),
        };
        self.tell(&format!("{name}: {words}"));
    }

    fn tell_times(&mut self, kind: &str, name: &str, n: usize) {
        let mut at = self.now();
        for _ in 0..n {
            let next = if kind == "window" {
                let (window, made_at) = self.window(name);
                window.next_after(at, made_at).map(|next| {
                    let opening = window.opening_at(next);
                    (next, format!("{} to {}", window.zone.words(next), window.zone.words(opening.closes_at)))
                })
            } else {
                let (policy, (_, made_at)) = (self.policy(name), &self.documents[&("policy", name.to_owned())]);
                let timing = if kind == "scan" { &policy.scan } else { &policy.install }.as_ref().unwrap();
                timing.recurrence().next_after(at, *made_at).map(|next| (next, timing.zone.words(next)))
            };
            let Some((next, words)) = next else { break };
            let _ = writeln!(self.told, "{next} is {words}");
            at = next;
        }
    }

    fn start_by_hand(&mut self, name: &str, options: &[&str], block: &str) {
        let rollout: Rollout = if block.is_empty() { Rollout::default() } else { serde_saphyr::from_str(block).unwrap() };
        let option = |key: &str| options.iter().find_map(|option| option.strip_prefix(key)?.strip_prefix('='));
        let mut course = Course { ends_at: Some(self.now().plus_millis(option("within").map_or(DAY_MS, millis))), ..Course::default() };
        course.emergency = options.contains(&"emergency");
        if options.contains(&"approval") || course.emergency {
            course.approval = Some(Approval { why: "it is asked for".to_owned(), given: None });
        }
        let targets = option("nodes").unwrap_or("*").to_owned();
        let nodes = (0..self.nodes.len()).filter(|node| matches_name(&targets, &self.nodes[*node].name)).collect();
        let window = option("window").map(str::to_owned);
        self.start(name, rollout, course, nodes, window, CutoffBehavior::default(), Vec::new());
    }

    #[expect(clippy::too_many_arguments, reason = "each is another part of an operation")]
    fn start(&mut self, name: &str, rollout: Rollout, course: Course, nodes: Vec<usize>, window: Option<String>, cutoff: CutoffBehavior, after: Vec<usize>) {
        let seed = name.to_owned();
        let part = |node: usize| {
            let simulated = &self.nodes[node];
            Part { node, ring: rollout.ring_of(simulated, simulated.tag(RING_TAG), &seed), state: NodeState::Waiting, ends_at: None }
        };
        let parts: Vec<_> = nodes.into_iter().map(part).collect();
        self.tell(&format!("{name}: started on {} nodes", parts.len()));
        let now = self.now();
        self.operations.push(Operation { name: name.to_owned(), rollout, course, parts, window, cutoff, after, look_at: Some(now), seed });
    }

    fn resume(&mut self) {
        let operation = self.last();
        operation.course.paused = None;
        if operation.course.halted.take().is_some() {
            for (at, ring) in operation.course.rings.iter_mut().enumerate() {
                let failed = operation.parts.iter().filter(|part| part.ring == at && matches!(part.state, NodeState::Failed(_) | NodeState::Lost)).count();
                ring.forgiven = u32::try_from(failed).unwrap();
                if ring.gate.as_ref().is_some_and(|gate| !gate.passed) {
                    ring.gate = None;
                }
            }
        }
    }

    fn lock(&mut self, group: &str, holder: &str) {
        let now = self.now();
        let Intent::RebootGroup(document) = &self.documents[&("reboot-group", group.to_owned())].0 else { unreachable!("it was found under groups") };
        let held = self.locks.entry(group.to_owned()).or_default();
        let words = if may_lock(document, held, 0, holder, now) {
            held.retain(|lock| lock.holder != holder);
            let expires_at = now.plus_millis(i64::from(document.lock_minutes) * MINUTE_MS);
            held.push(RebootLock { holder: holder.to_owned(), taken_at: now, expires_at });
            format!("{holder} holds a lock of {group} until {expires_at}")
        } else {
            format!("{holder} gets no lock of {group}")
        };
        self.tell(&words);
    }

    /// Lets time pass from event to event.
    fn run_until(&mut self, end: Timestamp) {
        for _ in 0..STEPS_MAX {
            self.step();
            let ends = self.operations.iter().flat_map(|operation| operation.parts.iter().filter_map(|part| part.ends_at));
            let planned = self.operations.iter().filter(|operation| operation.course.ended_at.is_none()).filter_map(|operation| operation.look_at);
            let clocks = self.clocks.values().copied();
            let locks = self.locks.values().flatten().map(|lock| lock.expires_at);
            let next = ends.chain(planned.chain(clocks).chain(locks).filter(|_| !self.server_is_down)).filter(|at| *at > self.now()).min();
            match next {
                Some(next) if next <= end => self.now = Timestamp0(next),
                _ => break,
            }
        }
        self.now = Timestamp0(end);
        self.step();
    }

    fn step(&mut self) {
        self.end_parts();
        if self.server_is_down {
            return;
        }
        self.begin_due();
        // What ended in one operation may let another begin.
        for at in 0..self.operations.len() {
            let n_looks = (0..10).take_while(|_| self.drive(at)).count();
            assert!(n_looks < 10, "{} never comes to rest", self.operations[at].name);
        }
    }

    fn end_parts(&mut self) {
        let now = self.now();
        for operation in &mut self.operations {
            for part in operation.parts.iter_mut().filter(|part| part.ends_at.is_some_and(|ends_at| ends_at <= now)) {
                let ends_at = part.ends_at.take().unwrap();
                let node = &mut self.nodes[part.node];
                part.state = if node.dies {
                    node.silent_since = Some(ends_at);
                    NodeState::Lost
                } else if node.fails {
                    NodeState::Failed(ends_at)
                } else {
                    NodeState::Succeeded(ends_at)
                };
                operation.look_at = Some(now);
            }
        }
    }

    fn begin_due(&mut self) {
        let due: Vec<_> = self.clocks.iter().filter(|(_, next)| **next <= self.now()).map(|(key, next)| (key.clone(), *next)).collect();
        for (key, next_at) in due {
            let (kind, name) = key.split_once(' ').unwrap();
            let is_running = self.operations.iter().any(|operation| operation.name.starts_with(&key) && operation.course.ended_at.is_none());
            let (made_at, now) = (self.documents[&(if kind == "window" { "window" } else { "policy" }, name.to_owned())].1, self.now());
            let plan = |catch_up: CatchUp, grace_ms: i64, next_after: &dyn Fn(Timestamp) -> Option<Timestamp>| {
                plan_due(&Clockwork { next_at, grace_ms, catch_up, is_running }, now, next_after)
            };
            let (due, next) = if kind == "window" {
                let window = self.window(name).0;
                let grace_ms = i64::from(window.duration_hours - window.cutoff_hours) * 60 * MINUTE_MS;
                plan(window.catch_up, grace_ms, &|after| window.next_after(after, made_at))
            } else {
                let policy = self.policy(name);
                let timing = if kind == "scan" { &policy.scan } else { &policy.install }.as_ref().unwrap();
                plan(timing.catch_up, 60 * MINUTE_MS, &|after| timing.recurrence().next_after(after, made_at))
            };
            match next {
                Some(next) => self.clocks.insert(key.clone(), next),
                None => self.clocks.remove(&key),
            };
            match due {
                Due::NotYet => {}
                Due::Missed(at) => self.tell(&format!("{key}: {at} was missed")),
                Due::Overlaps(at) => self.tell(&format!("{key}: {at} is left out, because the one before goes on")),
                Due::Begin(at) | Due::CatchUp(at) => {
                    if matches!(due, Due::CatchUp(_)) {
                        self.tell(&format!("{key}: {at} is caught up"));
                    }
                    if kind == "window" {
                        self.open(name, if matches!(due, Due::CatchUp(_)) { now } else { at });
                    } else {
                        self.begin_policy(kind, name);
                    }
                }
            }
        }
    }

    fn open(&mut self, name: &str, at: Timestamp) {
        let window = self.window(name).0.clone();
        let opening = window.opening_at(at);
        self.tell(&format!("window {name} opens until {}", window.zone.words(opening.closes_at)));
        let mut tasks = window.tasks.clone();
        tasks.sort_by_key(|task| task.priority);
        let (mut before, mut same) = (Vec::new(), Vec::new());
        let mut priority = None;
        for task in tasks {
            if priority.replace(task.priority) != Some(task.priority) {
                before = std::mem::take(&mut same);
            }
            let ring = domain::model::rollout::Ring { name: "all".to_owned(), concurrency: task.concurrency.clone(), errors: task.errors.clone(), ..Default::default() };
            let rollout = Rollout { rings: vec![ring], ..Rollout::default() };
            let course = Course { ends_at: Some(opening.begins_until), ..Course::default() };
            let nodes = self.select(&task.targets);
            same.push(self.operations.len());
            self.start(&format!("window {name} {}", task.name), rollout, course, nodes, Some(name.to_owned()), task.cutoff, before.clone());
        }
    }

    fn select(&self, targets: &Selector) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| targets.selects(&self.nodes[*node])).collect()
    }

    fn begin_policy(&mut self, kind: &str, name: &str) {
        let policy = self.policy(name).clone();
        let acts = |node: &usize| policies_of(self.policies(), &self.nodes[*node]).first().is_some_and(|acting| acting.name == name);
        let nodes: Vec<_> = self.select(&policy.targets).into_iter().filter(acts).collect();
        let is_install = kind == "install";
        let mut course = Course { ends_at: Some(self.now().plus_millis(i64::from(policy.maximum_minutes()) * MINUTE_MS)), ..Course::default() };
        if is_install && policy.needs_approval {
            course.approval = Some(Approval { why: "the policy asks for it".to_owned(), given: None });
        }
        let all_at_once = || {
            let ring = domain::model::rollout::Ring { name: "all".to_owned(), concurrency: Some("100%".to_owned()), errors: Some("100%".to_owned()), ..Default::default() };
            Rollout { rings: vec![ring], ..Rollout::default() }
        };
        let rollout = if is_install { policy.rollout.clone() } else { all_at_once() };
        let window = policy.windows.first().filter(|_| is_install).cloned();
        self.start(&format!("{kind} {name}"), rollout, course, nodes, window, CutoffBehavior::default(), Vec::new());
    }

    /// One look at an operation; whether something changed.
    fn drive(&mut self, at: usize) -> bool {
        let operation = &self.operations[at];
        if operation.course.ended_at.is_some() || operation.after.iter().any(|before| self.operations[*before].course.ended_at.is_none()) {
            return false;
        }
        let (plan, report) = self.plan(at);
        let now = self.now();
        let rings = self.operations[at].rollout.rings();
        let name = self.operations[at].name.clone();
        let names = |world: &Self, places: &[usize]| names(places.iter().map(|place| world.nodes[world.operations[at].parts[*place].node].name.as_str()));
        for (verb, list) in [("passes", &plan.pass), ("is entered", &plan.enter)] {
            for ring in list {
                if rings.len() > 1 {
                    self.tell(&format!("{name}: ring {} {verb}", rings[*ring].name));
                }
            }
        }
        for (places, words) in [(&plan.take_back, "did not take it in time"), (&plan.begin, "begin"), (&plan.cancel, "are asked to stop")] {
            if !places.is_empty() {
                let names = names(self, places);
                self.tell(&format!("{name}: {words}: {names}"));
            }
        }
        if let Some(cause) = plan.halt.as_ref().filter(|_| self.operations[at].course.halted.is_none()) {
            self.tell(&format!("{name}: HALTS: {}", cause.words()));
        }
        if plan.is_over {
            let counts = self.operations[at].parts.iter().fold(BTreeMap::<_, usize>::new(), |mut counts, part| {
                *counts.entry(state_word(part.state)).or_default() += 1;
                counts
            });
            let words: Vec<_> = counts.into_iter().map(|(word, n)| format!("{n} {word}")).collect();
            self.tell(&format!("{name}: is over: {}", words.join(", ")));
        }
        let is_changed = !plan.is_empty();
        let operation = &mut self.operations[at];
        plan.note(&mut operation.course, rings.len(), now);
        for place in &plan.take_back {
            // Whoever did not take it is heard of no more, as far as the server can tell.
            operation.parts[*place].state = NodeState::Waiting;
            self.nodes[operation.parts[*place].node].silent_since = Some(now);
        }
        for place in &plan.cancel {
            operation.parts[*place].state = NodeState::LeftOut;
            operation.parts[*place].ends_at = None;
        }
        for place in &plan.begin {
            let part = &mut operation.parts[*place];
            let node = &self.nodes[part.node];
            part.state = NodeState::Released(now);
            if !node.deaf {
                part.state = NodeState::Running;
                part.ends_at = Some(now.plus_millis(node.takes_ms));
            }
        }
        if let Some(ring) = plan.ask_gate {
            let passed = self.gate_is_open.unwrap_or(true);
            let words = if passed { "all is well" } else { "status 503" }.to_owned();
            operation.course.rings[ring].gate = Some(GateResult { at: now, passed, words: words.clone() });
            self.tell(&format!("{name}: the gate of ring {} says: {words}", rings[ring].name));
        }
        let operation = &mut self.operations[at];
        operation.look_at = report.look_at;
        // What outlives a moment comes back from its text as it was.
        let text = serde_json::to_string(&operation.course).unwrap();
        let read: Course = serde_json::from_str(&text).unwrap();
        assert_eq!(read, operation.course);
        operation.course = read;
        is_changed
    }

    fn plan(&self, at: usize) -> (domain::decide::plan_rollout::RolloutPlan, RolloutReport) {
        let operation = &self.operations[at];
        let now = self.now();
        let freezes: Vec<_> = self.documents.values().filter_map(|(intent, _)| if let Intent::Freeze(freeze) = intent { Some(freeze) } else { None }).collect();
        let holding: Vec<_> = freezes.into_iter().filter(|freeze| freeze.holds(now) && !operation.course.emergency).collect();
        let groups: Vec<_> = self.documents.values().filter_map(|(intent, _)| if let Intent::RebootGroup(group) = intent { Some(group) } else { None }).collect();
        let busy: BTreeSet<_> = self
            .operations
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .flat_map(|(_, operation)| operation.parts.iter().filter(|part| matches!(part.state, NodeState::Running | NodeState::Released(_))).map(|part| part.node))
            .collect();
        let own: BTreeSet<_> = operation.parts.iter().map(|part| part.node).collect();
        let down_elsewhere = |group: &&domain::model::reboot_group::RebootGroup| {
            let locks = self.locks.get(&group.name).into_iter().flatten().filter(|lock| lock.expires_at > now).count();
            let lost = |(at, node): &(usize, &SimulatedNode)| !own.contains(at) && group.members.selects(*node) && (busy.contains(at) || node.silent_since.is_some());
            u32::try_from(locks + self.nodes.iter().enumerate().filter(lost).count()).unwrap()
        };
        let group_states: Vec<_> = groups.iter().map(|group| GroupState { name: &group.name, max_down: group.max_down, down_elsewhere: down_elsewhere(group) }).collect();
        let nodes: Vec<_> = operation
            .parts
            .iter()
            .map(|part| {
                let node = &self.nodes[part.node];
                RolloutNode {
                    id: &node.name,
                    ring: part.ring,
                    state: part.state,
                    silent_since: node.silent_since,
                    is_busy: busy.contains(&part.node),
                    freeze: holding.iter().position(|freeze| freeze.targets.selects(node)),
                    group: groups.iter().position(|group| group.members.selects(node)),
                }
            })
            .collect();
        let opening = operation.window.as_deref().map(|name| {
            let (window, made_at) = self.window(name);
            // The opening that its tasks began with may have been caught up.
            let opening = window.current_or_next(now, made_at);
            WindowState { name, opening, cancels: operation.cutoff == CutoffBehavior::CancelTask }
        });
        let freeze_states: Vec<_> = holding.iter().map(|freeze| FreezeState { name: &freeze.name, owner: &freeze.owner, until: freeze.until }).collect();
        let input = RolloutInput {
            rollout: &operation.rollout,
            course: &operation.course,
            nodes: &nodes,
            opening,
            freezes: &freeze_states,
            groups: &group_states,
            expected_ms: 10 * MINUTE_MS,
            seed: &operation.seed,
        };
        let (plan, report) = plan_rollout(&input, now);
        assert_eq!(check_rollout::violations(&input, &plan, &report, now), Vec::<String>::new(), "at {now}");
        (plan, report)
    }

    /// Rings with their states, and why nodes wait.
    fn show(&mut self) {
        for at in 0..self.operations.len() {
            if self.operations[at].course.ended_at.is_some() {
                continue;
            }
            let (_, report) = self.plan(at);
            let name = self.operations[at].name.clone();
            for ring in &report.rings {
                let counts = &ring.counts;
                let line = format!(
                    "{name}: ring {} {}: {} at work, {} succeeded, {} failed, {} lost, {} wait, {} silent",
                    ring.name,
                    ring.state.words(|at| at.to_string()),
                    counts.at_work,
                    counts.succeeded,
                    counts.failed,
                    counts.lost,
                    counts.waiting,
                    counts.silent
                );
                self.tell(&line);
            }
            let mut by_words = BTreeMap::<String, Vec<usize>>::new();
            for (place, hold) in &report.holds {
                by_words.entry(words(hold)).or_default().push(*place);
            }
            for (words, places) in by_words {
                let names = names(places.iter().map(|place| self.nodes[self.operations[at].parts[*place].node].name.as_str()));
                self.tell(&format!("{name}: {words}: {names}"));
            }
        }
    }
}

fn words(hold: &RolloutHold) -> String {
    hold.words(|at| at.to_string())
}

fn state_word(state: NodeState) -> &'static str {
    match state {
        NodeState::Waiting => "not begun",
        NodeState::Released(_) => "released",
        NodeState::Running => "at work",
        NodeState::Lost => "lost",
        NodeState::Succeeded(_) => "succeeded",
        NodeState::Failed(_) => "failed",
        NodeState::LeftOut => "left out",
    }
}

/// A few names, or the first and how many more.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.len() <= 8 { names.join(" ") } else { format!("{} … {} ({})", names[0], names[names.len() - 1], names.len()) }
}

fn matches_name(pattern: &str, name: &str) -> bool {
    pattern.split(',').any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    })
}

fn read_tags<'a>(tags: &'a [&'a str]) -> impl Iterator<Item = (String, String)> + 'a {
    tags.iter().map(|tag| tag.split_once('=').expect("a tag is KEY=VALUE")).map(|(key, value)| (key.to_owned(), value.to_owned()))
}

/// `90m`, `3h`, `2d`.
fn millis(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let of_unit = match unit {
        "m" => MINUTE_MS,
        "h" => 60 * MINUTE_MS,
        "d" => DAY_MS,
        _ => panic!("`{text}` is no time such as 90m"),
    };
    number.parse::<i64>().unwrap() * of_unit
}

//! Which nodes of an operation begin now, and why each of the others waits.
//!
//! Limits are those of AWS's Run Command: so many at work at once, so many failures borne, and one more halts it; a node
//! that cannot be reached is no failure. Rings, soaks, gates, freezes and reboot groups come on top.

use std::collections::BTreeMap;

use crate::model::rate::Rate;
use crate::model::rollout::{Course, GateResult, Halt, HaltCause, Ring, Rollout, Start, spread};
use crate::model::time::Timestamp;
use crate::model::window::Opening;

/// How long a node has to take what it was given; after that others get its place.
pub const TAKEN_WITHIN_MS: i64 = 5 * 60 * 1000;

/// Everything that counts.
#[derive(Debug)]
pub struct RolloutInput<'a> {
    /// How it goes.
    pub rollout: &'a Rollout,
    /// What happened so far.
    pub course: &'a Course,
    /// Its nodes.
    pub nodes: &'a [RolloutNode<'a>],
    /// The opening of a window that lets nodes begin now, or the next one; nothing when it is bound to no window.
    pub opening: Option<WindowState<'a>>,
    /// Freezes that hold, by their place in `RolloutNode::freeze`.
    pub freezes: &'a [FreezeState<'a>],
    /// Reboot groups, by their place in `RolloutNode::group`.
    pub groups: &'a [GroupState<'a>],
    /// How long a node is expected to take.
    pub expected_ms: i64,
    /// What the minutes of nodes follow from.
    pub seed: &'a str,
}

/// Whether a window is open.
#[derive(Debug, Clone, Copy)]
pub struct WindowState<'a> {
    /// Its name.
    pub name: &'a str,
    /// The opening now, or the next.
    pub opening: Option<Opening>,
    /// Whether what runs is stopped when nothing more may begin.
    pub cancels: bool,
}

/// A freeze that holds.
#[derive(Debug, Clone, Copy)]
pub struct FreezeState<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whose it is.
    pub owner: &'a str,
    /// Its end.
    pub until: Timestamp,
}

/// A reboot group.
#[derive(Debug, Clone, Copy)]
pub struct GroupState<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many may be down at once.
    pub max_down: u32,
    /// How many are down or at work through others: clients of `FleetLock`, other operations, nodes that are lost.
    pub down_elsewhere: u32,
}

/// A node.
#[derive(Debug, Clone, Copy)]
pub struct RolloutNode<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its ring.
    pub ring: usize,
    /// How far it is.
    pub state: NodeState,
    /// Since when nothing is heard of it, when that is too long.
    pub silent_since: Option<Timestamp>,
    /// Whether it is at work on another operation.
    pub is_busy: bool,
    /// The freeze that holds for it.
    pub freeze: Option<usize>,
    /// Its reboot group.
    pub group: Option<usize>,
}

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It was given nothing.
    Waiting,
    /// It may take its work since then.
    Released(Timestamp),
    /// It is at work.
    Running,
    /// It was at work, and is not heard of as it should be.
    Lost,
    /// It did what was asked, then.
    Succeeded(Timestamp),
    /// It did not, then.
    Failed(Timestamp),
    /// It was taken out, by a person or because it could not be reached: neither good nor bad.
    LeftOut,
}

/// What is done now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolloutPlan {
    /// Nodes that may begin, by their place.
    pub begin: Vec<usize>,
    /// Nodes that did not take their work in time: it is taken from them again.
    pub take_back: Vec<usize>,
    /// Nodes that are asked to stop: the window's cutoff came.
    pub cancel: Vec<usize>,
    /// Rings that are entered now.
    pub enter: Vec<usize>,
    /// Rings that pass now.
    pub pass: Vec<usize>,
    /// The ring whose gate is looked at now.
    pub ask_gate: Option<usize>,
    /// Why it halts now.
    pub halt: Option<HaltCause>,
    /// Whether nothing is left to do: the nodes that never began are left out.
    pub is_over: bool,
}

/// Why each node waits, and when to look again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolloutReport {
    /// Each node that waits, by its place, and why.
    pub holds: Vec<(usize, RolloutHold)>,
    /// Each ring.
    pub rings: Vec<RingReport>,
    /// When something changes by itself.
    pub look_at: Option<Timestamp>,
}

/// How a ring stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingReport {
    /// Its name.
    pub name: String,
    /// In a word, with what it waits for.
    pub state: RingState,
    /// Its limits.
    pub rate: Rate,
    /// How many nodes it has, and how many are at work, succeeded, failed, and wait.
    pub counts: RingCounts,
}

/// Nodes of a ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingCounts {
    /// All.
    pub nodes: u32,
    /// With work in hand.
    pub at_work: u32,
    /// Done.
    pub succeeded: u32,
    /// Not done.
    pub failed: u32,
    /// Not heard of while at work; they count as failed too.
    pub lost: u32,
    /// Not begun, and could be.
    pub waiting: u32,
    /// Not begun, because they are silent.
    pub silent: u32,
    /// Left out.
    pub left_out: u32,
}

/// How a ring stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingState {
    /// A ring before it has not passed.
    Waiting,
    /// Its nodes are at work.
    Running,
    /// All is done, and it is seen whether it stays so.
    Soaking {
        /// Until when.
        until: Timestamp,
    },
    /// The gate is looked at.
    AtGate,
    /// The next ring may begin.
    Passed,
    /// Somebody let the next ring begin without it.
    Skipped,
}

impl RingState {
    /// The spelling of the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Running => "RUNNING",
            Self::Soaking { .. } => "SOAKING",
            Self::AtGate => "AT_GATE",
            Self::Passed => "PASSED",
            Self::Skipped => "SKIPPED",
        }
    }

    /// In words; `time` writes an instant.
    pub fn words(&self, time: impl Fn(Timestamp) -> String) -> String {
        match self {
            Self::Waiting => "waits for the ring before it".to_owned(),
            Self::Running => "running".to_owned(),
            Self::Soaking { until } => format!("soaking until {}", time(*until)),
            Self::AtGate => "at its gate".to_owned(),
            Self::Passed => "passed".to_owned(),
            Self::Skipped => "skipped".to_owned(),
        }
    }
}

/// Why a node waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutHold {
    /// A second person has to agree.
    Approval,
    /// Somebody paused it.
    Paused,
    /// It halted itself.
    Halted,
    /// Its time is over.
    Over,
    /// Its ring was not entered.
    Ring {
        /// The ring that has to pass first.
        after: String,
    },
    /// A freeze holds.
    Frozen {
        /// Its name.
        freeze: String,
        /// Whose it is.
        owner: String,
        /// Its end.
        until: Timestamp,
    },
    /// The window is shut.
    OutsideWindow {
        /// The window.
        window: String,
        /// When it opens, if it does.
        opens_at: Option<Timestamp>,
    },
    /// It would not end in time.
    TooLate {
        /// By when.
        by: Timestamp,
    },
    /// It is not heard of.
    Silent {
        /// Since when.
        since: Timestamp,
    },
    /// It is at work on another operation.
    Busy,
    /// Its minute has not come.
    Spread {
        /// When it does.
        until: Timestamp,
    },
    /// As many as may be are at work.
    Concurrency {
        /// How many may.
        limit: u32,
    },
    /// The first nodes have to succeed.
    FirstNodes,
    /// Too many of its reboot group are down.
    Group {
        /// The group.
        group: String,
        /// How many may be.
        max_down: u32,
    },
}

impl RolloutHold {
    /// When it ends by itself.
    pub fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::Frozen { until, .. } | Self::Spread { until } => Some(*until),
            Self::OutsideWindow { opens_at, .. } => *opens_at,
            _ => None,
        }
    }

    /// The kind, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Approval => "APPROVAL",
            Self::Paused => "PAUSED",
            Self::Halted => "HALTED",
            Self::Over => "OVER",
            Self::Ring { .. } => "RING",
            Self::Frozen { .. } => "FROZEN",
            Self::OutsideWindow { .. } => "OUTSIDE_WINDOW",
            Self::TooLate { .. } => "TOO_LATE",
            Self::Silent { .. } => "SILENT",
            Self::Busy => "BUSY",
            Self::Spread { .. } => "SPREAD",
            Self::Concurrency { .. } => "CONCURRENCY",
            Self::FirstNodes => "FIRST_NODES",
            Self::Group { .. } => "REBOOT_GROUP",
        }
    }

    /// In words; `time` writes an instant.
    pub fn words(&self, time: impl Fn(Timestamp) -> String) -> String {
        match self {
            Self::Approval => "waits: a second person has to agree".to_owned(),
            Self::Paused => "waits: paused".to_owned(),
            Self::Halted => "waits: the rollout halted".to_owned(),
            Self::Over => "not begun: the time was over".to_owned(),
            Self::Ring { after } => format!("waits: the ring {after} has to pass first"),
            Self::Frozen { freeze, owner, until } => format!("waits: frozen by {freeze} of {owner} until {}", time(*until)),
            Self::OutsideWindow { window, opens_at: Some(at) } => format!("waits: outside window {window} until {}", time(*at)),
            Self::OutsideWindow { window, opens_at: None } => format!("waits: the window {window} does not open again"),
            Self::TooLate { by } => format!("waits: it would not end by {}", time(*by)),
            Self::Silent { since } => format!("waits: silent since {}", time(*since)),
            Self::Busy => "waits: at work on another operation".to_owned(),
            Self::Spread { until } => format!("waits: its minute is {}", time(*until)),
            Self::Concurrency { limit } => format!("waits: {limit} at a time"),
            Self::FirstNodes => "waits: the first nodes of the ring have to succeed".to_owned(),
            Self::Group { group, max_down } => format!("waits: {max_down} of the reboot group {group} may be down at once"),
        }
    }
}

/// What happens next. The same input gives the same plan.
pub fn plan_rollout(input: &RolloutInput<'_>, now: Timestamp) -> (RolloutPlan, RolloutReport) {
    let mut planner = Planner::new(input, now);
    planner.look_at_nodes();
    planner.look_at_rings();
    planner.begin_nodes();
    planner.look_at_the_end();
    (planner.plan, planner.report)
}

/// How many nodes of a ring must have succeeded before the next one begins.
pub fn needed(ring: &Ring, counts: &RingCounts) -> u32 {
    let ended = u64::from(counts.succeeded + counts.failed + counts.lost);
    let share = u64::from(ring.success_percent.unwrap_or(100));
    // What may fail does not have to succeed.
    let errors = if ring.success_percent.is_none() { rate_of(ring, counts.nodes).errors } else { 0 };
    let of_share = u32::try_from((ended * share).div_ceil(100)).unwrap_or(u32::MAX).saturating_sub(errors);
    of_share.max(ring.min_succeeded.unwrap_or(1))
}

/// The limits of a ring of this size.
pub fn rate_of(ring: &Ring, n_nodes: u32) -> Rate {
    // A document that was checked has limits that read.
    Rate::of_patch_now(n_nodes).with(ring.concurrency.as_deref(), ring.errors.as_deref(), n_nodes).unwrap_or_else(|_| Rate::of_patch_now(n_nodes))
}

struct Planner<'a> {
    input: &'a RolloutInput<'a>,
    now: Timestamp,
    rings: Vec<Ring>,
    counts: Vec<RingCounts>,
    last_end: Vec<Option<Timestamp>>,
    /// Nodes with work in hand or failed, by reboot group.
    down: Vec<u32>,
    /// When each ring was entered.
    entered: Vec<Option<Timestamp>>,
    /// Nodes that wait, ring by ring.
    waiting: BTreeMap<usize, Vec<usize>>,
    plan: RolloutPlan,
    report: RolloutReport,
}

impl<'a> Planner<'a> {
    fn new(input: &'a RolloutInput<'a>, now: Timestamp) -> Self {
        let rings = input.rollout.rings();
        let n = rings.len();
        let entered = (0..n).map(|ring| input.course.rings.get(ring).and_then(|course| course.entered_at)).collect();
        let down = input.groups.iter().map(|group| group.down_elsewhere).collect();
        Self {
            input,
            now,
            rings,
            counts: vec![RingCounts::default(); n],
            last_end: vec![None; n],
            down,
            entered,
            waiting: BTreeMap::new(),
            plan: RolloutPlan::default(),
            report: RolloutReport::default(),
        }
    }

    fn look_again_at(&mut self, at: Timestamp) {
        if at > self.now {
            self.report.look_at = Some(self.report.look_at.map_or(at, |other| other.min(at)));
        }
    }

    /// Whether what runs is to stop: the window that it began in is shut, and says so.
    fn is_cut_off(&self) -> bool {
        self.input.opening.is_some_and(|window| window.cancels && !window.opening.is_some_and(|opening| opening.lets_begin(self.now)))
    }

    fn look_at_nodes(&mut self) {
        let is_cut_off = self.is_cut_off();
        for (at, node) in self.input.nodes.iter().enumerate() {
            let ring = node.ring.min(self.rings.len() - 1);
            let counts = &mut self.counts[ring];
            counts.nodes += 1;
            let mut is_waiting = false;
            let mut is_down = false;
            let mut ended = None;
            match node.state {
                NodeState::Waiting => is_waiting = true,
                NodeState::Released(since) => {
                    if since.plus_millis(TAKEN_WITHIN_MS) <= self.now {
                        // Others come first: it is held like one that is silent.
                        self.plan.take_back.push(at);
                        self.report.holds.push((at, RolloutHold::Silent { since }));
                        counts.silent += 1;
                    } else {
                        counts.at_work += 1;
                        is_down = true;
                        let until = since.plus_millis(TAKEN_WITHIN_MS);
                        self.look_again_at(until);
                    }
                }
                NodeState::Running => {
                    counts.at_work += 1;
                    is_down = true;
                    if is_cut_off {
                        self.plan.cancel.push(at);
                    }
                }
                NodeState::Lost => {
                    counts.lost += 1;
                    is_down = true;
                }
                NodeState::Succeeded(end) => {
                    counts.succeeded += 1;
                    ended = Some(end);
                }
                NodeState::Failed(end) => {
                    counts.failed += 1;
                    is_down = true;
                    ended = Some(end);
                }
                NodeState::LeftOut => counts.left_out += 1,
            }
            if is_waiting {
                let counts = &mut self.counts[ring];
                if node.silent_since.is_some() {
                    counts.silent += 1;
                } else {
                    counts.waiting += 1;
                }
                self.waiting.entry(ring).or_default().push(at);
            }
            if let Some(group) = node.group.filter(|_| is_down) {
                self.down[group] += 1;
            }
            self.last_end[ring] = self.last_end[ring].max(ended);
        }
    }

    /// Which rings pass, which is entered, and whether the rollout halts.
    fn look_at_rings(&mut self) {
        let course = self.input.course;
        let is_held = course.halted.is_some() || course.paused.is_some() || course.approval.as_ref().is_some_and(|approval| approval.given.is_none());
        let mut is_open = true;
        for at in 0..self.rings.len() {
            let ring = self.rings[at].clone();
            let counts = self.counts[at];
            let known = course.rings.get(at).cloned().unwrap_or_default();
            let rate = rate_of(&ring, counts.nodes);
            let failed = (counts.failed + counts.lost).saturating_sub(known.forgiven);
            if course.halted.is_none() && self.plan.halt.is_none() && known.skipped.is_none() && rate.is_exceeded(failed) {
                self.plan.halt = Some(HaltCause::Failures { ring: ring.name.clone(), failed, allowed: rate.errors });
            }
            let state = if known.skipped.is_some() {
                RingState::Skipped
            } else if known.passed_at.is_some() || counts.nodes == 0 {
                RingState::Passed
            } else if !is_open {
                RingState::Waiting
            } else {
                self.state_of(at, &ring, &counts, known.gate.as_ref(), known.forgiven > 0)
            };
            if is_open && !is_held && self.plan.halt.is_none() {
                if self.entered[at].is_none() && counts.nodes > 0 {
                    self.entered[at] = Some(self.now);
                    self.plan.enter.push(at);
                }
                match &state {
                    RingState::Soaking { until } => self.look_again_at(*until),
                    RingState::AtGate if known.gate.is_none() => self.plan.ask_gate = Some(at),
                    RingState::Passed if known.passed_at.is_none() && counts.nodes > 0 => self.plan.pass.push(at),
                    _ => {}
                }
            }
            is_open = is_open && matches!(state, RingState::Passed | RingState::Skipped);
            self.report.rings.push(RingReport { name: ring.name, state, rate, counts });
        }
        if course.halted.is_some() {
            // It is known, and a person's to decide.
            self.plan.halt = None;
        }
    }

    fn state_of(&mut self, at: usize, ring: &Ring, counts: &RingCounts, gate: Option<&GateResult>, is_forgiven: bool) -> RingState {
        if counts.at_work > 0 || counts.waiting > 0 {
            return RingState::Running;
        }
        // Nodes that are silent are patched when they come back; a ring of which nobody did anything proves nothing.
        if counts.succeeded + counts.failed + counts.lost == 0 {
            return if counts.silent > 0 { RingState::Running } else { RingState::Passed };
        }
        let is_last = at + 1 == self.rings.len();
        let needed = needed(ring, counts);
        if !is_last && !is_forgiven && counts.succeeded < needed {
            if counts.succeeded + counts.silent < needed || counts.failed > 0 || counts.lost > 0 {
                self.plan.halt.get_or_insert(HaltCause::Success { ring: ring.name.clone(), succeeded: counts.succeeded, needed });
            }
            return RingState::Running;
        }
        let soak_minutes = if self.input.course.emergency { ring.emergency_soak_minutes } else { ring.soak_minutes };
        let until = self.last_end[at].unwrap_or(self.now).plus_millis(i64::from(soak_minutes) * 60_000);
        if until > self.now {
            return RingState::Soaking { until };
        }
        match (&ring.gate, gate) {
            (None, _) | (Some(_), Some(GateResult { passed: true, .. })) => RingState::Passed,
            (Some(_), Some(GateResult { words, .. })) => {
                self.plan.halt.get_or_insert(HaltCause::Gate { ring: ring.name.clone(), words: words.clone() });
                RingState::AtGate
            }
            (Some(_), None) => RingState::AtGate,
        }
    }

    fn begin_nodes(&mut self) {
        let course = self.input.course;
        let is_over = course.ended_at.is_some() || course.ends_at.is_some_and(|ends_at| ends_at <= self.now);
        let of_all = if is_over {
            Some(RolloutHold::Over)
        } else if course.halted.is_some() || self.plan.halt.is_some() {
            Some(RolloutHold::Halted)
        } else if course.approval.as_ref().is_some_and(|approval| approval.given.is_none()) {
            Some(RolloutHold::Approval)
        } else if course.paused.is_some() {
            Some(RolloutHold::Paused)
        } else {
            None
        };
        if let Some(ends_at) = course.ends_at {
            self.look_again_at(ends_at);
        }
        for (ring, nodes) in std::mem::take(&mut self.waiting) {
            let n_at_work = self.counts[ring].at_work;
            let mut room = Room { limit: self.report.rings[ring].rate.concurrency, n_at_work, first: self.first_nodes(ring) };
            for at in nodes {
                // An answer for all spares a look at each: a hundred thousand wait for one reason.
                let hold = of_all.clone().or_else(|| self.hold_of(at, ring, &room));
                if let Some(hold) = hold {
                    if let Some(ends_at) = hold.ends_at() {
                        self.look_again_at(ends_at);
                    }
                    self.report.holds.push((at, hold));
                } else {
                    room.n_at_work += 1;
                    if let Some(group) = self.input.nodes[at].group {
                        self.down[group] += 1;
                    }
                    self.plan.begin.push(at);
                    self.look_again_at(self.now.plus_millis(TAKEN_WITHIN_MS));
                }
            }
        }
        self.report.holds.sort_unstable_by_key(|(at, _)| *at);
        self.plan.begin.sort_unstable();
    }

    /// How many nodes may be at work while it is not known that the work does good.
    fn first_nodes(&self, ring: usize) -> u32 {
        match (self.input.rollout.start, self.counts[ring].succeeded) {
            (Start::AtOnce, _) | (Start::FirstNode, 1..) => u32::MAX,
            (Start::FirstNode, 0) => 1,
            (Start::Ramp, succeeded) => succeeded + 1,
        }
    }

    fn hold_of(&self, at: usize, ring: usize, room: &Room) -> Option<RolloutHold> {
        let node = &self.input.nodes[at];
        let is_done = |report: &RingReport| matches!(report.state, RingState::Passed | RingState::Skipped);
        if let Some(before) = self.report.rings[..ring].iter().find(|before| !is_done(before)) {
            return Some(RolloutHold::Ring { after: before.name.clone() });
        }
        if let Some(freeze) = node.freeze.map(|freeze| &self.input.freezes[freeze]) {
            return Some(RolloutHold::Frozen { freeze: freeze.name.to_owned(), owner: freeze.owner.to_owned(), until: freeze.until });
        }
        let mut by = self.input.course.ends_at;
        if let Some(window) = &self.input.opening {
            match window.opening {
                Some(opening) if opening.lets_begin(self.now) => by = Some(by.map_or(opening.begins_until, |by| by.min(opening.begins_until))),
                opening => {
                    let opens_at = opening.map(|opening| opening.opens_at);
                    return Some(RolloutHold::OutsideWindow { window: window.name.to_owned(), opens_at });
                }
            }
        }
        if let Some(by) = by.filter(|by| self.now.plus_millis(self.input.expected_ms) > *by) {
            return Some(RolloutHold::TooLate { by });
        }
        if let Some(since) = node.silent_since {
            return Some(RolloutHold::Silent { since });
        }
        if node.is_busy {
            return Some(RolloutHold::Busy);
        }
        let minutes = self.input.rollout.spread_minutes;
        if minutes > 0 && !self.input.course.emergency {
            let begins_at = self.begins_at(ring);
            let until = begins_at.plus_millis(i64::try_from(spread(self.input.seed, node.id) % (u64::from(minutes) * 60)).unwrap_or(0) * 1000);
            if until > self.now {
                return Some(RolloutHold::Spread { until });
            }
        }
        if room.n_at_work >= room.limit {
            return Some(RolloutHold::Concurrency { limit: room.limit });
        }
        if room.n_at_work >= room.first {
            return Some(RolloutHold::FirstNodes);
        }
        let group = node.group.map(|group| (&self.input.groups[group], self.down[group]));
        match group {
            Some((group, down)) if down >= group.max_down => Some(RolloutHold::Group { group: group.name.to_owned(), max_down: group.max_down }),
            _ => None,
        }
    }

    /// From when the minutes of a ring's nodes count.
    fn begins_at(&self, ring: usize) -> Timestamp {
        let entered = self.entered[ring].unwrap_or(self.now);
        let opened = self.input.opening.and_then(|window| window.opening).map_or(entered, |opening| opening.opens_at);
        entered.max(opened)
    }

    fn look_at_the_end(&mut self) {
        let course = self.input.course;
        let n_at_work: u32 = self.counts.iter().map(|counts| counts.at_work).sum();
        let n_waiting: u32 = self.counts.iter().map(|counts| counts.waiting + counts.silent).sum();
        let is_late = course.ends_at.is_some_and(|ends_at| ends_at <= self.now);
        let is_done = n_waiting == 0 && self.report.rings.iter().all(|ring| matches!(ring.state, RingState::Passed | RingState::Skipped));
        // A halted rollout waits for a person, as long as there is time.
        let is_halted = course.halted.is_some() || self.plan.halt.is_some();
        let is_idle = course.ended_at.is_none() && n_at_work == 0 && self.plan.begin.is_empty();
        self.plan.is_over = is_idle && (is_late || is_done || (is_halted && n_waiting == 0));
        if self.plan.is_over {
            self.report.look_at = None;
        }
    }
}

struct Room {
    limit: u32,
    n_at_work: u32,
    first: u32,
}

impl RolloutPlan {
    /// Notes in the course what the plan says of the rollout as a whole.
    pub fn note(&self, course: &mut Course, n_rings: usize, now: Timestamp) {
        course.rings.resize_with(n_rings.max(course.rings.len()), Default::default);
        for ring in &self.enter {
            course.rings[*ring].entered_at = Some(now);
        }
        for ring in &self.pass {
            course.rings[*ring].passed_at = Some(now);
        }
        if let Some(cause) = &self.halt {
            course.halted.get_or_insert_with(|| Halt { at: now, cause: cause.clone() });
        }
        if self.is_over {
            course.ended_at = Some(now);
        }
    }

    /// Whether it changes anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

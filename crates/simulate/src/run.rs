//! The phases of a simulation, each measured: joining, first reports, changes, check-ins, a herd.
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use domain::model::digest::Digest;
use domain::model::time::Clock;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::agent::{AtWork, SimulatedAgent};
use crate::connection::{RequestError, Traffic};
use crate::cost::ProcessCost;
use crate::draw::{Drawing, Drawn};

/// Told how far a phase is: its name, what is done, and how much there is to do.
pub type Progress = Box<dyn Fn(&str, u64, u64) + Send + Sync>;

/// What to simulate.
pub struct Plan {
    /// Name or address and port of the server.
    pub host: String,
    /// An activation's code that lets this many nodes in.
    pub code: String,
    /// Nodes.
    pub n_nodes: u32,
    /// Requests that are under way at once.
    pub n_at_once: usize,
    /// The fleet to draw from.
    pub drawing: Drawing,
    /// Tells this fleet's nodes from those of another simulation.
    pub seed: u64,
    /// The server's process, when it runs on this machine.
    pub server_pid: Option<u32>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Told how far it is.
    pub progress: Progress,
}

/// Why a simulation ended.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A request failed for good.
    #[error("failed to {phase} as node {node}")]
    Request {
        /// What was being done.
        phase: String,
        /// Which node.
        node: u32,
        /// Why.
        #[source]
        source: RequestError,
    },
}

/// What one phase did, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How often it was done.
    pub n_done: u64,
    /// How long it took.
    pub seconds: f64,
    /// How many were done in a second.
    pub per_s: f64,
    /// The half of the answers came within this time.
    pub p50_ms: f64,
    /// All but a hundredth did.
    pub p99_ms: f64,
    /// Bytes sent by the agents for each, beyond TLS.
    pub sent_bytes: f64,
    /// Bytes received for each.
    pub received_bytes: f64,
    /// CPU time of the server, when its process is known.
    pub server_cpu_s: Option<f64>,
    /// How many the server did in a second of its CPU time.
    pub per_cpu_s: Option<f64>,
    /// The most memory that the server ever had.
    pub server_peak_mib: Option<f64>,
}

/// How a herd went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Herd {
    /// The reports.
    pub phase: Phase,
    /// Requests that failed because the server was away, and were tried again.
    pub n_away: u64,
    /// Requests that the server asked to come again with.
    pub n_busy: u64,
    /// Nodes whose last acknowledged report the server does not have.
    pub n_lost: u64,
}

/// What nodes did that waited for an install.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Installs {
    /// The waiting and the work.
    pub phase: Phase,
    /// Installs that were carried out.
    pub n_installs: u32,
    /// Ends that were told again, because the server went away before it answered.
    pub n_repeated: u32,
    /// Most nodes that were at work at once.
    pub n_at_work_at_most: u32,
}

/// How long agents wait at first and at most before they try again.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// A fleet that has joined.
pub struct Simulation {
    plan: Arc<Plan>,
    agents: Vec<Arc<Mutex<SimulatedAgent>>>,
    traffic: Arc<Traffic>,
}

impl Simulation {
    /// Lets every node join.
    pub async fn enroll(plan: Plan) -> Result<(Self, Phase), SimulateError> {
        let mut simulation = Self { plan: Arc::new(plan), agents: Vec::new(), traffic: Arc::default() };
        let joined: Arc<Mutex<Vec<(u32, SimulatedAgent)>>> = Arc::default();
        let (plan, traffic, joining) = (simulation.plan.clone(), simulation.traffic.clone(), joined.clone());
        let phase = simulation.measure("enroll", 1, move |node| {
            let (plan, traffic, joining) = (plan.clone(), traffic.clone(), joining.clone());
            async move {
                let agent = SimulatedAgent::enroll(&plan.host, node, plan.seed, &plan.code, traffic).await?;
                joining.lock().await.push((node, agent));
                Ok(())
            }
        });
        let phase = phase.await?;
        let mut joined = std::mem::take(&mut *joined.lock().await);
        joined.sort_by_key(|(node, _)| *node);
        simulation.agents = joined.into_iter().map(|(_, agent)| Arc::new(Mutex::new(agent))).collect();
        Ok((simulation, phase))
    }

    /// Every node connects and says who it is; connections stay open.
    pub async fn connect(&self) -> Result<Phase, SimulateError> {
        let agents = self.agents.clone();
        self.measure("connect", 1, move |node| {
            let agent = agents[node as usize].clone();
            async move { agent.lock().await.connect().await }
        })
        .await
    }

    /// Every node reports what it has after so many rounds of change.
    pub async fn report(&self, round: u32) -> Result<Phase, SimulateError> {
        // Drawing costs more than serving, so it is done beforehand.
        let drawn: Arc<Vec<Mutex<Option<Drawn>>>> = Arc::new((0..self.plan.n_nodes).map(|node| Mutex::new(Some(self.draw(node, round)))).collect());
        let agents = self.agents.clone();
        self.measure(if round == 0 { "report in full" } else { "report a change" }, 1, move |node| {
            let (agent, drawn) = (agents[node as usize].clone(), drawn.clone());
            async move {
                let drawn = drawn[node as usize].lock().await.take();
                if let Some(drawn) = drawn { agent.lock().await.report(drawn).await } else { Ok(()) }
            }
        })
        .await
    }

    /// Every node says so many times that nothing changed.
    pub async fn check_in(&self, times: u32) -> Result<Phase, SimulateError> {
        let (agents, plan) = (self.agents.clone(), self.plan.clone());
        self.measure("check in", times, move |node| {
            let (agent, plan) = (agents[node as usize].clone(), plan.clone());
            async move {
                let known = agent.lock().await.check_in(plan.clock.now()).await?;
                if known { Ok(()) } else { Err(RequestError::Answer { detail: "the server does not have a report that it acknowledged".to_owned() }) }
            }
        })
        .await
    }

    /// Every node loses its connection, wakes within a time and reports another change, however often
    /// it has to try. Then each is asked whether the server has what it acknowledged.
    pub async fn herd(&self, round: u32, within: Duration) -> Result<Herd, SimulateError> {
        for agent in &self.agents {
            agent.lock().await.disconnect();
        }
        let (n_away, n_busy, n_lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let meter = Meter::start(self);
        let mut tasks = JoinSet::new();
        for (node, agent) in (0..).zip(&self.agents) {
            let (plan, agent, n_away, n_busy, n_done) = (self.plan.clone(), agent.clone(), n_away.clone(), n_busy.clone(), meter.n_done.clone());
            tasks.spawn(async move {
                sleep(within.mul_f64(spread(node, 0))).await;
                let woke = Instant::now();
                let drawn = plan.drawing.draw(node, round, plan.clock.now());
                let mut wait = RETRY_MIN;
                for attempt in 1.. {
                    let Err(error) = agent.lock().await.report(drawn.clone()).await else { break };
                    if !error.is_passing() {
                        return Err(SimulateError::Request { phase: "report in a herd".to_owned(), node, source: error });
                    }
                    let asked = error.retry_after_seconds().map(|seconds| Duration::from_secs(u64::from(seconds)));
                    if asked.is_some() { &n_busy } else { &n_away }.fetch_add(1, Ordering::Relaxed);
                    sleep(asked.unwrap_or(wait).mul_f64(0.5 + spread(node, attempt))).await;
                    wait = (wait * 2).min(RETRY_MAX);
                }
                (plan.progress)("report in a herd", n_done.fetch_add(1, Ordering::Relaxed) + 1, u64::from(plan.n_nodes));
                Ok(vec![woke.elapsed()])
            });
        }
        let phase = meter.end(self, "report in a herd", tasks).await?;
        let (agents, plan, counted) = (self.agents.clone(), self.plan.clone(), n_lost.clone());
        self.measure("ask for what was acknowledged", 1, move |node| {
            let (agent, plan, counted) = (agents[node as usize].clone(), plan.clone(), counted.clone());
            async move {
                let mut agent = agent.lock().await;
                // Who reported before the server was killed finds its connection closed.
                let known = match agent.check_in(plan.clock.now()).await {
                    Err(RequestError::Connection { .. }) => agent.check_in(plan.clock.now()).await?,
                    answer => answer?,
                };
                counted.fetch_add(u64::from(!known), Ordering::Relaxed);
                Ok(())
            }
        })
        .await?;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ok(Herd { phase, n_away: count(&n_away), n_busy: count(&n_busy), n_lost: count(&n_lost) })
    }

    /// Every node waits for an install, and says that it did it: somebody has to begin one meanwhile.
    pub async fn carry_out_installs(&self) -> Result<Installs, SimulateError> {
        let at_work: Arc<AtWork> = Arc::default();
        let meter = Meter::start(self);
        let mut tasks = JoinSet::new();
        for (node, agent) in (0..).zip(&self.agents) {
            let (plan, agent, at_work, n_done) = (self.plan.clone(), agent.clone(), at_work.clone(), meter.n_done.clone());
            tasks.spawn(async move {
                let began = Instant::now();
                let carried_out = agent.lock().await.carry_out_install(&at_work).await;
                carried_out.map_err(|source| SimulateError::Request { phase: "carry out an install".to_owned(), node, source })?;
                (plan.progress)("carry out an install", n_done.fetch_add(1, Ordering::Relaxed) + 1, u64::from(plan.n_nodes));
                Ok(vec![began.elapsed()])
            });
        }
        let phase = meter.end(self, "carry out an install", tasks).await?;
        let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        Ok(Installs { phase, n_installs: count(&at_work.n_installs), n_repeated: count(&at_work.n_repeated), n_at_work_at_most: count(&at_work.most) })
    }

    fn draw(&self, node: u32, round: u32) -> Drawn {
        (self.plan.progress)("draw", u64::from(node) + 1, u64::from(self.plan.n_nodes));
        self.plan.drawing.draw(node, round, self.plan.clock.now())
    }

    /// Does something so many times for every node, some nodes at once.
    async fn measure<F: Future<Output = Result<(), RequestError>> + Send>(
        &self,
        name: &str,
        times: u32,
        work: impl Fn(u32) -> F + Clone + Send + 'static,
    ) -> Result<Phase, SimulateError> {
        let n_workers = self.plan.n_at_once.clamp(1, self.plan.n_nodes.max(1) as usize);
        let meter = Meter::start(self);
        let mut tasks = JoinSet::new();
        for worker in 0..n_workers {
            let (plan, work, name, n_done) = (self.plan.clone(), work.clone(), name.to_owned(), meter.n_done.clone());
            tasks.spawn(async move {
                let n_all = u64::from(plan.n_nodes) * u64::from(times);
                let mut answered = Vec::new();
                for node in (0..times).flat_map(|_| (0..plan.n_nodes).skip(worker).step_by(n_workers)) {
                    let asked = Instant::now();
                    work(node).await.map_err(|source| SimulateError::Request { phase: name.clone(), node, source })?;
                    answered.push(asked.elapsed());
                    (plan.progress)(&name, n_done.fetch_add(1, Ordering::Relaxed) + 1, n_all);
                }
                Ok(answered)
            });
        }
        meter.end(self, name, tasks).await
    }

    fn server_cost(&self) -> Option<ProcessCost> {
        ProcessCost::of(self.plan.server_pid?)
    }
}

/// What the counters said when a phase began.
struct Meter {
    start: Instant,
    cost: Option<ProcessCost>,
    traffic: [u64; 2],
    n_done: Arc<AtomicU64>,
}

impl Meter {
    fn start(simulation: &Simulation) -> Self {
        Self { start: Instant::now(), cost: simulation.server_cost(), traffic: simulation.traffic.totals(), n_done: Arc::default() }
    }

    /// Waits for the tasks of a phase; how long each piece of their work took.
    async fn end(self, simulation: &Simulation, name: &str, mut tasks: JoinSet<Result<Vec<Duration>, SimulateError>>) -> Result<Phase, SimulateError> {
        let mut times = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            times.extend(ended.expect("a simulated agent does not panic")?);
        }
        times.sort_unstable();
        let (n_done, seconds) = (times.len() as f64, self.start.elapsed().as_secs_f64());
        let quantile = |part: usize| times.get(times.len() * part / 100).map_or(0.0, |time| time.as_secs_f64() * 1000.0);
        let [sent, received] = simulation.traffic.totals();
        let (now, before) = (simulation.server_cost(), self.cost);
        // A server that was started anew began to count anew.
        let server_cpu_s = now.zip(before).map(|(now, before)| now.cpu_s - before.cpu_s).filter(|cpu_s| *cpu_s >= 0.0);
        Ok(Phase {
            name: name.to_owned(),
            n_done: times.len() as u64,
            seconds,
            per_s: n_done / seconds,
            p50_ms: quantile(50),
            p99_ms: quantile(99),
            sent_bytes: (sent - self.traffic[0]) as f64 / n_done.max(1.0),
            received_bytes: (received - self.traffic[1]) as f64 / n_done.max(1.0),
            server_cpu_s,
            per_cpu_s: server_cpu_s.filter(|cpu_s| *cpu_s > 0.0).map(|cpu_s| n_done / cpu_s),
            server_peak_mib: now.map(|now| now.peak_mib),
        })
    }
}

/// A number from 0 to 1 that follows from who waits and how often it has.
fn spread(node: u32, attempt: u32) -> f64 {
    let digest = Digest::of(&[node.to_le_bytes(), attempt.to_le_bytes()].concat());
    f64::from(u16::from_le_bytes([digest.as_bytes()[0], digest.as_bytes()[1]])) / f64::from(u16::MAX)
}

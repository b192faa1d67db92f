//! The agent's life: it says who it is, reports what it finds, and does what it is asked and allowed.
//!
//! Everything goes out from here. While the server is away, reports are kept and sent in their order.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use api::agent_v1::{CheckIn, Hello, OrderResult, Orders, Report, ReportFrame, RunProgress, SignedOrder, send_unasked};
use api::error::ErrorCode;
use domain::model::baseline::Source;
use domain::model::content::Content;
use domain::model::digest::Digest;
use domain::model::inventory::Inventory;
use domain::model::order::{self, InstallWork, Order, OrderError, Task};
use domain::model::plan::RebootRule;
use domain::model::problem::{Problem, ProblemCode};
use domain::model::receipt::Receipt;
use domain::model::run::{Progress, Run};
use domain::model::section::{self, PackageFacts, PerSection, Section};
use domain::model::time::{Clock, DAY_MS, Timestamp};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::active_run::{ActiveRun, Parts, Update, WorkError};
use crate::config::AgentConfig;
use crate::enroll::{self, EnrollError};
use crate::host;
use crate::install;
use crate::inventory;
use crate::package_manager::apt;
use crate::package_manager::own_repositories;
use crate::root::Root;
use crate::state::{Identity, KeptReport, StateError, StateFolder};
use crate::transport::{Transport, TransportError, Trust};

/// What an agent needs from its process.
pub struct AgentParts {
    /// Its configuration.
    pub config: AgentConfig,
    /// What it keeps.
    pub state: StateFolder,
    /// A folder for what makes the next scan faster.
    pub cache: PathBuf,
    /// The clock of the machine, which may be wrong.
    pub clock: Arc<dyn Clock>,
    /// A new secret that nobody can guess.
    pub new_identity: Box<dyn Fn() -> String + Send + Sync>,
}

/// Why an agent stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The node has not joined a server.
    #[error("this node has not joined a server")]
    NotEnrolled,
    /// The server takes this node's certificate no more.
    #[error("the server refuses this node: {message}")]
    Refused {
        /// What it said.
        message: String,
    },
    /// What the agent keeps cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An identity of its own could not be got.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// A run replaced code that this process has mapped: it is to be started anew.
    #[error("this agent runs code that was replaced")]
    Outdated,
}

/// The shortest and the longest wait before the server is tried again.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_mins(1);
/// A certificate is renewed when it expires within this time.
const RENEW_BEFORE_MS: i64 = 10 * DAY_MS;
/// Requests that a report may take: digests, contents, facts, and one more in case of a race.
const REPORT_ROUNDS_MAX: usize = 4;

/// Runs until `stop` is ready. Ends by itself only when the node has left.
pub async fn run(parts: AgentParts, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let identity = parts.state.identity()?.ok_or(RunError::NotEnrolled)?;
    let transport = connect(&parts)?;
    let agent = Agent {
        boot: enroll::boot(&Root::new("/")),
        parts,
        identity,
        transport,
        scan_seconds: 3600,
        poll_seconds: 50,
        tags: None,
        unkept: None,
        active: None,
        own_change_at: None,
    };
    tokio::select! {
        ended = agent.live() => ended,
        () = stop => Ok(()),
    }
}

fn connect(parts: &AgentParts) -> Result<Transport, RunError> {
    let (key, certificate, authorities) = parts.state.credentials()?.ok_or(RunError::NotEnrolled)?;
    let trust = Trust::Authorities(authorities);
    Ok(Transport::new(&parts.config.server, parts.config.proxy.as_deref(), &trust, Some((&key, &certificate)))?)
}

/// A question for orders that is not answered.
type Question = Pin<Box<dyn Future<Output = Result<Orders, TransportError>> + Send>>;

struct Agent {
    parts: AgentParts,
    identity: Identity,
    boot: String,
    transport: Transport,
    scan_seconds: u32,
    poll_seconds: u32,
    /// Tags that the cloud gives this machine, asked for once.
    tags: Option<BTreeMap<String, String>>,
    /// The newest report, when the disk has no room for it.
    unkept: Option<Unkept>,
    /// The run that goes on.
    active: Option<ActiveRun>,
    /// When putting repositories of a baseline in place last changed the lists.
    own_change_at: Option<Timestamp>,
}

/// A report in memory.
struct Unkept {
    report: KeptReport,
    sections: PerSection<Content>,
    facts: BTreeMap<String, PackageFacts>,
}

/// Why the agent has to say hello again.
enum Setback {
    /// The server could not be reached, or is busy.
    Away(TransportError),
    /// Another machine has this identity.
    Cloned,
    /// The end.
    End(RunError),
}

impl From<TransportError> for Setback {
    fn from(error: TransportError) -> Self {
        match error.code() {
            Some(ErrorCode::CertificateRevoked) => Self::End(RunError::Refused { message: error.to_string() }),
            Some(ErrorCode::IdentityCloned) => Self::Cloned,
            _ => Self::Away(error),
        }
    }
}

impl From<StateError> for Setback {
    fn from(error: StateError) -> Self {
        // A full disk ends some day; until then what is in memory is sent.
        warn!(error = %chain(&error), "the agent's state could not be kept");
        Self::Away(TransportError::Tls { detail: error.to_string() })
    }
}

impl Agent {
    async fn live(mut self) -> Result<(), RunError> {
        let mut wait = RETRY_MIN;
        let mut next_scan = Instant::now();
        loop {
            match self.say_hello_and_work(&mut wait, &mut next_scan).await {
                Ok(()) => return Ok(()),
                Err(Setback::End(error)) => return if self.was_retired(&error).await { Ok(()) } else { Err(error) },
                Err(Setback::Cloned) => self.become_own_node().await?,
                Err(Setback::Away(error)) => {
                    // A server that is busy says when to come again.
                    wait = error.retry_after().unwrap_or(wait);
                    warn!(error = %chain(&error), "the server is away; next try in about {} s", wait.as_secs().max(1));
                }
            }
            // Agents that lost the server together must not come back together.
            let again_at = Instant::now() + self.jitter(wait);
            while let Some(update) = next_update(&mut self.active, again_at).await {
                self.hear_alone(update).await?;
            }
            wait = (wait * 2).min(RETRY_MAX);
            self.scan_if_due(&mut next_scan).await;
        }
    }

    /// Whether a refusal means that this node was retired: then one last order says so.
    async fn was_retired(&mut self, error: &RunError) -> bool {
        let RunError::Refused { .. } = error else { return false };
        let Ok(last) = self.transport.orders(&self.boot, self.poll_seconds).await else { return false };
        for signed in &last.orders {
            if let Ok(true) = self.obey(signed).await {
                return true;
            }
        }
        false
    }

    /// Between a half and three halves of a time, spread by who this is and when.
    fn jitter(&self, time: Duration) -> Duration {
        let seed = Digest::of(format!("{} {}", self.identity.identity, self.parts.clock.now().as_millis()).as_bytes());
        time / 2 + time * u32::from(seed.as_bytes()[0]) / 256
    }

    async fn say_hello_and_work(&mut self, wait: &mut Duration, next_scan: &mut Instant) -> Result<(), Setback> {
        let presented = enroll::present(&self.parts.config, self.identity.identity.clone());
        let asked_at = self.parts.clock.now();
        let welcome = self.transport.hello(&Hello { presented, generation: self.identity.generation }).await?;
        self.identity.clock_behind_ms = welcome.now.as_millis() - asked_at.as_millis();
        if let Err(error) = self.parts.state.set_identity(&self.identity) {
            note(&error);
        }
        info!("connected to {} as {}", self.parts.config.server, self.identity.node_id);
        (self.scan_seconds, self.poll_seconds) = (welcome.scan_seconds, welcome.poll_seconds);
        *wait = RETRY_MIN;
        if self.active.is_none()
            && let Some(run) = self.parts.state.run()?
        {
            info!("an install that was begun before this agent started goes on");
            self.start(run)?;
        }
        self.send_results().await?;
        self.send_waiting().await?;
        let mut asking = None;
        let served = self.serve(&mut asking, next_scan).await;
        if let (Err(Setback::End(RunError::Refused { .. })), Some(asking)) = (&served, asking)
            && let Ok(last) = asking.await
        {
            // The answer to the open question says why: this node was retired while it sent something.
            for signed in &last.orders {
                if self.obey(signed).await? {
                    return Ok(());
                }
            }
        }
        served
    }

    /// Asks for orders and obeys them, scans when it is time, tells how far a run is. Ends by itself only when the node has
    /// left. The question for orders stays open meanwhile, because an order may be on its way.
    async fn serve(&mut self, asking: &mut Option<Question>, next_scan: &mut Instant) -> Result<(), Setback> {
        loop {
            if self.certificate_needs_renewal() {
                self.renew().await?;
                *asking = None;
            }
            if self.scan_if_due(next_scan).await {
                self.send_waiting().await?;
            }
            let ask = || {
                let (transport, boot, poll_seconds) = (self.transport.clone(), self.boot.clone(), self.poll_seconds);
                Box::pin(async move { transport.orders(&boot, poll_seconds).await }) as Question
            };
            tokio::select! {
                orders = asking.get_or_insert_with(ask) => {
                    *asking = None;
                    for signed in &orders?.orders {
                        if self.obey(signed).await? {
                            return Ok(());
                        }
                        self.send_results().await?;
                        self.send_waiting().await?;
                    }
                    if self.active.is_none() && self.packages_changed() {
                        *next_scan = Instant::now();
                    }
                }
                update = next_update(&mut self.active, *next_scan) => if let Some(update) = update {
                    self.hear(update).await?;
                },
            }
        }
    }

    /// Tells the server what is new of a run. Nothing depends on its being heard.
    async fn hear(&mut self, update: Update) -> Result<(), Setback> {
        let operation_id = self.active.as_ref().map(|active| active.operation_id().to_owned()).unwrap_or_default();
        match update {
            Update::Progress(progress) => self.tell(operation_id, progress).await,
            Update::GoesDown(progress, answer) => {
                info!("the system boots for operation {operation_id}");
                self.tell(operation_id, progress).await;
                let _ = answer.send(());
            }
            Update::Ended(ended) => {
                self.end_run(*ended).await?;
                self.send_results().await?;
                self.send_waiting().await?;
                if host::is_outdated(&Root::new("/")) {
                    return Err(Setback::End(RunError::Outdated));
                }
            }
        }
        Ok(())
    }

    async fn tell(&self, operation_id: String, progress: Progress) {
        if let Err(error) = self.transport.progress(&RunProgress { operation_id, progress }).await {
            warn!(error = %chain(&error), "how far the run is could not be told");
        }
    }

    /// The same while the server is away.
    async fn hear_alone(&mut self, update: Update) -> Result<(), StateError> {
        match update {
            Update::Progress(_) => {}
            Update::GoesDown(_, answer) => drop(answer.send(())),
            Update::Ended(ended) => self.end_run(*ended).await?,
        }
        Ok(())
    }

    /// Starts a run, or goes on with one.
    fn start(&mut self, run: Run) -> Result<(), StateError> {
        let parts = Parts {
            config: self.parts.config.clone(),
            state: self.parts.state.clone(),
            cache: self.parts.cache.clone(),
            sources: self.sources()?,
            boot: self.boot.clone(),
            now: Box::new(self.clock()),
        };
        self.active = Some(ActiveRun::start(run, parts));
        Ok(())
    }

    /// Keeps the result of the run, and then forgets it. An agent that is killed in between ends it once more.
    async fn end_run(&mut self, ended: Result<Receipt, WorkError>) -> Result<(), StateError> {
        let Some(active) = self.active.take() else { return Ok(()) };
        let result = OrderResult::new(active.operation_id());
        let result = match ended {
            Ok(receipt) => OrderResult { message: receipt.words(), succeeded: receipt.is_good(), receipt: Some(Box::new(receipt)), ..result },
            Err(error) => OrderResult { message: Some(chain(&error)), ..result },
        };
        self.parts.state.end_run(&result)?;
        self.scan(false).await;
        Ok(())
    }

    /// Scans when it is time; whether it did. The next time is spread by who this is.
    async fn scan_if_due(&mut self, next_scan: &mut Instant) -> bool {
        // What a run is in the middle of is no inventory; it ends with one.
        if Instant::now() < *next_scan {
            return false;
        }
        if self.active.is_none() {
            self.scan(false).await;
        }
        let period = Duration::from_secs(u64::from(self.scan_seconds.max(1)));
        *next_scan = Instant::now() + self.jitter(period / 8) + period * 7 / 8;
        true
    }

    /// Collects the inventory and puts it behind the reports that wait; why it could not.
    async fn scan(&mut self, refresh: bool) -> Option<String> {
        if self.tags.is_none() {
            self.tags = Some(if self.parts.config.cloud_metadata { crate::cloud::find_tags().await } else { BTreeMap::new() });
        }
        let sources = match self.sources() {
            Ok(sources) => sources,
            Err(error) => return Some(note(&error)),
        };
        let (cache, custom, now) = (self.parts.cache.clone(), self.parts.config.custom_inventory.clone(), self.clock());
        let has_sources = !sources.is_empty();
        let collected = tokio::task::spawn_blocking(move || collect(&cache, &custom, refresh, &sources, &now)).await;
        let mut inventory = match collected {
            Ok(Ok(inventory)) => inventory,
            Ok(Err(error)) => return Some(note(&error)),
            Err(error) => return Some(note(&error)),
        };
        self.own_change_at = if has_sources { changed_at() } else { None };
        inventory.host.tags.extend(self.tags.clone().unwrap_or_default());
        let (heading, sections) = section::write(&inventory);
        let fresh = Unkept { report: KeptReport { heading, sections: sections.digests() }, sections, facts: PackageFacts::of_all(&inventory) };
        self.unkept = None;
        if let Err(error) = self.keep(&fresh) {
            // A full disk must not keep the server from hearing of it.
            note(&error);
            self.unkept = Some(fresh);
        }
        None
    }

    fn keep(&mut self, fresh: &Unkept) -> Result<(), StateError> {
        let report = &fresh.report;
        let last = self.parts.state.waiting()?.pop();
        let is_new = last.as_ref().map(|(_, last)| last.sections) != Some(report.sections);
        if let Some((number, _)) = last.filter(|_| !is_new) {
            // Only the times differ: the newer ones count.
            self.parts.state.remove_waiting(number)?;
        }
        let n_dropped = self.parts.state.push(report, &fresh.sections, &fresh.facts)?;
        if n_dropped > 0 {
            warn!("{n_dropped} reports that were kept too long are dropped");
        }
        Ok(())
    }

    /// Sends what waits, oldest first.
    async fn send_waiting(&mut self) -> Result<(), Setback> {
        for (number, report) in self.parts.state.waiting()? {
            self.send(&report).await?;
            self.parts.state.remove_waiting(number)?;
            self.acknowledge(&report);
        }
        if let Some(unkept) = self.unkept.as_ref().map(|unkept| unkept.report.clone()) {
            self.send(&unkept).await?;
            self.acknowledge(&unkept);
            self.unkept = None;
        }
        if let Err(error) = self.parts.state.tidy() {
            note(&error);
        }
        Ok(())
    }

    /// The server has a report; when that cannot be kept, the next one is sent whole.
    fn acknowledge(&self, report: &KeptReport) {
        if let Err(error) = self.parts.state.set_acknowledged(report) {
            note(&error);
        }
    }

    /// The text of a content, from memory or from the disk.
    fn content(&self, digest: &Digest) -> Result<Option<Content>, StateError> {
        let in_memory = self.unkept.iter().flat_map(|unkept| Section::ALL.map(|section| (unkept.report.sections[section], &unkept.sections[section])));
        let found = in_memory.filter(|(known, _)| known == digest).map(|(_, content)| content.clone()).next();
        found.map_or_else(|| self.parts.state.content(digest), |content| Ok(Some(content)))
    }

    fn facts(&self, report: &KeptReport) -> Result<BTreeMap<String, PackageFacts>, StateError> {
        let in_memory = self.unkept.as_ref().filter(|unkept| unkept.report == *report).map(|unkept| unkept.facts.clone());
        in_memory.map_or_else(|| self.parts.state.facts(&report.sections[Section::Packages]), Ok)
    }

    async fn send(&self, report: &KeptReport) -> Result<(), Setback> {
        let acknowledged = self.parts.state.acknowledged()?;
        if acknowledged.as_ref().is_some_and(|acknowledged| acknowledged.sections == report.sections) {
            let lists_at = report.heading.lists_refreshed_at.map(Timestamp::as_millis);
            let check_in = CheckIn { report: report.digest().to_string(), at: report.heading.collected_at.as_millis(), lists_at, boot: self.boot.clone() };
            if self.transport.check_in(&check_in).await? {
                return Ok(());
            }
        }
        let mut contents = self.changes(report, acknowledged.as_ref())?;
        let mut packages = BTreeMap::new();
        for _ in 0..REPORT_ROUNDS_MAX {
            let head = Report { heading: report.heading.clone(), boot: self.boot.clone(), sections: report.sections, packages: std::mem::take(&mut packages) };
            let answer = self.transport.report(&ReportFrame { report: head, contents: contents.clone() }).await?;
            if answer.recorded {
                return Ok(());
            }
            for digest in &answer.contents {
                let content = self.content(digest)?.map(|content| (*digest, None, content.text().to_owned()));
                contents.retain(|(known, _, _)| known != digest);
                contents.extend(content);
            }
            let facts = self.facts(report)?;
            packages = answer.packages.iter().filter_map(|package| Some((package.clone(), facts.get(package)?.clone()))).collect();
        }
        // A content that was lost on this node cannot be sent; the next scan brings a whole report.
        warn!("a report could not be completed and is dropped");
        Ok(())
    }

    /// Contents that the server probably lacks: edits of what it has, and small ones.
    fn changes(&self, report: &KeptReport, acknowledged: Option<&KeptReport>) -> Result<Vec<(Digest, Option<Digest>, String)>, Setback> {
        let mut contents = Vec::new();
        for section in Section::ALL {
            let digest = report.sections[section];
            let before = acknowledged.map(|acknowledged| acknowledged.sections[section]);
            if before == Some(digest) || contents.iter().any(|(known, _, _)| *known == digest) {
                continue;
            }
            let Some(content) = self.content(&digest)? else { continue };
            let Some(old) = before.and_then(|before| self.content(&before).ok()?) else { continue };
            contents.extend(send_unasked(section, &content, &old).map(|(of, text)| (digest, of, text)));
        }
        Ok(contents)
    }

    /// Does what an order asks; whether this node has left by it.
    async fn obey(&mut self, signed: &SignedOrder) -> Result<bool, Setback> {
        let order = match self.check(signed) {
            Ok(order) => order,
            Err((operation_id, error)) => {
                warn!(%error, "an order was refused");
                self.parts.state.keep_result(&OrderResult { refused: true, message: Some(format!("refused: {error}")), ..OrderResult::new(&operation_id) })?;
                return Ok(false);
            }
        };
        info!("order {}: {}", order.operation_id, order.task.word());
        let is_known = self.active.as_ref().is_some_and(|active| active.operation_id() == order.operation_id);
        let has_ended = match &order.task {
            Task::Install(_) => self.parts.state.last_run()?.filter(|ended| ended.operation_id == order.operation_id),
            _ => None,
        };
        if let Task::Install(work) = &order.task
            && self.active.is_none()
            && has_ended.is_none()
        {
            // Kept before it counts as seen: whatever happens in between, it is begun, and once.
            self.parts.state.set_run(&Run::new(order.operation_id.clone(), work.clone(), self.now()))?;
        }
        self.identity.generation = order.generation;
        self.parts.state.set_identity(&self.identity)?;
        self.parts.state.set_sources(&order.sources)?;
        let unmended = match &order.task {
            Task::Scan | Task::Refresh | Task::Report if self.active.is_none() => self.adopt(order.repositories.clone()).await,
            _ => None,
        };
        let failure = match &order.task {
            Task::Scan => self.scan(false).await,
            Task::Refresh => self.scan(true).await,
            Task::Report => {
                self.parts.state.forget_acknowledged()?;
                self.scan(false).await
            }
            Task::Renew => self.renew().await.map(|()| None)?,
            Task::Trust { order_keys, authorities } => {
                self.parts.state.set_authorities(authorities)?;
                self.identity.order_keys.clone_from(order_keys);
                self.parts.state.set_identity(&self.identity)?;
                self.transport = connect(&self.parts).map_err(Setback::End)?;
                None
            }
            // Given once more, because the server did not hear that it goes on.
            Task::Install(_) if is_known => return Ok(false),
            // On its way while the run came to its end: it is answered, and nothing is done twice.
            Task::Install(_) if let Some(ended) = &has_ended => {
                self.parts.state.keep_result(ended)?;
                return Ok(false);
            }
            Task::Install(_) if self.active.is_some() => Some("another run goes on".to_owned()),
            Task::Install(_) => {
                if let Some(run) = self.parts.state.run()? {
                    self.start(run)?;
                }
                return Ok(false);
            }
            Task::Cancel => {
                if let Some(active) = self.active.as_ref().filter(|_| is_known) {
                    active.cancel();
                }
                return Ok(false);
            }
            Task::Plan(work) => {
                let result = self.plan(work.clone()).await?;
                self.parts.state.keep_result(&OrderResult { operation_id: order.operation_id, ..result })?;
                return Ok(false);
            }
            Task::Retire => {
                self.parts.state.forget_credentials()?;
                info!("this node has left; its key is gone");
                return Ok(true);
            }
        };
        let failure = unmended.or(failure);
        self.parts.state.keep_result(&OrderResult { succeeded: failure.is_none(), message: failure, ..OrderResult::new(&order.operation_id) })?;
        Ok(false)
    }

    /// Makes the repositories of the node's policy its own, where it lets the server install; why that failed.
    async fn adopt(&self, repositories: Vec<Source>) -> Option<String> {
        if !self.parts.config.allows().install {
            return None;
        }
        match tokio::task::spawn_blocking(move || own_repositories::adopt(&Root::new("/"), &repositories)).await {
            Ok(Ok(changed)) => {
                if changed {
                    info!("the node's repositories are those of its policy now, or its own again");
                }
                None
            }
            Ok(Err(error)) => Some(note(&error)),
            Err(error) => Some(note(&error)),
        }
    }

    /// What an install would do.
    async fn plan(&self, work: InstallWork) -> Result<OrderResult, StateError> {
        let (sources, kept, cache, now) = (self.sources()?, self.parts.state.way_back(), self.parts.cache.clone(), self.clock());
        let wait = Duration::from_secs(self.parts.config.lock_wait_seconds.into()).min(PLAN_PATIENCE);
        let planned = tokio::task::spawn_blocking(move || {
            let root = Root::new("/");
            install::wait_for_others(&root, wait);
            let _placed = own_repositories::place(&root, &sources)?;
            let inventory = inventory::collect(&root, Some(&cache), now())?;
            Ok::<_, WorkError>(install::plan_and_foresee(&root, &inventory, &work, &kept, now())?)
        });
        let result = OrderResult::new("");
        Ok(match planned.await {
            Ok(Ok(plan)) => OrderResult { succeeded: true, plan: Some(Box::new(plan)), ..result },
            Ok(Err(error)) => OrderResult { message: Some(chain(&error)), ..result },
            Err(error) => OrderResult { message: Some(error.to_string()), ..result },
        })
    }

    fn check(&self, signed: &SignedOrder) -> Result<Order, (String, OrderError)> {
        let order = signed.verify(&self.identity.order_keys).map_err(|error| (String::new(), error))?;
        order::check(&order, &self.identity.node_id, self.identity.generation, self.now()).map_err(|error| (order.operation_id.clone(), error))?;
        // What this node allows is in its own configuration, whatever the server believes.
        let allows = self.parts.config.allows();
        let forbidden = match &order.task {
            Task::Install(_) if !allows.install => Some("install"),
            Task::Install(work) if work.terms.reboot == RebootRule::Always && !allows.reboot => Some("reboot"),
            Task::Install(work) if work.terms.hooks.names().next().is_some() && !allows.hooks => Some("hooks"),
            _ => None,
        };
        if let Some(task) = forbidden {
            return Err((order.operation_id, OrderError::NotAllowed { task: task.to_owned() }));
        }
        Ok(order)
    }

    /// Repositories that take the place of the node's own; a node that only allows scans keeps those.
    fn sources(&self) -> Result<Vec<Source>, StateError> {
        if self.parts.config.allows().install { self.parts.state.sources() } else { Ok(Vec::new()) }
    }

    async fn send_results(&self) -> Result<(), Setback> {
        let mut results = self.parts.state.results()?;
        while let Some(result) = results.first() {
            self.transport.finish_order(result).await?;
            results.remove(0);
            self.parts.state.set_results(&results)?;
        }
        Ok(())
    }

    fn certificate_needs_renewal(&self) -> bool {
        self.identity.certificate_expires_at - self.now().as_millis() < RENEW_BEFORE_MS
    }

    async fn renew(&mut self) -> Result<(), Setback> {
        let (request, key) = enroll::renewal(&self.parts.config, self.identity.identity.clone()).map_err(|error| Setback::End(error.into()))?;
        let enrolled = self.transport.renew(&request).await?;
        self.identity = enroll::keep(&self.parts.state, &enrolled, &key, &request.presented)?;
        self.transport = connect(&self.parts).map_err(Setback::End)?;
        info!("the certificate is renewed");
        // The server forgets the old certificate when it sees the new one.
        let presented = enroll::present(&self.parts.config, self.identity.identity.clone());
        self.transport.hello(&Hello { presented, generation: self.identity.generation }).await?;
        Ok(())
    }

    /// This machine is a copy of another: it gets an identity of its own.
    async fn become_own_node(&mut self) -> Result<(), RunError> {
        warn!("another machine has this identity; getting an own one");
        let (request, key) = enroll::renewal(&self.parts.config, (self.parts.new_identity)())?;
        match self.transport.split(&request).await {
            Ok(enrolled) => {
                self.identity = enroll::keep(&self.parts.state, &enrolled, &key, &request.presented)?;
                self.transport = connect(&self.parts)?;
            }
            Err(error) => warn!(error = %chain(&error), "an own identity could not be got yet"),
        }
        Ok(())
    }

    /// The server's time, as far as this machine can tell.
    fn now(&self) -> Timestamp {
        self.clock()()
    }

    /// The same, to be asked later.
    fn clock(&self) -> impl Fn() -> Timestamp + Send + 'static {
        let (clock, behind_ms) = (self.parts.clock.clone(), self.identity.clock_behind_ms);
        move || clock.now().plus_millis(behind_ms)
    }

    /// Whether packages or lists changed since the last inventory: somebody worked on this machine.
    fn packages_changed(&self) -> bool {
        let changed_at = changed_at().filter(|changed_at| Some(*changed_at) != self.own_change_at);
        let collected_at = self.parts.state.acknowledged().ok().flatten().map(|report| report.heading.collected_at);
        changed_at.zip(collected_at).is_some_and(|(changed_at, collected_at)| changed_at.plus_millis(self.identity.clock_behind_ms) > collected_at)
    }
}

/// When packages or lists last changed.
fn changed_at() -> Option<Timestamp> {
    let root = Root::new("/");
    let watched = inventory::package_manager(&root).map(|manager| manager.watched(&root)).unwrap_or_default();
    watched.iter().filter_map(|path| root.modified_at(&path.to_string_lossy())).max()
}

/// What is new of a run, if anything is before `until`.
async fn next_update(active: &mut Option<ActiveRun>, until: Instant) -> Option<Update> {
    let Some(active) = active else {
        tokio::time::sleep_until(until).await;
        return None;
    };
    tokio::time::timeout_at(until, active.next()).await.ok()
}

/// How long another program that changes packages is waited for before a plan is made.
const PLAN_PATIENCE: Duration = Duration::from_secs(20);

fn collect(cache: &std::path::Path, custom: &std::path::Path, refresh: bool, sources: &[Source], now: &dyn Fn() -> Timestamp) -> Result<Inventory, WorkError> {
    let root = Root::new("/");
    let _placed = own_repositories::place(&root, sources)?;
    let problem = if refresh { inventory::package_manager(&root).and_then(|manager| manager.refresh(&root)) } else { None };
    // Lists that were just read are no later change.
    let now = now();
    let mut inventory = inventory::collect(&root, Some(cache), now)?;
    inventory.host = crate::host::collect(&root, custom, now, &mut inventory.problems);
    apt::fill_install_dates(&root, &mut inventory.packages);
    inventory.problems.extend(problem);
    if let Some(problem) = disk_problem(&root) {
        inventory.problems.push(problem);
    }
    Ok(inventory)
}

/// A disk that is nearly full keeps patches out and this agent from keeping anything.
fn disk_problem(root: &Root) -> Option<Problem> {
    const FREE_MIB_MIN: u64 = 20;
    let free_mib = crate::host::free_mib(root, "/")?;
    (free_mib < FREE_MIB_MIN).then(|| Problem::new(ProblemCode::DiskFull, "/", format!("less than {FREE_MIB_MIN} MiB are free on /")).with_hint("make room on the node"))
}

fn note(error: &dyn std::error::Error) -> String {
    let text = chain(error);
    warn!(error = %text, "the inventory could not be collected or kept");
    text
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

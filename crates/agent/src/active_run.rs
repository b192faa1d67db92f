//! A run on a thread of its own, beside the agent's talk with the server.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use domain::model::baseline::Source;
use domain::model::receipt::Receipt;
use domain::model::run::{Progress, Run, Step};
use domain::model::time::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::config::AgentConfig;
use crate::install::{self, Event, InstallError, Surroundings};
use crate::inventory::CollectError;
use crate::package_manager::own_repositories::{self, SourceError};
use crate::root::Root;
use crate::state::StateFolder;

/// Progress is not told more often.
const PAUSE: Duration = Duration::from_secs(1);
/// Last lines that are told.
const LINES_MAX: usize = 20;
const LINE_LENGTH_MAX: usize = 200;
/// How long a node is thought to be down for a boot.
const DOWN_MS: i64 = 10 * 60 * 1000;

/// Why a run gave no receipt.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The repositories of the baseline cannot be used.
    #[error("the baseline's own repositories cannot be used")]
    Sources(#[from] SourceError),
    /// The system cannot be read.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The system cannot be patched.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A thread ended without a word.
    #[error("the run ended without a word")]
    Lost,
}

/// What a run needs of the agent.
pub struct Parts {
    /// The agent's configuration.
    pub config: AgentConfig,
    /// What it keeps.
    pub state: StateFolder,
    /// A folder for what makes reading faster.
    pub cache: PathBuf,
    /// Repositories that take the place of the node's own.
    pub sources: Vec<Source>,
    /// Tells this boot from others.
    pub boot: String,
    /// The server's time, as far as this machine can tell.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// A run that goes on.
pub struct ActiveRun {
    operation_id: String,
    is_cancelled: Arc<AtomicBool>,
    messages: UnboundedReceiver<Message>,
    progress: Progress,
    /// When progress may be told again; nothing when there is none to tell.
    due: Option<Instant>,
}

enum Message {
    Event(Event, Timestamp),
    Ended(Box<Result<Receipt, WorkError>>),
}

/// What is new of a run.
pub enum Update {
    /// It went on.
    Progress(Progress),
    /// It takes the system down, once it is answered.
    GoesDown(Progress, mpsc::Sender<()>),
    /// It has ended.
    Ended(Box<Result<Receipt, WorkError>>),
}

impl ActiveRun {
    /// Starts a run, or goes on with one.
    pub fn start(run: Run, parts: Parts) -> Self {
        let (send, messages) = unbounded_channel();
        let is_cancelled = Arc::new(AtomicBool::new(run.cancelled));
        let progress = Progress { step: Step::Check, at: run.started_at, percent: None, lines: Vec::new(), waits_until: None, back_by: None };
        let active = Self { operation_id: run.operation_id.clone(), is_cancelled: is_cancelled.clone(), messages, progress, due: None };
        tokio::task::spawn_blocking(move || {
            let ended = carry_out(run, &parts, &send, &is_cancelled);
            // Nobody hears it when the agent has ended meanwhile; the next one goes on.
            let _ = send.send(Message::Ended(Box::new(ended)));
        });
        active
    }

    /// The operation that it is part of.
    pub fn operation_id(&self) -> &str {
        &self.operation_id
    }

    /// Asks it to stop at the end of its step.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Waits for what is new. Steps are told at once, lines now and then.
    pub async fn next(&mut self) -> Update {
        loop {
            let message = tokio::select! {
                message = self.messages.recv() => message,
                () = tokio::time::sleep_until(self.due.unwrap_or_else(Instant::now)), if self.due.is_some() => {
                    self.due = None;
                    return Update::Progress(self.progress.clone());
                }
            };
            let (event, at) = match message {
                None => return Update::Ended(Box::new(Err(WorkError::Lost))),
                Some(Message::Ended(ended)) => return Update::Ended(ended),
                Some(Message::Event(event, at)) => (event, at),
            };
            self.progress.at = at;
            match event {
                Event::Begins(step) => {
                    self.progress = Progress { step, at, percent: None, lines: std::mem::take(&mut self.progress.lines), waits_until: None, back_by: None };
                    return Update::Progress(self.progress.clone());
                }
                Event::Line(line, percent) => {
                    self.progress.lines.push(line.chars().take(LINE_LENGTH_MAX).collect());
                    let n_too_many = self.progress.lines.len().saturating_sub(LINES_MAX);
                    self.progress.lines.drain(..n_too_many);
                    self.progress.percent = percent.or(self.progress.percent);
                    self.due.get_or_insert_with(|| Instant::now() + PAUSE);
                }
                Event::Waits(step, until) => {
                    (self.progress.step, self.progress.waits_until) = (step, Some(until));
                    return Update::Progress(self.progress.clone());
                }
                Event::GoesDown(answer) => {
                    self.progress.back_by = Some(at.plus_millis(DOWN_MS));
                    return Update::GoesDown(self.progress.clone(), answer);
                }
            }
        }
    }
}

fn carry_out(mut run: Run, parts: &Parts, send: &UnboundedSender<Message>, is_cancelled: &AtomicBool) -> Result<Receipt, WorkError> {
    let root = Root::new("/");
    let wait = Duration::from_secs(parts.config.lock_wait_seconds.into());
    install::wait_for_others(&root, wait);
    let _placed = own_repositories::place(&root, &parts.sources)?;
    let surroundings = Surroundings {
        root: &root,
        allows: parts.config.allows(),
        hooks: &parts.config.hooks,
        wait,
        kept: &parts.state.way_back(),
        cache: Some(&parts.cache),
        boot: &parts.boot,
        now: &parts.now,
        save: &|run| parts.state.set_run(run).map_err(io::Error::other),
        // The agent may be about to end.
        watch: &|event| drop(send.send(Message::Event(event, (parts.now)()))),
        is_cancelled: &|| is_cancelled.load(Ordering::Relaxed),
    };
    Ok(install::carry_out(&mut run, &surroundings)?)
}

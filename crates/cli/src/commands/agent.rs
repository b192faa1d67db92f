//! `fettle agent`: this machine as a node of a server elsewhere.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use agent::config::{AgentConfig, CONFIG_PATH, STATE_PATH};
use agent::enroll::{self, EnrollError};
use agent::run::{AgentParts, RunError};
use agent::state::StateFolder;
use agent::transport::TransportError;
use agent::unit;
use anyhow::Context;
use clap::Subcommand;
use domain::model::node::Allows;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::{self, SystemClock};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings;

/// Arguments of `fettle agent`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: AgentCommand,
}

#[derive(Subcommand)]
enum AgentCommand {
    /// Join a server: make a key, have its certificate issued, write the configuration, start
    Enroll {
        /// The server, such as <https://fettle.example:7300>
        #[arg(long, value_name = "URL")]
        server: String,
        /// The code that `fettle activation create` printed
        #[arg(long, env = "FETTLE_ACTIVATION", value_name = "CODE", hide_env_values = true)]
        activation: String,
        /// What the server may do besides scanning: install, reboot, hooks
        #[arg(long, value_delimiter = ',', value_parser = parse_allow)]
        allow: Vec<String>,
        /// A proxy to reach the server through
        #[arg(long, value_name = "URL")]
        proxy: Option<String>,
        /// Configuration to write
        #[arg(long, default_value = CONFIG_PATH, value_name = "FILE")]
        config: PathBuf,
        /// Folder for the agent's key and state
        #[arg(long, default_value = STATE_PATH, value_name = "DIR")]
        state: PathBuf,
        /// Leave the init system alone
        #[arg(long)]
        no_service: bool,
    },
    /// Run the agent
    Run {
        /// Its configuration
        #[arg(long, default_value = CONFIG_PATH, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Runs the command.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        AgentCommand::Enroll { server, activation, allow, proxy, config, state, no_service } => {
            let settings = AgentConfig { allows: allow, proxy, ..AgentConfig::new(&server, &state) };
            join(&settings, &activation, &config, no_service, printer)?;
            Ok(Exit::Success)
        }
        AgentCommand::Run { config } => live(&config, printer),
    }
}

fn parse_allow(word: &str) -> Result<String, String> {
    Allows::parse(word).map(|_| word.to_owned()).map_err(|error| error.to_string())
}

fn join(config: &AgentConfig, activation: &str, path: &Path, no_service: bool, printer: &Printer) -> anyhow::Result<()> {
    if !config.server.starts_with("https://") {
        return Err(Failure::new(format!("`{}` is not the address of a server", config.server), "give an address such as https://fettle.example:7300").into());
    }
    let state = StateFolder::open(&config.state)
        .map_err(|error| anyhow::Error::new(error).context(Failure::new("failed to keep the agent's state", "run this as root, or give a folder with --state DIR")))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
    let enrolled = runtime.block_on(enroll::enroll(config, &state, activation, new_identity()?)).map_err(explain)?;
    write_config(config, path)?;
    printer.line(format!("joined {} as {}", config.server, enrolled.node_id));
    if let Some(original) = &enrolled.clone_of {
        printer.note(format!("this machine is a copy of node {original}; it got an identity of its own, and the server notes it"));
    }
    printer.note(format!("configuration: {}", path.display()));
    printer.note(format!("the server may: {}", config.allows().words()));
    start_service(path, no_service, printer)
}

fn explain(error: EnrollError) -> anyhow::Error {
    let hint = match &error {
        EnrollError::BadCode { .. } => "copy the whole code that `fettle activation create` printed",
        EnrollError::Transport(TransportError::Unreachable { .. }) => {
            "is the address right, and may this machine reach it? The certificate must be by the authority that the code names"
        }
        EnrollError::Transport(TransportError::Refused(problem)) => return Failure::new(problem.message.clone(), problem.hint.clone().unwrap_or_default()).into(),
        _ => "nothing was changed",
    };
    anyhow::Error::new(error).context(Failure::new("failed to join the server", hint))
}

fn write_config(config: &AgentConfig, path: &Path) -> anyhow::Result<()> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or_else(|| Path::new("/")))?;
        let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o644).open(path)?;
        std::io::Write::write_all(&mut file, config.text().as_bytes())
    };
    write().with_context(|| Failure::new(format!("failed to write `{}`", path.display()), "run this as root, or give another file with --config FILE"))
}

/// Installs and starts the unit where systemd runs, else says how to run the agent.
fn start_service(config: &Path, no_service: bool, printer: &Printer) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("failed to find this program")?;
    let run = format!("{} agent run --config {}", program.display(), config.display());
    if no_service || !Path::new("/run/systemd/system").is_dir() || !settings::is_root() {
        printer.note(format!("to run the agent: {run}"));
        return Ok(());
    }
    fs::write(unit::UNIT_PATH, unit::text(&program, config)).with_context(|| format!("failed to write `{}`", unit::UNIT_PATH))?;
    for arguments in [["daemon-reload"].as_slice(), &["enable", "--now", "fettle-agent.service"], &["restart", "fettle-agent.service"]] {
        let status =
            Command::new("systemctl").args(arguments).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().context("failed to run systemctl")?;
        if !status.success() {
            return Err(Failure::new(format!("`systemctl {}` ended with {status}", arguments.join(" ")), format!("the node has joined; run the agent by hand: {run}")).into());
        }
    }
    printer.note("the agent runs as fettle-agent.service");
    Ok(())
}

fn live(config: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::stderr).with_ansi(false).without_time().with_target(false).init();
    let settings = AgentConfig::read(config)
        .map_err(|error| anyhow::Error::new(error).context(Failure::new("failed to start the agent", "mend the file, or join anew with `fettle agent enroll`")))?;
    let state = StateFolder::open(&settings.state)?;
    let cache = settings.state.join("cache");
    let parts =
        AgentParts { config: settings, state, cache, clock: Arc::new(SystemClock), new_identity: Box::new(|| new_identity().expect("the system gave random bytes at the start")) };
    // One thread does all there is to do; scans have one of their own while they last.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        anyhow::Ok(agent::run::run(parts, stop).await)
    })?;
    // A package manager at work goes on; the next agent waits for it.
    runtime.shutdown_background();
    match ended {
        Ok(()) => Ok(Exit::Success),
        Err(error @ RunError::Refused { .. }) => {
            printer.error(&anyhow::Error::new(error));
            printer.hint("the node was retired or enrolled anew; `fettle agent enroll` with a new activation joins again");
            Ok(Exit::Refused)
        }
        Err(RunError::Outdated) => {
            tracing::info!("this agent starts anew, with the code that was installed");
            let program = std::env::args_os().next().context("this process has no name")?;
            Err(Command::new(program).args(std::env::args_os().skip(1)).exec()).context("failed to start the agent anew")
        }
        Err(error @ RunError::NotEnrolled) => Err(anyhow::Error::new(error).context(Failure::new("failed to start the agent", "join a server first with `fettle agent enroll`"))),
        Err(error) => Err(error.into()),
    }
}

fn new_identity() -> anyhow::Result<String> {
    Ok(clock::random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

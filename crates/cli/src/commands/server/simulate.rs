//! `fettle simulate`: thousands of nodes that do not exist, to see what a server can carry.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::simulate::{Drawing, Herd, Installs, Phase, Plan, Progress, Simulation};
use agent::inventory;
use agent::root::Root;
use anyhow::Context;
use domain::model::time::Clock;
use serde::Serialize;

use crate::clock::{self, SystemClock};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};
use crate::settings;

/// Arguments of `fettle simulate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The server, such as <https://fettle.example:7300>. Use one made for it: the nodes stay
    #[arg(long, value_name = "URL")]
    server: String,
    /// A code of `fettle activation create --limit NODES`
    #[arg(long, env = "FETTLE_ACTIVATION", value_name = "CODE", hide_env_values = true)]
    activation: String,
    /// Nodes to simulate; each keeps a connection open
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    nodes: u32,
    /// A folder that holds a system, whose packages the nodes have, more or less
    #[arg(long, default_value = "/", value_name = "DIR")]
    root: PathBuf,
    /// Images that the nodes were made from and drifted away from
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    images: u32,
    /// Requests that are under way at once
    #[arg(long, default_value_t = 512, value_name = "N")]
    at_once: usize,
    /// How often every node changes a few packages and reports it
    #[arg(long, default_value_t = 3, value_name = "TIMES")]
    changes: u32,
    /// How often every node says that nothing changed
    #[arg(long, default_value_t = 20, value_name = "TIMES")]
    check_ins: u32,
    /// At the end all nodes lose their connections and come back within so many seconds
    #[arg(long, value_name = "SECONDS")]
    herd: Option<u64>,
    /// At the end every node waits for an install that somebody begins, and says that it did it
    #[arg(long)]
    installs: bool,
    /// The server's process on this machine, to measure its CPU time and memory
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// How to print the figures
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Files that the program itself needs open besides its connections.
const OWN_FILES: u64 = 64;

/// Runs the command.
pub fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    let host = arguments.server.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    let host = host
        .filter(|host| !host.is_empty() && !host.contains('/'))
        .ok_or_else(|| Failure::new(format!("`{}` is not the address of a server", arguments.server), "give an address such as https://127.0.0.1:7300"))?;
    let host = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) { host.to_owned() } else { format!("{host}:443") };
    let needed = u64::from(arguments.nodes) + OWN_FILES;
    let allowed = settings::raise_file_limit();
    if needed > allowed {
        let message = format!("{} nodes need as many connections, and this process may open {allowed} files", arguments.nodes);
        return Err(Failure::new(message, format!("give --nodes {} at most, or raise the limit of open files", allowed.saturating_sub(OWN_FILES))).into());
    }
    let inventory = inventory::collect(&Root::new(&arguments.root), None, SystemClock.now())
        .map_err(|error| anyhow::Error::new(error).context(Failure::new("failed to read the system to simulate", "give another folder with --root DIR")))?;
    let seed = u64::from_le_bytes(clock::random()?);
    let drawing = Drawing::new(inventory, arguments.images, seed);
    printer.note(format!("{} nodes of {} packages each, from {} images", arguments.nodes, drawing.n_packages(), arguments.images));
    let plan = Plan {
        host,
        code: arguments.activation.clone(),
        n_nodes: arguments.nodes,
        n_at_once: arguments.at_once,
        drawing,
        seed,
        server_pid: arguments.server_pid,
        clock: Arc::new(SystemClock),
        progress: progress(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the runtime")?;
    runtime.block_on(simulate(arguments, plan, printer))
}

async fn simulate(arguments: &Arguments, plan: Plan, printer: &Printer) -> anyhow::Result<Exit> {
    let (simulation, enrolled) = Simulation::enroll(plan).await?;
    let mut phases = vec![enrolled, simulation.connect().await?, simulation.report(0).await?];
    for round in 1..=arguments.changes {
        phases.push(simulation.report(round).await?);
    }
    if arguments.check_ins > 0 {
        phases.push(simulation.check_in(arguments.check_ins).await?);
    }
    let mut figures = Figures { phases, herd: None, installs: None };
    if let Some(seconds) = arguments.herd {
        printer.note(format!("the herd wakes within {seconds} s"));
        figures.herd = Some(simulation.herd(arguments.changes + 1, Duration::from_secs(seconds)).await?);
    }
    if arguments.installs {
        printer.note("every node waits for an install");
        figures.installs = Some(simulation.carry_out_installs().await?);
    }
    match arguments.format {
        Format::Json => printer.json(&figures)?,
        Format::Table => print(&figures, printer),
    }
    match figures.herd.map_or(0, |herd| herd.n_lost) {
        0 => Ok(Exit::Success),
        n_lost => Err(Failure::new(format!("the server lost reports of {n_lost} nodes that it had acknowledged"), "its log may say why").into()),
    }
}

/// What was measured.
#[derive(Serialize)]
struct Figures {
    phases: Vec<Phase>,
    herd: Option<Herd>,
    installs: Option<Installs>,
}

fn print(figures: &Figures, printer: &Printer) {
    let optional = |figure: Option<f64>, digits: usize| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"));
    let rows = figures.phases.iter().chain(figures.herd.as_ref().map(|herd| &herd.phase)).chain(figures.installs.as_ref().map(|installs| &installs.phase)).map(|phase| {
        [
            phase.name.clone(),
            phase.n_done.to_string(),
            format!("{:.0}", phase.per_s),
            format!("{:.1}", phase.p50_ms),
            format!("{:.1}", phase.p99_ms),
            format!("{:.0}", phase.sent_bytes),
            format!("{:.0}", phase.received_bytes),
            optional(phase.per_cpu_s, 0),
            optional(phase.server_peak_mib, 0),
        ]
    });
    printer.table(["phase", "done", "per s", "p50 ms", "p99 ms", "bytes sent", "received", "per server cpu s", "server peak MiB"], rows);
    if let Some(installs) = &figures.installs {
        let Installs { n_installs, n_repeated, n_at_work_at_most, .. } = installs;
        printer.line(format!("{n_installs} installs were carried out, at most {n_at_work_at_most} at once; {n_repeated} ends were told again"));
    }
    if let Some(herd) = &figures.herd {
        printer.line(format!(
            "the herd found the server away {} times, was asked to come later {} times, and {} acknowledged reports are lost",
            herd.n_away, herd.n_busy, herd.n_lost
        ));
    }
}

/// Says on a terminal how far a phase is, at each hundredth.
fn progress() -> Progress {
    use std::io::{IsTerminal, Write};
    if !std::io::stderr().is_terminal() {
        return Box::new(|_, _, _| {});
    }
    Box::new(|phase, done, all| {
        if done == all || done % (all / 100).max(1) == 0 {
            let end = if done == all { "\n" } else { "" };
            let _ = write!(std::io::stderr().lock(), "\r{phase}: {done} of {all}{end}");
        }
    })
}

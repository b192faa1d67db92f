//! A server under a simulated fleet: what each kind of request costs it, on SQLite and PostgreSQL, what
//! it stores, what goes over the wire, a herd with a killed server, and an idle agent.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use simulate::ProcessCost;
use testkit::postgres::Postgres;

use super::{print_at_least, print_at_most};
use crate::sh;

const LISTEN: &str = "127.0.0.1:7391";
/// What is promised of each phase on SQLite: how many in a second of the server's CPU time, and how
/// many bytes over the wire.
const PROMISES: [(&str, f64, f64); 3] = [("report in full", 4_000.0, 6_144.0), ("report a change", 10_000.0, 1_024.0), ("check in", 40_000.0, 300.0)];
const STORED_BYTES_MAX: f64 = 1_024.0;
const HERD_SECONDS: u64 = 30;
/// Memory that a server may have when a whole fleet comes at once.
const HERD_MIB_MAX: f64 = 2_048.0;
const IDLE_MIB_MAX: f64 = 12.0;
const IDLE_SECONDS: u64 = 60;
/// The kernel counts in steps of 10 ms.
const IDLE_CPU_MS_MAX: f64 = 10.0;

/// Measures a server.
pub fn run(root: &Path, n_nodes: u32) -> anyhow::Result<()> {
    let fettle = sh::target().join("release/fettle");
    measure(&Server::start(&fettle, None)?, root, n_nodes, "SQLite")?;
    let postgres = Postgres::start_durable();
    measure(&Server::start(&fettle, Some(postgres.url()))?, root, n_nodes, "PostgreSQL")?;
    drop(postgres);
    herd(Server::start(&fettle, None)?, root, n_nodes)?;
    idle_agent(&build_agent()?, &Server::start(&fettle, None)?)
}

/// The agent built alone.
pub(super) fn build_agent() -> anyhow::Result<PathBuf> {
    let target = sh::target().join("agent");
    let mut build = Command::new("cargo");
    build.args(["build", "--profile", "agent", "--locked", "--package", "cli", "--bin", "fettle", "--no-default-features", "--target-dir"]);
    sh::run_with(build.arg(&target))?;
    Ok(target.join("agent/fettle"))
}

fn measure(server: &Server, root: &Path, n_nodes: u32, database: &str) -> anyhow::Result<()> {
    // What is stored is measured before the fleet has a history. The log in front of the database is
    // as long as it ever gets, whatever the number of nodes, so it is left out.
    end(server.simulate(root, n_nodes, &["--changes", "0", "--check-ins", "0"])?)?;
    if database == "SQLite" {
        let stored = bytes(fs::metadata(server.data.path().join("fettle.db"))?.len());
        print_at_most(&format!("bytes stored for each of {n_nodes} nodes"), stored / f64::from(n_nodes), STORED_BYTES_MAX);
    }
    // The first fleet taught the server its versions: what follows goes on for ever.
    let ended = end(server.simulate(root, n_nodes, &["--changes", "3", "--check-ins", "30"])?)?;
    let phases = ended["phases"].as_array().context("a simulation has phases")?;
    for (name, per_cpu_s, bytes) in PROMISES {
        let phase = phases.iter().rfind(|phase| phase["name"] == name).with_context(|| format!("the simulation has a phase `{name}`"))?;
        let figure = |key: &str| phase[key].as_f64().with_context(|| format!("a phase has {key}"));
        print_at_least(&format!("{name}, {database}, per CPU second of the server"), figure("per_cpu_s")?, per_cpu_s);
        if database == "SQLite" {
            print_at_most(&format!("{name}, bytes of heads and bodies"), figure("sent_bytes")? + figure("received_bytes")?, bytes);
        }
    }
    Ok(())
}

/// Every node wakes within half a minute, and the server is killed in the middle of it.
fn herd(mut server: Server, root: &Path, n_nodes: u32) -> anyhow::Result<()> {
    let mut simulation = server.simulate(root, n_nodes, &["--changes", "0", "--check-ins", "0", "--herd", &HERD_SECONDS.to_string()])?;
    let notes = BufReader::new(simulation.stderr.take().context("its notes are piped")?).lines();
    let mut notes = notes.map_while(Result::ok);
    ensure!(notes.any(|note| note.contains("the herd wakes")), "the herd did not wake");
    std::thread::sleep(Duration::from_secs(HERD_SECONDS / 3));
    server.restart()?;
    let ended = end(simulation)?;
    let figure = |key: &str| ended["herd"][key].as_f64().with_context(|| format!("a herd has {key}"));
    print_at_most(&format!("herd of {n_nodes} with a killed server, acknowledged and lost"), figure("n_lost")?, 0.0);
    print_at_most("herd, the server's most memory, MiB", server.cost()?.peak_mib, HERD_MIB_MAX);
    println!(
        "{}",
        json!({ "what": "herd", "seconds_until_all_reported": ended["herd"]["phase"]["seconds"], "found_the_server_away": figure("n_away")?, "asked_to_come_later": figure("n_busy")? })
    );
    Ok(())
}

/// The agent built alone, run as its unit runs it, with nothing to do after its first scan: its memory,
/// and its CPU time in a minute.
fn idle_agent(program: &Path, server: &Server) -> anyhow::Result<()> {
    let folder = testkit::folder();
    let path = |name: &str| folder.path().join(name);
    let mut enroll = Command::new(program);
    enroll.args(["agent", "enroll", "--no-service", "--server", &server.url(), "--activation", &server.activation(1)?]);
    sh::run_with(enroll.arg("--config").arg(path("agent.yaml")).arg("--state").arg(path("state")))?;
    let (variable, value) = agent::unit::ENVIRONMENT;
    let mut run = Command::new(program);
    run.args(["agent", "run", "--config"]).arg(path("agent.yaml")).env(variable, value);
    let agent = Running(run.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    while !path("state/acknowledged.json").exists() {
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(2));
    let before = agent.cost()?;
    std::thread::sleep(Duration::from_secs(IDLE_SECONDS));
    let after = agent.cost()?;
    print_at_most("idle agent, resident memory, MiB", after.resident_mib, IDLE_MIB_MAX);
    print_at_most("idle agent, CPU ms in a minute", (after.cpu_s - before.cpu_s) * 1000.0, IDLE_CPU_MS_MAX);
    Ok(())
}

/// A process that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn cost(&self) -> anyhow::Result<ProcessCost> {
        ProcessCost::of(self.0.id()).context("the process is there")
    }
}

/// `fettle up` on a folder of its own.
pub(super) struct Server {
    fettle: PathBuf,
    pub(super) data: tempfile::TempDir,
    database: Option<String>,
    process: Running,
}

impl Server {
    pub(super) fn start(fettle: &Path, database: Option<String>) -> anyhow::Result<Self> {
        let data = testkit::folder();
        let process = start(fettle, data.path(), database.as_deref())?;
        Ok(Self { fettle: fettle.to_owned(), data, database, process })
    }

    /// Kills it as a power cut would, and starts it again.
    pub(super) fn restart(&mut self) -> anyhow::Result<()> {
        self.process.0.kill()?;
        self.process.0.wait()?;
        self.process = start(&self.fettle, self.data.path(), self.database.as_deref())?;
        Ok(())
    }

    pub(super) fn cost(&self) -> anyhow::Result<ProcessCost> {
        self.process.cost()
    }

    /// Files and connections that it has open.
    pub(super) fn n_open_files(&self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.process.0.id())).context("the process is there")?.count())
    }

    fn url(&self) -> String {
        format!("https://{LISTEN}")
    }

    fn activation(&self, limit: u32) -> anyhow::Result<String> {
        let mut command = Command::new(&self.fettle);
        let created = sh::output(command.args(["activation", "create", "--format", "json", "--limit", &limit.to_string(), "--data"]).arg(self.data.path()))?;
        let created: Value = serde_json::from_slice(&created.stdout).context("an activation is printed as JSON")?;
        Ok(created["code"].as_str().context("an activation has a code")?.to_owned())
    }

    pub(super) fn simulate(&self, root: &Path, n_nodes: u32, more: &[&str]) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.fettle);
        command.args(["simulate", "--format", "json", "--server", &self.url(), "--activation", &self.activation(n_nodes)?, "--nodes", &n_nodes.to_string()]);
        command.args(["--server-pid", &self.process.0.id().to_string(), "--root"]).arg(root).args(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("failed to start the simulation")
    }
}

fn start(fettle: &Path, data: &Path, database: Option<&str>) -> anyhow::Result<Running> {
    let mut command = Command::new(fettle);
    command.args(["up", "--no-local-node", "--listen", LISTEN, "--data"]).arg(data).args(database.iter().flat_map(|database| ["--database", database]));
    let mut process = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("failed to start the server")?);
    let mut lines = BufReader::new(process.0.stdout.take().context("its output is piped")?).lines();
    ensure!(lines.any(|line| line.is_ok_and(|line| line.contains("sign in"))), "the server did not start");
    // Whatever else it prints goes nowhere.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(process)
}

/// Waits for a simulation; what it printed.
pub(super) fn end(simulation: Child) -> anyhow::Result<Value> {
    let output = simulation.wait_with_output()?;
    ensure!(output.status.success(), "the simulation failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("a simulation prints JSON")
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn bytes(length: u64) -> f64 {
    length as f64
}

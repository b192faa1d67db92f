//! Planning large rollouts and many windows, and an operation over a simulated fleet: how long it takes, what the server
//! needs for it, and how soon nodes take what they are given.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::fleet::{Server, end};
use super::print_at_most;
use crate::sh;

const PLAN_MS_MAX: f64 = 1000.0;
const DUE_MS_MAX: f64 = 100.0;
const SERVER_MIB_MAX: f64 = 512.0;
const BASELINE: &str = "schema: baseline/v1\nname: all\noperating_system: DEBIAN\napproval_rules: [{approve_after_days: 0, enable_non_security: true}]\n";
/// Milliseconds between a part's release and its order.
const LATENCIES: &str = "import json, sqlite3, sys; rows = sorted(a - b for a, b in sqlite3.connect(sys.argv[1]).execute('SELECT claimed_at, released_at FROM invocations WHERE claimed_at IS NOT NULL')); print(json.dumps({'p50': rows[len(rows) // 2], 'p99': rows[len(rows) * 99 // 100], 'most': rows[-1]}))";

/// Measures planning, and an operation over so many nodes.
pub fn run(root: &Path, n_nodes: u32) -> anyhow::Result<()> {
    sh::run("cargo", &["build", "--release", "--locked", "--package", "domain", "--example", "plan_rollout"])?;
    let output = sh::output(&mut Command::new(sh::target().join("release/examples/plan_rollout")))?;
    let figures: Value = serde_json::from_slice(&output.stdout).context("the example prints JSON")?;
    let figure = |name: &str| figures[name].as_f64().with_context(|| format!("the example prints {name}"));
    print_at_most("planning a rollout of 100,000 nodes in 10 rings, ms", figure("plan_ms")?, PLAN_MS_MAX);
    print_at_most("checking that plan, ms", figure("check_ms")?, PLAN_MS_MAX);
    print_at_most("10,000 due windows, ms", figure("due_ms")?, DUE_MS_MAX);
    operation(root, n_nodes)
}

fn operation(root: &Path, n_nodes: u32) -> anyhow::Result<()> {
    let fettle = sh::target().join("release/fettle");
    let mut server = Server::start(&fettle, None)?;
    let data = server.data.path().to_owned();
    let ask = |arguments: &[&str]| sh::output(Command::new(&fettle).args(arguments).arg("--data").arg(&data));
    let baseline = data.join("all.yaml");
    fs::write(&baseline, BASELINE)?;
    ask(&["baseline", "save", "-f", &baseline.display().to_string()])?;
    ask(&["baseline", "assign", "all"])?;
    let mut simulation = server.simulate(root, n_nodes, &["--changes", "0", "--check-ins", "0", "--installs"])?;
    let mut notes = BufReader::new(simulation.stderr.take().context("its notes are piped")?).lines().map_while(Result::ok);
    ensure!(notes.any(|note| note.contains("every node waits")), "the nodes do not wait");
    let joined_mib = server.cost()?.peak_mib;
    // What joining took is measured elsewhere: the server starts anew, and every node comes back to it.
    server.restart()?;
    wait_for_nodes(&server, n_nodes)?;
    let before = server.cost()?;
    let began = Instant::now();
    ask(&["operation", "start", "--everyone", "--detach"])?;
    let seconds_to_begin = began.elapsed().as_secs_f64();
    loop {
        let list = ask(&["operation", "list", "--limit", "1", "--format", "json"])?;
        let list: Value = serde_json::from_slice(&list.stdout).context("a list is printed as JSON")?;
        if list["items"][0]["state"] == "ENDED" {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = server.cost()?;
    let installs = end(simulation)?["installs"].clone();
    ensure!(installs["n_installs"] == n_nodes, "each node installs once: {installs}");
    let latencies = sh::output(Command::new("python3").args(["-c", LATENCIES]).arg(data.join("fettle.db")))?;
    let latencies: Value = serde_json::from_slice(&latencies.stdout).context("python3 prints JSON")?;
    print_at_most(&format!("an operation over {n_nodes} nodes, the server's most memory, MiB"), after.peak_mib, SERVER_MIB_MAX);
    let cpu_s = after.cpu_s - before.cpu_s;
    println!(
        "{}",
        json!({ "what": format!("an operation over {n_nodes} nodes"), "server_mib_when_nodes_joined": joined_mib, "server_mib_before": before.peak_mib, "seconds": seconds, "seconds_until_it_was_asked_for": seconds_to_begin, "server_cpu_s": cpu_s, "cores": cpu_s / seconds, "at_work_at_most": installs["n_at_work_at_most"], "dispatch_ms": latencies })
    );
    Ok(())
}

/// Waits until every node has a connection again.
fn wait_for_nodes(server: &Server, n_nodes: u32) -> anyhow::Result<()> {
    for _ in 0..600 {
        if server.n_open_files()? >= n_nodes as usize {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    anyhow::bail!("the nodes do not come back")
}

//! Runs: what they cost beside the bare tool, how soon one begins, and what memory the agent takes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testkit::apt_repository::{AptRepository, Package};
use testkit::roots::Overlay;
use testkit::testbed::{NodeOptions, SERVER, Testbed};

use super::{median, print_at_most};
use crate::sh;

const N_PACKAGES: usize = 50;
/// Wall time of a run beside the bare tool's, without its proof.
const OVERHEAD_MAX: f64 = 1.10;
const MEMORY_MIB_MAX: f64 = 40.0;
const FIRST_STEP_S_MAX: f64 = 2.0;
const N_CONFIRMS: usize = 100;

/// Measures runs.
pub fn run(root: &Path, n_pairs: usize) -> anyhow::Result<()> {
    let fettle = sh::target().join("release/fettle");
    overhead(&fettle, root, n_pairs)?;
    on_a_node(&fettle, &super::fleet::build_agent()?)
}

/// The same set of real updates, by `apt-get` and by us, in turns, each on a fresh copy of one server. Everything is
/// downloaded before.
fn overhead(fettle: &Path, root: &Path, n_pairs: usize) -> anyhow::Result<()> {
    let prepared = Overlay::over(root);
    let listed = prepared.shell("apt-get -s -q upgrade | sed -n 's/^Inst \\([^ ]*\\) \\[[^]]*\\] (\\([^ ]*\\) .*/\\1=\\2/p'");
    let wished: Vec<_> = listed.lines().take(N_PACKAGES).collect();
    ensure!(wished.len() == N_PACKAGES, "only {} updates wait on this root", wished.len());
    prepared.shell(&format!("apt-get -q -y --download-only --no-remove install {} > /dev/null", wished.join(" ")));
    let archives = |of: &Overlay| of.path().join("var/cache/apt/archives");
    let fresh = || -> anyhow::Result<Overlay> {
        let node = Overlay::over(root);
        sh::run_with(Command::new("cp").arg("-r").arg(archives(&prepared).join(".")).arg(archives(&node)))?;
        Ok(node)
    };
    let folder = testkit::folder();
    let baseline = folder.path().join("all.yaml");
    fs::write(&baseline, "schema: baseline/v1\nname: all\noperating_system: DEBIAN\napproval_rules: [{approve_after_days: 0, enable_non_security: true}]\n")?;
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..n_pairs {
        let node = fresh()?;
        let begun = Instant::now();
        node.shell(&format!("apt-get -q -y -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold --no-remove install {} > /dev/null 2>&1", wished.join(" ")));
        bare.push(begun.elapsed().as_secs_f64());
        let node = fresh()?;
        let receipt = folder.path().join("receipt.json");
        let mut install = Command::new(fettle);
        install.args(["install", "--yes", "--no-refresh", "--root"]).arg(node.path()).arg("--baseline").arg(&baseline).arg("--receipt").arg(&receipt);
        for name in &wished {
            install.args(["--only", name]);
        }
        sh::run_with(install.stdout(Stdio::null()).stderr(Stdio::null()))?;
        let receipt: Value = serde_json::from_slice(&fs::read(&receipt)?)?;
        ensure!(
            receipt["outcome"]["kind"] == "installed" && receipt["packages"].as_array().is_some_and(|packages| packages.len() == N_PACKAGES),
            "the run failed: {}",
            receipt["outcome"]
        );
        let steps = receipt["steps"].as_array().context("a receipt has steps")?;
        let took = |name: &str| steps.iter().filter(|step| step["step"] == name).filter_map(|step| step["took_ms"].as_f64()).sum::<f64>() / 1000.0;
        ours.push(["check", "download", "keep_way_back", "apply"].map(took).iter().sum());
        println!(
            "{}",
            json!({ "what": "steps of a run, s", "check": took("check"), "download": took("download"), "keep_way_back": took("keep_way_back"), "apply": took("apply") })
        );
    }
    let (bare, ours) = (median(bare), median(ours));
    rebuilt(fettle, &fresh()?, &baseline, &wished)?;
    println!("{}", json!({ "what": format!("{N_PACKAGES} packages, s"), "apt_get": super::rounded(bare), "run": super::rounded(ours) }));
    print_at_most(&format!("a run of {N_PACKAGES} packages beside apt-get"), ours / bare, OVERHEAD_MAX);
    Ok(())
}

/// Where nothing has the versions of before, their files are built from what is installed: what that costs more.
fn rebuilt(fettle: &Path, node: &Overlay, baseline: &Path, wished: &[&str]) -> anyhow::Result<()> {
    node.shell("cd /var/cache/apt/archives; dpkg-query -W -f '${Package}_${Version}_${Architecture}.deb\n' | sed 's/:/%3a/g' | xargs rm -f; echo 'Acquire::http::Proxy \"http://127.0.0.1:9\";' > /etc/apt/apt.conf.d/99offline");
    let [_, _, keep_way_back, _] = steps(fettle, node, baseline, wished)?;
    println!("{}", json!({ "what": format!("files of {} installed packages built anew, s", wished.len()), "figure": super::rounded(keep_way_back) }));
    Ok(())
}

/// Installs, and tells what its steps took: check, download, way back, apply.
fn steps(fettle: &Path, node: &Overlay, baseline: &Path, wished: &[&str]) -> anyhow::Result<[f64; 4]> {
    let receipt = node.path().join("receipt.json");
    let mut install = Command::new(fettle);
    install.args(["install", "--yes", "--no-refresh", "--root"]).arg(node.path()).arg("--baseline").arg(baseline).arg("--receipt").arg(&receipt);
    for name in wished {
        install.args(["--only", name]);
    }
    sh::output(&mut install)?;
    let receipt: Value = serde_json::from_slice(&fs::read(&receipt)?)?;
    let n_installed = receipt["packages"].as_array().map_or(0, Vec::len);
    ensure!(receipt["outcome"]["kind"] == "installed" && n_installed == wished.len(), "the run failed: {}", receipt["outcome"]);
    let records = receipt["steps"].as_array().context("a receipt has steps")?;
    let took = ["check", "download", "keep_way_back", "apply"]
        .map(|name| records.iter().filter(|step| step["step"] == name).filter_map(|step| step["took_ms"].as_f64()).sum::<f64>() / 1000.0);
    println!("{}", json!({ "what": "steps of a run, s", "check": took[0], "download": took[1], "keep_way_back": took[2], "apply": took[3] }));
    Ok(took)
}

/// A node of a test bed with the agent built alone.
fn on_a_node(fettle: &Path, agent: &Path) -> anyhow::Result<()> {
    let mut bed = Testbed::start(agent);
    let repository = AptRepository::start(&bed);
    let names = |version: u32| (0..N_PACKAGES).map(|number| format!("tb-{number} {version}")).collect::<Vec<_>>();
    let offer = |version: u32| {
        let names = names(version);
        repository.add(
            &names
                .iter()
                .map(|name| Package {
                    fill: "mkdir -p usr/share/tb; head -c 200000 /dev/urandom > usr/share/tb/$(od -An -N8 -tx8 /dev/urandom | tr -d ' ');",
                    ..Package::new(name)
                })
                .collect::<Vec<_>>(),
        );
    };
    offer(1);
    let data = testkit::folder();
    let mut command = bed.at_server(fettle);
    command.args(["up", "--no-local-node", "--listen", "0.0.0.0:7300", "--data"]).arg(data.path());
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(server.stdout.take().context("its output is piped")?).lines();
    ensure!(lines.any(|line| line.is_ok_and(|line| line.contains("sign in"))), "the server did not start");
    std::thread::spawn(move || lines.for_each(drop));
    bed.add("n1", NodeOptions::default());
    let ask = |arguments: &[&str]| -> anyhow::Result<Value> {
        let output = sh::output(bed.at_server(fettle).args(arguments).args(["--format", "json", "--data"]).arg(data.path()))?;
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let code = ask(&["activation", "create"])?["code"].as_str().context("an activation has a code")?.to_owned();
    let installed: Vec<_> = names(1).iter().map(|name| name.replace(' ', "=")).collect();
    bed.shell("n1", &format!("{} apt-get -qq install -y {} > /dev/null", repository.sources(), installed.join(" ")));
    bed.shell("n1", &format!("fettle agent enroll --server https://{SERVER}:7300 --activation {code} --allow install"));
    let baseline = data.path().join("all.yaml");
    fs::write(&baseline, "schema: baseline/v1\nname: all\noperating_system: DEBIAN\napproval_rules: [{approve_after_days: 0, enable_non_security: true}]\n")?;
    ask(&["baseline", "save", "-f", &baseline.display().to_string()])?;
    ask(&["baseline", "assign", "all"])?;
    let node = loop {
        let nodes = ask(&["node", "list"])?;
        if let Some(id) = nodes["items"][0]["id"].as_str().filter(|_| !nodes["items"][0]["last_scan_at"].is_null()) {
            break id.to_owned();
        }
    };

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench/confirm.py");
    let printed = sh::output(bed.at_server(Path::new("/usr/bin/python3")).arg(script).arg(data.path()).args([&node, &N_CONFIRMS.to_string()]))?;
    let mut seconds: Vec<f64> = String::from_utf8_lossy(&printed.stdout).lines().filter_map(|line| line.parse().ok()).collect();
    ensure!(seconds.len() == N_CONFIRMS, "{} installs were confirmed", seconds.len());
    seconds.sort_by(f64::total_cmp);
    println!("{}", json!({ "what": "confirm to first step, s", "median": super::rounded(seconds[N_CONFIRMS / 2]), "most": super::rounded(seconds[N_CONFIRMS - 1]) }));
    print_at_most("confirm to first step on an idle node, p99, s", seconds[N_CONFIRMS - 2], FIRST_STEP_S_MAX);

    offer(2);
    bed.shell("n1", "apt-get -qq update");
    ask(&["node", "scan", &node])?;
    while ask(&["node", "list"])?["items"][0]["counts"]["missing"] != N_PACKAGES {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let receipts = ask(&["patch", "now", &node, "--yes"])?;
    ensure!(receipts[0]["outcome"]["kind"] == "installed", "the run failed: {}", receipts[0]["outcome"]);
    let peak = bed.shell("n1", "grep VmHWM /proc/$(systemctl show -P MainPID fettle-agent)/status");
    let kib: f64 = peak.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).context("the kernel says the most memory of a process")?;
    print_at_most(&format!("agent in a run of {N_PACKAGES} packages, peak memory, MiB"), kib / 1024.0, MEMORY_MIB_MAX);
    server.kill()?;
    server.wait()?;
    Ok(())
}

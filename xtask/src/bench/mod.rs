//! Measures, and prints figures as lines of JSON: against a peer that alternates with us in one run, or
//! against what was promised. Nothing here fails for being slow; wrong answers do fail.

mod feeds;
mod fleet;
mod index;
mod install;
mod queries;
mod rollouts;
mod rpm;
mod scan;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::sh;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Arguments {
    /// What to measure; everything when nothing is said
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// A Debian root with its lists, in place of one that is made for it
    #[arg(long)]
    root: Option<PathBuf>,
    /// Pairs of runs against a peer
    #[arg(long, default_value_t = 9)]
    pairs: usize,
    /// Nodes of the simulated fleet
    #[arg(long, default_value_t = 10_000)]
    nodes: u32,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Scans of one machine, and comparing versions
    Scan,
    /// Scans of an rpm machine
    Rpm,
    /// A server under a simulated fleet, on both databases, and an idle agent
    Fleet,
    /// Importing a vendor's feed
    Feeds,
    /// Judging a million nodes again
    Index,
    /// Runs beside the bare package manager, how soon they begin, and the agent's memory in one
    Install,
    /// Lists, compliance and start of a server with up to a million nodes
    Queries,
    /// Planning rollouts and windows, and an operation over a simulated fleet
    Rollouts,
}

/// Measures what was asked for.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted = |part: Part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    let root = || {
        let root = arguments.root.clone().unwrap_or_else(testkit::roots::server);
        ensure!(root.join("var/lib/dpkg/status").is_file(), "`{}` holds no Debian system", root.display());
        Ok(root)
    };
    sh::run("cargo", &["build", "--release", "--locked", "--package", "cli", "--bin", "fettle"])?;
    if wanted(Part::Scan) {
        scan::run(&root()?, arguments.pairs)?;
    }
    if wanted(Part::Rpm) {
        rpm::run(arguments.pairs)?;
    }
    if wanted(Part::Fleet) {
        fleet::run(&root()?, arguments.nodes)?;
    }
    if wanted(Part::Feeds) {
        feeds::run()?;
    }
    if wanted(Part::Index) {
        index::run()?;
    }
    if wanted(Part::Install) {
        install::run(&root()?, arguments.pairs.min(3))?;
    }
    if wanted(Part::Queries) {
        queries::run()?;
    }
    if wanted(Part::Rollouts) {
        rollouts::run(&root()?, arguments.nodes)?;
    }
    Ok(())
}

/// CPU seconds, peak memory and time of one finished process.
#[derive(Clone, Copy)]
struct Cost {
    cpu_s: f64,
    peak_mib: f64,
    wall_s: f64,
}

/// Runs a program by way of a small one that asks the kernel what the whole process cost.
fn cost(command: &mut Command) -> anyhow::Result<Cost> {
    let figures = sh::target().join("bench-cost.txt");
    let mut timed = Command::new("/usr/bin/python3");
    timed.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench/cost.py")).arg(&figures).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        timed.env(name, value.unwrap_or_default());
    }
    sh::output(timed.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let text = fs::read_to_string(&figures).context("the program left no figures")?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    ensure!(numbers.len() == 3, "the figures are `{text}`");
    Ok(Cost { cpu_s: numbers[0], peak_mib: numbers[1], wall_s: numbers[2] })
}

/// Prints ours beside a peer's: the ratio is to reach the target.
fn print_ratio(what: &str, ours: f64, peer: f64, ratio: f64, target: f64, peak: Option<(f64, f64)>) {
    let mut row = json!({ "what": what, "ours": ours, "peer": peer, "ratio": rounded(ratio), "target": target, "reached": ratio >= target });
    if let Some((peak, limit)) = peak {
        row["peak_mib"] = json!(rounded(peak));
        row["peak_limit_mib"] = json!(limit);
    }
    println!("{row}");
}

/// Prints a figure that must be at least so much.
fn print_at_least(what: &str, figure: f64, least: f64) {
    println!("{}", json!({ "what": what, "figure": rounded(figure), "at_least": least, "reached": figure >= least }));
}

/// Prints a figure that may be at most so much.
fn print_at_most(what: &str, figure: f64, most: f64) {
    println!("{}", json!({ "what": what, "figure": rounded(figure), "at_most": most, "reached": figure <= most }));
}

fn rounded(figure: f64) -> f64 {
    if figure.abs() < 10.0 { (figure * 1000.0).round() / 1000.0 } else { (figure * 10.0).round() / 10.0 }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

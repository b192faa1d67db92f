//! Lists, compliance and start of a server with ten thousand and with a million nodes.

use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use super::print_at_most;
use crate::sh;

/// Nodes, and milliseconds that 99 of 100 answers may take.
const SIZES: [(u32, f64); 2] = [(10_000, 10.0), (1_000_000, 50.0)];

/// Measures the queries.
pub fn run() -> anyhow::Result<()> {
    sh::run("cargo", &["build", "--release", "--locked", "--package", "server", "--example", "query_fleet"])?;
    for (n_nodes, limit_ms) in SIZES {
        let output = sh::output(Command::new(sh::target().join("release/examples/query_fleet")).arg(n_nodes.to_string()))?;
        let row: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("the example prints JSON, not {}", String::from_utf8_lossy(&output.stderr)))?;
        for (what, figures) in row["queries"].as_object().context("the example prints queries")? {
            let p99 = figures["p99_ms"].as_f64().context("a query has a p99")?;
            print_at_most(&format!("{what}, {n_nodes} nodes, p99 ms"), p99, limit_ms);
        }
        println!("{}", row["start"]);
    }
    Ok(())
}

//! Judging a million nodes again after a baseline change, against a plain loop over arrays.

use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use super::{print_at_most, print_ratio};
use crate::sh;

/// Milliseconds for fleets of images with drift, and of nodes that are all distinct.
const LIMITS_MS: [(&str, f64); 2] = [("images and drift", 50.0), ("all distinct", 1000.0)];

/// What a preview over a fleet of images with drift may take.
const PREVIEW_MS_MAX: f64 = 1000.0;

/// What judging every version of a whole catalog may take.
const TABLE_MS_MAX: f64 = 20.0;

/// Measures the index.
pub fn run() -> anyhow::Result<()> {
    sh::run("cargo", &["build", "--release", "--locked", "--package", "domain", "--example", "judge_fleet"])?;
    let output = sh::output(&mut Command::new(sh::target().join("release/examples/judge_fleet")))?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let row: Value = serde_json::from_str(line).context("the example prints JSON")?;
        let figure = |name: &str| row[name].as_f64().with_context(|| format!("the example prints {name}"));
        let what = row["what"].as_str().unwrap_or_default();
        if what == "verdict table" {
            print_at_most(&format!("verdict table of {} versions, ms", row["n_versions"]), figure("table_ms")?, TABLE_MS_MAX);
            continue;
        }
        let limit = LIMITS_MS.iter().find(|(known, _)| *known == what).map_or(f64::NAN, |(_, limit)| *limit);
        let (rule, one, plain) = (figure("rule_changed_ms")?, figure("one_patch_changed_ms")?, figure("plain_loop_ms")?);
        print_at_most(&format!("1,000,000 nodes judged again, {what}, ms"), rule, limit);
        print_at_most(&format!("preview of a rule change over 1,000,000 nodes, {what}, ms"), figure("preview_ms")?, PREVIEW_MS_MAX);
        print_ratio(&format!("one patch rejected, {what}, ms, against the whole"), one, rule, rule / one, 100.0, None);
        print_ratio(&format!("1,000,000 nodes judged again, {what}, ms, against a plain loop"), rule, plain, plain / rule, 0.33, None);
    }
    Ok(())
}

//! The walls between crates: who may import what.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::sh;

/// What each crate may use beside small value crates; the table of ARCHITECTURE.md.
const OWN_CRATES: [(&str, &[&str]); 10] = [
    ("domain", &[]),
    ("catalog", &["domain"]),
    ("api", &["domain"]),
    ("store", &["domain"]),
    ("agent", &["domain", "api", "catalog"]),
    ("server", &["domain", "catalog", "api", "store"]),
    ("simulate", &["domain", "api", "agent"]),
    ("cli", &["domain", "api", "store", "agent", "server", "simulate"]),
    ("testkit", &["domain"]),
    ("xtask", &["testkit", "simulate", "agent"]),
];

/// Crates that may be known in some rooms only.
const GUARDED: [(&str, &[&str]); 10] = [
    ("tokio", &["store", "server", "cli", "agent", "simulate"]),
    ("sqlx", &["store"]),
    ("axum", &["server"]),
    ("maud", &["server"]),
    ("utoipa", &["api", "server"]),
    ("reqwest", &["api", "agent", "server"]),
    ("rustls", &["server", "agent", "cli", "simulate"]),
    ("anyhow", &["cli", "xtask"]),
    ("clap", &["cli", "xtask"]),
    ("comfy-table", &["cli"]),
];

/// Compares every crate's direct dependencies with the tables, and the lint files with each other.
pub fn check() -> anyhow::Result<()> {
    let output = sh::output(Command::new("cargo").args(["metadata", "--format-version", "1", "--no-deps", "--locked"]))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("failed to read `cargo metadata`")?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` has no packages")?;
    let own: BTreeSet<&str> = OWN_CRATES.iter().map(|(name, _)| *name).collect();
    let mut breaches = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("a package has no name")?;
        let Some((_, allowed)) = OWN_CRATES.iter().find(|(known, _)| *known == name) else {
            breaches.push(format!("crate `{name}` is not in the table of xtask/src/walls.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten().filter(|dependency| dependency["kind"].is_null()) {
            let used = dependency["name"].as_str().context("a dependency has no name")?;
            if own.contains(used) && !allowed.contains(&used) {
                breaches.push(format!("`{name}` must not know `{used}`"));
            }
            if GUARDED.iter().any(|(guarded, rooms)| *guarded == used && !rooms.contains(&name)) {
                breaches.push(format!("`{name}` must not use `{used}`"));
            }
        }
    }
    breaches.extend(compare_lints()?);
    breaches.extend(check_layers()?);
    ensure!(breaches.is_empty(), "the walls are broken:\n  {}", breaches.join("\n  "));
    Ok(())
}

/// The nearest clippy.toml replaces the root's, so it must repeat it.
fn compare_lints() -> anyhow::Result<Vec<String>> {
    let read = |path: &str| fs::read_to_string(sh::workspace().join(path)).with_context(|| format!("failed to read {path}"));
    let root = read("clippy.toml")?;
    let domain = read("crates/domain/clippy.toml")?;
    let missing = root.lines().filter(|line| !line.starts_with('#') && !domain.contains(line));
    Ok(missing.map(|line| format!("crates/domain/clippy.toml does not repeat `{line}`")).collect())
}

/// Inside `server`: handlers and pages call actions, never the store.
fn check_layers() -> anyhow::Result<Vec<String>> {
    let mut breaches = Vec::new();
    for folder in ["http", "ui"] {
        let mut folders = vec![sh::workspace().join("crates/server/src").join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if fs::read_to_string(&path)?.contains(".database()") {
                    breaches.push(format!("{} reaches for the store; it must call an action", path.display()));
                }
            }
        }
    }
    Ok(breaches)
}

//! The checks that CI runs beside the tests, and the tests.

use std::process::Command;

use crate::{sh, walls};

/// Every check, the quick ones first.
pub fn check() -> anyhow::Result<()> {
    sh::run("cargo", &["fmt", "--all", "--check"])?;
    walls::check()?;
    sh::run("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    sh::run_with(Command::new("cargo").args(["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    generate(&["--check"])?;
    if !sh::has("cargo-deny") {
        sh::run("cargo", &["install", "--locked", "--quiet", "cargo-deny"])?;
    }
    // Advisories need a database from a host that not every machine reaches; `cargo deny check` has them.
    sh::run("cargo", &["deny", "--all-features", "check", "licenses", "bans", "sources"])
}

/// Every test.
pub fn test() -> anyhow::Result<()> {
    if sh::has("cargo-nextest") { sh::run("cargo", &["nextest", "run", "--workspace", "--locked"]) } else { sh::run("cargo", &["test", "--workspace", "--locked"]) }
}

/// Writes or checks the documents that follow from the code.
pub fn generate(flags: &[&str]) -> anyhow::Result<()> {
    // The whole workspace, because building one package selects other features and builds twice.
    sh::run("cargo", &["build", "--workspace", "--locked"])?;
    sh::run_with(Command::new(sh::target().join("debug/fettle")).args(["reference", "--to", "docs/reference"]).args(flags))
}

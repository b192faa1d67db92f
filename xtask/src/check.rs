//! The checks that CI runs beside the tests, and the tests.

use std::process::Command;

use anyhow::ensure;

use crate::{prepare, sh, walls};

/// Every check, the quick ones first.
pub fn check() -> anyhow::Result<()> {
    sh::run("cargo", &["fmt", "--all", "--check"])?;
    walls::check()?;
    sh::run("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    // The agent alone; its tests need a server.
    sh::run("cargo", &["clippy", "--package", "cli", "--no-default-features", "--locked", "--", "-D", "warnings"])?;
    sh::run_with(Command::new("cargo").args(["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    generate(&["--check"])?;
    if !sh::has("cargo-deny") {
        sh::run("cargo", &["install", "--locked", "--quiet", "cargo-deny"])?;
    }
    // Advisories need a database from a host that not every machine reaches; `cargo deny check` has them.
    sh::run("cargo", &["deny", "--all-features", "check", "licenses", "bans", "sources"])
}

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct TestArguments {
    /// Fail where this machine cannot run a test, in place of skipping it
    #[arg(long)]
    no_skips: bool,
    /// Only those that boot an emulated machine, which take minutes
    #[arg(long)]
    vm: bool,
}

/// Every test that this machine can run.
pub fn test(arguments: &TestArguments) -> anyhow::Result<()> {
    if arguments.vm {
        return sh::run("cargo", &["test", "--package", "cli", "--test", "it", "--locked", "--", "--ignored", "--nocapture", "vm::"]);
    }
    let missing = prepare::missing_capabilities()?;
    for (what, tests) in &missing {
        eprintln!("skipped for want of {what}: tests named {}", tests.join(", "));
    }
    ensure!(missing.is_empty() || !arguments.no_skips, "tests would be skipped");
    let mut command = Command::new("cargo");
    command.args(if sh::has("cargo-nextest") { ["nextest", "run"].as_slice() } else { &["test"] }).args(["--workspace", "--locked", "--"]);
    command.args(missing.iter().flat_map(|(_, tests)| *tests).flat_map(|test| ["--skip", test]));
    sh::run_with(&mut command)
}

/// Writes or checks the documents that follow from the code.
pub fn generate(flags: &[&str]) -> anyhow::Result<()> {
    // The whole workspace, because building one package selects other features and builds twice.
    sh::run("cargo", &["build", "--workspace", "--locked"])?;
    sh::run_with(Command::new(sh::target().join("debug/fettle")).args(["reference", "--to", "docs/reference"]).args(flags))
}

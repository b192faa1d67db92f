//! `fettle install`: bring the missing patches, exactly as planned, and say what came of it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use agent::install;
use anyhow::Context;
use domain::model::plan::{Extra, Outcome, PackageState, Receipt};
use domain::model::time::Clock;

use crate::clock::SystemClock;
use crate::commands::plan::{asked_for, print_transaction};
use crate::commands::scan;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};
use crate::settings;

/// Arguments of `fettle install`.
#[derive(clap::Args)]
pub struct InstallArguments {
    #[command(flatten)]
    scan: scan::Arguments,
    #[command(flatten)]
    wish: Wish,
    /// Seconds to wait for another program that changes packages
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    wait: u64,
    /// Write the receipt to a file, as JSON
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

/// What to install of what is missing.
#[derive(clap::Args)]
pub struct Wish {
    /// Only packages whose names match; * ? [ ] allowed; may be given more than once
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// What may happen beside what is asked for
    #[arg(long, value_enum, default_value_t = AllowedExtra::Dependencies)]
    pub allow: AllowedExtra,
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
}

/// What may happen beside what is asked for.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum AllowedExtra {
    /// Nothing
    None,
    /// Packages that are needed may come; none may go
    Dependencies,
    /// All that the plan shows, packages that go included
    AsPlanned,
}

impl AllowedExtra {
    fn extra(self) -> Extra {
        match self {
            Self::None => Extra::None,
            Self::Dependencies => Extra::Dependencies,
            Self::AsPlanned => Extra::AsPlanned,
        }
    }

    /// The spelling of the wire.
    #[cfg(feature = "server")]
    pub fn code(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Dependencies => "DEPENDENCIES",
            Self::AsPlanned => "AS_PLANNED",
        }
    }
}

/// Plans, asks, installs and prints the receipt.
pub fn run(arguments: &InstallArguments, printer: &Printer) -> anyhow::Result<Exit> {
    if !settings::is_root() {
        return Err(Failure::new("an install needs root", "run it with sudo").into());
    }
    let Some(judged) = arguments.scan.judge(printer)? else { return Ok(Exit::Usage) };
    let asked = asked_for(&judged, &arguments.wish.only);
    if asked.is_empty() {
        printer.line("nothing is missing that is asked for");
        return Ok(Exit::Success);
    }
    let plan = install::plan(&judged.root, &judged.inventory, asked, arguments.wish.allow.extra(), SystemClock.now())
        .with_context(|| Failure::new("the package manager does not say what it would do", "refresh its lists with `fettle scan` on the node, or follow what it says"))?;
    if arguments.scan.format == Format::Table {
        print_transaction(&plan.transaction, &plan.changes, printer);
    }
    let question = format!("install {} packages like this? [y/N] ", plan.transaction.steps.len());
    if !arguments.wish.yes && !printer.confirm(&question, "look at it with `fettle plan`, then give --yes")? {
        printer.note("nothing was changed");
        return Ok(Exit::Success);
    }
    let now = || SystemClock.now();
    let receipt = install::run(&judged.root, plan, Duration::from_secs(arguments.wait), &now, |phase| printer.note(phase.words()))?;
    if let Some(path) = &arguments.receipt {
        let text = serde_json::to_string_pretty(&receipt).context("failed to write the receipt")?;
        fs::write(path, text + "\n").with_context(|| format!("failed to write the receipt to `{}`", path.display()))?;
    }
    match arguments.scan.format {
        Format::Json => printer.json(&receipt)?,
        Format::Table => print(&receipt, printer),
    }
    Ok(if receipt.outcome == Outcome::Installed { Exit::Success } else { Exit::Failed })
}

/// Prints what came of a run.
pub fn print(receipt: &Receipt, printer: &Printer) {
    printer.line("");
    match &receipt.outcome {
        Outcome::Installed => printer.line(printer.bold(&format!("installed: {} of {}", receipt.packages.len(), receipt.packages.len()))),
        Outcome::Held { hold } => {
            printer.line(printer.bold(&format!("not begun: {}", hold.words())));
            printer.note(hold.mend());
        }
        Outcome::Failed { cause, words } => {
            let n_there = receipt.packages.iter().filter(|package| package.state == PackageState::Installed).count();
            printer.line(printer.bold(&format!("failed, {}: {n_there} of {} are there", cause.words(), receipt.packages.len())));
            for line in words.lines().take(20) {
                printer.line(format!("  {line}"));
            }
        }
    }
    for package in receipt.packages.iter().filter(|package| package.state != PackageState::Installed && !matches!(receipt.outcome, Outcome::Held { .. })) {
        let state = if package.state == PackageState::Broken { "is only partly installed" } else { "was not installed" };
        printer.line(format!("  {} {} {state}", package.change.name, package.change.version));
    }
    for file in &receipt.config_files {
        printer.note(format!("{file} is the new version of a file that was changed here; yours is kept"));
    }
}

//! `fettle install`: bring the missing patches, exactly as planned, and say what came of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use agent::install::{self, Event, Surroundings};
use agent::root::Root;
use anyhow::Context;
use domain::decide::choose::choose_missing;
use domain::model::node::Allows;
use domain::model::order::InstallWork;
use domain::model::plan::{ConfigFiles, Extra, Foreseen, OnFailure, Plan, ServiceRule, Terms};
use domain::model::receipt::{Effect, Outcome, PackageState, Receipt};
use domain::model::run::Run;
use domain::model::time::Clock;

use crate::clock::SystemClock;
use crate::commands::plan::print_transaction;
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
    /// Restart services that still run replaced code
    #[arg(long)]
    restart_services: bool,
    /// Bring back what was there before this run, in place of installing
    #[arg(long, value_name = "RUN")]
    take_back: Option<String>,
    /// Seconds to wait for another program that changes packages
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    wait: u64,
    /// Write the receipt to a file, as JSON
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

/// What to install of what is missing, and how.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags that have nothing to do with each other")]
pub struct Wish {
    /// Only these packages, advisories or CVEs; * ? [ ] allowed; may be given more than once
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// What may happen beside what is asked for
    #[arg(long, value_enum, default_value_t = AllowedExtra::Dependencies)]
    pub allow: AllowedExtra,
    /// Go on with the rest, one by one, when a package fails
    #[arg(long)]
    pub go_on: bool,
    /// Replace configuration files that were changed here, where the package manager can
    #[arg(long)]
    pub replace_config_files: bool,
    /// Finish first what an installation of before left half done
    #[arg(long)]
    pub recover: bool,
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
}

impl Wish {
    fn terms(&self) -> Terms {
        Terms {
            extra: self.allow.extra(),
            on_failure: if self.go_on { OnFailure::GoOn } else { OnFailure::Stop },
            config_files: if self.replace_config_files { ConfigFiles::Replace } else { ConfigFiles::Keep },
            recover: self.recover,
            ..Terms::default()
        }
    }
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
    let services = if arguments.restart_services { ServiceRule::Restart } else { ServiceRule::Leave };
    let terms = Terms { services, ..arguments.wish.terms() };
    let changes = if arguments.take_back.is_some() { Vec::new() } else { choose_missing(&judged.report.patches, &arguments.wish.only) };
    if changes.is_empty() && arguments.take_back.is_none() {
        printer.line("nothing is missing that is asked for");
        return Ok(Exit::Success);
    }
    let mut work = InstallWork { changes, takes_back: arguments.take_back.clone(), terms, planned: None };
    let plan = install::plan_and_foresee(&judged.root, &judged.inventory, &work, KEPT, SystemClock.now())
        .with_context(|| Failure::new("the package manager does not say what it would do", "refresh its lists with `fettle scan` on the node, or follow what it says"))?;
    if arguments.scan.format == Format::Table {
        print_plan(&plan, printer);
    }
    let question = format!("change {} packages like this? [y/N] ", plan.transaction.steps.len());
    if !arguments.wish.yes && !printer.confirm(&question, "look at it with `fettle plan`, then give --yes")? {
        printer.note("nothing was changed");
        return Ok(Exit::Success);
    }
    // What was agreed to is what is done.
    work.planned = work.takes_back.is_none().then_some(plan.transaction);
    let receipt = carry_out(&judged.root, work, Duration::from_secs(arguments.wait), printer)?;
    if let Some(path) = &arguments.receipt {
        let text = serde_json::to_string_pretty(&receipt).context("failed to write the receipt")?;
        fs::write(path, text + "\n").with_context(|| format!("failed to write the receipt to `{}`", path.display()))?;
    }
    match arguments.scan.format {
        Format::Json => printer.json(&receipt)?,
        Format::Table => print(&receipt, printer),
    }
    Ok(if receipt.is_good() { Exit::Success } else { Exit::Failed })
}

/// Where files that lead back are kept on a system without an agent.
const KEPT: &str = "/var/lib/fettle/way-back";

/// Nothing of a run is kept between its steps: whoever started it sees how it ends.
fn carry_out(root: &Root, work: InstallWork, wait: Duration, printer: &Printer) -> anyhow::Result<Receipt> {
    let now = || SystemClock.now();
    let id = format!("run-{}", now().as_millis());
    let surroundings = Surroundings {
        root,
        allows: Allows { install: true, reboot: false, hooks: false },
        hooks: &BTreeMap::new(),
        wait,
        kept: KEPT,
        cache: None,
        boot: "",
        now: &now,
        save: &|_| Ok(()),
        watch: &|event| {
            if let Event::Begins(step) = event {
                printer.note(step.words());
            }
        },
        is_cancelled: &|| false,
    };
    let receipt = install::carry_out(&mut Run::new(id.clone(), work, now()), &surroundings)?;
    if receipt.way_back.is_whole() && !receipt.done.steps.is_empty() {
        printer.note(format!("to take it back: fettle install --take-back {id}"));
    }
    Ok(receipt)
}

/// Prints what would happen.
pub fn print_plan(plan: &Plan, printer: &Printer) {
    print_transaction(&plan.transaction, &plan.changes, printer);
    for change in plan.transaction.left_out(&plan.changes) {
        printer.note(format!("left out: {change} would still be missing"));
    }
    let Foreseen { download_kib, services, reboot } = &plan.foreseen;
    if let Some(kib) = download_kib {
        printer.note(format!("to download: {kib} KiB"));
    }
    if !services.is_empty() {
        printer.note(format!("services that run what is replaced: {}", services.join(", ")));
    }
    if !reboot.is_empty() {
        printer.note(format!("in effect only after a boot: {}", reboot.join(", ")));
    }
}

/// Prints what came of a run.
pub fn print(receipt: &Receipt, printer: &Printer) {
    printer.line("");
    match &receipt.outcome {
        Outcome::Installed => printer.line(printer.bold(&format!("installed: {} of {}", receipt.packages.len(), receipt.packages.len()))),
        Outcome::Held { hold } => printer.line(printer.bold(&format!("not begun: {}", hold.words()))),
        Outcome::Cancelled { before } => printer.line(printer.bold(&format!("stopped before this: {}", before.words()))),
        Outcome::Failed { cause, words } => {
            let n_there = receipt.packages.iter().filter(|package| package.state == PackageState::Installed).count();
            printer.line(printer.bold(&format!("failed, {}: {n_there} of {} are there", cause.words(), receipt.packages.len())));
            for line in words.lines().take(20) {
                printer.line(format!("  {line}"));
            }
        }
    }
    if let Some(mend) = receipt.outcome.mend() {
        printer.note(format!("what to do: {mend}"));
    }
    for package in receipt.packages.iter().filter(|package| package.state != PackageState::Installed && !matches!(receipt.outcome, Outcome::Held { .. })) {
        let state = if package.state == PackageState::Broken { "is only partly installed" } else { "was not installed" };
        printer.line(format!("  {} {} {state}", package.change.name, package.change.version));
    }
    match &receipt.effect {
        Effect::InEffect => printer.note("in effect: no process runs what was replaced, nothing waits for a boot"),
        Effect::NotInEffect { reasons } => reasons.iter().for_each(|reason| printer.note(format!("not in effect: {reason}"))),
        Effect::Unknown => {}
    }
    for restart in &receipt.services {
        printer.note(format!("{}: {}", restart.service, restart.failure.as_deref().unwrap_or("restarted")));
    }
    for hook in &receipt.hooks {
        printer.note(format!("hook {}: {}", hook.hook, hook.words()));
    }
    if let Some(words) = receipt.way_back.words() {
        printer.note(words);
    }
    for file in &receipt.config_files {
        printer.note(format!("{file} is the new version of a file that was changed here; yours is kept"));
    }
}

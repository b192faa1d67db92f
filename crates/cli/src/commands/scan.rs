//! `fettle scan`: inventory, judgement and report in one process, with no server.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use agent::inventory;
use agent::package_manager::own_repositories::{self, Placed};
use agent::root::Root;
use anyhow::Context;
use domain::decide::judge::{self, LIST_AGE_DAYS_MAX};
use domain::model::baseline::{self, Baseline, DOCUMENT_BYTES_MAX, Source};
use domain::model::compliance::PatchState;
use domain::model::inventory::{Inventory, Reboot};
use domain::model::patch::class_words;
use domain::model::problem::Problem;
use domain::model::scan_report::{BaselineSource, PatchRow, ScanReport};
use domain::model::time::Clock;

use crate::clock::SystemClock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};
use crate::settings;

/// Arguments of `fettle scan` and `fettle plan`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder that holds the system to scan
    #[arg(long, default_value = "/", value_name = "DIR")]
    root: PathBuf,
    /// Baseline to judge by, YAML or JSON; else the predefined one of the operating system
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Judge by the package lists on disk, without refreshing them first
    #[arg(long)]
    no_refresh: bool,
    /// Days after which package lists are too old to prove anything
    #[arg(long, value_name = "DAYS", default_value_t = LIST_AGE_DAYS_MAX)]
    max_list_age: u16,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// A system that was judged.
pub struct Judged {
    /// Where it is.
    pub root: Root,
    /// What it has.
    pub inventory: Inventory,
    /// What the baseline says of that.
    pub report: ScanReport,
    /// The baseline's own repositories, for as long as this is worked with.
    _own_repositories: Option<Placed>,
}

impl Arguments {
    /// Collects and judges; `None` when the baseline is unusable, which is said.
    pub fn judge(&self, printer: &Printer) -> anyhow::Result<Option<Judged>> {
        let custom = match self.baseline.as_deref().map(read_baseline).transpose() {
            Ok(custom) => custom,
            Err(error) => {
                printer.error(&error);
                return Ok(None);
            }
        };
        let root = Root::new(&self.root);
        let refresh_problem = (!self.no_refresh).then(|| refresh(&root, printer)).flatten();
        let sources = custom.as_ref().map_or(&[][..], |(baseline, _)| &baseline.sources);
        let own_repositories = place_sources(&root, sources, printer)?;
        let mut inventory = inventory::collect(&root, Some(&settings::cache_folder()), SystemClock.now())?;
        inventory.problems.extend(refresh_problem);
        let report = judge(&inventory, custom, self.max_list_age);
        Ok(Some(Judged { root, inventory, report, _own_repositories: own_repositories }))
    }
}

/// Scans and prints. The exit code is the verdict.
pub fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    let Some(judged) = arguments.judge(printer)? else { return Ok(Exit::Usage) };
    match arguments.format {
        Format::Json => printer.json(&judged.report)?,
        Format::Table => print(&judged.report, printer),
    }
    let verdict = judged.report.verdict;
    // The process ends here, and the system takes memory back faster than thousands of drops do.
    let Judged { root, inventory, report, _own_repositories: own_repositories } = judged;
    std::mem::forget((root, inventory, report));
    drop(own_repositories);
    Ok(verdict.into())
}

/// Puts the repositories of a baseline in place, which takes root.
fn place_sources(root: &Root, sources: &[Source], printer: &Printer) -> anyhow::Result<Option<Placed>> {
    if sources.is_empty() {
        return Ok(None);
    }
    if !settings::is_root() {
        return Err(Failure::new("the baseline has repositories of its own, which only root can use", "run it with sudo").into());
    }
    printer.note("reading the lists of the baseline's own repositories");
    let placed = own_repositories::place(root, sources);
    placed.with_context(|| Failure::new("the baseline's own repositories cannot be used", "look at `sources` in the baseline; nothing of them is left on the system"))
}

/// Brings the package lists up to date, saying so, because it takes seconds.
pub fn refresh(root: &Root, printer: &Printer) -> Option<Problem> {
    if !root.is_running_system() {
        return None;
    }
    if !settings::is_root() {
        printer.note("package lists are judged as they are: only root can refresh them");
        return None;
    }
    let manager = inventory::package_manager(root)?;
    printer.note("refreshing package lists");
    manager.refresh(root)
}

fn judge(inventory: &Inventory, custom: Option<(Baseline, BaselineSource)>, list_age_days: u16) -> ScanReport {
    let (baseline, id, source) = if let Some((baseline, source)) = custom {
        (Some(baseline), None, source)
    } else {
        let named = baseline::predefined().into_iter().find(|named| Some(named.baseline.operating_system) == inventory.platform.operating_system);
        let id = named.as_ref().map(|named| named.id.to_string());
        (named.map(|named| named.baseline), id, BaselineSource::Predefined)
    };
    let judgement = judge::judge(inventory, baseline.as_ref(), list_age_days, inventory.collected_at);
    ScanReport::new(inventory, baseline.as_ref().map(|baseline| (baseline, id, source)), judgement)
}

fn read_baseline(path: &Path) -> anyhow::Result<(Baseline, BaselineSource)> {
    let place = path.display().to_string();
    let unreadable = || Failure::new(format!("failed to read baseline `{place}`"), "give the path of a YAML or JSON file");
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)).with_context(unreadable)?;
    let text = String::from_utf8(bytes).with_context(unreadable)?;
    let baseline = Baseline::parse(&text).map_err(|error| {
        let hint = error.hint().unwrap_or("see docs/guide/baselines.md").to_owned();
        anyhow::Error::new(error).context(Failure::new(format!("baseline `{place}` cannot be used"), hint))
    })?;
    Ok((baseline, BaselineSource::File { path: place }))
}

/// Prints a report for people: verdict first, then what to do, then the rest as counts.
pub fn print(report: &ScanReport, printer: &Printer) {
    let baseline = report.baseline.as_ref().map_or_else(|| "none".to_owned(), |baseline| baseline.name.clone());
    printer.line(format!("{}  {}", printer.bold(&report.node.name), report.platform.name));
    printer.line(format!("  packages   {} installed, {}", report.node.n_packages, report.platform.architecture));
    printer.line(format!("  baseline   {baseline}"));
    printer.line(format!("  lists      {}", report.lists_refreshed_at.map_or_else(|| "never refreshed".to_owned(), |at| format!("refreshed {at}"))));
    printer.line(format!("  reboot     {}", reboot_words(&report.reboot)));
    let counts = PatchState::ALL.into_iter().filter(|&state| report.counts.of(state) > 0).map(|state| format!("{} {}", report.counts.of(state), state.words()));
    printer.line(format!("  patches    {}", counts.collect::<Vec<_>>().join(", ")));
    printer.line(format!("  verdict    {}", printer.bold(report.verdict.words())));
    for reason in &report.reasons {
        printer.line(format!("             because {reason}"));
    }
    print_patches(report, printer);
    for warning in &report.warnings {
        printer.note(format!("warning: {}", warning.message));
        if let Some(hint) = &warning.hint {
            printer.hint(hint);
        }
    }
}

fn print_patches(report: &ScanReport, printer: &Printer) {
    let shown: Vec<&PatchRow> = report.patches.iter().filter(|patch| patch.state.is_non_compliant() || patch.state == PatchState::AvailableSecurityUpdate).collect();
    if shown.is_empty() {
        return;
    }
    printer.line("");
    printer.table(
        ["patch", "installed", "available", "state", "class", "why"],
        shown.into_iter().map(|patch| {
            [
                format!("{}:{}", patch.name, patch.architecture),
                patch.installed_version.clone(),
                patch.available_words(),
                patch.state.words().to_owned(),
                class_words(patch.classification, patch.severity),
                patch.reason.text.clone(),
            ]
        }),
    );
}

fn reboot_words(reboot: &Reboot) -> String {
    match reboot {
        Reboot::NotPending => "not pending".to_owned(),
        Reboot::Pending { causes } => format!("pending: {}", causes.join("; ")),
        Reboot::Unknown => "cannot be told for a folder".to_owned(),
    }
}

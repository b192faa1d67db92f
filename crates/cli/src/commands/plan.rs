//! `fettle plan`: what installing the missing patches would do, by the system's own package manager.

use agent::inventory;
use anyhow::Context;
use domain::decide::choose::choose_missing;
use domain::model::transaction::{Action, Change, Step, Transaction};
use serde::Serialize;

use crate::commands::scan::{Arguments, Judged};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};
use crate::settings;

/// What is printed as JSON.
#[derive(Serialize)]
struct Plan {
    /// The missing patches.
    asked: Vec<Change>,
    /// What the package manager would do to bring them.
    transaction: Transaction,
    /// Those that would still be missing.
    left_out: Vec<Change>,
}

/// Simulates and prints. The exit code says whether the node would have everything afterwards.
pub fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    if !settings::is_root() {
        let failure = Failure::new("a plan needs root: the package manager reads what only root may", "run it with sudo");
        return Err(failure.into());
    }
    let Some(judged) = arguments.judge(printer)? else { return Ok(Exit::Usage) };
    let plan = simulate(&judged)?;
    match arguments.format {
        Format::Json => printer.json(&plan)?,
        Format::Table => print(&judged, &plan, printer),
    }
    Ok(if plan.left_out.is_empty() { Exit::Success } else { Exit::NonCompliant })
}

fn simulate(judged: &Judged) -> anyhow::Result<Plan> {
    let asked = choose_missing(&judged.report.patches, &[]);
    let manager = inventory::package_manager(&judged.root).context("the system has no package manager")?;
    let inventory = &judged.inventory;
    let transaction = manager
        .simulate(&judged.root, &inventory.platform, &asked, &inventory.packages)
        .with_context(|| Failure::new("the package manager does not say what it would do", "refresh its lists with `fettle scan` on the node, or follow what it says"))?;
    let left_out = transaction.left_out(&asked).cloned().collect();
    Ok(Plan { asked, transaction, left_out })
}

fn print(judged: &Judged, plan: &Plan, printer: &Printer) {
    printer.line(format!("{}  {}", printer.bold(&judged.report.node.name), judged.report.platform.name));
    printer.line(format!("  missing    {}", plan.asked.len()));
    print_transaction(&plan.transaction, &plan.asked, printer);
    for change in &plan.left_out {
        printer.note(format!("left out: {change} would still be missing"));
    }
    for remark in &plan.transaction.remarks {
        printer.note(format!("the package manager says: {remark}"));
    }
}

/// Prints what would happen, a row a step.
pub fn print_transaction(transaction: &Transaction, asked: &[Change], printer: &Printer) {
    printer.line(format!("  would      {}", summary(transaction)));
    if !transaction.steps.is_empty() {
        printer.line("");
        let rows = transaction.steps.iter().map(|step| row(step, asked));
        printer.table(["package", "action", "from", "to", "repository", "asked for"], rows);
    }
}

fn summary(transaction: &Transaction) -> String {
    let counts = [Action::Install, Action::Upgrade, Action::Downgrade, Action::Reinstall, Action::Remove];
    let counts = counts.map(|action| (action, transaction.steps.iter().filter(|step| step.action == action).count()));
    let words: Vec<_> = counts.iter().filter(|(_, n)| *n > 0).map(|(action, n)| format!("{} {n}", action.word())).collect();
    if words.is_empty() { "change nothing".to_owned() } else { words.join(", ") }
}

fn row(step: &Step, asked: &[Change]) -> [String; 6] {
    let package = step.architecture.as_ref().map_or_else(|| step.name.clone(), |architecture| format!("{}:{architecture}", step.name));
    let is_asked = asked.iter().any(|change| step.is(change));
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    [package, step.action.word().to_owned(), text(&step.from), text(&step.to), text(&step.repository), if is_asked { "yes" } else { "no" }.to_owned()]
}

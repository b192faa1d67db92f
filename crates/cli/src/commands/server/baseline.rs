//! `fettle baseline`: baselines of a running server.

use std::path::PathBuf;

use anyhow::Context;
use api::v1::baseline::{AssignBaseline, Baseline, BaselineDetail, BaselinePreview, BaselineVersion, DeleteBaseline, ListApprovals, PreviewBaseline, SaveBaseline};
use clap::Subcommand;
use domain::model::baseline;

use super::remote::Remote;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};

/// Arguments of `fettle baseline`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: BaselineCommand,
}

#[derive(Subcommand)]
enum BaselineCommand {
    /// Every baseline, and whom it judges
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// One baseline in words; with --format json, the document
    Show {
        /// Id or name
        baseline: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Make a baseline from a file, or a new version of the one that has its name
    Save {
        /// The document, YAML or JSON
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        /// Why, for those who read the versions later
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Say what saving a file would change over the fleet, and save nothing
    Preview {
        /// The document, YAML or JSON
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// Versions of a baseline, newest first
    Versions {
        /// Id or name
        baseline: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// What changed between two versions; without them, by the newest
    Diff {
        /// Id or name
        baseline: String,
        /// The version before
        from: Option<u32>,
        /// The version after
        to: Option<u32>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Save an old version again
    Restore {
        /// Id or name
        baseline: String,
        /// Which version
        version: u32,
        #[command(flatten)]
        remote: Remote,
    },
    /// What a baseline says of every patch that a node is offered
    Approvals {
        /// Id or name
        baseline: String,
        /// At the end of this day, such as 2026-12-24, instead of now
        #[arg(long, value_name = "DAY")]
        on: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let a baseline judge all nodes of its operating system, or those of a patch group
    Assign {
        /// Id or name
        baseline: String,
        /// Only nodes with this value of the tag `PatchGroup`
        #[arg(long, value_name = "GROUP")]
        patch_group: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Undo that choice: a group goes back to the default, an operating system to the predefined one
    Unassign {
        /// Operating system, such as DEBIAN
        operating_system: String,
        /// A patch group
        #[arg(long, value_name = "GROUP")]
        patch_group: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Delete a baseline that judges nobody
    Delete {
        /// Id or name
        baseline: String,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Runs the command.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        BaselineCommand::List { remote } => {
            let answer = remote.ask(async |client| client.list_baselines().await)?;
            show(&remote, printer, &answer, |answer| {
                let judges = |baseline: &Baseline| if baseline.judges.is_empty() { "nobody".to_owned() } else { baseline.judges.join("; ") };
                printer.table(["baseline", "version", "judges", "id"], answer.items.iter().map(|it| [it.name.clone(), it.version.to_string(), judges(it), it.id.clone()]));
            })
        }
        BaselineCommand::Show { baseline, remote } => {
            let detail = remote.ask(async |client| client.baseline(&baseline).await)?;
            show(&remote, printer, &detail, |detail| {
                print(detail, printer);
            })
        }
        BaselineCommand::Save { file, reason, remote } => {
            let document = read(&file)?;
            let name = parse(&document, &file)?.name;
            let saved = remote.ask(async |client| {
                let known = client.list_baselines().await?.items.into_iter().find(|known| known.name == name);
                client.save_baseline(known.as_ref().map(|known| known.id.as_str()), &SaveBaseline { document, reason, edited_version: None }).await
            })?;
            show(&remote, printer, &saved, |saved| {
                print(saved, printer);
            })
        }
        BaselineCommand::Preview { file, remote } => {
            let document = read(&file)?;
            let name = parse(&document, &file)?.name;
            let preview = remote.ask(async |client| {
                let known = client.list_baselines().await?.items.into_iter().find(|known| known.name == name);
                client.preview_baseline(&PreviewBaseline { document, baseline: known.map(|known| known.id) }).await
            })?;
            show(&remote, printer, &preview, |preview| print_preview(preview, printer))
        }
        BaselineCommand::Versions { baseline, remote } => {
            let versions = remote.ask(async |client| client.baseline_versions(&baseline).await)?;
            show(&remote, printer, &versions, |versions| {
                let row = |version: &BaselineVersion| [version.version.to_string(), version.changed_at.clone(), version.changed_by.clone(), version.reason.clone()];
                printer.table(["version", "at", "by", "why"], versions.iter().map(row));
            })
        }
        BaselineCommand::Diff { baseline, from, to, remote } => {
            let versions = remote.ask(async |client| client.baseline_versions(&baseline).await)?;
            let newest = versions.first().map_or(1, |version| version.version);
            let to = to.unwrap_or(newest);
            print_difference(document(&versions, from.unwrap_or(to.saturating_sub(1)))?.as_ref(), document(&versions, to)?.as_ref(), printer);
            Ok(Exit::Success)
        }
        BaselineCommand::Restore { baseline, version, remote } => {
            let versions = remote.ask(async |client| client.baseline_versions(&baseline).await)?;
            let old = document(&versions, version)?.with_context(|| format!("version {version} has no document"))?;
            let save = SaveBaseline { document: old.to_yaml(), reason: format!("restored version {version}"), edited_version: None };
            let saved = remote.ask(async |client| client.save_baseline(Some(&baseline), &save).await)?;
            show(&remote, printer, &saved, |saved| {
                print(saved, printer);
            })
        }
        BaselineCommand::Approvals { baseline, on, remote } => {
            let approvals = remote.ask(async |client| client.list_approvals(&baseline, &ListApprovals { on }).await)?;
            show(&remote, printer, &approvals, |approvals| {
                let rows = approvals
                    .iter()
                    .map(|it| [it.product.clone(), format!("{}:{}", it.name, it.architecture), it.version.clone(), it.approval.replace('_', " "), it.reason.clone()]);
                printer.table(["product", "patch", "version", "approval", "why"], rows);
            })
        }
        BaselineCommand::Assign { baseline, patch_group, remote } => {
            remote.ask(async |client| {
                let found = client.baseline(&baseline).await?.baseline;
                client.assign_baseline(&AssignBaseline { operating_system: found.operating_system, patch_group, baseline: Some(found.id) }).await
            })?;
            done(&remote, &baseline, printer)
        }
        BaselineCommand::Unassign { operating_system, patch_group, remote } => {
            let changed = remote.ask(async |client| client.assign_baseline(&AssignBaseline { operating_system, patch_group, baseline: None }).await)?;
            show(&remote, printer, &changed, |_| printer.line("the choice is undone"))
        }
        BaselineCommand::Delete { baseline, reason, remote } => {
            let changed = remote.ask(async |client| client.delete_baseline(&baseline, &DeleteBaseline { reason }).await)?;
            show(&remote, printer, &changed, |_| printer.line(format!("{baseline} is deleted")))
        }
    }
}

/// Prints an answer as JSON, or as `table` does.
fn show<T: serde::Serialize>(remote: &Remote, printer: &Printer, answer: &T, table: impl FnOnce(&T)) -> anyhow::Result<Exit> {
    match remote.format {
        Format::Json => printer.json(answer)?,
        Format::Table => table(answer),
    }
    Ok(Exit::Success)
}

fn done(remote: &Remote, baseline: &str, printer: &Printer) -> anyhow::Result<Exit> {
    let detail = remote.ask(async |client| client.baseline(baseline).await)?;
    show(remote, printer, &detail, |detail| printer.line(format!("{} judges {}", detail.baseline.name, detail.baseline.judges.join("; "))))
}

fn print(detail: &BaselineDetail, printer: &Printer) {
    printer.line(format!("{}  version {}, {}", printer.bold(&detail.baseline.name), detail.baseline.version, detail.baseline.id));
    for sentence in &detail.explanation {
        printer.line(format!("  {sentence}"));
    }
    let judges = if detail.baseline.judges.is_empty() { "nobody".to_owned() } else { detail.baseline.judges.join("; ") };
    printer.line(format!("  It judges {judges}."));
}

fn print_preview(preview: &BaselinePreview, printer: &Printer) {
    let judges = if preview.judges.is_empty() { "nobody".to_owned() } else { preview.judges.join("; ") };
    printer.line(format!("would judge    {judges}: {} nodes", preview.n_nodes));
    printer.line(format!("non-compliant  {} nodes more", preview.n_newly_non_compliant));
    printer.line(format!("nothing missing any more  {} nodes", preview.n_newly_compliant));
    for node in &preview.nodes {
        printer.line(format!("  {}: {} missing today, {} then", node.name, node.n_missing, node.n_missing_then));
    }
    if !preview.patches.is_empty() {
        printer.line("");
        let words = |code: &str| code.to_lowercase().replace('_', " ");
        let rows = preview.patches.iter().map(|patch| {
            let until = patch.changes_at.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
            [format!("{}:{}", patch.name, patch.architecture), patch.version.clone(), words(&patch.before), words(&patch.after) + &until, patch.n_nodes.to_string()]
        });
        printer.table(["patch", "version", "today", "then", "nodes"], rows);
    }
    for warning in &preview.warnings {
        printer.note(format!("warning: {warning}"));
    }
}

/// Prints the lines that differ.
pub fn print_difference(old: Option<&baseline::Baseline>, new: Option<&baseline::Baseline>, printer: &Printer) {
    for (sign, line) in baseline::difference(old, new) {
        printer.line(format!("{sign} {line}"));
    }
}

/// The document of a version; version 0 is before the first.
fn document(versions: &[BaselineVersion], number: u32) -> anyhow::Result<Option<baseline::Baseline>> {
    if number == 0 {
        return Ok(None);
    }
    let found =
        versions.iter().find(|version| version.version == number).ok_or_else(|| Failure::new(format!("there is no version {number}"), "`fettle baseline versions` lists them"))?;
    found.document.as_ref().map(|document| serde_json::from_value(document.clone()).context("the server's answer does not read")).transpose()
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| Failure::new(format!("failed to read `{}`", file.display()), "give the path of a YAML or JSON file"))
}

/// Reads a document; an error says in which file, and where.
pub fn parse(document: &str, file: &std::path::Path) -> anyhow::Result<baseline::Baseline> {
    baseline::Baseline::parse(document).map_err(|error| {
        let hint = error.hint().unwrap_or("see docs/guide/baselines.md").to_owned();
        anyhow::Error::new(error).context(Failure::new(format!("`{}` cannot be used", file.display()), hint))
    })
}

//! `fettle patch`: patches that nodes of a running server need.

use api::v1::patch::{ListPatches, Patch};
use clap::Subcommand;
use domain::model::patch::Severity;

use super::remote::{PageArguments, Remote};
use crate::exit::Exit;
use crate::printer::{Format, Printer};

/// Arguments of `fettle patch`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: PatchCommand,
}

#[derive(Subcommand)]
enum PatchCommand {
    /// Patches, those missing on most nodes first
    List {
        /// Part of the package's or the source's name
        #[arg(long)]
        search: Option<String>,
        /// Security or Other
        #[arg(long)]
        classification: Option<String>,
        #[command(flatten)]
        page: PageArguments,
        #[command(flatten)]
        remote: Remote,
    },
    /// One patch and the nodes that need it
    Show {
        /// Id, as the list shows it
        patch: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Runs the command.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        PatchCommand::List { search, classification, page, remote } => {
            let query = ListPatches { q: search, classification, cursor: page.cursor, limit: Some(page.limit) };
            let answer = remote.ask(async |client| client.list_patches(&query).await)?;
            if remote.format == Format::Json {
                printer.json(&answer)?;
                return Ok(Exit::Success);
            }
            printer.table(
                ["patch", "version", "class", "missing on", "first seen", "id"],
                answer.items.into_iter().map(|patch| {
                    let name = format!("{}:{}", patch.name, patch.architecture);
                    let class = class_words(&patch);
                    [name, patch.version, class, patch.n_missing.to_string(), patch.first_seen_at, patch.id]
                }),
            );
            printer.next_page(answer.next_cursor.as_deref());
        }
        PatchCommand::Show { patch, remote } => {
            let (detail, nodes) = remote.ask(async |client| Ok((client.patch(&patch).await?, client.list_patch_nodes(&patch).await?)))?;
            if remote.format == Format::Json {
                printer.json(&detail)?;
                return Ok(Exit::Success);
            }
            printer.line(format!("{} {}", printer.bold(&detail.name), detail.version));
            printer.line(format!("  class       {}", class_words(&detail)));
            if !detail.advisories.is_empty() {
                printer.line(format!("  advisories  {}", detail.advisories.join(", ")));
            }
            if !detail.cves.is_empty() {
                printer.line(format!("  closes      {}", detail.cves.join(", ")));
            }
            if let Some(at) = &detail.released_at {
                printer.line(format!("  released    {at}"));
            }
            printer.line(format!("  source      {}", detail.source));
            printer.line(format!("  repository  {}", detail.repository.as_deref().unwrap_or("not stated")));
            printer.line(format!("  first seen  {}", detail.first_seen_at));
            printer.line(format!("  missing on  {} nodes", detail.n_missing));
            if !nodes.items.is_empty() {
                printer.line("");
                printer.table(["node", "state", "id"], nodes.items.into_iter().map(|node| [node.name, node.state, node.id]));
            }
        }
    }
    Ok(Exit::Success)
}

/// Classification and severity, the latter where the vendor states one.
fn class_words(patch: &Patch) -> String {
    if patch.severity == Severity::Unspecified.word() { patch.classification.clone() } else { format!("{}, {}", patch.classification, patch.severity) }
}

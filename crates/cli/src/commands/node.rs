//! `fettle node`: nodes of a running server.

use api::v1::node::{ListNodePatches, ListNodes, NodeDetail, NodePatch};
use clap::Subcommand;

use crate::commands::remote::{PageArguments, Remote};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};

/// Arguments of `fettle node`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: NodeCommand,
}

#[derive(Subcommand)]
enum NodeCommand {
    /// Nodes with their verdicts
    List {
        /// Part of the name or the id
        #[arg(long)]
        search: Option<String>,
        /// COMPLIANT, `NON_COMPLIANT` or UNKNOWN
        #[arg(long)]
        verdict: Option<String>,
        /// missing, name or `last_scan`
        #[arg(long, default_value = "missing")]
        sort: String,
        #[command(flatten)]
        page: PageArguments,
        #[command(flatten)]
        remote: Remote,
    },
    /// One node: why its verdict is so, and what it needs
    Show {
        /// Id or name
        node: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Runs the command.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        NodeCommand::List { search, verdict, sort, page, remote } => {
            let query = ListNodes { q: search, verdict, sort: Some(sort), cursor: page.cursor, limit: Some(page.limit) };
            let answer = remote.ask(async |client| client.list_nodes(&query).await)?;
            if remote.format == Format::Json {
                printer.json(&answer)?;
                return Ok(Exit::Success);
            }
            printer.table(
                ["node", "verdict", "missing", "security", "platform", "last scan", "id"],
                answer.items.into_iter().map(|node| {
                    let last_scan = node.last_scan_at.unwrap_or_else(|| "never".to_owned());
                    [node.name, node.verdict, node.counts.missing.to_string(), node.counts.security_non_compliant.to_string(), node.product, last_scan, node.id]
                }),
            );
            printer.next_page(answer.next_cursor.as_deref());
        }
        NodeCommand::Show { node, remote } => {
            let (detail, needed) = remote.ask(async |client| {
                let id = if node.starts_with("mi-") { node.clone() } else { find_by_name(&client, &node).await?.unwrap_or_default() };
                if id.is_empty() {
                    return Ok((None, Vec::new()));
                }
                let needed = client.list_node_patches(&id, &ListNodePatches { limit: Some(500), ..ListNodePatches::default() }).await?.items;
                Ok((Some(client.node(&id).await?), needed))
            })?;
            let detail = detail.ok_or_else(|| Failure::new(format!("there is no node `{node}`"), "`fettle node list` shows names and ids"))?;
            match remote.format {
                Format::Json => printer.json(&detail)?,
                Format::Table => print(&detail, needed, printer),
            }
        }
    }
    Ok(Exit::Success)
}

async fn find_by_name(client: &api::client::Client, name: &str) -> Result<Option<String>, api::client::ClientError> {
    let query = ListNodes { q: Some(name.to_owned()), limit: Some(500), ..ListNodes::default() };
    Ok(client.list_nodes(&query).await?.items.into_iter().find(|node| node.name == name).map(|node| node.id))
}

fn print(detail: &NodeDetail, needed: Vec<NodePatch>, printer: &Printer) {
    let node = &detail.node;
    printer.line(format!("{}  {}  {}", printer.bold(&node.name), node.platform, node.id));
    printer.line(format!("  verdict    {}", printer.bold(&node.verdict)));
    for reason in &detail.reasons {
        printer.line(format!("             because {}", reason.text));
    }
    printer.line(format!("  packages   {}, of them {} missing a patch", node.n_packages, node.counts.missing));
    printer.line(format!("  last scan  {}{}", node.last_scan_at.as_deref().unwrap_or("never"), if node.stale { ", stale" } else { "" }));
    printer.line(format!("  allows     {} only", node.allows));
    let rows: Vec<_> = needed.into_iter().filter(|patch| !matches!(patch.state.as_str(), "INSTALLED" | "INSTALLED_OTHER")).collect();
    if !rows.is_empty() {
        printer.line("");
        printer.table(
            ["patch", "installed", "available", "state", "why"],
            rows.into_iter().map(|patch| {
                [format!("{}:{}", patch.name, patch.architecture), patch.installed_version, patch.available_version.unwrap_or_default(), patch.state, patch.reason.text]
            }),
        );
    }
    for warning in &detail.warnings {
        printer.note(format!("warning: {}", warning.message));
    }
}

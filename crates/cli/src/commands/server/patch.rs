//! `fettle patch`: patches that nodes of a running server need.

use std::collections::BTreeMap;
use std::time::Duration;

use api::v1::operation::{CreateOperation, InstallWish, OperationKind};
use api::v1::patch::{ListPatches, Patch};
use clap::Subcommand;
use domain::model::patch::Severity;

use super::node::{find_id, find_ids};
use super::remote::{PageArguments, Remote};
use crate::clock;
use crate::commands::install::{self, Wish};
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
    /// Install what nodes lack now, in exact versions, and wait for what comes of it
    Now {
        /// Ids or names
        #[arg(required = true)]
        nodes: Vec<String>,
        #[command(flatten)]
        wish: Wish,
        #[command(flatten)]
        remote: Remote,
    },
    /// What came of an install on a node
    Receipt {
        /// The operation's id
        operation: String,
        /// Id or name of the node
        node: String,
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
        PatchCommand::Now { nodes, wish, remote } => return patch_now(&nodes, wish, &remote, printer),
        PatchCommand::Receipt { operation, node, remote } => {
            let receipt = remote.ask(async |client| client.receipt(&operation, &find_id(&client, &node).await?).await)?;
            match remote.format {
                Format::Json => printer.json(&receipt)?,
                Format::Table => install::print(&receipt, printer),
            }
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

/// Between two looks at an operation.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows what would be asked for, asks, and waits for the receipts.
fn patch_now(nodes: &[String], wish: Wish, remote: &Remote, printer: &Printer) -> anyhow::Result<Exit> {
    let Wish { only, allow, yes } = wish;
    let details = remote.ask(async |client| {
        let mut details = Vec::new();
        for id in find_ids(&client, nodes).await? {
            details.push(client.node(&id).await?.node);
        }
        Ok(details)
    })?;
    if !yes {
        for node in &details {
            printer.line(format!("{}: {} missing", node.name, node.counts.missing));
        }
        let what = if only.is_empty() { "all of it".to_owned() } else { only.join(", ") };
        if !printer.confirm(&format!("install {what} on {} nodes? [y/N] ", details.len()), "give --yes")? {
            printer.note("nothing was asked for");
            return Ok(Exit::Success);
        }
    }
    let wish = InstallWish { only, allow: Some(allow.code().to_owned()) };
    let body = CreateOperation { kind: OperationKind::Install, nodes: details.iter().map(|node| node.id.clone()).collect(), install: Some(wish) };
    let key = clock::idempotency_key()?;
    let name = |id: &str| details.iter().find(|node| node.id == id).map_or_else(|| id.to_owned(), |node| node.name.clone());
    let (operation, receipts) = remote.ask(async |client| {
        let mut operation = client.create_operation(&body, &key).await?;
        printer.note(format!("{}; Ctrl-C leaves it going on", operation.id));
        let mut told = BTreeMap::new();
        loop {
            for invocation in &operation.invocations {
                if told.insert(invocation.node_id.clone(), invocation.state.clone()).as_ref() != Some(&invocation.state) {
                    printer.note(format!("{}: {}", name(&invocation.node_id), invocation.state.to_lowercase()));
                }
            }
            if operation.invocations.iter().all(|invocation| invocation.finished_at.is_some()) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            operation = client.operation(&operation.id).await?;
        }
        let mut receipts = Vec::new();
        for invocation in &operation.invocations {
            receipts.push(client.receipt(&operation.id, &invocation.node_id).await.ok());
        }
        Ok((operation, receipts))
    })?;
    if remote.format == Format::Json {
        printer.json(&receipts)?;
    } else {
        for (invocation, receipt) in operation.invocations.iter().zip(&receipts) {
            let name = printer.bold(&name(&invocation.node_id));
            match receipt {
                Some(receipt) => {
                    printer.line(name);
                    install::print(receipt, printer);
                }
                None => printer.line(format!("{name}: {}", invocation.message.as_deref().unwrap_or("nothing is known of it"))),
            }
        }
    }
    Ok(if operation.invocations.iter().all(|invocation| invocation.state == "SUCCEEDED") { Exit::Success } else { Exit::Failed })
}

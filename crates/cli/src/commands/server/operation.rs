//! `fettle operation` and `fettle rollback`: work on nodes that was asked for, and taking it back.

use std::collections::BTreeMap;
use std::time::Duration;

use api::v1::node::ListPage;
use api::v1::operation::{CreateOperation, Invocation, Operation, OperationKind};
use clap::Subcommand;

use super::node::find_ids;
use super::remote::{PageArguments, Remote};
use crate::clock;
use crate::commands::install;
use crate::exit::Exit;
use crate::printer::{Format, Printer};

/// Arguments of `fettle operation`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: OperationCommand,
}

#[derive(Subcommand)]
enum OperationCommand {
    /// Operations, newest first
    List {
        #[command(flatten)]
        page: PageArguments,
        #[command(flatten)]
        remote: Remote,
    },
    /// What became of an operation, node by node
    Show {
        /// Its id
        operation: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Follow an operation to its end, and print the receipts
    Watch {
        /// Its id
        operation: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Ask its nodes to stop, each at the end of the step that it is in
    Cancel {
        /// Its id
        operation: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Arguments of `fettle rollback`.
#[derive(clap::Args)]
pub struct RollbackArguments {
    /// The operation to take back
    operation: String,
    /// Ids or names; all nodes of the operation when none is given
    nodes: Vec<String>,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    rate: RateArguments,
    #[command(flatten)]
    remote: Remote,
}

/// How many nodes at once, and how many may fail.
#[derive(clap::Args)]
pub struct RateArguments {
    /// How many nodes are at work at once, as a number or a share such as 10%
    #[arg(long, value_name = "N")]
    concurrency: Option<String>,
    /// How many nodes may fail; one more, and no further one begins
    #[arg(long, value_name = "N")]
    errors: Option<String>,
}

impl RateArguments {
    /// The request with these limits.
    pub fn limit(self, body: CreateOperation) -> CreateOperation {
        CreateOperation { concurrency: self.concurrency, errors: self.errors, ..body }
    }
}

/// Runs `fettle operation`.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        OperationCommand::List { page, remote } => {
            let query = ListPage { cursor: page.cursor, limit: Some(page.limit) };
            let found = remote.ask(async |client| client.list_operations(&query).await)?;
            if remote.format == Format::Json {
                printer.json(&found)?;
                return Ok(Exit::Success);
            }
            let nodes = |counts: &BTreeMap<String, u32>| counts.iter().map(|(state, n)| format!("{n} {}", state.to_lowercase())).collect::<Vec<_>>().join(", ");
            let rows = found
                .items
                .iter()
                .map(|operation| [operation.kind.clone(), nodes(&operation.nodes), operation.requested_by.clone(), operation.requested_at.clone(), operation.id.clone()]);
            printer.table(["what", "nodes", "requested by", "when", "id"], rows);
            printer.next_page(found.next_cursor.as_deref());
        }
        OperationCommand::Show { operation, remote } => {
            let operation = remote.ask(async |client| client.operation(&operation).await)?;
            print(&operation, &remote, printer)?;
        }
        OperationCommand::Watch { operation, remote } => {
            let operation = watch(&operation, &remote, printer)?;
            return print_receipts(&operation, &remote, printer);
        }
        OperationCommand::Cancel { operation, remote } => {
            let operation = remote.ask(async |client| client.cancel_operation(&operation).await)?;
            print(&operation, &remote, printer)?;
        }
    }
    Ok(Exit::Success)
}

/// Runs `fettle rollback`.
pub fn roll_back(arguments: RollbackArguments, printer: &Printer) -> anyhow::Result<Exit> {
    let RollbackArguments { operation, nodes, yes, rate, remote } = arguments;
    let question = format!("bring back what was there before {operation}, and hold its versions back from coming again? [y/N] ");
    if !yes && !printer.confirm(&question, "give --yes")? {
        printer.note("nothing was asked for");
        return Ok(Exit::Success);
    }
    let nodes = remote.ask(async |client| find_ids(&client, &nodes).await)?;
    let body = rate.limit(CreateOperation { rollback_of: Some(operation), ..CreateOperation::new(OperationKind::Rollback, nodes) });
    let operation = request(&body, &remote, printer)?;
    printer.note("the versions that went are rejected on these nodes; `fettle exception list` shows it, `fettle exception revoke` lifts it");
    print_receipts(&operation, &remote, printer)
}

/// Requests work and follows it to its end.
pub fn request(body: &CreateOperation, remote: &Remote, printer: &Printer) -> anyhow::Result<Operation> {
    let key = clock::idempotency_key()?;
    let operation = remote.ask(async |client| client.create_operation(body, &key).await)?;
    printer.note(format!("{}; Ctrl-C leaves it going on, `fettle operation cancel` stops it", operation.id));
    watch(&operation.id, remote, printer)
}

/// Between two looks at an operation.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows an operation to its end; each line says what is new on a node.
fn watch(id: &str, remote: &Remote, printer: &Printer) -> anyhow::Result<Operation> {
    remote.ask(async |client| {
        let (mut told, mut names) = (BTreeMap::new(), BTreeMap::new());
        loop {
            let operation = client.operation(id).await?;
            for invocation in &operation.invocations {
                if !names.contains_key(&invocation.node_id) {
                    let name = client.node(&invocation.node_id).await.map_or_else(|_| invocation.node_id.clone(), |detail| detail.node.name);
                    names.insert(invocation.node_id.clone(), name);
                }
                let words = words(invocation);
                if told.get(&invocation.node_id) != Some(&words) {
                    printer.note(format!("{}: {words}", names[&invocation.node_id]));
                    told.insert(invocation.node_id.clone(), words);
                }
            }
            if operation.invocations.iter().all(|invocation| invocation.finished_at.is_some()) {
                return Ok(operation);
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

/// What a node is doing, or how it ended.
fn words(invocation: &Invocation) -> String {
    invocation.doing.clone().unwrap_or_else(|| invocation.state.to_lowercase())
}

fn print(operation: &Operation, remote: &Remote, printer: &Printer) -> anyhow::Result<()> {
    if remote.format == Format::Json {
        return printer.json(operation);
    }
    printer.line(format!("{} {}, requested by {} at {}", printer.bold(&operation.kind), operation.id, operation.requested_by, operation.requested_at));
    if operation.halted_at.is_some() {
        printer.line("halted: too many nodes failed");
    }
    let rows = operation.invocations.iter().map(|invocation| [invocation.node_id.clone(), words(invocation), invocation.message.clone().unwrap_or_default()]);
    printer.table(["node", "state", "what there is to say"], rows);
    Ok(())
}

/// Prints what came of an operation on each node. The exit code says whether all went well.
pub fn print_receipts(operation: &Operation, remote: &Remote, printer: &Printer) -> anyhow::Result<Exit> {
    let receipts = remote.ask(async |client| {
        let mut receipts = Vec::new();
        for invocation in &operation.invocations {
            let name = client.node(&invocation.node_id).await.map_or_else(|_| invocation.node_id.clone(), |detail| detail.node.name);
            receipts.push((name, client.receipt(&operation.id, &invocation.node_id).await.ok()));
        }
        Ok(receipts)
    })?;
    if remote.format == Format::Json {
        printer.json(&receipts.iter().map(|(_, receipt)| receipt).collect::<Vec<_>>())?;
    } else {
        for ((name, receipt), invocation) in receipts.iter().zip(&operation.invocations) {
            let name = printer.bold(name);
            match receipt {
                Some(receipt) => {
                    printer.line(name);
                    install::print(receipt, printer);
                }
                None => printer.line(format!("{name}: {}", invocation.message.clone().unwrap_or_else(|| words(invocation)))),
            }
        }
    }
    Ok(if operation.invocations.iter().all(|invocation| invocation.state == "SUCCEEDED") { Exit::Success } else { Exit::Failed })
}

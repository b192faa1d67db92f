//! `fettle operation` and `fettle rollback`: work on nodes that was asked for, and taking it back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use api::v1::node::ListPage;
use api::v1::operation::{CreateOperation, Invocation, Operation, OperationKind};
use clap::Subcommand;
use domain::model::baseline::parse_document;
use domain::model::query::Query;
use domain::model::rollout::Rollout;
use domain::model::selector::Selector;

use super::node::find_ids;
use super::patch::How;
use super::remote::{PageArguments, Remote};
use crate::clock;
use crate::commands::install::{self, Wish};
use crate::exit::Exit;
use crate::failure::Failure;
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
    /// Begin an install on many nodes, in rings: what each lacks now, in exact versions
    Start {
        #[command(flatten)]
        start: Box<StartArguments>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let nothing more begin, until it is resumed
    Pause {
        /// Its id
        operation: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let it go on after a pause or a halt: failures that halted it count no more, a gate that was shut is asked again
    Resume {
        /// Its id
        operation: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let the ring after this one begin, whatever came of it
    Skip {
        /// Its id
        operation: String,
        /// The name of the ring
        ring: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Agree to it, as a second person
    Approve {
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

/// What is begun on many nodes.
#[derive(clap::Args)]
struct StartArguments {
    /// Every node
    #[arg(long)]
    everyone: bool,
    /// Nodes with this tag, KEY=VALUE; `*` is any value; may be given more than once
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    /// Nodes of this unit and those below it
    #[arg(long)]
    unit: Vec<String>,
    /// Nodes of this account
    #[arg(long)]
    account: Vec<String>,
    /// Nodes of this region
    #[arg(long)]
    region: Vec<String>,
    /// Nodes that a query finds, such as 'product = Debian12 and package nginx'
    #[arg(long)]
    query: Option<String>,
    /// Nodes begin only inside this window; may be given more than once
    #[arg(long, value_name = "NAME")]
    window: Vec<String>,
    /// Minutes after which nothing more begins
    #[arg(long, value_name = "MINUTES")]
    within: Option<u32>,
    /// Begin, and do not follow it
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    wish: Wish,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    approval: ApprovalArguments,
    #[command(flatten)]
    rate: RateArguments,
}

/// What a second person has to do with it.
#[derive(clap::Args)]
struct ApprovalArguments {
    /// Soaks are short, and freezes are overridden when a second person agrees
    #[arg(long)]
    emergency: bool,
    /// Nothing begins before a second person agrees
    #[arg(long)]
    needs_approval: bool,
}

impl StartArguments {
    fn request(self) -> anyhow::Result<CreateOperation> {
        let tag =
            |tag: String| tag.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| Failure::new(format!("`{tag}` is no tag"), "write KEY=VALUE"));
        let tags = self.tag.into_iter().map(tag).collect::<Result<BTreeMap<_, _>, _>>()?;
        let hint = "`fettle node list --query` shows what a query finds";
        let query = self.query.map(|text| Query::parse(&text).map_err(|error| Failure::new(error.to_string(), hint))).transpose()?;
        let targets = Selector { everyone: self.everyone, units: self.unit, accounts: self.account, regions: self.region, tags, query, ..Selector::default() };
        self.rate.limit(CreateOperation {
            targets: Some(targets),
            install: Some(self.how.wish(&self.wish)?),
            emergency: self.approval.emergency,
            needs_approval: self.approval.needs_approval,
            windows: self.window,
            within_minutes: self.within,
            ..CreateOperation::new(OperationKind::Install, Vec::new())
        })
    }
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

/// How it goes over the nodes.
#[derive(clap::Args)]
pub struct RateArguments {
    /// Rings, soaks and gates: the YAML of a policy's `rollout`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["concurrency", "errors"])]
    rollout: Option<PathBuf>,
    /// How many nodes are at work at once, as a number or a share such as 10%
    #[arg(long, value_name = "N")]
    concurrency: Option<String>,
    /// How many nodes may fail; one more, and no further one begins
    #[arg(long, value_name = "N")]
    errors: Option<String>,
}

impl RateArguments {
    /// The request with these limits.
    pub fn limit(self, body: CreateOperation) -> anyhow::Result<CreateOperation> {
        let rollout = self.rollout.map(|file| -> anyhow::Result<Rollout> {
            let hint = "give the YAML that a policy has under `rollout`";
            let text = std::fs::read_to_string(&file).with_context(|| Failure::new(format!("failed to read `{}`", file.display()), hint))?;
            parse_document(&text).map_err(|error| Failure::new(format!("`{}` is no rollout: {error}", file.display()), error.hint().unwrap_or(hint).to_owned()).into())
        });
        Ok(CreateOperation { rollout: rollout.transpose()?, concurrency: self.concurrency, errors: self.errors, ..body })
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
            let rows = found.items.iter().map(|operation| {
                let what = operation.policy.clone().unwrap_or_else(|| operation.kind.clone());
                [what, state_words(&operation.state), nodes(&operation.nodes), operation.requested_by.clone(), operation.requested_at.clone(), operation.id.clone()]
            });
            printer.table(["what", "state", "nodes", "requested by", "when", "id"], rows);
            printer.next_page(found.next_cursor.as_deref());
        }
        OperationCommand::Show { operation, remote } => {
            let operation = remote.ask(async |client| client.operation(&operation).await)?;
            print(&operation, &remote, printer)?;
        }
        OperationCommand::Start { start, remote } => {
            let detach = start.detach;
            let body = start.request()?;
            if detach {
                let key = clock::idempotency_key()?;
                let operation = remote.ask(async |client| client.create_operation(&body, &key).await)?;
                print(&operation, &remote, printer)?;
                return Ok(Exit::Success);
            }
            let operation = request(&body, &remote, printer)?;
            print(&operation, &remote, printer)?;
            return Ok(exit_of(&operation));
        }
        OperationCommand::Pause { operation, remote } => act(&operation, "pause", &remote, printer)?,
        OperationCommand::Resume { operation, remote } => act(&operation, "resume", &remote, printer)?,
        OperationCommand::Approve { operation, remote } => act(&operation, "approve", &remote, printer)?,
        OperationCommand::Skip { operation, ring, remote } => act(&operation, &format!("rings/{ring}/skip"), &remote, printer)?,
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
    let body = rate.limit(CreateOperation { rollback_of: Some(operation.clone()), ..CreateOperation::new(OperationKind::Rollback, Vec::new()) })?;
    let question = format!("bring back what was there before {operation}, and hold its versions back from coming again? [y/N] ");
    if !yes && !printer.confirm(&question, "give --yes")? {
        printer.note("nothing was asked for");
        return Ok(Exit::Success);
    }
    let nodes = remote.ask(async |client| find_ids(&client, &nodes).await)?;
    let operation = request(&CreateOperation { nodes, ..body }, &remote, printer)?;
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

fn act(operation: &str, verb: &str, remote: &Remote, printer: &Printer) -> anyhow::Result<()> {
    let operation = remote.ask(async |client| client.act_on_operation(operation, verb).await)?;
    print(&operation, remote, printer)
}

fn state_words(state: &str) -> String {
    state.to_lowercase().replace('_', " ")
}

/// Up to so many nodes, each is told.
const TOLD_MAX: usize = 20;
/// Between two looks at an operation.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows an operation to its end; each line says what is new on a node.
fn watch(id: &str, remote: &Remote, printer: &Printer) -> anyhow::Result<Operation> {
    remote.ask(async |client| {
        let (mut told, mut names) = (BTreeMap::new(), BTreeMap::new());
        loop {
            let operation = client.operation(id).await?;
            for ring in operation.rings.iter().filter(|_| operation.rings.len() > 1 || operation.invocations.len() > TOLD_MAX) {
                let words = format!("{}, {} of {} succeeded, {} failed", ring.words, ring.succeeded, ring.nodes, ring.failed);
                if told.get(&ring.name) != Some(&words) {
                    printer.note(format!("ring {}: {words}", ring.name));
                    told.insert(ring.name.clone(), words);
                }
            }
            // Of many nodes only those are told that end badly: the rings say the rest.
            let is_told = |invocation: &&Invocation| operation.invocations.len() <= TOLD_MAX || invocation.state == "FAILED";
            for invocation in operation.invocations.iter().filter(is_told) {
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
            let has_ended = operation.invocations.iter().all(|invocation| invocation.finished_at.is_some());
            let is_at_work = operation.invocations.iter().any(|invocation| invocation.state == "RUNNING");
            // What halted goes on only when a person has decided.
            if has_ended || (operation.halted.is_some() && !is_at_work) {
                if let Some(halted) = &operation.halted {
                    printer.note(format!("halted: {}", halted.reason));
                    printer.note(format!("to mend it: {}", halted.mend));
                }
                return Ok(operation);
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

/// What a node is doing, or how it ended.
fn words(invocation: &Invocation) -> String {
    let hold = || invocation.hold.as_ref().map(|hold| hold.words.clone());
    invocation.doing.clone().or_else(hold).unwrap_or_else(|| invocation.state.to_lowercase())
}

fn print(operation: &Operation, remote: &Remote, printer: &Printer) -> anyhow::Result<()> {
    if remote.format == Format::Json {
        return printer.json(operation);
    }
    printer.line(format!("{} {}, requested by {} at {}", printer.bold(&operation.kind), operation.id, operation.requested_by, operation.requested_at));
    if let Some(policy) = &operation.policy {
        printer.line(format!("of {policy}"));
    }
    printer.line(state_words(&operation.state));
    if let Some(halted) = &operation.halted {
        printer.line(format!("halted {}: {}", halted.at, halted.reason));
        printer.line(format!("to mend it: {}", halted.mend));
    }
    if operation.rings.len() > 1 {
        let rows = operation.rings.iter().map(|ring| {
            let numbers = [ring.nodes, ring.at_work, ring.succeeded, ring.failed, ring.waiting].map(|n| n.to_string());
            let [nodes, at_work, succeeded, failed, waiting] = numbers;
            [ring.name.clone(), ring.words.clone(), nodes, at_work, succeeded, failed, waiting, ring.gate.clone().unwrap_or_default()]
        });
        printer.table(["ring", "state", "nodes", "at work", "succeeded", "failed", "wait", "gate"], rows);
        printer.line("");
    }
    // Of many nodes those that wait for the same are one line, and those that are done none.
    let is_many = operation.invocations.len() > TOLD_MAX;
    let is_shown = |invocation: &&Invocation| !is_many || (invocation.hold.is_none() && invocation.state != "SUCCEEDED");
    let rows = operation.invocations.iter().filter(is_shown).map(|invocation| {
        let ring = invocation.ring.clone().unwrap_or_default();
        [invocation.node_id.clone(), ring, words(invocation), invocation.message.clone().unwrap_or_default()]
    });
    printer.table(["node", "ring", "state", "what there is to say"], rows);
    let mut waiting = BTreeMap::<&str, usize>::new();
    for hold in operation.invocations.iter().filter(|_| is_many).filter_map(|invocation| invocation.hold.as_ref()) {
        *waiting.entry(&hold.words).or_default() += 1;
    }
    for (words, n) in waiting {
        printer.line(format!("{n} nodes: {words}"));
    }
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
    Ok(exit_of(operation))
}

/// Whether every node that had something to do did it.
fn exit_of(operation: &Operation) -> Exit {
    let is_good = |invocation: &Invocation| invocation.state == "SUCCEEDED" || invocation.message.as_deref() == Some("left out: nothing is missing");
    if operation.invocations.iter().all(is_good) { Exit::Success } else { Exit::Failed }
}

//! `fettle patch`: patches that nodes of a running server need.

use std::path::PathBuf;

use anyhow::Context;
use api::v1::operation::{CreateOperation, HookNames, InstallWish, OperationKind};
use api::v1::patch::{ListPatches, Patch};
use clap::Subcommand;
use domain::model::patch::Severity;

use super::node::{find_id, find_ids};
use super::operation::{self, RateArguments};
use super::remote::{PageArguments, Remote};
use crate::commands::install::{self, Wish};
use crate::exit::Exit;
use crate::failure::Failure;
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
        how: How,
        #[command(flatten)]
        rate: Box<RateArguments>,
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

/// How nodes of a server go about it.
#[derive(clap::Args)]
pub struct How {
    /// An install override list of AWS Patch Manager: these versions, whatever the baseline says
    #[arg(long, value_name = "FILE", conflicts_with = "only")]
    override_list: Option<PathBuf>,
    /// Whether nodes boot: if-needed, never, always, or a time such as 2026-12-01T02:00:00Z
    #[arg(long, value_name = "RULE", default_value = "if-needed")]
    reboot: String,
    /// Leave services as they are that still run replaced code
    #[arg(long)]
    leave_services: bool,
    /// The hook that runs before anything changes
    #[arg(long, value_name = "NAME")]
    hook_before: Option<String>,
    /// The hook that runs when everything is installed
    #[arg(long, value_name = "NAME")]
    hook_after: Option<String>,
    /// The hook that runs at the end, whatever came of it
    #[arg(long, value_name = "NAME")]
    hook_at_exit: Option<String>,
    /// Let other updaters stand still meanwhile
    #[arg(long)]
    pause_updaters: bool,
    /// Change nothing before this time; packages are downloaded before
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    /// Begin nothing that would not end by this time
    #[arg(long, value_name = "TIME")]
    ends_by: Option<String>,
}

impl How {
    /// The request, with what is to be installed.
    pub fn wish(&self, wish: &Wish) -> anyhow::Result<InstallWish> {
        let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| Failure::new(format!("failed to read `{}`", path.display()), "give the file of a list"));
        let code = |word: &str| Some(word.to_ascii_uppercase().replace('-', "_"));
        Ok(InstallWish {
            only: wish.only.clone(),
            override_list: self.override_list.as_ref().map(read).transpose()?,
            plan: None,
            allow: Some(wish.allow.code().to_owned()),
            reboot: if self.reboot.starts_with(|c: char| c.is_ascii_digit()) { Some(self.reboot.clone()) } else { code(&self.reboot) },
            services: self.leave_services.then(|| "LEAVE".to_owned()),
            hooks: HookNames { before: self.hook_before.clone(), after: self.hook_after.clone(), at_exit: self.hook_at_exit.clone() },
            config_files: wish.replace_config_files.then(|| "REPLACE".to_owned()),
            on_failure: wish.go_on.then(|| "GO_ON".to_owned()),
            recover: wish.recover,
            pause_updaters: self.pause_updaters,
            not_before: self.not_before.clone(),
            ends_by: self.ends_by.clone(),
        })
    }
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
        PatchCommand::Now { nodes, wish, how, rate, remote } => return patch_now(&nodes, &wish, &how, *rate, &remote, printer),
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

/// Has each node plan, shows that, asks, and waits for the receipts of exactly that.
fn patch_now(nodes: &[String], wish: &Wish, how: &How, rate: RateArguments, remote: &Remote, printer: &Printer) -> anyhow::Result<Exit> {
    let body = rate.limit(CreateOperation::new(OperationKind::Install, Vec::new()))?;
    let wished = how.wish(wish)?;
    let nodes = remote.ask(async |client| find_ids(&client, nodes).await)?;
    let ask = CreateOperation { install: Some(wished), ..CreateOperation::new(OperationKind::Plan, nodes) };
    let planned = operation::request(&ask, remote, printer)?;
    let plans = remote.ask(async |client| {
        let mut plans = Vec::new();
        for invocation in &planned.invocations {
            let name = client.node(&invocation.node_id).await?.node.name;
            plans.push((name, client.plan(&planned.id, &invocation.node_id).await.ok()));
        }
        Ok(plans)
    })?;
    let mut n_changes = 0;
    for ((name, plan), invocation) in plans.iter().zip(&planned.invocations) {
        n_changes += plan.as_ref().map_or(0, |plan| plan.transaction.steps.len());
        if remote.format == Format::Table {
            printer.line(printer.bold(name));
            match plan {
                Some(plan) => install::print_plan(plan, printer),
                None => printer.note(invocation.message.as_deref().unwrap_or("the node made no plan")),
            }
            printer.line("");
        }
    }
    let able: Vec<_> = planned.invocations.iter().filter(|invocation| invocation.state == "SUCCEEDED").map(|invocation| invocation.node_id.clone()).collect();
    if able.len() < planned.invocations.len() {
        return Err(Failure::new("not every node could make a plan", "leave those out that could not, or mend what they say").into());
    }
    if !wish.yes && !printer.confirm(&format!("do this, {n_changes} packages on {} nodes? [y/N] ", able.len()), "give --yes")? {
        printer.note("nothing was changed");
        return Ok(Exit::Success);
    }
    let agreed = InstallWish { plan: Some(planned.id), ..InstallWish::default() };
    let install = operation::request(&CreateOperation { install: Some(agreed), nodes: able, ..body }, remote, printer)?;
    operation::print_receipts(&install, remote, printer)
}

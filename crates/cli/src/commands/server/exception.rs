//! `fettle exception`: patches that are approved or rejected on some nodes for a while.

use api::v1::exception::GrantException;
use clap::{Subcommand, ValueEnum};

use super::remote::{Remote, parse_tag};
use crate::exit::Exit;
use crate::printer::{Format, Printer};

/// Arguments of `fettle exception`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: ExceptionCommand,
}

/// What an exception decides.
#[derive(Clone, Copy, ValueEnum)]
enum Decision {
    /// The patch is approved there
    Approve,
    /// The patch is rejected there
    Reject,
}

#[derive(Subcommand)]
enum ExceptionCommand {
    /// Exceptions, those that hold first
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Approve or reject a patch on some nodes until a day
    Grant {
        /// Whether it is approved or rejected
        decision: Decision,
        /// A package, an advisory or a CVE, as in the lists of a baseline
        patch: String,
        /// Who answers for it
        #[arg(long)]
        owner: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// The last day on which it holds, such as 2026-12-31
        #[arg(long, value_name = "DAY")]
        until: String,
        /// The id of a node; may be given more than once
        #[arg(long)]
        node: Vec<String>,
        /// A tag that nodes must have, such as env=prod; may be given more than once
        #[arg(long, value_parser = parse_tag)]
        tag: Vec<(String, String)>,
        /// An account that nodes are in; may be given more than once
        #[arg(long)]
        account: Vec<String>,
        /// A region that nodes are in; may be given more than once
        #[arg(long)]
        region: Vec<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// End an exception before its day
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Runs the command.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        ExceptionCommand::List { remote } => {
            let answer = remote.ask(async |client| client.list_exceptions().await)?;
            match remote.format {
                Format::Json => printer.json(&answer)?,
                Format::Table => printer.table(
                    ["patch", "decision", "state", "until", "for", "nodes", "owner", "reason", "id"],
                    answer
                        .items
                        .into_iter()
                        .map(|found| [found.patch, found.decision, found.state, found.until, found.targets, found.n_nodes.to_string(), found.owner, found.reason, found.id]),
                ),
            }
        }
        ExceptionCommand::Grant { decision, patch, owner, reason, until, node, tag, account, region, remote } => {
            let decision = match decision {
                Decision::Approve => "APPROVE",
                Decision::Reject => "REJECT",
            };
            let body =
                GrantException { patch, decision: decision.to_owned(), owner, reason, until, nodes: node, tags: tag.into_iter().collect(), accounts: account, regions: region };
            let granted = remote.ask(async |client| client.grant_exception(&body).await)?;
            match remote.format {
                Format::Json => printer.json(&granted)?,
                Format::Table => {
                    let nodes = if granted.n_nodes == 1 { "node" } else { "nodes" };
                    let decided = if granted.decision == "APPROVE" { "approved" } else { "rejected" };
                    printer.line(format!("{} is {decided} until {} on {} {nodes}: {}", granted.patch, granted.until, granted.n_nodes, granted.targets));
                    printer.note(format!("`fettle exception revoke {}` ends it sooner", granted.id));
                }
            }
        }
        ExceptionCommand::Revoke { id, remote } => {
            remote.ask(async |client| client.revoke_exception(&id).await)?;
            printer.line(format!("{id} is revoked"));
        }
    }
    Ok(Exit::Success)
}

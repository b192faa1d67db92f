//! `fettle organization`, `unit`, `account`, `region`: whose the nodes are.

use std::collections::BTreeMap;

use api::v1::organization::{CreateMember, Member, MemberKind, MoveMember, Organization};
use clap::Subcommand;

use super::remote::Remote;
use crate::exit::Exit;
use crate::printer::{Format, Printer};

/// Arguments of `fettle organization`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: OrganizationCommand,
}

#[derive(Subcommand)]
enum OrganizationCommand {
    /// The tree of units and accounts, and the regions
    Show {
        #[command(flatten)]
        remote: Remote,
    },
    /// Move a unit or an account into another unit
    Move {
        /// Unit or account
        member: String,
        /// The unit that is to hold it
        #[arg(long)]
        into: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Arguments of `fettle unit`, `account` and `region`.
#[derive(clap::Args)]
pub struct MemberArguments {
    #[command(subcommand)]
    command: MemberCommand,
}

#[derive(Subcommand)]
enum MemberCommand {
    /// Add one
    Create {
        /// Its name
        name: String,
        /// The unit that holds it; the organization's root when absent
        #[arg(long)]
        unit: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show them
    List {
        #[command(flatten)]
        remote: Remote,
    },
}

/// Runs `fettle organization`.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        OrganizationCommand::Show { remote } => {
            let tree = remote.ask(async |client| client.organization().await)?;
            match remote.format {
                Format::Json => printer.json(&tree)?,
                Format::Table => print(&tree, printer),
            }
        }
        OrganizationCommand::Move { member, into, remote } => {
            remote.ask(async |client| client.move_member(&MoveMember { member: member.clone(), unit: into.clone() }).await)?;
            printer.line(format!("{member} is in {into}"));
        }
    }
    Ok(Exit::Success)
}

/// Runs `fettle unit`, `account` or `region`.
pub fn run_member(kind: MemberKind, arguments: MemberArguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        MemberCommand::Create { name, unit, remote } => {
            let body = CreateMember { kind, name, unit };
            let member = remote.ask(async |client| client.create_member(&body).await)?;
            match remote.format {
                Format::Json => printer.json(&member)?,
                Format::Table => printer.line(format!("{} {}", member.name, member.id)),
            }
        }
        MemberCommand::List { remote } => {
            let tree = remote.ask(async |client| client.organization().await)?;
            let members = match kind {
                MemberKind::Unit => &tree.units,
                MemberKind::Account => &tree.accounts,
                MemberKind::Region => &tree.regions,
            };
            match remote.format {
                Format::Json => printer.json(members)?,
                Format::Table => {
                    let n_nodes = |member: &Member| member.n_nodes.map(|n_nodes| n_nodes.to_string()).unwrap_or_default();
                    let names: BTreeMap<_, _> = tree.units.iter().map(|unit| (unit.id.as_str(), unit.name.clone())).collect();
                    let unit = |member: &Member| member.unit_id.as_deref().and_then(|id| names.get(id).cloned()).unwrap_or_default();
                    printer.table(["name", "unit", "nodes", "id"], members.iter().map(|member| [member.name.clone(), unit(member), n_nodes(member), member.id.clone()]));
                }
            }
        }
    }
    Ok(Exit::Success)
}

fn print(tree: &Organization, printer: &Printer) {
    print_unit(tree, None, 0, printer);
    let regions: Vec<_> = tree.regions.iter().map(|region| region.name.as_str()).collect();
    printer.line(format!("regions: {}", regions.join(", ")));
}

fn print_unit(tree: &Organization, parent: Option<&str>, depth: usize, printer: &Printer) {
    for unit in tree.units.iter().filter(|unit| unit.unit_id.as_deref() == parent) {
        printer.line(format!("{:width$}{}/", "", printer.bold(&unit.name), width = depth * 2));
        for account in tree.accounts.iter().filter(|account| account.unit_id.as_deref() == Some(&unit.id)) {
            let n_nodes = account.n_nodes.unwrap_or_default();
            printer.line(format!("{:width$}{}  {n_nodes} {}", "", account.name, if n_nodes == 1 { "node" } else { "nodes" }, width = depth * 2 + 2));
        }
        print_unit(tree, Some(&unit.id), depth + 1, printer);
    }
}

//! `fettle key`: the installation's keys.

use api::v1::key::{KeyKind, RotateKey};
use clap::{Subcommand, ValueEnum};

use super::remote::Remote;
use crate::exit::Exit;
use crate::printer::{Format, Printer};

/// Arguments of `fettle key`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a new key, and tell every node to trust it; the one before stays trusted
    Rotate {
        /// Which
        kind: Kind,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// The key that signs orders
    Orders,
    /// The authority that issues certificates
    Authority,
}

/// Runs the command.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    let KeyCommand::Rotate { kind, remote } = arguments.command;
    let kind = match kind {
        Kind::Orders => KeyKind::Orders,
        Kind::Authority => KeyKind::Authority,
    };
    let rotated = remote.ask(async |client| client.rotate_key(&RotateKey { kind }).await)?;
    match remote.format {
        Format::Json => printer.json(&rotated)?,
        Format::Table => printer.line(format!("the new key is {}; {} nodes are told to trust it", rotated.key, rotated.n_nodes)),
    }
    Ok(Exit::Success)
}

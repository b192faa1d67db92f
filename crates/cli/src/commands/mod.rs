//! Subcommands, one file each.

mod scan;

use clap::Subcommand;

use crate::exit::Exit;
use crate::printer::Printer;

/// What the program can do.
#[derive(Subcommand)]
pub enum Command {
    /// Judge this machine, or a folder that holds a system, without a server.
    Scan(scan::Arguments),
}

/// Runs a command.
pub fn run(command: Command, printer: &Printer) -> anyhow::Result<Exit> {
    match command {
        Command::Scan(arguments) => scan::run(&arguments, printer),
    }
}

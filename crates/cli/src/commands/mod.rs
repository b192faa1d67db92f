//! Subcommands, one file each: what a node does for itself here, the server and its operators in
//! [`server`].

mod agent;
mod install;
mod plan;
mod scan;
#[cfg(feature = "server")]
mod server;

use clap::Subcommand;

use crate::exit::Exit;
use crate::printer::Printer;

/// What the program can do.
#[derive(Subcommand)]
pub enum Command {
    /// Judge this machine, or a folder that holds a system, without a server
    Scan(scan::Arguments),
    /// Say what installing the missing patches would do to it, and change nothing
    Plan(scan::Arguments),
    /// Install the missing patches, exactly as planned, on this machine or in a folder that holds a system
    Install(install::InstallArguments),
    /// This machine as a node of a server elsewhere
    Agent(agent::Arguments),
    #[cfg(feature = "server")]
    #[command(flatten)]
    Server(server::Command),
}

/// Runs a command.
pub fn run(command: Command, printer: &Printer) -> anyhow::Result<Exit> {
    match command {
        #[cfg(feature = "server")]
        Command::Server(command) => server::run(command, printer),
        Command::Scan(arguments) => scan::run(&arguments, printer),
        Command::Plan(arguments) => plan::run(&arguments, printer),
        Command::Install(arguments) => install::run(&arguments, printer),
        Command::Agent(arguments) => agent::run(arguments, printer),
    }
}

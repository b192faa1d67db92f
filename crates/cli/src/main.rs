//! The `fettle` program: subcommands, settings, wiring.
//!
//! The only place that makes a system clock and a source of chance and reads the environment.

mod clock;
mod commands;
mod exit;
mod failure;
mod printer;
mod settings;

use clap::Parser;

use crate::commands::Command;
use crate::exit::Exit;
use crate::printer::Printer;

/// Half of what a report costs the server is memory; this one gives it out in half the time. A node
/// would pay for that speed with thirty megabytes; the agent alone has the system's.
#[cfg(feature = "server")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Open, self-hosted patch management for whole fleets.
#[derive(Parser)]
#[command(name = "fettle", version, max_term_width = 100, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    // Several libraries speak TLS; they all use this one's cryptography.
    rustls::crypto::ring::default_provider().install_default().expect("nothing else was installed before");
    let printer = Printer::new();
    let exit = commands::run(arguments.command, &printer).unwrap_or_else(|error| {
        printer.error(&error);
        Exit::Failed
    });
    exit.into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_of_every_command_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}

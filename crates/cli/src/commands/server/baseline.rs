//! `fettle baseline`: baselines of a running server.

use clap::Subcommand;

use super::remote::Remote;
use crate::exit::Exit;
use crate::printer::{Format, Printer};

/// Arguments of `fettle baseline`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: BaselineCommand,
}

#[derive(Subcommand)]
enum BaselineCommand {
    /// Every baseline
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// One baseline in words; with --format json, the document
    Show {
        /// Id, as the list shows it
        baseline: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Runs the command.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        BaselineCommand::List { remote } => {
            let answer = remote.ask(async |client| client.list_baselines().await)?;
            match remote.format {
                Format::Json => printer.json(&answer)?,
                Format::Table => {
                    printer.table(["baseline", "operating system", "id"], answer.items.into_iter().map(|baseline| [baseline.name, baseline.operating_system, baseline.id]));
                }
            }
        }
        BaselineCommand::Show { baseline, remote } => {
            let detail = remote.ask(async |client| client.baseline(&baseline).await)?;
            match remote.format {
                Format::Json => printer.json(&detail)?,
                Format::Table => {
                    printer.line(printer.bold(&detail.baseline.name));
                    for sentence in &detail.explanation {
                        printer.line(format!("  {sentence}"));
                    }
                }
            }
        }
    }
    Ok(Exit::Success)
}

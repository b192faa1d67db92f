//! `fettle sign-in`: a one-time link to the console of a running server.

use super::remote::Remote;
use crate::exit::Exit;
use crate::printer::{Format, Printer};

/// Arguments of `fettle sign-in`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    remote: Remote,
}

/// Runs the command.
pub fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    let (server, link) = arguments.remote.ask(async |client| Ok((client.server().to_owned(), client.create_sign_in_link().await?)))?;
    match arguments.remote.format {
        Format::Json => printer.json(&link)?,
        Format::Table => {
            printer.line(format!("{server}{}", link.path));
            printer.note(format!("signs one browser in, until {}", link.expires_at));
        }
    }
    Ok(Exit::Success)
}

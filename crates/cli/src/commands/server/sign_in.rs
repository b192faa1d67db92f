//! `fettle sign-in`: a one-time link to the console of a running server.

use api::v1::sign_in_link::SignInLinkQuery;

use super::remote::Remote;
use crate::exit::Exit;
use crate::printer::{Format, Printer};

/// Arguments of `fettle sign-in`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Sign another person in, under this name: approvals need a second one
    #[arg(long = "as", value_name = "NAME")]
    person: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Runs the command.
pub fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    let query = SignInLinkQuery { person: arguments.person.clone() };
    let (server, link) = arguments.remote.ask(async |client| Ok((client.server().to_owned(), client.create_sign_in_link(&query).await?)))?;
    match arguments.remote.format {
        Format::Json => printer.json(&link)?,
        Format::Table => {
            printer.line(format!("{server}{}", link.path));
            printer.note(format!("signs one browser in, until {}", link.expires_at));
        }
    }
    Ok(Exit::Success)
}

//! `fettle activation`: codes that let nodes join.

use api::v1::activation::CreateActivation;
use clap::Subcommand;

use super::remote::{Remote, parse_tag};
use crate::exit::Exit;
use crate::printer::{Format, Printer};

/// Arguments of `fettle activation`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: ActivationCommand,
}

#[derive(Subcommand)]
enum ActivationCommand {
    /// Make a code; it is shown this once
    Create {
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
        /// Account that nodes join
        #[arg(long)]
        account: Option<String>,
        /// Region that nodes join
        #[arg(long)]
        region: Option<String>,
        /// A tag that nodes get, such as env=prod; may be given more than once
        #[arg(long, value_parser = parse_tag)]
        tag: Vec<(String, String)>,
        /// How many nodes it lets in
        #[arg(long, default_value_t = 1)]
        limit: u32,
        /// For how long it is good, such as 30d
        #[arg(long, default_value = "1d", value_parser = parse_days)]
        expires: u32,
        #[command(flatten)]
        remote: Remote,
    },
    /// Activations and how many nodes came with each
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// End an activation; nodes that came with it stay
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
        ActivationCommand::Create { description, account, region, tag, limit, expires, remote } => {
            let body = CreateActivation { description, account, region, tags: tag.into_iter().collect(), node_limit: Some(limit), expires_days: Some(expires) };
            let created = remote.ask(async |client| client.create_activation(&body).await)?;
            match remote.format {
                Format::Json => printer.json(&created)?,
                Format::Table => {
                    printer.line(&created.command);
                    printer.note(format!(
                        "run this on up to {} {} until {}; the code is shown this once",
                        created.activation.node_limit,
                        if created.activation.node_limit == 1 { "node" } else { "nodes" },
                        created.activation.expires_at
                    ));
                }
            }
        }
        ActivationCommand::List { remote } => {
            let answer = remote.ask(async |client| client.list_activations().await)?;
            match remote.format {
                Format::Json => printer.json(&answer)?,
                Format::Table => printer.table(
                    ["id", "what for", "state", "joined", "account", "region", "expires"],
                    answer.items.into_iter().map(|found| {
                        let joined = format!("{} of {}", found.n_enrolled, found.node_limit);
                        [found.id, found.description, found.state, joined, found.account, found.region, found.expires_at]
                    }),
                ),
            }
        }
        ActivationCommand::Revoke { id, remote } => {
            remote.ask(async |client| client.revoke_activation(&id).await)?;
            printer.line(format!("{id} is revoked"));
        }
    }
    Ok(Exit::Success)
}

/// Reads days such as `30d`.
fn parse_days(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok()).filter(|days| *days > 0);
    days.ok_or_else(|| format!("`{text}` is not a number of days such as 30d"))
}

//! `fettle policy`, `window`, `freeze`, `reboot-group` and `channel`: what operators want, as documents; `fettle calendar`:
//! what lies ahead.

use std::path::{Path, PathBuf};

use anyhow::Context;
use api::v1::document::{DocumentToday, SaveDocument, SavedDocument};
use clap::Subcommand;
use domain::model::intent::IntentKind;

use super::remote::Remote;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};

/// Arguments of `fettle policy` and its siblings.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: DocumentCommand,
}

#[derive(Subcommand)]
enum DocumentCommand {
    /// All of them
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// One of them, as a document
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Make one, or a new version of one, from a file
    Save {
        /// The document, in YAML
        file: PathBuf,
        /// Say what would change, and change nothing
        #[arg(long)]
        preview: bool,
        /// Why, for those who read the versions later
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take one out of force; its versions stay
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Every version of one, newest first
    Versions {
        /// Its name
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Runs `fettle policy` and its siblings.
pub fn run(kind: IntentKind, arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    let plural = kind.plural();
    match arguments.command {
        DocumentCommand::List { remote } => {
            let found = remote.ask(async |client| client.list_documents(plural).await)?;
            if remote.format == Format::Json {
                printer.json(&found)?;
                return Ok(Exit::Success);
            }
            let nodes = |document: &DocumentToday| document.nodes.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let next = |document: &DocumentToday| document.next.iter().map(|next| format!("{} {}", next.what, next.local)).collect::<Vec<_>>().join(", ");
            let rows = found.iter().map(|document| [document.name.clone(), document.state.clone(), nodes(document), next(document), document.summary.clone()]);
            printer.table(["name", "state", "nodes", "next", "what it says"], rows);
        }
        DocumentCommand::Show { name, remote } => {
            let found = remote.ask(async |client| client.document(plural, &name).await)?;
            print(&found, &remote, printer)?;
        }
        DocumentCommand::Save { file, preview, reason, remote } => {
            let body = SaveDocument { document: read(kind, &file)?, reason, preview };
            let saved = remote.ask(async |client| client.save_document(&body).await)?;
            print_saved(&saved, preview, &remote, printer)?;
        }
        DocumentCommand::Delete { name, remote } => {
            remote.ask(async |client| client.delete_document(plural, &name).await)?;
            printer.note(format!("the {} {name} is out of force", kind.noun()));
        }
        DocumentCommand::Versions { name, remote } => {
            let versions = remote.ask(async |client| client.document_versions(plural, &name).await)?;
            if remote.format == Format::Json {
                printer.json(&versions)?;
                return Ok(Exit::Success);
            }
            let rows = versions.into_iter().map(|version| {
                let what = if version.document.is_some() { "saved" } else { "deleted" };
                [version.version.to_string(), what.to_owned(), version.changed_by, version.changed_at, version.reason]
            });
            printer.table(["version", "what", "by", "when", "why"], rows);
        }
    }
    Ok(Exit::Success)
}

/// The text of a file, which has to be a document of this kind.
fn read(kind: IntentKind, file: &Path) -> anyhow::Result<String> {
    let hint = format!("give the file of a document that begins with `schema: {}/v1`", kind.noun());
    let text = std::fs::read_to_string(file).with_context(|| Failure::new(format!("failed to read `{}`", file.display()), hint.clone()))?;
    let is_of_kind = text.lines().any(|line| line.trim_start_matches(['{', ' ', '"']).starts_with("schema") && line.contains(&format!("{}/v1", kind.noun())));
    if is_of_kind { Ok(text) } else { Err(Failure::new(format!("`{}` is no {}", file.display(), kind.noun()), hint).into()) }
}

fn print(document: &DocumentToday, remote: &Remote, printer: &Printer) -> anyhow::Result<()> {
    if remote.format == Format::Json {
        return printer.json(document);
    }
    printer.line(format!("{} {}, version {}, by {} at {}", document.kind, printer.bold(&document.name), document.version, document.changed_by, document.changed_at));
    printer.line(format!("  {}", document.summary));
    printer.line(format!("  {}", document.state));
    if let Some(nodes) = document.nodes {
        printer.line(format!("  for {nodes} nodes"));
    }
    for next in &document.next {
        printer.line(format!("  next {} {}{}", next.what, next.local, next.last.as_ref().map(|last| format!(" (last: {last})")).unwrap_or_default()));
    }
    printer.line("");
    printer.line(document.document.trim_end());
    Ok(())
}

fn print_saved(saved: &SavedDocument, preview: bool, remote: &Remote, printer: &Printer) -> anyhow::Result<()> {
    if remote.format == Format::Json {
        return printer.json(saved);
    }
    for change in &saved.changes {
        printer.line(change);
    }
    let DocumentToday { kind, name, version, .. } = &saved.document;
    printer.note(match (saved.changes.is_empty(), preview) {
        (true, _) => format!("the {kind} {name} says this already"),
        (false, true) => format!("this would be version {version} of the {kind} {name}; nothing was saved"),
        (false, false) => format!("this is version {version} of the {kind} {name}"),
    });
    Ok(())
}

/// Arguments of `fettle channel`.
#[derive(clap::Args)]
pub struct ChannelArguments {
    #[command(subcommand)]
    command: ChannelCommand,
}

#[derive(Subcommand)]
enum ChannelCommand {
    #[command(flatten)]
    Document(DocumentCommand),
    /// Send a channel something, to see that it works
    Test {
        /// Its name
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// The last notifications, newest first
    News {
        #[command(flatten)]
        remote: Remote,
    },
}

/// Runs `fettle channel`.
pub fn run_channel(arguments: ChannelArguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        ChannelCommand::Document(command) => run(IntentKind::Channel, Arguments { command }, printer),
        ChannelCommand::Test { name, remote } => {
            let sent = remote.ask(async |client| client.test_channel(&name).await)?;
            match (&remote.format, &sent.failure) {
                (Format::Json, _) => printer.json(&sent)?,
                (Format::Table, None) => printer.note(format!("the channel {name} took it")),
                (Format::Table, Some(failure)) => return Err(Failure::new(format!("the channel {name} did not take it: {failure}"), "mend that, and try again").into()),
            }
            Ok(if sent.failure.is_none() { Exit::Success } else { Exit::Failed })
        }
        ChannelCommand::News { remote } => {
            let news = remote.ask(async |client| client.notifications().await)?;
            if remote.format == Format::Json {
                printer.json(&news)?;
                return Ok(Exit::Success);
            }
            let rows = news.into_iter().map(|news| {
                let state = news.sent_at.map_or_else(|| news.failure.map_or_else(|| "waits".to_owned(), |failure| format!("not sent: {failure}")), |at| format!("sent {at}"));
                [news.at, news.channel, news.event, news.subject, state]
            });
            printer.table(["when", "channel", "event", "news", "state"], rows);
            Ok(Exit::Success)
        }
    }
}

/// Arguments of `fettle calendar`.
#[derive(clap::Args)]
pub struct CalendarArguments {
    /// How many days ahead
    #[arg(long, default_value_t = 30)]
    days: u32,
    #[command(flatten)]
    remote: Remote,
}

/// Runs `fettle calendar`.
pub fn run_calendar(arguments: &CalendarArguments, printer: &Printer) -> anyhow::Result<Exit> {
    let entries = arguments.remote.ask(async |client| client.calendar(arguments.days).await)?;
    if arguments.remote.format == Format::Json {
        printer.json(&entries)?;
    } else {
        printer.table(["starts", "what", "name", "in words"], entries.into_iter().map(|entry| [entry.starts_at, entry.kind, entry.name, entry.words]));
    }
    Ok(Exit::Success)
}

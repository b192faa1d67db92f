//! `fettle feed`: where vendors publish their advisories.

use std::path::PathBuf;

use anyhow::Context;
use api::v1::feed::{AddFeed, Feed};
use clap::Subcommand;

use super::remote::Remote;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};

/// Arguments of `fettle feed`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: FeedCommand,
}

#[derive(Subcommand)]
enum FeedCommand {
    /// Feeds, and what the last import of each brought
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Add a feed
    Add {
        /// Its name
        name: String,
        /// How it is written: osv, updateinfo, or repository (an rpm repository with its checksums)
        #[arg(value_name = "FORMAT")]
        written_as: String,
        /// Where it is fetched from; without one, files are imported
        #[arg(long)]
        url: Option<String>,
        /// The product that its entries are for, such as `RockyLinux9`; for updateinfo and repository
        #[arg(long)]
        product: Option<String>,
        /// Hours between two looks at it
        #[arg(long, value_name = "HOURS")]
        every: Option<u16>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Fetch a feed now, and import what changed
    Refresh {
        /// Its name
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Import a file into a feed: for servers without a way out
    Import {
        /// Its name
        name: String,
        /// The file, such as an archive of OSV
        file: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// Remove a feed with everything that it said
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Largest file that is sent; it is held in memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Runs the command.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        FeedCommand::List { remote } => {
            let answer = remote.ask(async |client| client.list_feeds().await)?;
            match remote.format {
                Format::Json => printer.json(&answer)?,
                Format::Table => printer.table(["name", "format", "entries", "last look", "last import", "state"], answer.items.into_iter().map(row)),
            }
        }
        FeedCommand::Add { name, written_as, url, product, every, remote } => {
            let body = AddFeed { name, format: written_as, url, product, every_hours: every };
            let added = remote.ask(async |client| client.add_feed(&body).await)?;
            match remote.format {
                Format::Json => printer.json(&added)?,
                Format::Table => {
                    printer.line(format!("feed `{}` is added", added.name));
                    let next = if added.url.is_some() { "refresh" } else { "import" };
                    printer.note(format!("it is empty; `fettle feed {next} {}{}` fills it", added.name, if next == "import" { " FILE" } else { "" }));
                }
            }
        }
        FeedCommand::Refresh { name, remote } => {
            printer.note(format!("fetching and importing `{name}`"));
            let feed = remote.ask(async |client| client.refresh_feed(&name).await)?;
            print(&feed, &remote, printer)?;
        }
        FeedCommand::Import { name, file, remote } => {
            let shown = file.display();
            let length = std::fs::metadata(&file).with_context(|| format!("failed to read `{shown}`"))?.len();
            if length > FILE_BYTES_MAX {
                return Err(Failure::new(format!("`{shown}` has more than {FILE_BYTES_MAX} bytes"), "give the feed an address, and let the server fetch it").into());
            }
            let bytes = std::fs::read(&file).with_context(|| format!("failed to read `{shown}`"))?;
            printer.note(format!("importing {length} bytes into `{name}`"));
            let feed = remote.ask(async |client| client.import_feed(&name, bytes).await)?;
            print(&feed, &remote, printer)?;
        }
        FeedCommand::Remove { name, remote } => {
            remote.ask(async |client| client.remove_feed(&name).await)?;
            printer.line(format!("feed `{name}` is removed, with everything that it said"));
        }
    }
    Ok(Exit::Success)
}

fn row(feed: Feed) -> [String; 6] {
    let never = || "never".to_owned();
    let state = match feed.error {
        Some(error) => error,
        None if feed.n_malformed > 0 => format!("{} left out: not readable", feed.n_malformed),
        None => "good".to_owned(),
    };
    [feed.name, feed.format, feed.n_entries.to_string(), feed.checked_at.unwrap_or_else(never), feed.imported_at.unwrap_or_else(never), state]
}

fn print(feed: &Feed, remote: &Remote, printer: &Printer) -> anyhow::Result<()> {
    if remote.format == Format::Json {
        return printer.json(feed);
    }
    let Feed { name, n_entries, n_changed, n_removed, n_passed_over, n_malformed, .. } = feed;
    printer.line(format!("feed `{name}` has {n_entries} entries: {n_changed} new or changed, {n_removed} gone"));
    if *n_passed_over > 0 {
        printer.note(format!("{n_passed_over} more concern no product that Fettle knows, or no version that mends them"));
    }
    for problem in &feed.problems {
        printer.note(problem);
    }
    if *n_malformed > 0 {
        let entries = if *n_malformed == 1 { "entry does not read and was" } else { "entries do not read and were" };
        printer.note(format!("{n_malformed} {entries} left out"));
    }
    Ok(())
}

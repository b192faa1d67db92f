//! `fettle doctor`: what is wrong with an installation, and how to mend it. Changes nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use agent::inventory;
use agent::root::Root;
use anyhow::Context;
use api::client::Client;
use domain::decide::judge::{self, LIST_AGE_DAYS_MAX};
use domain::model::time::Clock;
use serde::Serialize;
use store::Database;

use super::data_folder::{DataFolder, Endpoint};
use crate::clock::SystemClock;
use crate::exit::Exit;
use crate::printer::{Format, Printer};
use crate::settings;

/// Arguments of `fettle doctor`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of the server's data
    #[arg(long, env = "FETTLE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    subject: &'static str,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum State {
    Good,
    Doubtful,
    Wrong,
}

/// Looks at everything; fails when something is wrong.
pub fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    let folder = arguments.data.clone().unwrap_or_else(settings::data_folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
    let mut checks = vec![check_folder(&folder)];
    if checks[0].state == State::Good {
        checks.push(runtime.block_on(check_database(&folder)));
        checks.push(runtime.block_on(check_server(&folder)));
    }
    checks.extend(check_machine());
    match arguments.format {
        Format::Json => printer.json(&checks)?,
        Format::Table => print(&checks, printer),
    }
    Ok(if checks.iter().any(|check| check.state == State::Wrong) { Exit::Failed } else { Exit::Success })
}

fn print(checks: &[Check], printer: &Printer) {
    for check in checks {
        let word = match check.state {
            State::Good => "ok   ",
            State::Doubtful => "doubt",
            State::Wrong => "WRONG",
        };
        printer.line(format!("{word}  {}: {}", check.subject, check.detail));
        if let Some(mend) = &check.mend {
            printer.line(format!("       mend: {mend}"));
        }
    }
}

fn good(subject: &'static str, detail: impl Into<String>) -> Check {
    Check { subject, state: State::Good, detail: detail.into(), mend: None }
}

fn doubtful(subject: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Check {
    Check { subject, state: State::Doubtful, detail: detail.into(), mend: Some(mend.into()) }
}

fn wrong(subject: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Check {
    Check { subject, state: State::Wrong, detail: detail.into(), mend: Some(mend.into()) }
}

fn check_folder(folder: &Path) -> Check {
    let place = folder.display();
    match std::fs::metadata(folder) {
        Err(_) => doubtful("data folder", format!("`{place}` is not there"), "`fettle up` makes it; name another with --data DIR"),
        Ok(metadata) if !metadata.is_dir() => wrong("data folder", format!("`{place}` is not a folder"), "move it away, or name another with --data DIR"),
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => wrong("data folder", format!("`{place}` can be read by others"), format!("chmod 700 {place}")),
        Ok(_) => good("data folder", format!("`{place}`")),
    }
}

async fn check_database(folder: &Path) -> Check {
    let place = DataFolder::database(folder);
    if !place.exists() {
        return doubtful("database", "there is none in this folder", "`fettle up` makes it; a server that runs on PostgreSQL needs none");
    }
    let inspect = async {
        let database = Database::inspect_sqlite(&place).await?;
        let mut tx = database.read().await?;
        let schema = tx.schema().await?;
        Ok::<_, store::StoreError>((schema, tx.check_audit().await?))
    };
    match inspect.await {
        Ok((schema, Ok(entries))) => good("database", format!("schema {schema}, audit chain of {entries} entries is whole")),
        Ok((_, Err(error))) => wrong("database", error.to_string(), "keep a copy of the data folder and find out who changed it; restore a backup from before"),
        Err(error) => wrong("database", format!("{:#}", anyhow::Error::new(error)), "restore a backup, or run the release that wrote the data"),
    }
}

async fn check_server(folder: &Path) -> Check {
    if !DataFolder::is_in_use(folder) {
        return doubtful("server", "none runs on this data folder", "start one with `fettle up`");
    }
    match Endpoint::read(folder) {
        Err(error) => wrong("server", format!("{error:#}"), "restart the server"),
        Ok(endpoint) => match Client::new(endpoint.url.clone(), endpoint.token).summary().await {
            Ok(summary) => good("server", format!("answers at {} with {} nodes, {} of them stale", endpoint.url, summary.n_nodes, summary.n_stale)),
            Err(error) => wrong("server", format!("{:#}", anyhow::Error::new(error)), "look at its log, then restart it"),
        },
    }
}

fn check_machine() -> Vec<Check> {
    let now = SystemClock.now();
    let inventory = match inventory::collect(&Root::new("/"), Some(&settings::cache_folder()), now) {
        Ok(inventory) => inventory,
        Err(error) => return vec![doubtful("this machine", format!("{:#}", anyhow::Error::new(error)), "only Debian and its kin can be scanned yet")],
    };
    let judgement = judge::judge(&inventory, None, LIST_AGE_DAYS_MAX, now);
    let mut checks = vec![good("this machine", format!("{}, {} packages", inventory.platform.name, inventory.packages.len()))];
    checks.extend(judgement.warnings.into_iter().map(|problem| doubtful("this machine", problem.message, problem.hint.unwrap_or_else(|| "see `fettle scan`".to_owned()))));
    checks
}

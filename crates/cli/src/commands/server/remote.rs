//! Commands that ask a running server.

use std::path::PathBuf;

use anyhow::Context;
use api::client::{Client, ClientError};

use super::data_folder::Endpoint;
use crate::failure::Failure;
use crate::printer::Format;
use crate::settings;

/// Arguments that every command to a server takes.
#[derive(clap::Args)]
pub struct Remote {
    /// Data folder of the server on this machine
    #[arg(long, env = "FETTLE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

impl Remote {
    /// Asks the server.
    pub fn ask<T>(&self, request: impl AsyncFnOnce(Client) -> Result<T, ClientError>) -> anyhow::Result<T> {
        let folder = self.data.clone().unwrap_or_else(settings::data_folder);
        let endpoint = Endpoint::read(&folder)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
        runtime.block_on(request(Client::new(endpoint.url, endpoint.token))).map_err(|error| match error {
            ClientError::Refused(problem) => match problem.hint {
                Some(hint) => Failure::new(problem.message, hint).into(),
                None => anyhow::Error::msg(problem.message),
            },
            transport @ ClientError::Transport { .. } => anyhow::Error::new(transport).context(Failure::new("failed to reach the server", "`fettle doctor` says whether it runs")),
        })
    }
}

/// A page of a list.
#[derive(clap::Args)]
pub struct PageArguments {
    /// Rows to show
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Where the page before ended
    #[arg(long)]
    pub cursor: Option<String>,
}

/// Reads a tag such as `env=prod`.
pub fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not a tag such as env=prod"))?;
    Ok((key.to_owned(), value.to_owned()))
}

//! `fettle reference`: the reference documents that follow from the code.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use domain::decide::assign;
use domain::model::{baseline, scan_report};

use crate::exit::Exit;

/// Arguments of `fettle reference`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of the documents
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Change nothing; fail when a document differs
    #[arg(long)]
    check: bool,
}

/// Writes or checks them.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let documents = [
        ("openapi.json", server::http::openapi()),
        ("scan.schema.json", scan_report::schema()),
        ("baseline.schema.json", baseline::schema()),
        ("assignments.schema.json", assign::schema()),
    ];
    for (name, value) in documents {
        let path = arguments.to.join(name);
        let text = format!("{}\n", serde_json::to_string_pretty(&value)?);
        if !arguments.check {
            fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            bail!("`{}` is out of date: run `cargo xtask generate`", path.display());
        }
    }
    Ok(Exit::Success)
}

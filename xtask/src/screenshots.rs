//! Pictures of every console page: light, dark and narrow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::sh;

/// Arguments of `cargo xtask screenshots`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Address of a running server
    #[arg(long, default_value = "http://127.0.0.1:7300")]
    server: String,
    /// Data folder of that server, where a sign-in link comes from
    #[arg(long, env = "FETTLE_DATA")]
    data: PathBuf,
    /// Folder for the pictures
    #[arg(long, default_value = "target/screenshots")]
    to: PathBuf,
    /// Pages, as paths; those of a node have its id in them
    #[arg(default_values = ["/", "/nodes", "/activations", "/organization", "/patches", "/baselines", "/baselines/pb-0000000000000de01", "/nodes?q=nothing", "/nowhere"])]
    pages: Vec<String>,
}

/// Takes them with the browser's own driver, one session per look.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    fs::create_dir_all(&arguments.to)?;
    for (look, width, dark) in [("light", 1280, false), ("dark", 1280, true), ("narrow", 360, false)] {
        let link = sign_in_link(&arguments.data)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/screenshots.py");
        let mut command = Command::new("python3");
        command.arg(script).args([link.as_str(), arguments.server.as_str(), look, &width.to_string(), if dark { "dark" } else { "light" }]);
        sh::run_with(command.arg(&arguments.to).args(&arguments.pages))?;
    }
    Ok(())
}

fn sign_in_link(data: &Path) -> anyhow::Result<String> {
    let output = sh::output(Command::new("cargo").args(["run", "--quiet", "--package", "cli", "--", "sign-in", "--data"]).arg(data))?;
    ensure!(output.status.success(), "no sign-in link: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout).context("a link is text")?.trim().to_owned())
}

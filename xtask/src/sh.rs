//! Running programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, ensure};

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// The folder of build output.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Runs a program in the workspace and shows what it prints.
pub fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    run_with(Command::new(program).args(arguments))
}

/// Runs a prepared program in the workspace and shows what it prints.
pub fn run_with(command: &mut Command) -> anyhow::Result<()> {
    eprintln!("+ {command:?}");
    let status = command.current_dir(workspace()).status().with_context(|| format!("failed to start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Runs a program and takes what it prints, whatever its exit code.
pub fn output(command: &mut Command) -> anyhow::Result<Output> {
    command.current_dir(workspace()).output().with_context(|| format!("failed to start {command:?}"))
}

/// Whether a program is installed.
pub fn has(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

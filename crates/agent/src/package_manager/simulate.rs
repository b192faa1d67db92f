//! What an install would do, by the native tool: it is asked for exact versions and stops before it changes
//! anything. Metadata is that of the last refresh; nothing is fetched.

use std::time::Duration;

use domain::model::transaction::{Action, Change, Step};

use crate::command::{self, CommandError, Output};
use crate::root::Root;

/// How long a tool may think.
const PATIENCE: Duration = Duration::from_mins(5);
/// Longest words of a tool that are kept, in characters.
const WORDS_LENGTH_MAX: usize = 2000;

/// Why it cannot be said what an install would do.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The system has none of the tools that change its packages.
    #[error("the system has none of {tried}")]
    NoTool {
        /// Which would do.
        tried: String,
    },
    /// The tool could not be run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The tool will not do it.
    #[error("`{tool}` will not do it: {words}")]
    Refused {
        /// Which.
        tool: &'static str,
        /// What it said.
        words: String,
    },
}

/// The steps that a tool printed, and what it said about what it leaves out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// In the tool's order.
    pub steps: Vec<Step>,
    /// A sentence each.
    pub remarks: Vec<String>,
    /// KiB to download, where the tool says it.
    pub download_kib: Option<u64>,
}

/// The first of these tools that the system has.
pub fn find_tool(root: &Root, tools: &[&'static str]) -> Result<&'static str, SimulateError> {
    let is_there = |tool: &&&str| ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].iter().any(|folder| root.join(&format!("{folder}/{tool}")).exists());
    tools.iter().find(is_there).copied().ok_or_else(|| SimulateError::NoTool { tried: tools.join(", ") })
}

/// Runs a tool on fixed arguments and one argument for each change.
pub fn run(root: &Root, tool: &'static str, fixed: &[&str], changes: &[Change], argument: impl Fn(&Change) -> String) -> Result<Output, CommandError> {
    let wanted: Vec<String> = changes.iter().map(argument).collect();
    let arguments: Vec<&str> = fixed.iter().copied().chain(wanted.iter().map(String::as_str)).collect();
    command::output(root, tool, &arguments, PATIENCE)
}

/// Asks a tool that prints a step a line, and ends well when it could do all of it.
pub fn ask<S: IntoIterator<Item = Step>>(
    root: &Root,
    tool: &'static str,
    fixed: &[&str],
    changes: &[Change],
    argument: impl Fn(&Change) -> String,
    parse: impl Fn(&str) -> S,
) -> Result<Printed, SimulateError> {
    let tool = find_tool(root, &[tool])?;
    let output = run(root, tool, fixed, changes, argument)?;
    if output.code != Some(0) {
        return Err(refused(tool, &output));
    }
    Ok(Printed { steps: output.stdout.lines().flat_map(parse).collect(), ..Printed::default() })
}

/// The error of a tool that did not get as far as a transaction, in its own words.
pub fn refused(tool: &'static str, output: &Output) -> SimulateError {
    SimulateError::Refused { tool, words: words_of(output) }
}

/// What a tool said of what went wrong, on one line.
pub fn words_of(output: &Output) -> String {
    let words = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let words = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    words.chars().take(WORDS_LENGTH_MAX).collect()
}

/// A step to a version.
pub fn step(action: Action, name: &str, architecture: Option<&str>, to: Option<&str>) -> Step {
    Step { name: name.to_owned(), architecture: architecture.map(str::to_owned), action, from: None, to: to.map(str::to_owned), repository: None }
}

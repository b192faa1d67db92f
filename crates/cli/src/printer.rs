//! Everything the program writes to a terminal, in one place.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::Failure;
use crate::settings;

/// How a read is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// A document goes out in few writes.
const OUTPUT_BUFFER_BYTES: usize = 32 * 1024;

/// Prints results to standard output, and everything about them to standard error.
pub struct Printer {
    colour: bool,
}

impl Printer {
    /// A printer for the present terminal.
    pub fn new() -> Self {
        Self { colour: io::stdout().is_terminal() && settings::colour_wanted() }
    }

    /// A line of the result. A reader that has gone away is no error: `fettle … | head` is common.
    pub fn line(&self, text: impl AsRef<str>) {
        let _ = writeln!(io::stdout().lock(), "{}", text.as_ref());
    }

    /// A line about the work, such as progress.
    pub fn note(&self, text: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    }

    /// Asks a person; without a terminal nobody can, and `hint` says what to do.
    pub fn confirm(&self, question: &str, hint: &str) -> anyhow::Result<bool> {
        if !io::stdin().is_terminal() {
            return Err(Failure::new("nobody can be asked whether to go on", hint).into());
        }
        let mut stderr = io::stderr().lock();
        write!(stderr, "{question}").and_then(|()| stderr.flush())?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// An error with its causes, on one line each.
    pub fn error(&self, error: &anyhow::Error) {
        self.note(format!("error: {error}"));
        for cause in error.chain().skip(1) {
            self.note(format!("  because: {cause}"));
        }
        if let Some(failure) = error.downcast_ref::<Failure>() {
            self.hint(failure.hint());
        }
    }

    /// Advice that belongs to the line before.
    pub fn hint(&self, text: &str) {
        self.note(format!("  hint: {text}"));
    }

    /// A value as JSON.
    pub fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut out = io::BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, io::stdout().lock());
        match serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from).and_then(|()| writeln!(out)).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Rows under a header, fitted to the terminal.
    pub fn table<const N: usize>(&self, header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(header.map(str::to_uppercase));
        for row in rows {
            table.add_row(row);
        }
        // Standard output is flushed at each line; a long table goes out at once.
        let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned()).collect();
        self.line(lines.join("\n"));
    }

    /// How to see the next page, where there is one.
    #[cfg(feature = "server")]
    pub fn next_page(&self, cursor: Option<&str>) {
        if let Some(cursor) = cursor {
            self.note(format!("more: add --cursor {cursor}"));
        }
    }

    /// Text in bold where the terminal can.
    pub fn bold(&self, text: &str) -> String {
        if self.colour { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

//! Running the node's own tools: fixed arguments, a plain environment, limits on time and output.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const OUTPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why a tool gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("`{program}` could not be run: {source}")]
    Start {
        /// Which.
        program: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// It did not end in time.
    #[error("`{program}` did not end within {} s", PATIENCE.as_secs())]
    TimedOut {
        /// Which.
        program: &'static str,
    },
    /// It did not succeed.
    #[error("`{program}` ended with {status}")]
    Failed {
        /// Which.
        program: &'static str,
        /// How.
        status: String,
    },
}

/// The standard output of a tool.
pub fn run(program: &'static str, arguments: &[&str]) -> Result<String, CommandError> {
    let start = |source| CommandError::Start { program, source };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(start)?;
    let stdout = child.stdout.take().expect("the output is piped");
    let (send, receive) = mpsc::channel();
    // The reader ends when the output does; a tool that hangs is killed, which ends it too.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes);
        let _ = send.send(read.map(|_| bytes));
    });
    let Ok(read) = receive.recv_timeout(PATIENCE) else {
        // It may have ended by itself in this very moment.
        let _ = child.kill();
        let _ = child.wait();
        return Err(CommandError::TimedOut { program });
    };
    let bytes = read.map_err(start)?;
    let status = child.wait().map_err(start)?;
    if status.success() { Ok(String::from_utf8_lossy(&bytes).into_owned()) } else { Err(CommandError::Failed { program, status: status.to_string() }) }
}

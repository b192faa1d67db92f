//! Running the node's own tools: fixed arguments, a plain environment, limits on time and output.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::root::Root;

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
        source: io::Error,
    },
    /// It did not end in time.
    #[error("`{program}` did not end within {seconds} s")]
    TimedOut {
        /// Which.
        program: &'static str,
        /// How long it was waited for.
        seconds: u64,
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

/// What a tool printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit code, none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The standard output of a tool that succeeds.
pub fn run(program: &'static str, arguments: &[&str]) -> Result<String, CommandError> {
    let output = output(&Root::new("/"), program, arguments, PATIENCE)?;
    match output.code {
        Some(0) => Ok(output.stdout),
        Some(code) => Err(CommandError::Failed { program, status: format!("exit code {code}") }),
        None => Err(CommandError::Failed { program, status: "a signal".to_owned() }),
    }
}

/// What a folder's own view of the machine is while something is installed in it: scripts of packages expect a
/// kernel's file systems. They are mounted in a namespace of their own, and gone with it.
const ENTER: &str = "umask 022 && mount --rbind /dev \"$0/dev\" && mount -t proc proc \"$0/proc\" && mount -t tmpfs tmpfs \"$0/run\" && exec chroot \"$0\" \"$@\"";

/// Hears each line that a tool prints, as it comes.
pub type Watch<'a> = &'a mut dyn FnMut(&str);

/// Runs a tool that changes a system. Nobody is asked anything, and in a folder no service is started.
pub fn change(root: &Root, program: &'static str, arguments: &[&str], patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let mut command = if root.is_running_system() {
        // Scripts of packages make files for everybody; this process makes none.
        let mut command = Command::new("sh");
        command.args(["-c", "umask 022 && exec \"$0\" \"$@\"", program]);
        command
    } else {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c", ENTER]).arg(root.path()).arg(program);
        command
    };
    command.args(arguments);
    let command = plain(&mut command).env("DEBIAN_FRONTEND", "noninteractive").env("NEEDRESTART_SUSPEND", "1");
    if !root.is_running_system() {
        command.env("SYSTEMD_OFFLINE", "1");
    }
    finish_in_file(command, program, patience, watch)
}

/// Runs a program that the node's administrator named, with what it is told in its environment.
pub fn hook(program: &[String], environment: &[(&str, String)], patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let [path, arguments @ ..] = program else { return Err(CommandError::Start { program: "hook", source: io::ErrorKind::InvalidInput.into() }) };
    let mut command = Command::new(path);
    let command = plain(command.args(arguments).process_group(0)).envs(environment.iter().map(|(name, value)| (name, value)));
    finish_in_file(command, "hook", patience, watch)
}

/// Runs a tool of a system; one in a folder sees that folder as its root.
pub fn output(root: &Root, program: &'static str, arguments: &[&str], patience: Duration) -> Result<Output, CommandError> {
    let mut command = if root.is_running_system() {
        Command::new(program)
    } else {
        let mut command = Command::new("chroot");
        command.arg(root.path()).arg(program);
        command
    };
    command.args(arguments);
    finish(plain(&mut command), program, patience)
}

/// A plain environment, whatever this process has.
fn plain(command: &mut Command) -> &mut Command {
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").env("HOME", "/root")
}

/// Between two looks whether a tool has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs a tool whose output goes to a file that nobody else sees. A pipe would break when this process is killed, and
/// with it a package manager in the middle of its work.
fn finish_in_file(command: &mut Command, program: &'static str, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let start = |source| CommandError::Start { program, source };
    let mut file = hidden_file().map_err(start)?;
    let (stdout, stderr) = (file.try_clone().map_err(start)?, file.try_clone().map_err(start)?);
    let mut child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().map_err(start)?;
    let mut n_looks = patience.as_millis() / PAUSE.as_millis();
    let mut lines = Lines::new();
    let status = loop {
        let ended = child.try_wait().map_err(start)?;
        lines.tell(&file, watch);
        match ended {
            Some(status) => break status,
            None if n_looks == 0 => {
                // It may have ended by itself in this very moment.
                let _ = child.kill();
                let _ = child.wait();
                return Err(CommandError::TimedOut { program, seconds: patience.as_secs() });
            }
            None => n_looks -= 1,
        }
        std::thread::sleep(PAUSE);
    };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(start)?;
    file.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes).map_err(start)?;
    Ok(Output { code: status.code(), stdout: String::from_utf8_lossy(&bytes).into_owned(), stderr: String::new() })
}

/// How far the lines of a growing file were told.
struct Lines {
    told: u64,
    piece: Vec<u8>,
}

impl Lines {
    /// Most bytes that are looked at in one go.
    const PIECE_BYTES: usize = 64 * 1024;

    fn new() -> Self {
        Self { told: 0, piece: vec![0; Self::PIECE_BYTES] }
    }

    fn tell(&mut self, file: &File, watch: Watch<'_>) {
        // What cannot be read now is told the next time, or never: it is only for whoever watches.
        let Ok(n) = file.read_at(&mut self.piece, self.told) else { return };
        let Some(end) = self.piece[..n].iter().rposition(|byte| *byte == b'\n') else { return };
        self.told += end as u64 + 1;
        String::from_utf8_lossy(&self.piece[..end]).lines().for_each(watch);
    }
}

/// A file without a name, where only root may make one.
fn hidden_file() -> io::Result<File> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let path = format!("/run/fettle-{}-{}.log", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

fn finish(command: &mut Command, program: &'static str, patience: Duration) -> Result<Output, CommandError> {
    let start = |source| CommandError::Start { program, source };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(start)?;
    let stdout = read(child.stdout.take().expect("the output is piped"));
    let stderr = read(child.stderr.take().expect("the output is piped"));
    let (Ok(stdout), Ok(stderr)) = (stdout.recv_timeout(patience), stderr.recv_timeout(patience)) else {
        // It may have ended by itself in this very moment.
        let _ = child.kill();
        let _ = child.wait();
        return Err(CommandError::TimedOut { program, seconds: patience.as_secs() });
    };
    let text = |bytes: io::Result<Vec<u8>>| Ok(String::from_utf8_lossy(&bytes.map_err(start)?).into_owned());
    Ok(Output { code: child.wait().map_err(start)?.code(), stdout: text(stdout)?, stderr: text(stderr)? })
}

/// Reads a stream to its end on a thread of its own. It ends when the stream does: a tool that hangs is
/// killed, which ends that too.
fn read(stream: impl Read + Send + 'static) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stream.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes);
        let _ = send.send(read.map(|_| bytes));
    });
    receive
}

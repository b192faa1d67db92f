//! Running the program, small systems to scan, and a server on a port of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The program with a cache folder of its own.
pub fn fettle(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fettle"));
    command.env("XDG_CACHE_HOME", cache).env("NO_COLOR", "1").env_remove("FETTLE_DATA").env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn run(cache: &Path, arguments: &[&str]) -> Ended {
    let output = fettle(cache).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A Debian system of two packages, one of which has a security update.
pub fn small_system(with_update: bool) -> tempfile::TempDir {
    let root = testkit::folder();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "var/lib/dpkg/status",
        "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12\nPriority: required\n\nPackage: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.88-1\nPriority: optional\nSection: web\n",
    );
    write("etc/os-release", "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    write("etc/hostname", "small\n");
    write("etc/apt/sources.list", "deb http://deb.example/debian bookworm main\ndeb http://deb.example/security bookworm-security main\n");
    let lists = "var/lib/apt/lists/deb.example_";
    let signed = "-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Debian\n";
    write(&format!("{lists}debian_dists_bookworm_InRelease"), &format!("{signed}Label: Debian\nCodename: bookworm\n"));
    write(&format!("{lists}debian_dists_bookworm_main_binary-amd64_Packages"), "Package: curl\nVersion: 7.88-1\nArchitecture: amd64\nPriority: optional\n");
    write(&format!("{lists}security_dists_bookworm-security_InRelease"), &format!("{signed}Label: Debian-Security\nCodename: bookworm-security\n"));
    let update = if with_update { "Package: curl\nVersion: 7.88-1+deb12u1\nArchitecture: amd64\nPriority: optional\nSection: web\n" } else { "" };
    write(&format!("{lists}security_dists_bookworm-security_main_binary-amd64_Packages"), update);
    root
}

/// A running `fettle up`.
pub struct Up {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub printed: String,
    pub url: String,
    pub link: String,
}

impl Up {
    /// Starts it and waits for its sign-in link.
    pub fn start(data: &Path, cache: &Path) -> Self {
        Self::start_with(data, cache, &[])
    }

    /// The same with more arguments.
    pub fn start_with(data: &Path, cache: &Path, more: &[&str]) -> Self {
        Self::start_at(data, cache, &free_address(), more)
    }

    /// The same at an address of the caller's choice.
    pub fn start_at(data: &Path, cache: &Path, listen: &str, more: &[&str]) -> Self {
        let mut child =
            fettle(cache).args(["up", "--no-refresh", "--listen", listen]).arg("--data").arg(data).args(more).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut up = Self { child, stdout, printed: String::new(), url: String::new(), link: String::new() };
        while up.link.is_empty() {
            let line = up.read_line();
            if let Some(link) = line.trim().strip_prefix("sign in ") {
                link.trim().clone_into(&mut up.link);
            } else if let Some(url) = line.trim().strip_prefix("console ") {
                url.trim().clone_into(&mut up.url);
            }
        }
        up
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "the server ended: {}", self.printed);
        self.printed.push_str(&line);
        line
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Presses Ctrl-C and waits; the exit code.
    pub fn interrupt(mut self) -> i32 {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nothing listens on at this moment.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Asks again and again until the answer is there; for what another process does in its own time.
#[track_caller]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let (_keep_open, never) = mpsc::channel::<()>();
    for _ in 0..600 {
        if let Some(answer) = ask() {
            return answer;
        }
        let _ = never.recv_timeout(Duration::from_millis(50));
    }
    panic!("{what} did not come");
}

//! A throw-away PostgreSQL on a socket in a temporary folder.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

/// A running server; stopped and removed when dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl Postgres {
    /// Starts a server of the newest installed version. It is quick and loses data in a power cut.
    pub fn start() -> Self {
        Self::start_with("-c fsync=off")
    }

    /// The same with every commit on the disk, for measurements.
    pub fn start_durable() -> Self {
        Self::start_with("-c fsync=on")
    }

    fn start_with(durability: &str) -> Self {
        let programs = newest_programs();
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (user, group) = postgres_user();
        chown(folder.path(), Some(user), Some(group)).expect("the folder can be given to the user `postgres`");
        let server = Self { folder, programs };
        let data = server.path("data");
        server.run("initdb", &["-D", &data, "-A", "trust", "-U", "postgres", "--no-sync", "--locale=C", "-E", "UTF8"]);
        let options = format!("-c listen_addresses='' -c unix_socket_directories={} {durability} -c max_connections=50", server.folder.path().display());
        server.run("pg_ctl", &["-D", &data, "-w", "-s", "-l", &server.path("log"), "-o", &options, "start"]);
        server
    }

    /// Where to connect to.
    pub fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.folder.path().display())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let (user, group) = postgres_user();
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]).arg(self.programs.join(program)).args(arguments);
        let output = command.current_dir("/").output().expect("setpriv starts");
        assert!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", &self.path("data"), "-m", "immediate", "-s", "stop"]);
    }
}

fn newest_programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed (`cargo xtask test` does it)");
    let newest = versions.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max().expect("a version of PostgreSQL is installed");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// PostgreSQL refuses to run as root, so it runs as its own user.
fn postgres_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("the user database can be read");
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("there is a user `postgres`");
    let mut numbers = line.split(':').skip(2).map(|field| field.parse().expect("user ids are numbers"));
    (numbers.next().expect("a user has an id"), numbers.next().expect("a user has a group"))
}

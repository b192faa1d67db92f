//! A server and real nodes, for tests of both.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;
use testkit::testbed::{NodeOptions, SERVER, Testbed};

use crate::harness::wait_for;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_fettle");

/// A test bed with a server.
pub struct Fleet {
    /// The nodes.
    pub bed: Testbed,
    /// The server's folder.
    pub data: tempfile::TempDir,
    server: Child,
}

impl Fleet {
    pub fn start() -> Self {
        let (bed, data) = (Testbed::start(Path::new(PROGRAM)), testkit::folder());
        let server = start_server(&bed, data.path());
        Self { bed, data, server }
    }

    pub fn restart_server(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
        self.server = start_server(&self.bed, self.data.path());
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.bed.at_server(Path::new(PROGRAM)).args(arguments).args(["--format", "json", "--data"]).arg(self.data.path()).output().unwrap();
        let log = || fs::read_to_string(self.data.path().join("log")).unwrap_or_default();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}{}", String::from_utf8_lossy(&output.stderr), log()))
    }

    pub fn run(&self, arguments: &[&str]) {
        let output = self.bed.at_server(Path::new(PROGRAM)).args(arguments).arg("--data").arg(self.data.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn nodes(&self) -> Vec<Value> {
        self.json(&["node", "list", "--sort", "name"])["items"].as_array().unwrap().clone()
    }

    pub fn node(&self, name: &str) -> Option<Value> {
        self.nodes().into_iter().find(|node| node["name"] == name)
    }

    pub fn wait_for_presence(&self, name: &str, presence: &str) {
        wait_for(&format!("{name} to be {presence}"), || self.node(name).filter(|node| node["presence"] == presence));
    }

    pub fn code(&self) -> String {
        self.json(&["activation", "create", "--limit", "10", "--tag", "bed=test"])["code"].as_str().unwrap().to_owned()
    }

    pub fn add(&mut self, name: &str, options: NodeOptions, code: &str) {
        self.bed.add(name, options);
        self.bed.shell(name, &format!("fettle agent enroll --server https://{SERVER}:7300 --activation {code}"));
    }

    pub fn reports(&self, name: &str) -> Vec<Value> {
        self.json(&["node", "reports", name, "--limit", "500"])["items"].as_array().unwrap().clone()
    }

    pub fn events(&self, name: &str, kind: &str) -> Vec<Value> {
        self.json(&["node", "events", name]).as_array().unwrap().iter().filter(|event| event["kind"] == kind).cloned().collect()
    }

    /// The program at the server; how it ended, and all that it printed.
    pub fn fettle(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.bed.at_server(Path::new(PROGRAM)).args(arguments).arg("--data").arg(self.data.path()).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }

    /// Saves a baseline that approves everything, and lets it judge every node.
    pub fn approve_all(&self, sources: &str) {
        let document = self.data.path().join("all.yaml");
        let rules = "schema: baseline/v1\nname: all\noperating_system: DEBIAN\napproval_rules: [{approve_after_days: 0, enable_non_security: true}]\n";
        fs::write(&document, format!("{rules}{sources}")).unwrap();
        self.run(&["baseline", "save", "-f", document.to_str().unwrap()]);
        self.run(&["baseline", "assign", "all"]);
    }

    /// Waits until a node has reported once more.
    pub fn wait_for_report(&self, name: &str) {
        let last_scan_at = || self.node(name).unwrap()["last_scan_at"].clone();
        let before = last_scan_at();
        wait_for(&format!("one more report of {name}"), || (last_scan_at() != before).then_some(()));
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn start_server(bed: &Testbed, data: &Path) -> Child {
    let mut command = bed.at_server(Path::new(PROGRAM));
    command.args(["up", "--no-local-node", "--listen", "0.0.0.0:7300", "--scan-every", "2", "--poll-for", "1", "--late-after", "5", "--silent-after", "12", "--data"]).arg(data);
    let log = File::options().create(true).append(true).open(data.join("log")).unwrap();
    let mut server = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("sign in")), "the server did not start");
    server
}

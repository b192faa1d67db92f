//! A server and an agent of this machine, over real mutual TLS on loopback. The agent reads the
//! machine and changes nothing but its own folder.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

use agent::config::AgentConfig;
use agent::enroll;
use agent::state::StateFolder;
use agent::transport::{Transport, Trust};
use api::agent_v1::Hello;
use api::error::ErrorCode;

use crate::harness::{Ended, Up, fettle, run, wait_for};

struct Installation {
    data: tempfile::TempDir,
    node: tempfile::TempDir,
    up: Up,
}

impl Installation {
    fn start() -> Self {
        Self::start_with(&["--poll-for", "2"])
    }

    fn start_with(more: &[&str]) -> Self {
        let (data, node) = (testkit::folder(), testkit::folder());
        let up = Up::start_with(data.path(), node.path(), &[&["--no-local-node", "--scan-every", "3600"], more].concat());
        Self { data, node, up }
    }

    fn ask(&self, arguments: &[&str]) -> Ended {
        run(self.node.path(), &[arguments, &["--data", self.data.path().to_str().unwrap()]].concat())
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let ended = self.ask(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", ended.stdout, ended.stderr))
    }

    fn code(&self, more: &[&str]) -> String {
        self.json(&[&["activation", "create"], more].concat())["code"].as_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.node.path().join(name).display().to_string()
    }

    fn enroll(&self, code: &str) -> Ended {
        self.enroll_with(code, &[])
    }

    fn enroll_with(&self, code: &str, more: &[&str]) -> Ended {
        let (config, state) = (self.path("agent.yaml"), self.path("state"));
        let arguments = ["agent", "enroll", "--server", &self.server(), "--activation", code, "--config", &config, "--state", &state, "--no-service"];
        run(self.node.path(), &[arguments.as_slice(), more].concat())
    }

    fn server(&self) -> String {
        self.up.url.replace("http://", "https://")
    }

    fn run_agent(&self) -> Agent {
        let config = self.path("agent.yaml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text + "cloud_metadata: false\n").unwrap();
        let log = fs::File::create(self.node.path().join("log")).unwrap();
        Agent(fettle(self.node.path()).args(["agent", "run", "--config", &config]).stderr(log).stdout(Stdio::null()).spawn().unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.node.path().join("log")).unwrap()
    }

    /// The only node, once it has reported.
    fn reported_node(&self) -> serde_json::Value {
        wait_for("a report", || self.json(&["node", "list"])["items"][0].as_object().filter(|node| !node["last_scan_at"].is_null()).cloned()).into()
    }
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_node_joins_reports_does_what_it_is_asked_and_leaves() {
    let installation = Installation::start();
    assert_eq!(installation.ask(&["account", "create", "shop"]).code, 0);
    assert_eq!(installation.ask(&["region", "create", "north"]).code, 0);
    let code = installation.code(&["--account", "shop", "--region", "north", "--tag", "env=prod"]);
    let joined = installation.enroll(&code);
    assert_eq!(joined.code, 0, "{}", joined.stderr);
    assert!(joined.stdout.contains("joined https://127.0.0.1:") && joined.stderr.contains("the server may: scan"), "{}{}", joined.stdout, joined.stderr);
    let mut agent = installation.run_agent();

    let node = installation.reported_node();
    let id = node["id"].as_str().unwrap();
    assert_eq!((&node["account"], &node["region"], &node["tags"]["env"], &node["presence"]), (&"shop".into(), &"north".into(), &"prod".into(), &"online".into()));
    let inventory = installation.json(&["node", "packages", id]);
    assert!(inventory["packages"].as_array().unwrap().len() > 50 && inventory["packages"][0]["installed_at"].is_string());
    assert!(inventory["host"]["hardware"]["memory_mib"].as_u64().unwrap() > 0);
    let detail = installation.json(&["node", "show", id]);
    assert!(!detail["reasons"].as_array().unwrap().is_empty(), "{detail}");

    let operation = installation.json(&["node", "scan", id])["id"].as_str().unwrap().to_owned();
    wait_for("the scan", || installation.log().contains(&format!("order {operation}: scan")).then_some(()));
    assert_eq!(installation.ask(&["key", "rotate", "orders"]).code, 0);
    wait_for("the new key", || installation.log().contains(": trust").then_some(()));
    let operation = installation.json(&["node", "scan", id])["id"].as_str().unwrap().to_owned();
    wait_for("an order by the new key", || installation.log().contains(&format!("order {operation}: scan")).then_some(()));

    let operation = installation.json(&["node", "renew", id])["id"].as_str().unwrap().to_owned();
    wait_for("the new certificate", || installation.log().contains("the certificate is renewed").then_some(()));
    wait_for("its order's end", || installation.log().contains(&format!("order {operation}: renew")).then_some(()));
    assert_eq!(installation.ask(&["node", "report-again", id]).code, 0);
    wait_for("the whole report", || installation.log().contains(": report").then_some(()));

    assert_eq!(installation.ask(&["node", "tag", id, "--set", "env=test", "--set", "owner=ada"]).code, 0);
    assert_eq!(installation.json(&["node", "list", "--tag", "env=test", "--tag", "owner"])["items"].as_array().unwrap().len(), 1);
    assert_eq!(installation.ask(&["node", "tag", id, "--remove", "env"]).code, 0);
    assert_eq!(installation.json(&["node", "list", "--tag", "env=prod"])["items"].as_array().unwrap().len(), 1, "the activation's tag is back");

    assert_eq!(installation.ask(&["node", "retire", id]).code, 0);
    assert_eq!(wait_for("the agent's end", || agent.0.try_wait().unwrap()).code(), Some(0), "{}", installation.log());
    assert!(!Path::new(&installation.path("state/key.pem")).exists());
    assert_eq!(installation.json(&["node", "list"])["items"].as_array().unwrap().len(), 0);
}

#[test]
fn a_server_that_was_killed_finds_everything_again_and_its_agent_comes_back() {
    let mut installation = Installation::start();
    assert_eq!(installation.enroll(&installation.code(&[])).code, 0);
    let _agent = installation.run_agent();
    let node = installation.reported_node();
    let listen = installation.up.url.trim_start_matches("http://").to_owned();
    installation.up.kill();
    wait_for("the agent to notice", || installation.log().contains("the server is away").then_some(()));
    installation.up = Up::start_at(installation.data.path(), installation.node.path(), &listen, &["--no-local-node", "--poll-for", "2"]);
    wait_for("the agent", || (installation.log().matches("connected to").count() == 2).then_some(()));
    let again = installation.reported_node();
    for field in ["id", "n_packages", "counts", "last_scan_at"] {
        assert_eq!(node[field], again[field], "{field}");
    }
    assert_eq!(installation.json(&["node", "list"])["items"].as_array().unwrap().len(), 1);
}

#[test]
fn what_must_not_join_is_refused_by_name() {
    let installation = Installation::start();
    let check = |code: &str, words: &str| {
        let ended = installation.enroll(code);
        assert!(ended.code == 1 && ended.stderr.contains(words), "{code}: {}", ended.stderr);
        assert!(!Path::new(&installation.path("agent.yaml")).exists(), "nothing is left behind");
    };
    let code = installation.code(&[]);
    let (secret, fingerprint) = code.split_once('.').unwrap();
    check("nonsense", "is not an activation code");
    check(&format!("{}.{fingerprint}", "0".repeat(32)), "the activation code is not known");
    check(&format!("{secret}.{}", "0".repeat(32)), "failed to join the server");
    let list = installation.json(&["activation", "list"]);
    assert_eq!(installation.ask(&["activation", "revoke", list["items"][0]["id"].as_str().unwrap()]).code, 0);
    check(&code, "the activation is revoked");

    let used_up = installation.code(&[]);
    assert_eq!(installation.enroll(&used_up).code, 0);
    assert_eq!(installation.enroll(&used_up).code, 0, "the same machine may come again");
    assert_eq!(installation.json(&["node", "list"])["items"].as_array().unwrap().len(), 1, "and is the same node");
    for mistake in [["activation", "create", "--expires", "30"].as_slice(), &["activation", "create", "--limit", "0"], &["activation", "create", "--account", "nowhere"]] {
        assert_ne!(installation.ask(mistake).code, 0, "{mistake:?}");
    }
}

#[tokio::test]
async fn a_stolen_certificate_is_refused_at_once_when_its_node_is_retired() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let installation = Installation::start();
    assert_eq!(installation.enroll(&installation.code(&[])).code, 0);
    let state = StateFolder::open(Path::new(&installation.path("state"))).unwrap();
    let (key, certificate, authorities) = state.credentials().unwrap().unwrap();
    let thief = Transport::new(&installation.server(), None, &Trust::Authorities(authorities), Some((&key, &certificate))).unwrap();
    let identity = state.identity().unwrap().unwrap().identity;
    let hello = Hello { presented: enroll::present(&AgentConfig::new(&installation.server(), Path::new("/nowhere")), identity), generation: 0 };
    thief.hello(&hello).await.unwrap();
    let node = installation.json(&["node", "list"])["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(installation.ask(&["node", "retire", &node]).code, 0);
    // On the connection that is open already, too.
    assert_eq!(thief.hello(&hello).await.unwrap_err().code(), Some(ErrorCode::CertificateRevoked));
}

/// A proxy as companies have them: it opens what it is asked to, and passes bytes.
fn start_proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let mut server = TcpStream::connect(head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap()).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut to, mut from) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
            std::thread::spawn(move || drop(std::io::copy(&mut server, &mut client)));
        }
    });
    address
}

#[test]
fn an_order_reaches_an_idle_node_through_a_proxy_long_before_its_question_ends() {
    let installation = Installation::start_with(&["--poll-for", "600", "--late-after", "900"]);
    assert_eq!(installation.enroll_with(&installation.code(&[]), &["--proxy", &start_proxy()]).code, 0);
    let _agent = installation.run_agent();
    let node = installation.reported_node()["id"].as_str().unwrap().to_owned();
    let operation = installation.json(&["node", "scan", &node])["id"].as_str().unwrap().to_owned();
    wait_for("the order", || installation.log().contains(&format!("order {operation}: scan")).then_some(()));
    assert!(fs::read_to_string(installation.path("agent.yaml")).unwrap().contains("proxy: http://127.0.0.1:"));
}

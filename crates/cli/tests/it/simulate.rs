//! The load tool against a real server: what it counts, and that a herd loses nothing.

use std::process::Stdio;

use crate::harness::{Up, fettle, run, wait_for};

const PACKAGES: &str = "\n\nPackage: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12\nPriority: required\n";

/// A Debian system of some packages.
fn system() -> tempfile::TempDir {
    let root = crate::harness::small_system(true);
    let status = root.path().join("var/lib/dpkg/status");
    let more: String = (0..60).map(|number| PACKAGES.replace("base-files", &format!("package-{number:02}"))).collect();
    std::fs::write(&status, std::fs::read_to_string(&status).unwrap().trim_end().to_owned() + &more).unwrap();
    root
}

fn code(up: &Up, data: &std::path::Path, cache: &std::path::Path, limit: &str) -> String {
    let created = run(cache, &["activation", "create", "--limit", limit, "--format", "json", "--data", data.to_str().unwrap()]);
    let created: serde_json::Value = serde_json::from_str(&created.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", created.stderr, up.url));
    created["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_herd_that_meets_a_killed_server_loses_nothing_that_was_acknowledged() {
    let (data, cache, root) = (testkit::folder(), testkit::folder(), system());
    let mut up = Up::start_with(data.path(), cache.path(), &["--no-local-node"]);
    let listen = up.url.trim_start_matches("http://").to_owned();
    let code = code(&up, data.path(), cache.path(), "200");
    let server = up.url.replace("http://", "https://");
    let notes = cache.path().join("notes");
    let simulation = fettle(cache.path())
        .args(["simulate", "--server", &server, "--activation", &code, "--nodes", "200", "--images", "5", "--changes", "1", "--check-ins", "2", "--herd", "4", "--format", "json"])
        .arg("--root")
        .arg(root.path())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&notes).unwrap())
        .spawn()
        .unwrap();
    wait_for("the herd", || std::fs::read_to_string(&notes).unwrap().contains("the herd wakes").then_some(()));
    up.kill();
    let _up = Up::start_at(data.path(), cache.path(), &listen, &["--no-local-node"]);
    let output = simulation.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", std::fs::read_to_string(&notes).unwrap());
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let done: Vec<_> = figures["phases"].as_array().unwrap().iter().map(|phase| (phase["name"].as_str().unwrap(), phase["n_done"].as_u64().unwrap())).collect();
    assert_eq!(done, [("enroll", 200), ("connect", 200), ("report in full", 200), ("report a change", 200), ("check in", 400)]);
    let herd = &figures["herd"];
    assert_eq!((&herd["phase"]["n_done"], &herd["n_lost"]), (&200.into(), &0.into()), "{herd}");
    let nodes = run(cache.path(), &["node", "list", "--format", "json", "--limit", "500", "--data", data.path().to_str().unwrap()]);
    let nodes: serde_json::Value = serde_json::from_str(&nodes.stdout).unwrap();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 200);
    assert!(nodes["items"].as_array().unwrap().iter().all(|node| node["n_packages"] == 62));
}

#[test]
fn what_cannot_be_simulated_is_refused_by_name() {
    let (cache, root) = (testkit::folder(), system());
    let root = root.path().to_str().unwrap();
    let check = |arguments: &[&str], words: &str| {
        let ended = run(cache.path(), &[&["simulate", "--activation", "x.y"], arguments].concat());
        assert!(ended.code == 1 && ended.stderr.contains(words), "{}", ended.stderr);
    };
    check(&["--server", "http://127.0.0.1:1", "--root", root], "is not the address of a server");
    check(&["--server", "https://127.0.0.1:1", "--root", root, "--nodes", "1"], "failed to enroll as node 0");
    check(&["--server", "https://127.0.0.1:1", "--root", cache.path().to_str().unwrap()], "failed to read the system to simulate");
    check(&["--server", "https://127.0.0.1:1", "--root", root, "--nodes", "1000000"], "nodes need as many connections");
}

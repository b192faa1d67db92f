//! The load tool against a real server: what it counts, and that a herd loses nothing.

use std::path::Path;
use std::process::{Child, Stdio};

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

const N_NODES: usize = 200;
const RINGS: &str = "rings: [{name: first, percent: 10, concurrency: '4'}, {name: rest, concurrency: '10'}]\n";

/// A server on a shared database; it may lead or stand by.
fn start_server(cache: &Path, data: &Path, listen: &str, database: &str) -> Child {
    let mut command = fettle(cache);
    command.args(["up", "--no-local-node", "--listen", listen, "--database", database, "--data"]).arg(data);
    let log = || std::fs::File::options().create(true).append(true).open(data.join("log")).unwrap();
    command.stdout(log()).stderr(log()).spawn().unwrap()
}

#[test]
fn servers_on_one_database_give_each_order_once_whichever_is_killed() {
    let (cache, root, postgres) = (testkit::folder(), system(), testkit::postgres::Postgres::start());
    let folders = [testkit::folder(), testkit::folder()];
    let listen = crate::harness::free_address();
    let log = |at: usize| std::fs::read_to_string(folders[at].path().join("log")).unwrap_or_default();
    let start = |at: usize| start_server(cache.path(), folders[at].path(), &listen, &postgres.url());
    let n_led = |at: usize| log(at).matches("sign in  ").count();
    let wait_until_leading = |at: usize, times: usize| wait_for("a leader", || (n_led(at) == times).then_some(()));
    let mut servers = [Some(start(0)), None];
    wait_until_leading(0, 1);
    // Servers of one installation have the same keys.
    let copied = std::process::Command::new("cp").arg("-r").arg(folders[0].path().join("keys")).arg(folders[1].path()).status().unwrap();
    assert!(copied.success());
    servers[1] = Some(start(1));
    wait_for("a server that stands by", || log(1).contains("standing by").then_some(()));

    let of = |at: usize, arguments: &[&str]| run(cache.path(), &[arguments, &["--data", folders[at].path().to_str().unwrap()]].concat());
    let baseline = cache.path().join("all.yaml");
    std::fs::write(&baseline, "schema: baseline/v1\nname: all\noperating_system: DEBIAN\napproval_rules: [{approve_after_days: 0, enable_non_security: true}]\n").unwrap();
    for arguments in [&["baseline", "save", "-f", baseline.to_str().unwrap()][..], &["baseline", "assign", "all"]] {
        let saved = of(0, arguments);
        assert_eq!(saved.code, 0, "{}", saved.stderr);
    }
    let created = of(0, &["activation", "create", "--limit", "200", "--format", "json"]);
    let code = serde_json::from_str::<serde_json::Value>(&created.stdout).unwrap()["code"].as_str().unwrap().to_owned();
    let notes = cache.path().join("notes");
    let simulation = fettle(cache.path())
        .args(["simulate", "--server", &format!("https://{listen}"), "--activation", &code, "--nodes", "200", "--images", "5", "--changes", "0", "--check-ins", "0"])
        .args(["--installs", "--format", "json", "--root"])
        .arg(root.path())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&notes).unwrap())
        .spawn()
        .unwrap();
    wait_for("the nodes", || std::fs::read_to_string(&notes).unwrap().contains("every node waits").then_some(()));
    let rings = cache.path().join("rings.yaml");
    std::fs::write(&rings, RINGS).unwrap();
    let begun = of(0, &["operation", "start", "--everyone", "--rollout", rings.to_str().unwrap(), "--detach", "--format", "json"]);
    let id = serde_json::from_str::<serde_json::Value>(&begun.stdout).unwrap_or_else(|error| panic!("{error}: {}", begun.stderr))["id"].as_str().unwrap().to_owned();
    let operation = |at: usize| serde_json::from_str::<serde_json::Value>(&of(at, &["operation", "show", &id, "--format", "json"]).stdout).ok();
    let n_done = |operation: &serde_json::Value| operation["invocations"].as_array().unwrap().iter().filter(|part| part["state"] == "SUCCEEDED").count();

    // The moments follow from a seed: in the first ring, between the rings, and in the second.
    let mut chance = domain::model::chance::Chance::seeded(7);
    let mut leader = 0;
    for (least, spread) in [(1, 15), (21, 40), (80, 60)] {
        let kill_at = least + usize::try_from(chance.below(spread)).unwrap();
        wait_for("the moment", || operation(leader).filter(|operation| n_done(operation) >= kill_at.min(N_NODES - 10)));
        let mut killed = servers[leader].take().unwrap();
        killed.kill().unwrap();
        killed.wait().unwrap();
        let next = 1 - leader;
        wait_until_leading(next, n_led(next) + 1);
        servers[leader] = Some(start(leader));
        leader = next;
    }
    let ended = wait_for("its end", || operation(leader).filter(|operation| operation["state"] == "ENDED"));
    let output = simulation.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", std::fs::read_to_string(&notes).unwrap());
    let installs = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["installs"].clone();
    assert_eq!((&installs["n_installs"], n_done(&ended)), (&N_NODES.into(), N_NODES), "each node did it once: {installs}");
    assert!(installs["n_at_work_at_most"].as_u64().unwrap() <= 10, "{installs}");
    // The second ring began after the last node of the first had ended.
    let times = |ring: &str, key: &str| -> Vec<String> {
        let parts = ended["invocations"].as_array().unwrap().iter().filter(|part| part["ring"] == ring);
        parts.filter_map(|part| Some(part[key].as_str()?.to_owned())).collect()
    };
    assert!(times("first", "finished_at").into_iter().max() <= times("rest", "started_at").into_iter().min());
    for server in servers.iter_mut().flatten() {
        let _ = server.kill();
        let _ = server.wait();
    }
}

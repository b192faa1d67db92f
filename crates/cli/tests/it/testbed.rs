//! Real nodes with systemd, each in its own namespaces, and the server on an address of its own.

use std::path::Path;
use std::process::Stdio;

use domain::model::time::{HOUR_MS, Timestamp};
use serde_json::Value;
use testkit::testbed::{LinkQuality, NodeOptions};

use crate::fleet::{Fleet, PROGRAM};
use crate::harness::wait_for;

#[test]
fn five_nodes_live_through_a_partition_a_killed_server_and_a_reboot() {
    let mut fleet = Fleet::start();
    let code = fleet.code();
    for name in ["n1", "n2", "n3", "n4", "n5"] {
        fleet.add(name, NodeOptions::default(), &code);
    }
    wait_for("five reports", || (fleet.nodes().iter().filter(|node| !node["last_scan_at"].is_null()).count() == 5).then_some(()));
    assert_eq!(fleet.bed.shell("n1", "systemctl is-active fettle-agent.service").trim(), "active");
    let host = fleet.json(&["node", "packages", "n1"])["host"].clone();
    assert!(host["services"].as_array().unwrap().iter().any(|service| service["name"] == "fettle-agent.service" && service["active"] == "active"));
    assert_eq!(host["interfaces"][0]["addresses"][0], "10.77.0.2/16");

    // A partition: late, then silent; what was found meanwhile comes in its order.
    fleet.bed.partition("n2");
    fleet.wait_for_presence("n2", "late");
    for number in 1..=3 {
        fleet.bed.shell("n2", &format!("mkdir -p /etc/fettle/inventory.d && echo '{{\"change\": {number}}}' > /etc/fettle/inventory.d/test.json"));
        let kept = format!("grep -l test /var/lib/fettle-agent/contents/* | xargs grep -l 'change.:{number}' && ls /var/lib/fettle-agent/outbox/");
        wait_for("a kept report", || (!fleet.bed.shell("n2", &format!("{kept} || true")).is_empty()).then_some(()));
    }
    fleet.wait_for_presence("n2", "silent");
    assert_eq!(fleet.node("n1").unwrap()["presence"], "online", "the others are not touched");
    let before = fleet.reports("n2").len();
    fleet.bed.heal("n2");
    fleet.wait_for_presence("n2", "online");
    let reports = wait_for("the kept reports", || Some(fleet.reports("n2")).filter(|reports| reports.len() >= before + 3));
    let collected: Vec<_> = reports.iter().map(|report| report["collected_at"].as_str().unwrap()).collect();
    assert!(collected.is_sorted_by(|newer, older| newer >= older), "{collected:?}");
    assert_eq!(fleet.json(&["node", "packages", "n2"])["host"]["custom"]["test"]["change"], 3);
    let asked_for = fleet.json(&["node", "list", "--tag", "custom:test.change=3"]);
    assert_eq!(asked_for["items"].as_array().unwrap().iter().map(|node| node["name"].clone()).collect::<Vec<_>>(), ["n2"]);

    // The server is killed while a node changes and reports all the time.
    let ids: Vec<_> = fleet.nodes().iter().map(|node| node["id"].clone()).collect();
    fleet.bed.shell("n3", "mkdir -p /etc/fettle/inventory.d; (i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i > /etc/fettle/inventory.d/n.new; mv /etc/fettle/inventory.d/n.new /etc/fettle/inventory.d/n.json; sleep 0.1; done) > /dev/null 2>&1 &");
    for _ in 0..3 {
        let reported = fleet.reports("n3").len();
        wait_for("a report to be under way", || (fleet.reports("n3").len() > reported).then_some(()));
        fleet.restart_server();
    }
    wait_for("five nodes again", || (fleet.nodes().iter().filter(|node| node["presence"] == "online").count() == 5).then_some(()));
    assert_eq!(fleet.nodes().iter().map(|node| node["id"].clone()).collect::<Vec<_>>(), ids, "nothing is lost, nothing double");
    wait_for("the last change", || (fleet.json(&["node", "packages", "n3"])["host"]["custom"]["n"] == 400).then_some(()));
    let mut collected: Vec<_> = fleet.reports("n3").iter().map(|report| report["collected_at"].clone()).collect();
    let n_reports = collected.len();
    collected.dedup();
    assert_eq!(collected.len(), n_reports, "no report is there twice");

    // A reboot is a reboot, not a clone.
    let booted_at = fleet.json(&["node", "packages", "n1"])["host"]["booted_at"].clone();
    fleet.bed.reboot("n1");
    fleet.wait_for_presence("n1", "online");
    assert!(!booted_at.is_null() && fleet.events("n1", "clone_detected").is_empty());
}

#[test]
fn a_node_survives_a_full_disk_hunger_a_bad_link_a_wrong_clock_and_power_cuts() {
    let mut fleet = Fleet::start();
    let code = fleet.code();
    for name in ["n1", "n2"] {
        fleet.add(name, NodeOptions { disk_mib: Some(64), ..NodeOptions::default() }, &code);
    }
    wait_for("two reports", || (fleet.nodes().iter().filter(|node| !node["last_scan_at"].is_null()).count() == 2).then_some(()));
    let id = fleet.node("n1").unwrap()["id"].clone();

    // A disk without room: reported, and survived.
    let says_full = |fleet: &Fleet| fleet.json(&["node", "show", "n1"])["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "disk_full");
    fleet.bed.fill_disk("n1");
    wait_for("the full disk", || says_full(&fleet).then_some(()));
    fleet.bed.free_disk("n1");
    wait_for("room again", || (!says_full(&fleet)).then_some(()));

    // Memory runs out: something else is killed, or the agent is and comes back.
    fleet.bed.starve("n1", Some(64));
    fleet.bed.shell("n1", "! tail /dev/zero 2> /dev/null");
    fleet.bed.starve("n1", None);
    fleet.wait_for_report("n1");

    // A slow link that loses frames, then a killed agent and a power cut on it.
    fleet.bed.disturb("n1", LinkQuality { delay_ms: 100, loss_percent: 10 });
    fleet.wait_for_report("n1");
    fleet.bed.kill_agent("n1");
    fleet.wait_for_report("n1");
    fleet.bed.crash("n1");
    fleet.wait_for_report("n1");
    fleet.bed.heal("n1");

    // A clock that is a day ahead, or behind: orders are obeyed, and times are the server's.
    for seconds in [86_400, -86_400] {
        fleet.bed.skew("n1", seconds);
        wait_for("the skewed clock", || {
            fleet.bed.shell("n1", "cat /proc/$(systemctl show -P MainPID fettle-agent)/environ | tr '\\0' '\\n'").contains(&format!("{seconds:+}")).then_some(())
        });
        let operation = fleet.json(&["node", "scan", "n1"])["id"].as_str().unwrap().to_owned();
        wait_for("the order", || fleet.bed.shell("n1", "journalctl -u fettle-agent.service").contains(&format!("order {operation}: scan")).then_some(()));
        fleet.wait_for_report("n1");
        let [scanned, other] = ["n1", "n2"].map(|name| Timestamp::parse_rfc3339(fleet.node(name).unwrap()["last_scan_at"].as_str().unwrap()).unwrap());
        assert!((scanned.as_millis() - other.as_millis()).abs() < HOUR_MS, "{scanned} is not about {other}");
    }
    assert!(fleet.events("n1", "order_refused").is_empty() && fleet.events("n1", "clone_detected").is_empty());
    assert_eq!(fleet.node("n1").unwrap()["id"], id);
    assert_eq!(fleet.nodes().len(), 2);
}

#[test]
fn a_copy_of_a_running_node_gets_its_own_identity_and_a_retired_node_stops() {
    let mut fleet = Fleet::start();
    let code = fleet.code();
    for name in ["n1", "n2"] {
        fleet.add(name, NodeOptions::default(), &code);
    }
    wait_for("two reports", || (fleet.nodes().iter().filter(|node| !node["last_scan_at"].is_null()).count() == 2).then_some(()));

    // Key and all.
    let original = fleet.node("n1").unwrap()["id"].clone();
    fleet.bed.add("copy", NodeOptions { clone_of: Some("n1"), ..NodeOptions::default() });
    let copy = wait_for("the clone's own node", || fleet.nodes().into_iter().find(|node| node["clone_of"] == original));
    assert_ne!(copy["id"], original);
    wait_for("the note of it", || fleet.events(original.as_str().unwrap(), "clone_detected").pop());
    wait_for("both", || (fleet.nodes().iter().filter(|node| node["presence"] == "online").count() == 3).then_some(()));

    // While its agent runs.
    fleet.run(&["node", "retire", "n2"]);
    wait_for("the agent's end", || (fleet.bed.shell("n2", "systemctl is-active fettle-agent.service || true").trim() == "inactive").then_some(()));
    assert_eq!(fleet.node("n2"), None);
}

/// What private repositories in a node offer: version 2 of `tb-a`, and of `tb-b`, whose script fails, and of `tb-c`,
/// which waits; the one of a baseline has version 3 of two.
const OFFERS: &str = r#"
set -e
build() { # folder name version script
    mkdir -p /build/$2-$3/DEBIAN $1
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Test <t@example.org>\nDescription: test\n' $2 $3 > /build/$2-$3/DEBIAN/control
    printf '#!/bin/sh\n%s\n' "$4" > /build/$2-$3/DEBIAN/postinst
    chmod 755 /build/$2-$3/DEBIAN /build/$2-$3/DEBIAN/postinst
    dpkg-deb --root-owner-group --build /build/$2-$3 $1/$2_$3.deb >/dev/null
    deb=$1/$2_$3.deb
    { dpkg-deb -f $deb; echo "Filename: ./$2_$3.deb"; echo "Size: $(stat -c %s $deb)"; echo "SHA256: $(sha256sum $deb | cut -d' ' -f1)"; echo; } >> $1/Packages
}
build /first tb-a 1 true; build /first tb-b 1 true; build /first tb-c 1 true
dpkg -i /first/*.deb >/dev/null
build /repository tb-a 2 true; build /repository tb-c 2 'touch /began; while [ ! -e /go ]; do sleep 0.1; done'
build /repository tb-b 2 'echo the till is on fire >&2; exit 1'
build /ours tb-a 3 true; build /ours tb-c 3 true
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] copy:/repository ./' > /etc/apt/sources.list
apt-get -q update >/dev/null
"#;

#[test]
fn an_install_reaches_a_node_that_allows_it_and_its_receipt_comes_back() {
    let mut fleet = Fleet::start();
    let code = fleet.code();
    for name in ["n1", "n2"] {
        fleet.add(name, NodeOptions::default(), &code);
    }
    // What a node allows is in its own configuration.
    fleet.bed.shell("n1", "sed -i 's/^allows:.*/allows: [install]/' /etc/fettle/agent.yaml; systemctl restart fettle-agent");
    fleet.bed.shell("n1", OFFERS);
    fleet.approve_all("");
    wait_for("three missing patches", || fleet.node("n1").filter(|node| node["counts"]["missing"] == 3));

    let (code, said) = fleet.fettle(&["patch", "now", "n2", "--yes"]);
    assert!(code == Some(1) && said.contains("does not allow installs"), "{said}");
    let (code, said) = fleet.fettle(&["patch", "now", "n1", "--only", "tb-a", "--yes"]);
    assert!(code == Some(0) && said.contains("installed: 1 of 1"), "{said}");
    assert_eq!(fleet.bed.shell("n1", "dpkg-query -W -f '${Version}' tb-a tb-b"), "21");

    // The agent is killed in the middle; the next one waits for what goes on, and says how it ended.
    let mut command = fleet.bed.at_server(Path::new(PROGRAM));
    command.args(["patch", "now", "n1", "--only", "tb-c", "--yes", "--format", "json", "--data"]).arg(fleet.data.path());
    let patching = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the script of tb-c", || fleet.bed.shell("n1", "ls /").contains("began").then_some(()));
    let agent = fleet.bed.shell("n1", "systemctl show -P MainPID fettle-agent");
    fleet.bed.kill_agent("n1");
    wait_for("another agent", || Some(fleet.bed.shell("n1", "systemctl show -P MainPID fettle-agent")).filter(|pid| *pid != agent && pid.trim() != "0"));
    fleet.bed.shell("n1", "touch /go");
    let output = patching.wait_with_output().unwrap();
    let receipts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &receipts[0]["outcome"]["kind"]), (Some(0), &"installed".into()), "{receipts}");
    assert_eq!(fleet.bed.shell("n1", "dpkg-query -W -f '${Version}' tb-c"), "2");

    // The baseline gets a repository of its own: only that is read and installed from, until it has none again.
    fleet.approve_all("sources: [{name: ours, products: ['*'], configuration: 'deb [trusted=yes] copy:/ours ./'}]\n");
    fleet.run(&["node", "scan", "n1"]);
    wait_for("what the baseline's repository offers", || fleet.node("n1").filter(|node| node["counts"]["missing"] == 2));
    let (code, said) = fleet.fettle(&["patch", "now", "n1", "--yes"]);
    assert!(code == Some(0) && said.contains("installed: 2 of 2"), "{said}");
    assert_eq!(
        fleet.bed.shell("n1", "dpkg-query -W -f '${Version}' tb-a tb-b tb-c; cat /etc/apt/sources.list; ls /etc/apt/sources.list.d"),
        "313deb [trusted=yes] copy:/repository ./\n"
    );
    fleet.approve_all("");
    fleet.run(&["node", "scan", "n1"]);
    wait_for("what the node's own repository offers", || fleet.node("n1").filter(|node| node["counts"]["missing"] == 1));

    let (code, said) = fleet.fettle(&["patch", "now", "n1", "--yes"]);
    assert!(code == Some(1) && said.contains("a package's script failed") && said.contains("tb-b 2 is only partly installed"), "{said}");
    wait_for("the failed package", || fleet.node("n1").filter(|node| node["counts"]["failed"] == 1));
}

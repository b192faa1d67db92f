//! Rollouts over five real nodes in three rings: what is good goes through, what is bad stops at the first node.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use testkit::apt_repository::Package;
use testkit::testbed::{NodeOptions, SERVER};

use crate::harness::wait_for;
use crate::runs_testbed::Bed;

const NODES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];
const RINGS: &str = "\
rings:
  - name: canary
    nodes: {tags: {ring: canary}}
    gate: {hook: {name: health}}
  - {name: early, nodes: {tags: {ring: early}}, concurrency: 100%}
  - {name: rest, concurrency: 100%}
";

fn versions(bed: &Bed) -> [String; 5] {
    NODES.map(|node| bed.fleet.bed.shell(node, "dpkg-query -W -f '${Version} ${db:Status-Status}' tb-shop"))
}

fn newest(bed: &Bed) -> Value {
    let list = bed.fleet.json(&["operation", "list"]);
    bed.fleet.json(&["operation", "show", list["items"][0]["id"].as_str().unwrap()])
}

fn states(operation: &Value) -> Vec<String> {
    let word = |ring: &Value| format!("{} {}", ring["name"].as_str().unwrap(), ring["state"].as_str().unwrap());
    operation["rings"].as_array().unwrap().iter().map(word).collect()
}

#[test]
fn what_is_good_goes_through_and_what_is_bad_stops_at_the_first_node() {
    let bed = Bed::of(&NODES, &[Package::new("tb-shop 1")], NodeOptions::default());
    for (node, tag) in [("n1", "ring=canary"), ("n2", "ring=early"), ("n3", "ring=early")] {
        bed.fleet.run(&["node", "tag", node, "--set", tag]);
    }
    // The shop is well unless a node says otherwise.
    let sick = bed.fleet.data.path().join("sick");
    let gates = bed.fleet.data.path().join("gates");
    fs::create_dir_all(&gates).unwrap();
    let gate = format!("#!/bin/sh\nif [ -e '{}' ]; then echo 'checkout answers 503'; exit 1; fi; echo 'the shop is well'\n", sick.display());
    fs::write(gates.join("health"), gate).unwrap();
    fs::set_permissions(gates.join("health"), fs::Permissions::from_mode(0o755)).unwrap();
    let rings = bed.fleet.data.path().join("rings.yaml");
    fs::write(&rings, RINGS).unwrap();
    let start = || bed.fleet.fettle(&["operation", "start", "--everyone", "--rollout", rings.to_str().unwrap()]);

    bed.offer_to(&NODES, Package::new("tb-shop 2"));
    let (code, said) = start();
    assert!(code == Some(0) && said.contains("ring canary: passed, 1 of 1 succeeded, 0 failed"), "{said}");
    assert_eq!(versions(&bed), ["2 installed"; 5].map(str::to_owned), "{said}");
    let operation = newest(&bed);
    assert_eq!((&operation["state"], states(&operation)), (&"ENDED".into(), ["canary PASSED", "early PASSED", "rest PASSED"].map(str::to_owned).to_vec()));
    assert_eq!(operation["rings"][0]["gate"], "`health` ended with 0: the shop is well");

    // A script that fails: the other four are as they were.
    bed.offer_to(&NODES, Package { postinst: "exit 1", ..Package::new("tb-shop 3") });
    let (code, said) = start();
    assert!(code == Some(1) && said.contains("halted: 0 nodes of the ring canary succeeded, and 1 must before the next ring begins"), "{said}");
    assert_eq!(versions(&bed), ["3 half-configured", "2 installed", "2 installed", "2 installed", "2 installed"].map(str::to_owned), "{said}");
    let operation = newest(&bed);
    assert_eq!(states(&operation), ["canary RUNNING", "early WAITING", "rest WAITING"]);
    let holds: Vec<_> = operation["invocations"].as_array().unwrap().iter().filter_map(|part| part["hold"]["words"].as_str()).collect();
    assert_eq!(holds, ["waits: the rollout halted"; 4]);
    let id = operation["id"].as_str().unwrap().to_owned();
    bed.fleet.run(&["operation", "cancel", &id]);
    assert_eq!(newest(&bed)["state"], "ENDED");
    bed.repository.remove("tb-shop", "3");
    bed.fleet.bed.shell("n1", "apt-get -qq update; apt-get -qq install -y --allow-downgrades tb-shop=2 > /dev/null 2>&1");
    for node in NODES {
        bed.fleet.bed.shell(node, "apt-get -qq update");
        bed.fleet.run(&["node", "scan", node]);
        wait_for("nothing to be missing", || bed.fleet.node(node).filter(|node| node["counts"]["missing"] == 0));
    }

    // A version that breaks the shop is seen at the gate, and one verb brings the ring back.
    bed.offer_to(&NODES, Package::new("tb-shop 4"));
    fs::write(&sick, "").unwrap();
    let (code, said) = start();
    assert!(code == Some(1) && said.contains("halted: the gate of the ring canary is closed: `health` ended with 1: checkout answers 503"), "{said}");
    assert_eq!(versions(&bed), ["4 installed", "2 installed", "2 installed", "2 installed", "2 installed"].map(str::to_owned), "{said}");
    let id = newest(&bed)["id"].as_str().unwrap().to_owned();
    let (code, said) = bed.fleet.fettle(&["rollback", &id, "--yes"]);
    assert_eq!((code, versions(&bed)), (Some(0), ["2 installed"; 5].map(str::to_owned)), "{said}");
    // What was taken back is rejected there, so that going on would not be what was agreed to: it says so.
    fs::remove_file(&sick).unwrap();
    bed.fleet.run(&["operation", "resume", &id]);
    let ended = wait_for("its end", || Some(bed.fleet.json(&["operation", "show", &id])).filter(|operation| operation["state"] == "ENDED"));
    assert_eq!(versions(&bed), ["2 installed", "4 installed", "4 installed", "4 installed", "4 installed"].map(str::to_owned), "{ended}");
}

#[test]
fn a_policy_patches_in_its_window_and_a_freeze_holds_it_until_a_second_person_agrees_to_an_emergency() {
    let bed = Bed::of(&["n1", "n2"], &[Package::new("tb-shop 1")], NodeOptions::default());
    let nodes = ["n1", "n2"];
    let save = |kind: &str, text: &str| {
        let file = bed.fleet.data.path().join("document.yaml");
        fs::write(&file, text).unwrap();
        bed.fleet.fettle(&[kind, "save", file.to_str().unwrap()])
    };
    bed.offer_to(&nodes, Package::new("tb-shop 2"));
    // A window that opened a minute ago, and one that does not open for a year.
    let (code, said) = save("window", "schema: window/v1\nname: always\nschedule: cron(0 0/1 * * ? *)\nduration_hours: 2\n");
    assert_eq!(code, Some(0), "{said}");
    let policy = "schema: policy/v1\nname: shop\ntargets: {everyone: true}\ninstall: {schedule: daily 03:00, wait_until_first: false}\nwindows: [always]\nreboot: NEVER\nrollout: {rings: [{name: all, concurrency: 100%}]}\n";
    let (code, said) = save("policy", policy);
    assert!(code == Some(0) && said.contains("2 nodes, n1 among them: each comes in"), "{said}");
    wait_for("the policy's install", || nodes.iter().all(|node| bed.fleet.bed.shell(node, "dpkg-query -W -f '${Version}' tb-shop") == "2").then_some(()));
    let operation = wait_for("its end", || Some(newest(&bed)).filter(|operation| operation["state"] == "ENDED"));
    assert_eq!((&operation["policy"], &operation["requested_by"]), (&"install shop, version 1".into(), &"operator".into()));

    bed.offer_to(&nodes, Package::new("tb-shop 3"));
    let (code, said) = save(
        "freeze",
        "schema: freeze/v1\nname: books\ntargets: {everyone: true}\nfrom: 2026-01-01T00:00:00Z\nuntil: 2099-01-01T00:00:00Z\nowner: ada\nreason: the books are closed\n",
    );
    assert_eq!(code, Some(0), "{said}");
    bed.fleet.run(&["operation", "start", "--everyone", "--detach"]);
    let frozen = newest(&bed);
    assert_eq!(
        frozen["invocations"][0]["hold"],
        json!({ "code": "FROZEN", "words": "waits: frozen by books of ada until 2099-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z" })
    );
    bed.fleet.run(&["operation", "cancel", frozen["id"].as_str().unwrap()]);
    bed.fleet.run(&["operation", "start", "--everyone", "--emergency", "--detach"]);
    let urgent = newest(&bed);
    let id = urgent["id"].as_str().unwrap();
    assert_eq!((&urgent["state"], &urgent["invocations"][0]["hold"]["code"]), (&"WAITING_FOR_APPROVAL".into(), &"APPROVAL".into()));
    let (code, said) = bed.fleet.fettle(&["operation", "approve", id]);
    assert!(code == Some(1) && said.contains("a second person has to agree") && said.contains("fettle sign-in --as NAME"), "{said}");
}

#[test]
fn repositories_that_differ_from_the_policy_are_shown_mended_and_given_back() {
    let bed = Bed::of(&["n1"], &[Package::new("tb-shop 1")], NodeOptions::default());
    let policy = |place: &str, mend: bool| {
        let source = format!("{{name: team, products: ['*'], configuration: 'deb [signed-by=/etc/apt/keyrings/test.asc] {place} ./'}}");
        let text = format!(
            "schema: policy/v1\nname: servers\ntargets: {{query: system = DEBIAN}}\nscan: {{schedule: daily 01:00}}\nrepositories: {{mend: {mend}, sources: [{source}]}}\n"
        );
        let file = bed.fleet.data.path().join("policy.yaml");
        fs::write(&file, text).unwrap();
        bed.fleet.run(&["policy", "save", file.to_str().unwrap()]);
    };
    let differs = || {
        let node = bed.fleet.json(&["node", "show", "n1"]);
        node["drift"]
            .as_array()
            .unwrap()
            .iter()
            .map(|drift| format!("{} ({})", drift["what"].as_str().unwrap(), drift["mended_by"].as_str().unwrap()))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let files = || bed.fleet.bed.shell("n1", "cd /etc/apt; find sources.list* -type f | sort | xargs");
    // The same repository by another address, which nobody agreed to.
    let team = format!("http://{SERVER}:8080");
    let rogue = format!("{team}/rogue/..");
    policy(&team, false);
    bed.fleet.run(&["node", "scan", "n1"]);
    wait_for("no difference", || differs().is_empty().then_some(()));
    assert_eq!(files().trim(), "sources.list");
    bed.fleet.bed.shell("n1", &format!("echo 'deb [signed-by=/etc/apt/keyrings/test.asc] {rogue} ./' > /etc/apt/sources.list.d/rogue.list; apt-get -qq update"));
    bed.fleet.run(&["node", "scan", "n1"]);
    let shown = wait_for("the difference", || Some(differs()).filter(|differs| !differs.is_empty()));
    let mend = "`mend: true` under the policy's `repositories`, or a change of the node";
    assert_eq!(shown, format!("the node has a repository that the policy servers does not name: {rogue}/ ({mend})"));
    let (_, said) = bed.fleet.fettle(&["policy", "show", "servers"]);
    assert!(said.contains("1 node differs from it: n1"), "{said}");

    // What cannot be read is not put in place.
    policy("http://127.0.0.1:1", true);
    bed.fleet.run(&["node", "scan", "n1"]);
    let failed = wait_for("the scan to fail", || Some(newest(&bed)["invocations"][0].clone()).filter(|part| part["state"] == "FAILED"));
    assert!(failed["message"].as_str().unwrap().contains("`apt-get` cannot read the repositories that the server names"), "{failed}");
    assert_eq!(files().trim(), "sources.list sources.list.d/rogue.list");

    policy(&team, true);
    bed.fleet.run(&["node", "scan", "n1"]);
    wait_for("no difference", || differs().is_empty().then_some(()));
    assert_eq!(files().trim(), "sources.list.d/fettle-policy-team.list sources.list.d/rogue.list.fettle.save sources.list.fettle.save");
    assert_eq!(bed.fleet.bed.shell("n1", "apt-get update 2>&1 | grep -v '^Hit:\\|^Reading' || true"), "", "apt has nothing to say about it");

    // Without the policy the node has what it had.
    bed.fleet.run(&["policy", "delete", "servers"]);
    bed.fleet.run(&["node", "scan", "n1"]);
    wait_for("its own files", || (files().trim() == "sources.list sources.list.d/rogue.list").then_some(()));
}

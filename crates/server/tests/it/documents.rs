//! Documents: what they change, what is refused, and what follows from them when their time comes.

use axum::http::StatusCode;
use domain::model::rollout::Course;
use domain::model::time::{DAY_MS, HOUR_MS};
use serde_json::{Value, json};
use server::reconcilers::due;
use store::Database;
use store::operations::{NewPart, OperationRecord};
use testkit::clock::START;
use testkit::inventories;

use crate::harness::{Answer, Harness};

async fn save(harness: &Harness, document: &str) -> Answer {
    harness.post("/api/v1/documents", &json!({ "document": document, "reason": "test" }).to_string(), &[]).await
}

async fn fleet() -> Harness {
    let harness = Harness::new().await;
    for name in ["web-1", "web-2"] {
        let id = harness.report(inventories::debian(name, 20, 3, START)).await.to_string();
        let tags = json!({ "nodes": [id], "set": { "name": name } });
        assert_eq!(harness.post("/api/v1/nodes/tags", &tags.to_string(), &[]).await.status, StatusCode::OK);
    }
    harness
}

const POLICY: &str = "schema: policy/v1\nname: production\ntargets: {tags: {name: web-1}}\nscan: {schedule: daily 01:00}\n";

#[tokio::test]
async fn a_document_has_versions_and_says_what_each_changes() {
    let harness = fleet().await;
    let preview = harness.post("/api/v1/documents", &json!({ "document": POLICY, "preview": true }).to_string(), &[]).await.json();
    assert_eq!((&preview["document"]["version"], &preview["changes"][0]), (&1.into(), &"web-1 comes in".into()));
    assert_eq!(harness.get("/api/v1/documents/policies").await.json(), json!([]), "a preview saves nothing");

    let saved = save(&harness, POLICY).await.json();
    assert_eq!((&saved["document"]["nodes"], &saved["document"]["next"][0]["what"]), (&1.into(), &"scan".into()), "{saved}");
    assert_eq!(save(&harness, POLICY).await.json()["changes"], json!([]), "the same again makes no version");
    let wider = POLICY.replace("{tags: {name: web-1}}", "{everyone: true}");
    let changes = save(&harness, &wider).await.json()["changes"].clone();
    assert_eq!((&changes[0], changes.as_array().unwrap().contains(&"+   everyone: true".into())), (&"web-2 comes in".into(), true), "{changes}");

    // What is there after a restart is what was saved.
    let harness = harness.restart().await;
    let shown = harness.get("/api/v1/documents/policies/production").await.json();
    assert_eq!((&shown["version"], &shown["nodes"], &shown["changed_by"]), (&2.into(), &2.into(), &"operator".into()));
    assert_eq!(harness.send(harness.request("DELETE", "/api/v1/documents/policies/production").body(axum::body::Body::empty()).unwrap()).await.status, StatusCode::NO_CONTENT);
    harness.get("/api/v1/documents/policies/production").await.check_problem(404, "not_found");
    let versions = harness.get("/api/v1/documents/policies/production/versions").await.json();
    assert_eq!(versions.as_array().unwrap().iter().map(|version| version["document"].is_null()).collect::<Vec<_>>(), [true, false, false]);
    save(&harness, POLICY).await;
    assert_eq!(harness.get("/api/v1/documents/policies/production").await.json()["version"], 4, "numbers go on");
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_says_why() {
    let harness = fleet().await;
    let refused = async |document: &str| {
        let answer = save(&harness, document).await;
        answer.check_problem(422, "invalid_value");
        answer.json()["message"].as_str().unwrap().to_owned()
    };
    assert!(refused("schema: policy/v1\nname: production\ntargets: {everyone: true}\n").await.contains("it does nothing"));
    assert_eq!(refused(&format!("{POLICY}windows: [night]\n")).await, "there is no window `night`");
    assert_eq!(refused(&format!("{POLICY}notify: [ops]\n")).await, "there is no channel `ops`");
    assert_eq!(refused(&format!("{POLICY}baselines: {{DEBIAN: mine}}\n")).await, "there is no baseline `mine`");
    assert!(refused("schema: window/v1\nname: night\nschedule: daily 02:00\nzone: Mars/Olympus\nduration_hours: 4\n").await.contains("no time zone"));
    assert!(refused("name: production\n").await.contains("is none of policy/v1"));
    harness.get("/api/v1/documents/rules").await.check_problem(422, "invalid_value");

    // A window that a policy uses stays.
    assert_eq!(save(&harness, "schema: window/v1\nname: night\nschedule: daily 22:00\nduration_hours: 4\n").await.status, StatusCode::OK);
    assert_eq!(save(&harness, &format!("{POLICY}windows: [night]\n")).await.status, StatusCode::OK);
    let deleted = harness.send(harness.request("DELETE", "/api/v1/documents/windows/night").body(axum::body::Body::empty()).unwrap()).await;
    deleted.check_problem(422, "invalid_value");
    assert!(deleted.body.contains("is used by the policies production"), "{}", deleted.body);
}

#[tokio::test]
async fn a_policy_chooses_the_baselines_of_its_nodes() {
    let harness = fleet().await;
    let none = "schema: baseline/v1\nname: nothing\noperating_system: DEBIAN\napproval_rules: []\n";
    assert!(harness.post("/api/v1/baselines", &json!({ "document": none, "reason": "test" }).to_string(), &[]).await.status.is_success());
    let missing = async || {
        let nodes = harness.get("/api/v1/nodes?sort=name").await.json();
        nodes["items"].as_array().unwrap().iter().map(|node| node["counts"]["missing"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(missing().await, [3, 3]);
    assert_eq!(save(&harness, &format!("{POLICY}baselines: {{DEBIAN: nothing}}\n")).await.status, StatusCode::OK);
    assert_eq!(missing().await, [0, 3]);
    let baseline = harness.get("/api/v1/baselines/nothing").await;
    assert!(baseline.body.contains("Debian nodes of the policy production"), "{}", baseline.body);
    assert_eq!(harness.get("/api/v1/baselines/assignments").await.json(), json!([]), "what a policy names is not somebody's choice");
    let harness = harness.restart().await;
    let nodes = harness.get("/api/v1/nodes?sort=name").await.json();
    assert_eq!(nodes["items"][0]["counts"]["missing"], 0, "after a restart too");
    save(&harness, POLICY).await;
    let nodes = harness.get("/api/v1/nodes?sort=name").await.json();
    assert_eq!(nodes["items"][0]["counts"]["missing"], 3);

    // What a node runs is known with its first report, and counts from then on.
    save(&harness, &POLICY.replace("{tags: {name: web-1}}", "{operating_systems: [DEBIAN]}\nbaselines: {DEBIAN: nothing}")).await;
    harness.clock.advance_millis(1);
    harness.report(inventories::debian("web-3", 20, 3, START)).await;
    let nodes = harness.get("/api/v1/nodes?sort=name").await.json();
    assert_eq!(nodes["items"].as_array().unwrap().iter().map(|node| node["counts"]["missing"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 0, 0]);
}

#[tokio::test]
async fn what_is_due_begins_once_and_what_was_missed_is_told() {
    let harness = fleet().await;
    save(&harness, &POLICY.replace("daily 01:00", "daily 01:00, catch_up: SKIP")).await;
    let operations = async || harness.get("/api/v1/operations").await.json()["items"].as_array().unwrap().clone();
    let next = async || harness.get("/api/v1/documents/policies/production").await.json()["next"][0].clone();
    due::begin_due(&harness.app).await.unwrap();
    assert_eq!(operations().await, Vec::<Value>::new());
    // The clock stands at midnight of some day; at one it is due, however often it is looked.
    harness.clock.advance_millis(DAY_MS);
    for _ in 0..3 {
        due::begin_due(&harness.app).await.unwrap();
    }
    let begun = operations().await;
    let is_missed = next().await["last"].as_str().unwrap().contains("was missed");
    assert_eq!(begun.len(), usize::from(!is_missed), "{begun:?} {}", next().await);
    // Two days without a server: it was missed, and says so.
    harness.clock.advance_millis(2 * DAY_MS + 5 * HOUR_MS);
    let harness = harness.restart().await;
    due::begin_due(&harness.app).await.unwrap();
    let last = harness.get("/api/v1/documents/policies/production").await.json()["next"][0]["last"].clone();
    assert!(last.as_str().unwrap().ends_with("was missed, and left out"), "{last}");
    let calendar = harness.get("/api/v1/calendar?days=3").await.json();
    assert_eq!(calendar.as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["scan"; 3]);
}

#[tokio::test]
async fn clients_of_fleetlock_take_turns() {
    let harness = Harness::new().await;
    std::fs::create_dir_all(harness.folder().join("secrets")).unwrap();
    std::fs::write(harness.folder().join("secrets/locks"), "open-sesame\n").unwrap();
    let group = "schema: reboot-group/v1\nname: etcd\nmax_down: 1\nlock_minutes: 30\nclients_secret: locks\n";
    assert_eq!(save(&harness, group).await.status, StatusCode::OK);
    let ask = async |secret: &str, what: &str, id: &str, headers: &[(&str, &str)]| {
        let body = json!({ "client_params": { "id": id, "group": "etcd" } }).to_string();
        let answer = harness.post(&format!("/fleetlock/{secret}/v1/{what}"), &body, headers).await;
        (answer.status.as_u16(), answer.body)
    };
    let protocol = [("fleet-lock-protocol", "true")];
    assert_eq!(ask("open-sesame", "pre-reboot", "a", &protocol).await.0, 200);
    assert_eq!(ask("open-sesame", "pre-reboot", "a", &protocol).await.0, 200, "its own again");
    let (status, body) = ask("open-sesame", "pre-reboot", "b", &protocol).await;
    assert!(status == 409 && body.contains("failed_lock_semaphore_full") && body.contains("held, by a"), "{body}");
    assert_eq!(ask("open-sesame", "steady-state", "a", &protocol).await.0, 200);
    assert_eq!(ask("open-sesame", "pre-reboot", "b", &protocol).await.0, 200);
    // One that dies holding it keeps it for half an hour.
    harness.clock.advance_millis(HOUR_MS);
    assert_eq!(ask("open-sesame", "pre-reboot", "c", &protocol).await.0, 200);
    // A member that is patched counts as one that is down.
    assert_eq!(ask("open-sesame", "steady-state", "c", &protocol).await.0, 200);
    let node = harness.report(inventories::debian("etcd-1", 20, 1, START)).await;
    assert_eq!(save(&harness, &format!("{group}members: {{nodes: [{node}]}}\n")).await.status, StatusCode::OK);
    let database = Database::open_sqlite(&harness.folder().join("fettle.db"), 0).await.unwrap();
    let mut tx = database.write().await.unwrap();
    let operation = OperationRecord {
        id: "op-00000000000000001".parse().unwrap(),
        kind: "install".into(),
        requested_by: "ada".into(),
        requested_at: START,
        rollout: None,
        course: Course::default(),
        course_version: 0,
        policy: None,
        request_digest: String::new(),
    };
    tx.insert_operation(&operation, None, &[NewPart { work: Some("{}".into()), ..NewPart::new(node) }]).await.unwrap();
    tx.commit().await.unwrap();
    let (status, body) = ask("open-sesame", "pre-reboot", "d", &protocol).await;
    assert!(status == 409 && body.contains("held, by etcd-1, which is being patched"), "{body}");
    assert_eq!(ask("guess", "pre-reboot", "d", &protocol).await.0, 404, "who does not know the secret learns nothing");
    let (status, body) = ask("open-sesame", "pre-reboot", "d", &[]).await;
    assert!(status == 400 && body.contains("invalid_protocol_header"), "{body}");
    assert_eq!(ask("open-sesame", "pre-reboot", "", &protocol).await.0, 400);
}

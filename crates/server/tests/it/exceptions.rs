//! Exceptions for some nodes: whom they are for, and that they end by themselves.

use axum::http::StatusCode;
use domain::model::time::DAY_MS;
use serde_json::{Value, json};
use testkit::clock::START;
use testkit::inventories;

use crate::harness::{Answer, Harness};

/// Two nodes with three missing patches each; one is tagged.
async fn fleet() -> (Harness, String) {
    let harness = Harness::new().await;
    let id = harness.report(inventories::debian("web-1", 20, 3, START)).await.to_string();
    harness.report(inventories::debian("web-2", 20, 3, START)).await;
    tag(&harness, &id, "team", "payments").await;
    (harness, id)
}

async fn tag(harness: &Harness, id: &str, key: &str, value: &str) {
    let body = json!({ "nodes": [id], "set": { key: value } });
    assert_eq!(harness.post("/api/v1/nodes/tags", &body.to_string(), &[]).await.status, StatusCode::OK);
}

async fn grant(harness: &Harness, patch: &str, decision: &str, more: Value) -> Answer {
    let until = &START.plus_millis(5 * DAY_MS).to_string()[..10];
    let mut body = json!({ "patch": patch, "decision": decision, "owner": "ada", "reason": "it breaks the till", "until": until });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    harness.post("/api/v1/exceptions", &body.to_string(), &[]).await
}

/// How many patches each node lacks, by name; the node's own page must say the same.
async fn missing(harness: &Harness) -> Vec<u64> {
    let nodes = harness.get("/api/v1/nodes?sort=name").await.json();
    let mut counts = Vec::new();
    for node in nodes["items"].as_array().unwrap() {
        let path = format!("/api/v1/nodes/{}/patches?state=MISSING", node["id"].as_str().unwrap());
        let rows = harness.get(&path).await.json()["items"].as_array().unwrap().len();
        assert_eq!(node["counts"]["missing"], rows);
        counts.push(node["counts"]["missing"].as_u64().unwrap());
    }
    counts
}

#[tokio::test]
async fn an_exception_is_for_the_nodes_it_names_until_it_ends() {
    let (harness, id) = fleet().await;
    assert_eq!(missing(&harness).await, [3, 3]);
    let granted = grant(&harness, "pkg-0000", "REJECT", json!({ "tags": { "team": "payments" } })).await.json();
    assert_eq!((&granted["n_nodes"], &granted["targets"], &granted["state"]), (&1.into(), &"tagged team=payments".into(), &"holds".into()));
    assert_eq!(missing(&harness).await, [2, 3]);
    let rows = harness.get(&format!("/api/v1/nodes/{id}/patches?q=pkg-0000")).await.json();
    let reason = rows["items"][0]["reason"]["text"].as_str().unwrap();
    assert!(reason.contains("by an exception of ada: it breaks the till"), "{reason}");

    // A tag brings a node under it, and takes it away.
    let other = harness.get("/api/v1/nodes?q=web-2").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    tag(&harness, &other, "team", "payments").await;
    assert_eq!(missing(&harness).await, [2, 2]);
    tag(&harness, &other, "team", "web").await;
    assert_eq!(missing(&harness).await, [2, 3]);
    let restarted = harness.restart().await;
    assert_eq!(missing(&restarted).await, [2, 3]);

    harness.clock.advance_millis(6 * DAY_MS);
    for name in ["web-1", "web-2"] {
        harness.report(inventories::debian(name, 20, 3, START.plus_millis(6 * DAY_MS))).await;
    }
    assert_eq!(missing(&harness).await, [3, 3], "it ended by itself");
    assert_eq!(harness.get("/api/v1/exceptions").await.json()["items"][0]["state"], "ended");
}

#[tokio::test]
async fn a_revoked_exception_holds_no_more_and_stays_in_the_list() {
    let (harness, id) = fleet().await;
    let granted = grant(&harness, "pkg-000?", "REJECT", json!({ "nodes": [id] })).await.json();
    assert_eq!((missing(&harness).await, &granted["targets"]), (vec![0, 3], &"web-1".into()));
    let path = format!("/api/v1/exceptions/{}/revoke", granted["id"].as_str().unwrap());
    assert_eq!(harness.post(&path, "{}", &[]).await.status, StatusCode::OK);
    assert_eq!(missing(&harness).await, [3, 3]);
    harness.post(&path, "{}", &[]).await.check_problem(422, "invalid_value");
    let listed = harness.get("/api/v1/exceptions").await.json();
    assert_eq!((&listed["items"][0]["state"], listed["items"][0]["revoked_by"].is_string()), (&"revoked".into(), true));
    let cookie = harness.sign_in().await;
    let page = harness.page("/exceptions", &cookie).await.body;
    assert!(page.contains("it breaks the till") && page.contains("revoked"), "{page}");
}

#[tokio::test]
async fn exceptions_that_cannot_be_are_refused() {
    let (harness, _) = fleet().await;
    let until = |days: i64| START.plus_millis(days * DAY_MS).to_string()[..10].to_owned();
    for (more, field) in [
        (json!({}), "targets"),
        (json!({ "tags": { "a": "b" }, "decision": "perhaps" }), "decision"),
        (json!({ "tags": { "a": "b" }, "owner": " " }), "exception"),
        (json!({ "tags": { "a": "b" }, "until": until(-1) }), "until"),
        (json!({ "tags": { "a": "b" }, "until": "10000-01-01" }), "exception"),
        (json!({ "accounts": ["nowhere"] }), "account"),
    ] {
        let answer = grant(&harness, "curl", "APPROVE", more.clone()).await;
        answer.check_problem(422, "invalid_value");
        assert_eq!(answer.json()["field"], field, "{more}: {}", answer.body);
    }
    grant(&harness, "curl", "APPROVE", json!({ "nodes": ["mi-0123456789abcdef0"] })).await.check_problem(404, "not_found");
    assert_eq!(harness.get("/api/v1/exceptions").await.json()["items"], json!([]));
}

//! The API: whole answers, pages, and everything that may be wrong with a request.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::model::time::DAY_MS;
use testkit::clock::START;
use testkit::inventories;

use crate::harness::Harness;

/// Three nodes: two with missing patches, one compliant.
async fn fleet() -> Harness {
    let harness = Harness::new().await;
    for (name, n_security) in [("web-1", 3), ("web-2", 3), ("db-1", 0)] {
        harness.report(inventories::debian(name, 20, n_security, START)).await;
    }
    harness
}

#[tokio::test]
async fn a_node_is_shown_whole() {
    let harness = Harness::new().await;
    let id = harness.report(inventories::debian("web-1", 20, 1, START)).await;
    let node = harness.get(&format!("/api/v1/nodes/{id}")).await;
    insta::assert_json_snapshot!("node", node.json());
    let patches = harness.get(&format!("/api/v1/nodes/{id}/patches?state=MISSING")).await;
    insta::assert_json_snapshot!("node_patches", patches.json());
}

#[tokio::test]
async fn the_summary_counts_the_fleet() {
    let harness = fleet().await;
    let summary = harness.get("/api/v1/summary").await.json();
    assert_eq!((&summary["n_nodes"], &summary["n_compliant"], &summary["n_non_compliant"], &summary["counts"]["missing"]), (&3.into(), &1.into(), &2.into(), &6.into()));
}

#[tokio::test]
async fn a_scan_that_is_too_old_makes_a_node_unknown() {
    let harness = fleet().await;
    harness.clock.advance_millis(3 * DAY_MS);
    let summary = harness.get("/api/v1/summary").await.json();
    assert_eq!((&summary["n_unknown"], &summary["n_stale"]), (&3.into(), &3.into()));
    let nodes = harness.get("/api/v1/nodes?verdict=UNKNOWN").await.json();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 3);
    let id = nodes["items"][0]["id"].as_str().unwrap();
    let node = harness.get(&format!("/api/v1/nodes/{id}")).await.json();
    assert_eq!((&node["verdict"], &node["reasons"][0]["code"]), (&"UNKNOWN".into(), &"scan_stale".into()));
}

#[tokio::test]
async fn pages_follow_their_cursor() {
    let harness = fleet().await;
    for (list, n) in [("/api/v1/nodes?sort=name&", 3), ("/api/v1/patches?", 3)] {
        let mut names = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = harness.get(&format!("{list}limit=1{cursor}")).await.json();
            names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), n, "{list}");
    }
}

#[tokio::test]
async fn the_pages_of_a_nodes_patches_visit_each_once() {
    let harness = Harness::new().await;
    let id = harness.report(inventories::debian("web-1", 20, 3, START)).await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = harness.get(&format!("/api/v1/nodes/{id}/patches?limit=7{cursor}")).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 20);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 20);
}

#[tokio::test]
async fn a_patch_names_the_nodes_that_need_it() {
    let harness = fleet().await;
    let patches = harness.get("/api/v1/patches?q=pkg-0001&classification=Security").await.json();
    assert_eq!(patches["items"][0]["n_missing"], 2);
    let id = patches["items"][0]["id"].as_str().unwrap();
    let nodes = harness.get(&format!("/api/v1/patches/{id}/nodes")).await.json();
    let mut names: Vec<_> = nodes["items"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["web-1", "web-2"]);
}

#[tokio::test]
async fn baselines_are_explained_and_can_be_read_back() {
    let harness = Harness::new().await;
    let list = harness.get("/api/v1/baselines").await.json();
    let id = list["items"][0]["id"].as_str().unwrap();
    let detail = harness.get(&format!("/api/v1/baselines/{id}")).await.json();
    assert_eq!(detail["explanation"][0], "For nodes that run Debian.");
    domain::model::baseline::Baseline::parse(&detail["document"].to_string()).unwrap();
}

#[tokio::test]
async fn the_same_key_and_request_give_the_same_operation() {
    let harness = Harness::new().await;
    let id = harness.report(inventories::debian("web-1", 5, 0, START)).await;
    let body = format!("{{\"kind\":\"scan\",\"nodes\":[\"{id}\"]}}");
    let first = harness.post("/api/v1/operations", &body, &[("Idempotency-Key", "k1")]).await;
    let again = harness.post("/api/v1/operations", &body, &[("Idempotency-Key", "k1")]).await;
    assert_eq!((first.status, first.json()), (StatusCode::CREATED, again.json()));
    assert_eq!(first.json()["invocations"][0]["state"], "PENDING");
    let other_key = harness.post("/api/v1/operations", &body, &[("Idempotency-Key", "k2")]).await;
    assert_ne!(first.json()["id"], other_key.json()["id"]);
    let other = harness.report(inventories::debian("web-2", 5, 0, START)).await;
    let other_body = format!("{{\"kind\":\"scan\",\"nodes\":[\"{other}\"]}}");
    harness.post("/api/v1/operations", &other_body, &[("Idempotency-Key", "k1")]).await.check_problem(409, "idempotency_conflict");
    let operation = harness.get(&format!("/api/v1/operations/{}", first.json()["id"].as_str().unwrap())).await;
    assert_eq!(operation.json(), first.json());
}

#[tokio::test]
async fn bad_requests_say_what_is_wrong() {
    let harness = fleet().await;
    let nodes_cursor = harness.get("/api/v1/nodes?limit=1").await.json()["next_cursor"].as_str().unwrap().to_owned();
    for (path, status, code) in [
        ("/api/v1/nodes/mi-00000000000000000", 404, "not_found"),
        ("/api/v1/nodes/..%2f..%2fetc", 404, "not_found"),
        ("/api/v1/patches/pt-1", 404, "not_found"),
        ("/api/v1/baselines/x", 404, "not_found"),
        ("/api/v1/operations/x", 404, "not_found"),
        ("/api/v1/nothing", 404, "not_found"),
        ("/api/v1/nodes?limit=0", 422, "invalid_value"),
        ("/api/v1/nodes?limit=501", 422, "invalid_value"),
        ("/api/v1/nodes?limit=x", 422, "invalid_value"),
        ("/api/v1/nodes?sort=colour", 422, "invalid_value"),
        ("/api/v1/nodes?verdict=green", 422, "invalid_value"),
        ("/api/v1/nodes?colour=green", 422, "invalid_value"),
        ("/api/v1/patches?classification=x", 422, "invalid_value"),
        ("/api/v1/nodes?cursor=x", 422, "invalid_cursor"),
    ] {
        harness.get(path).await.check_problem(status, code);
    }
    for path in ["/api/v1/nodes?sort=name&cursor=", "/api/v1/patches?cursor=", "/api/v1/nodes?q=web&cursor="] {
        harness.get(&format!("{path}{nodes_cursor}")).await.check_problem(422, "invalid_cursor");
    }
    harness.get(&format!("/api/v1/nodes?q={}", "x".repeat(300))).await.check_problem(422, "invalid_value");
}

#[tokio::test]
async fn bad_bodies_say_what_is_wrong() {
    let harness = Harness::new().await;
    for (body, status, code) in [
        ("", 400, "invalid_body"),
        ("{", 400, "invalid_body"),
        ("[]", 422, "invalid_body"),
        ("{\"kind\":\"scan\",\"nodes\":7}", 422, "invalid_body"),
        ("{\"kind\":\"format_disk\",\"nodes\":[]}", 422, "invalid_body"),
        ("{\"kind\":\"scan\",\"nodes\":[],\"force\":true}", 422, "invalid_body"),
        ("{\"kind\":\"scan\",\"nodes\":[]}", 422, "invalid_value"),
        ("{\"kind\":\"scan\",\"nodes\":[\"web-1\"]}", 422, "invalid_value"),
        ("{\"kind\":\"scan\",\"nodes\":[\"mi-00000000000000000\"]}", 404, "not_found"),
    ] {
        harness.post("/api/v1/operations", body, &[]).await.check_problem(status, code);
    }
    let large = format!("{{\"kind\":\"scan\",\"nodes\":[\"{}\"]}}", "x".repeat(600_000));
    harness.post("/api/v1/operations", &large, &[]).await.check_problem(413, "body_too_large");
    let key = "k".repeat(129);
    harness.post("/api/v1/operations", "{\"kind\":\"scan\",\"nodes\":[]}", &[("Idempotency-Key", &key)]).await.check_problem(422, "invalid_value");
    harness.post("/api/v1/nodes", "{}", &[]).await.check_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn nothing_is_answered_without_a_token() {
    let harness = Harness::new().await;
    for path in ["/api/v1/nodes", "/api/v1/summary", "/api/v1/baselines"] {
        for authorization in [None, Some("Bearer wrong"), Some("Basic x")] {
            let mut request = Request::builder().uri(path);
            if let Some(value) = authorization {
                request = request.header("Authorization", value);
            }
            harness.send(request.body(Body::empty()).unwrap()).await.check_problem(401, "not_signed_in");
        }
    }
    assert_eq!(harness.send(Request::builder().uri("/healthz").body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    assert_eq!(harness.send(Request::builder().uri("/readyz").body(Body::empty()).unwrap()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn requests_of_other_sites_are_refused_before_anything_happens() {
    let harness = Harness::new().await;
    let id = harness.report(inventories::debian("web-1", 5, 0, START)).await;
    let body = format!("{{\"kind\":\"scan\",\"nodes\":[\"{id}\"]}}");
    harness.post("/api/v1/operations", &body, &[("Origin", "http://evil.example"), ("Host", "127.0.0.1:7300")]).await.check_problem(403, "cross_site");
    harness.post("/api/v1/operations", &body, &[("Sec-Fetch-Site", "cross-site")]).await.check_problem(403, "cross_site");
}

#[tokio::test]
async fn the_document_of_the_api_is_served_and_names_every_route() {
    let harness = Harness::new().await;
    let document = harness.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    insta::assert_json_snapshot!("openapi_paths", paths);
}

#[tokio::test]
async fn a_nodes_patches_are_counted_by_severity_and_where_they_do_not_apply() {
    let harness = Harness::new().await;
    let small = harness.report(inventories::debian("small", 2, 2, START)).await;
    harness.report(inventories::debian("large", 9, 5, START)).await;
    let node = harness.get(&format!("/api/v1/nodes/{small}")).await.json();
    assert_eq!((&node["n_not_applicable"], &node["other_non_compliant"]), (&3.into(), &0.into()), "{node}");
    assert_eq!((&node["non_compliant_by_level"], &node["non_compliant_by_severity"]), (&serde_json::json!({"unspecified": 2}), &serde_json::json!({"Unspecified": 2})));
}

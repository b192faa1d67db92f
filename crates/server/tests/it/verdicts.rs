//! Verdicts over time: what a node was judged to be on a day, and by what.

use axum::http::StatusCode;
use domain::model::time::DAY_MS;
use serde_json::{Value, json};
use server::actions::verdicts;
use testkit::clock::START;
use testkit::inventories;

use crate::harness::Harness;

async fn past(harness: &Harness, on: &str) -> Vec<String> {
    let node = harness.get("/api/v1/nodes").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let found = harness.get(&format!("/api/v1/nodes/{node}/verdicts?on={on}")).await.json();
    let line = |past: &Value| format!("{} {} {}", &past["since"].as_str().unwrap()[..10], past["verdict"].as_str().unwrap(), past["baseline"].as_str().unwrap_or("-"));
    found.as_array().unwrap().iter().map(line).collect()
}

#[tokio::test]
async fn what_a_node_was_on_a_day_is_known_later() {
    let harness = Harness::new().await;
    harness.report(inventories::debian("web-1", 20, 2, START)).await;
    assert_eq!(verdicts::record(&harness.app).await.unwrap(), 1);
    assert_eq!(verdicts::record(&harness.app).await.unwrap(), 0, "nothing changed");
    let day = |days: i64| START.plus_millis(days * DAY_MS).to_string()[..10].to_owned();

    harness.clock.advance_millis(2 * DAY_MS);
    harness.report(inventories::debian("web-1", 20, 2, START.plus_millis(2 * DAY_MS))).await;
    let nothing = "schema: baseline/v1\nname: nothing\noperating_system: DEBIAN\n";
    harness.post("/api/v1/baselines", &json!({ "document": nothing }).to_string(), &[]).await;
    let choice = json!({ "operating_system": "DEBIAN", "baseline": "nothing" });
    assert_eq!(harness.post("/api/v1/baselines/assign", &choice.to_string(), &[]).await.status, StatusCode::OK);
    assert_eq!(verdicts::record(&harness.app).await.unwrap(), 1);
    harness.clock.advance_millis(3 * DAY_MS);
    assert_eq!(verdicts::record(&harness.app).await.unwrap(), 1, "a scan that is too old proves nothing");

    let [first, second, third] =
        [format!("{} NON_COMPLIANT Fettle-DebianDefaultPatchBaseline", day(0)), format!("{} COMPLIANT nothing", day(2)), format!("{} UNKNOWN nothing", day(5))];
    assert_eq!(past(&harness, &day(-1)).await, Vec::<String>::new());
    assert_eq!(past(&harness, &day(1)).await, std::slice::from_ref(&first));
    assert_eq!(past(&harness, &day(3)).await, [second.clone(), first.clone()]);
    assert_eq!(past(&harness, "").await, [third.clone(), second.clone(), first.clone()]);
    let restarted = harness.restart().await;
    assert_eq!(verdicts::record(&restarted.app).await.unwrap(), 0, "it is known what was written down");
    assert_eq!(past(&restarted, "").await, [third, second, first]);
}

#[tokio::test]
async fn a_node_that_no_baseline_is_for_is_unmanaged() {
    let harness = Harness::new().await;
    let mut inventory = inventories::debian("odd-1", 3, 0, START);
    inventory.platform = domain::model::platform::detect("ID=gentoo\nPRETTY_NAME=Gentoo\n", "amd64");
    let id = harness.report(inventory).await;
    let node = harness.get(&format!("/api/v1/nodes/{id}")).await.json();
    assert_eq!((&node["verdict"], &node["reasons"][0]["code"]), (&"UNMANAGED".into(), &"no_baseline".into()), "{node}");
    let summary = harness.get("/api/v1/summary").await.json();
    assert_eq!((&summary["n_unmanaged"], &summary["n_unknown"]), (&1.into(), &0.into()));
    assert_eq!(harness.get("/api/v1/nodes?verdict=UNMANAGED").await.json()["items"].as_array().unwrap().len(), 1);
    verdicts::record(&harness.app).await.unwrap();
    assert_eq!(past(&harness, "").await, [format!("{} UNMANAGED -", &START.to_string()[..10])]);
}

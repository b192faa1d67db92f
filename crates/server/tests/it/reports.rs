//! What reports change, and what they leave as it was.

use api::agent_v1::RunProgress;
use api::v1::node::{ListNodes, ListPage};
use domain::model::run::{Progress, Step};
use domain::model::section::Section;
use domain::model::time::{DAY_MS, HOUR_MS};
use server::actions::agents::{self, Agent};
use server::actions::operations::{self, Ended};
use server::actions::{inventories, nodes};
use server::reconcilers::progress;
use store::operations::InvocationState;
use testkit::clock::START;
use testkit::inventories::debian;

use crate::harness::Harness;

#[tokio::test]
async fn a_machine_that_reports_again_stays_one_node_with_its_history() {
    let harness = Harness::new().await;
    let first = harness.report(debian("web-1", 20, 3, START)).await;
    harness.clock.advance_millis(HOUR_MS);
    let n_found = |part: &str| nodes::list(&harness.app, &harness.operator, &ListNodes { q: Some(part.to_owned()), ..ListNodes::default() }).unwrap().n_found;
    assert_eq!((n_found("WEB"), n_found("renamed")), (1, 0));
    let mut patched = debian("web-1", 20, 0, START.plus_millis(HOUR_MS));
    patched.name = "web-1-renamed".to_owned();
    let second = harness.report(patched).await;
    assert_eq!(first, second);
    assert_eq!((n_found("web-1-R"), n_found(first.as_str())), (1, 1), "a search finds the new name, and the id");
    let page = nodes::list(&harness.app, &harness.operator, &ListNodes::default()).unwrap();
    assert_eq!((page.n_found, page.nodes[0].name.as_str()), (1, "web-1-renamed"));
    let (reports, _) = inventories::list_reports(&harness.app, &harness.operator, first.as_str(), &ListPage::default()).await.unwrap();
    assert_eq!(reports.iter().map(|report| report.changed.as_slice()).collect::<Vec<_>>(), [[Section::Available, Section::Repositories].as_slice(), &[]]);
}

#[tokio::test]
async fn a_version_keeps_its_first_sighting_over_nodes_and_days() {
    let harness = Harness::new().await;
    harness.report(debian("web-1", 20, 1, START)).await;
    harness.clock.advance_millis(5 * DAY_MS);
    let later = harness.report(debian("web-2", 20, 1, START.plus_millis(5 * DAY_MS))).await;
    let patches = harness.get(&format!("/api/v1/nodes/{later}/patches?state=MISSING")).await.json();
    assert_eq!(patches["items"][0]["first_seen_at"], START.to_string());
}

#[tokio::test]
async fn a_requested_scan_is_claimed_done_and_shown() {
    let harness = Harness::new().await;
    let id = harness.report(debian("web-1", 20, 1, START)).await;
    let body = format!("{{\"kind\":\"scan\",\"nodes\":[\"{id}\"]}}");
    let requested = harness.post("/api/v1/operations", &body, &[]).await.json();
    // Resolves at once, because the request left its wake-up.
    harness.app.work_requested(&id).await;
    let claimed = operations::claim(&harness.app, &id, 1).await.unwrap().unwrap();
    assert_eq!((claimed.kind.as_str(), &requested["id"]), ("scan", &claimed.operation_id.as_str().into()));
    assert_eq!(operations::claim(&harness.app, &id, 1).await.unwrap(), None);
    operations::release(&harness.app, &id).await.unwrap();
    assert_eq!(operations::claim(&harness.app, &id, 1).await.unwrap(), Some(claimed.clone()), "work of a node that died is given again");
    operations::finish(&harness.app, &claimed.operation_id, &id, Ended::new(InvocationState::Failed, Some("no disk"))).await.unwrap();
    let ended = harness.get(&format!("/api/v1/operations/{}", claimed.operation_id)).await.json();
    assert_eq!((&ended["invocations"][0]["state"], &ended["invocations"][0]["message"]), (&"FAILED".into(), &"no disk".into()));
}

#[tokio::test]
async fn a_node_that_does_not_allow_it_is_not_asked_to_install() {
    let harness = Harness::new().await;
    let id = harness.report(debian("web-1", 20, 2, START)).await;
    let ask = async |wish: &str| harness.post("/api/v1/operations", &format!("{{\"kind\":\"install\",\"nodes\":[\"{id}\"],\"install\":{wish}}}"), &[]).await;
    for (wish, words) in [
        ("{}", "does not allow installs"),
        (r#"{"allow":"ALL"}"#, "is none of DEPENDENCIES, NONE, AS_PLANNED"),
        (r#"{"only":[""]}"#, "names of 1 to"),
        (r#"{"reboot":"PERHAPS"}"#, "is none of IF_NEEDED, NEVER, ALWAYS"),
        (r#"{"reboot":"2026-13-01"}"#, "is no time such as 2026-12-01T02:00:00Z"),
        (r#"{"ends_by":"soon"}"#, "is no time such as"),
        (r#"{"hooks":{"before":""}}"#, "is no name of 1 to 128 bytes"),
        (r#"{"override_list":"patches: []"}"#, "the list names no patch"),
        (r#"{"override_list":"patches: [{id: a}]","only":["b"]}"#, "give one of"),
    ] {
        let answer = ask(wish).await;
        answer.check_problem(422, "invalid_value");
        assert!(answer.body.contains(words), "{}", answer.body);
    }
    assert_eq!(operations::claim(&harness.app, &id, 1).await.unwrap(), None);
    harness.get(&format!("/api/v1/operations/op-0123456789abcdef0/receipts/{id}")).await.check_problem(404, "not_found");
    harness.post("/api/v1/operations/op-0123456789abcdef0/cancel", "null", &[]).await.check_problem(404, "not_found");
    harness.post("/api/v1/operations", r#"{"kind":"rollback"}"#, &[]).await.check_problem(422, "invalid_value");
    harness.post("/api/v1/operations", r#"{"kind":"rollback","rollback_of":"op-0123456789abcdef0"}"#, &[]).await.check_problem(422, "invalid_value");
}

#[tokio::test]
async fn a_query_asks_for_what_nodes_are_and_have() {
    let harness = Harness::new().await;
    for (name, n_missing) in [("web-1", 3), ("web-2", 0), ("db-1", 0)] {
        harness.report(debian(name, 20, n_missing, START)).await;
    }
    let found = |query: &str| {
        let page = nodes::list(&harness.app, &harness.operator, &ListNodes { query: Some(query.to_owned()), sort: Some("name".to_owned()), ..ListNodes::default() });
        page.map(|page| page.nodes.into_iter().map(|node| node.name).collect::<Vec<_>>().join(" ")).map_err(|error| error.to_string())
    };
    let all = "db-1 web-1 web-2";
    let version = debian("web-1", 20, 3, START).packages[0].clone();
    let newer = debian("web-2", 20, 0, START).packages[0].clone();
    assert_eq!(version.name, newer.name);
    for (query, expected) in [
        ("name = web-*".to_owned(), "web-1 web-2"),
        ("system = DEBIAN and product = Debian12 and account = default and region = default and unit = *".to_owned(), all),
        (format!("package {}", version.name), all),
        ("package nginx".to_owned(), ""),
        (format!("package {} > {} or name = db-1", version.name, newer.version), "db-1"),
        (format!("not package {} = {}", version.name, version.version), if version.version == newer.version { "" } else { "db-1 web-2" }),
        ("tag.env = prod".to_owned(), ""),
    ] {
        assert_eq!(found(&query).as_deref(), Ok(expected), "{query}");
    }
    assert!(found("host = web").unwrap_err().contains("found `host` at character 1"));
}

#[tokio::test]
async fn how_far_a_run_is_is_written_now_and_then_and_at_once_when_the_node_goes_down() {
    let harness = Harness::new().await;
    let id = harness.report(debian("web-1", 20, 1, START)).await;
    let body = format!("{{\"kind\":\"scan\",\"nodes\":[\"{id}\"]}}");
    let operation = harness.post("/api/v1/operations", &body, &[]).await.json()["id"].as_str().unwrap().to_owned();
    operations::claim(&harness.app, &id, 1).await.unwrap().unwrap();
    let agent = Agent { node_id: id.clone(), number: 0, certificate: "1".into() };
    let tell = async |step: Step, line: &str, back_by| {
        let progress = Progress { step, at: START, percent: None, lines: vec![line.to_owned()], waits_until: None, back_by };
        agents::progress(&harness.app, &agent, &RunProgress { operation_id: operation.clone(), progress }).await.unwrap();
    };
    let shown = async || harness.get(&format!("/api/v1/operations/{operation}")).await.json()["invocations"][0]["progress"].clone();
    tell(Step::Download, "first", None).await;
    tell(Step::Apply, "second", None).await;
    assert!(shown().await.is_null());
    progress::write_down(&harness.app).await.unwrap();
    assert_eq!((&shown().await["step"], &shown().await["lines"][0]), (&"apply".into(), &"second".into()));
    tell(Step::Reboot, "third", Some(START)).await;
    assert_eq!(shown().await["step"], "reboot");
}

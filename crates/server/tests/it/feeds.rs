//! Vendors' feeds: what an import says of the patches of nodes, and what a broken one does not change.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::clock::START;
use testkit::feeds::{osv_entry, write_archive};
use testkit::inventories;

use crate::harness::{Answer, Harness};

fn archive(entries: &[Value]) -> Vec<u8> {
    let folder = testkit::folder();
    let path = folder.path().join("all.zip");
    write_archive(&path, entries.iter().map(|entry| (format!("{}.json", entry["id"].as_str().unwrap_or("broken")), entry.to_string())));
    std::fs::read(path).unwrap()
}

/// `pkg-0000` may become 1.0-1+deb12u1: a notice without a severity and the vulnerability that it closes.
fn entries() -> Vec<Value> {
    let mut vulnerability = osv_entry("DEBIAN-CVE-2026-7", 2, &[], "pkg-0000", "1.0-1+deb12u1");
    vulnerability["severity"] = json!([{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }]);
    vec![osv_entry("DSA-1-1", 2, &["CVE-2026-7"], "pkg-0000", "1.0-1+deb12u1"), osv_entry("DSA-2-1", 2, &["CVE-2026-8"], "pkg-0001", "0.9-1"), vulnerability]
}

async fn add(harness: &Harness, body: Value) -> Answer {
    harness.post("/api/v1/feeds", &body.to_string(), &[]).await
}

async fn import(harness: &Harness, name: &str, file: Vec<u8>) -> Answer {
    let request = harness.request("POST", &format!("/api/v1/feeds/{name}/import"));
    harness.send(request.body(Body::from(file)).unwrap()).await
}

/// Ids, CVEs and severity of each patch that the only node lacks.
async fn patches(harness: &Harness) -> Vec<String> {
    let node = harness.get("/api/v1/nodes").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let on_node = harness.get(&format!("/api/v1/nodes/{node}/patches?state=MISSING")).await.json();
    let in_catalog = harness.get("/api/v1/patches").await.json();
    let words = |list: &Value| list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ");
    let line = |patch: &Value| format!("{} {} {} {}", patch["name"].as_str().unwrap(), words(&patch["advisories"]), words(&patch["cves"]), patch["severity"].as_str().unwrap());
    let lines = |found: &Value| found["items"].as_array().unwrap().iter().map(line).collect::<Vec<_>>();
    let mut in_catalog = lines(&in_catalog);
    in_catalog.sort();
    assert_eq!(lines(&on_node), in_catalog, "the node's page and the catalog say the same");
    in_catalog
}

async fn fleet() -> Harness {
    let harness = Harness::new().await;
    harness.report(inventories::debian("web-1", 20, 2, START)).await;
    assert_eq!(add(&harness, json!({ "name": "debian", "format": "osv" })).await.status, StatusCode::OK);
    harness
}

const WITHOUT: [&str; 2] = ["pkg-0000   Unspecified", "pkg-0001   Unspecified"];
const WITH: [&str; 2] = ["pkg-0000 DSA-1-1 CVE-2026-7 Critical", "pkg-0001   Unspecified"];

#[tokio::test]
async fn an_import_says_what_patches_close_and_rules_may_use_it() {
    let harness = fleet().await;
    assert_eq!(patches(&harness).await, WITHOUT);
    let critical = "schema: baseline/v1\nname: critical\noperating_system: DEBIAN\napproval_rules:\n- filters: {severity: [Critical]}\n  approve_after_days: 0\n";
    let saved = harness.post("/api/v1/baselines", &json!({ "document": critical }).to_string(), &[]).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    let choice = json!({ "operating_system": "DEBIAN", "baseline": saved.json()["id"] });
    assert_eq!(harness.post("/api/v1/baselines/assign", &choice.to_string(), &[]).await.status, StatusCode::OK);
    assert_eq!(harness.get("/api/v1/summary").await.json()["counts"]["missing"], 0);

    let answer = import(&harness, "debian", archive(&entries())).await;
    assert_eq!((answer.json()["n_entries"].clone(), answer.json()["n_changed"].clone()), (3.into(), 3.into()), "{}", answer.body);
    let summary = harness.get("/api/v1/summary").await.json();
    assert_eq!(summary["counts"]["missing"], 1, "the rule approves what is critical: {summary}");
    let restarted = harness.restart().await;
    assert_eq!(restarted.get("/api/v1/summary").await.json()["counts"], summary["counts"], "the store has all of it");
}

#[tokio::test]
async fn an_import_brings_what_changed_and_a_notice_may_be_withdrawn() {
    let harness = fleet().await;
    assert_eq!(import(&harness, "debian", archive(&entries())).await.json()["n_changed"], 3);
    assert_eq!(patches(&harness).await, WITH);
    let mut later = entries();
    later[0]["modified"] = "2026-01-09T00:00:00Z".into();
    later[0]["withdrawn"] = "2026-01-09T00:00:00Z".into();
    later.push(json!({ "id": "DSA-3-1", "modified": "soon" }));
    let answer = import(&harness, "debian", archive(&later)).await.json();
    assert_eq!((&answer["n_entries"], &answer["n_changed"], &answer["n_malformed"]), (&3.into(), &1.into(), &1.into()));
    assert_eq!(answer["problems"], json!(["DSA-3-1.json: modified: `soon` is no RFC 3339 time"]));
    assert_eq!(patches(&harness).await, ["pkg-0000  CVE-2026-7 Critical", "pkg-0001   Unspecified"], "the vulnerability stands");
    let answer = import(&harness, "debian", archive(&later[..2])).await.json();
    assert_eq!((&answer["n_entries"], &answer["n_changed"], &answer["n_removed"]), (&2.into(), &0.into(), &1.into()));
    assert_eq!(patches(&harness).await, WITHOUT);
    assert_eq!(harness.post("/api/v1/feeds/debian/remove", "{}", &[]).await.status, StatusCode::OK);
    assert_eq!(harness.get("/api/v1/feeds").await.json()["items"], json!([]));
}

#[tokio::test]
async fn nothing_of_a_broken_file_is_imported() {
    let harness = fleet().await;
    import(&harness, "debian", archive(&entries())).await;
    let whole = archive(&entries().into_iter().chain((0..200).map(|n| osv_entry(&format!("DSA-9-{n}"), 3, &[], "pkg-0001", "1.0-1+deb12u1"))).collect::<Vec<_>>());
    let mut damaged = whole.clone();
    damaged[60] ^= 0xff;
    for (file, why) in [(whole[..whole.len() / 2].to_vec(), "a cut one"), (damaged, "one with other bytes"), (archive(&entries()[..1]), "one that lost most entries")] {
        let answer = import(&harness, "debian", file).await;
        answer.check_problem(422, "feed_failed");
        assert!(answer.json()["message"].as_str().unwrap().starts_with("nothing was imported: "), "{why}: {}", answer.body);
        assert_eq!(patches(&harness).await, WITH, "{why}");
        let feed = harness.get("/api/v1/feeds").await.json()["items"][0].clone();
        assert_eq!((&feed["n_entries"], feed["error"].is_string()), (&3.into(), true), "{why}");
    }
    let restarted = harness.restart().await;
    assert_eq!(patches(&restarted).await, WITH, "what an import left that did not end counts nowhere");
}

/// A server on loopback.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test]
async fn a_feed_is_fetched_and_not_again_while_it_is_the_same() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let archive = archive(&entries());
    let answer = move |headers: HeaderMap| async move {
        let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag == "\"one\"");
        if is_known { StatusCode::NOT_MODIFIED.into_response() } else { ([(header::ETAG, "\"one\"")], archive).into_response() }
    };
    let url = serve(Router::new().route("/all.zip", get(answer))).await;
    let harness = fleet().await;
    add(&harness, json!({ "name": "osv", "format": "OSV", "url": format!("{url}/all.zip") })).await;
    for n_changed in [3, 3] {
        let feed = harness.post("/api/v1/feeds/osv/refresh", "{}", &[]).await;
        assert_eq!(feed.json()["n_changed"], n_changed, "the second time nothing is imported: {}", feed.body);
        assert_eq!(patches(&harness).await, WITH);
    }
    add(&harness, json!({ "name": "gone", "format": "OSV", "url": format!("{url}/gone.zip") })).await;
    let answer = harness.post("/api/v1/feeds/gone/refresh", "{}", &[]).await;
    answer.check_problem(422, "feed_failed");
    assert!(answer.body.contains("the server answers 404"), "{}", answer.body);
}

const UPDATES: &str = r#"<updates><update type="security"><id>ALSA-2026:1</id><issued date="2026-01-02"/><severity>Important</severity>
    <references><reference type="cve" id="CVE-2026-7"/></references>
    <pkglist><collection><package name="pkg-0000" version="1.0" release="1" epoch="0" arch="x86_64"/></collection></pkglist></update></updates>"#;

#[tokio::test]
async fn advisories_of_an_rpm_repository_are_verified_by_their_checksum() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let index = |content: &str| {
        let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        let data = |kind: &str| format!(r#"<data type="{kind}"><checksum type="sha256">{digest}</checksum><location href="repodata/{kind}.xml"/></data>"#);
        format!("<repomd>{}{}</repomd>", data("primary"), data("updateinfo"))
    };
    let (good, bad) = (index(UPDATES), index("another text"));
    let serve_index = |path: &str, text: String| (format!("/{path}/repodata/repomd.xml"), get(move || async { text }));
    let mut router = Router::new();
    for (path, index) in [("good", good), ("bad", bad)] {
        let (at, index) = serve_index(path, index);
        router = router.route(&at, index).route(&format!("/{path}/repodata/updateinfo.xml"), get(|| async { UPDATES }));
    }
    let url = serve(router).await;
    let harness = fleet().await;
    for path in ["good", "bad"] {
        let added = add(&harness, json!({ "name": path, "format": "repository", "product": "AlmaLinux9", "url": format!("{url}/{path}") })).await;
        assert_eq!(added.status, StatusCode::OK, "{}", added.body);
    }
    let good = harness.post("/api/v1/feeds/good/refresh", "{}", &[]).await.json();
    assert_eq!((&good["n_entries"], &good["error"]), (&1.into(), &Value::Null), "{good}");
    let bad = harness.post("/api/v1/feeds/bad/refresh", "{}", &[]).await;
    bad.check_problem(422, "feed_failed");
    assert!(bad.body.contains("checksum"), "{}", bad.body);
}

#[tokio::test]
async fn feeds_that_cannot_be_are_refused() {
    let harness = fleet().await;
    for (body, field) in [
        (json!({ "name": "a b", "format": "osv" }), "name"),
        (json!({ "name": "debian", "format": "osv" }), "name"),
        (json!({ "name": "x", "format": "oval" }), "format"),
        (json!({ "name": "x", "format": "osv", "url": "http://feeds.example/all.zip" }), "url"),
        (json!({ "name": "x", "format": "osv", "url": "file:///etc/shadow" }), "url"),
        (json!({ "name": "x", "format": "osv", "product": "Debian12" }), "product"),
        (json!({ "name": "x", "format": "updateinfo" }), "product"),
        (json!({ "name": "x", "format": "repository", "product": "RockyLinux9" }), "url"),
        (json!({ "name": "x", "format": "osv", "every_hours": 0 }), "every_hours"),
    ] {
        let answer = add(&harness, body.clone()).await;
        answer.check_problem(422, "invalid_value");
        assert_eq!(answer.json()["field"], field, "{body}");
    }
    import(&harness, "nothing", Vec::new()).await.check_problem(404, "not_found");
}

//! Times the questions that people ask of a fleet, and the start of its server, on SQLite, for
//! `cargo xtask bench queries`; prints JSON. Every node has a package set of its own, a few packages
//! away from one of fifty images.
#![expect(clippy::disallowed_methods, clippy::print_stdout, clippy::cast_precision_loss, reason = "a benchmark reads a clock and prints")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use domain::model::digest::Digest;
use domain::model::id::{IdSource, NodeId};
use domain::model::section::{PerSection, Section};
use serde_json::json;
use server::App;
use server::actions::{reports, sessions};
use server::app::{AppConfig, Rhythm};
use server::keys::Keys;
use store::Database;
use store::contents::{ContentBody, NewContent};
use store::nodes::{NodeRecord, NodeState};
use store::reports::ReportRecord;
use testkit::clock::{START, TestClock};
use testkit::inventories;
use tower::ServiceExt;

const IMAGES: u32 = 50;
const PACKAGES: usize = 400;
const TIMES: usize = 300;

#[tokio::main]
async fn main() {
    let n_nodes: u32 = std::env::args().nth(1).and_then(|number| number.parse().ok()).unwrap_or(10_000);
    let folder = testkit::folder();
    fill(folder.path(), n_nodes).await;

    let start = Instant::now();
    let app = open(folder.path()).await;
    let started_s = start.elapsed().as_secs_f64();
    let file = folder.path().join("fettle.db");
    let start = Instant::now();
    let n_bytes = std::fs::read(&file).expect("the database can be read").len();
    let read_s = start.elapsed().as_secs_f64();

    let (_, operator) = sessions::create_start_token(&app).await.expect("a token can be made");
    let (link, _) = sessions::create_link(&app, &operator, None).await.expect("a link can be made");
    let secret = sessions::sign_in(&app, &link).await.expect("a link can be used").expect("the link is fresh");
    let router = server::http::router(app);
    let browser = Browser { router, cookie: format!("fettle_session={secret}") };

    let mut queries = serde_json::Map::new();
    for (what, path) in
        [("nodes by missing, pages of 50", "/nodes"), ("nodes by name, filtered by text", "/nodes?q=node-00&sort=name"), ("compliance by patch", "/patches"), ("overview", "/")]
    {
        queries.insert(what.to_owned(), browser.time(path).await);
    }
    let patch = browser.get("/patches").await;
    let patch = patch.split_once("href=\"/patches/").and_then(|(_, rest)| rest.split_once('"')).map(|(id, _)| format!("/patches/{id}")).expect("there is a patch");
    queries.insert("nodes that need a patch".to_owned(), browser.time(&patch).await);
    let start =
        json!({ "what": format!("start to serving, {n_nodes} nodes"), "seconds": started_s, "reading_the_same_bytes_s": read_s, "database_mib": n_bytes as f64 / 1_048_576.0 });
    println!("{}", json!({ "queries": queries, "start": start }));
}

struct Browser {
    router: Router,
    cookie: String,
}

impl Browser {
    async fn get(&self, path: &str) -> String {
        let request = Request::builder().uri(path).header(header::COOKIE, &self.cookie).body(Body::empty()).expect("the request is well formed");
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        assert!(response.status().is_success(), "{path}: {}", response.status());
        let body = axum::body::to_bytes(response.into_body(), 4 << 20).await.expect("a page fits");
        String::from_utf8_lossy(&body).into_owned()
    }

    /// Follows the pages of a list to their end, again and again.
    async fn time(&self, first: &str) -> serde_json::Value {
        let mut path = first.to_owned();
        let mut spent_ms = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let start = Instant::now();
            let page = self.get(&path).await;
            spent_ms.push(start.elapsed().as_secs_f64() * 1000.0);
            path = page.split_once("rel=\"next\" href=\"").and_then(|(_, rest)| rest.split_once('"')).map_or_else(|| first.to_owned(), |(next, _)| next.replace("&amp;", "&"));
        }
        spent_ms.sort_by(f64::total_cmp);
        json!({ "p50_ms": spent_ms[TIMES / 2], "p99_ms": spent_ms[TIMES * 99 / 100] })
    }
}

async fn open(folder: &Path) -> App {
    let counter = AtomicU8::new(1);
    App::open(AppConfig {
        database: Database::open_sqlite(&folder.join("fettle.db"), 0).await.expect("a database can be made"),
        clock: Arc::new(TestClock::default()),
        ids: IdSource::seeded(1),
        new_secret: Box::new(move || [counter.fetch_add(1, Ordering::SeqCst); 32]),
        behind_tls: false,
        rhythm: Rhythm::default(),
        keys: Keys::open(&folder.join("keys"), None, &["localhost".to_owned()], Box::new(|| [7; 32]), START).expect("keys can be made"),
        given_certificate: None,
        names: vec!["localhost".to_owned()],
        agent_url: "https://localhost:7300".to_owned(),
        spool: folder.join("spool"),
        gates: folder.join("gates"),
        secrets: folder.join("secrets"),
    })
    .await
    .expect("the fleet can be read")
}

/// Lets the images report, then writes the rows of nodes that drifted from them.
async fn fill(folder: &Path, n_nodes: u32) {
    let app = open(folder).await;
    for image in 0..IMAGES {
        let mut inventory = inventories::debian(&format!("image-{image:02}"), PACKAGES, 90, START);
        for package in inventory.packages.iter_mut().skip(image as usize).step_by(10) {
            package.version = format!("0.9-{image}");
        }
        reports::record_own(&app, &inventory).await.expect("a report can be recorded");
        if image == 0 {
            // So that the versions of drifted packages are known.
            for drift in 0..8 {
                inventory.packages.iter_mut().skip(drift).step_by(8).for_each(|package| package.version = format!("0.8-{drift}"));
            }
            "drift".clone_into(&mut inventory.name);
            inventory.machine = Some("drift".to_owned());
            reports::record_own(&app, &inventory).await.expect("a report can be recorded");
        }
    }
    app.save().await.expect("states can be saved");
    drop(app);

    let database = Database::open_sqlite(&folder.join("fettle.db"), 0).await.expect("the database is there");
    let mut tx = database.read().await.expect("the database can be read");
    let images: Vec<ReportRecord> = tx.list_current_reports().await.expect("there are reports").into_iter().take(IMAGES as usize).collect();
    let mut packages = Vec::new();
    for image in &images {
        packages.push(tx.find_content(image.sections[Section::Packages]).await.expect("there is a content"));
    }
    let first = u32::try_from(tx.list_nodes().await.expect("there are nodes").len()).expect("there are few");
    let (mut content, mut report) =
        (u32::try_from(tx.list_contents().await.expect("there are contents").len()).expect("there are few"), tx.next_report_number().await.expect("there are reports"));
    drop(tx);
    let mut tx = database.write().await.expect("the database can be written");
    let mut ids = IdSource::seeded(2);
    let mut chance = 1_u64;
    let mut below = |limit: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(chance >> 33).unwrap_or_default() % limit
    };
    let (mut contents, mut reports, mut states) = (Vec::new(), Vec::new(), Vec::new());
    for number in first..first + n_nodes {
        let image = below(images.len());
        let lines: Vec<&str> = packages[image].lines().collect();
        let mut changed: Vec<usize> = (0..=below(4)).map(|_| below(lines.len())).collect();
        changed.sort_unstable();
        changed.dedup();
        let edit = changed.iter().map(|at| drift_line(lines[*at])).collect::<String>();
        contents.push(NewContent {
            number: content,
            digest: Digest::of(&number.to_le_bytes()),
            body: ContentBody::Edit { of: images[image].sections[Section::Packages], edit },
            first_seen_at: START,
        });
        let mut sections = images[image].sections;
        sections[Section::Packages] = content;
        reports.push(ReportRecord { number: report, node_number: number, collected_at: START, received_at: START, sections: PerSection(sections.0) });
        let record = NodeRecord {
            machine: Some(format!("machine-{number}")),
            agent_version: Some("0.1.0".to_owned()),
            identity: Some(format!("identity-{number}")),
            ..NodeRecord::new(number, NodeId::create(&mut ids, START), START)
        };
        tx.upsert_node(&record).await.expect("a node can be written");
        states.push(NodeState {
            node_number: number,
            name: format!("node-{number:07}"),
            boot: None,
            seen_at: Some(START),
            report_number: Some(report),
            collected_at: Some(START),
            lists_refreshed_at: Some(START),
            booted_at: None,
        });
        content += 1;
        report += 1;
        if contents.len() == 4096 || number + 1 == first + n_nodes {
            tx.insert_contents(&contents).await.expect("contents can be written");
            tx.insert_reports(&reports).await.expect("reports can be written");
            tx.upsert_node_states(&states).await.expect("states can be written");
            contents.clear();
            reports.clear();
            states.clear();
        }
    }
    tx.commit().await.expect("the fleet can be written");
    database.close().await;
}

/// The edit that gives a package another version. Versions below sort before those of images.
fn drift_line(line: &str) -> String {
    let mut fields: Vec<&str> = line.split('\t').collect();
    let number: usize = fields[0].trim_start_matches("pkg-").parse().unwrap_or_default();
    let version = format!("0.8-{}", number % 8);
    if fields[2] == version {
        return String::new();
    }
    fields[2] = &version;
    let new = fields.join("\t");
    if new.as_str() < line { format!("+{new}\n-{line}\n") } else { format!("-{line}\n+{new}\n") }
}

//! Times the console's list of nodes over a fleet in SQLite, for `cargo xtask bench`; prints JSON.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads a clock and prints")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::http::{Request, header};
use domain::model::id::IdSource;
use server::App;
use server::actions::{reports, sessions};
use server::app::{AppConfig, Rhythm};
use server::keys::Keys;
use store::Database;
use testkit::clock::{START, TestClock};
use testkit::inventories;
use tower::ServiceExt;

const NODES: usize = 10_000;
const PAGES: usize = 1_000;

#[tokio::main]
async fn main() {
    let folder = testkit::folder();
    let database = Database::open_sqlite(&folder.path().join("fettle.db"), 0).await.expect("a database can be made");
    let counter = AtomicU8::new(1);
    let app = App::open(AppConfig {
        database,
        clock: Arc::new(TestClock::default()),
        ids: IdSource::seeded(1),
        new_secret: Box::new(move || [counter.fetch_add(1, Ordering::SeqCst); 32]),
        behind_tls: false,
        rhythm: Rhythm::default(),
        keys: Keys::open(&folder.path().join("keys"), None, &["localhost".to_owned()], Box::new(|| [7; 32]), START).expect("keys can be made"),
        given_certificate: None,
        names: vec!["localhost".to_owned()],
        agent_url: "https://localhost:7300".to_owned(),
    })
    .await
    .expect("the fleet can be read");
    for number in 0..NODES {
        let inventory = inventories::debian(&format!("node-{number:05}"), 120, number % 90, START);
        reports::record_own(&app, &inventory).await.expect("a report can be recorded");
    }
    let (_, operator) = sessions::create_start_token(&app).await.expect("a token can be made");
    let (link, _) = sessions::create_link(&app, &operator).await.expect("a link can be made");
    let secret = sessions::sign_in(&app, &link).await.expect("a link can be used").expect("the link is fresh");
    let router = server::http::router(app);

    let mut path = "/nodes".to_owned();
    let mut spent_ms = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let request = Request::builder().uri(&path).header(header::COOKIE, format!("fettle_session={secret}")).body(Body::empty()).expect("the request is well formed");
        let start = Instant::now();
        let response = router.clone().oneshot(request).await.expect("the router answers");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a page fits");
        spent_ms.push(start.elapsed().as_secs_f64() * 1000.0);
        let page = String::from_utf8_lossy(&body);
        assert!(page.contains("10000 nodes"), "the page counts the fleet");
        // Follow the pages to their end, then begin again.
        path = page.split_once("rel=\"next\" href=\"").and_then(|(_, rest)| rest.split_once('"')).map_or_else(|| "/nodes".to_owned(), |(next, _)| next.replace("&amp;", "&"));
    }
    spent_ms.sort_by(f64::total_cmp);
    println!(
        "{{\"what\": \"node list page, 50 of {NODES} nodes by missing, SQLite, ms\", \"p50\": {:.2}, \"p99\": {:.2}, \"limit_p99\": 10}}",
        spent_ms[PAGES / 2],
        spent_ms[PAGES * 99 / 100]
    );
}

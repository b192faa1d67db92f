//! An app on a fresh SQLite file, and requests to it without a network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use domain::model::id::{IdSource, NodeId};
use domain::model::inventory::Inventory;
use server::App;
use server::actions::{Caller, reports, sessions};
use server::app::{AppConfig, Rhythm};
use server::keys::Keys;
use store::Database;
use testkit::clock::{START, TestClock};
use tower::ServiceExt;

pub struct Harness {
    pub app: App,
    pub clock: Arc<TestClock>,
    pub operator: Caller,
    token: String,
    router: Router,
    folder: Arc<tempfile::TempDir>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Harness {
    pub async fn new() -> Self {
        Self::open(Arc::new(testkit::folder()), Arc::new(TestClock::default())).await
    }

    /// A server that begins with what this one has stored.
    pub async fn restart(&self) -> Self {
        Self::open(self.folder.clone(), self.clock.clone()).await
    }

    async fn open(folder: Arc<tempfile::TempDir>, clock: Arc<TestClock>) -> Self {
        let database = Database::open_sqlite(&folder.path().join("fettle.db"), 0).await.unwrap();
        let counter = AtomicU8::new(1);
        let app = App::open(AppConfig {
            database,
            clock: clock.clone(),
            ids: IdSource::seeded(1),
            new_secret: Box::new(move || [counter.fetch_add(1, Ordering::SeqCst); 32]),
            behind_tls: false,
            rhythm: Rhythm::default(),
            keys: Keys::open(&folder.path().join("keys"), None, &["localhost".to_owned()], Box::new(|| [7; 32]), START).unwrap(),
            given_certificate: None,
            names: vec!["localhost".to_owned()],
            agent_url: "https://localhost:7300".to_owned(),
            spool: folder.path().join("spool"),
            gates: folder.path().join("gates"),
            secrets: folder.path().join("secrets"),
        })
        .await
        .unwrap();
        let (token, operator) = sessions::create_start_token(&app).await.unwrap();
        Self { router: server::http::router(app.clone()), app, clock, operator, token, folder }
    }

    /// The server's folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Lets a node report.
    pub async fn report(&self, inventory: Inventory) -> NodeId {
        reports::record_own(&self.app, &inventory).await.unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 10 << 20).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// A request of a program with the start token.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.request("POST", path).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {}", self.token))
    }

    /// Signs a browser in; its cookie.
    pub async fn sign_in(&self) -> String {
        let (link, _) = sessions::create_link(&self.app, &self.operator, None).await.unwrap();
        let answer = self.send_form("/sign-in", &format!("link={link}"), "", &[]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        answer.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    /// A page as the browser with this cookie sees it.
    pub async fn page(&self, path: &str, cookie: &str) -> Answer {
        self.send(Request::builder().uri(path).header(header::COOKIE, cookie).body(Body::empty()).unwrap()).await
    }

    pub async fn send_form(&self, path: &str, form: &str, cookie: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method("POST").uri(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").header(header::COOKIE, cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    #[track_caller]
    pub fn check_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.json()["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
    }
}

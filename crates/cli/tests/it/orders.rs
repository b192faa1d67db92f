//! Orders that must not be obeyed, from a server that has the installation's TLS keys: the real agent
//! refuses each, says why, and obeys the next good one.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use agent::config::AgentConfig;
use agent::enroll::{self, NewKey};
use agent::run::{AgentParts, RunError};
use agent::state::StateFolder;
use api::agent_v1::{Enrolled, OrderResult, Orders, ReportAnswer, SignedOrder, Welcome};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use domain::model::id::NodeId;
use domain::model::order::{InstallWork, Order, Task};
use domain::model::plan::{Hooks, Terms};
use domain::model::time::{Clock, HOUR_MS, Timestamp};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use server::keys::Keys;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
    }
}

/// What the server hands out, the last first, and where it puts the answers.
#[derive(Clone)]
struct Desk {
    orders: Arc<Mutex<Vec<SignedOrder>>>,
    results: mpsc::UnboundedSender<OrderResult>,
}

async fn hand_out(State(desk): State<Desk>) -> Json<Orders> {
    let next = desk.orders.lock().unwrap().pop();
    if next.is_none() {
        // Like a server that has nothing to ask.
        std::future::pending::<()>().await;
    }
    Json(Orders { orders: next.into_iter().collect() })
}

async fn take_result(State(desk): State<Desk>, Json(result): Json<OrderResult>) -> StatusCode {
    desk.results.send(result).unwrap();
    StatusCode::NO_CONTENT
}

async fn serve(keys: &Keys, desk: Desk) -> String {
    let welcome = Welcome { now: RealClock.now(), scan_seconds: 3600, poll_seconds: 5 };
    let router = Router::new()
        .route("/agent/v1/hello", post(async || Json(welcome)))
        .route("/agent/v1/report", post(async || Json(ReportAnswer { recorded: true, ..ReportAnswer::default() })))
        .route("/agent/v1/check-in", post(async || StatusCode::NO_CONTENT))
        .route("/agent/v1/orders", get(hand_out).post(take_result))
        .with_state(desk);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(keys.tls().0);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (tls, router) = (tls.clone(), router.clone());
            tokio::spawn(async move {
                let stream = tls.accept(stream).await.unwrap();
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
            });
        }
    });
    format!("https://{address}")
}

/// The real agent of a node, in a folder of its own.
fn run_agent(server: &str, folder: &Path, keys: &Keys, node: &NodeId, prepare: impl FnOnce(&StateFolder)) -> (JoinHandle<Result<(), RunError>>, StateFolder) {
    let now = RealClock.now();
    let state = StateFolder::open(&folder.join("state")).unwrap();
    let allows = vec!["install".to_owned(), "hooks".to_owned()];
    let config = AgentConfig { cloud_metadata: false, allows, custom_inventory: folder.join("none"), ..AgentConfig::new(server, &folder.join("state")) };
    let key = NewKey::create().unwrap();
    let certificate = keys.issue(&key.certificate_request, node, now).unwrap().pem;
    let enrolled = Enrolled { node_id: node.to_string(), certificate, authorities: keys.authorities(), order_keys: keys.order_keys(), clone_of: None };
    enroll::keep(&state, &enrolled, &key.key, &enroll::present(&config, "identity".to_owned())).unwrap();
    prepare(&state);
    let parts = AgentParts { config, state: state.clone(), cache: folder.join("cache"), clock: Arc::new(RealClock), new_identity: Box::new(|| "other".to_owned()) };
    (tokio::spawn(agent::run::run(parts, std::future::pending())), state)
}

#[tokio::test]
async fn forged_foreign_replayed_and_expired_orders_are_refused_and_reported() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = testkit::folder();
    let now = RealClock.now();
    let open = |name: &str, secret: u8| Keys::open(&folder.path().join(name), None, &["localhost".to_owned()], Box::new(move || [secret; 32]), now).unwrap();
    let (keys, of_thief) = (open("keys", 7), open("thief", 8));
    let (results, mut answered) = mpsc::unbounded_channel();
    let desk = Desk { orders: Arc::default(), results };
    let server = serve(&keys, desk.clone()).await;

    let node: NodeId = "mi-00000000000000001".parse().unwrap();
    let order = |generation: u32, operation: &str| Order {
        operation_id: operation.to_owned(),
        node_id: node.to_string(),
        generation,
        issued_at: now,
        expires_at: now.plus_millis(HOUR_MS),
        task: Task::Report,
        sources: Vec::new(),
        repositories: Vec::new(),
    };
    let mut altered = keys.sign(&order(9, "altered"));
    altered.order = altered.order.replace("report", "retire");
    let mut orders = vec![
        keys.sign(&order(5, "first")),
        of_thief.sign(&order(6, "forged")),
        altered,
        keys.sign(&Order { node_id: "mi-00000000000000002".to_owned(), ..order(7, "foreign") }),
        keys.sign(&order(5, "replayed")),
        keys.sign(&order(4, "older")),
        keys.sign(&Order { expires_at: now.plus_millis(-HOUR_MS), ..order(8, "expired") }),
        keys.sign(&order(10, "last")),
    ];
    orders.reverse();
    *desk.orders.lock().unwrap() = orders;

    let (agent, state) = run_agent(&server, folder.path(), &keys, &node, |_| ());

    let mut seen = Vec::new();
    while seen.len() < 8 {
        let result = answered.recv().await.expect("the agent answers every order");
        seen.push((result.operation_id, result.succeeded, result.refused, result.message.unwrap_or_default()));
    }
    agent.abort();
    let expected = [
        ("first", true, ""),
        ("", false, "not signed by a key that this node trusts"),
        ("", false, "not signed by a key that this node trusts"),
        ("foreign", false, "is for node mi-00000000000000002"),
        ("replayed", false, "has generation 5, and generation 5 was seen"),
        ("older", false, "has generation 4, and generation 5 was seen"),
        ("expired", false, "expired at"),
        ("last", true, ""),
    ];
    for ((operation, succeeded, refused, message), (wanted, obeyed, words)) in seen.iter().zip(expected) {
        assert_eq!((operation.as_str(), *succeeded, *refused), (wanted, obeyed, !obeyed), "{message}");
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(state.identity().unwrap().unwrap().generation, 10);
}

#[tokio::test]
async fn an_install_that_was_given_again_as_it_ended_is_answered_and_not_done_twice() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = testkit::folder();
    let now = RealClock.now();
    let keys = Keys::open(&folder.path().join("keys"), None, &["localhost".to_owned()], Box::new(|| [7; 32]), now).unwrap();
    let (results, mut answered) = mpsc::unbounded_channel();
    let desk = Desk { orders: Arc::default(), results };
    let server = serve(&keys, desk.clone()).await;
    let node: NodeId = "mi-00000000000000001".parse().unwrap();
    // What is really begun here is held, because this node knows no such hook.
    let terms = Terms { hooks: Hooks { at_exit: Some("none".to_owned()), ..Hooks::default() }, ..Terms::default() };
    let order = |generation: u32, operation: &str| Order {
        operation_id: operation.to_owned(),
        node_id: node.to_string(),
        generation,
        issued_at: now,
        expires_at: now.plus_millis(HOUR_MS),
        task: Task::Install(InstallWork { terms: terms.clone(), ..InstallWork::default() }),
        sources: Vec::new(),
        repositories: Vec::new(),
    };
    *desk.orders.lock().unwrap() = vec![keys.sign(&order(3, "op-2")), keys.sign(&order(2, "op-1"))];
    let (agent, state) = run_agent(&server, folder.path(), &keys, &node, |state| {
        state.end_run(&OrderResult { succeeded: true, message: Some("as it was".to_owned()), ..OrderResult::new("op-1") }).unwrap();
    });

    let mut said = Vec::new();
    for _ in 0..3 {
        let result = answered.recv().await.expect("the agent answers every order");
        said.push((result.operation_id, result.succeeded, result.message.unwrap_or_default()));
    }
    agent.abort();
    let as_it_was = ("op-1".to_owned(), true, "as it was".to_owned());
    assert_eq!(said[..2], [as_it_was.clone(), as_it_was]);
    assert_eq!((said[2].0.as_str(), said[2].1), ("op-2", false), "another operation is begun");
    assert_eq!(state.identity().unwrap().unwrap().generation, 3);
}

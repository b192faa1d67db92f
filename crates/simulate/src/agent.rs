//! One simulated agent: it joins, reports what it was drawn with, and checks in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agent::enroll::NewKey;
use agent::transport::{Trust, tls_config};
use api::agent_v1::{CheckIn, Enroll, Enrolled, Hello, OrderResult, Orders, Presented, Report, ReportAnswer, ReportFrame, Welcome, send_unasked};
use domain::model::content::Content;
use domain::model::digest::Digest;
use domain::model::node::Allows;
use domain::model::order::{Order, Task};
use domain::model::section::{PerSection, ReportDigest, Section};
use domain::model::time::Timestamp;
use hyper::StatusCode;
use rustls::ClientConfig;
use rustls::client::Resumption;

use crate::connection::{Connection, RequestError, Traffic};
use crate::draw::Drawn;

/// Requests that one report may take.
const ROUNDS_MAX: usize = 4;

/// How long a simulated install takes.
const INSTALL_TAKES: Duration = Duration::from_millis(20);
/// How long an agent waits before it asks again a server that was away.
const RETRY: Duration = Duration::from_millis(200);

/// Nodes that are at work at once, and what they did.
#[derive(Debug, Default)]
pub struct AtWork {
    /// Now.
    pub now: AtomicU32,
    /// At most.
    pub most: AtomicU32,
    /// Installs that were carried out.
    pub n_installs: AtomicU32,
    /// Ends that were told again, because the server went away before it answered.
    pub n_repeated: AtomicU32,
}

/// A simulated agent.
pub struct SimulatedAgent {
    host: String,
    traffic: Arc<Traffic>,
    presented: Presented,
    tls: Arc<ClientConfig>,
    connection: Option<Connection>,
    /// The report that the server said it has.
    acknowledged: Option<(PerSection<Content>, ReportDigest)>,
}

impl SimulatedAgent {
    /// Joins with an activation's code.
    pub async fn enroll(host: &str, number: u32, seed: u64, code: &str, traffic: Arc<Traffic>) -> Result<Self, RequestError> {
        let (secret, fingerprint) = code.trim().split_once('.').ok_or_else(|| RequestError::Answer { detail: "this is no activation code".to_owned() })?;
        let digest = |what: &str| Digest::of(format!("{what} {seed} {number}").as_bytes());
        let presented = Presented {
            identity: digest("identity").short(32),
            machine: Some(digest("machine").short(32)),
            boot: digest("boot").short(8),
            name: format!("sim-{number:06}"),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            // A simulated node can do anything: it only says that it did.
            allows: Allows { install: true, reboot: true, hooks: true },
        };
        let failed = |error: &dyn std::fmt::Display| RequestError::Answer { detail: error.to_string() };
        let key = NewKey::create().map_err(|error| failed(&error))?;
        let trust = tls_config(&Trust::Fingerprint(fingerprint.to_owned()), None).map_err(|error| failed(&error))?;
        let mut connection = Connection::open(host, Arc::new(trust), traffic.clone()).await?;
        let request = Enroll { activation: secret.to_owned(), certificate_request: key.certificate_request, presented: presented.clone() };
        let enrolled: Enrolled = connection.ask("enroll", &request).await?;
        let mut tls = tls_config(&Trust::Authorities(enrolled.authorities), Some((&key.key, &enrolled.certificate))).map_err(|error| failed(&error))?;
        // The default keeps room for hundreds of servers.
        tls.resumption = Resumption::in_memory_sessions(1);
        Ok(Self { host: host.to_owned(), traffic, presented, tls: Arc::new(tls), connection: None, acknowledged: None })
    }

    /// Connects, and says who it is.
    pub async fn connect(&mut self) -> Result<(), RequestError> {
        let mut connection = Connection::open(&self.host, self.tls.clone(), self.traffic.clone()).await?;
        let _: Welcome = connection.ask("hello", &Hello { presented: self.presented.clone(), generation: 0 }).await?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Closes its connection.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    async fn connection(&mut self) -> Result<&mut Connection, RequestError> {
        if self.connection.is_none() {
            self.connect().await?;
        }
        Ok(self.connection.as_mut().expect("it was just opened"))
    }

    /// Reports; done when the server says that it has it for good.
    pub async fn report(&mut self, drawn: Drawn) -> Result<(), RequestError> {
        let digests = drawn.sections.digests();
        let mut contents = self.changes(&drawn.sections, &digests);
        let mut packages = BTreeMap::new();
        for _ in 0..ROUNDS_MAX {
            let report = Report { heading: drawn.heading.clone(), boot: self.presented.boot.clone(), sections: digests, packages: std::mem::take(&mut packages) };
            let frame = ReportFrame { report, contents: contents.clone() };
            let (_, answer) = self.post("report", frame.pack()).await?;
            let answer: ReportAnswer = serde_json::from_slice(&answer).map_err(|error| RequestError::Answer { detail: error.to_string() })?;
            if answer.recorded {
                self.acknowledged = Some((drawn.sections, ReportDigest::of(&digests)));
                return Ok(());
            }
            for wanted in answer.contents {
                let found = Section::ALL.into_iter().find(|section| digests[*section] == wanted);
                contents.retain(|(known, _, _)| *known != wanted);
                contents.extend(found.map(|section| (wanted, None, drawn.sections[section].text().to_owned())));
            }
            packages = answer.packages.into_iter().filter_map(|package| drawn.facts.get(&package).cloned().map(|facts| (package, facts))).collect();
        }
        Err(RequestError::Answer { detail: format!("the server still lacks something after {ROUNDS_MAX} requests") })
    }

    /// What goes along before the server has asked.
    fn changes(&self, sections: &PerSection<Content>, digests: &PerSection<Digest>) -> Vec<(Digest, Option<Digest>, String)> {
        let Some((old, _)) = &self.acknowledged else { return Vec::new() };
        let changed = Section::ALL.into_iter().filter(|section| old[*section] != sections[*section]);
        changed.filter_map(|section| send_unasked(section, &sections[section], &old[section]).map(|(of, text)| (digests[section], of, text))).collect()
    }

    /// Says that nothing changed; whether the server has the report that it acknowledged.
    pub async fn check_in(&mut self, now: Timestamp) -> Result<bool, RequestError> {
        let Some((_, digest)) = &self.acknowledged else { return Ok(true) };
        let check_in = CheckIn { report: digest.to_string(), at: now.as_millis(), lists_at: Some(now.as_millis()), boot: self.presented.boot.clone() };
        let (status, _) = self.post("check-in", serde_json::to_vec(&check_in).expect("a check-in has text keys only")).await?;
        Ok(status == StatusCode::NO_CONTENT)
    }

    /// Takes orders until it has carried out an install and the server knows it, however often the server goes away. An
    /// install is carried out once, as a node keeps its steps; how long it took from its order to its end.
    pub async fn carry_out_install(&mut self, at_work: &AtWork) -> Result<(), RequestError> {
        let mut carried_out: Option<String> = None;
        loop {
            match self.next_order(at_work, &mut carried_out).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.is_passing() => {
                    self.disconnect();
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for orders and does what they say; whether the server knows of an install that was carried out.
    async fn next_order(&mut self, at_work: &AtWork, carried_out: &mut Option<String>) -> Result<bool, RequestError> {
        // As an agent does, it says again what may not have been heard.
        if let Some(operation_id) = carried_out {
            self.tell_end(operation_id).await?;
            at_work.n_repeated.fetch_add(1, Ordering::Relaxed);
            return Ok(true);
        }
        let path = format!("orders?boot={}", self.presented.boot);
        let orders: Orders = self.connection().await?.get(&path).await?;
        for signed in orders.orders {
            let order: Order = serde_json::from_str(&signed.order).map_err(|error| RequestError::Answer { detail: error.to_string() })?;
            let is_install = matches!(order.task, Task::Install(_));
            if is_install {
                at_work.most.fetch_max(at_work.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::time::sleep(INSTALL_TAKES).await;
                at_work.now.fetch_sub(1, Ordering::Relaxed);
                at_work.n_installs.fetch_add(1, Ordering::Relaxed);
                *carried_out = Some(order.operation_id.clone());
            }
            self.tell_end(&order.operation_id).await?;
            if is_install {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn tell_end(&mut self, operation_id: &str) -> Result<(), RequestError> {
        let result = OrderResult { succeeded: true, ..OrderResult::new(operation_id) };
        let body = serde_json::to_vec(&result).expect("a result has text keys only");
        self.connection().await?.post("orders", body, Some("application/json")).await.map(|_| ())
    }

    async fn post(&mut self, path: &str, body: Vec<u8>) -> Result<(StatusCode, hyper::body::Bytes), RequestError> {
        let answer = self.connection().await?.post(path, body, None).await;
        if matches!(answer, Err(RequestError::Connection { .. })) {
            self.disconnect();
        }
        answer
    }
}

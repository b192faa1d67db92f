//! Talking to the server: TLS that trusts this installation's authority alone, the node's
//! certificate, and requests with their outcomes.

use std::sync::Arc;
use std::time::Duration;

use api::agent_v1::{CheckIn, Enroll, Enrolled, Hello, OrderResult, Orders, Renew, ReportAnswer, ReportFrame, RunProgress, Welcome};
use api::error::{ErrorCode, Problem};
use domain::model::digest::Digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The name in the server's certificate, wherever the server is reached.
const SERVER_NAME: &str = "server.fettle.internal";
const PROTOCOL: &[u8] = b"fettle/1";
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);
const ANSWER_PATIENCE: Duration = Duration::from_mins(1);
/// Longer than a dead link is worth waiting for, shorter than a long poll.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The server cannot be reached, or what came back is not an answer of this protocol.
    #[error("failed to talk to {server}")]
    Unreachable {
        /// The server.
        server: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The server refused.
    #[error("{}", .0.message)]
    Refused(Box<Problem>),
    /// Certificates or keys cannot be used.
    #[error("failed to set up TLS: {detail}")]
    Tls {
        /// What is wrong.
        detail: String,
    },
}

impl TransportError {
    /// The server's code, when it refused.
    pub fn code(&self) -> Option<ErrorCode> {
        if let Self::Refused(problem) = self { Some(problem.code) } else { None }
    }

    /// When a busy server asked to come again.
    pub fn retry_after(&self) -> Option<Duration> {
        let Self::Refused(problem) = self else { return None };
        problem.retry_after_seconds.map(|seconds| Duration::from_secs(u64::from(seconds)).min(RETRY_AFTER_MAX))
    }
}

/// Whatever a server says, an agent tries again within this time.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);

/// A connection that nobody used for so long may be dead, and would only say so after minutes; a new one says so at
/// once. The one that waits for orders is always in use.
const IDLE: Duration = Duration::from_secs(1);

/// How the server is known.
pub enum Trust {
    /// By the fingerprint of its authority, from an activation's code.
    Fingerprint(String),
    /// By its authorities in PEM.
    Authorities(String),
}

/// A connection to the server.
#[derive(Clone)]
pub struct Transport {
    http: reqwest::Client,
    server: String,
}

impl Transport {
    /// A transport to `server`; `credentials` are the node's key and certificate in PEM.
    pub fn new(server: &str, proxy: Option<&str>, trust: &Trust, credentials: Option<(&str, &str)>) -> Result<Self, TransportError> {
        let tls = |error: &dyn std::fmt::Display| TransportError::Tls { detail: error.to_string() };
        let config = tls_config(trust, credentials)?;
        let mut http = reqwest::Client::builder().tls_backend_preconfigured(config).connect_timeout(CONNECT_PATIENCE).tcp_keepalive(KEEPALIVE).pool_idle_timeout(IDLE).no_proxy();
        if let Some(proxy) = proxy {
            http = http.proxy(reqwest::Proxy::all(proxy).map_err(|error| tls(&error))?);
        }
        Ok(Self { http: http.build().map_err(|error| tls(&error))?, server: server.trim_end_matches('/').to_owned() })
    }

    /// Joins.
    pub async fn enroll(&self, request: &Enroll) -> Result<Enrolled, TransportError> {
        self.post("enroll", request).await
    }

    /// Says who this is.
    pub async fn hello(&self, hello: &Hello) -> Result<Welcome, TransportError> {
        self.post("hello", hello).await
    }

    /// Says that nothing changed; false when the server does not have that report.
    pub async fn check_in(&self, check_in: &CheckIn) -> Result<bool, TransportError> {
        let body = serde_json::to_vec(check_in).expect("a check-in has text keys only");
        let response = self.send(self.http.post(self.url("check-in")).body(body).timeout(ANSWER_PATIENCE)).await?;
        match response.status().as_u16() {
            204 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(response).await),
        }
    }

    /// Sends a report.
    pub async fn report(&self, frame: &ReportFrame) -> Result<ReportAnswer, TransportError> {
        let request = self.http.post(self.url("report")).body(frame.pack()).timeout(ANSWER_PATIENCE);
        self.answer(request).await
    }

    /// Waits for orders.
    pub async fn orders(&self, boot: &str, poll_seconds: u32) -> Result<Orders, TransportError> {
        let patience = Duration::from_secs(u64::from(poll_seconds)) + ANSWER_PATIENCE / 3;
        self.answer(self.http.get(self.url("orders")).query(&[("boot", boot)]).timeout(patience)).await
    }

    /// Says how an order ended.
    pub async fn finish_order(&self, result: &OrderResult) -> Result<(), TransportError> {
        let response = self.send(self.http.post(self.url("orders")).json(result).timeout(ANSWER_PATIENCE)).await?;
        if response.status().is_success() { Ok(()) } else { Err(self.refused(response).await) }
    }

    /// Says how far a run is.
    pub async fn progress(&self, progress: &RunProgress) -> Result<(), TransportError> {
        let response = self.send(self.http.post(self.url("progress")).json(progress).timeout(ANSWER_PATIENCE)).await?;
        if response.status().is_success() { Ok(()) } else { Err(self.refused(response).await) }
    }

    /// Asks for a new certificate.
    pub async fn renew(&self, request: &Renew) -> Result<Enrolled, TransportError> {
        self.post("renew", request).await
    }

    /// Asks to become a node of its own.
    pub async fn split(&self, request: &Renew) -> Result<Enrolled, TransportError> {
        self.post("split", request).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T, TransportError> {
        self.answer(self.http.post(self.url(path)).json(body).timeout(ANSWER_PATIENCE)).await
    }

    async fn answer<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, TransportError> {
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        response.json().await.map_err(|source| self.unreachable(source))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, TransportError> {
        request.send().await.map_err(|source| self.unreachable(source))
    }

    async fn refused(&self, response: reqwest::Response) -> TransportError {
        match response.json().await {
            Ok(problem) => TransportError::Refused(Box::new(problem)),
            Err(source) => self.unreachable(source),
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> TransportError {
        TransportError::Unreachable { server: self.server.clone(), source }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/agent/v1/{path}", self.server)
    }
}

/// TLS of an agent: it trusts the server as it was told, and shows `credentials`, the node's key and
/// certificate in PEM.
pub fn tls_config(trust: &Trust, credentials: Option<(&str, &str)>) -> Result<ClientConfig, TransportError> {
    let tls = |error: &dyn std::fmt::Display| TransportError::Tls { detail: error.to_string() };
    let provider = Arc::new(ring::default_provider());
    let verifier = ServerVerifier { trust: trust.into(), provider: provider.clone() };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|error| tls(&error))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match credentials {
        None => builder.with_no_client_auth(),
        Some((key, certificate)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| tls(&error))?;
            builder.with_client_auth_cert(chain.map_err(|error| tls(&error))?, key).map_err(|error| tls(&error))?
        }
    };
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

enum Roots {
    Fingerprint(String),
    Store(Arc<RootCertStore>),
}

impl From<&Trust> for Roots {
    fn from(trust: &Trust) -> Self {
        match trust {
            Trust::Fingerprint(fingerprint) => Self::Fingerprint(fingerprint.clone()),
            Trust::Authorities(pem) => {
                let mut store = RootCertStore::empty();
                store.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).flatten());
                Self::Store(Arc::new(store))
            }
        }
    }
}

/// Trusts certificates of the pinned authority for the server's fixed name. The node's clock may be
/// wrong: when that is all that stands against a certificate, it is taken, because the authority
/// is this installation's own, and orders carry the server's time.
struct ServerVerifier {
    trust: Roots,
    provider: Arc<CryptoProvider>,
}

impl std::fmt::Debug for ServerVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerVerifier")
    }
}

impl ServerVerifier {
    fn roots(&self, chain: &[CertificateDer]) -> Result<Arc<RootCertStore>, rustls::Error> {
        match &self.trust {
            Roots::Store(store) => Ok(store.clone()),
            Roots::Fingerprint(fingerprint) => {
                let pinned = chain.iter().find(|certificate| Digest::of(certificate).short(fingerprint.len()) == *fingerprint);
                let mut store = RootCertStore::empty();
                store.add(pinned.ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?.clone().into_owned())?;
                Ok(Arc::new(store))
            }
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = ServerName::try_from(SERVER_NAME).expect("the name is well formed");
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots(intermediates)?, self.provider.clone());
        let verifier = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
        let verify = |now: UnixTime| verifier.verify_server_cert(end_entity, intermediates, &name, ocsp_response, now);
        match verify(now) {
            Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                verify(UnixTime::since_unix_epoch(Duration::from_secs(not_after.as_secs().saturating_sub(1))))
            }
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                verify(UnixTime::since_unix_epoch(Duration::from_secs(not_before.as_secs() + 1)))
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(&self, message: &[u8], certificate: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(&self, message: &[u8], certificate: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

//! One agent's connection: TLS as the agent does it, one request after another, bytes counted.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use api::error::{ErrorCode, Problem};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The server is not there, or went away.
    #[error("the connection failed: {detail}")]
    Connection {
        /// What happened.
        detail: String,
    },
    /// The server refused.
    #[error("{}", .0.message)]
    Refused(Box<Problem>),
    /// What came back is no answer of this protocol.
    #[error("the answer does not read: {detail}")]
    Answer {
        /// What is wrong with it.
        detail: String,
    },
}

impl RequestError {
    /// When a busy server asked to come again.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        if let Self::Refused(problem) = self { problem.retry_after_seconds } else { None }
    }

    /// Whether trying again later may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection { .. } => true,
            Self::Refused(problem) => matches!(problem.code, ErrorCode::Busy | ErrorCode::Internal),
            Self::Answer { .. } => false,
        }
    }
}

fn connection(error: impl std::fmt::Display) -> RequestError {
    RequestError::Connection { detail: error.to_string() }
}

/// Bytes of requests and answers, beyond TLS.
#[derive(Debug, Default)]
pub struct Traffic {
    /// From agents.
    pub sent: AtomicU64,
    /// From the server.
    pub received: AtomicU64,
}

impl Traffic {
    /// Bytes sent and received so far.
    pub fn totals(&self) -> [u64; 2] {
        [&self.sent, &self.received].map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// An open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    /// Connects to `host`, a name or address with a port.
    pub async fn open(host: &str, config: Arc<ClientConfig>, traffic: Arc<Traffic>) -> Result<Self, RequestError> {
        let stream = TcpStream::connect(host).await.map_err(connection)?;
        stream.set_nodelay(true).map_err(connection)?;
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        let name = ServerName::try_from(name.to_owned()).map_err(connection)?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(connection)?;
        let (sender, connection_task) = hyper::client::conn::http1::handshake(TokioIo::new(Counted { stream, traffic })).await.map_err(connection)?;
        // Its end is seen by the next request.
        tokio::spawn(async { drop(connection_task.await) });
        Ok(Self { sender, host: host.to_owned() })
    }

    /// Posts JSON; the answer's JSON.
    pub async fn ask<T: DeserializeOwned>(&mut self, path: &str, body: &impl Serialize) -> Result<T, RequestError> {
        let (_, body) = self.post(path, serde_json::to_vec(body).expect("requests have text keys only"), Some("application/json")).await?;
        serde_json::from_slice(&body).map_err(|error| RequestError::Answer { detail: error.to_string() })
    }

    /// Gets JSON.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, RequestError> {
        let (_, body) = self.send(Method::GET, path, Vec::new(), None).await?;
        serde_json::from_slice(&body).map_err(|error| RequestError::Answer { detail: error.to_string() })
    }

    /// Posts bytes; the status and the answer. 404 is an answer, other refusals are errors.
    pub async fn post(&mut self, path: &str, body: Vec<u8>, content_type: Option<&str>) -> Result<(StatusCode, Bytes), RequestError> {
        self.send(Method::POST, path, body, content_type).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Vec<u8>, content_type: Option<&str>) -> Result<(StatusCode, Bytes), RequestError> {
        let mut request = Request::builder().method(method).uri(format!("/agent/v1/{path}")).header(header::ACCEPT, "*/*").header(header::HOST, &self.host);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(Full::new(body.into())).expect("the request is well formed");
        self.sender.ready().await.map_err(connection)?;
        let response = self.sender.send_request(request).await.map_err(connection)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(connection)?.to_bytes();
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Ok((status, body));
        }
        let problem = serde_json::from_slice(&body).map_err(|_| RequestError::Answer { detail: format!("{status}: {}", String::from_utf8_lossy(&body)) })?;
        Err(RequestError::Refused(Box::new(problem)))
    }
}

struct Counted<S> {
    stream: S,
    traffic: Arc<Traffic>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.traffic.received.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = &poll {
            self.traffic.sent.fetch_add(*n as u64, Ordering::Relaxed);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! One port for everything: browsers and programs in the clear on loopback or behind a proxy, the
//! same over TLS, and agents over mutual TLS with a protocol name of their own.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, rustls};
use tower::Service;

use crate::App;
use crate::http::{self, Answer, Connection};
use crate::keys::{AGENT_PROTOCOL, read_node_certificate};

/// How long a client may take to say the first thing of a connection, and the headers of a request.
const FIRST_WORD_PATIENCE: Duration = Duration::from_secs(10);
/// How long open requests may take when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// Most connections at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 60_000;
/// Largest head of a browser's request; a long body is read in such pieces.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// The same of an agent, which has a connection open for as long as it lives: the least that hyper takes.
const AGENT_BUFFER_BYTES_MAX: usize = 8 * 1024;
/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;

/// Serves until `stop` is ready, then lets open requests end.
pub async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let routers = Arc::new(Routers { people: http::router(app.clone()), agents: http::agent_router(app.clone()), app });
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = std::pin::pin!(stop);
    loop {
        let permit = room.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Too many open files, or a client that left: neither is a reason to stop.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let routers = routers.clone();
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            if let Err(error) = routers.serve_connection(stream, peer, watcher).await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            drop(permit);
        });
    }
    // Agents wait for orders most of the time; they come back by themselves.
    let _ = tokio::time::timeout(STOP_PATIENCE, graceful.shutdown()).await;
    Ok(())
}

struct Routers {
    people: Router,
    agents: Router,
    app: App,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Who has come, when that is known.
enum Guest {
    InTheClear(TcpStream),
    Browser(TlsStream<TcpStream>),
    Agent(TlsStream<TcpStream>),
}

impl Routers {
    /// Most connections wait, so what one needs only at its beginning, or for a request, is on the heap and goes with that.
    async fn serve_connection(&self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) -> Result<(), Error> {
        let guest = Box::pin(self.greet(stream)).await?;
        Ok(self.serve(guest, peer, watcher).await?)
    }

    fn serve(&self, guest: Guest, peer: SocketAddr, watcher: Watcher) -> Served<'_> {
        let known = |secure: bool, certificate| Arc::new(Connection { secure, certificate });
        match guest {
            Guest::InTheClear(stream) => {
                let router = if self.app.behind_tls() || peer.ip().is_loopback() { self.people.clone() } else { tls_needed() };
                let connection = known(self.app.behind_tls(), None);
                serve_http(stream, move |request| route(&router, connection.clone(), request), BUFFER_BYTES_MAX, watcher)
            }
            Guest::Browser(stream) => {
                let connection = known(true, None);
                serve_http(stream, move |request| route(&self.people, connection.clone(), request), BUFFER_BYTES_MAX, watcher)
            }
            Guest::Agent(stream) => {
                let connection = known(true, stream.get_ref().1.peer_certificates().and_then(|chain| read_node_certificate(chain.first()?)));
                serve_http(
                    stream,
                    move |request| http::answer_agent(&self.app, connection.clone(), request, |connection, other| route(&self.agents, connection, other)),
                    AGENT_BUFFER_BYTES_MAX,
                    watcher,
                )
            }
        }
    }

    async fn greet(&self, stream: TcpStream) -> Result<Guest, Error> {
        stream.set_nodelay(true)?;
        let mut first = [0];
        tokio::time::timeout(FIRST_WORD_PATIENCE, stream.peek(&mut first)).await??;
        if first[0] != TLS_HANDSHAKE {
            return Ok(Guest::InTheClear(stream));
        }
        let handshake = tokio::time::timeout(FIRST_WORD_PATIENCE, LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream)).await??;
        let is_agent = handshake.client_hello().alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == AGENT_PROTOCOL));
        let (agents, browsers) = self.app.keys().tls();
        let stream = tokio::time::timeout(FIRST_WORD_PATIENCE, handshake.into_stream(if is_agent { agents } else { browsers })).await??;
        Ok(if is_agent { Guest::Agent(stream) } else { Guest::Browser(stream) })
    }
}

/// Answers a request by a router; the connection goes along as an extension.
fn route<'a>(router: &Router, connection: Arc<Connection>, request: Request<Incoming>) -> Answer<'a> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(connection);
    Box::pin(router.clone().call(request))
}

/// A connection that is served.
type Served<'a> = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send + 'a>>;

fn serve_http<'a>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answer: impl Fn(Request<Incoming>) -> Answer<'a> + Send + 'a,
    buffer_bytes_max: usize,
    watcher: Watcher,
) -> Served<'a> {
    let mut http = hyper::server::conn::http1::Builder::new();
    // A connection that waits is no reason to end it.
    http.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(buffer_bytes_max);
    Box::pin(watcher.watch(http.serve_connection(TokioIo::new(stream), service_fn(answer))))
}

/// What everybody gets who comes over the network in the clear.
fn tls_needed() -> Router {
    Router::new().fallback(async || (axum::http::StatusCode::UPGRADE_REQUIRED, "This server speaks TLS: use https.\n"))
}

//! Handlers of `/agent/v1`: what agents ask for, over mutual TLS.

use std::sync::Arc;
use std::time::Duration;

use api::agent_v1::{CheckIn, Enroll, Enrolled, Hello, OrderResult, Orders, Renew, ReportAnswer, ReportFrame, RunProgress, Welcome};
use api::error::ErrorCode;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{Method, Request, StatusCode};
use axum::response::IntoResponse;
use domain::model::id::NodeId;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Deserialize;

use crate::App;
use crate::actions::agents::{self, Agent, LeavingAgent};
use crate::http::extract::Body;
use crate::http::{Answer, ApiError, Connection};

/// An agent is whoever showed a certificate that is still good.
impl FromRequestParts<App> for Agent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let (node_id, serial) = certificate(parts.extensions.get::<Arc<Connection>>())?;
        Ok(agents::authenticate(app, node_id, serial)?)
    }
}

impl FromRequestParts<App> for LeavingAgent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let (node_id, serial) = certificate(parts.extensions.get::<Arc<Connection>>())?;
        Ok(agents::authenticate_leaving(app, node_id, serial)?)
    }
}

fn certificate(connection: Option<&Arc<Connection>>) -> Result<&(NodeId, Arc<str>), ApiError> {
    let shown = connection.and_then(|connection| connection.certificate.as_ref());
    shown.ok_or_else(|| ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::CertificateRevoked, "the connection shows no certificate of a node").with_hint("enroll the node first"))
}

/// Lets a node join; the only request without a certificate.
pub async fn enroll(State(app): State<App>, Body(request): Body<Enroll>) -> Result<Json<Enrolled>, ApiError> {
    Ok(Json(agents::enroll(&app, &request).await?))
}

/// An agent began, or the server was away.
pub async fn hello(State(app): State<App>, agent: Agent, Body(hello): Body<Hello>) -> Result<Json<Welcome>, ApiError> {
    Ok(Json(agents::hello(&app, &agent, &hello).await?))
}

/// Largest check-in.
const CHECK_IN_BYTES_MAX: usize = 1024;
/// Largest packed report.
const REPORT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Answers check-ins and reports itself. Nearly all requests of a fleet are these, and going through the router would cost a
/// fifth of them.
pub(crate) fn answer_agent<'a>(
    app: &'a App,
    connection: Arc<Connection>,
    request: Request<Incoming>,
    other: impl FnOnce(Arc<Connection>, Request<Incoming>) -> Answer<'a>,
) -> Answer<'a> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/agent/v1/check-in") => answer(check_in(app, connection, request.into_body())),
        (&Method::POST, "/agent/v1/report") => answer(report(app, connection, request.into_body())),
        _ => other(connection, request),
    }
}

fn answer<'a>(answer: impl Future<Output = Result<impl IntoResponse, ApiError>> + Send + 'a) -> Answer<'a> {
    Box::pin(async { Ok(answer.await.into_response()) })
}

/// Nothing changed: 204, or 404 when the server does not have that report. The body is JSON
/// whatever its type says, which saves the header that would say so.
async fn check_in(app: &App, connection: Arc<Connection>, body: Incoming) -> Result<StatusCode, ApiError> {
    let agent = authenticate(app, &connection)?;
    let body = read(body, CHECK_IN_BYTES_MAX).await?;
    let check_in: CheckIn = serde_json::from_slice(&body).map_err(|error| invalid_body(&error))?;
    let known = agents::check_in(app, &agent, &check_in).await?;
    Ok(if known { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}

/// How long a report may wait for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// A report that says something new. Only so many are read and checked at once, so that a herd of
/// nodes takes bounded memory.
async fn report(app: &App, connection: Arc<Connection>, body: Incoming) -> Result<Json<ReportAnswer>, ApiError> {
    let agent = authenticate(app, &connection)?;
    let turn = tokio::time::timeout(TURN_PATIENCE, app.report_room().acquire()).await;
    let _turn = turn.ok().and_then(Result::ok).ok_or_else(ApiError::busy)?;
    let frame = ReportFrame::unpack(&read(body, REPORT_BYTES_MAX).await?).map_err(|error| invalid_body(&error))?;
    Ok(Json(agents::report(app, &agent, frame).await?))
}

fn authenticate(app: &App, connection: &Arc<Connection>) -> Result<Agent, ApiError> {
    let (node_id, serial) = certificate(Some(connection))?;
    Ok(agents::authenticate(app, node_id, serial)?)
}

async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, ApiError> {
    let body = tokio::time::timeout(BODY_PATIENCE, Limited::new(body, bytes_max).collect()).await;
    match body {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BodyTooLarge, format!("the body is larger than {bytes_max} bytes")))
        }
        Ok(Err(error)) => Err(invalid_body(&error)),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::InvalidBody, "the body did not come in time")),
    }
}

/// How long a body may take on a slow link; meanwhile it holds a turn.
const BODY_PATIENCE: Duration = Duration::from_mins(1);

fn invalid_body(error: &impl std::fmt::Display) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidBody, error.to_string())
}

/// Which boot asks.
#[derive(Deserialize)]
pub struct AskForOrders {
    boot: String,
}

/// Orders, as soon as there are some.
pub async fn orders(State(app): State<App>, agent: LeavingAgent, Query(query): Query<AskForOrders>) -> Result<Json<Orders>, ApiError> {
    Ok(Json(agents::wait_for_orders(&app, &agent, &query.boot).await?))
}

/// How an order ended.
pub async fn finish_order(State(app): State<App>, agent: Agent, Body(result): Body<OrderResult>) -> Result<StatusCode, ApiError> {
    agents::finish_order(&app, &agent, &result).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How far a run is.
pub async fn progress(State(app): State<App>, agent: Agent, Body(progress): Body<RunProgress>) -> Result<StatusCode, ApiError> {
    agents::progress(&app, &agent, &progress).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new certificate.
pub async fn renew(State(app): State<App>, agent: Agent, Body(request): Body<Renew>) -> Result<Json<Enrolled>, ApiError> {
    Ok(Json(agents::renew(&app, &agent, &request).await?))
}

/// A clone becomes a node of its own.
pub async fn split(State(app): State<App>, agent: Agent, Body(request): Body<Renew>) -> Result<Json<Enrolled>, ApiError> {
    Ok(Json(agents::split(&app, &agent, &request).await?))
}

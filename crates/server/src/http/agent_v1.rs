//! Handlers of `/agent/v1`: what agents ask for, over mutual TLS.

use std::sync::Arc;
use std::time::Duration;

use api::agent_v1::{CheckIn, Enroll, Enrolled, Hello, OrderResult, Orders, Renew, ReportAnswer, ReportFrame, Welcome};
use api::error::ErrorCode;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::model::id::NodeId;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::App;
use crate::actions::agents::{self, Agent, LeavingAgent};
use crate::http::extract::Body;
use crate::http::{ApiError, Connection};

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

/// Leave to send a report: only so many are read and checked at once, so that a herd of nodes takes
/// bounded memory.
pub struct Admission {
    _permit: OwnedSemaphorePermit,
}

/// How long a report may wait for its turn.
const ADMISSION_PATIENCE: Duration = Duration::from_secs(5);

impl FromRequestParts<App> for Admission {
    type Rejection = ApiError;

    async fn from_request_parts(_parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let admitted = tokio::time::timeout(ADMISSION_PATIENCE, app.report_room().acquire_owned()).await;
        Ok(Self { _permit: admitted.ok().and_then(Result::ok).ok_or_else(ApiError::busy)? })
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

/// Where agents say that nothing changed.
const CHECK_IN: &str = "/agent/v1/check-in";
/// Largest check-in.
const CHECK_IN_BYTES_MAX: usize = 1024;

/// Answers a check-in; gives any other request back. Most requests of a fleet are these, and going
/// through the router would cost a fifth of them.
pub(crate) async fn check_in_directly(app: &App, connection: &Arc<Connection>, request: Request<Incoming>) -> Result<Response, Request<Incoming>> {
    if request.uri().path() != CHECK_IN || request.method() != Method::POST {
        return Err(request);
    }
    Ok(check_in(app, connection, request.into_body()).await.into_response())
}

/// Nothing changed: 204, or 404 when the server does not have that report. The body is JSON
/// whatever its type says, which saves the header that would say so.
async fn check_in(app: &App, connection: &Arc<Connection>, body: Incoming) -> Result<StatusCode, ApiError> {
    let (node_id, serial) = certificate(Some(connection))?;
    let agent = agents::authenticate(app, node_id, serial)?;
    let invalid = |detail: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidBody, detail);
    let body = Limited::new(body, CHECK_IN_BYTES_MAX).collect().await.map_err(|error| invalid(error.to_string()))?.to_bytes();
    let check_in: CheckIn = serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))?;
    let known = agents::check_in(app, &agent, &check_in).await?;
    Ok(if known { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}

/// A report that says something new.
pub async fn report(State(app): State<App>, agent: Agent, _admission: Admission, body: Bytes) -> Result<Json<ReportAnswer>, ApiError> {
    let frame = ReportFrame::unpack(&body).map_err(|error| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidBody, error.to_string()))?;
    Ok(Json(agents::report(&app, &agent, frame).await?))
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

/// A new certificate.
pub async fn renew(State(app): State<App>, agent: Agent, Body(request): Body<Renew>) -> Result<Json<Enrolled>, ApiError> {
    Ok(Json(agents::renew(&app, &agent, &request).await?))
}

/// A clone becomes a node of its own.
pub async fn split(State(app): State<App>, agent: Agent, Body(request): Body<Renew>) -> Result<Json<Enrolled>, ApiError> {
    Ok(Json(agents::split(&app, &agent, &request).await?))
}

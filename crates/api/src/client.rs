//! A typed client of version 1.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Problem;
use crate::page::Page;
use crate::v1::baseline::{Baseline, BaselineDetail};
use crate::v1::node::{ListNodePatches, ListNodes, Node, NodeDetail, NodePatch};
use crate::v1::operation::{CreateOperation, Operation};
use crate::v1::patch::{ListPatches, Patch, PatchNode};
use crate::v1::sign_in_link::SignInLink;
use crate::v1::summary::FleetSummary;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be reached, or what came back is not an answer of this API.
    #[error("failed to talk to {url}")]
    Transport {
        /// The address.
        url: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The server refused.
    #[error("{}", .0.message)]
    Refused(Box<Problem>),
}

/// A client with its server and token.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    server: String,
    token: String,
}

impl Client {
    /// A client of the server at `server`, such as `http://127.0.0.1:7300`.
    pub fn new(server: impl Into<String>, token: impl Into<String>) -> Self {
        Self { http: reqwest::Client::new(), server: server.into(), token: token.into() }
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sums over the fleet.
    pub async fn summary(&self) -> Result<FleetSummary, ClientError> {
        self.get("/summary", &()).await
    }

    /// A page of nodes.
    pub async fn list_nodes(&self, query: &ListNodes) -> Result<Page<Node>, ClientError> {
        self.get("/nodes", query).await
    }

    /// One node.
    pub async fn node(&self, id: &str) -> Result<NodeDetail, ClientError> {
        self.get(&format!("/nodes/{id}"), &()).await
    }

    /// A page of a node's patches.
    pub async fn list_node_patches(&self, id: &str, query: &ListNodePatches) -> Result<Page<NodePatch>, ClientError> {
        self.get(&format!("/nodes/{id}/patches"), query).await
    }

    /// A page of patches.
    pub async fn list_patches(&self, query: &ListPatches) -> Result<Page<Patch>, ClientError> {
        self.get("/patches", query).await
    }

    /// One patch.
    pub async fn patch(&self, id: &str) -> Result<Patch, ClientError> {
        self.get(&format!("/patches/{id}"), &()).await
    }

    /// Nodes that a patch concerns.
    pub async fn list_patch_nodes(&self, id: &str) -> Result<Page<PatchNode>, ClientError> {
        self.get(&format!("/patches/{id}/nodes"), &()).await
    }

    /// Every baseline.
    pub async fn list_baselines(&self) -> Result<Page<Baseline>, ClientError> {
        self.get("/baselines", &()).await
    }

    /// One baseline.
    pub async fn baseline(&self, id: &str) -> Result<BaselineDetail, ClientError> {
        self.get(&format!("/baselines/{id}"), &()).await
    }

    /// Requests work.
    pub async fn create_operation(&self, body: &CreateOperation, idempotency_key: &str) -> Result<Operation, ClientError> {
        let request = self.http.post(self.url("/operations")).header("Idempotency-Key", idempotency_key).json(body);
        self.send(request).await
    }

    /// Makes a one-time sign-in link.
    pub async fn create_sign_in_link(&self) -> Result<SignInLink, ClientError> {
        self.send(self.http.post(self.url("/sign-in-links"))).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &(impl Serialize + Sync)) -> Result<T, ClientError> {
        self.send(self.http.get(self.url(path)).query(query)).await
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let transport = |source: reqwest::Error| ClientError::Transport { url: self.server.clone(), source };
        let response = request.bearer_auth(&self.token).send().await.map_err(transport)?;
        if response.status().is_success() {
            return response.json().await.map_err(transport);
        }
        Err(ClientError::Refused(Box::new(response.json().await.map_err(transport)?)))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.server)
    }
}

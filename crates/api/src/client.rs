//! A typed client of version 1.

use domain::model::inventory::Inventory;
use domain::model::plan::Plan;
use domain::model::receipt::Receipt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ErrorCode, Problem};
use crate::page::Page;
use crate::v1::activation::{Activation, CreateActivation, CreatedActivation};
use crate::v1::baseline::{
    AssignBaseline, Assignment, Baseline, BaselineDetail, BaselinePreview, BaselineVersion, DeleteBaseline, ListApprovals, PatchApproval, PreviewBaseline, SaveBaseline,
};
use crate::v1::document::{CalendarEntry, DocumentToday, DocumentVersion, SaveDocument, SavedDocument, SentNotification};
use crate::v1::exception::{Exception, GrantException};
use crate::v1::feed::{AddFeed, Feed};
use crate::v1::key::{RotateKey, RotatedKey};
use crate::v1::node::{
    BetweenDays, Change, Changed, EditTags, ListNodePatches, ListNodes, ListPage, ListVerdicts, Node, NodeDetail, NodeEvent, NodePatch, OnDay, PastVerdict, Report,
};
use crate::v1::operation::{CreateOperation, ListedOperation, Operation};
use crate::v1::organization::{CreateMember, Member, MoveMember, MoveNodes, Organization};
use crate::v1::patch::{ListPatches, Patch, PatchNode};
use crate::v1::sign_in_link::{SignInLink, SignInLinkQuery};
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

impl ClientError {
    /// There is no such thing on the server.
    pub fn no_such(noun: &str, name: &str, hint: &str) -> Self {
        let message = format!("there is no {noun} `{name}`");
        Self::Refused(Box::new(Problem { code: ErrorCode::NotFound, status: 404, message, hint: Some(hint.to_owned()), field: None, retry_after_seconds: None }))
    }
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

    /// What a node has, or had at the end of a day.
    pub async fn node_inventory(&self, id: &str, query: &OnDay) -> Result<Option<Inventory>, ClientError> {
        self.get(&format!("/nodes/{id}/inventory"), query).await
    }

    /// What changed on a node between the ends of two days.
    pub async fn node_changes(&self, id: &str, query: &BetweenDays) -> Result<Vec<Change>, ClientError> {
        self.get(&format!("/nodes/{id}/changes"), query).await
    }

    /// A page of a node's reports that said something new.
    pub async fn node_reports(&self, id: &str, query: &ListPage) -> Result<Page<Report>, ClientError> {
        self.get(&format!("/nodes/{id}/reports"), query).await
    }

    /// What happened to a node.
    pub async fn node_events(&self, id: &str) -> Result<Vec<NodeEvent>, ClientError> {
        self.get(&format!("/nodes/{id}/events"), &()).await
    }

    /// What a node was judged to be over time.
    pub async fn node_verdicts(&self, id: &str, query: &ListVerdicts) -> Result<Vec<PastVerdict>, ClientError> {
        self.get(&format!("/nodes/{id}/verdicts"), query).await
    }

    /// Sets and removes tags.
    pub async fn edit_tags(&self, edit: &EditTags) -> Result<Changed, ClientError> {
        self.post("/nodes/tags", edit).await
    }

    /// Moves nodes into another account or region.
    pub async fn move_nodes(&self, request: &MoveNodes) -> Result<Changed, ClientError> {
        self.post("/nodes/move", request).await
    }

    /// Retires a node.
    pub async fn retire_node(&self, id: &str) -> Result<Changed, ClientError> {
        self.post(&format!("/nodes/{id}/retire"), &()).await
    }

    /// The organization.
    pub async fn organization(&self) -> Result<Organization, ClientError> {
        self.get("/organization", &()).await
    }

    /// Adds a unit, an account or a region.
    pub async fn create_member(&self, member: &CreateMember) -> Result<Member, ClientError> {
        self.post("/organization", member).await
    }

    /// Moves a unit or an account into another unit.
    pub async fn move_member(&self, request: &MoveMember) -> Result<Changed, ClientError> {
        self.post("/organization/move", request).await
    }

    /// Every activation.
    pub async fn list_activations(&self) -> Result<Page<Activation>, ClientError> {
        self.get("/activations", &()).await
    }

    /// Makes an activation; its code is in the answer and nowhere else.
    pub async fn create_activation(&self, body: &CreateActivation) -> Result<CreatedActivation, ClientError> {
        self.post("/activations", body).await
    }

    /// Revokes an activation.
    pub async fn revoke_activation(&self, id: &str) -> Result<Changed, ClientError> {
        self.post(&format!("/activations/{id}/revoke"), &()).await
    }

    /// Rotates a key of the installation.
    pub async fn rotate_key(&self, body: &RotateKey) -> Result<RotatedKey, ClientError> {
        self.post("/keys/rotate", body).await
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

    /// Makes a baseline, or a new version of one.
    pub async fn save_baseline(&self, id: Option<&str>, body: &SaveBaseline) -> Result<BaselineDetail, ClientError> {
        self.post(&id.map_or_else(|| "/baselines".to_owned(), |id| format!("/baselines/{id}")), body).await
    }

    /// Deletes a baseline.
    pub async fn delete_baseline(&self, id: &str, body: &DeleteBaseline) -> Result<Changed, ClientError> {
        self.post(&format!("/baselines/{id}/delete"), body).await
    }

    /// Every version of a baseline.
    pub async fn baseline_versions(&self, id: &str) -> Result<Vec<BaselineVersion>, ClientError> {
        self.get(&format!("/baselines/{id}/versions"), &()).await
    }

    /// What a baseline says of every patch that a node is offered.
    pub async fn list_approvals(&self, id: &str, query: &ListApprovals) -> Result<Vec<PatchApproval>, ClientError> {
        self.get(&format!("/baselines/{id}/approvals"), query).await
    }

    /// What a baseline would change.
    pub async fn preview_baseline(&self, body: &PreviewBaseline) -> Result<BaselinePreview, ClientError> {
        self.post("/baselines/preview", body).await
    }

    /// Every choice of a baseline.
    pub async fn list_assignments(&self) -> Result<Vec<Assignment>, ClientError> {
        self.get("/baselines/assignments", &()).await
    }

    /// Chooses the baseline of a patch group, or of an operating system.
    pub async fn assign_baseline(&self, body: &AssignBaseline) -> Result<Changed, ClientError> {
        self.post("/baselines/assign", body).await
    }

    /// Every exception.
    pub async fn list_exceptions(&self) -> Result<Page<Exception>, ClientError> {
        self.get("/exceptions", &()).await
    }

    /// Grants an exception.
    pub async fn grant_exception(&self, body: &GrantException) -> Result<Exception, ClientError> {
        self.post("/exceptions", body).await
    }

    /// Ends an exception before its day.
    pub async fn revoke_exception(&self, id: &str) -> Result<Changed, ClientError> {
        self.post(&format!("/exceptions/{id}/revoke"), &()).await
    }

    /// Every feed.
    pub async fn list_feeds(&self) -> Result<Page<Feed>, ClientError> {
        self.get("/feeds", &()).await
    }

    /// Adds a feed.
    pub async fn add_feed(&self, body: &AddFeed) -> Result<Feed, ClientError> {
        self.post("/feeds", body).await
    }

    /// Removes a feed.
    pub async fn remove_feed(&self, name: &str) -> Result<Changed, ClientError> {
        self.post(&format!("/feeds/{name}/remove"), &()).await
    }

    /// Looks at a feed now.
    pub async fn refresh_feed(&self, name: &str) -> Result<Feed, ClientError> {
        self.post(&format!("/feeds/{name}/refresh"), &()).await
    }

    /// Imports a file into a feed.
    pub async fn import_feed(&self, name: &str, file: Vec<u8>) -> Result<Feed, ClientError> {
        self.send(self.http.post(self.url(&format!("/feeds/{name}/import"))).body(file)).await
    }

    /// Requests work.
    pub async fn create_operation(&self, body: &CreateOperation, idempotency_key: &str) -> Result<Operation, ClientError> {
        let request = self.http.post(self.url("/operations")).header("Idempotency-Key", idempotency_key).json(body);
        self.send(request).await
    }

    /// Operations, newest first.
    pub async fn list_operations(&self, query: &ListPage) -> Result<Page<ListedOperation>, ClientError> {
        self.get("/operations", query).await
    }

    /// One operation.
    pub async fn operation(&self, id: &str) -> Result<Operation, ClientError> {
        self.get(&format!("/operations/{id}"), &()).await
    }

    /// Asks the nodes of an operation to stop.
    pub async fn cancel_operation(&self, id: &str) -> Result<Operation, ClientError> {
        self.post(&format!("/operations/{id}/cancel"), &()).await
    }

    /// What an install would do on a node.
    pub async fn plan(&self, operation: &str, node: &str) -> Result<Plan, ClientError> {
        self.get(&format!("/operations/{operation}/plans/{node}"), &()).await
    }

    /// What came of an install on a node.
    pub async fn receipt(&self, operation: &str, node: &str) -> Result<Receipt, ClientError> {
        self.get(&format!("/operations/{operation}/receipts/{node}"), &()).await
    }

    /// Makes a one-time sign-in link.
    pub async fn create_sign_in_link(&self, query: &SignInLinkQuery) -> Result<SignInLink, ClientError> {
        self.send(self.http.post(self.url("/sign-in-links")).query(query)).await
    }

    /// Documents of a kind, such as `policies`.
    pub async fn list_documents(&self, kind: &str) -> Result<Vec<DocumentToday>, ClientError> {
        self.get(&format!("/documents/{kind}"), &()).await
    }

    /// One document.
    pub async fn document(&self, kind: &str, name: &str) -> Result<DocumentToday, ClientError> {
        self.get(&format!("/documents/{kind}/{name}"), &()).await
    }

    /// Makes a document, or a new version of one.
    pub async fn save_document(&self, body: &SaveDocument) -> Result<SavedDocument, ClientError> {
        self.post("/documents", body).await
    }

    /// Takes a document out of force.
    pub async fn delete_document(&self, kind: &str, name: &str) -> Result<(), ClientError> {
        let transport = |source: reqwest::Error| ClientError::Transport { url: self.server.clone(), source };
        let response = self.http.delete(self.url(&format!("/documents/{kind}/{name}"))).bearer_auth(&self.token).send().await.map_err(transport)?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(ClientError::Refused(Box::new(response.json().await.map_err(transport)?)))
    }

    /// Every version of a document, newest first.
    pub async fn document_versions(&self, kind: &str, name: &str) -> Result<Vec<DocumentVersion>, ClientError> {
        self.get(&format!("/documents/{kind}/{name}/versions"), &()).await
    }

    /// What lies ahead.
    pub async fn calendar(&self, days: u32) -> Result<Vec<CalendarEntry>, ClientError> {
        self.get("/calendar", &[("days", days)]).await
    }

    /// Sends a channel something to try it.
    pub async fn test_channel(&self, name: &str) -> Result<SentNotification, ClientError> {
        self.post(&format!("/documents/channels/{name}/test"), &()).await
    }

    /// The last notifications, newest first.
    pub async fn notifications(&self) -> Result<Vec<SentNotification>, ClientError> {
        self.get("/notifications", &()).await
    }

    /// Does `pause`, `resume`, `approve`, or `rings/NAME/skip` to an operation.
    pub async fn act_on_operation(&self, id: &str, verb: &str) -> Result<Operation, ClientError> {
        self.post(&format!("/operations/{id}/{verb}"), &()).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T, ClientError> {
        self.send(self.http.post(self.url(path)).json(body)).await
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

//! The protocol between agents and the server, over mutual TLS. Paths begin with `/agent/v1`.
//!
//! An agent says who it is (`hello`), says that nothing changed (`check-in`) or what did
//! (`report`), and asks for orders. Content is named by digest and sent only when the server lacks it.

mod frame;

use std::collections::BTreeMap;

use domain::model::content::Content;
use domain::model::digest::Digest;
use domain::model::node::Allows;
use domain::model::order::{Order, OrderError};
use domain::model::plan::Plan;
use domain::model::receipt::Receipt;
use domain::model::run::Progress;
use domain::model::section::{Heading, PackageFacts, PerSection, Section};
use domain::model::time::Timestamp;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

pub use self::frame::{FRAME_BYTES_MAX, FrameError, ReportFrame};

/// A request to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enroll {
    /// The secret part of the activation's code.
    pub activation: String,
    /// A certificate signing request in PEM.
    pub certificate_request: String,
    /// Who asks.
    pub presented: Presented,
}

/// Who a node says it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presented {
    /// What it keeps to be known again; new at its first enrolment.
    pub identity: String,
    /// A digest of what tells its machine from others.
    pub machine: Option<String>,
    /// A digest of its boot's id.
    pub boot: String,
    /// Host name.
    pub name: String,
    /// The version of its agent.
    pub agent_version: String,
    /// What its configuration lets be done to it.
    pub allows: Allows,
}

/// What a node gets when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Its id.
    pub node_id: String,
    /// Its certificate in PEM.
    pub certificate: String,
    /// Certificates to trust the server by, in PEM.
    pub authorities: String,
    /// Keys that orders may be signed with.
    pub order_keys: Vec<String>,
    /// The node that it is a copy of: it must keep a new identity.
    pub clone_of: Option<String>,
}

/// What an agent says when it starts, and when the server was away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who it is.
    pub presented: Presented,
    /// The highest generation of an order that it saw.
    pub generation: u32,
}

/// What an agent is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The server's time.
    pub now: Timestamp,
    /// Seconds between two inventories.
    pub scan_seconds: u32,
    /// Seconds that the server holds a question for orders.
    pub poll_seconds: u32,
}

/// Nothing changed since the report with this digest. Short names: this is most of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckIn {
    /// The report's digest, 32 hexadecimal digits.
    pub report: String,
    /// When the inventory was collected, in UTC milliseconds.
    pub at: i64,
    /// When the package lists were last refreshed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists_at: Option<i64>,
    /// A digest of the boot's id.
    pub boot: String,
}

/// Texts that are no longer than this go along without being asked for.
const SMALL_TEXT_BYTES: usize = 1024;

/// What goes along with a report before the server has asked: the text of a section that changed, or
/// what it is an edit of and the edit. `old` is what the server has of the node; when it has nothing,
/// other nodes have probably said most of it, and it is asked first.
pub fn send_unasked(section: Section, new: &Content, old: &Content) -> Option<(Option<Digest>, String)> {
    let is_small = new.text().len() <= SMALL_TEXT_BYTES;
    if is_small && section != Section::Packages {
        return Some((None, new.text().to_owned()));
    }
    // The server has a node's packages at hand; whatever else is edited it has to look up.
    Some((Some(old.digest()), old.edit_to(new))).filter(|(_, edit)| edit.len() < new.text().len())
}

/// The head of a report; contents follow it in the frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Times and the host name.
    pub heading: Heading,
    /// A digest of the boot's id.
    pub boot: String,
    /// The digests of its sections.
    pub sections: PerSection<Digest>,
    /// What is known of packages that the server has not seen, by name, architecture and version
    /// between tabs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, PackageFacts>,
}

/// What became of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportAnswer {
    /// Whether it is stored for good.
    pub recorded: bool,
    /// Contents that the server lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<Digest>,
    /// Packages whose facts it has not seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
}

/// Orders for a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// In the order of their generations.
    pub orders: Vec<SignedOrder>,
}

/// An order with signatures over its very bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOrder {
    /// The order's JSON.
    pub order: String,
    /// A signature by each key of the installation, in hexadecimal digits.
    pub signatures: Vec<String>,
}

/// Most signatures of one order.
const SIGNATURES_MAX: usize = 8;

impl SignedOrder {
    /// The order, when one of these keys signed it.
    pub fn verify(&self, keys: &[String]) -> Result<Order, OrderError> {
        let bytes = |digits: &str| -> Option<Vec<u8>> { digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect() };
        let keys = keys.iter().filter_map(|key| VerifyingKey::from_bytes(&bytes(key)?.try_into().ok()?).ok());
        let signatures: Vec<_> = self.signatures.iter().take(SIGNATURES_MAX).filter_map(|digits| Signature::from_slice(&bytes(digits)?).ok()).collect();
        let signed = keys.into_iter().any(|key| signatures.iter().any(|signature| key.verify_strict(self.order.as_bytes(), signature).is_ok()));
        if !signed {
            return Err(OrderError::Forged);
        }
        serde_json::from_str(&self.order).map_err(|error| OrderError::Unreadable { detail: error.to_string() })
    }
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderResult {
    /// The operation.
    pub operation_id: String,
    /// Whether it was done.
    pub succeeded: bool,
    /// Whether the node refused it, as forged, replayed, foreign, expired or not allowed.
    #[serde(default)]
    pub refused: bool,
    /// What there is to say about it.
    pub message: Option<String>,
    /// What came of an install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Box<Receipt>>,
    /// What an install would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Box<Plan>>,
}

impl OrderResult {
    /// One of which nothing good is known.
    pub fn new(operation_id: &str) -> Self {
        Self { operation_id: operation_id.to_owned(), succeeded: false, refused: false, message: None, receipt: None, plan: None }
    }
}

/// How far the run of an operation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    /// The operation.
    pub operation_id: String,
    /// How far.
    #[serde(flatten)]
    pub progress: Progress,
}

/// A request for a new certificate; the answer is `Enrolled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// A certificate signing request in PEM.
    pub certificate_request: String,
    /// Who asks.
    pub presented: Presented,
}

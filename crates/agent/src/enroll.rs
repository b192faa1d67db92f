//! Joining a server: a key that never leaves the node, and the certificate for it.

use api::agent_v1::{Enroll, Enrolled, Presented, Renew};
use domain::model::digest::Digest;
use rcgen::{CertificateParams, KeyPair};

use crate::config::AgentConfig;
use crate::inventory;
use crate::root::Root;
use crate::state::{Identity, StateError, StateFolder};
use crate::transport::{Transport, TransportError, Trust};

/// Why a node could not join.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The code is not one.
    #[error("`{code}` is not an activation code: expected two groups of digits with a point between them")]
    BadCode {
        /// What was given.
        code: String,
    },
    /// A key cannot be made.
    #[error("failed to make a key")]
    Key(#[source] rcgen::Error),
    /// The server cannot be reached, or refused.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The state cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A fresh key with its certificate request, in PEM.
pub struct NewKey {
    /// The key.
    pub key: String,
    /// The request.
    pub certificate_request: String,
}

impl NewKey {
    /// Makes one.
    pub fn create() -> Result<Self, EnrollError> {
        let key = KeyPair::generate().map_err(EnrollError::Key)?;
        let request = CertificateParams::default().serialize_request(&key).map_err(EnrollError::Key)?;
        Ok(Self { key: key.serialize_pem(), certificate_request: request.pem().map_err(EnrollError::Key)? })
    }
}

/// Joins with an activation's code. `new_identity` is used unless this machine has one.
pub async fn enroll(config: &AgentConfig, state: &StateFolder, code: &str, new_identity: String) -> Result<Enrolled, EnrollError> {
    let (secret, fingerprint) = read_code(code)?;
    let known = state.identity()?;
    let machine = machine(&Root::new("/"));
    let identity = known.filter(|known| known.machine == machine).map_or(new_identity, |known| known.identity);
    let key = NewKey::create()?;
    let transport = Transport::new(&config.server, config.proxy.as_deref(), &Trust::Fingerprint(fingerprint), None)?;
    let request = Enroll { activation: secret, certificate_request: key.certificate_request, presented: present(config, identity) };
    let enrolled = transport.enroll(&request).await?;
    keep(state, &enrolled, &key.key, &request.presented)?;
    Ok(enrolled)
}

/// Keeps what the server gave.
pub fn keep(state: &StateFolder, enrolled: &Enrolled, key: &str, presented: &Presented) -> Result<Identity, StateError> {
    let known = state.identity()?.filter(|known| known.node_id == enrolled.node_id);
    let identity = Identity {
        identity: presented.identity.clone(),
        machine: presented.machine.clone(),
        node_id: enrolled.node_id.clone(),
        order_keys: enrolled.order_keys.clone(),
        generation: known.as_ref().map_or(0, |known| known.generation),
        certificate_expires_at: crate::certificate::expires_at_ms(&enrolled.certificate).unwrap_or_default(),
        clock_behind_ms: known.as_ref().map_or(0, |known| known.clock_behind_ms),
    };
    if known.is_none() {
        // Another node's reports would not be this one's.
        state.forget_acknowledged()?;
    }
    state.set_credentials(key, &enrolled.certificate, &enrolled.authorities)?;
    state.set_identity(&identity)?;
    Ok(identity)
}

/// A request to renew the certificate, with a new key.
pub fn renewal(config: &AgentConfig, identity: String) -> Result<(Renew, String), EnrollError> {
    let key = NewKey::create()?;
    Ok((Renew { certificate_request: key.certificate_request, presented: present(config, identity) }, key.key))
}

/// What this node says of itself.
pub fn present(config: &AgentConfig, identity: String) -> Presented {
    let root = Root::new("/");
    Presented {
        identity,
        machine: machine(&root),
        boot: boot(&root),
        name: inventory::host_name(&root),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        allows: config.allows(),
    }
}

/// Tells this machine from others: its machine id, and the hardware's where there is one. A copy
/// of a virtual machine has another of the latter.
fn machine(root: &Root) -> Option<String> {
    let read = |path: &str| root.read_text(path, &mut Vec::new()).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let id = read("/etc/machine-id")?;
    let hardware = read("/sys/class/dmi/id/product_uuid").unwrap_or_default();
    Some(Digest::of(format!("fettle agent {id} {hardware}").as_bytes()).short(32))
}

/// Tells this boot from others.
pub fn boot(root: &Root) -> String {
    let id = root.read_text("/proc/sys/kernel/random/boot_id", &mut Vec::new()).unwrap_or_default();
    Digest::of(format!("fettle boot {}", id.trim()).as_bytes()).short(8)
}

/// The secret and the fingerprint of a code.
fn read_code(code: &str) -> Result<(String, String), EnrollError> {
    let is_hex = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts = code.trim().split_once('.').filter(|(secret, fingerprint)| is_hex(secret) && is_hex(fingerprint));
    let (secret, fingerprint) = parts.ok_or_else(|| EnrollError::BadCode { code: code.chars().take(12).collect::<String>() + "…" })?;
    Ok((secret.to_owned(), fingerprint.to_owned()))
}

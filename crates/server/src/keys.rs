//! The installation's keys: the authority that issues certificates, the key that signs orders, and
//! the certificate that browsers see. They are files that only the server's user can read, each
//! written whole or not at all.

use std::fmt::Write;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use api::agent_v1::SignedOrder;
use domain::model::digest::Digest;
use domain::model::id::NodeId;
use domain::model::order::Order;
use domain::model::time::{DAY_MS, HOUR_MS, Timestamp};
use ed25519_dalek::{Signer, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

/// How long a node's certificate lasts; it is renewed when two thirds of that are over.
pub const NODE_CERTIFICATE_DAYS: i64 = 30;
const AUTHORITY_DAYS: i64 = 3650;
const SERVER_CERTIFICATE_DAYS: i64 = 90;
/// Nodes' clocks may be behind by this much when they get their certificate.
const BACKDATED_MS: i64 = 24 * HOUR_MS;
/// The name by which agents know the server, wherever they reach it.
pub const SERVER_NAME: &str = "server.fettle.internal";
/// The protocol that agents offer, so that they are told from browsers before anything is sent.
pub const AGENT_PROTOCOL: &[u8] = b"fettle/1";

/// What can go wrong with keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read or written.
    #[error("failed to use the key file `{path}`")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("the key file `{path}` is damaged: {detail}")]
    Damaged {
        /// Which.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// A certificate cannot be issued.
    #[error("failed to issue a certificate")]
    Issue(#[source] rcgen::Error),
    /// TLS cannot be set up.
    #[error("failed to set up TLS")]
    Tls(#[source] rustls::Error),
}

/// All keys.
pub struct Keys {
    folder: PathBuf,
    /// Bytes that nobody can guess.
    random: Box<dyn Fn() -> [u8; 32] + Send + Sync>,
    state: RwLock<State>,
}

struct State {
    authority: Arc<Authority>,
    /// The newest signs; those before it are still trusted by nodes that were away.
    order_keys: Vec<SigningKey>,
    agents: Arc<rustls::ServerConfig>,
    browsers: Arc<rustls::ServerConfig>,
}

struct Authority {
    /// Every authority that issued certificates which may still be in use, the newest last.
    pems: Vec<String>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that was issued to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// In PEM.
    pub pem: String,
    /// Its serial number.
    pub serial: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Certificate and key that the operator gave for browsers.
#[derive(Debug, Clone)]
pub struct GivenCertificate {
    /// The chain in PEM.
    pub certificate: PathBuf,
    /// The key in PEM.
    pub key: PathBuf,
}

impl Keys {
    /// Reads the keys in a folder, and makes those that are missing. `names` are the names and
    /// addresses by which browsers reach the server.
    pub fn open(folder: &Path, given: Option<&GivenCertificate>, names: &[String], random: Box<dyn Fn() -> [u8; 32] + Send + Sync>, now: Timestamp) -> Result<Self, KeyError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|source| file_error(folder, source))?;
        let order_keys = read_order_keys(folder, &random)?;
        let authority = read_authority(folder, &random, now)?;
        let state = make_state(Arc::new(authority), order_keys, given, names, &random, now)?;
        Ok(Self { folder: folder.to_owned(), random, state: RwLock::new(state) })
    }

    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The certificates that nodes trust the server by, in PEM.
    pub fn authorities(&self) -> String {
        self.state().authority.pems.concat()
    }

    /// What an activation's code says about the authority, so that a node need not trust the network.
    pub fn authority_fingerprint(&self) -> String {
        let state = self.state();
        let pem = state.authority.pems.last().cloned().unwrap_or_default();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map(|der| der.to_vec()).unwrap_or_default();
        Digest::of(&der).short(FINGERPRINT_DIGITS)
    }

    /// The keys that orders may be signed with, in hexadecimal digits.
    pub fn order_keys(&self) -> Vec<String> {
        self.state().order_keys.iter().map(|key| hex(key.verifying_key().as_bytes())).collect()
    }

    /// Signs an order. Until a node was told of a new key, it is signed with the oldest one as well.
    pub fn sign(&self, order: &Order) -> SignedOrder {
        let order = serde_json::to_string(order).expect("an order has text keys only");
        let state = self.state();
        let signatures = state.order_keys.iter().map(|key| hex(&key.sign(order.as_bytes()).to_bytes())).collect();
        SignedOrder { order, signatures }
    }

    /// TLS for agents and for browsers.
    pub fn tls(&self) -> (Arc<rustls::ServerConfig>, Arc<rustls::ServerConfig>) {
        let state = self.state();
        (state.agents.clone(), state.browsers.clone())
    }

    /// Issues a certificate for a node's key. Whatever else the request asks for is ignored.
    pub fn issue(&self, request: &str, node_id: &NodeId, now: Timestamp) -> Result<IssuedCertificate, KeyError> {
        let mut request = CertificateSigningRequestParams::from_pem(request).map_err(KeyError::Issue)?;
        let serial = (self.random)();
        let expires_at = now.plus_millis(NODE_CERTIFICATE_DAYS * DAY_MS);
        let name = node_uri(node_id).try_into().map_err(KeyError::Issue)?;
        let mut params = certificate_params(node_id.as_str(), &serial, now, expires_at);
        params.subject_alt_names = vec![SanType::URI(name)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        request.params = params;
        let state = self.state();
        let certificate = request.signed_by(&state.authority.issuer).map_err(KeyError::Issue)?;
        Ok(IssuedCertificate { pem: certificate.pem(), serial: serial_text(&serial), expires_at })
    }

    /// Makes a new key for orders. Orders carry the signatures of the old keys too, until those are dropped.
    pub fn rotate_order_key(&self) -> Result<String, KeyError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut order_keys = state.order_keys.clone();
        order_keys.push(SigningKey::from_bytes(&(self.random)()));
        // Two are enough: nodes that missed the last rotation but one have to enroll again.
        let order_keys: Vec<_> = order_keys.split_off(order_keys.len().saturating_sub(KEYS_KEPT));
        write_order_keys(&self.folder, &order_keys)?;
        let name = order_keys.last().map(|key| hex(key.verifying_key().as_bytes())).unwrap_or_default();
        state.order_keys = order_keys;
        Ok(name)
    }

    /// Issues the server's own certificates anew, and reads those that were given again: they expire, and
    /// a given one is replaced on the disk before that.
    pub fn renew_server_certificates(&self, given: Option<&GivenCertificate>, names: &[String], now: Timestamp) -> Result<(), KeyError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = make_state(state.authority.clone(), state.order_keys.clone(), given, names, &self.random, now)?;
        Ok(())
    }

    /// Makes a new authority. Certificates of the old one stay good until they expire.
    pub fn rotate_authority(&self, given: Option<&GivenCertificate>, names: &[String], now: Timestamp) -> Result<String, KeyError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut pems = state.authority.pems.clone();
        let (pem, key) = make_authority(&self.random, now)?;
        pems.push(pem.clone());
        let pems: Vec<_> = pems.split_off(pems.len().saturating_sub(KEYS_KEPT));
        write_file(&self.folder.join(AUTHORITY_KEY), &key.serialize_pem())?;
        write_file(&self.folder.join(AUTHORITY), &pems.concat())?;
        let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(KeyError::Issue)?;
        *state = make_state(Arc::new(Authority { pems, issuer }), state.order_keys.clone(), given, names, &self.random, now)?;
        drop(state);
        Ok(self.authority_fingerprint())
    }
}

const AUTHORITY: &str = "authority.pem";
const AUTHORITY_KEY: &str = "authority.key";
const ORDER_KEYS: &str = "orders.key";
const KEYS_KEPT: usize = 2;
/// 128 bits: nobody finds another certificate with the same.
const FINGERPRINT_DIGITS: usize = 32;

/// The name of a node in its certificate.
pub fn node_uri(node_id: &NodeId) -> String {
    format!("fettle:node/{node_id}")
}

/// The node and the serial number of a certificate that the authority issued.
pub fn read_node_certificate(certificate: &CertificateDer) -> Option<(NodeId, Arc<str>)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let node_id = names.value.general_names.iter().find_map(|name| match name {
        x509_parser::extensions::GeneralName::URI(uri) => uri.strip_prefix("fettle:node/")?.parse().ok(),
        _ => None,
    })?;
    Some((node_id, hex(parsed.raw_serial()).into()))
}

fn make_state(
    authority: Arc<Authority>,
    order_keys: Vec<SigningKey>,
    given: Option<&GivenCertificate>,
    names: &[String],
    random: &(impl Fn() -> [u8; 32] + ?Sized),
    now: Timestamp,
) -> Result<State, KeyError> {
    let own = issue_server_certificate(&authority, &[SERVER_NAME.to_owned()], random, now)?;
    let for_browsers = match given {
        Some(given) => read_given(given)?,
        None => issue_server_certificate(&authority, names, random, now)?,
    };
    let mut roots = rustls::RootCertStore::empty();
    for pem in &authority.pems {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| damaged(AUTHORITY.as_ref(), error))?;
        roots.add(der).map_err(KeyError::Tls)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| KeyError::Tls(rustls::Error::General(error.to_string())))?;
    let builder = || rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(KeyError::Tls);
    let mut agents = builder()?.with_client_cert_verifier(verifier).with_single_cert(own.0, own.1).map_err(KeyError::Tls)?;
    agents.alpn_protocols = vec![AGENT_PROTOCOL.to_vec()];
    // Resumed sessions spare a node the larger half of a handshake; the node keeps what that takes.
    agents.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    agents.ticketer = rustls::crypto::ring::Ticketer::new().map_err(KeyError::Tls)?;
    agents.send_tls13_tickets = 1;
    let mut browsers = builder()?.with_no_client_auth().with_single_cert(for_browsers.0, for_browsers.1).map_err(KeyError::Tls)?;
    browsers.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(State { authority, order_keys, agents: Arc::new(agents), browsers: Arc::new(browsers) })
}

type CertificateAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn issue_server_certificate(authority: &Authority, names: &[String], random: &(impl Fn() -> [u8; 32] + ?Sized), now: Timestamp) -> Result<CertificateAndKey, KeyError> {
    let key = KeyPair::generate().map_err(KeyError::Issue)?;
    let mut params = certificate_params("Fettle server", &random(), now, now.plus_millis(SERVER_CERTIFICATE_DAYS * DAY_MS));
    params.subject_alt_names = CertificateParams::new(names.to_vec()).map_err(KeyError::Issue)?.subject_alt_names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &authority.issuer).map_err(KeyError::Issue)?;
    // The authority goes along, so that a node with its fingerprint can begin to trust it.
    let pem = authority.pems.last().cloned().unwrap_or_default();
    let root = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| damaged(AUTHORITY.as_ref(), error))?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| damaged(AUTHORITY_KEY.as_ref(), error))?;
    Ok((vec![certificate.der().clone(), root], key))
}

fn read_given(given: &GivenCertificate) -> Result<CertificateAndKey, KeyError> {
    let chain = CertificateDer::pem_file_iter(&given.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| damaged(&given.certificate, error))?;
    let key = PrivateKeyDer::from_pem_file(&given.key).map_err(|error| damaged(&given.key, error))?;
    Ok((chain, key))
}

fn certificate_params(name: &str, serial: &[u8; 32], now: Timestamp, expires_at: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial_bytes(serial)));
    let time = |at: Timestamp| rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or_default());
    params.not_before = time(now.plus_millis(-BACKDATED_MS));
    params.not_after = time(expires_at);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

/// Serial numbers are positive and have at most 20 bytes.
fn serial_bytes(random: &[u8; 32]) -> [u8; 16] {
    let mut serial = [0; 16];
    serial.copy_from_slice(&random[..16]);
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

fn serial_text(random: &[u8; 32]) -> String {
    hex(&serial_bytes(random))
}

fn make_authority(random: &(impl Fn() -> [u8; 32] + ?Sized), now: Timestamp) -> Result<(String, KeyPair), KeyError> {
    let key = KeyPair::generate().map_err(KeyError::Issue)?;
    let mut params = certificate_params("Fettle authority", &random(), now, now.plus_millis(AUTHORITY_DAYS * DAY_MS));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(KeyError::Issue)?;
    Ok((certificate.pem(), key))
}

fn read_authority(folder: &Path, random: &(impl Fn() -> [u8; 32] + ?Sized), now: Timestamp) -> Result<Authority, KeyError> {
    let (path, key_path) = (folder.join(AUTHORITY), folder.join(AUTHORITY_KEY));
    if let Some(text) = read_file(&path)? {
        let key_text = read_file(&key_path)?.ok_or_else(|| damaged(&key_path, "it is missing, and the authority's certificate is there"))?;
        let key = KeyPair::from_pem(&key_text).map_err(|error| damaged(&key_path, error))?;
        let end = "-----END CERTIFICATE-----\n";
        let pems: Vec<_> = text.replace("\r\n", "\n").split_inclusive(end).filter(|pem| pem.ends_with(end)).map(str::to_owned).collect();
        let newest = pems.last().ok_or_else(|| damaged(&path, "it holds no certificate"))?;
        let issuer = Issuer::from_ca_cert_pem(newest, key).map_err(|error| damaged(&path, error))?;
        return Ok(Authority { pems, issuer });
    }
    let (pem, key) = make_authority(random, now)?;
    let pem = pem.replace("\r\n", "\n");
    write_file(&key_path, &key.serialize_pem())?;
    write_file(&path, &pem)?;
    let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(KeyError::Issue)?;
    Ok(Authority { pems: vec![pem], issuer })
}

fn read_order_keys(folder: &Path, random: &(impl Fn() -> [u8; 32] + ?Sized)) -> Result<Vec<SigningKey>, KeyError> {
    let path = folder.join(ORDER_KEYS);
    if let Some(text) = read_file(&path)? {
        let keys: Option<Vec<_>> = text.lines().map(|line| Digest::parse(line).map(|bytes| SigningKey::from_bytes(bytes.as_bytes()))).collect();
        return keys.filter(|keys| !keys.is_empty()).ok_or_else(|| damaged(&path, "it holds no keys of 64 hexadecimal digits"));
    }
    let keys = vec![SigningKey::from_bytes(&random())];
    write_order_keys(folder, &keys)?;
    Ok(keys)
}

fn write_order_keys(folder: &Path, keys: &[SigningKey]) -> Result<(), KeyError> {
    let text: String = keys.iter().map(|key| hex(key.as_bytes()) + "\n").collect();
    write_file(&folder.join(ORDER_KEYS), &text)
}

fn read_file(path: &Path) -> Result<Option<String>, KeyError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error(path, error)),
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), KeyError> {
    let unfinished = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: std::io::Error) -> KeyError {
    KeyError::File { path: path.display().to_string(), source }
}

fn damaged(path: &Path, detail: impl std::fmt::Display) -> KeyError {
    KeyError::Damaged { path: path.display().to_string(), detail: detail.to_string() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The instant as TLS counts it.
pub fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or_default()))
}

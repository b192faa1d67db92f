//! What an agent reads in its own certificate.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// When a certificate in PEM expires, in UTC milliseconds.
pub fn expires_at_ms(pem: &str) -> Option<i64> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
    Some(parsed.validity().not_after.timestamp().saturating_mul(1000))
}

//! The installation's keys over time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use server::keys::{GivenCertificate, Keys};
use testkit::clock::START;

#[test]
fn certificates_are_renewed_under_the_same_authority_and_stay_when_that_fails() {
    let folder = testkit::folder();
    let counter = AtomicU8::new(1);
    let random = Box::new(move || [counter.fetch_add(1, Ordering::SeqCst); 32]);
    let names = ["localhost".to_owned()];
    let keys = Keys::open(folder.path(), None, &names, random, START).unwrap();
    let (authorities, order_keys, before) = (keys.authorities(), keys.order_keys(), keys.tls());
    keys.renew_server_certificates(None, &names, START.plus_millis(1)).unwrap();
    let renewed = keys.tls();
    assert!(!Arc::ptr_eq(&before.0, &renewed.0) && !Arc::ptr_eq(&before.1, &renewed.1));
    assert_eq!((keys.authorities(), keys.order_keys()), (authorities, order_keys));
    let given = GivenCertificate { certificate: folder.path().join("missing.pem"), key: folder.path().join("missing.key") };
    assert!(keys.renew_server_certificates(Some(&given), &names, START).unwrap_err().to_string().contains("missing.pem"));
    assert!(Arc::ptr_eq(&keys.tls().1, &renewed.1));
}

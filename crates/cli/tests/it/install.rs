//! `fettle install` on a root made for the test: it asks, does what it said, and leaves a receipt.

use domain::model::receipt::{Outcome, Receipt};
use testkit::apt::{Deb, publish};
use testkit::roots::Overlay;

use crate::harness::run;

#[test]
fn an_image_tree_is_patched_when_somebody_says_yes() {
    let node = Overlay::of("bookworm");
    publish(&node, &[Deb { package: "tb-a 1", ..Deb::default() }, Deb { package: "tb-b 1", ..Deb::default() }]);
    node.shell("apt-get -qq install -y tb-a tb-b >/dev/null 2>&1");
    publish(&node, &[Deb { package: "tb-a 2", ..Deb::default() }, Deb { package: "tb-b 2", ..Deb::default() }]);
    node.write("baseline.yaml", "schema: baseline/v1\nname: all\noperating_system: DEBIAN\napproval_rules: [{approve_after_days: 0, enable_non_security: true}]\n");
    let cache = testkit::folder();
    let (root, baseline, receipt) = (node.path().display().to_string(), node.path().join("baseline.yaml").display().to_string(), cache.path().join("receipt.json"));
    let arguments = ["install", "--no-refresh", "--root", &root, "--baseline", &baseline, "--only", "tb-a"];
    let version = || node.shell("dpkg-query -W -f '${Version}' tb-a tb-b");

    let asked = run(cache.path(), &arguments);
    assert_eq!((asked.code, version().as_str()), (1, "11"), "{}", asked.stderr);
    assert!(asked.stdout.contains("tb-a:all") && asked.stderr.contains("then give --yes"), "{}{}", asked.stdout, asked.stderr);
    let done = run(cache.path(), &[&arguments[..], &["--yes", "--receipt", &receipt.display().to_string()]].concat());
    assert_eq!((done.code, version().as_str()), (0, "21"), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("installed: 1 of 1"), "{}", done.stdout);
    let read: Receipt = serde_json::from_str(&std::fs::read_to_string(&receipt).unwrap()).unwrap();
    assert_eq!((read.outcome, read.done.steps.len()), (Outcome::Installed, 1));
    let again = run(cache.path(), &arguments);
    assert_eq!((again.code, again.stdout.trim()), (0, "nothing is missing that is asked for"));
}

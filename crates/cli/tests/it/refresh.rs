//! `fettle scan` as root on a running system: a real Debian root in which the program runs as on `/`.

use std::fs;
use std::process::Command;

use domain::model::problem::ProblemCode;
use domain::model::scan_report::ScanReport;
use testkit::roots::Overlay;

const LOCAL: &str = "deb [trusted=yes] copy:/srv/local/ ./\n";

fn scan(root: &Overlay) -> ScanReport {
    let output = Command::new("chroot").arg(root.path()).args(["fettle", "scan", "--format", "json"]).env("XDG_CACHE_HOME", "/var/cache").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn offered(report: &ScanReport, name: &str) -> Option<String> {
    report.patches.iter().find(|patch| patch.name == name).unwrap().available_version.clone()
}

/// The version is in the Release file too: apt fetches no lists when that file is the same.
fn publish(root: &Overlay, version: &str) {
    root.write("srv/local/Release", &format!("Origin: Debian\nLabel: Local\nSuite: local\nDescription: {version}\n"));
    root.write("srv/local/Packages", &format!("Package: tar\nVersion: {version}\nArchitecture: amd64\nDescription: d\nFilename: ./t.deb\nSize: 1\nSHA256: {:064}\n", 1));
}

#[test]
fn a_refresh_brings_what_was_published_and_a_failed_one_is_a_warning() {
    let root = Overlay::of("bookworm");
    fs::copy(env!("CARGO_BIN_EXE_fettle"), root.path().join("usr/local/bin/fettle")).unwrap();
    root.write("etc/apt/sources.list", LOCAL);
    publish(&root, "9:1");
    let first = scan(&root);
    assert_eq!((offered(&first, "tar").as_deref(), first.warnings.as_slice()), (Some("9:1"), [].as_slice()));

    publish(&root, "9:2");
    assert_eq!(offered(&scan(&root), "tar").as_deref(), Some("9:2"), "the index of the old list was not taken");

    // Nothing listens on the discard port of this machine.
    root.write("etc/apt/sources.list", &format!("{LOCAL}deb http://127.0.0.1:9/debian bookworm main\n"));
    publish(&root, "9:3");
    let failed = scan(&root);
    assert_eq!(offered(&failed, "tar").as_deref(), Some("9:3"), "what could be refreshed was");
    let codes: Vec<_> = failed.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, [ProblemCode::ListsMissing, ProblemCode::RefreshFailed]);
}

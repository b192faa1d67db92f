//! `fettle scan`: verdicts as exit codes, one document, and errors that help.

use std::fs;

use domain::model::compliance::{PatchState, Verdict};
use domain::model::scan_report::ScanReport;

use crate::harness::{Ended, run, small_system};

fn scan(root: &tempfile::TempDir, more: &[&str]) -> Ended {
    let cache = testkit::folder();
    let root = root.path().display().to_string();
    run(cache.path(), &[&["scan", "--no-refresh", "--root", &root], more].concat())
}

fn report(ended: &Ended) -> ScanReport {
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn a_missing_security_patch_ends_with_3_and_is_explained() {
    let root = small_system(true);
    let ended = scan(&root, &[]);
    assert_eq!(ended.code, 3);
    for words in ["small", "not compliant", "because 1 patch is missing", "curl:amd64", "7.88-1+deb12u1", "approved by rule 1"] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert_eq!(ended.stderr, "");
}

#[test]
fn the_json_document_says_the_same() {
    let ended = scan(&small_system(true), &["--format", "json"]);
    let report = report(&ended);
    assert_eq!((ended.code, report.verdict, report.counts.missing), (3, Verdict::NonCompliant, 1));
    let curl = report.patches.iter().find(|patch| patch.name == "curl").unwrap();
    assert_eq!((curl.state, curl.section.as_deref(), curl.repository.as_ref().unwrap().label.as_deref()), (PatchState::Missing, Some("web"), Some("Debian-Security")));
}

#[test]
fn nothing_missing_ends_with_0() {
    let ended = scan(&small_system(false), &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.contains("verdict    compliant"));
}

#[test]
fn lists_of_nobody_knows_when_end_with_4() {
    let root = small_system(false);
    assert_eq!(scan(&root, &["--max-list-age", "0"]).code, 4, "lists of before this instant are too old");
    fs::remove_dir_all(root.path().join("var/lib/apt/lists")).unwrap();
    let ended = scan(&root, &[]);
    assert_eq!(ended.code, 4);
    assert!(ended.stdout.contains("verdict    unknown"), "{}", ended.stdout);
    assert!(ended.stderr.contains("run `apt-get update` on the node"), "{}", ended.stderr);
}

#[test]
fn a_folder_that_holds_no_system_ends_with_1() {
    let empty = testkit::folder();
    let ended = scan(&empty, &[]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("holds no system that Fettle knows: there is no database of dpkg, rpm, apk or pacman"), "{}", ended.stderr);
}

#[test]
fn a_baseline_file_decides() {
    let root = small_system(true);
    let file = root.path().join("b.yaml");
    let judge = |text: &str| {
        fs::write(&file, text).unwrap();
        scan(&root, &["--format", "json", "--baseline", file.to_str().unwrap()])
    };
    let head = "schema: baseline/v1\nname: mine\noperating_system: DEBIAN\n";
    let rejected = judge(&format!("{head}approval_rules: [{{approve_after_days: 0}}]\nrejected_patches: [curl]\n"));
    assert_eq!((rejected.code, report(&rejected).counts.available_security_update), (0, 1));
    let deferred = judge(&format!("{head}approval_rules: [{{approve_after_days: 7}}]\n"));
    assert_eq!(deferred.code, 0);
    assert!(deferred.stdout.contains("rule 1 approves it after 7 days"));
    let idle = judge(&format!("{head}approval_rules: [{{approve_after_days: 0, filters: {{product: [Ubuntu24.04]}}}}]\n"));
    assert!(report(&idle).warnings.iter().any(|warning| warning.message.contains("can never match")));
}

#[test]
fn a_baseline_file_that_cannot_be_used_ends_with_2_and_says_why() {
    let root = small_system(true);
    let file = root.path().join("b.yaml");
    let head = "schema: baseline/v1\nname: mine\noperating_system: DEBIAN\n";
    for (bytes, words) in [
        (format!("{head}aproval_rules: []\n").into_bytes(), "did you mean `approval_rules`?"),
        (format!("{head}approval_rules: [{{approve_after_days: 500}}]\n").into_bytes(), "500 is not from 0 to 360"),
        (format!("{head}approval_rules:\n{}", "- approve_after_days: 1\n".repeat(3000)).into_bytes(), "3000 rules are more than the limit of 100"),
        ("schema: baseline/v1\nname: mine\noperating_system: DEBAIN\n".as_bytes().to_vec(), "did you mean `DEBIAN`?"),
        (b"\xff\xfe".to_vec(), "not UTF-8"),
        (vec![b' '; 300_000], "more than the limit"),
        (b"a: &a [*a, *a]\n".to_vec(), "cannot be used"),
    ] {
        fs::write(&file, &bytes).unwrap();
        let ended = scan(&root, &["--baseline", file.to_str().unwrap()]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(words) || words == "not UTF-8" && ended.stderr.contains("utf-8"), "{words}: {}", ended.stderr);
    }
    assert_eq!(scan(&root, &["--baseline", "/nowhere.yaml"]).code, 2);
    assert_eq!(scan(&root, &["--colour"]).code, 2);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let root = small_system(true);
    let script = format!("{} scan --no-refresh --root {} --format json | head -c 1", env!("CARGO_BIN_EXE_fettle"), root.path().display());
    let output = std::process::Command::new("bash").args(["-c", &script]).env("XDG_CACHE_HOME", root.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_plan_says_what_an_install_would_do_and_changes_nothing() {
    let node = testkit::roots::Overlay::of("bookworm");
    let status = || fs::read(node.path().join("var/lib/dpkg/status")).unwrap();
    let before = status();
    let cache = testkit::folder();
    let root = node.path().display().to_string();
    let plan = |more: &[&str]| run(cache.path(), &[&["plan", "--root", &root], more].concat());
    let ended = plan(&["--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let count = |what: &serde_json::Value| what.as_array().unwrap().len();
    assert_eq!((ended.code, ended.stderr.as_str(), count(&document["left_out"])), (0, "", 0));
    assert!(count(&document["asked"]) > 0 && count(&document["transaction"]["steps"]) >= count(&document["asked"]), "{document}");
    let ended = plan(&[]);
    assert!(ended.stdout.contains(&format!("missing    {}", count(&document["asked"]))) && ended.stdout.contains("Debian-Security:12"), "{}", ended.stdout);

    node.shell("dpkg --set-selections <<X\ntzdata hold\nX\nrm -f /usr/bin/apt-get");
    let held = status();
    let ended = plan(&[]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("the system has none of apt-get"), "{}", ended.stderr);
    assert!(status() == held && held != before, "only the test changed it");
}

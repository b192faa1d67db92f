//! Baselines of a running server as files: planned, applied, exported, and refused.

use std::fs;

use crate::harness::{Ended, Up, run};

const CAREFUL: &str = "schema: baseline/v1\nname: careful\noperating_system: DEBIAN\napproval_rules:\n- approve_after_days: 7\n";
const ASSIGNMENTS: &str = "schema: assignments/v1\ndefaults:\n  DEBIAN: careful\npatch_groups:\n- name: web\n  operating_system: DEBIAN\n  baseline: careful\n";

const POLICY: &str = "schema: policy/v1\nname: shop\nprecedence: 5\ntargets: {everyone: true}\nbaselines: {DEBIAN: careful}\nscan: {schedule: daily 01:00}\nwindows: [night]\n";

#[test]
fn files_are_planned_applied_and_exported() {
    let (folder, cache) = (testkit::folder(), testkit::folder());
    let (data, files, copies) = (folder.path().join("data"), folder.path().join("files"), folder.path().join("copies"));
    let up = Up::start(&data, cache.path());
    let data = data.display().to_string();
    let ask = |arguments: &[&str]| run(cache.path(), &[arguments, &["--data", &data]].concat());
    let place = files.display().to_string();
    let apply = |more: &[&str]| ask(&[&["apply", "-f", &place], more].concat());
    fs::create_dir(&files).unwrap();
    let check = |ended: &Ended, code: i32, words: &[&str]| {
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(ended.code == code && words.iter().all(|word| said.contains(word)), "{} {said}", ended.code);
    };
    check(&apply(&[]), 1, &["holds 0 documents"]);

    fs::write(files.join("careful.yaml"), CAREFUL).unwrap();
    fs::write(files.join("who.yaml"), ASSIGNMENTS).unwrap();
    check(&apply(&["--plan"]), 2, &["make the baseline careful", "+ name: careful", "let careful judge DEBIAN, by default", "let careful judge the patch group web of DEBIAN"]);
    check(&ask(&["baseline", "show", "careful"]), 1, &["there is no baseline `careful`"]);
    check(&apply(&[]), 0, &["3 changes applied"]);
    check(&apply(&["--plan"]), 0, &["nothing to do"]);
    check(&ask(&["baseline", "show", "careful"]), 0, &["version 1", "It judges Debian nodes, as their default; Debian nodes of the patch group web."]);

    fs::write(files.join("careful.yaml"), CAREFUL.replace('7', "3")).unwrap();
    fs::write(files.join("who.yaml"), "schema: assignments/v1\ndefaults: {DEBIAN: careful}\n").unwrap();
    check(
        &apply(&["--plan"]),
        2,
        &["change the baseline careful", "- - approve_after_days: 7", "+ - approve_after_days: 3", "let the default judge the patch group web of DEBIAN"],
    );
    check(&apply(&["--reason", "too slow"]), 0, &["2 changes applied"]);
    check(&ask(&["baseline", "versions", "careful"]), 0, &["too slow"]);
    check(&ask(&["baseline", "restore", "careful", "1"]), 0, &["version 3"]);
    check(&ask(&["baseline", "diff", "careful", "1", "3"]), 0, &[]);
    check(&ask(&["baseline", "approvals", "careful", "--on", "2099-12-31"]), 0, &["PRODUCT"]);

    // A policy comes after the window and the baseline that it names, whatever its file is called.
    fs::write(files.join("careful.yaml"), CAREFUL).unwrap();
    fs::write(files.join("a-policy.yaml"), POLICY).unwrap();
    fs::write(files.join("window.yaml"), "schema: window/v1\nname: night\nschedule: daily 22:00\nduration_hours: 4\n").unwrap();
    check(&apply(&["--plan"]), 2, &["make the window night", "make the policy shop", "  + precedence: 5"]);
    check(&apply(&[]), 0, &["2 changes applied"]);
    check(&apply(&["--plan"]), 0, &["nothing to do"]);
    fs::write(files.join("a-policy.yaml"), POLICY.replace('5', "6")).unwrap();
    check(&apply(&["--plan"]), 2, &["change the policy shop", "  - precedence: 5", "  + precedence: 6"]);
    fs::write(files.join("a-policy.yaml"), POLICY.replace("daily 01:00", "dayly 01:00")).unwrap();
    check(&apply(&[]), 1, &["a-policy.yaml` cannot be used", "`dayly 01:00` is no schedule"]);
    fs::write(files.join("a-policy.yaml"), POLICY).unwrap();

    check(&ask(&["export", "--to", &copies.display().to_string()]), 0, &["4 documents are in"]);
    check(&ask(&["apply", "--plan", "-f", &copies.display().to_string()]), 0, &["nothing to do"]);
    assert_eq!(fs::read_to_string(copies.join("assignments.yaml")).unwrap(), "schema: assignments/v1\ndefaults:\n  DEBIAN: careful\n");

    for (name, text, words) in [
        ("careful.yaml", CAREFUL.replace("approval_rules", "aproval_rules"), ["careful.yaml` cannot be used", "line 4"]),
        ("careful.yaml", CAREFUL.replace('7', "400"), ["400 is not from 0 to 360", "careful.yaml` cannot be used"]),
        ("second.yaml", CAREFUL.to_owned(), ["the baseline `careful` is in another file too", "second.yaml"]),
        ("third.yaml", ASSIGNMENTS.to_owned(), ["assignments are in another file too", "who.yaml"]),
        ("who.yaml", ASSIGNMENTS.replace("careful", "nobody"), ["name the baseline `nobody`", "give its document too"]),
        ("who.yaml", ASSIGNMENTS.replace("defaults", "default"), ["did you mean `defaults`?", "line 2"]),
        ("other.yaml", "schema: baseline/v1\nname: Fettle-DebianDefaultPatchBaseline\noperating_system: DEBIAN\n".to_owned(), ["ships with Fettle", "another name"]),
    ] {
        fs::write(files.join("careful.yaml"), CAREFUL).unwrap();
        fs::write(files.join("who.yaml"), ASSIGNMENTS).unwrap();
        fs::write(files.join(name), text).unwrap();
        check(&apply(&[]), 1, &words);
        fs::remove_file(files.join(name)).unwrap();
    }
    assert_eq!(up.interrupt(), 0);
}

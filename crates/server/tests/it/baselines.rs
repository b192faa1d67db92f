//! Baselines that people write: versions, whom they judge, previews, and what is refused.

use domain::model::time::DAY_MS;
use serde_json::{Value, json};
use testkit::clock::START;
use testkit::inventories;

use crate::harness::Harness;

const CAREFUL: &str = "schema: baseline/v1\nname: careful\noperating_system: DEBIAN\napproval_rules:\n- approve_after_days: 30\n";
const NOTHING: &str = "schema: baseline/v1\nname: nothing\noperating_system: DEBIAN\n";

/// Two nodes with three missing patches each, one with none.
async fn fleet() -> Harness {
    let harness = Harness::new().await;
    for (name, n_security) in [("web-1", 3), ("web-2", 3), ("db-1", 0)] {
        harness.report(inventories::debian(name, 20, n_security, START)).await;
    }
    harness
}

async fn post(harness: &Harness, path: &str, body: &Value) -> Value {
    let answer = harness.post(&format!("/api/v1{path}"), &body.to_string(), &[]).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.body);
    answer.json()
}

async fn refused(harness: &Harness, path: &str, body: &Value) -> Value {
    let answer = harness.post(&format!("/api/v1{path}"), &body.to_string(), &[]).await;
    answer.check_problem(422, "invalid_value");
    answer.json()
}

async fn n_non_compliant(harness: &Harness) -> u64 {
    harness.get("/api/v1/summary").await.json()["n_non_compliant"].as_u64().unwrap()
}

async fn node(harness: &Harness, name: &str) -> Value {
    let found = harness.get(&format!("/api/v1/nodes?q={name}")).await.json();
    let id = found["items"][0]["id"].as_str().unwrap().to_owned();
    harness.get(&format!("/api/v1/nodes/{id}")).await.json()
}

#[tokio::test]
async fn a_preview_is_what_saving_and_choosing_does() {
    let harness = fleet().await;
    assert_eq!(n_non_compliant(&harness).await, 2);
    let preview = post(&harness, "/baselines/preview", &json!({ "document": CAREFUL })).await;
    assert_eq!((&preview["n_nodes"], &preview["n_newly_compliant"], &preview["n_newly_non_compliant"], &preview["n_patches"]), (&3.into(), &2.into(), &0.into(), &3.into()));
    let patch = &preview["patches"][0];
    assert_eq!((&patch["before"], &patch["after"], &patch["n_nodes"]), (&"MISSING".into(), &"AVAILABLE_SECURITY_UPDATE".into(), &2.into()));
    let until = START.plus_millis(30 * DAY_MS + 1);
    assert_eq!(patch["changes_at"], until.to_string());
    assert_eq!(n_non_compliant(&harness).await, 2, "a preview changes nothing");
    let idle = format!(
        "{CAREFUL}- approve_after_days: 1\n  filters: {{section: [games]}}\n- approve_after_days: 1\n  filters: {{product: [Debian99]}}\napproved_patches: [a]\nrejected_patches: [a]\n"
    );
    let preview = post(&harness, "/baselines/preview", &json!({ "document": idle })).await;
    assert_eq!(
        preview["warnings"],
        json!([
            "rule 3 can never match: its product filter wants `Debian99`, and this node has `Debian12`",
            "`a` is in both lists: it is rejected",
            "rule 2 matches no patch that a node is offered today"
        ])
    );

    let saved = post(&harness, "/baselines", &json!({ "document": CAREFUL, "reason": "we are careful" })).await;
    assert_eq!((&saved["version"], &saved["judges"]), (&1.into(), &json!([])));
    assert_eq!(n_non_compliant(&harness).await, 2, "it judges nobody yet");
    post(&harness, "/baselines/assign", &json!({ "operating_system": "DEBIAN", "baseline": "careful" })).await;
    assert_eq!(n_non_compliant(&harness).await, 0);
    harness.clock.advance_millis(31 * DAY_MS);
    for (name, n_security) in [("web-1", 3), ("web-2", 3), ("db-1", 0)] {
        let mut inventory = inventories::debian(name, 20, n_security, START);
        inventory.collected_at = START.plus_millis(31 * DAY_MS);
        inventory.lists_refreshed_at = Some(inventory.collected_at);
        harness.report(inventory).await;
    }
    assert_eq!(n_non_compliant(&harness).await, 2, "a delay that ends needs no scan");
}

#[tokio::test]
async fn a_new_version_judges_at_once_and_an_old_one_comes_back() {
    let harness = fleet().await;
    post(&harness, "/baselines", &json!({ "document": NOTHING })).await;
    post(&harness, "/baselines/assign", &json!({ "operating_system": "DEBIAN", "baseline": "nothing" })).await;
    assert_eq!(n_non_compliant(&harness).await, 0);
    let everything = format!("{NOTHING}approval_rules:\n- approve_after_days: 0\n");
    let preview = post(&harness, "/baselines/preview", &json!({ "document": everything, "baseline": "nothing" })).await;
    assert_eq!(preview["n_newly_non_compliant"], 2);
    let saved = post(&harness, "/baselines/nothing", &json!({ "document": everything, "reason": "a new broom", "edited_version": 1 })).await;
    assert_eq!((&saved["version"], n_non_compliant(&harness).await), (&2.into(), 2));
    let same = post(&harness, "/baselines/nothing", &json!({ "document": everything })).await;
    assert_eq!(same["version"], 2, "nothing changed");

    let late = refused(&harness, "/baselines/nothing", &json!({ "document": NOTHING, "edited_version": 1 })).await;
    assert_eq!(late["message"], "version 1 was edited, and somebody has saved version 2 since");
    let versions = harness.get("/api/v1/baselines/nothing/versions").await.json();
    assert_eq!((versions.as_array().unwrap().len(), &versions[0]["reason"], &versions[0]["changed_by"]), (2, &"a new broom".into(), &"operator".into()));
    post(&harness, "/baselines/nothing", &json!({ "document": versions[1]["document"].to_string() })).await;
    assert_eq!(n_non_compliant(&harness).await, 0, "the first version is back, as the third");
}

#[tokio::test]
async fn a_patch_group_has_a_baseline_of_its_own() {
    let harness = fleet().await;
    post(&harness, "/baselines", &json!({ "document": NOTHING })).await;
    let id = node(&harness, "web-1").await["id"].as_str().unwrap().to_owned();
    post(&harness, "/baselines/assign", &json!({ "operating_system": "DEBIAN", "patch_group": "web", "baseline": "nothing" })).await;
    assert_eq!(n_non_compliant(&harness).await, 2, "nobody is in the group");
    for (set, remove, expected) in [(json!({ "PatchGroup": "web" }), json!([]), 1), (json!({}), json!(["PatchGroup"]), 2), (json!({ "Patch Group": "web" }), json!([]), 1)] {
        post(&harness, "/nodes/tags", &json!({ "nodes": [id], "set": set, "remove": remove })).await;
        assert_eq!(n_non_compliant(&harness).await, expected, "{set} {remove}");
    }
    let page = harness.page(&format!("/nodes/{id}"), &harness.sign_in().await).await.body;
    assert!(page.contains(">nothing</a>, version 1, through the patch group `web`."), "{page}");

    // A later report and a later start find the same.
    harness.report(inventories::debian("web-1", 20, 2, START)).await;
    assert_eq!(n_non_compliant(&harness).await, 1);
    let again = harness.restart().await;
    assert_eq!(n_non_compliant(&again).await, 1);
    post(&again, "/baselines/assign", &json!({ "operating_system": "DEBIAN", "patch_group": "web" })).await;
    assert_eq!(n_non_compliant(&again).await, 2, "the group goes back to the default");
}

#[tokio::test]
async fn security_updates_that_wait_may_count() {
    let harness = fleet().await;
    let strict = format!("{CAREFUL}available_security_updates_compliance_status: NON_COMPLIANT\n");
    post(&harness, "/baselines", &json!({ "document": CAREFUL })).await;
    post(&harness, "/baselines/assign", &json!({ "operating_system": "DEBIAN", "baseline": "careful" })).await;
    assert_eq!(n_non_compliant(&harness).await, 0);
    let preview = post(&harness, "/baselines/preview", &json!({ "document": strict, "baseline": "careful" })).await;
    assert_eq!(preview["n_newly_non_compliant"], 2);
    post(&harness, "/baselines/careful", &json!({ "document": strict })).await;
    assert_eq!(n_non_compliant(&harness).await, 2);
    let node = node(&harness, "web-1").await;
    assert_eq!((&node["verdict"], &node["reasons"][0]["text"]), (&"NON_COMPLIANT".into(), &"3 security updates are available that `careful` does not approve (yet)".into()));
}

#[tokio::test]
async fn an_exception_ends_by_itself_and_is_announced() {
    let harness = fleet().await;
    let until = &START.plus_millis(DAY_MS).to_string()[..10];
    let text = format!("{NOTHING}approval_rules:\n- approve_after_days: 0\nexceptions:\n- patch: '*'\n  decision: REJECT\n  owner: ada\n  reason: the audit\n  until: {until}\n");
    post(&harness, "/baselines", &json!({ "document": text })).await;
    post(&harness, "/baselines/assign", &json!({ "operating_system": "DEBIAN", "baseline": "nothing" })).await;
    assert_eq!(n_non_compliant(&harness).await, 0);
    let id = node(&harness, "web-1").await["id"].as_str().unwrap().to_owned();
    let rows = harness.get(&format!("/api/v1/nodes/{id}/patches?state=AVAILABLE_SECURITY_UPDATE")).await.json();
    assert_eq!(rows["items"][0]["reason"], json!({ "code": "exception", "text": format!("rejected until {until} by an exception of ada: the audit") }));
    let cookie = harness.sign_in().await;
    let page = harness.page("/baselines", &cookie).await.body;
    assert!(page.contains("Exceptions that end soon") && page.contains(&format!("rejected until {until}")), "{page}");
    harness.clock.advance_millis(DAY_MS + DAY_MS / 2);
    assert_eq!(n_non_compliant(&harness).await, 2, "no scan was needed");
    let page = harness.page("/baselines", &cookie).await.body;
    assert!(!page.contains("Exceptions that end soon"), "{page}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_place() {
    let harness = fleet().await;
    for (document, message, hint) in [
        ("schema: baseline/v1\nname: x y\noperating_system: DEBIAN\n", "name: `x y` must have 3 to 128 letters", ""),
        (&format!("{NOTHING}aproved_patches: [curl]\n"), "line 4", "did you mean `approved_patches`?"),
        (&CAREFUL.replace("30", "400"), "approval_rules[0].approve_after_days: 400 is not from 0 to 360", ""),
        ("schema: baseline/v1\nname: other\noperating_system: DEBIEN\n", "DEBIEN", "did you mean `DEBIAN`?"),
        ("", "unexpected end of input at line 1", ""),
    ] {
        for path in ["/baselines", "/baselines/preview"] {
            let problem = refused(&harness, path, &json!({ "document": document })).await;
            let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
            assert!(text("message").contains(message) && text("hint").contains(hint), "{problem}");
        }
    }
    post(&harness, "/baselines", &json!({ "document": CAREFUL })).await;
    post(&harness, "/baselines/assign", &json!({ "operating_system": "DEBIAN", "baseline": "careful" })).await;
    let predefined = harness.get("/api/v1/baselines/Fettle-DebianDefaultPatchBaseline").await.json();
    let cases = [
        ("/baselines", json!({ "document": CAREFUL }), "there is a baseline `careful` already"),
        ("/baselines/careful", json!({ "document": CAREFUL.replace("DEBIAN", "UBUNTU") }), "`careful` is for Debian, which cannot change"),
        ("/baselines/Fettle-DebianDefaultPatchBaseline", json!({ "document": predefined["document"].to_string() }), "ships with Fettle and cannot be edited"),
        ("/baselines/careful/delete", json!({}), "`careful` is the default of Debian"),
        ("/baselines/Fettle-DebianDefaultPatchBaseline/delete", json!({}), "ships with Fettle and cannot be deleted"),
        ("/baselines/assign", json!({ "operating_system": "UBUNTU", "baseline": "careful" }), "`careful` is for Debian, not for Ubuntu"),
        ("/baselines/assign", json!({ "operating_system": "BEOS" }), "`BEOS` is not an operating system"),
        ("/baselines/assign", json!({ "operating_system": "DEBIAN", "patch_group": "a\nb" }), "a patch group has a plain name"),
        ("/baselines/careful", json!({ "document": CAREFUL, "reason": "a\nb" }), "a reason is one line"),
    ];
    for (path, body, message) in cases {
        let problem = refused(&harness, path, &body).await;
        assert!(problem["message"].as_str().unwrap().contains(message), "{problem}");
    }
    harness.get("/api/v1/baselines/none").await.check_problem(404, "not_found");
    post(&harness, "/baselines/assign", &json!({ "operating_system": "DEBIAN" })).await;
    post(&harness, "/baselines/careful/delete", &json!({ "reason": "no more" })).await;
    harness.get("/api/v1/baselines/careful").await.check_problem(404, "not_found");
}

#[tokio::test]
async fn approvals_are_told_for_today_and_for_a_day_to_come() {
    let harness = fleet().await;
    post(&harness, "/baselines", &json!({ "document": CAREFUL })).await;
    let words = async |query: &str| {
        let listed = harness.get(&format!("/api/v1/baselines/careful/approvals{query}")).await.json();
        let rows = listed.as_array().unwrap().iter().map(|row| (row["product"].as_str().unwrap().to_owned(), row["approval"].as_str().unwrap().to_owned()));
        rows.collect::<Vec<_>>()
    };
    let row = |approval: &str| ("Debian12".to_owned(), approval.to_owned());
    assert_eq!(words("").await, [row("deferred"), row("deferred"), row("deferred")]);
    assert_eq!(words("?on=2099-01-01").await, [row("approved"), row("approved"), row("approved")]);
    harness.get("/api/v1/baselines/careful/approvals?on=tomorrow").await.check_problem(422, "invalid_value");
}

#[tokio::test]
async fn the_console_edits_and_shows_effects_before_saving() {
    let harness = fleet().await;
    let cookie = harness.sign_in().await;
    let page = harness.page("/baselines/new", &cookie).await.body;
    assert!(page.contains("value=\"DebianDefaultPatchBaseline-copy\"") && page.contains("What it would change"), "{page}");
    let token = page.split_once("name=\"form_token\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let form = |document: &str, choice: &str| {
        let encoded: String = document.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("form_token={token}&shape=yaml&document={encoded}&reason=because&choice={choice}")
    };
    let looked_at = harness.send_form("/baselines/new", &form(NOTHING, "preview"), &cookie, &[]).await;
    assert!(looked_at.body.contains("2 nodes have nothing missing any more") && looked_at.body.contains("web-1"), "{}", looked_at.body);
    let broken = harness.send_form("/baselines/new", &form("schema: baseline/v1\nnme: x\n", "save"), &cookie, &[]).await;
    assert!(broken.body.contains("It cannot be saved like this") && broken.body.contains("nme: x") && broken.body.contains("did you mean `name`?"), "{}", broken.body);
    let saved = harness.send_form("/baselines/new", &form(NOTHING, "save"), &cookie, &[]).await;
    assert_eq!(saved.status.as_u16(), 303);
    let place = saved.headers["location"].to_str().unwrap().to_owned();
    let edited = harness.send_form(&format!("{place}/edit"), &form(&format!("{NOTHING}description: for tests\n"), "save"), &cookie, &[]).await;
    assert_eq!(edited.status.as_u16(), 303);
    let page = harness.page(&place, &cookie).await.body;
    assert!(page.contains("Version 2") && page.contains("<ins>+ description: for tests</ins>"), "{page}");
    let old = harness.page(&format!("{place}/edit?version=1"), &cookie).await.body;
    assert!(old.contains("restored version 1") && old.contains("<del>- description: for tests</del>"), "{old}");
}

//! Console pages without a browser: what they say, and what they refuse.

use axum::http::{StatusCode, header};
use server::actions::sessions;
use testkit::clock::START;
use testkit::inventories;

use crate::harness::Harness;

#[tokio::test]
async fn every_page_has_its_sample() {
    let harness = Harness::new().await;
    let id = harness.report(inventories::debian("web-1", 120, 2, START)).await;
    let patch = harness.get("/api/v1/patches").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let cookie = harness.sign_in().await;
    for (path, words) in [
        ("/".to_owned(), vec!["1 of 1 node not compliant", "Plan 2 missing security patches"]),
        ("/nodes".to_owned(), vec!["web-1", "not compliant", "Debian12"]),
        ("/nodes?q=nothing".to_owned(), vec!["No node matches."]),
        (format!("/nodes/{id}"), vec!["2 patches are missing that", "Scan again", "Whose it is"]),
        (format!("/nodes/{id}/patches"), vec!["Next page"]),
        (format!("/nodes/{id}/patches?state=MISSING&q=0001"), vec!["pkg-0001", "approved by rule 1"]),
        (format!("/nodes/{id}/packages"), vec!["pkg-0001", "120 of 120 packages"]),
        (format!("/nodes/{id}/repositories"), vec!["Debian-Security bookworm-security", "deb.example"]),
        (format!("/nodes/{id}/changes"), vec!["the first that is kept"]),
        (format!("/nodes/{id}/agent"), vec!["Retire this node", "the server itself looks after this machine"]),
        ("/activations".to_owned(), vec!["Make a code", "No activation was made yet."]),
        (format!("/nodes/{id}/install"), vec!["2 missing patches", "1.0-1+deb12u1", "This node does not allow installs"]),
        ("/exceptions".to_owned(), vec!["No exception was granted yet.", "Grant an exception"]),
        ("/feeds".to_owned(), vec!["No feed was added yet", "Add a feed"]),
        ("/organization".to_owned(), vec!["default", "account, 1 node"]),
        ("/patches".to_owned(), vec!["pkg-0000", "1.0-1+deb12u1"]),
        (format!("/patches/{patch}"), vec!["Missing on 1 node", "web-1"]),
        ("/baselines".to_owned(), vec!["Fettle-DebianDefaultPatchBaseline"]),
        ("/baselines/pb-0000000000000de01".to_owned(), vec!["approves every security patch", "baseline/v1"]),
    ] {
        let page = harness.page(&path, &cookie).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        for word in words {
            assert!(page.body.contains(word), "{path} does not say `{word}`:\n{}", page.body);
        }
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert!(!page.body.contains("style=") && !page.body.contains("onclick"), "{path} has inline style or script");
    }
}

#[tokio::test]
async fn pages_of_an_empty_server_say_what_comes_next() {
    let harness = Harness::new().await;
    let cookie = harness.sign_in().await;
    for (path, words) in [("/", "No node has joined yet"), ("/nodes", "joins by itself"), ("/patches", "No node is offered a newer version")] {
        assert!(harness.page(path, &cookie).await.body.contains(words), "{path}");
    }
}

#[tokio::test]
async fn without_a_session_every_page_leads_to_sign_in() {
    let harness = Harness::new().await;
    for path in ["/", "/nodes", "/nodes/mi-1", "/patches", "/baselines"] {
        for cookie in ["", "fettle_session=wrong"] {
            let page = harness.page(path, cookie).await;
            assert_eq!((page.status, page.headers[header::LOCATION].to_str().unwrap()), (StatusCode::SEE_OTHER, "/sign-in"), "{path}");
        }
    }
    assert!(harness.page("/sign-in", "").await.body.contains("fettle sign-in"));
}

#[tokio::test]
async fn errors_are_pages_with_a_way_on() {
    let harness = Harness::new().await;
    let cookie = harness.sign_in().await;
    for (path, status, words) in [
        ("/nowhere", 404, "there is no page"),
        ("/nodes/mi-00000000000000000", 404, "there is no node"),
        ("/patches/x", 404, "there is no patch"),
        ("/nodes?cursor=elsewhere", 422, "the cursor was not given out by this list"),
        ("/nodes?limit=many", 422, "Failed to deserialize"),
        ("/nodes?q=%3Cscript%3Ealert(1)%3C/script%3E", 200, "&lt;script&gt;"),
    ] {
        let page = harness.page(path, &cookie).await;
        assert_eq!(page.status.as_u16(), status, "{path}");
        assert!(page.body.contains(words), "{path}: {}", page.body);
    }
}

#[tokio::test]
async fn a_link_signs_in_once_and_opening_it_does_not_use_it_up() {
    let harness = Harness::new().await;
    let (link, _) = sessions::create_link(&harness.app, &harness.operator, None).await.unwrap();
    for _ in 0..2 {
        let page = harness.page(&format!("/sign-in?link={link}"), "").await;
        assert!(page.body.contains("This link signs this browser in, once."));
    }
    let first = harness.send_form("/sign-in", &format!("link={link}"), "", &[]).await;
    let cookie = first.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let second = harness.send_form("/sign-in", &format!("link={link}"), "", &[]).await;
    assert_eq!(second.status, StatusCode::FORBIDDEN);
    assert!(second.body.contains("not good any more"));
}

#[tokio::test]
async fn forms_need_their_token_and_their_own_site() {
    let harness = Harness::new().await;
    let id = harness.report(inventories::debian("web-1", 5, 0, START)).await;
    let cookie = harness.sign_in().await;
    let secret = cookie.split_once('=').unwrap().1.to_owned();
    let form = format!("form_token={}", sessions::form_token(&secret));
    let path = format!("/nodes/{id}/scan");
    assert_eq!(harness.send_form(&path, &form, &cookie, &[("Sec-Fetch-Site", "cross-site")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(harness.send_form(&path, &form, &cookie, &[("Origin", "http://evil.example"), ("Host", "here")]).await.status, StatusCode::FORBIDDEN);
    for bad in ["", "form_token=", "form_token=00000000000000000000000000000000"] {
        assert_eq!(harness.send_form(&path, bad, &cookie, &[]).await.status, StatusCode::FORBIDDEN, "{bad}");
    }
    let good = harness.send_form(&path, &form, &cookie, &[("Sec-Fetch-Site", "same-origin")]).await;
    assert!(good.headers[header::LOCATION].to_str().unwrap().starts_with(&format!("/nodes/{id}?requested=op-")));

    let out = harness.send_form("/sign-out", &form, &cookie, &[]).await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    assert_eq!(harness.page("/", &cookie).await.status, StatusCode::SEE_OTHER, "the session has ended");
}

/// The fields of the editor's form as a browser would send them.
fn fields(page: &str) -> Vec<(String, String)> {
    let form = page.split_once("data-live").unwrap().1.split_once("</form>").unwrap().0;
    let attribute = |tag: &str, name: &str| tag.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest.split_once('"').unwrap().0.replace("&amp;", "&"));
    let mut fields = Vec::new();
    for tag in form.split('<').skip(1) {
        let name = attribute(tag, "name").unwrap_or_default();
        if tag.starts_with("input") {
            fields.push((name, attribute(tag, "value").unwrap_or_default()));
        } else if tag.starts_with("textarea") {
            fields.push((name, tag.split_once('>').unwrap().1.to_owned()));
        } else if tag.starts_with("select") {
            fields.push((name, String::new()));
        } else if tag.starts_with("option") && (tag.contains(" selected") || fields.last().unwrap().1.is_empty()) {
            fields.last_mut().unwrap().1 = attribute(tag, "value").unwrap();
        }
    }
    fields
}

fn encode(fields: &[(String, String)]) -> String {
    let escape = |text: &str| text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect::<String>();
    fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn a_baseline_is_written_in_sentences_and_read_as_a_document() {
    let harness = Harness::new().await;
    harness.report(inventories::debian("web-1", 120, 2, START)).await;
    let cookie = harness.sign_in().await;
    let page = harness.page("/baselines/new", &cookie).await.body;
    assert!(page.contains("Rule 1") && page.contains("every security patch"), "{page}");
    let mut form = fields(&page);
    form.push(("choice".to_owned(), "add-rule".to_owned()));
    let page = harness.send_form("/baselines/new", &encode(&form), &cookie, &[]).await.body;
    assert!(page.contains("Rule 2"), "{page}");
    let mut form = fields(&page);
    for (name, value) in [("name", "careful"), ("rule-1-kind", "every"), ("rule-1-days", "14"), ("rejected", "pkg-0000")] {
        form.iter_mut().find(|(known, _)| known == name).unwrap().1 = value.to_owned();
    }
    let mut looked_at = form.clone();
    looked_at.push(("choice".to_owned(), "yaml".to_owned()));
    let page = harness.send_form("/baselines/new", &encode(&looked_at), &cookie, &[]).await.body;
    assert!(page.contains("approve_after_days: 14") && page.contains("Edit it in sentences"), "{page}");
    form.push(("choice".to_owned(), "save".to_owned()));
    let saved = harness.send_form("/baselines/new", &encode(&form), &cookie, &[]).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    let document = harness.get("/api/v1/baselines/careful").await.json()["document"].clone();
    assert_eq!((&document["approval_rules"][1]["approve_after_days"], &document["rejected_patches"]), (&14.into(), &serde_json::json!(["pkg-0000"])));
}

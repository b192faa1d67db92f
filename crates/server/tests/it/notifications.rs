//! Notifications: signed, tried again, once each; to a webhook and to a mail server that listen.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use axum::http::StatusCode;
use domain::model::time::DAY_MS;
use serde_json::json;
use server::actions::verdicts;
use server::reconcilers::notify;
use testkit::clock::START;
use testkit::inventories;

use crate::harness::Harness;

/// An HTTP server that answers with these statuses, one after another; each request's head and body.
fn webhook(statuses: &'static [u16]) -> (String, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, hears) = mpsc::channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line.to_ascii_lowercase());
            }
            let mut body = vec![0; length];
            std::io::Read::read_exact(&mut reader, &mut body).unwrap();
            write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            heard.send((head, String::from_utf8(body).unwrap())).unwrap();
        }
    });
    (format!("http://{address}/hook"), hears)
}

/// A mail server that takes one mail; what it was told.
fn mail_server() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, hears) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut told, mut is_text) = (String::new(), false);
        write!(stream, "220 mail\r\n").unwrap();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap() == 0 {
                break;
            }
            told.push_str(&line);
            let answer = match (is_text, line.trim_end()) {
                (true, ".") => {
                    is_text = false;
                    "250 ok"
                }
                (true, _) => continue,
                (false, "DATA") => {
                    is_text = true;
                    "354 go on"
                }
                (false, "QUIT") => "221 bye",
                (false, _) => "250 ok",
            };
            write!(stream, "{answer}\r\n").unwrap();
        }
        heard.send(told).unwrap();
    });
    (address.to_string(), hears)
}

async fn save(harness: &Harness, document: &str) {
    let saved = harness.post("/api/v1/documents", &json!({ "document": document }).to_string(), &[]).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
}

#[tokio::test]
async fn a_webhook_is_signed_and_tried_again_until_it_takes_the_news() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let harness = Harness::new().await;
    std::fs::create_dir_all(harness.folder().join("secrets")).unwrap();
    std::fs::write(harness.folder().join("secrets/hook"), "key\n").unwrap();
    let (url, hears) = webhook(&[500, 200]);
    save(&harness, &format!("schema: channel/v1\nname: hook\nto: {{webhook: {{url: '{url}', secret: hook}}}}\n")).await;
    let tried = harness.post("/api/v1/documents/channels/hook/test", "null", &[]).await.json();
    assert_eq!((&tried["failure"], &tried["attempts"]), (&"it answered 500 Internal Server Error".into(), &1.into()), "{tried}");
    let (head, body) = hears.recv().unwrap();
    // echo -n BODY | openssl dgst -sha256 -hmac key
    let digest = std::process::Command::new("openssl").args(["dgst", "-sha256", "-hmac", "key", "-r"]).stdin(piped(&body)).output().unwrap();
    let digest = String::from_utf8(digest.stdout).unwrap().split(' ').next().unwrap().to_owned();
    assert!(head.contains(&format!("fettle-signature: sha256={digest}")), "{head}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap()["event"], "TEST");

    assert_eq!(notify::send_due(&harness.app).await.unwrap(), 0, "not yet again");
    harness.clock.advance_millis(10_000);
    assert_eq!(notify::send_due(&harness.app).await.unwrap(), 1);
    let (_, again) = hears.recv().unwrap();
    assert_eq!(again, body, "the same id tells that it is the same news");
    let news = harness.get("/api/v1/notifications").await.json();
    assert_eq!((&news[0]["attempts"], &news[0]["failure"], news[0]["sent_at"].is_null()), (&2.into(), &serde_json::Value::Null, false));
}

fn piped(text: &str) -> std::process::Stdio {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file.into()
}

#[tokio::test]
async fn mail_reaches_a_mail_server() {
    let harness = Harness::new().await;
    let (server, hears) = mail_server();
    save(&harness, &format!("schema: channel/v1\nname: mail\nto: {{smtp: {{server: '{server}', from: fettle@example.org, to: [ada@example.org], plain: true}}}}\n")).await;
    let sent = harness.post("/api/v1/documents/channels/mail/test", "null", &[]).await.json();
    assert_eq!(sent["failure"], serde_json::Value::Null, "{sent}");
    let told = hears.recv().unwrap();
    for part in ["MAIL FROM:<fettle@example.org>", "RCPT TO:<ada@example.org>", "Subject: [Fettle] operator tries the channel mail", "If you read this, it works."] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_says_why() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let harness = Harness::new().await;
    save(&harness, "schema: channel/v1\nname: slack\nto: {slack: {url_secret: nowhere}}\n").await;
    let tried = harness.post("/api/v1/documents/channels/slack/test", "null", &[]).await.json();
    assert!(tried["failure"].as_str().unwrap().starts_with("the secret `nowhere` cannot be read"), "{tried}");
    save(&harness, "schema: channel/v1\nname: far\nto: {smtp: {server: 'mail.example.org:25', from: a@b.c, to: [d@e.f], plain: true}}\n").await;
    let tried = harness.post("/api/v1/documents/channels/far/test", "null", &[]).await.json();
    assert_eq!(tried["failure"], "only a mail server on this machine may do without encryption");
}

#[tokio::test]
async fn nodes_that_are_not_compliant_and_decisions_that_end_are_told_once() {
    let harness = Harness::new().await;
    save(&harness, "schema: channel/v1\nname: ops\nto: {slack: {url_secret: nowhere}}\n").await;
    for name in ["web-1", "web-2"] {
        harness.report(inventories::debian(name, 20, 3, START)).await;
    }
    let until = &START.plus_millis(5 * DAY_MS).to_string()[..10];
    let exception = json!({ "patch": "pkg-0000", "decision": "REJECT", "owner": "ada", "reason": "it breaks the till", "until": until, "tags": { "team": "shop" } });
    assert!(harness.post("/api/v1/exceptions", &exception.to_string(), &[]).await.status.is_success());
    for _ in 0..2 {
        verdicts::record(&harness.app).await.unwrap();
        notify::tell_expiring(&harness.app).await.unwrap();
    }
    let news = harness.get("/api/v1/notifications").await.json();
    let told: Vec<_> = news.as_array().unwrap().iter().map(|news| news["subject"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, [format!("the exception for pkg-0000 ends on {until}"), "2 nodes are not compliant any more".to_owned()]);
}

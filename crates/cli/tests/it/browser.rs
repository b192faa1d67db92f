//! The console in a real Chromium.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use crate::harness::Up;

/// A driver on a port that it chose itself.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    fn start() -> Self {
        let mut child =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("chromedriver is installed (`cargo xtask test` does it)");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let started = lines.map_while(Result::ok).find_map(|line| line.split_once("started successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned()));
        Self { child, url: format!("http://127.0.0.1:{}", started.expect("chromedriver names its port")) }
    }

    async fn browser(&self, profile: &std::path::Path) -> Client {
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let capabilities = json!({ "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": arguments } });
        let serde_json::Value::Object(capabilities) = capabilities else { unreachable!("it was written as an object") };
        ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&self.url).await.unwrap()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for an element whose text holds these words: an element of the page before does not count.
async fn see(browser: &Client, element: &str, words: &str) {
    let place = format!("//{element}[contains(normalize-space(.), '{words}')]");
    let found = browser.wait().for_element(Locator::XPath(&place)).await;
    assert!(found.is_ok(), "there is no {element} with `{words}` on\n{}", browser.source().await.unwrap());
}

#[tokio::test]
async fn a_person_signs_in_searches_reads_a_node_and_meets_empty_and_wrong_pages() {
    let (data, cache, profile) = (testkit::folder(), testkit::folder(), testkit::folder());
    let up = Up::start(&data.path().join("data"), cache.path());
    let driver = Driver::start();
    let browser = driver.browser(profile.path()).await;
    browser.set_window_size(1280, 900).await.unwrap();

    browser.goto(&up.url).await.unwrap();
    see(&browser, "h1", "Sign in").await;
    browser.goto(&up.link).await.unwrap();
    see(&browser, "p", "This link signs this browser in").await;
    browser.find(Locator::Css("main button")).await.unwrap().click().await.unwrap();
    see(&browser, "h1", "Overview").await;

    browser.find(Locator::LinkText("Nodes")).await.unwrap().click().await.unwrap();
    see(&browser, "h1", "Nodes").await;
    browser.find(Locator::Css("body")).await.unwrap().send_keys("/").await.unwrap();
    let focused = browser.active_element().await.unwrap();
    assert_eq!(focused.attr("type").await.unwrap().as_deref(), Some("search"), "the slash key goes to the search field");
    focused.send_keys("no such node").await.unwrap();
    focused.send_keys(&char::from(Key::Enter).to_string()).await.unwrap();
    see(&browser, "p", "No node matches.").await;
    browser.find(Locator::LinkText("Show all nodes")).await.unwrap().click().await.unwrap();

    let link = browser.wait().for_element(Locator::Css("tbody tr td a[href^='/nodes/']")).await.unwrap();
    let name = link.text().await.unwrap();
    link.click().await.unwrap();
    see(&browser, "h1", &name).await;
    see(&browser, "h2", "Whose it is").await;
    for tab in ["Packages", "Repositories", "Changes", "Agent", "Patches"] {
        browser.find(Locator::XPath(&format!("//nav[@class='tabs']/a[text()='{tab}']"))).await.unwrap().click().await.unwrap();
        see(&browser, "nav[@aria-label='Parts of the node']/a[@aria-current='page']", tab).await;
    }

    // A filter applies when it is chosen, by the script; the address says what is shown.
    let select = browser.find(Locator::Css("select[name=state]")).await.unwrap();
    select.select_by_value("INSTALLED_OTHER").await.unwrap();
    browser.wait().for_element(Locator::Css("option[value=INSTALLED_OTHER][selected]")).await.unwrap();
    assert!(browser.current_url().await.unwrap().query().unwrap().contains("state=INSTALLED_OTHER"));

    browser.find(Locator::Css("button.primary")).await.unwrap().click().await.unwrap();
    see(&browser, "div[@role='status']", "A scan was requested").await;

    // What a draft means is said while it is written, by the script.
    browser.goto(&format!("{}/baselines/new", up.url)).await.unwrap();
    see(&browser, "h2", "What it would change").await;
    browser.find(Locator::Css("textarea[name=rejected]")).await.unwrap().send_keys("no-such-package").await.unwrap();
    see(&browser, "div[@id='effects']//li", "no-such-package").await;
    browser.find(Locator::Css("input.days")).await.unwrap().send_keys("999").await.unwrap();
    see(&browser, "div[@id='effects']//h2", "It cannot be saved like this").await;

    browser.goto(&format!("{}/nowhere", up.url)).await.unwrap();
    see(&browser, "p", "there is no page `/nowhere`").await;

    // No page is wider than a small phone.
    browser.set_window_size(500, 900).await.unwrap();
    for page in ["/", "/nodes", "/patches", "/baselines", "/baselines/new", "/activations", "/feeds", "/exceptions", "/organization"] {
        browser.goto(&format!("{}{page}", up.url)).await.unwrap();
        browser.execute("document.documentElement.style.width = '360px'", vec![]).await.unwrap();
        let wide = browser.execute("return document.documentElement.scrollWidth - window.innerWidth", vec![]).await.unwrap();
        assert!(wide.as_i64().unwrap() <= 0, "{page} is {wide} px too wide");
    }

    browser.find(Locator::Css("button.link")).await.unwrap().click().await.unwrap();
    see(&browser, "h1", "Sign in").await;
    browser.close().await.unwrap();
}

//! What Alpine offers, against apk itself in a complete Alpine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use agent::inventory;
use agent::root::Root;
use domain::model::inventory::Inventory;
use domain::model::patch::Offer;
use domain::model::time::Timestamp;
use testkit::roots::{Overlay, alpine};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Serves files on loopback, by their paths.
fn serve(files: BTreeMap<String, Vec<u8>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let (status, body) = files.get(&path).map_or(("404 Not Found", &[][..]), |body| ("200 OK", body.as_slice()));
            let _ = write!(&stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = (&stream).write_all(body);
        }
    });
    port
}

/// An index with packages, each `name version`.
fn index(node: &Overlay, packages: &[&str]) -> Vec<u8> {
    let mut text = String::new();
    for package in packages {
        let (name, version) = package.split_once(' ').unwrap();
        // apk tells packages apart by this; base64 of 20 bytes.
        let checksum = domain::model::digest::Digest::of(package.as_bytes()).short(26);
        let _ = write!(text, "C:Q1{checksum}A=\nP:{name}\nV:{version}\nA:x86_64\nS:1\nI:1\nT:x\nU:x\nL:MIT\no:{name}-source\nt:1700000000\n\n");
    }
    node.write("index/APKINDEX", &text).write("index/DESCRIPTION", "v3.23.4-7-gabc");
    node.shell("cd /index; tar -cf index.tar DESCRIPTION APKINDEX; gzip -f index.tar");
    std::fs::read(node.path().join("index/index.tar.gz")).unwrap()
}

/// Serves a signed-by-nobody index of the repository `main`, which is configured alone.
pub fn serve_main(node: &Overlay, packages: &[&str]) {
    let port = serve([("/alpine/v3.23/main/x86_64/APKINDEX.tar.gz".to_owned(), index(node, packages))].into());
    node.write("etc/apk/repositories", &format!("http://127.0.0.1:{port}/alpine/v3.23/main\n"));
    node.shell("apk --allow-untrusted update >/dev/null");
}

fn scan(node: &Overlay) -> Inventory {
    inventory::collect(&Root::new(node.path()), None, NOW).unwrap()
}

/// Packages with the versions that they would be upgraded to.
fn apk_upgrade(node: &Overlay) -> BTreeSet<(String, String)> {
    let printed = node.shell("apk --allow-untrusted upgrade --simulate");
    let upgrades = printed.lines().filter_map(|line| line.split_once("Upgrading ")?.1.strip_suffix(')')?.split_once(" ("));
    upgrades.map(|(name, versions)| (name.split('@').next().unwrap().to_owned(), versions.split_once(" -> ").unwrap().1.to_owned())).collect()
}

fn candidates(inventory: &Inventory) -> BTreeSet<(String, String)> {
    inventory.available.iter().filter(|version| version.offer == Offer::Candidate).map(|version| (version.name.clone(), version.version.clone())).collect()
}

#[test]
fn installed_packages_are_those_of_apk() {
    let node = Overlay::over(&alpine());
    let inventory = scan(&node);
    let mut native: Vec<_> = node.shell("apk list --installed").lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    native.sort();
    let mut ours: Vec<_> = inventory.packages.iter().map(|package| format!("{}-{}", package.name, package.version)).collect();
    ours.sort();
    assert_eq!(ours, native);
    assert!(inventory.platform.product.starts_with("Alpine3.23") && inventory.platform.architecture == "x86_64");
    let codes: BTreeSet<_> = inventory.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(codes.len(), 2, "the indexes of main and community are not there: {codes:?}");
}

#[test]
fn candidates_are_those_of_apk() {
    let node = Overlay::over(&alpine());
    let main = index(&node, &["alpine-keys 99.0-r0", "alpine-keys 100.0_rc1-r0", "curl 0.1-r0", "dhcpcd 99-r0", "sudo 99.1-r0", "unknown 1-r0", "cloud-utils-growpart 99.2-r3"]);
    let community = index(&node, &["sudo 99.1_p1-r0", "dhcpcd 99-r0"]);
    let edge = index(&node, &["alpine-keys 200-r0", "curl 200-r0", "dhcpcd 200-r0"]);
    let files = [("main", main), ("community", community), ("edge", edge)].map(|(name, index)| (format!("/alpine/v3.23/{name}/x86_64/APKINDEX.tar.gz"), index));
    let port = serve(files.into());
    let at = |name: &str| format!("http://127.0.0.1:{port}/alpine/v3.23/{name}");
    node.write("etc/apk/repositories", &format!("{}\n# a comment\n{}\n@edge {}\n", at("main"), at("community"), at("edge")));
    let world = std::fs::read_to_string(node.path().join("etc/apk/world")).unwrap();
    node.shell("apk --allow-untrusted update >/dev/null");

    let mut seen = BTreeSet::new();
    for (from, to) in [("", ""), ("curl\n", "curl@edge\n"), ("dhcpcd\n", "dhcpcd<100\n"), ("alpine-keys\n", "alpine-keys~99\n"), ("sudo\n", "sudo>1\n")] {
        node.write("etc/apk/world", &world.replacen(from, to, 1));
        let inventory = scan(&node);
        assert_eq!(inventory.problems, [], "world has {to}");
        assert_eq!(candidates(&inventory), apk_upgrade(&node), "world has {to}");
        seen.insert(candidates(&inventory).len());
        let vendor = inventory.repositories.iter().filter(|repository| repository.origin.as_deref() == Some("Alpine")).count();
        assert_eq!(vendor, 2);
    }
    assert_eq!(seen, [4, 5].into());
}

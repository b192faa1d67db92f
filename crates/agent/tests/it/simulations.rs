//! What each native tool says that it would do, read by us: in roots with the real tools.

use agent::inventory;
use agent::root::Root;
use domain::model::inventory::Inventory;
use domain::model::time::Timestamp;
use domain::model::transaction::{Change, Transaction};
use testkit::roots::{Overlay, alpine};
use testkit::rpm::{Repository, configure, folder, node, tools};

use crate::{apk_candidates, pacman_candidates};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn change(package: &str) -> Change {
    let [name, version, architecture] = package.split(' ').collect::<Vec<_>>().try_into().unwrap();
    Change { name: name.to_owned(), architecture: architecture.to_owned(), version: version.to_owned() }
}

fn simulate(node: &Overlay, changes: &[Change]) -> Result<Transaction, String> {
    let root = Root::new(node.path());
    let inventory: Inventory = inventory::collect(&root, None, NOW).unwrap();
    let manager = inventory::package_manager(&root).unwrap();
    manager.simulate(&root, &inventory.platform, changes, &inventory.packages).map_err(|error| error.to_string())
}

/// A step a line: what, which, from, to.
fn lines(transaction: &Transaction) -> Vec<String> {
    let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
    transaction.steps.iter().map(|step| format!("{} {} {} {} {}", step.action.word(), step.name, text(&step.architecture), text(&step.from), text(&step.to))).collect()
}

/// Installed packages, and a repository in which one needs a new package, one replaces another, and one is in
/// conflict with what is installed.
fn rpm_node() -> Overlay {
    const LONG: &str = "tb-a-name-that-is-longer-than-any-column-of-a-table-that-a-tool-prints-for-people-to-read";
    let node = node(&[
        "fedora-release 0 41 1 noarch",
        "tb-lib 0 1.0 1 x86_64",
        "tb-svc 0 1.0 1 noarch",
        "tb-old 0 1.0 1 noarch",
        "tb-conf 0 1.0 1 noarch",
        "kernel 0 6.1.0 1 x86_64",
        &format!("{LONG} 0 1.0 1 noarch"),
    ]);
    let repository = Repository::default()
        .package_that("tb-lib 0 1.1 1 x86_64", "<rpm:requires><rpm:entry name=\"tb-dep\"/></rpm:requires>")
        .package("tb-lib 0 1.2 1 x86_64")
        .package("tb-dep 1 2.0 1 noarch")
        .package_that("tb-new 0 3 1 noarch", "<rpm:obsoletes><rpm:entry name=\"tb-old\"/></rpm:obsoletes>")
        .package_that("tb-svc 0 1.1 1 noarch", "<rpm:conflicts><rpm:entry name=\"tb-conf\"/></rpm:conflicts>")
        .package(&format!("{LONG} 3 1.2 1 noarch"))
        .package("kernel 0 6.1.9 1 x86_64");
    repository.write(&node, &folder("base"));
    configure(&node, "base", "");
    node
}

const BROUGHT: [&str; 4] = [
    "install tb-dep noarch - 1:2.0-1",
    "upgrade tb-a-name-that-is-longer-than-any-column-of-a-table-that-a-tool-prints-for-people-to-read noarch 1.0-1 3:1.2-1",
    "upgrade tb-lib x86_64 1.0-1 1.1-1",
    "install kernel x86_64 - 6.1.9-1",
];

fn wanted() -> Vec<Change> {
    let long = BROUGHT[1].split(' ').nth(1).unwrap();
    [&format!("{long} 3:1.2-1 noarch"), "tb-lib 1.1-1 x86_64", "kernel 6.1.9-1 x86_64"].map(change).to_vec()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn dnf_brings_exact_versions_with_what_they_need() {
    let node = rpm_node();
    node.shell("dnf -q makecache");
    let transaction = simulate(&node, &wanted()).unwrap();
    assert_eq!(sorted(lines(&transaction)), sorted(BROUGHT.map(str::to_owned).to_vec()));
    assert_eq!(transaction.unasked(&wanted()).map(|step| step.name.as_str()).collect::<Vec<_>>(), ["tb-dep"]);
    assert_eq!(transaction.left_out(&wanted()).count(), 0);

    // What is in conflict or gone is left out, and dnf says why; what is installed is nothing to do.
    let asked = ["tb-svc 1.1-1 noarch", "tb-lib 9-1 x86_64", "kernel 6.1.9-1 x86_64"].map(change);
    let transaction = simulate(&node, &asked).unwrap();
    assert_eq!(lines(&transaction), ["install kernel x86_64 - 6.1.9-1"]);
    assert_eq!(transaction.left_out(&asked).map(|change| change.name.as_str()).collect::<Vec<_>>(), ["tb-svc", "tb-lib"]);
    assert!(transaction.remarks.iter().any(|remark| remark.contains("conflicts with tb-conf")), "{:?}", transaction.remarks);
    assert!(transaction.remarks.iter().any(|remark| remark == "No match for argument: tb-lib-9-1.x86_64"), "{:?}", transaction.remarks);
    let transaction = simulate(&node, &[change("tb-lib 9-1 x86_64")]).unwrap();
    assert_eq!((transaction.steps.len(), transaction.remarks.len()), (0, 1));

    node.shell("rm -rf /var/cache/dnf");
    let refused = simulate(&node, &wanted()).unwrap_err();
    assert!(refused.starts_with("`dnf` will not do it: "), "{refused}");
}

#[test]
fn zypper_brings_exact_versions_with_what_they_need() {
    let node = rpm_node();
    node.write("etc/os-release", "ID=opensuse-leap\nVERSION_ID=15.6\nPRETTY_NAME=\"openSUSE Leap 15.6\"\n");
    node.write("etc/zypp/repos.d/base.repo", "[base]\nname=base\nbaseurl=dir:/repositories/41/base\nenabled=1\ngpgcheck=0\nautorefresh=0\n");
    node.shell("zypper --non-interactive --no-gpg-checks --quiet refresh");
    let transaction = simulate(&node, &wanted()).unwrap();
    // Without its configuration of kernels, zypper knows none that stay side by side.
    let expected = BROUGHT.map(|line| line.replace("install kernel x86_64 -", "upgrade kernel x86_64 6.1.0-1"));
    assert_eq!(sorted(lines(&transaction)), sorted(expected.to_vec()));
    let replacing = simulate(&node, &[change("tb-new 3-1 noarch")]).unwrap();
    assert_eq!(lines(&replacing), ["install tb-new noarch - 3-1", "remove tb-old noarch 1.0-1 -"]);

    let conflict = simulate(&node, &[change("tb-svc 1.1-1 noarch")]).unwrap_err();
    assert!(conflict.contains("conflicts with 'tb-conf'"), "{conflict}");
    let gone = simulate(&node, &[change("tb-lib 9-1 x86_64")]).unwrap_err();
    assert!(gone.contains("No provider of 'tb-lib.x86_64=9-1' found."), "{gone}");
}

#[test]
fn apt_brings_exact_versions_and_says_what_has_to_go() {
    let node = Overlay::of("bookworm");
    let inventory = inventory::collect(&Root::new(node.path()), None, NOW).unwrap();
    let newer = inventory.available.iter().filter(|version| version.offer == domain::model::patch::Offer::Candidate);
    let asked: Vec<_> = newer.map(|version| Change { name: version.name.clone(), architecture: version.architecture.clone(), version: version.version.clone() }).collect();
    assert!(!asked.is_empty());
    let transaction = simulate(&node, &asked).unwrap();
    assert_eq!(transaction.left_out(&asked).collect::<Vec<_>>(), Vec::<&Change>::new());
    let printed = node.shell("apt-get -q -s dist-upgrade | grep -c ^Inst");
    assert_eq!(transaction.steps.len().to_string(), printed.trim());

    let version = node.shell("apt-cache show --no-all-versions exim4-daemon-light mawk original-awk | grep ^Version: | cut -d' ' -f2");
    let [exim, _, awk] = version.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
    let transaction = simulate(&node, &[change(&format!("exim4-daemon-light {exim} amd64")), change(&format!("original-awk {awk} amd64"))]).unwrap();
    assert!(transaction.steps.len() > 2 && transaction.steps.iter().all(|step| step.architecture.is_some()), "{:?}", lines(&transaction));

    let gone = simulate(&node, &[change("bash 9 amd64")]).unwrap_err();
    assert!(gone.contains("Version '9' for 'bash' was not found"), "{gone}");
}

#[test]
fn apk_brings_exact_versions_with_what_they_need() {
    let node = Overlay::over(&alpine());
    apk_candidates::serve_main(&node, &["alpine-keys 99.0-r0", "alpine-keys 100-r0", "curl 99-r0"]);
    let installed = inventory::collect(&Root::new(node.path()), None, NOW).unwrap().packages;
    let version = |name: &str| installed.iter().find(|package| package.name == name).unwrap().version.clone();
    let asked = [change("alpine-keys 99.0-r0 x86_64")];
    // What nobody signed counts for nothing, until the node is told otherwise.
    simulate(&node, &asked).unwrap_err();
    node.write("etc/apk/config", "allow-untrusted\n");
    assert_eq!(lines(&simulate(&node, &asked).unwrap()), [format!("upgrade alpine-keys x86_64 {} 99.0-r0", version("alpine-keys"))]);

    // A curl without libraries: apk removes what nothing needs then.
    let transaction = simulate(&node, &[change("curl 99-r0 x86_64")]).unwrap();
    assert!(lines(&transaction).contains(&format!("remove libcurl x86_64 {} -", version("libcurl"))), "{:?}", lines(&transaction));
    let gone = simulate(&node, &[change("curl 7-r0 x86_64")]).unwrap_err();
    assert!(gone.contains("breaks: world[curl=7-r0]"), "{gone}");
}

#[test]
fn pacman_upgrades_everything_with_what_is_replaced() {
    let node = Overlay::over(&tools());
    pacman_candidates::prepare(&node, &[("tb-a", "1.0-1"), ("tb-b", "1:1.0-1"), ("tb-old", "1.0-1")]);
    let replaces = "%REPLACES%\ntb-old<2\n\n";
    pacman_candidates::repository(
        &node,
        "core",
        "--gzip",
        &[("tb-a", "1.0-2", "%DEPENDS%\ntb-dep\n\n"), ("tb-dep", "1-1", ""), ("tb-new", "3-1", replaces), ("tb-b", "1:2.0-1", "")],
    );
    node.write("etc/pacman.conf", "[options]\nArchitecture = auto\nSigLevel = Never\n[core]\nServer = file:///nowhere\n");
    let transaction = simulate(&node, &[change("tb-a 1.0-2 any")]).unwrap();
    assert_eq!(
        lines(&transaction),
        ["upgrade tb-a any 1.0-1 1.0-2", "upgrade tb-b any 1:1.0-1 1:2.0-1", "install tb-dep any - 1-1", "install tb-new any - 3-1", "remove tb-old any 1.0-1 -"]
    );
}

//! Runs of real package managers on roots made for the test: what was planned happens, and what does not go as
//! planned is told.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use agent::package_manager::own_repositories;
use agent::root::Root;
use agent::{install, inventory};
use domain::model::baseline::Source;
use domain::model::plan::{Cause, Extra, Hold, Outcome, PackageState, Plan, Receipt};
use domain::model::time::Timestamp;
use domain::model::transaction::Change;
use testkit::apt::{Deb, publish};
use testkit::roots::{Overlay, alpine};
use testkit::rpm::{self, tools};

use crate::pacman_candidates;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn change(package: &str, architecture: &str) -> Change {
    let (name, version) = package.split_once(' ').unwrap();
    Change { name: name.to_owned(), architecture: architecture.to_owned(), version: version.to_owned() }
}

fn plan(node: &Overlay, changes: &[Change], extra: Extra) -> Plan {
    let root = Root::new(node.path());
    let inventory = inventory::collect(&root, None, NOW).unwrap();
    install::plan(&root, &inventory, changes.to_vec(), extra, NOW).unwrap()
}

fn carry_out(node: &Overlay, plan: Plan) -> Receipt {
    install::run(&Root::new(node.path()), plan, Duration::ZERO, &|| NOW, |_| {}).unwrap()
}

fn done(receipt: &Receipt) -> Vec<String> {
    let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
    receipt.done.steps.iter().map(|step| format!("{} {} {} {}", step.action.word(), step.name, text(&step.from), text(&step.to))).collect()
}

/// A node with `tb-a`, a dependency of somebody's, and `tb-b`, both at 1.
fn apt_node(newer: &[Deb]) -> Overlay {
    let node = Overlay::of("bookworm");
    let a = Deb { package: "tb-a 1", configuration: &[("/etc/tb-a.conf", "first\n")], ..Deb::default() };
    publish(&node, &[a.clone(), Deb { package: "tb-b 1", ..Deb::default() }]);
    node.shell("apt-get -qq install -y tb-a tb-b >/dev/null 2>&1; apt-mark auto tb-a >/dev/null; echo mine > /etc/tb-a.conf");
    publish(&node, newer);
    node
}

#[test]
fn apt_brings_exactly_what_was_planned_and_keeps_what_an_owner_changed() {
    let node = apt_node(&[
        Deb { package: "tb-a 2", fields: &["Depends: tb-dep"], configuration: &[("/etc/tb-a.conf", "second\n")], ..Deb::default() },
        Deb { package: "tb-a 3", ..Deb::default() },
        Deb { package: "tb-dep 1", ..Deb::default() },
        Deb { package: "tb-b 2", ..Deb::default() },
    ]);
    let planned = plan(&node, &[change("tb-a 2", "all")], Extra::Dependencies);
    assert_eq!(planned.transaction.steps.len(), 2);
    let receipt = carry_out(&node, planned.clone());
    assert_eq!(receipt.outcome, Outcome::Installed, "{}", receipt.log);
    assert_eq!(done(&receipt), ["upgrade tb-a 1 2", "install tb-dep - 1"]);
    assert_eq!(receipt.config_files, ["/etc/tb-a.conf.dpkg-dist"]);
    assert_eq!(node.shell("cat /etc/tb-a.conf").trim(), "mine");
    assert_eq!(node.shell("apt-mark showauto tb-a tb-dep").split_whitespace().collect::<Vec<_>>(), ["tb-a", "tb-dep"], "dependencies stay dependencies");
    assert_eq!(serde_json::from_str::<Receipt>(&serde_json::to_string(&receipt).unwrap()).unwrap(), receipt);

    let again = carry_out(&node, planned);
    assert_eq!((again.outcome.clone(), done(&again).len()), (Outcome::Installed, 0), "what is there needs nothing more");
}

#[test]
fn a_failing_script_is_told_and_the_next_run_waits_for_a_mend() {
    let node = apt_node(&[
        Deb { package: "tb-a 2", ..Deb::default() },
        Deb { package: "tb-b 2", scripts: &[("postinst", "#!/bin/sh\necho the till is on fire >&2\nexit 1\n")], ..Deb::default() },
    ]);
    let receipt = carry_out(&node, plan(&node, &[change("tb-a 2", "all"), change("tb-b 2", "all")], Extra::None));
    let Outcome::Failed { cause, words } = &receipt.outcome else { panic!("{:?}", receipt.outcome) };
    assert_eq!(*cause, Cause::ScriptFailed);
    assert!(words.contains("tb-b package post-installation script subprocess returned error exit status 1"), "{words}");
    assert!(receipt.log.contains("the till is on fire"));
    assert_eq!(receipt.packages.iter().map(|package| package.state).collect::<Vec<_>>(), [PackageState::Installed, PackageState::Broken]);

    publish(&node, &[Deb { package: "tb-a 3", ..Deb::default() }]);
    let receipt = carry_out(&node, plan(&node, &[change("tb-a 3", "all")], Extra::None));
    assert_eq!(receipt.outcome, Outcome::Held { hold: Hold::Interrupted { packages: vec!["tb-b".to_owned()] } });
    assert_eq!(done(&receipt), Vec::<String>::new());
}

#[test]
fn what_is_not_planned_is_not_begun() {
    let node = apt_node(&[Deb { package: "tb-a 2", ..Deb::default() }, Deb { package: "tb-c 1", fields: &["Conflicts: tb-b"], ..Deb::default() }]);
    let asked = [change("tb-a 2", "all")];
    let planned = plan(&node, &asked, Extra::Dependencies);
    // The version needs another package by now.
    publish(&node, &[Deb { package: "tb-a 2", fields: &["Depends: tb-dep"], ..Deb::default() }, Deb { package: "tb-dep 1", ..Deb::default() }]);
    let deviates = |receipt: Receipt| match receipt.outcome {
        Outcome::Held { hold: Hold::Deviates { deviations } } => deviations,
        other => panic!("{other:?}"),
    };
    assert_eq!(deviates(carry_out(&node, planned.clone())), ["it would install tb-dep 1, which is not planned"]);
    // The version is gone.
    publish(&node, &[Deb { package: "tb-a 3", ..Deb::default() }]);
    let receipt = carry_out(&node, planned);
    assert!(matches!(&receipt.outcome, Outcome::Held { hold: Hold::Refused { words } } if words.contains("Version '2' for 'tb-a' was not found")), "{:?}", receipt.outcome);

    // A package would have to go: refused, unless the plan that shows it is taken as it is.
    publish(&node, &[Deb { package: "tb-c 1", fields: &["Conflicts: tb-b"], ..Deb::default() }]);
    let asked = [change("tb-c 1", "all")];
    assert_eq!(deviates(carry_out(&node, plan(&node, &asked, Extra::Dependencies))), ["it would remove tb-b, and nothing may go or go back"]);
    let receipt = carry_out(&node, plan(&node, &asked, Extra::AsPlanned));
    assert_eq!((receipt.outcome.clone(), done(&receipt)), (Outcome::Installed, vec!["remove tb-b 1 -".to_owned(), "install tb-c - 1".to_owned()]), "{}", receipt.log);
}

#[test]
fn another_package_manager_at_work_is_named() {
    let node = apt_node(&[Deb { package: "tb-a 2", ..Deb::default() }]);
    let planned = plan(&node, &[change("tb-a 2", "all")], Extra::None);
    let lock = node.path().join("var/lib/dpkg/lock-frontend");
    let script = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()";
    let mut holder = Command::new("python3").args(["-c", script]).arg(&lock).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let receipt = carry_out(&node, planned.clone());
    let Outcome::Held { hold: Hold::Locked { file, holder: Some(name) } } = &receipt.outcome else { panic!("{:?}", receipt.outcome) };
    assert_eq!((file.as_str(), name.contains(&holder.id().to_string())), ("/var/lib/dpkg/lock-frontend", true), "{name}");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(carry_out(&node, planned).outcome, Outcome::Installed);
}

/// A node with packages at 1.0, and a repository of real ones.
fn rpm_node() -> Overlay {
    let node = rpm::node(&["fedora-release 0 41 1 noarch", "tb-a 0 1.0 1 noarch", "tb-b 0 1.0 1 noarch"]);
    let spec = |name: &str, version: &str, more: &str| {
        format!(
            "Name: {name}\nVersion: {version}\nRelease: 1\nBuildArch: noarch\nSummary: test\nLicense: MIT\nVendor: Fedora Project\nAutoReqProv: no\n{more}%description\ntest\n%files\n"
        )
    };
    for (name, version, more) in [("tb-a", "1.1", "Requires: tb-dep\n"), ("tb-dep", "2.0", ""), ("tb-b", "1.1", "%pre -p <lua>\nerror(\"the till is on fire\")\n")] {
        let spec = if more.starts_with('%') { spec(name, version, "") + more } else { spec(name, version, more) };
        node.write(&format!("new/{name}.spec"), &spec);
    }
    node.shell("for s in /new/*.spec; do rpmbuild -bb --quiet --define '_topdir /new/build' --define '_rpmdir /repository' $s >/dev/null 2>&1; done; createrepo_c -q /repository");
    node.write("etc/yum.repos.d/base.repo", "[base]\nname=base\nbaseurl=file:///repository\nenabled=1\ngpgcheck=0\n");
    node
}

#[test]
fn dnf_brings_what_was_planned_and_a_failing_script_is_told() {
    let node = rpm_node();
    node.shell("dnf -q makecache");
    let receipt = carry_out(&node, plan(&node, &[change("tb-a 1.1-1", "noarch")], Extra::Dependencies));
    assert_eq!(
        (receipt.outcome.clone(), done(&receipt)),
        (Outcome::Installed, vec!["upgrade tb-a 1.0-1 1.1-1".to_owned(), "install tb-dep - 2.0-1".to_owned()]),
        "{}",
        receipt.log
    );
    // dnf goes on after a %pre that failed, and says so.
    let receipt = carry_out(&node, plan(&node, &[change("tb-b 1.1-1", "noarch")], Extra::None));
    let Outcome::Failed { cause, .. } = &receipt.outcome else { panic!("{:?} {}", receipt.outcome, receipt.log) };
    assert_eq!((*cause, receipt.packages[0].state, receipt.packages[0].after.as_deref()), (Cause::ScriptFailed, PackageState::NotInstalled, Some("1.0-1")), "{}", receipt.log);
}

#[test]
fn zypper_brings_what_was_planned() {
    let node = rpm_node();
    node.write("etc/os-release", "ID=opensuse-leap\nVERSION_ID=15.6\nPRETTY_NAME=\"openSUSE Leap 15.6\"\n");
    node.write("etc/zypp/repos.d/base.repo", "[base]\nname=base\nbaseurl=dir:/repository\nenabled=1\ngpgcheck=0\nautorefresh=0\n");
    node.shell("zypper --non-interactive --no-gpg-checks --quiet refresh");
    let receipt = carry_out(&node, plan(&node, &[change("tb-a 1.1-1", "noarch")], Extra::Dependencies));
    assert_eq!(
        (receipt.outcome.clone(), done(&receipt)),
        (Outcome::Installed, vec!["upgrade tb-a 1.0-1 1.1-1".to_owned(), "install tb-dep - 2.0-1".to_owned()]),
        "{}",
        receipt.log
    );
}

#[test]
fn apk_brings_what_was_planned_and_wants_no_version_for_ever() {
    let node = Overlay::over(&alpine());
    let publish = |packages: &[(&str, &str)]| {
        node.shell("rm -rf /repository; mkdir -p /repository/x86_64");
        for (name, more) in packages {
            let (name, version) = name.split_once(' ').unwrap();
            node.shell(&format!("apk mkpkg -I name:{name} -I version:{version} -I arch:x86_64 {more} -o /repository/x86_64/{name}-{version}.apk"));
        }
        node.shell("cd /repository/x86_64 && apk mkndx --allow-untrusted -o APKINDEX.tar.gz *.apk 2>/dev/null; apk update --allow-untrusted >/dev/null");
    };
    node.write("etc/apk/config", "allow-untrusted\n").write("etc/apk/repositories", "/repository\n");
    publish(&[("tb-a 1-r0", ""), ("tb-b 1-r0", "")]);
    node.shell("apk add -q tb-a tb-b");
    publish(&[("tb-a 1-r0", ""), ("tb-b 1-r0", ""), ("tb-a 2-r0", "-I depends:tb-dep"), ("tb-dep 1-r0", "")]);
    let world = node.shell("cat /etc/apk/world");
    let receipt = carry_out(&node, plan(&node, &[change("tb-a 2-r0", "x86_64")], Extra::Dependencies));
    assert_eq!((receipt.outcome.clone(), done(&receipt)), (Outcome::Installed, vec!["upgrade tb-a 1-r0 2-r0".to_owned(), "install tb-dep - 1-r0".to_owned()]), "{}", receipt.log);
    assert_eq!(node.shell("cat /etc/apk/world"), world);
}

#[test]
fn pacman_upgrades_a_whole_system_or_nothing() {
    let node = Overlay::over(&tools());
    pacman_candidates::prepare(&node, &[("tb-a", "1-1"), ("tb-b", "1-1")]);
    node.write("etc/pacman.conf", "[options]\nArchitecture = auto\nSigLevel = Never\n[core]\nServer = file:///repository\n");
    for name in ["tb-a", "tb-b"] {
        let info = format!("pkgname = {name}\npkgbase = {name}\npkgver = 2-1\npkgdesc = test\nbuilddate = 1700000000\npackager = test\nsize = 1\narch = any\n");
        node.write(&format!("build/{name}/.PKGINFO"), &info);
        node.shell(&format!("mkdir -p /repository; cd /build/{name}; bsdtar -czf /repository/{name}-2-1-any.pkg.tar.gz .PKGINFO"));
    }
    let file = |name: &str| {
        let size = node.shell(&format!("stat -c %s /repository/{name}-2-1-any.pkg.tar.gz"));
        format!("%FILENAME%\n{name}-2-1-any.pkg.tar.gz\n\n%CSIZE%\n{}\n\n", size.trim())
    };
    pacman_candidates::repository(&node, "core", "--gzip", &[("tb-a", "2-1", &file("tb-a")), ("tb-b", "2-1", &file("tb-b"))]);
    let only_one = carry_out(&node, plan(&node, &[change("tb-a 2-1", "any")], Extra::None));
    let Outcome::Held { hold: Hold::Deviates { deviations } } = &only_one.outcome else { panic!("{:?}", only_one.outcome) };
    assert_eq!(deviations, &["it would upgrade tb-b 2-1, and nothing may happen beside what is asked for"]);
    let receipt = carry_out(&node, plan(&node, &[change("tb-a 2-1", "any"), change("tb-b 2-1", "any")], Extra::None));
    assert_eq!((receipt.outcome.clone(), done(&receipt)), (Outcome::Installed, vec!["upgrade tb-a 1-1 2-1".to_owned(), "upgrade tb-b 1-1 2-1".to_owned()]), "{}", receipt.log);
}

#[test]
fn a_baselines_own_repositories_take_the_place_of_the_nodes_and_go_again() {
    let node = apt_node(&[Deb { package: "tb-a 2", ..Deb::default() }]);
    node.shell("mv /repository /ours");
    let root = Root::new(node.path());
    let source = |products: &[&str], uri: &str| Source {
        name: "ours".into(),
        products: products.iter().map(|product| (*product).to_owned()).collect(),
        configuration: format!("deb [trusted=yes] copy:{uri} ./"),
    };
    let files = || node.shell("cat /etc/apt/sources.list 2>/dev/null || true; ls /etc/apt/sources.list.d");
    let before = files();
    node.shell("touch /var/lib/apt/lists/own.example_dists_bookworm_InRelease");
    let placed = own_repositories::place(&root, &[source(&["Debian12"], "/ours")]).unwrap().unwrap();
    let offered = inventory::collect(&root, None, NOW).unwrap().available;
    assert_eq!(offered.iter().map(|version| (version.name.as_str(), version.version.as_str())).collect::<Vec<_>>(), [("tb-a", "2")]);
    let receipt = carry_out(&node, plan(&node, &[change("tb-a 2", "all")], Extra::None));
    assert_eq!((receipt.outcome.clone(), done(&receipt)), (Outcome::Installed, vec!["upgrade tb-a 1 2".to_owned()]), "{}", receipt.log);
    node.shell("cp -a /etc/apt /etc/apt.crashed");
    drop(placed);
    assert_eq!(files(), before);
    node.shell("ls /var/lib/apt/lists/own.example_dists_bookworm_InRelease");
    // A crash leaves all of it; the next run puts the node's own back first.
    node.shell("rm -r /etc/apt; mv /etc/apt.crashed /etc/apt");
    assert_ne!(files(), before);
    assert!(own_repositories::place(&root, &[source(&["Debian11"], "/ours")]).unwrap().is_none(), "it is for another product");
    assert_eq!(files(), before);
    let refused = own_repositories::place(&root, &[source(&["*"], "/nowhere")]).unwrap_err().to_string();
    assert!(refused.starts_with("`apt-get` cannot read the baseline's repositories: ") && refused.contains("/nowhere"), "{refused}");
    assert_eq!(files(), before, "nothing is left of what cannot be read");
}

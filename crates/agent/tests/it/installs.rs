//! Runs of real package managers on roots made for the test: what was planned happens, and what does not go as
//! planned is told.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::chroot;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agent::install::{self, Event, Hook, InstallError, Surroundings};
use agent::inventory;
use agent::package_manager::own_repositories;
use agent::root::Root;
use domain::model::baseline::Source;
use domain::model::node::Allows;
use domain::model::order::InstallWork;
use domain::model::patch::Offer;
use domain::model::plan::{Extra, Hooks, OnFailure, Plan, Terms};
use domain::model::receipt::{Cause, Hold, Outcome, PackageState, Receipt};
use domain::model::run::Run;
use domain::model::time::Timestamp;
use domain::model::transaction::Change;
use testkit::apt::{Deb, publish};
use testkit::roots::{self, Overlay, alpine};
use testkit::rpm::{self, tools};

use crate::pacman_candidates;

const KEPT: &str = "/var/lib/fettle/way-back";
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn change(package: &str, architecture: &str) -> Change {
    let (name, version) = package.split_once(' ').unwrap();
    Change { name: name.to_owned(), architecture: architecture.to_owned(), version: version.to_owned() }
}

fn work(changes: &[Change], extra: Extra) -> InstallWork {
    InstallWork { changes: changes.to_vec(), terms: Terms { extra, ..Terms::default() }, ..InstallWork::default() }
}

fn plan(node: &Overlay, changes: &[Change], extra: Extra) -> Plan {
    let root = Root::new(node.path());
    let inventory = inventory::collect(&root, None, NOW).unwrap();
    install::plan(&root, &inventory, &work(changes, extra), KEPT, NOW).unwrap()
}

fn carry_out(node: &Overlay, plan: Plan) -> Receipt {
    carry_out_work(node, InstallWork { changes: plan.changes, terms: plan.terms, planned: Some(plan.transaction), takes_back: None })
}

/// Each test has a process of its own.
static N_RUNS: AtomicU32 = AtomicU32::new(0);

fn last_operation() -> String {
    format!("op-{:08}", N_RUNS.load(Ordering::Relaxed))
}

fn carry_out_work(node: &Overlay, work: InstallWork) -> Receipt {
    N_RUNS.fetch_add(1, Ordering::Relaxed);
    let mut run = Run::new(last_operation(), work, NOW);
    go_on(node, &mut run, &|_| Ok(()), &|_| {}).unwrap()
}

/// Goes on with a run; `save` may stop it between two steps, as a crash would.
fn go_on(node: &Overlay, run: &mut Run, save: &dyn Fn(&Run) -> io::Result<()>, watch: &dyn Fn(Event)) -> Result<Receipt, InstallError> {
    let drain = |code: u32| Hook { program: ["sh", "-c", &format!("echo $FETTLE_STEP $FETTLE_PACKAGES; exit {code}")].map(str::to_owned).to_vec(), timeout_seconds: 10 };
    let hooks = BTreeMap::from([("good".to_owned(), drain(0)), ("bad".to_owned(), drain(3))]);
    let surroundings = Surroundings {
        root: &Root::new(node.path()),
        allows: Allows { install: true, reboot: true, hooks: true },
        hooks: &hooks,
        wait: Duration::ZERO,
        kept: KEPT,
        cache: None,
        boot: "this one",
        now: &|| NOW,
        save,
        watch,
        is_cancelled: &|| false,
    };
    install::carry_out(run, &surroundings)
}

/// Takes a run back, which must bring exactly what was there before it.
fn take_back(node: &Overlay, receipt: &Receipt, expected: &[&str]) {
    assert!(receipt.way_back.is_whole(), "{:?}", receipt.way_back);
    let back = carry_out_work(node, InstallWork { takes_back: Some(last_operation()), ..InstallWork::default() });
    assert_eq!((back.outcome.clone(), done(&back)), (Outcome::Installed, expected.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>()), "{} {:?}", back.log, back.plan);
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
    node.shell("apt-get -qq install -y tb-a tb-b >/dev/null 2>&1; apt-mark auto tb-a >/dev/null; echo mine > /etc/tb-a.conf; cp -r /repository /first");
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
    with_repository(rpm::node(&PACKAGES))
}

const PACKAGES: [&str; 3] = ["fedora-release 0 41 1 noarch", "tb-a 0 1.0 1 noarch", "tb-b 0 1.0 1 noarch"];

fn with_repository(node: Overlay) -> Overlay {
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

/// Upgrades `tb-a`, which brings what it needs, and takes that back.
fn upgrade_and_take_back(node: &Overlay) -> Receipt {
    let receipt = carry_out(node, plan(node, &[change("tb-a 1.1-1", "noarch")], Extra::Dependencies));
    assert_eq!(
        (receipt.outcome.clone(), done(&receipt)),
        (Outcome::Installed, vec!["upgrade tb-a 1.0-1 1.1-1".to_owned(), "install tb-dep - 2.0-1".to_owned()]),
        "{}",
        receipt.log
    );
    take_back(node, &receipt, &["downgrade tb-a 1.1-1 1.0-1", "remove tb-dep 2.0-1 -"]);
    receipt
}

#[test]
fn dnf_brings_what_was_planned_and_a_failing_script_is_told() {
    let node = rpm_node();
    node.shell("cp $(find /rpms/built -name 'tb-a-1.0*') /repository; createrepo_c -q /repository; dnf -q makecache");
    assert_eq!(upgrade_and_take_back(&node).history.as_deref(), Some("1"));
    assert_eq!(node.shell("dnf -q history userinstalled >/dev/null; dnf -q history info 2 | grep -cw Downgrade"), "1\n");
    // dnf goes on after a %pre that failed, and says so.
    let receipt = carry_out(&node, plan(&node, &[change("tb-b 1.1-1", "noarch")], Extra::None));
    let Outcome::Failed { cause, .. } = &receipt.outcome else { panic!("{:?} {}", receipt.outcome, receipt.log) };
    assert_eq!((*cause, receipt.packages[0].state, receipt.packages[0].after.as_deref()), (Cause::ScriptFailed, PackageState::NotInstalled, Some("1.0-1")), "{}", receipt.log);
    // What nobody signed is not installed where signatures are asked for.
    node.shell("sed -i s/gpgcheck=0/gpgcheck=1/ /etc/yum.repos.d/base.repo");
    let unsigned = carry_out(&node, plan(&node, &[change("tb-a 1.1-1", "noarch")], Extra::Dependencies));
    assert!(matches!(unsigned.outcome, Outcome::Failed { cause: Cause::Signature, .. }), "{:?} {}", unsigned.outcome, unsigned.log);
    assert_eq!(done(&unsigned).len(), 0);
    // No repository has the version of before, and no rpm can be built from what is installed.
    assert_eq!((receipt.way_back.is_whole(), &receipt.way_back.lost), (false, &vec![change("tb-b 1.0-1", "noarch")]));
}

#[test]
fn dnf5_brings_what_was_planned_and_it_is_taken_back() {
    let node = with_repository(rpm::node_of_dnf5(&PACKAGES));
    node.shell("cp $(find /rpms/built -name 'tb-a-1.0*') /repository; createrepo_c -q /repository; dnf5 -q makecache");
    assert_eq!(upgrade_and_take_back(&node).history.as_deref(), Some("1"));
    assert_eq!(node.shell("dnf5 history info 2 --quiet | grep -cw Downgrade"), "1\n");
}

#[test]
fn zypper_brings_what_was_planned() {
    let node = rpm_node();
    node.write("etc/os-release", "ID=opensuse-leap\nVERSION_ID=15.6\nPRETTY_NAME=\"openSUSE Leap 15.6\"\n");
    node.write("etc/zypp/repos.d/base.repo", "[base]\nname=base\nbaseurl=dir:/repository\nenabled=1\ngpgcheck=0\nautorefresh=0\n");
    node.shell("cp $(find /rpms/built -name 'tb-a-1.0*') /repository; createrepo_c -q /repository; zypper --non-interactive --no-gpg-checks --quiet refresh");
    upgrade_and_take_back(&node);
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
    take_back(&node, &receipt, &["downgrade tb-a 2-r0 1-r0", "remove tb-dep 1-r0 -"]);
    assert_eq!(node.shell("cat /etc/apk/world"), world);
}

#[test]
fn pacman_upgrades_a_whole_system_or_nothing() {
    let node = Overlay::over(&tools());
    pacman_candidates::prepare(&node, &[("tb-a", "1-1"), ("tb-b", "1-1")]);
    node.write("etc/pacman.conf", "[options]\nArchitecture = auto\nSigLevel = Never\n[core]\nServer = file:///repository\n");
    for (name, version, folder) in [("tb-a", 2, "repository"), ("tb-b", 2, "repository"), ("tb-a", 1, "var/cache/pacman/pkg"), ("tb-b", 1, "var/cache/pacman/pkg")] {
        let info = format!("pkgname = {name}\npkgbase = {name}\npkgver = {version}-1\npkgdesc = test\nbuilddate = 1700000000\npackager = test\nsize = 1\narch = any\n");
        node.write(&format!("build/{name}/.PKGINFO"), &info);
        node.shell(&format!("mkdir -p /{folder}; cd /build/{name}; bsdtar -czf /{folder}/{name}-{version}-1-any.pkg.tar.gz .PKGINFO"));
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
    take_back(&node, &receipt, &["downgrade tb-a 2-1 1-1", "downgrade tb-b 2-1 1-1"]);
    let foreseen = install::plan_and_foresee(
        &Root::new(node.path()),
        &inventory::collect(&Root::new(node.path()), None, NOW).unwrap(),
        &work(&[change("tb-a 2-1", "any")], Extra::None),
        KEPT,
        NOW,
    );
    assert!(foreseen.unwrap().foreseen.download_kib.is_some());
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
    assert!(refused.starts_with("`apt-get` cannot read the repositories that the server names: ") && refused.contains("/nowhere"), "{refused}");
    assert_eq!(files(), before, "nothing is left of what cannot be read");
}

#[test]
fn a_run_is_taken_back_to_exactly_what_was_there() {
    let node = apt_node(&[
        Deb { package: "tb-a 1:2", fields: &["Depends: tb-dep"], configuration: &[("/etc/tb-a.conf", "second\n")], ..Deb::default() },
        Deb { package: "tb-dep 1", ..Deb::default() },
        // The version of before is still offered; that of tb-a has to be built from what is installed.
        Deb { package: "tb-b 1", ..Deb::default() },
        Deb { package: "tb-b 2", scripts: &[("postinst", "#!/bin/sh\ntrue\n")], ..Deb::default() },
    ]);
    let before = node.shell("dpkg-query -W; apt-mark showauto; dpkg -L tb-a tb-b; cat /etc/tb-a.conf");
    let mut run = Run::new("op-back".to_owned(), work(&[change("tb-a 1:2", "all"), change("tb-b 2", "all")], Extra::Dependencies), NOW);
    let receipt = go_on(&node, &mut run, &|_| Ok(()), &|_| {}).unwrap();
    assert_eq!(receipt.outcome, Outcome::Installed, "{}", receipt.log);
    assert_eq!(done(&receipt), ["upgrade tb-a 1 1:2", "upgrade tb-b 1 2", "install tb-dep - 1"]);
    assert!(receipt.way_back.is_whole(), "{:?}", receipt.way_back);
    assert_eq!((receipt.way_back.kept.len(), receipt.way_back.new.len()), (2, 1));

    let back = InstallWork { takes_back: Some("op-back".into()), ..InstallWork::default() };
    let receipt = carry_out_work(&node, back.clone());
    assert_eq!(
        (receipt.outcome.clone(), done(&receipt)),
        (Outcome::Installed, ["downgrade tb-a 1:2 1", "downgrade tb-b 2 1", "remove tb-dep 1 -"].map(str::to_owned).to_vec()),
        "{}",
        receipt.log
    );
    assert_eq!(node.shell("dpkg-query -W; apt-mark showauto; dpkg -L tb-a tb-b; cat /etc/tb-a.conf"), before);
    assert_eq!(node.shell("dpkg --audit; dpkg --verify tb-b"), "");
    // There is nothing more to take back.
    let again = carry_out_work(&node, back);
    assert_eq!((again.outcome.clone(), done(&again).len()), (Outcome::Installed, 0), "{}", again.log);
    let never = carry_out_work(&node, InstallWork { takes_back: Some("op-never".into()), ..InstallWork::default() });
    assert_eq!(never.outcome, Outcome::Held { hold: Hold::NoWayBack { packages: vec!["nothing is kept of op-never".to_owned()] } });
}

/// What hooks and packages of a run wrote down, one line each.
fn told(run: &Run) -> Vec<String> {
    run.hooks.iter().map(|hook| format!("{} {} {}", hook.hook, hook.code.unwrap_or(-1), hook.output.trim())).collect()
}

fn hooks(before: &str, after: &str, at_exit: &str) -> Hooks {
    let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
    Hooks { before: named(before), after: named(after), at_exit: named(at_exit) }
}

#[test]
fn hooks_run_around_the_work_and_a_failing_one_keeps_the_node_as_it_is() {
    let node = apt_node(&[Deb { package: "tb-a 2", ..Deb::default() }]);
    let asked = |hooks: Hooks| InstallWork { terms: Terms { hooks, ..Terms::default() }, ..work(&[change("tb-a 2", "all")], Extra::None) };
    let play = |hooks: Hooks| {
        let mut run = Run::new("op-1".to_owned(), asked(hooks), NOW);
        let receipt = go_on(&node, &mut run, &|_| Ok(()), &|_| {}).unwrap();
        (receipt, told(&run))
    };
    let (receipt, told) = play(hooks("nobody", "", "good"));
    assert_eq!((receipt.outcome, told), (Outcome::Held { hold: Hold::NoHook { hook: "nobody".into() } }, vec!["good 0 hook_at_exit".to_owned()]));
    let (receipt, told) = play(hooks("bad", "good", "good"));
    let Outcome::Failed { cause: Cause::HookFailed, words } = &receipt.outcome else { panic!("{:?}", receipt.outcome) };
    assert!(words.starts_with("`bad` ended with 3: hook_before tb-a=2"), "{words}");
    assert_eq!((done(&receipt).len(), told), (0, vec!["bad 3 hook_before tb-a=2".to_owned(), "good 0 hook_at_exit tb-a=2".to_owned()]));
    let left_out: Vec<_> = receipt.steps.iter().filter_map(|step| Some((step.step.word(), step.skipped.as_deref()?))).collect();
    assert!(left_out.contains(&("apply", "the run stopped before it")), "{left_out:?}");
    let (receipt, told) = play(hooks("good", "good", "good"));
    assert_eq!((receipt.outcome, told), (Outcome::Installed, ["hook_before", "hook_after", "hook_at_exit"].map(|step| format!("good 0 {step} tb-a=2")).to_vec()));
}

#[test]
fn a_run_that_is_cut_off_at_any_boundary_goes_on_and_repeats_no_finished_step() {
    let node = apt_node(&[Deb { package: "tb-a 2", scripts: &[("postinst", "#!/bin/sh\necho configured >> /told\n")], ..Deb::default() }]);
    let mut n_boundaries = 0;
    loop {
        node.shell("dpkg --force-downgrade --install /first/tb-a_0.deb >/dev/null 2>&1; rm -f /told");
        let terms = Terms { hooks: hooks("good", "good", "good"), ..Terms::default() };
        let mut kept = Run::new("op-1".to_owned(), InstallWork { terms, ..work(&[change("tb-a 2", "all")], Extra::None) }, NOW);
        let (n_saved, last) = (AtomicU32::new(0), std::cell::RefCell::new(kept.clone()));
        let cut_off = |run: &Run| {
            // A crash right after the state was written, or right before.
            let n = n_saved.fetch_add(1, Ordering::Relaxed);
            if n == n_boundaries / 2 && n_boundaries % 2 == 1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            *last.borrow_mut() = run.clone();
            if n == n_boundaries / 2 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        };
        let first = go_on(&node, &mut kept.clone(), &cut_off, &|_| {});
        kept = last.into_inner();
        // As it is kept on the disk.
        kept = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
        let finished: Vec<_> = kept.steps.iter().filter(|step| step.ended_at.is_some()).map(|step| step.step).collect();
        let begun = std::cell::RefCell::new(Vec::new());
        let receipt = go_on(&node, &mut kept, &|_| Ok(()), &|event| {
            if let Event::Begins(step) = event {
                begun.borrow_mut().push(step);
            }
        })
        .unwrap();
        assert_eq!(receipt.outcome, Outcome::Installed, "boundary {n_boundaries}: {}", receipt.log);
        assert_eq!((done(&receipt), node.shell("cat /told")), (vec!["upgrade tb-a 1 2".to_owned()], "configured\n".to_owned()), "boundary {n_boundaries}");
        assert!(!begun.borrow().iter().any(|step| finished.contains(step)), "boundary {n_boundaries}: {finished:?} {:?}", begun.borrow());
        assert!(receipt.steps.iter().all(|step| step.ended_at.is_some()));
        if first.is_ok() {
            break;
        }
        n_boundaries += 1;
    }
    assert!(n_boundaries > 20, "{n_boundaries}");
}

#[test]
fn when_the_rest_is_to_go_on_only_what_fails_is_missing() {
    let failing = &[("postinst", "#!/bin/sh\nexit 1\n")];
    let node = apt_node(&[
        Deb { package: "tb-a 2", scripts: failing, ..Deb::default() },
        Deb { package: "tb-b 2", ..Deb::default() },
        Deb { package: "tb-c 1", fields: &["Depends: tb-a"], ..Deb::default() },
    ]);
    let asked = [change("tb-a 2", "all"), change("tb-b 2", "all")];
    let terms = Terms { on_failure: OnFailure::GoOn, ..Terms::default() };
    let receipt = carry_out_work(&node, InstallWork { terms, ..work(&asked, Extra::None) });
    assert!(matches!(receipt.outcome, Outcome::Failed { cause: Cause::ScriptFailed, .. }), "{:?}", receipt.outcome);
    assert_eq!(receipt.packages.iter().map(|package| package.state).collect::<Vec<_>>(), [PackageState::Broken, PackageState::Installed]);

    // The next run ends it first, when it may; the script has learnt better.
    node.shell("printf '#!/bin/sh\\ntrue\\n' > /var/lib/dpkg/info/tb-a.postinst");
    let receipt = carry_out_work(&node, work(&asked, Extra::None));
    assert!(matches!(receipt.outcome, Outcome::Held { hold: Hold::Interrupted { .. } }));
    let receipt = carry_out_work(&node, InstallWork { terms: Terms { recover: true, ..Terms::default() }, ..work(&asked, Extra::None) });
    assert_eq!(receipt.outcome, Outcome::Installed, "{}", receipt.log);
}

#[test]
fn nothing_is_begun_that_would_not_end_in_time() {
    let node = apt_node(&[Deb { package: "tb-a 2", ..Deb::default() }, Deb { package: "tb-b 2", ..Deb::default() }]);
    let asked =
        |ends_by: Timestamp| InstallWork { terms: Terms { ends_by: Some(ends_by), ..Terms::default() }, ..work(&[change("tb-a 2", "all"), change("tb-b 2", "all")], Extra::None) };
    let ends_by = NOW.plus_millis(60_000);
    assert_eq!(carry_out_work(&node, asked(ends_by)).outcome, Outcome::Held { hold: Hold::OutOfTime { ends_by } });
    assert_eq!(node.shell("dpkg-query -W -f '${Version}' tb-a tb-b"), "11");
    assert_eq!(carry_out_work(&node, asked(NOW.plus_millis(600_000))).outcome, Outcome::Installed);
}

#[test]
fn debians_own_updates_are_installed_and_taken_back() {
    let node = Overlay::over(&roots::with_updates("bookworm"));
    let root = Root::new(node.path());
    let inventory = inventory::collect(&root, None, NOW).unwrap();
    let newest = |name: &str| inventory.available.iter().find(|version| version.name == name && version.offer == Offer::Candidate);
    let asked: Vec<_> = inventory
        .packages
        .iter()
        .filter_map(|package| newest(&package.name))
        .map(|version| Change { name: version.name.clone(), architecture: version.architecture.clone(), version: version.version.clone() })
        .collect();
    assert!(asked.len() > 20, "{} updates wait", asked.len());
    // Versions, what is a dependency, and every file of a package.
    let state = || {
        node.shell("dpkg-query -W; apt-mark showauto; cat /var/lib/dpkg/info/*.list | sort -u | while read -r f; do [ -f \"$f\" ] && [ ! -L \"$f\" ] && echo \"$f\"; done | xargs -d '\\n' md5sum")
    };
    let before = state();
    let receipt = carry_out_work(&node, work(&asked, Extra::Dependencies));
    assert_eq!(receipt.outcome, Outcome::Installed, "{}", receipt.log);
    assert!(receipt.way_back.is_whole(), "{:?}", receipt.way_back.lost);
    let back = carry_out_work(&node, InstallWork { takes_back: Some(last_operation()), ..InstallWork::default() });
    assert_eq!(back.outcome, Outcome::Installed, "{}", back.log);
    let after = state();
    let differing: Vec<_> = after.lines().filter(|line| !before.contains(line)).chain(before.lines().filter(|line| !after.contains(line))).collect();
    assert_eq!(differing, Vec::<&str>::new());
    assert_eq!(node.shell("dpkg --audit; apt-get check >/dev/null; openssl version; perl -e 'print 1'; git --version > /dev/null").lines().last(), Some("1"));
}

#[test]
fn alpines_own_updates_are_installed_and_taken_back() {
    let node = Overlay::over(&roots::alpine_with_updates());
    // Lines are `NAME-VERSION-RELEASE ARCHITECTURE {ORIGIN} …`.
    let pending = node.shell("apk list --upgradable | cut -d ' ' -f 1 | sed -E 's/-([^-]+-r[0-9]+)$/ \\1/'");
    let asked: Vec<_> = pending.lines().map(|package| change(package, "x86_64")).collect();
    for name in ["apk-tools", "libcurl", "libssl3", "xz-libs"] {
        assert!(asked.iter().any(|change| change.name == name), "{name} is not among {asked:?}");
    }
    let version = |name: &str| asked.iter().find(|change| change.name == name).unwrap().version.split_once('-').unwrap().0.to_owned();
    let state = || node.shell("cat /etc/apk/world; apk list --installed | sort; apk audit --system --check-permissions 2>&1");
    let before = state();
    let receipt = carry_out_work(&node, work(&asked, Extra::AsPlanned));
    assert_eq!(receipt.outcome, Outcome::Installed, "{} {:?}", receipt.log, receipt.packages);
    assert_eq!(receipt.done.steps.len(), asked.len() + 1, "the newer libcurl leaves nghttp3 behind: {:?}", receipt.done);
    assert_eq!(node.shell("apk list --upgradable; curl --version | cut -d ' ' -f 2 | head -n 1"), format!("{}\n", version("curl")));
    assert!(receipt.way_back.is_whole(), "{:?}", receipt.way_back.lost);
    let back = carry_out_work(&node, InstallWork { takes_back: Some(last_operation()), ..InstallWork::default() });
    assert_eq!(back.outcome, Outcome::Installed, "{}", back.log);
    assert_eq!(state(), before);
}

#[test]
fn what_a_service_of_openrc_still_runs_is_found() {
    let node = Overlay::over(&alpine());
    let root = node.path().display().to_string();
    // A process namespace in which its services start, with its own view of `/proc`.
    let script = format!(
        "mount -t proc proc '{root}/proc'; mount -t tmpfs tmpfs '{root}/run'; mkdir -p '{root}/run/openrc'; touch '{root}/run/openrc/softlevel'; \
         chroot '{root}' sh -ec 'sed -i s/^#*rc_sys=.*/rc_sys=lxc/ /etc/rc.conf; rc-service -qq --nodeps crond start; cp /bin/busybox /bin/newer; mv /bin/newer /bin/busybox' >&2; echo up; read -r line"
    );
    let unshared = ["--pid", "--fork", "--kill-child", "sh", "-ec", &script];
    let mut system = Command::new("unshare").args(unshared).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(system.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // Paths of mapped files are those of whoever reads them; what stays outside is the way out again.
    std::env::set_current_dir("/").unwrap();
    chroot(node.path()).unwrap();
    let stale = agent::host::stale_processes(&Root::new("/"));
    chroot(".").unwrap();
    let _ = system.kill();
    let _ = system.wait();
    for mounted in ["proc", "run"] {
        let _ = Command::new("umount").arg("-l").arg(node.path().join(mounted)).status();
    }
    let told: Vec<_> = stale.iter().map(|process| (process.name.as_str(), process.service.as_deref(), process.files.as_slice())).collect();
    assert_eq!((line.as_str(), told), ("up\n", vec![("crond", Some("crond"), &["/bin/busybox".to_owned()][..])]));
}

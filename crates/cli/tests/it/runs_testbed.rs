//! Runs on real nodes, from a private repository that is signed: reboots, services, faults, and the way back.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;
use testkit::apt_repository::{AptRepository, Package};
use testkit::testbed::NodeOptions;

use crate::fleet::{Fleet, PROGRAM};
use crate::harness::wait_for;

/// A daemon that has a library mapped, which each version brings anew; it holds code for the machine, so it is copied
/// from the node's own.
const DAEMON: &str = "mkdir -p usr/lib/tb lib/systemd/system; cp /lib/x86_64-linux-gnu/libm.so.6 usr/lib/tb/libtb.so; \
     printf '[Service]\\nEnvironment=LD_PRELOAD=/usr/lib/tb/libtb.so\\nExecStart=/bin/sleep infinity\\n' > lib/systemd/system/tb-daemon.service;";

pub struct Bed {
    pub fleet: Fleet,
    pub repository: AptRepository,
}

impl Bed {
    /// A node `n1` that allows everything, with version 1 of these packages.
    fn start(packages: &[Package], options: NodeOptions) -> Self {
        Self::of(&["n1"], packages, options)
    }

    pub fn of(nodes: &[&str], packages: &[Package], options: NodeOptions) -> Self {
        let mut fleet = Fleet::start();
        let repository = AptRepository::start(&fleet.bed);
        repository.add(packages);
        let code = fleet.code();
        let allows = "sed -i 's/^allows:.*/allows: [install, reboot, hooks]/' /etc/fettle/agent.yaml; \
             printf 'lock_wait_seconds: 3\\nhooks:\\n  note: {program: [/bin/sh, -c, \"echo $FETTLE_STEP >> /var/log/hooks; cat /proc/sys/kernel/random/boot_id >> /var/log/boots\"]}\\n' >> /etc/fettle/agent.yaml";
        let names: Vec<_> = packages.iter().map(|package| package.name.split(' ').next().unwrap()).collect();
        for node in nodes {
            fleet.add(node, options, &code);
            fleet.bed.shell(node, &format!("{allows}; systemctl restart fettle-agent"));
            fleet.bed.shell(node, &format!("{} apt-get -qq install -y {} > /dev/null 2>&1", repository.sources(), names.join(" ")));
        }
        fleet.approve_all("");
        Self { fleet, repository }
    }

    /// Offers newer versions; so many are missing then.
    fn offer(&self, packages: &[Package], n_missing: u32) {
        self.repository.add(packages);
        self.fleet.bed.shell("n1", "apt-get -qq update");
        self.wait_for_missing(n_missing);
    }

    /// Offers a newer version of a package, until it is all that each of these nodes lacks.
    pub fn offer_to(&self, nodes: &[&str], package: Package) {
        self.repository.add(&[package]);
        for node in nodes {
            self.fleet.bed.shell(node, "apt-get -qq update");
            self.fleet.run(&["node", "scan", node]);
            wait_for("a missing patch", || self.fleet.node(node).filter(|node| node["counts"]["missing"] == 1));
        }
    }

    fn wait_for_missing(&self, n_missing: u32) {
        self.fleet.run(&["node", "scan", "n1"]);
        wait_for(&format!("{n_missing} missing patches"), || self.fleet.node("n1").filter(|node| node["counts"]["missing"] == n_missing));
    }

    /// Patches `n1`; the exit code and the receipt.
    fn patch(&self, arguments: &[&str]) -> (i32, Value) {
        ended(self.begin(arguments))
    }

    fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.fleet.bed.at_server(Path::new(PROGRAM));
        command.args(["patch", "now", "n1", "--yes", "--format", "json"]).args(arguments).arg("--data").arg(self.fleet.data.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn version(&self, package: &str) -> String {
        self.fleet.bed.shell("n1", &format!("dpkg-query -W -f '${{Version}} ${{db:Status-Status}}' {package}"))
    }

    fn boot(&self) -> String {
        self.fleet.bed.shell("n1", "cat /proc/sys/kernel/random/boot_id")
    }
}

fn ended(child: Child) -> (i32, Value) {
    let output = child.wait_with_output().unwrap();
    let receipts: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), receipts[0].clone())
}

fn reasons(receipt: &Value) -> String {
    receipt["effect"]["reasons"].as_array().map(|reasons| reasons.iter().map(|reason| reason.as_str().unwrap()).collect::<Vec<_>>().join("; ")).unwrap_or_default()
}

#[test]
fn what_is_installed_is_in_effect_or_it_is_said_why_not() {
    let daemon = Package { fill: DAEMON, postinst: "systemctl daemon-reload; systemctl is-active -q tb-daemon || systemctl start tb-daemon", ..Package::new("tb-lib 1") };
    let bed = Bed::start(&[daemon, Package::new("tb-boot 1")], NodeOptions::default());
    let pid = || bed.fleet.bed.shell("n1", "systemctl show -P MainPID tb-daemon");

    // A service that maps what was replaced is restarted, and only then is it in effect.
    bed.offer(&[Package { name: "tb-lib 2", ..daemon }], 1);
    let before = pid();
    let (_, said) = bed.fleet.fettle(&["patch", "now", "n1"]);
    assert!(said.contains("services that run what is replaced: tb-daemon.service") && said.contains("to download: "), "{said}");
    assert_eq!(bed.version("tb-lib"), "1 installed", "nobody agreed to it");
    let (code, receipt) = bed.patch(&["--reboot", "if-needed"]);
    assert_eq!((code, &receipt["outcome"]["kind"], &receipt["effect"]["state"]), (0, &"installed".into(), &"in_effect".into()), "{receipt}");
    assert_eq!(receipt["services"][0]["service"], "tb-daemon.service");
    assert_ne!(pid(), before);

    // Left as it is, it is told.
    bed.offer(&[Package { name: "tb-lib 3", ..daemon }], 1);
    let (code, receipt) = bed.patch(&["--leave-services", "--reboot", "never"]);
    assert_eq!((code, &receipt["outcome"]["kind"], &receipt["effect"]["state"]), (0, &"installed".into(), &"not_in_effect".into()), "{receipt}");
    assert!(reasons(&receipt).contains("tb-daemon.service still runs what /usr/lib/tb/libtb.so was before"), "{receipt}");

    // What needs a boot gets one, a real one; the run goes on after it, each hook once.
    let needs_boot = Package { postinst: "touch /run/reboot-required; echo tb-boot >> /run/reboot-required.pkgs", ..Package::new("tb-boot 2") };
    bed.offer(&[needs_boot], 1);
    let boot = bed.boot();
    let hooks = ["--hook-before", "note", "--hook-after", "note", "--hook-at-exit", "note"];
    let (code, receipt) = bed.patch(&hooks);
    assert_eq!((code, &receipt["outcome"]["kind"], &receipt["effect"]["state"]), (0, &"installed".into(), &"in_effect".into()), "{receipt}");
    assert_ne!(bed.boot(), boot);
    assert_eq!(bed.fleet.bed.shell("n1", "cat /var/log/hooks"), "hook_before\nhook_after\nhook_at_exit\n");
    assert_eq!(bed.fleet.bed.shell("n1", "sort /var/log/boots | uniq -c | awk '{print $1}' | sort | xargs").trim(), "1 2", "the last hook ran in the next boot");

    // A program that wants the system to stay up is respected, and named.
    bed.offer(&[Package { name: "tb-boot 3", ..needs_boot }], 1);
    bed.fleet.bed.shell("n1", "systemd-run -q --unit=keeper systemd-inhibit --what=shutdown --who=backup --why=test sleep infinity");
    wait_for("the inhibitor", || bed.fleet.bed.shell("n1", "systemd-inhibit --list --no-legend").contains("backup").then_some(()));
    let (_, receipt) = bed.patch(&[]);
    assert!(reasons(&receipt).contains("it was not booted: backup keeps the system from going down"), "{receipt}");
    bed.fleet.bed.shell("n1", "systemctl stop keeper");

    // Where the node is not to boot, that is why it is not in effect.
    bed.offer(&[Package { name: "tb-boot 4", ..needs_boot }], 1);
    let (_, receipt) = bed.patch(&["--reboot", "never"]);
    assert!(reasons(&receipt).contains("the system waits for a boot: asked for by tb-boot") && reasons(&receipt).contains("lets the node not boot"), "{receipt}");
}

#[test]
fn what_goes_wrong_is_told_by_its_kind_and_leaves_nothing_half_done() {
    let big = "mkdir -p usr/share/tb; head -c 40000000 /dev/urandom > usr/share/tb/big;";
    let bed = Bed::start(&[Package::new("tb-a 1"), Package::new("tb-big 1"), Package::new("tb-b 1")], NodeOptions { disk_mib: Some(420), ..NodeOptions::default() });
    let failed = |receipt: &Value, cause: &str| {
        assert_eq!((&receipt["outcome"]["kind"], &receipt["outcome"]["cause"]), (&"failed".into(), &cause.into()), "{receipt}");
        assert!(receipt["done"]["steps"].as_array().unwrap().is_empty(), "{receipt}");
    };
    let held = |receipt: &Value, hold: &str| assert_eq!((&receipt["outcome"]["kind"], &receipt["outcome"]["hold"]["kind"]), (&"held".into(), &hold.into()), "{receipt}");
    bed.offer(&[Package::new("tb-a 2"), Package { fill: big, ..Package::new("tb-big 2") }, Package { fields: "Conflicts: tb-a", ..Package::new("tb-b 2") }], 3);

    // The repository breaks off in the middle of a download.
    bed.repository.set_cut(true);
    failed(&bed.patch(&["--only", "tb-a"]).1, "network");
    bed.repository.set_cut(false);

    // A package would have to go.
    let (_, said) = bed.fleet.fettle(&["patch", "now", "n1", "--only", "tb-b", "--yes"]);
    assert!(said.contains("it would remove tb-a, and nothing may go or go back"), "{said}");

    // There is no room to download, then none to unpack what was.
    bed.fleet.bed.shell("n1", "mount -t tmpfs -o size=1m tmpfs /var/cache/apt/archives");
    failed(&bed.patch(&["--only", "tb-big"]).1, "disk_full");
    bed.fleet.bed.shell("n1", "umount /var/cache/apt/archives; head -c $((($(df --output=avail -m / | tail -1) - 150) * 1048576)) /dev/zero > /filled");
    held(&bed.patch(&["--only", "tb-big"]).1, "disk_full");
    bed.fleet.bed.shell("n1", "rm /filled");

    // Another package manager is at work, and stays so; then one that ends.
    let lock = |seconds: u32| {
        let hold = format!(
            "use Fcntl; open(F, \">>\", \"/var/lib/dpkg/lock-frontend\"); my $$l = pack(\"s s x4 q q i x4\", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $$l) or die; open(L, \">\", \"/run/locked\"); sleep {seconds}"
        );
        bed.fleet.bed.shell("n1", &format!("rm -f /run/locked; systemd-run -q --unit=holder perl -e '{hold}'"));
        wait_for("the lock", || bed.fleet.bed.shell("n1", "ls /run").contains("locked").then_some(()));
    };
    lock(1000);
    let (_, receipt) = bed.patch(&["--only", "tb-a"]);
    held(&receipt, "locked");
    assert!(receipt["outcome"]["hold"]["holder"].as_str().unwrap().starts_with("perl (process "), "{receipt}");
    bed.fleet.bed.shell("n1", "systemctl stop holder");
    lock(2);
    assert_eq!(bed.patch(&["--only", "tb-a"]).1["outcome"]["kind"], "installed");

    // A version is gone since the plan was made, and a signature is somebody else's.
    bed.offer(&[Package::new("tb-a 3")], 3);
    bed.repository.remove("tb-a", "3");
    let (_, receipt) = bed.patch(&["--only", "tb-a"]);
    failed(&receipt, "version_gone");
    bed.offer(&[Package::new("tb-a 3")], 3);
    bed.repository.tamper("tb-a", "3");
    failed(&bed.patch(&["--only", "tb-a"]).1, "signature");
    assert_eq!(bed.version("tb-a"), "2 installed");
    assert_eq!(bed.fleet.bed.shell("n1", "dpkg --audit"), "");
}

#[test]
fn a_run_is_stopped_between_steps_outlives_a_power_cut_and_is_taken_back() {
    let mut bed = Bed::start(
        &[Package { fill: "mkdir etc; echo first > etc/tb-a.conf; echo /etc/tb-a.conf > DEBIAN/conffiles;", ..Package::new("tb-a 1") }, Package::new("tb-slow 1")],
        NodeOptions::default(),
    );
    bed.fleet.bed.shell("n1", "echo mine > /etc/tb-a.conf");
    let waits = Package { postinst: "touch /began; while [ ! -e /go ]; do sleep 0.1; done", ..Package::new("tb-slow 2") };
    let newer = Package { fields: "Depends: tb-dep", fill: "mkdir etc; echo second > etc/tb-a.conf; echo /etc/tb-a.conf > DEBIAN/conffiles;", ..Package::new("tb-a 2") };
    bed.offer(&[newer, Package::new("tb-dep 1"), waits], 2);

    // The node's clock is a day ahead; the file of the owner stays.
    bed.fleet.bed.skew("n1", 86_400);
    let (code, said) = bed.fleet.fettle(&["patch", "now", "n1", "--only", "tb-a", "--yes"]);
    assert!(code == Some(0) && said.contains("installed: 1 of 1") && said.contains("/etc/tb-a.conf.dpkg-dist is the new version"), "{said}");
    bed.fleet.bed.skew("n1", 0);
    assert_eq!(bed.fleet.bed.shell("n1", "cat /etc/tb-a.conf; dpkg-query -W -f '${Package} ${Version}\\n' tb-a tb-dep"), "mine\ntb-a 2\ntb-dep 1\n");

    // Taken back, it is what it was, and does not come again until someone lifts that.
    let operations = || bed.fleet.json(&["operation", "list"])["items"].as_array().unwrap().clone();
    let installed = operations()[0].clone();
    assert_eq!((&installed["kind"], &installed["nodes"]["SUCCEEDED"]), (&"install".into(), &1.into()));
    let (code, said) = bed.fleet.fettle(&["rollback", installed["id"].as_str().unwrap(), "--yes"]);
    assert!(code == Some(0) && said.contains("installed: 1 of 1"), "{said}");
    assert_eq!(
        bed.fleet.bed.shell("n1", "cat /etc/tb-a.conf; dpkg-query -W -f '${Package} ${Version}\\n' tb-a; dpkg-query -W tb-dep 2>&1 | grep -c 'no packages'"),
        "mine\ntb-a 1\n1\n"
    );
    bed.wait_for_missing(1);
    let exceptions = bed.fleet.json(&["exception", "list"])["items"].as_array().unwrap().clone();
    let held_back = exceptions.iter().find(|exception| exception["patch"] == "tb-a=2").unwrap();
    assert_eq!((&held_back["decision"], &held_back["until"], &held_back["n_nodes"]), (&"REJECT".into(), &"9999-01-01".into(), &1.into()));
    bed.fleet.run(&["exception", "revoke", held_back["id"].as_str().unwrap()]);
    bed.wait_for_missing(2);

    // A stop waits for the step that goes on, and is told.
    let updater = || bed.fleet.bed.shell("n1", "systemctl is-active apt-daily-upgrade.timer || true").trim().to_owned();
    assert_eq!(updater(), "active");
    let patching = bed.begin(&["--only", "tb-slow", "--hook-after", "note", "--pause-updaters"]);
    wait_for("the script", || bed.fleet.bed.shell("n1", "ls /").contains("began").then_some(()));
    let operation = operations()[0]["id"].as_str().unwrap().to_owned();
    bed.fleet.run(&["operation", "cancel", &operation]);
    let doing = || bed.fleet.json(&["operation", "show", &operation])["invocations"][0]["doing"].as_str().unwrap_or_default().to_owned();
    wait_for("what it is doing", || (doing() == "installing, 50 %; stops at the end of this step").then_some(()));
    assert_eq!(updater(), "inactive", "it stands still meanwhile");
    // The request is on its way, or there.
    wait_for("the order to stop", || bed.fleet.bed.shell("n1", "journalctl -u fettle-agent").contains(&format!("order {operation}: cancel")).then_some(()));
    bed.fleet.bed.shell("n1", "touch /go");
    let (code, receipt) = ended(patching);
    assert_eq!((code, &receipt["outcome"]["kind"], &receipt["outcome"]["before"]), (1, &"cancelled".into(), &"hook_after".into()), "{receipt}");
    wait_for("the other updater", || (updater() == "active").then_some(()));
    assert_eq!((bed.version("tb-slow"), bed.fleet.json(&["operation", "show", &operation])["invocations"][0]["state"].clone()), ("2 installed".to_owned(), "CANCELLED".into()));
    assert_eq!(bed.fleet.bed.shell("n1", "ls /var/log/hooks 2>&1 || true").trim(), "ls: cannot access '/var/log/hooks': No such file or directory");

    // The power goes in the middle of an installation: the next boot ends it.
    bed.offer(&[Package { name: "tb-slow 3", ..waits }], 2);
    bed.fleet.bed.shell("n1", "rm /go /began");
    let list = bed.fleet.data.path().join("list.yaml");
    fs::write(&list, "patches: [{id: tb-slow.all, title: 'tb-slow.all:3'}]\n").unwrap();
    let patching = bed.begin(&["--override-list", list.to_str().unwrap()]);
    wait_for("the script", || bed.fleet.bed.shell("n1", "ls /").contains("began").then_some(()));
    bed.fleet.bed.crash("n1");
    bed.fleet.bed.shell("n1", "touch /go");
    let (code, receipt) = ended(patching);
    assert_eq!((code, &receipt["outcome"]["kind"]), (0, &"installed".into()), "{receipt}");
    let apply = receipt["steps"].as_array().unwrap().iter().find(|step| step["step"] == "apply").unwrap().clone();
    assert_eq!((apply["n_attempts"].as_u64(), bed.version("tb-slow")), (Some(2), "3 installed".to_owned()), "{receipt}");

    // The server is away while the node works, and hears of it when it is back.
    bed.offer(&[Package { name: "tb-slow 4", ..waits }], 2);
    bed.fleet.bed.shell("n1", "rm /go /began");
    let mut patching = bed.begin(&["--only", "tb-slow"]);
    wait_for("the script", || bed.fleet.bed.shell("n1", "ls /").contains("began").then_some(()));
    let operation = bed.fleet.json(&["operation", "list"])["items"][0]["id"].as_str().unwrap().to_owned();
    patching.kill().unwrap();
    patching.wait().unwrap();
    bed.fleet.restart_server();
    bed.fleet.bed.shell("n1", "touch /go");
    wait_for("its end", || (bed.fleet.json(&["operation", "show", &operation])["invocations"][0]["state"] == "SUCCEEDED").then_some(()));
    let receipt = bed.fleet.json(&["patch", "receipt", &operation, "n1"]);
    assert_eq!((&receipt["outcome"]["kind"], bed.version("tb-slow")), (&"installed".into(), "4 installed".to_owned()), "{receipt}");
}

#[test]
fn a_patch_that_fails_on_one_node_leaves_the_others_as_they_are() {
    let nodes = ["n1", "n2", "n3"];
    let bed = Bed::of(&nodes, &[Package::new("tb-a 1")], NodeOptions::default());
    let offer = |package: Package| bed.offer_to(&nodes, package);
    let versions = || {
        let mut versions = nodes.map(|node| bed.fleet.bed.shell(node, "dpkg-query -W -f '${Version} ${db:Status-Status}' tb-a"));
        versions.sort_unstable();
        versions
    };
    // One after another, each of them.
    offer(Package::new("tb-a 2"));
    let (code, said) = bed.fleet.fettle(&["patch", "now", "n1", "n2", "n3", "--yes"]);
    assert!(code == Some(0), "{said}");
    assert_eq!(versions(), ["2 installed"; 3]);

    offer(Package { postinst: "exit 1", ..Package::new("tb-a 3") });
    let (code, said) = bed.fleet.fettle(&["patch", "now", "n1", "n2", "n3", "--yes", "--errors", "0"]);
    assert!(code == Some(1) && said.contains("a package's script failed") && said.contains("halted: 1 nodes of the ring all failed, and 0 may"), "{said}");
    assert_eq!(versions(), ["2 installed", "2 installed", "3 half-configured"]);
    let newest = bed.fleet.json(&["operation", "list"])["items"][0].clone();
    assert_eq!((&newest["state"], &newest["nodes"]), (&"HALTED".into(), &serde_json::json!({ "PENDING": 2, "FAILED": 1 })));
}

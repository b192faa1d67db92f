//! What Arch offers, against pacman itself.

use std::collections::BTreeSet;

use agent::inventory;
use agent::root::Root;
use domain::model::inventory::Inventory;
use domain::model::patch::Offer;
use domain::model::time::Timestamp;
use testkit::roots::Overlay;
use testkit::rpm::tools;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn description(name: &str, version: &str, more: &str) -> String {
    format!(
        "%FILENAME%\n{name}-{version}-any.pkg.tar.zst\n\n%NAME%\n{name}\n\n%VERSION%\n{version}\n\n%BASE%\n{name}\n\n%CSIZE%\n1\n\n%ISIZE%\n1\n\n%ARCH%\nany\n\n%BUILDDATE%\n1700000000\n\n{more}"
    )
}

/// Makes a root one of Arch with these packages.
pub fn prepare(node: &Overlay, installed: &[(&str, &str)]) {
    node.write("etc/os-release", "ID=arch\nPRETTY_NAME=\"Arch Linux\"\n");
    node.shell("rm -rf /var/lib/pacman; mkdir -p /var/lib/pacman/local; echo 9 > /var/lib/pacman/local/ALPM_DB_VERSION");
    for (name, version) in installed {
        install(node, name, version, "");
    }
}

fn install(node: &Overlay, name: &str, version: &str, more: &str) {
    node.write(&format!("var/lib/pacman/local/{name}-{version}/desc"), &description(name, version, &format!("%INSTALLDATE%\n1700000001\n\n{more}")));
    node.write(&format!("var/lib/pacman/local/{name}-{version}/files"), "%FILES%\n\n");
}

pub fn repository(node: &Overlay, repository: &str, packing: &str, packages: &[(&str, &str, &str)]) {
    node.shell("rm -rf /db; mkdir -p /db");
    for (name, version, more) in packages {
        node.write(&format!("db/{name}-{version}/desc"), &description(name, version, more));
    }
    node.shell(&format!("mkdir -p /var/lib/pacman/sync; cd /db; tar {packing} -cf /var/lib/pacman/sync/{repository}.db *"));
}

fn scan(node: &Overlay) -> Inventory {
    inventory::collect(&Root::new(node.path()), None, NOW).unwrap()
}

#[test]
fn candidates_are_those_of_pacman() {
    let node = Overlay::over(&tools());
    prepare(&node, &[("tb-a", "1.0-1"), ("tb-b", "1:1.0-1"), ("tb-c", "1.0rc1-1"), ("tb-d", "1.0-1"), ("tb-f", "2.0-1"), ("tb-g", "1.0-1")]);
    install(&node, "tb-e", "1.0-1", "%GROUPS%\ntb-group\n\n");
    repository(
        &node,
        "core",
        "--gzip",
        &[("tb-a", "1.0-2", ""), ("tb-b", "9.0-1", ""), ("tb-c", "1.0-1", ""), ("tb-d", "1.1-1", ""), ("tb-e", "1.1-1", "%GROUPS%\ntb-group\n\n"), ("tb-f", "1.9-1", "")],
    );
    repository(&node, "extra", "--zstd", &[("tb-a", "9.0-1", ""), ("tb-f", "3.0-1", ""), ("tb-g", "1.0.1-1", "")]);
    node.write("etc/pacman.d/mirrorlist", "Server = https://user:secret@mirror.example/$repo\n");
    let base = "[options]\nArchitecture = auto\nSigLevel = Never\n";
    let repositories = "[core]\nInclude = /etc/pacman.d/mirrorlist\n[extra]\nServer = file:///nowhere\n";
    for (more, expected) in [("", 5), ("IgnorePkg = tb-d other*\n", 4), ("IgnoreGroup = tb-gr?up\n", 4)] {
        node.write("etc/pacman.conf", &format!("{base}{more}{repositories}"));
        let inventory = scan(&node);
        assert_eq!(inventory.problems, [], "{more}");
        let of_offer = |wanted: fn(&Offer) -> bool| -> BTreeSet<(String, String)> {
            inventory.available.iter().filter(|version| wanted(&version.offer)).map(|version| (version.name.clone(), version.version.clone())).collect()
        };
        // `name old -> new`, and `[ignored]` after what pacman is told to leave alone.
        let printed = node.shell("pacman -Qu 2>/dev/null || true");
        let native = |ignored: bool| -> BTreeSet<(String, String)> {
            let lines = printed.lines().filter(|line| line.ends_with("[ignored]") == ignored);
            lines.map(|line| line.split(' ').collect::<Vec<_>>()).map(|words| (words[0].to_owned(), words[3].to_owned())).collect()
        };
        let candidates = of_offer(|offer| *offer == Offer::Candidate);
        assert_eq!((candidates.len(), &candidates), (expected, &native(false)), "{more}: {printed}");
        let ignored = of_offer(|offer| matches!(offer, Offer::Excluded { by } if by.contains("pacman.conf")));
        assert_eq!(ignored, native(true), "{more}");
    }
    assert_eq!(scan(&node).repositories[0].uri, "https://mirror.example/$repo");
    let native: BTreeSet<_> = node.shell("pacman -Q 2>/dev/null").lines().map(str::to_owned).collect();
    let ours: BTreeSet<_> = scan(&node).packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
    assert_eq!(ours, native);
}

//! What we say would be upgraded is what apt itself says, on real systems and many settings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use agent::inventory;
use agent::root::Root;
use domain::decide::judge;
use domain::model::baseline;
use domain::model::compliance::{PatchState, ReasonCode};
use domain::model::inventory::Inventory;
use domain::model::patch::{Classification, Offer};
use domain::model::time::Timestamp;
use testkit::roots::Overlay;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// What apt says of one installed package.
#[derive(Debug, PartialEq, Eq)]
struct Native {
    installed: String,
    candidate: String,
}

/// `apt-cache policy` for every installed package, by `name:arch`.
fn native_candidates(root: &Overlay) -> BTreeMap<String, Native> {
    let text = root.shell("apt-cache policy $(dpkg-query -W -f '${db:Status-Abbrev} ${Package}:${Architecture}\\n' | sed -n 's/^.i. //p' | sed 's/:all$//')");
    let mut found = BTreeMap::new();
    let mut name = String::new();
    let mut installed = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|heading| !heading.starts_with(' ')) {
            heading.clone_into(&mut name);
        } else if let Some(version) = line.strip_prefix("  Installed: ") {
            version.clone_into(&mut installed);
        } else if let Some(version) = line.strip_prefix("  Candidate: ") {
            found.insert(name.clone(), Native { installed: installed.clone(), candidate: version.to_owned() });
        }
    }
    found
}

/// The upgrades of `apt-get -s dist-upgrade`: name, new version, and whether it comes from a security suite.
fn native_upgrades(root: &Overlay) -> BTreeSet<(String, String, bool)> {
    let text = root.shell("apt-get -s -o Debug::NoLocking=true dist-upgrade");
    let upgrades = text.lines().filter_map(|line| {
        // Inst curl [7.88.1-10+deb12u12] (7.88.1-10+deb12u14 Debian-Security:12/oldstable-security [amd64])
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" [")?;
        let (version, origins) = rest.split_once(" (")?.1.split_once(' ')?;
        Some((name.split(':').next().unwrap().to_owned(), version.to_owned(), origins.contains("-security")))
    });
    upgrades.collect()
}

fn collect(root: &Path) -> Inventory {
    let inventory = inventory::collect(&Root::new(root), None, NOW).unwrap();
    let cache = tempfile::tempdir().unwrap();
    for attempt in ["makes", "uses"] {
        assert_eq!(inventory::collect(&Root::new(root), Some(cache.path()), NOW).unwrap(), inventory, "a scan that {attempt} the index finds the same");
    }
    inventory
}

/// Compares every candidate, and every upgrade that a dist-upgrade would do. `kept` names packages
/// that apt keeps back for a reason outside of choosing versions, each justified where it is given.
#[track_caller]
fn check_keeping(root: &Overlay, kept: &[&str]) -> Inventory {
    let inventory = collect(&root.path());
    let newer: BTreeMap<_, _> = (inventory.available.iter())
        .filter(|version| matches!(version.offer, Offer::Candidate | Offer::Phased { .. }))
        .map(|version| ((version.name.as_str(), version.architecture.as_str()), version))
        .collect();
    let native = native_candidates(root);
    assert!(native.len() > 100, "apt-cache policy knows the installed packages");
    let mut differences = Vec::new();
    for package in &inventory.packages {
        let names = [format!("{}:{}", package.name, package.architecture), package.name.clone()];
        let Some(native) = names.iter().find_map(|name| native.get(name)) else {
            differences.push(format!("{}: apt does not know it", package.name));
            continue;
        };
        let ours = newer.get(&(package.name.as_str(), package.architecture.as_str()));
        // apt 2.2 looks at phasing when it chooses a candidate, later ones when they upgrade to it.
        if ours.is_some_and(|version| matches!(version.offer, Offer::Phased { .. })) && native.candidate == native.installed {
            continue;
        }
        let ours = ours.map_or(&package.version, |version| &version.version);
        // Going back to an older version is no patch; there we say that nothing newer is offered.
        let native_is_older = domain::model::version::deb::compare(&native.candidate, &package.version).is_lt();
        let expected = if native_is_older || native.candidate == "(none)" { &package.version } else { &native.candidate };
        if ours != expected || package.version != native.installed {
            differences.push(format!("{}: we say {ours}, apt says {native:?}", package.name));
        }
    }
    assert_eq!(differences, [""; 0]);

    let held: BTreeSet<_> = inventory.packages.iter().filter(|package| package.held).map(|package| (&package.name, &package.architecture)).collect();
    let ours: BTreeSet<_> = (inventory.available.iter())
        .filter(|version| version.offer == Offer::Candidate && !held.contains(&(&version.name, &version.architecture)) && !kept.contains(&version.name.as_str()))
        .map(|version| (version.name.clone(), version.version.clone(), inventory.classify(version.advisory.as_deref(), &version.repositories) == Classification::Security))
        .collect();
    assert_eq!(ours, native_upgrades(root));
    inventory
}

#[track_caller]
fn check(root: &Overlay) -> Inventory {
    check_keeping(root, &[])
}

/// A repository in a folder of the root: lists only, which is all that choosing a version needs.
fn add_repository(root: &Overlay, name: &str, release: &str, packages: &str) {
    root.write(&format!("srv/{name}/Packages"), packages);
    root.write(&format!("srv/{name}/Release"), release);
    root.write(&format!("etc/apt/sources.list.d/{name}.list"), &format!("deb [trusted=yes] copy:/srv/{name}/ ./\n"));
    root.shell("apt-get -qq update -o Dir::Etc::sourceparts=/etc/apt/sources.list.d -o Dir::Etc::sourcelist=/dev/null -o APT::Get::List-Cleanup=0");
}

fn stanza(name: &str, version: &str, more: &str) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@example.org>\nDescription: d\nFilename: ./{name}.deb\nSize: 1\nSHA256: {:064}\n{more}\n",
        version.len()
    )
}

fn preferences(root: &Overlay, text: &str) {
    root.write("etc/apt/preferences.d/test", text);
}

/// A package that has an update in the security suite.
fn one_with_update(root: &Overlay) -> String {
    let inventory = collect(&root.path());
    let update = inventory.available.iter().find(|version| version.offer == Offer::Candidate && version.architecture == "amd64");
    update.expect("there is always an update for bullseye, whose point releases have ended").name.clone()
}

#[test]
fn bullseye_bookworm_and_trixie_without_and_with_updates() {
    for release in ["bullseye", "bookworm", "trixie"] {
        let root = Overlay::of(release);
        let with_updates = check(&root);
        let sources = std::fs::read_to_string(root.path().join("etc/apt/sources.list")).unwrap();
        root.write("etc/apt/sources.list", sources.lines().next().unwrap());
        let without = check(&root);
        assert!(without.available.len() <= with_updates.available.len());
        assert_eq!(without.available, [], "{release} was installed from its own suite");
        assert!(with_updates.repositories.len() > without.repositories.len());
    }
}

#[test]
fn what_we_call_security_comes_from_the_security_suite() {
    let root = Overlay::of("bullseye");
    let inventory = check(&root);
    let baseline = &baseline::predefined()[0].baseline;
    let judgement = judge::judge(&inventory, Some(baseline), 7, inventory.lists_refreshed_at.unwrap());
    let missing: BTreeSet<_> =
        judgement.patches.iter().filter(|row| row.classification == Classification::Security && row.available_version.is_some()).map(|row| row.name.clone()).collect();
    let native: BTreeSet<_> = native_upgrades(&root).into_iter().filter(|(_, _, security)| *security).map(|(name, _, _)| name).collect();
    assert!(native.len() > 10, "bullseye has many security updates");
    assert_eq!(missing, native);
}

#[test]
fn a_hold() {
    let root = Overlay::of("bullseye");
    let name = one_with_update(&root);
    root.shell(&format!("apt-mark hold {name}"));
    let inventory = collect(&root.path());
    assert!(inventory.packages.iter().any(|package| package.name == name && package.held));
    // apt may keep back what needs the held package; the held one itself must not be upgraded.
    assert!(!native_upgrades(&root).iter().any(|(upgraded, _, _)| *upgraded == name));
}

#[test]
fn pins_of_every_kind() {
    let security_pins = [
        ("release l=Debian-Security", "-1"),
        ("release a=oldoldstable-security", "-10"),
        ("release n=bullseye-security", "50"),
        ("release n=bullseye", "990"),
        ("release o=Debian", "100"),
        ("release o=Debi*, c=main, b=amd64", "400"),
        ("release v=11*", "1"),
        ("release bullseye", "600"),
        ("release *", "99"),
        ("release n=/^bulls.*y$/", "700"),
        ("release c=contrib", "-1"),
        ("origin \"\"", "800"),
        ("origin *debian*", "90"),
        ("release now", "200"),
    ];
    let root = Overlay::of("bullseye");
    for (pin, priority) in security_pins {
        preferences(&root, &format!("Package: *\nPin: {pin}\nPin-Priority: {priority}\n"));
        check(&root);
    }
}

#[test]
fn pins_for_packages_by_name_pattern_source_and_version() {
    let root = Overlay::of("bullseye");
    let updates: Vec<_> = collect(&root.path()).available;
    let of_openssl = updates.iter().find(|version| version.source == "openssl").expect("bullseye has an openssl update");
    for text in [
        "Package: libc*\nPin: release l=Debian-Security\nPin-Priority: -1\n".to_owned(),
        "Package: /^lib.*[0-9]$/\nPin: release n=bullseye-security\nPin-Priority: 50\n".to_owned(),
        "Package: src:openssl\nPin: release n=bullseye\nPin-Priority: 995\n".to_owned(),
        format!("Package: openssl\nPin: version {}\nPin-Priority: 50\n", of_openssl.version),
        "Package: openssl libssl1.1\nPin: version 1.1.1*\nPin-Priority: 1000\n".to_owned(),
        "Package: openssl:any\nPin: version *deb11u*\nPin-Priority: 99\n".to_owned(),
        "Package: openssl:i386\nPin: release n=bullseye-security\nPin-Priority: -1\n".to_owned(),
        "Package: openssl\nPin: release n=bullseye\nPin-Priority: 990\n\nPackage: *\nPin: release n=bullseye-security\nPin-Priority: 995\n".to_owned(),
        "Package: perl\nPin: release n=bullseye\nPin-Priority: 1001\n\nExplanation: the first pin wins\nPackage: perl\nPin: release n=bullseye-security\nPin-Priority: 1002\n"
            .to_owned(),
    ] {
        preferences(&root, &text);
        let inventory = collect(&root.path());
        compare_candidates_only(&root, &inventory, &text);
    }
}

/// Pins on single packages can leave dependencies unmet, where a dist-upgrade gives up on more
/// than it was told to; the choice of versions itself must agree all the same.
#[track_caller]
fn compare_candidates_only(root: &Overlay, inventory: &Inventory, about: &str) {
    let native = native_candidates(root);
    for package in &inventory.packages {
        let native = native.get(&format!("{}:{}", package.name, package.architecture)).or_else(|| native.get(&package.name)).unwrap();
        let ours = inventory.available.iter().find(|version| version.offer == Offer::Candidate && version.name == package.name && version.architecture == package.architecture);
        let ours = ours.map_or(&package.version, |version| &version.version);
        let older = domain::model::version::deb::compare(&native.candidate, &package.version).is_lt();
        assert!(older || *ours == native.candidate, "{}: we say {ours}, apt says {native:?}, with {about}", package.name);
    }
}

#[test]
fn a_default_release() {
    let root = Overlay::of("bullseye");
    for release in ["bullseye", "bullseye-security", "oldoldstable", "11*", "n=bullseye-updates", "/^bullseye$/"] {
        root.write("etc/apt/apt.conf.d/99test", &format!("APT::Default-Release \"{release}\";\n"));
        check(&root);
    }
}

#[test]
fn a_second_repository() {
    let root = Overlay::of("bookworm");
    add_repository(&root, "second", "Origin: Second\nLabel: Second\nSuite: stable\n", &(stanza("tar", "9:1.0", "") + &stanza("sed", "0:0.1", "")));
    let inventory = check(&root);
    assert!(inventory.available.iter().any(|version| version.name == "tar" && version.version == "9:1.0"));
    preferences(&root, "Package: *\nPin: release o=Second\nPin-Priority: 50\n");
    check(&root);
    preferences(&root, "Package: *\nPin: origin \"\"\nPin-Priority: -1\n");
    check(&root);
}

#[test]
fn backports_and_experimental() {
    let root = Overlay::of("bookworm");
    let backports = "Origin: Backports\nSuite: stable-backports\nCodename: bookworm-backports\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n";
    add_repository(&root, "backports", backports, &stanza("tar", "9:2", ""));
    let experimental = "Origin: Experimental\nSuite: experimental\nNotAutomatic: yes\n";
    add_repository(&root, "experimental", experimental, &stanza("tar", "9:3", ""));
    let inventory = check(&root);
    assert!(inventory.available.iter().any(|version| version.version == "9:3" && matches!(version.offer, Offer::Pinned { priority: 1, .. })));
    preferences(&root, "Package: tar\nPin: release a=stable-backports\nPin-Priority: 500\n");
    check(&root);
    root.write("etc/apt/apt.conf.d/99test", "APT { Default-Release \"experimental\"; };\n");
    check(&root);
}

#[test]
fn a_package_whose_version_came_from_backports_follows_backports() {
    let root = Overlay::of("bookworm");
    let installed = collect(&root.path()).packages.into_iter().find(|package| package.name == "tar").unwrap().version;
    let backports = "Origin: Backports\nSuite: stable-backports\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n";
    add_repository(&root, "backports", backports, &(stanza("tar", "9:2", "") + &stanza("sed", "0:9", "")));
    root.shell(&format!("sed -i 's/^Version: {installed}$/Version: 9:1/' /var/lib/dpkg/status"));
    let inventory = check(&root);
    assert!(inventory.available.iter().any(|version| version.version == "9:2" && version.offer == Offer::Candidate));
}

#[test]
fn a_foreign_architecture() {
    let root = Overlay::of("bookworm");
    root.shell("dpkg --add-architecture i386");
    root.shell("printf '\\nPackage: tb-foreign\\nStatus: install ok installed\\nArchitecture: i386\\nMulti-Arch: same\\nVersion: 1.0\\nMaintainer: T <t@example.org>\\nDescription: d\\n\\nPackage: tb-foreign\\nStatus: install ok installed\\nArchitecture: amd64\\nMulti-Arch: same\\nVersion: 1.0\\nMaintainer: T <t@example.org>\\nDescription: d\\n' >> /var/lib/dpkg/status");
    let foreign = stanza("tb-foreign", "2.0", "Multi-Arch: same\n").replace("Architecture: amd64", "Architecture: i386");
    add_repository(&root, "foreign", "Origin: Foreign\n", &(foreign + &stanza("tb-foreign", "2.0", "Multi-Arch: same\n")));
    let inventory = check(&root);
    assert_eq!(inventory.available.iter().filter(|version| version.name == "tb-foreign").count(), 2);
    preferences(&root, "Package: tb-foreign\nPin: release o=Foreign\nPin-Priority: -1\n");
    let inventory = collect(&root.path());
    compare_candidates_only(&root, &inventory, "a pin without an architecture, which is for the native one");
}

#[test]
fn phased_updates_by_machine_id() {
    for release in ["bullseye", "bookworm", "trixie"] {
        let root = Overlay::of(release);
        // apt takes no part in phasing inside a chroot; a node is none, so the root says it is none.
        root.write("usr/bin/ischroot", "#!/bin/sh\nexit 1\n");
        let percents = [1, 10, 30, 50, 70, 90, 99];
        // Nothing depends on these, so apt has no other reason to keep them back.
        let names: Vec<_> = (0..40).map(|number| format!("tb-{number}")).collect();
        let installed =
            |name: &String| format!("\nPackage: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\nMaintainer: T <t@example.org>\nDescription: d\n");
        let status = std::fs::read_to_string(root.path().join("var/lib/dpkg/status")).unwrap();
        root.write("var/lib/dpkg/status", &(status + &names.iter().map(installed).collect::<String>()));
        let phased = |percent: &usize| names.iter().map(|name| stanza(name, "99:9", &format!("Phased-Update-Percentage: {percent}\n"))).collect::<String>();
        let mut seen = BTreeSet::new();
        for percent in percents {
            add_repository(&root, "phased", "Origin: P\nSuite: p-updates\n", &phased(&percent));
            root.write("etc/machine-id", &format!("{percent:032x}\n"));
            let inventory = check(&root);
            seen.extend(inventory.available.iter().filter(|version| version.version == "99:9").map(|version| matches!(version.offer, Offer::Phased { .. })));
        }
        assert_eq!(seen.len(), 2, "some updates reach this machine and some do not");
        root.write("etc/apt/apt.conf.d/99test", "APT::Get::Never-Include-Phased-Updates \"1\";\n");
        check(&root);
        root.write("etc/apt/apt.conf.d/99test", "APT::Get::Always-Include-Phased-Updates \"true\";\n");
        check(&root);
    }
}

#[test]
fn packed_lists_of_every_kind() {
    let root = Overlay::of("bullseye");
    let plain = check(&root);
    root.write("etc/apt/apt.conf.d/99test", "Acquire::GzipIndexes \"true\";\n");
    for (suffix, tool) in [("gz", "gzip"), ("xz", "xz -0"), ("lz4", "lz4 -q -m --rm"), ("zst", "zstd -q --rm")] {
        pack_lists(&root, suffix, tool);
        let packed = check(&root);
        assert_eq!(packed.available, plain.available, "{suffix}");
        unpack_lists(&root, suffix);
    }
}

fn pack_lists(root: &Overlay, suffix: &str, tool: &str) {
    for_each_list(root, "_Packages", &format!("{tool} -f"), suffix);
}

fn unpack_lists(root: &Overlay, suffix: &str) {
    let tool = match suffix {
        "gz" => "gzip -d -f",
        "xz" => "xz -d -f",
        "lz4" => "lz4 -q -d -m -f --rm",
        _ => "zstd -q -d -f --rm",
    };
    for_each_list(root, &format!("_Packages.{suffix}"), tool, suffix);
}

/// Packs with the machine's own tools, because small roots lack them.
fn for_each_list(root: &Overlay, ending: &str, tool: &str, about: &str) {
    let folder = root.path().join("var/lib/apt/lists");
    for entry in std::fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(ending)) {
        let status = std::process::Command::new("sh").arg("-c").arg(format!("{tool} \"$1\"")).arg("sh").arg(entry.path()).status().unwrap();
        assert!(status.success(), "{about}");
    }
}

#[test]
fn deb822_sources() {
    let root = Overlay::of("bullseye");
    let one_line = check(&root);
    let sources = std::fs::read_to_string(root.path().join("etc/apt/sources.list")).unwrap();
    let stanzas = sources.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        format!("Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\n\n", words[1], words[2], words[3])
    });
    root.write("etc/apt/sources.list", "").write("etc/apt/sources.list.d/debian.sources", &stanzas.collect::<String>());
    let deb822 = check(&root);
    assert_eq!(deb822.available, one_line.available);
}

/// Names of packages that `unattended-upgrade` would upgrade from the security archive.
fn unattended(node: &Overlay) -> BTreeSet<String> {
    let printed = node.shell("unattended-upgrade --dry-run --verbose 2>&1");
    let line = printed.lines().find_map(|line| line.split_once("Packages that will be upgraded:"));
    line.map(|(_, names)| names.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

#[test]
fn security_patches_are_those_of_unattended_upgrades() {
    let node = Overlay::of("bookworm");
    node.write(
        "etc/apt/apt.conf.d/50unattended-upgrades",
        "Unattended-Upgrade::Origins-Pattern { \"origin=Debian,codename=bookworm-security,label=Debian-Security\"; };\nUnattended-Upgrade::MinimalSteps \"false\";\n",
    );
    let baseline = baseline::predefined().remove(0).baseline;
    // Names with the names of their source packages.
    let missing = || -> BTreeMap<String, String> {
        let judged = judge::judge(&collect(&node.path()), Some(&baseline), judge::LIST_AGE_DAYS_MAX, NOW);
        let rows = judged.patches.into_iter().filter(|row| row.state == PatchState::Missing && row.reason.code != ReasonCode::Held);
        rows.map(|row| (row.name, row.source)).collect()
    };
    let names = |missing: &BTreeMap<String, String>| missing.keys().cloned().collect::<BTreeSet<_>>();
    let all = missing();
    assert!(all.len() > 3, "{all:?}");
    assert_eq!(names(&all), unattended(&node));

    // A hold and a pin keep packages out of both. They are such that no other package needs the same version.
    let is_alone = |(name, source): &(&String, &String)| !name.starts_with("lib") && all.values().filter(|other| other == source).count() == 1;
    let alone: Vec<_> = all.iter().filter(is_alone).map(|(name, _)| name.clone()).collect();
    let [.., held, pinned] = alone.as_slice() else { panic!("{all:?}") };
    node.shell(&format!("apt-mark hold {held} >/dev/null"));
    node.write("etc/apt/preferences.d/pin", &format!("Package: {pinned}\nPin: release l=Debian-Security\nPin-Priority: -1\n"));
    let fewer = unattended(&node);
    assert!(!fewer.contains(held) && !fewer.contains(pinned) && fewer.len() + 2 == all.len(), "{fewer:?}");
    assert_eq!(names(&missing()), fewer, "{held} is held, {pinned} pinned");
}

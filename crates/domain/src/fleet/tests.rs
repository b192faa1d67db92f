//! The index against judging each node from nothing.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::decide::judge;
use crate::model::advisory::{Advisory, Suggestion};
use crate::model::baseline::{self, Decision};
use crate::model::catalog::{Catalog, Entry, Fix};
use crate::model::content::Content;
use crate::model::exception::Cohort;
use crate::model::host::Host;
use crate::model::inventory::{Inventory, Reboot};
use crate::model::package::{InstallState, InstalledPackage};
use crate::model::patch::{AvailableVersion, Classification, Offer, Severity};
use crate::model::platform;
use crate::model::repository::Repository;
use crate::model::section::{self, PackageFacts, PerSection, Section};
use crate::model::time::DAY_MS;

const NOW: Timestamp = Timestamp::from_millis(20_000 * DAY_MS);

/// A node: for each package its installed version, how many newer ones there are, and its marks.
#[derive(Debug, Clone)]
struct Node {
    release: u8,
    packages: Vec<Package>,
}

type Package = (u8, u8, u8);

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let package = (0..3_u8, 0..3_u8, 0..20_u8);
    let node = (11..13_u8, proptest::collection::vec(package, 40));
    proptest::collection::vec(node, 2).prop_flat_map(|images| {
        // Most nodes are an image with a few changes, as in life.
        let drifted = (0..2_usize, proptest::collection::vec((0..40_usize, (0..3_u8, 0..3_u8, 0..20_u8)), 0..4));
        proptest::collection::vec(drifted, 1..12).prop_map(move |drifted| {
            let drift = |(image, changes): (usize, Vec<(usize, Package)>)| {
                let (release, mut packages) = images[image].clone();
                for (at, package) in changes {
                    packages[at] = package;
                }
                Node { release, packages }
            };
            drifted.into_iter().map(drift).collect()
        })
    })
}

impl Node {
    fn inventory(&self) -> Inventory {
        let mut inventory = Inventory {
            collected_at: NOW,
            name: "n".into(),
            machine: None,
            platform: platform::detect(&format!("ID=debian\nVERSION_ID={}\nPRETTY_NAME=Debian", self.release), "amd64"),
            kernel: None,
            packages: Vec::new(),
            available: Vec::new(),
            repositories: vec![repository("Debian"), repository("Debian-Security")],
            lists_refreshed_at: Some(NOW),
            reboot: Reboot::NotPending,
            host: Host::default(),
            problems: Vec::new(),
            has_feed: false,
        };
        for (number, (version, n_newer, marks)) in self.packages.iter().enumerate() {
            let name = format!("package-{number:02}");
            let package = InstalledPackage {
                advisory: (*marks == 8).then(|| advisory("BA-1", Classification::Bugfix)),
                name: name.clone(),
                architecture: "amd64".into(),
                version: format!("1.{version}"),
                source: name.clone(),
                source_version: None,
                section: Some("libs".into()),
                priority: Some("optional".into()),
                state: if *marks == 1 { InstallState::HalfConfigured } else { InstallState::Installed },
                held: *marks == 2,
                automatic: *marks == 3,
                older_of_several: false,
                multi_arch: None,
                reboot_pending: *marks == 4,
                repositories: vec![usize::from(*marks == 5)],
                installed_at: [None, Some(NOW), Some(NOW.plus_millis(-3 * DAY_MS))][usize::from(*marks % 3)],
            };
            if *marks == 9 {
                inventory.packages.push(InstalledPackage { version: "0.9".into(), older_of_several: true, ..package.clone() });
            }
            inventory.packages.push(package);
            for newer in (0..*n_newer).rev() {
                inventory.available.push(AvailableVersion {
                    advisory: (*marks == 7).then(|| advisory("SA-1", Classification::Security)),
                    name: name.clone(),
                    architecture: "amd64".into(),
                    version: format!("2.{newer}"),
                    offer: if *marks == 6 { Offer::Phased { percent: 10 } } else { Offer::Candidate },
                    source: name.clone(),
                    source_version: None,
                    section: Some("libs".into()),
                    priority: Some("optional".into()),
                    repositories: vec![usize::from(marks % 2 == 0)],
                    first_seen_at: Some(NOW),
                });
            }
        }
        inventory
    }
}

/// Entries about some packages: notices and vulnerabilities, closed in versions that nodes have or may get.
fn feed() -> impl Strategy<Value = Vec<Entry>> {
    let versions = proptest::sample::select(vec!["0.9", "1.1", "1.2", "2.0", "2.1", "3"]);
    let entry = (0..40_u8, versions, proptest::sample::select(Severity::ALL.to_vec()), 0..3_u8, any::<bool>());
    let make = |(package, version, severity, cve, is_notice): (u8, &str, Severity, u8, bool)| Entry {
        id: if is_notice { format!("DSA-{package}") } else { format!("DEBIAN-CVE-{cve}") },
        classification: is_notice.then_some(Classification::Security),
        severity,
        cves: vec![format!("CVE-{cve}")],
        bugs: Vec::new(),
        published_at: Some(NOW.plus_millis(-2 * DAY_MS)),
        modified_at: NOW,
        withdrawn_at: None,
        suggestion: Suggestion::Nothing,
        fixes: vec![Fix { product: "Debian12".into(), package: format!("package-{package:02}"), version: version.into(), introduced: None }],
    };
    proptest::collection::vec(entry.prop_map(make), 0..20)
}

fn advisory(id: &str, classification: Classification) -> Arc<Advisory> {
    let released_at = Some(NOW.plus_millis(-DAY_MS));
    Arc::new(Advisory { ids: vec![id.into()], classification, severity: Severity::Important, cves: Vec::new(), bugs: Vec::new(), released_at, suggestion: Suggestion::Nothing })
}

fn repository(label: &str) -> Repository {
    Repository {
        origin: Some("Debian".into()),
        label: Some(label.into()),
        suite: None,
        codename: None,
        component: Some("main".into()),
        version: None,
        architecture: Some("amd64".into()),
        site: "deb.example".into(),
        uri: "http://deb.example".into(),
        released_at: None,
        valid_until: None,
        trusted: true,
        not_automatic: false,
        but_automatic_upgrades: false,
    }
}

const DEFAULT: Scope = (OperatingSystem::Debian, None);

fn take_in(fleet: &mut Fleet, sections: &PerSection<Content>, group: Option<&String>) -> ListId {
    let system = section::read_system(&sections[Section::System]).unwrap();
    let context = fleet.context(&system.platform, &Cohort { patch_group: group.cloned(), exceptions: Vec::new() });
    let available = fleet.read_available(context, &section::read_available(&sections[Section::Available]).unwrap(), NOW);
    let facts = || VersionFacts {
        facts: PackageFacts { section: Some("libs".into()), priority: Some("optional".into()), ..PackageFacts::default() },
        first_seen_at: NOW,
        classification: Classification::Other,
        repository: None,
        advisory: None,
    };
    let rows: Vec<_> = section::read_packages(&sections[Section::Packages])
        .unwrap()
        .into_iter()
        .map(|line| {
            let key = VersionKey { ecosystem: "debian", name: line.name, architecture: line.architecture, version: line.version };
            PackageRow { version: fleet.versions.number(&key, facts).0, flags: line.flags }
        })
        .collect();
    let list = fleet.list(context, &rows, &available, None, NOW);
    assert_eq!(fleet.packages(list), rows);
    list
}

fn baseline(text: &str) -> Baseline {
    Baseline::parse(&format!("schema: baseline/v1\nname: test\noperating_system: DEBIAN\n{text}")).unwrap()
}

/// Baselines to change between: wildcards, delays, list entries, and one that differs by a single entry.
fn baselines() -> Vec<Baseline> {
    let mut all = vec![baseline::predefined().remove(0).baseline];
    for text in [
        "approval_rules: [{approve_after_days: 0, enable_non_security: true, compliance_level: CRITICAL}]",
        "approval_rules: [{approve_after_days: 3}]",
        "approval_rules: [{approve_after_days: 3}]\nrejected_patches: [package-01, package-02=2.1]\nrejected_patches_action: BLOCK",
        "approval_rules: [{approve_after_days: 3}]\nrejected_patches: [package-01]\nrejected_patches_action: BLOCK",
        "approved_patches: ['package-1*']",
        "approval_rules: [{approve_after_days: 2, filters: {severity: [Important]}}]",
        "approved_patches: [SA-1]\nrejected_patches: [BA-1]\nrejected_patches_action: BLOCK",
        "rejected_patches: [BA-1]\nrejected_patches_action: BLOCK",
        "approval_rules: [{approve_after_days: 0, enable_non_security: true, filters: {repository: ['*SECURITY*'], name: ['package-*']}}]",
        "approval_rules: [{approve_after_days: 2, delay_from: RELEASE, filters: {advisory: ['SA-*'], architecture: [amd64]}}, {approve_after_days: 1, delay_from: FIRST_SEEN, filters: {cve: ['CVE-*']}}]",
    ] {
        all.push(baseline(text));
    }
    let until = &NOW.plus_millis(2 * DAY_MS).to_string()[..10];
    let exception = |patch: &str, decision: &str| format!("{{patch: '{patch}', decision: {decision}, owner: ada, reason: a test, until: {until}}}");
    all.push(baseline(&format!(
        "approval_rules: [{{approve_after_days: 0}}]\nrejected_patches_action: BLOCK\nexceptions: [{}, {}, {}]",
        exception("package-0*", "REJECT"),
        exception("package-1*", "APPROVE"),
        exception("SA-1", "REJECT")
    )));
    all.push(baseline("approval_rules: [{approve_after_days: 0, enable_non_security: true, filters: {severity: [Critical]}}, {approve_after_days: 1, filters: {cve: [CVE-2]}}]"));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_index_counts_as_judging_each_node_does(nodes in nodes(), order in proptest::collection::vec((0..13_usize, any::<bool>()), 1..5), feeds in proptest::collection::vec(feed(), 2), days in 0..5_i64) {
        let mut fleet = Fleet::default();
        let baselines = baselines();
        fleet.set_baseline(&DEFAULT, Some(baselines[0].clone()), NOW);
        let mut inventories: Vec<_> = nodes.iter().map(Node::inventory).collect();
        fleet.set_catalog(Arc::new(Catalog::new(feeds[0].clone())), NOW);
        // Every other node is in a patch group, which has no baseline of its own at first.
        let group = "web".to_owned();
        let group_of = |at: usize| (at % 2 == 1).then_some(&group);
        let mut lists: Vec<_> = inventories.iter().enumerate().map(|(at, inventory)| take_in(&mut fleet, &section::write(inventory).1, group_of(at))).collect();
        // A feed changes while nodes are there.
        fleet.set_catalog(Arc::new(Catalog::new(feeds[1].clone())), NOW);
        for inventory in &mut inventories {
            fleet.catalog().advise(inventory);
        }
        let (mut of_default, mut of_group, mut now) = (0, None, NOW);
        for list in &lists {
            fleet.join(*list);
        }
        for (at, is_of_group) in order {
            let scope = if is_of_group { (OperatingSystem::Debian, Some(group.clone())) } else { DEFAULT };
            // A group that is given what it has goes back to the default.
            let given = (!is_of_group || of_group != Some(at)).then(|| baselines[at].clone());
            let previewed = given.as_ref().map(|given| fleet.preview(&scope, given, now).tallies);
            if is_of_group { of_group = given.as_ref().map(|_| at) } else { of_default = at }
            fleet.set_baseline(&scope, given, now);
            for (tallies, list) in previewed.iter().flat_map(|tallies| lists.iter().map(move |list| (tallies, list))) {
                let expected = tallies.get(list.at()).copied().flatten();
                prop_assert!(expected.is_none_or(|expected| expected == fleet.tally(*list)), "a preview is what happens");
            }
            now = now.plus_millis(days * DAY_MS);
            fleet.advance(now);
            if days % 2 == 0 {
                let kept = fleet.lists.forget_unused();
                lists = lists.iter().map(|list| kept[list]).collect();
            }
            let mut missing = 0;
            for (number, (inventory, list)) in inventories.iter().zip(&lists).enumerate() {
                let applies = group_of(number).and(of_group).unwrap_or(of_default);
                let judged = judge::judge(inventory, Some(&baselines[applies]), judge::LIST_AGE_DAYS_MAX, now);
                prop_assert_eq!(fleet.counts(*list), judged.counts);
                prop_assert_eq!(fleet.recount(*list), judged.counts);
                for name in inventory.packages.iter().map(|package| package.name.as_str()).chain(["absent"]) {
                    let mut expected: Vec<_> = inventory.packages.iter().filter(|package| package.name == name).map(|package| package.version.as_str()).collect();
                    let mut found: Vec<_> = fleet.versions_of(*list, name).collect();
                    expected.sort_unstable();
                    found.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
                missing += judged.counts.missing;
            }
            prop_assert_eq!(fleet.count_patches().iter().map(|patch| patch.n_missing).sum::<u32>(), missing);
            for patch in fleet.count_patches() {
                let states = fleet.states_of_patch(patch.version);
                let n_nodes = lists.iter().filter(|list| states[list.at()].is_some()).count();
                prop_assert_eq!(u32::try_from(n_nodes).unwrap(), patch.n_missing + patch.n_other);
            }
        }
    }

    #[test]
    fn a_node_that_changes_its_cohort_is_judged_as_if_it_had_always_been_there(nodes in nodes(), days in 0..4_i64) {
        let mut fleet = Fleet::default();
        let (baselines, group) = (baselines(), "web".to_owned());
        fleet.set_baseline(&DEFAULT, Some(baselines[1].clone()), NOW);
        fleet.set_baseline(&(OperatingSystem::Debian, Some(group.clone())), Some(baselines[3].clone()), NOW);
        let until = NOW.plus_millis(2 * DAY_MS).to_string()[..10].to_owned();
        let exception = Exception { patch: "package-[0-2]*".into(), decision: Decision::Approve, owner: "ada".into(), reason: "a test".into(), until };
        fleet.set_exception(7, Some(exception.clone()));
        for node in nodes {
            let (inventory, platform) = (node.inventory(), node.inventory().platform);
            let list = take_in(&mut fleet, &section::write(&inventory).1, None);
            let context = fleet.context(&platform, &Cohort { patch_group: Some(group.clone()), exceptions: vec![7] });
            let moved = fleet.move_list(list, context, NOW);
            prop_assert_eq!(fleet.packages(moved), fleet.packages(list));
            // An exception for some nodes is as if their baseline had it, and ends as that would.
            let now = NOW.plus_millis(days * DAY_MS);
            fleet.advance(now);
            let excepted = Baseline { exceptions: vec![exception.clone()], ..baselines[3].clone() };
            prop_assert_eq!(fleet.counts(moved), judge::judge(&inventory, Some(&excepted), judge::LIST_AGE_DAYS_MAX, now).counts);
        }
    }

    #[test]
    fn sections_read_back_as_the_inventory(nodes in nodes()) {
        for node in nodes {
            let mut inventory = node.inventory();
            inventory.available.iter_mut().for_each(|version| version.first_seen_at = None);
            let (heading, sections) = section::write(&inventory);
            let facts = |_: &section::PackageLine| PackageFacts { section: Some("libs".into()), priority: Some("optional".into()), ..PackageFacts::default() };
            prop_assert_eq!(section::read(&heading, &sections, None, facts).unwrap(), inventory);
        }
    }
}

#[test]
fn a_drifted_node_is_an_edit_of_its_image() {
    let mut fleet = Fleet::default();
    let image = Node { release: 12, packages: vec![(0, 0, 0); 40] };
    let mut drifted = image.clone();
    drifted.packages[7] = (1, 0, 0);
    take_in(&mut fleet, &section::write(&image.inventory()).1, None);
    take_in(&mut fleet, &section::write(&drifted.inventory()).1, None);
    assert_eq!((fleet.n_lists(), fleet.lists.n_entries()), (2, 42));
}

#[test]
fn nodes_are_edits_of_their_own_image_however_alike_images_are() {
    let mut fleet = Fleet::default();
    let mut n_entries = 0;
    for image in 0..10 {
        let mut packages = vec![(0, 0, 0); 40];
        packages[image * 4..image * 4 + 4].fill((1, 0, 0));
        take_in(&mut fleet, &section::write(&Node { release: 12, packages: packages.clone() }.inventory()).1, None);
        n_entries += 40;
        for drifted in (0..40).step_by(7) {
            let mut packages = packages.clone();
            packages[drifted].0 = 2;
            take_in(&mut fleet, &section::write(&Node { release: 12, packages }.inventory()).1, None);
            n_entries += 2;
        }
    }
    assert_eq!(fleet.lists.n_entries(), n_entries);
}

//! Inventories of nodes that do not exist, for tests of everything above the agent.

use domain::model::host::Host;
use domain::model::inventory::{Inventory, Reboot};
use domain::model::package::{InstallState, InstalledPackage};
use domain::model::patch::{AvailableVersion, Offer};
use domain::model::platform;
use domain::model::repository::Repository;
use domain::model::time::Timestamp;

/// A Debian 12 node with `n_packages` packages, of which the first `n_security` have a newer
/// version in the security repository.
pub fn debian(name: &str, n_packages: usize, n_security: usize, now: Timestamp) -> Inventory {
    let packages: Vec<_> = (0..n_packages).map(|number| package(&format!("pkg-{number:04}"))).collect();
    let available = packages.iter().take(n_security).map(security_update).collect();
    Inventory {
        collected_at: now,
        name: name.to_owned(),
        machine: Some(format!("machine-of-{name}")),
        platform: platform::detect("ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n", "amd64"),
        kernel: Some("6.1.0-10-amd64".to_owned()),
        packages,
        available,
        repositories: vec![repository("Debian", "stable", "bookworm", now), repository("Debian-Security", "stable-security", "bookworm-security", now)],
        lists_refreshed_at: Some(now),
        reboot: Reboot::NotPending,
        host: Host::default(),
        problems: Vec::new(),
        has_feed: false,
    }
}

fn package(name: &str) -> InstalledPackage {
    InstalledPackage {
        name: name.to_owned(),
        architecture: "amd64".to_owned(),
        version: "1.0-1".to_owned(),
        source: name.to_owned(),
        source_version: None,
        section: Some("libs".to_owned()),
        priority: Some("optional".to_owned()),
        state: InstallState::Installed,
        held: false,
        automatic: false,
        older_of_several: false,
        multi_arch: None,
        reboot_pending: false,
        repositories: vec![0],
        advisory: None,
        installed_at: None,
    }
}

fn security_update(package: &InstalledPackage) -> AvailableVersion {
    AvailableVersion {
        name: package.name.clone(),
        architecture: package.architecture.clone(),
        version: "1.0-1+deb12u1".to_owned(),
        offer: Offer::Candidate,
        source: package.source.clone(),
        source_version: None,
        section: package.section.clone(),
        priority: package.priority.clone(),
        repositories: vec![1],
        advisory: None,
        first_seen_at: None,
    }
}

fn repository(label: &str, suite: &str, codename: &str, now: Timestamp) -> Repository {
    Repository {
        origin: Some("Debian".to_owned()),
        label: Some(label.to_owned()),
        suite: Some(suite.to_owned()),
        codename: Some(codename.to_owned()),
        component: Some("main".to_owned()),
        version: Some("12".to_owned()),
        architecture: Some("amd64".to_owned()),
        site: "deb.example".to_owned(),
        uri: "http://deb.example/debian/".to_owned(),
        released_at: Some(now),
        valid_until: None,
        trusted: true,
        not_automatic: false,
        but_automatic_upgrades: false,
    }
}

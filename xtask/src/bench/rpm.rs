//! The scan of an rpm machine against dnf: 500 packages, and a repository of 20,000 with 5,000 advisories.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::ensure;
use testkit::roots::Overlay;
use testkit::rpm::{self, Repository};

use super::{Cost, cost, median, print_at_least, print_ratio};
use crate::sh;

const INSTALLED: usize = 500;
const LISTED: usize = 20_000;
const ADVISORIES: usize = 5_000;
/// What packages of a real repository require, provide and contain, so that the metadata is as large.
const ENTRIES: usize = 12;

/// Measures first and later scans.
pub fn run(pairs: usize) -> anyhow::Result<()> {
    eprintln!("making a machine with {INSTALLED} packages");
    let installed: Vec<String> = (0..INSTALLED).map(|number| format!("{} 0 1.{} 1.fc41 x86_64", name(number * LISTED / INSTALLED), number % 7)).collect();
    let node = rpm::node(&installed.iter().map(String::as_str).chain(["fedora-release 0 41 1 noarch"]).collect::<Vec<_>>());
    repository().write(&node, &rpm::folder("base"));
    rpm::configure(&node, "base", "");
    node.shell("dnf -q makecache");
    let xml_bytes = node.shell("cd /repositories/41/base; cat primary.xml updateinfo.xml | wc -c").trim().parse::<f64>()?;
    let cache = sh::target().join("bench-cache-rpm");
    let fettle = sh::target().join("release/fettle");
    let scan = || {
        fs::create_dir_all(&cache)?;
        cost(Command::new(&fettle).args(["scan", "--no-refresh", "--root"]).arg(node.path()).env("XDG_CACHE_HOME", &cache).stdout(Stdio::null()))
    };
    let first = || {
        let _ = fs::remove_dir_all(&cache);
        scan()
    };
    let dnf = || native(&node, &["dnf", "-q", "updateinfo", "list"]);
    dnf()?;
    let (mut later, mut firsts, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pairs {
        firsts.push(first()?);
        later.push(scan()?);
        peers.push(dnf()?);
    }
    let peak = |costs: &[Cost]| costs.iter().map(|cost| cost.peak_mib).fold(0.0, f64::max);
    let wall = |costs: &[Cost]| median(costs.iter().map(|cost| cost.wall_s).collect());
    let ratio = median(later.iter().zip(&peers).map(|(ours, peer)| peer.wall_s / ours.wall_s).collect());
    print_ratio("later scan of an rpm machine, seconds, against `dnf updateinfo list`", wall(&later), wall(&peers), ratio, 10.0, Some((peak(&later), 100.0)));
    let ratio = median(firsts.iter().zip(&peers).map(|(ours, peer)| peer.wall_s / ours.wall_s).collect());
    print_ratio("first scan of an rpm machine, seconds, against `dnf updateinfo list` with its cache", wall(&firsts), wall(&peers), ratio, 1.0, Some((peak(&firsts), 100.0)));
    let reading = median(firsts.iter().zip(&later).map(|(first, later)| first.cpu_s - later.cpu_s).collect());
    ensure!(reading > 0.0, "the first scan costs no more than a later one");
    print_at_least("rpm metadata read, checked, unpacked and parsed, MB of XML in a CPU second", xml_bytes / 1e6 / reading, 150.0);
    fs::remove_dir_all(&cache)?;
    Ok(())
}

fn native(node: &Overlay, arguments: &[&str]) -> anyhow::Result<Cost> {
    cost(Command::new("chroot").arg(node.path()).args(arguments).env("LC_ALL", "C").stdout(Stdio::null()).stderr(Stdio::null()))
}

fn name(number: usize) -> String {
    format!("package-{:05}", number * 7919 % 100_000)
}

fn repository() -> Repository {
    let mut repository = Repository::default();
    let listed = |number: usize| format!("{} 0 1.{} 1.fc41 x86_64", name(number), 3 + number % 5);
    for number in 0..LISTED {
        let entry = |at: usize| format!("<rpm:entry name=\"lib{}.so.{at}(LIB_{at}.0)(64bit)\" flags=\"EQ\" epoch=\"0\" ver=\"1.{at}\" rel=\"1.fc41\"/>", name(number + at));
        let entries: String = (0..ENTRIES).map(entry).collect();
        let files: String = (0..ENTRIES / 2).map(|at| format!("<file>/usr/bin/{}-{at}</file>", name(number))).collect();
        repository = repository.package_that(&listed(number), &format!("<rpm:requires>{entries}</rpm:requires>{files}"));
    }
    for number in 0..ADVISORIES {
        let packages: Vec<String> = (0..6).map(|at| listed((number * 4 + at) % LISTED)).collect();
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        let (kind, severity) = [("security", "Important"), ("bugfix", "None"), ("security", "Moderate"), ("enhancement", "None")][number % 4];
        repository = repository.advisory(&format!("TEST-2026:{number:05}"), kind, severity, &packages);
    }
    repository
}

//! The scan of one machine against the native tools, and the order of versions against apt's library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Cost, cost, median, print_ratio};
use crate::sh;

/// Measures scans of a root and the comparison of its versions.
pub fn run(root: &Path, pairs: usize) -> anyhow::Result<()> {
    let bench = Bench { root, pairs, fettle: sh::target().join("release/fettle"), cache: sh::target().join("bench-cache") };
    fs::create_dir_all(&bench.cache)?;
    bench.scans()?;
    bench.versions()?;
    fs::remove_dir_all(&bench.cache)?;
    Ok(())
}

struct Bench<'a> {
    root: &'a Path,
    pairs: usize,
    fettle: PathBuf,
    cache: PathBuf,
}

impl Bench<'_> {
    fn scans(&self) -> anyhow::Result<()> {
        let no_cache = ["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="];
        let ours = || self.scan();
        let ours_first = || {
            let _ = fs::remove_dir_all(&self.cache);
            self.scan()
        };
        self.same_answer()?;
        let list = ["apt", "list", "--upgradable"];
        let list_no_cache = [&["apt"][..], &no_cache, &["list", "--upgradable"]].concat();
        let upgrade = ["apt-get", "-s", "dist-upgrade"];
        self.pair("first scan, against `apt list --upgradable` without its cache", 10.0, 64.0, ours_first, || self.native(&list_no_cache))?;
        self.pair("later scan, against `apt list --upgradable` with its cache", 30.0, 16.0, ours, || self.native(&list))?;
        self.pair("later scan, against `apt-get -s dist-upgrade`", 200.0, 16.0, ours, || self.native(&upgrade))?;
        self.index_build(&list, &list_no_cache)
    }

    /// Building the index is the first scan without a later one; apt's cache build likewise.
    fn index_build(&self, list: &[&str], list_no_cache: &[&str]) -> anyhow::Result<()> {
        let mut ratios = Vec::new();
        let mut figures = (Vec::new(), Vec::new());
        for _ in 0..self.pairs {
            let _ = fs::remove_dir_all(&self.cache);
            let ours = self.scan()?.cpu_s - self.scan()?.cpu_s;
            let peer = self.native(list_no_cache)?.cpu_s - self.native(list)?.cpu_s;
            figures.0.push(ours);
            figures.1.push(peer);
            ratios.push(peer / ours);
        }
        print_ratio("building the index, against apt's cache build", median(figures.0), median(figures.1), median(ratios), 2.0, None);
        Ok(())
    }

    /// Runs ours and the peer's in turn, and prints the median of the ratios.
    fn pair(&self, what: &str, target: f64, peak_limit_mib: f64, ours: impl Fn() -> anyhow::Result<Cost>, peer: impl Fn() -> anyhow::Result<Cost>) -> anyhow::Result<()> {
        ours()?;
        peer()?;
        let mut costs = Vec::new();
        for _ in 0..self.pairs {
            costs.push((ours()?, peer()?));
        }
        let ratio = median(costs.iter().map(|(ours, peer)| peer.cpu_s / ours.cpu_s).collect());
        let peak = costs.iter().map(|(ours, _)| ours.peak_mib).fold(0.0, f64::max);
        print_ratio(
            what,
            median(costs.iter().map(|(ours, _)| ours.cpu_s).collect()),
            median(costs.iter().map(|(_, peer)| peer.cpu_s).collect()),
            ratio,
            target,
            Some((peak, peak_limit_mib)),
        );
        Ok(())
    }

    fn scan(&self) -> anyhow::Result<Cost> {
        cost(Command::new(&self.fettle).args(["scan", "--no-refresh", "--root"]).arg(self.root).env("XDG_CACHE_HOME", &self.cache).stdout(Stdio::null()))
    }

    fn native(&self, arguments: &[&str]) -> anyhow::Result<Cost> {
        cost(Command::new("chroot").arg(self.root).args(arguments).env("LC_ALL", "C").stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// The patches that we find are those that apt finds, first and later.
    fn same_answer(&self) -> anyhow::Result<()> {
        let native = sh::output(Command::new("chroot").arg(self.root).args(["apt", "list", "--upgradable"]).env("LC_ALL", "C"))?;
        let mut native: Vec<String> = String::from_utf8_lossy(&native.stdout).lines().filter_map(|line| line.split_once('/').map(|(name, _)| name.to_owned())).collect();
        native.sort();
        let _ = fs::remove_dir_all(&self.cache);
        for scan in ["first", "later"] {
            let output = sh::output(Command::new(&self.fettle).args(["scan", "--no-refresh", "--format", "json", "--root"]).arg(self.root).env("XDG_CACHE_HOME", &self.cache))?;
            let report: Value = serde_json::from_slice(&output.stdout).context("a scan prints JSON")?;
            let rows = report["patches"].as_array().context("a scan has patches")?;
            let ours: Vec<String> = rows.iter().filter(|row| !row["available_version"].is_null()).filter_map(|row| row["name"].as_str().map(str::to_owned)).collect();
            ensure!(ours == native, "the {scan} scan finds {} patches, apt {}", ours.len(), native.len());
        }
        eprintln!("{} patches, the same as apt's", native.len());
        Ok(())
    }

    /// Compares versions in our own process and in Python with apt's library.
    fn versions(&self) -> anyhow::Result<()> {
        let pairs = sh::target().join("bench-pairs.txt");
        fs::write(&pairs, version_pairs(self.root)?)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench/versions.py");
        sh::run_with(Command::new("cargo").args(["build", "--release", "--locked", "--package", "domain", "--example", "compare_versions"]))?;
        let ours = sh::target().join("release/examples/compare_versions");
        let mut rows: Vec<[f64; 3]> = Vec::new();
        for _ in 0..self.pairs {
            let ours = sh::output(Command::new(&ours).arg(&pairs))?;
            let ours: Value = serde_json::from_slice(&ours.stdout).context("the example prints JSON")?;
            let peer = sh::output(Command::new("/usr/bin/python3").arg(&script).arg(&pairs))?;
            let peer: Value = serde_json::from_slice(&peer.stdout).context("the script prints JSON")?;
            ensure!(ours["digest"] == peer["digest"], "the answers differ: {ours} and {peer}");
            rows.push([&ours["strings_ns"], &ours["keys_ns"], &peer["strings_ns"]].map(|value| value.as_f64().unwrap_or(f64::NAN)));
        }
        let of = |at: usize| median(rows.iter().map(|row| row[at]).collect());
        let ratio = |at: usize| median(rows.iter().map(|row| row[2] / row[at]).collect());
        print_ratio("comparing versions as strings, ns, against apt_pkg", of(0), of(2), ratio(0), 1.4, None);
        print_ratio("comparing versions by keys, ns, against apt_pkg", of(1), of(2), ratio(1), 30.0, None);
        Ok(())
    }
}

/// Neighbouring versions of the same package in the lists, then each version against a small change of itself.
fn version_pairs(root: &Path) -> anyhow::Result<String> {
    let mut versions: Vec<(String, String)> = Vec::new();
    for entry in fs::read_dir(root.join("var/lib/apt/lists"))?.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with("_Packages")) {
        let text = fs::read_to_string(entry.path())?;
        let field = |stanza: &str, name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        versions.extend(text.split("\n\n").filter_map(|stanza| Some((field(stanza, "Package: ")?, field(stanza, "Version: ")?))));
    }
    versions.sort();
    versions.dedup();
    let same_package = versions.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| format!("{} {}\n", pair[0].1, pair[1].1));
    let changed = versions.iter().step_by(4).enumerate().map(|(at, (_, version))| format!("{version} {version}+deb12u{}\n", at % 4));
    Ok(same_package.chain(changed).take(20_000).collect())
}

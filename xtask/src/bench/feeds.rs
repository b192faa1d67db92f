//! Importing an archive of OSV as large as Debian's: how many entries in a second, and in how much memory.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testkit::feeds::{osv_entry, write_archive};

use super::fleet::Server;
use super::{print_at_most, rounded};
use crate::sh;

const ENTRIES: u32 = 40_000;
/// What the server may take more at its peak than before the import.
const MORE_MIB_MAX: f64 = 256.0;

/// Measures an import, and another of the same archive, in which nothing has changed.
pub fn run() -> anyhow::Result<()> {
    let fettle = sh::target().join("release/fettle");
    let server = Server::start(&fettle, None)?;
    let folder = testkit::folder();
    let path = folder.path().join("all.zip");
    write_archive(&path, (0..ENTRIES).map(entry));
    let feed = |arguments: &[&str]| -> anyhow::Result<Value> {
        let mut command = Command::new(&fettle);
        command.arg("feed").args(arguments).args(["--format", "json", "--data"]).arg(server.data.path());
        serde_json::from_slice(&sh::output(&mut command)?.stdout).context("a feed is printed as JSON")
    };
    feed(&["add", "debian", "osv"])?;
    let before = server.cost()?;
    for (what, n_changed) in [("import of new entries", ENTRIES), ("import of the same entries", 0)] {
        let (began, begun) = (Instant::now(), server.cost()?);
        let answer = feed(&["import", "debian", path.to_str().context("the folder has a plain name")?])?;
        ensure!((&answer["n_entries"], &answer["n_changed"]) == (&ENTRIES.into(), &n_changed.into()), "the import says {answer}");
        let (seconds, cpu_s) = (began.elapsed().as_secs_f64(), server.cost()?.cpu_s - begun.cpu_s);
        let per = |seconds: f64| (f64::from(ENTRIES) / seconds).round();
        println!("{}", json!({ "what": what, "entries": ENTRIES, "seconds": rounded(seconds), "entries_per_s": per(seconds), "entries_per_cpu_s": per(cpu_s) }));
    }
    print_at_most("import, the server's peak memory beyond what it had, MiB", server.cost()?.peak_mib - before.peak_mib, MORE_MIB_MAX);
    Ok(())
}

/// A vulnerability of one of 3,000 packages with as much text about it as the real ones have.
fn entry(number: u32) -> (String, String) {
    let id = format!("DEBIAN-CVE-2026-{number}");
    let mut entry = osv_entry(&id, 2, &[], &format!("source-{}", number % 3000), &format!("1.{number}-1"));
    entry["details"] = "A flaw was found in the way that input is handled. ".repeat(12).into();
    entry["affected"][0]["versions"] = (0..40).map(|patch| format!("1.{patch}-1")).collect::<Vec<_>>().into();
    let of_release = |release: u32| {
        let mut affected = entry["affected"][0].clone();
        affected["package"]["ecosystem"] = format!("Debian:{release}").into();
        affected
    };
    let affected: Vec<_> = (11..14).map(of_release).collect();
    entry["affected"] = affected.into();
    (format!("{id}.json"), entry.to_string())
}

//! Feeds of vendors that do not exist.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

/// An entry of OSV about one package of Debian 12, changed on a day of January 2026.
pub fn osv_entry(id: &str, day: u8, cves: &[&str], package: &str, fixed: &str) -> Value {
    json!({
        "id": id, "modified": format!("2026-01-{day:02}T00:00:00Z"), "published": "2026-01-01T00:00:00Z", "related": cves,
        "affected": [{
            "package": { "ecosystem": "Debian:12", "name": package },
            "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": fixed }] }],
        }],
    })
}

/// An archive of entries, as OSV publishes one for each ecosystem.
///
/// # Panics
/// When the file cannot be written.
pub fn write_archive(path: &Path, entries: impl IntoIterator<Item = (String, String)>) {
    let mut archive = zip::ZipWriter::new(BufWriter::new(File::create(path).expect("a file can be made")));
    for (name, text) in entries {
        archive.start_file(name, SimpleFileOptions::default()).expect("a file fits in an archive");
        archive.write_all(text.as_bytes()).expect("a file can be written");
    }
    archive.finish().expect("an archive can be ended");
}

//! Entries in the format of OSV (schema 1.x), as Debian, Ubuntu, Alpine, Rocky and AlmaLinux are published.
//!
//! Only what says in which version a hole is closed is kept. Ecosystems that Fettle has no product for are
//! passed over: a feed of many vendors is no mistake.

use cvss::Cvss;
use domain::model::advisory::Suggestion;
use domain::model::catalog::{Entry, Fix};
use domain::model::patch::{Classification, Severity};
use domain::model::time::Timestamp;
use serde::Deserialize;

/// Largest entry; a kernel notice of a whole release has half a megabyte.
pub const ENTRY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most versions and references that are kept of one entry.
const FIXES_MAX: usize = 10_000;
const CVES_MAX: usize = 10_000;
/// Longest id, package name or version.
const WORD_LENGTH_MAX: usize = 256;

#[derive(Deserialize)]
struct Document {
    id: String,
    modified: String,
    published: Option<String>,
    withdrawn: Option<String>,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    related: Vec<String>,
    #[serde(default)]
    upstream: Vec<String>,
    #[serde(default)]
    severity: Vec<Score>,
    #[serde(default)]
    affected: Vec<Affected>,
    #[serde(default)]
    database_specific: Words,
}

#[derive(Deserialize)]
struct Affected {
    package: Option<Package>,
    #[serde(default)]
    severity: Vec<Score>,
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    ecosystem_specific: Words,
    #[serde(default)]
    database_specific: Words,
}

#[derive(Deserialize)]
struct Package {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct Score {
    #[serde(rename = "type")]
    kind: String,
    score: String,
}

#[derive(Deserialize)]
struct Range {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
}

/// What vendors say of urgency in fields of their own; whatever else is there is not looked at.
#[derive(Default, Deserialize)]
#[serde(from = "serde_json::Value")]
struct Words(Option<Severity>);

impl From<serde_json::Value> for Words {
    fn from(value: serde_json::Value) -> Self {
        let word = |key: &str| value.get(key).and_then(serde_json::Value::as_str).and_then(severity_of_word);
        Self(["severity", "ubuntu_priority", "urgency"].into_iter().find_map(word))
    }
}

/// What a feed says in one file.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// An entry.
    Entry(Box<Entry>),
    /// An entry that closes nothing in a product that there is a product for.
    PassedOver,
}

/// Reads the id of an entry, and when it last changed.
pub fn parse_heading(bytes: &[u8]) -> Option<(String, Timestamp)> {
    #[derive(Deserialize)]
    struct Heading {
        id: String,
        modified: String,
    }
    let heading: Heading = serde_json::from_slice(bytes).ok()?;
    Some((heading.id, Timestamp::parse_rfc3339(&heading.modified)?))
}

/// Reads one entry; the error says what is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(format!("it has {} bytes, more than the limit of {ENTRY_BYTES_MAX}", bytes.len()));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    check_word("id", &document.id)?;
    let time = |key: &str, text: &str| Timestamp::parse_rfc3339(text).ok_or_else(|| format!("{key}: `{}` is no RFC 3339 time", text.chars().take(40).collect::<String>()));
    let optional = |key: &str, text: Option<&String>| text.map(|text| time(key, text)).transpose();
    let modified_at = time("modified", &document.modified)?;
    let (published_at, withdrawn_at) = (optional("published", document.published.as_ref())?, optional("withdrawn", document.withdrawn.as_ref())?);
    let mut fixes = Vec::new();
    let mut severity = document.database_specific.0.or_else(|| severity_of_summary(&document.summary)).or_else(|| severity_of(&document.severity));
    for affected in &document.affected {
        let Some((product, package)) = affected.package.as_ref().and_then(|package| Some((product_of(&package.ecosystem)?, &package.name))) else { continue };
        check_word("package", package)?;
        let of_product = affected.ecosystem_specific.0.or(affected.database_specific.0).or_else(|| severity_of(&affected.severity));
        severity = severity.into_iter().chain(of_product).min();
        for range in affected.ranges.iter().filter(|range| range.kind == "ECOSYSTEM") {
            let mut introduced = None;
            for event in &range.events {
                if let Some(version) = &event.introduced {
                    introduced = Some(version.clone()).filter(|version| version != "0");
                }
                if let Some(version) = &event.fixed {
                    check_word("fixed", version)?;
                    fixes.push(Fix { product: product.clone(), package: package.clone(), version: version.clone(), introduced: introduced.take() });
                }
            }
        }
        if fixes.len() > FIXES_MAX {
            return Err(format!("it names more than {FIXES_MAX} versions"));
        }
    }
    if fixes.is_empty() && withdrawn_at.is_none() {
        return Ok(Parsed::PassedOver);
    }
    fixes.sort_unstable();
    fixes.dedup();
    let named = [&document.aliases, &document.related, &document.upstream].into_iter().flatten().map(String::as_str);
    let own = document.id.find("CVE-").map(|at| &document.id[at..]);
    let mut cves: Vec<_> = named.filter(|id| id.starts_with("CVE-") && id.len() <= WORD_LENGTH_MAX).chain(own).take(CVES_MAX).map(str::to_owned).collect();
    cves.sort_unstable();
    cves.dedup();
    Ok(Parsed::Entry(Box::new(Entry {
        classification: classify(&document.id),
        id: document.id,
        severity: severity.unwrap_or(Severity::Unspecified),
        cves,
        bugs: Vec::new(),
        published_at,
        modified_at,
        withdrawn_at,
        suggestion: Suggestion::Nothing,
        fixes,
    })))
}

fn check_word(key: &str, word: &str) -> Result<(), String> {
    if word.is_empty() || word.len() > WORD_LENGTH_MAX || word.contains(char::is_control) {
        return Err(format!("{key}: must be a plain word of 1 to {WORD_LENGTH_MAX} bytes"));
    }
    Ok(())
}

/// The product of an ecosystem such as `Debian:12`, `Ubuntu:Pro:22.04:LTS`, `Alpine:v3.18` or `Rocky Linux:9`.
fn product_of(ecosystem: &str) -> Option<String> {
    let (name, release) = ecosystem.split_once(':')?;
    let word = match name {
        "Debian" | "Ubuntu" | "Alpine" | "AlmaLinux" => name,
        "Rocky Linux" => "RockyLinux",
        _ => return None,
    };
    // FIPS builds are other packages under the same names.
    let release = release.strip_prefix("Pro:").unwrap_or(release);
    let release = release.split(':').next().unwrap_or_default().trim_start_matches('v');
    release.starts_with(|c: char| c.is_ascii_digit()).then(|| format!("{word}{release}"))
}

/// What a notice announces, as its id says: `RLSA` and the like are about security, `RLBA` about bugs, `RLEA` about
/// something new. Alpine has no notices, so that its vulnerabilities are what it says.
fn classify(id: &str) -> Option<Classification> {
    if id.contains("CVE-") {
        return id.starts_with("ALPINE-").then_some(Classification::Security);
    }
    let word = id.split('-').next().unwrap_or_default();
    Some(match word.get(word.len().saturating_sub(2)..) {
        Some("BA") => Classification::Bugfix,
        Some("EA") => Classification::Enhancement,
        _ => Classification::Security,
    })
}

/// Rocky and AlmaLinux begin a summary as Red Hat does: `Important: openssl security update`.
fn severity_of_summary(summary: &str) -> Option<Severity> {
    severity_of_word(summary.split_once(':')?.0).filter(|severity| *severity != Severity::Unspecified)
}

fn severity_of(scores: &[Score]) -> Option<Severity> {
    scores.iter().filter_map(|score| if score.kind.starts_with("CVSS") { severity_of_vector(&score.score) } else { severity_of_word(&score.score) }).min()
}

/// The words of Ubuntu, of Debian's tracker and of the CVSS specification beside those of Red Hat.
fn severity_of_word(word: &str) -> Option<Severity> {
    Some(match word.trim_end_matches('*').to_ascii_lowercase().as_str() {
        "high" => Severity::Important,
        "negligible" | "unimportant" => Severity::Low,
        other => Severity::parse(other)?,
    })
}

fn severity_of_vector(vector: &str) -> Option<Severity> {
    Some(match vector.parse::<Cvss>().ok()?.severity() {
        cvss::Severity::Critical => Severity::Critical,
        cvss::Severity::High => Severity::Important,
        cvss::Severity::Medium => Severity::Moderate,
        cvss::Severity::Low => Severity::Low,
        cvss::Severity::None => Severity::Unspecified,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str) -> Entry {
        match parse(document.as_bytes()).unwrap() {
            Parsed::Entry(entry) => *entry,
            Parsed::PassedOver => panic!("it says nothing"),
        }
    }

    #[test]
    fn a_notice_of_debian_is_read() {
        let entry = read(
            r#"{"id": "DSA-5532-1", "modified": "2023-10-25T10:00:00Z", "published": "2023-10-24T00:00:00Z", "summary": "openssl - security update",
            "related": ["CVE-2023-5363"], "affected": [
              {"package": {"ecosystem": "Debian:12", "name": "openssl", "purl": "pkg:deb/debian/openssl"},
               "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.11-1~deb12u2"}]}], "versions": ["3.0.9-1"]},
              {"package": {"ecosystem": "openEuler:22.03", "name": "openssl"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9"}]}]}]}"#,
        );
        let fixes = [Fix { product: "Debian12".into(), package: "openssl".into(), version: "3.0.11-1~deb12u2".into(), introduced: None }];
        assert_eq!(
            (entry.id.as_str(), entry.classification, entry.severity, entry.fixes.as_slice()),
            ("DSA-5532-1", Some(Classification::Security), Severity::Unspecified, &fixes[..])
        );
        assert_eq!((entry.cves, entry.published_at.unwrap().to_string()), (vec!["CVE-2023-5363".to_owned()], "2023-10-24T00:00:00Z".to_owned()));
    }

    #[test]
    fn every_vendor_says_its_severity_in_its_own_way() {
        let with = |id: &str, ecosystem: &str, more: &str, of_affected: &str| {
            read(&format!(
                r#"{{"id": "{id}", "modified": "2026-01-01T00:00:00Z", {more} "affected": [{{"package": {{"ecosystem": "{ecosystem}", "name": "x"}}, {of_affected}
                "ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}, {{"fixed": "1"}}]}}]}}]}}"#
            ))
        };
        let found = |entry: Entry| (entry.fixes[0].product.clone(), entry.classification, entry.severity);
        let cvss = r#""severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"#;
        assert_eq!(found(with("ALPINE-CVE-2026-1", "Alpine:v3.18", cvss, "")), ("Alpine3.18".to_owned(), Some(Classification::Security), Severity::Critical));
        assert_eq!(
            found(with("UBUNTU-CVE-2026-1", "Ubuntu:22.04:LTS", r#""severity": [{"type": "Ubuntu", "score": "medium"}],"#, "")),
            ("Ubuntu22.04".to_owned(), None, Severity::Moderate)
        );
        assert_eq!(found(with("USN-1-1", "Ubuntu:Pro:20.04:LTS", "", "")), ("Ubuntu20.04".to_owned(), Some(Classification::Security), Severity::Unspecified));
        assert_eq!(
            found(with("RLSA-2026:1", "Rocky Linux:9", r#""summary": "Important: openssl security update","#, "")),
            ("RockyLinux9".to_owned(), Some(Classification::Security), Severity::Important)
        );
        assert_eq!(found(with("ALBA-2026:1", "AlmaLinux:9", "", "")), ("AlmaLinux9".to_owned(), Some(Classification::Bugfix), Severity::Unspecified));
        assert_eq!(found(with("DEBIAN-CVE-2026-1", "Debian:12", "", r#""ecosystem_specific": {"urgency": "low"},"#)), ("Debian12".to_owned(), None, Severity::Low));
    }

    #[test]
    fn what_concerns_no_product_is_passed_over_and_what_does_not_read_is_said() {
        for ecosystem in ["npm", "Debian", "Alpine:edge", "Ubuntu:Pro:FIPS:22.04:LTS", "SUSE:Linux Enterprise 15"] {
            assert_eq!(product_of(ecosystem), None, "{ecosystem}");
        }
        assert_eq!(parse(br#"{"id": "X-1", "modified": "2026-01-01T00:00:00Z"}"#), Ok(Parsed::PassedOver));
        for (document, expected) in [
            (r#"{"id": "X-1"#, "EOF while parsing a string at line 1 column 11"),
            (r#"{"id": "X-1"}"#, "missing field `modified` at line 1 column 13"),
            (r#"{"id": "", "modified": "2026-01-01T00:00:00Z"}"#, "id: must be a plain word of 1 to 256 bytes"),
            (r#"{"id": "X-1", "modified": "soon"}"#, "modified: `soon` is no RFC 3339 time"),
        ] {
            assert_eq!(parse(document.as_bytes()).unwrap_err(), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>, text in r#"\{"id":"[A-Z-]{0,9}","modified":"2026-01-01T00:00:00Z","affected":\[[\{\}a-z":,0-9]{0,40}\]\}"#) {
            let _ = parse(&bytes);
            let _ = parse(text.as_bytes());
        }
    }
}

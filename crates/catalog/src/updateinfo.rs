//! Advisories of a repository: `updateinfo.xml`.

use std::io::{self, Read};

use domain::model::advisory::{Advisory, Suggestion};
use domain::model::patch::{Classification, Severity};
use domain::model::time::Timestamp;
use domain::model::version::rpm;

use crate::xml::{self, Piece};

/// Most packages and references of one advisory; those of whole releases of KDE have a few hundred.
const PACKAGES_MAX: usize = 100_000;
const REFERENCES_MAX: usize = 10_000;

/// A version of a package that an advisory names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvisedPackage {
    /// Its name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version that brings what the advisory is about.
    pub version: String,
}

/// Reads every advisory: `visit` gets each with its packages. A date of update counts before that of issue; an
/// advisory without severity has none.
pub fn read(input: impl Read, mut visit: impl FnMut(&Advisory, &[AdvisedPackage])) -> io::Result<()> {
    let mut advisory = empty();
    let mut packages = Vec::new();
    let (mut issued_at, mut in_collection) = (None, false);
    xml::walk(input, |piece| match piece {
        Piece::Start(start) => match start.local_name().into_inner() {
            "update" => {
                advisory = Advisory { classification: Classification::parse(&xml::attribute(start, "type")).unwrap_or(Classification::Other), ..empty() };
                (issued_at, in_collection) = (None, false);
                packages.clear();
            }
            "issued" => issued_at = parse_date(&xml::attribute(start, "date")),
            "updated" => advisory.released_at = parse_date(&xml::attribute(start, "date")),
            "reference" if advisory.cves.len() + advisory.bugs.len() < REFERENCES_MAX => match xml::attribute(start, "type").as_str() {
                "cve" => advisory.cves.push(xml::attribute(start, "id")),
                "bugzilla" => advisory.bugs.push(xml::attribute(start, "id")),
                _ => {}
            },
            "collection" => in_collection = true,
            "package" if packages.len() < PACKAGES_MAX => packages.push(AdvisedPackage {
                name: xml::attribute(start, "name"),
                architecture: xml::attribute(start, "arch"),
                version: rpm::join(&xml::attribute(start, "epoch"), &xml::attribute(start, "version"), &xml::attribute(start, "release")),
            }),
            _ => {}
        },
        Piece::End("id", text) if !in_collection => advisory.ids = vec![text.to_owned()],
        Piece::End("severity", text) => advisory.severity = Severity::parse(text).unwrap_or(Severity::Unspecified),
        Piece::End("reboot_suggested", text) => suggest(&mut advisory, text, Suggestion::Reboot),
        Piece::End("relogin_suggested", text) => suggest(&mut advisory, text, Suggestion::Relogin),
        Piece::End("restart_suggested", text) => suggest(&mut advisory, text, Suggestion::Restart),
        Piece::End("update", _) => {
            advisory.released_at = advisory.released_at.or(issued_at);
            advisory.cves.sort_unstable();
            advisory.cves.dedup();
            visit(&advisory, &packages);
        }
        Piece::End(..) => {}
    })
}

fn empty() -> Advisory {
    Advisory {
        ids: Vec::new(),
        classification: Classification::Other,
        severity: Severity::Unspecified,
        cves: Vec::new(),
        bugs: Vec::new(),
        released_at: None,
        suggestion: Suggestion::Nothing,
    }
}

/// An empty element suggests as much as one that says so.
fn suggest(advisory: &mut Advisory, text: &str, suggestion: Suggestion) {
    if !["false", "0", "no"].contains(&text.to_ascii_lowercase().as_str()) {
        advisory.suggestion = advisory.suggestion.max(suggestion);
    }
}

/// `2026-01-02`, `2026-01-02 03:04:05` with or without `UTC`, or seconds since 1970.
fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_seconds(seconds);
    }
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let mut at = Timestamp::parse_date(date)?;
    for (part, unit_ms) in time.trim_end_matches(" UTC").trim_end_matches('Z').split(':').zip([3_600_000, 60_000, 1000]) {
        at = at.plus_millis(part.parse::<u8>().ok().map_or(0, |part| i64::from(part) * unit_ms));
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_every_form() {
        for text in ["2026-01-02 03:04:05", "2026-01-02 03:04:05 UTC", "2026-01-02T03:04:05Z", "1767323045"] {
            assert_eq!(parse_date(text).unwrap().to_string(), "2026-01-02T03:04:05Z", "{text}");
        }
        assert_eq!(parse_date("2026-01-02").unwrap().to_string(), "2026-01-02T00:00:00Z");
        assert_eq!([parse_date(""), parse_date("soon"), parse_date("2026-13-01")], [None, None, None]);
    }
}

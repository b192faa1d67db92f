//! Packages of a repository: `primary.xml`.

use std::io::{self, Read};

use domain::model::version::rpm;

use super::summary::{ListedPackage, SummaryWriter};
use super::xml::{self, Piece};

/// Most packages that one replaces.
const OBSOLETES_MAX: usize = 10_000;

/// Reads every package.
pub fn read(input: impl Read, summary: &mut SummaryWriter) -> io::Result<()> {
    let mut package = Package::default();
    let mut in_obsoletes = false;
    xml::walk(input, |piece| match piece {
        Piece::Start(start) => match start.local_name().into_inner() {
            "package" => package = Package::default(),
            "version" => package.version = rpm::join(&xml::attribute(start, "epoch"), &xml::attribute(start, "ver"), &xml::attribute(start, "rel")),
            "time" => package.built_at = xml::attribute(start, "build"),
            "obsoletes" => in_obsoletes = true,
            "entry" if in_obsoletes && package.obsoletes.len() < OBSOLETES_MAX => package.obsoletes.push(obsoleted(start)),
            _ => {}
        },
        Piece::End("name", text) => text.clone_into(&mut package.name),
        Piece::End("arch", text) => text.clone_into(&mut package.architecture),
        Piece::End("vendor", text) => text.clone_into(&mut package.vendor),
        Piece::End("sourcerpm", text) => text.clone_into(&mut package.source_rpm),
        Piece::End("obsoletes", _) => in_obsoletes = false,
        // Sources are not installed.
        Piece::End("package", _) if package.architecture != "src" && package.architecture != "nosrc" => summary.add_package(
            &ListedPackage {
                name: &package.name,
                architecture: &package.architecture,
                version: &package.version,
                built_at: package.built_at.parse().ok(),
                source_rpm: &package.source_rpm,
                obsoletes: &package.obsoletes.join(";"),
            },
            &package.vendor,
        ),
        Piece::End(..) => {}
    })
}

#[derive(Default)]
struct Package {
    name: String,
    architecture: String,
    version: String,
    vendor: String,
    source_rpm: String,
    built_at: String,
    obsoletes: Vec<String>,
}

/// A name, and how the versions that it replaces compare with which one: `name LT 1:2-3`.
fn obsoleted(start: &quick_xml::events::BytesStart) -> String {
    let (name, flags) = (xml::attribute(start, "name"), xml::attribute(start, "flags"));
    if flags.is_empty() {
        return name;
    }
    format!("{name} {flags} {}", rpm::join(&xml::attribute(start, "epoch"), &xml::attribute(start, "ver"), &xml::attribute(start, "rel")))
}

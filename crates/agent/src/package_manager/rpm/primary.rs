//! Packages of a repository: `primary.xml`.

use std::io::{self, Read};

use domain::model::version::rpm;

use super::summary::{ListedPackage, SummaryWriter};
use super::xml::{self, Piece};

/// Reads every package.
pub fn read(input: impl Read, summary: &mut SummaryWriter) -> io::Result<()> {
    let mut package = Package::default();
    xml::walk(input, |piece| match piece {
        Piece::Start(start) => match start.local_name().into_inner() {
            "package" => package = Package::default(),
            "version" => package.version = rpm::join(&xml::attribute(start, "epoch"), &xml::attribute(start, "ver"), &xml::attribute(start, "rel")),
            "time" => package.built_at = xml::attribute(start, "build"),
            _ => {}
        },
        Piece::End("name", text) => text.clone_into(&mut package.name),
        Piece::End("arch", text) => text.clone_into(&mut package.architecture),
        Piece::End("vendor", text) => text.clone_into(&mut package.vendor),
        Piece::End("sourcerpm", text) => text.clone_into(&mut package.source_rpm),
        // Sources are not installed.
        Piece::End("package", _) if package.architecture != "src" && package.architecture != "nosrc" => summary.add_package(
            &ListedPackage {
                name: &package.name,
                architecture: &package.architecture,
                version: &package.version,
                built_at: package.built_at.parse().ok(),
                source_rpm: &package.source_rpm,
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
}

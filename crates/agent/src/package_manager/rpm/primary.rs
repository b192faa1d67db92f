//! Packages of a repository: `primary.xml`.

use std::io::{self, Read};

use domain::model::version::rpm;

use super::summary::{ListedPackage, Obsoletes, SummaryWriter};
use catalog::xml::{self, Piece};

/// Reads every package.
pub fn read(input: impl Read, summary: &mut SummaryWriter) -> io::Result<()> {
    let mut package = Package::default();
    xml::walk(input, |piece| match piece {
        Piece::Start(start) => match start.local_name().into_inner() {
            "package" => package = Package::default(),
            "version" => package.version = rpm::join(&xml::attribute(start, "epoch"), &xml::attribute(start, "ver"), &xml::attribute(start, "rel")),
            "time" => package.built_at = xml::attribute(start, "build"),
            "obsoletes" => package.obsoletes_follow = true,
            "entry" if package.obsoletes_follow => {
                let version = rpm::join(&xml::attribute(start, "epoch"), &xml::attribute(start, "ver"), &xml::attribute(start, "rel"));
                package.obsoletes.push((xml::attribute(start, "name"), xml::attribute(start, "flags"), version));
            }
            _ => {}
        },
        Piece::End("name", text) => text.clone_into(&mut package.name),
        Piece::End("arch", text) => text.clone_into(&mut package.architecture),
        Piece::End("vendor", text) => text.clone_into(&mut package.vendor),
        Piece::End("sourcerpm", text) => text.clone_into(&mut package.source_rpm),
        Piece::End("obsoletes", _) => package.obsoletes_follow = false,
        // Sources are not installed.
        Piece::End("package", _) if package.architecture != "src" && package.architecture != "nosrc" => package.write(summary),
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
    /// Names, flags and versions.
    obsoletes: Vec<(String, String, String)>,
    obsoletes_follow: bool,
}

impl Package {
    fn write(&self, summary: &mut SummaryWriter) {
        let Self { name, architecture, version, source_rpm, .. } = self;
        summary.add_package(&ListedPackage { name, architecture, version, built_at: self.built_at.parse().ok(), source_rpm }, &self.vendor);
        for (name, flags, version) in &self.obsoletes {
            summary.add_obsoletes(&Obsoletes { name, flags, version });
        }
    }
}

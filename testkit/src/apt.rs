//! Private repositories of apt with real packages, made inside a node.

use std::fmt::Write as _;

use crate::roots::Overlay;

/// A package to build.
#[derive(Debug, Clone, Default)]
pub struct Deb<'a> {
    /// Name and version between a blank.
    pub package: &'a str,
    /// More fields of its control file, such as `Depends: tb-dep`.
    pub fields: &'a [&'a str],
    /// Scripts such as `postinst` with their text.
    pub scripts: &'a [(&'a str, &'a str)],
    /// Files that are configuration, with their text.
    pub configuration: &'a [(&'a str, &'a str)],
}

/// Builds packages, and makes them the node's only repository; its lists are refreshed.
pub fn publish(node: &Overlay, debs: &[Deb]) {
    node.shell("rm -rf /repository /build; mkdir -p /repository");
    let mut script = String::new();
    for (number, deb) in debs.iter().enumerate() {
        let (name, version) = deb.package.split_once(' ').expect("a package has a name and a version");
        let folder = format!("build/{number}");
        let mut control = format!("Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: test\n");
        for field in deb.fields {
            let _ = writeln!(control, "{field}");
        }
        node.write(&format!("{folder}/DEBIAN/control"), &control);
        for (script, text) in deb.scripts {
            node.write(&format!("{folder}/DEBIAN/{script}"), text);
        }
        let conffiles: String = deb.configuration.iter().map(|(path, _)| format!("{path}\n")).collect();
        if !conffiles.is_empty() {
            node.write(&format!("{folder}/DEBIAN/conffiles"), &conffiles);
        }
        for (path, text) in deb.configuration {
            node.write(&format!("{folder}{path}"), text);
        }
        let _ = writeln!(
            script,
            "cd /; chmod -R u+rwX,go+rX {folder}; chmod 755 {folder}/DEBIAN; for s in {folder}/DEBIAN/p*inst {folder}/DEBIAN/p*rm; do [ -e $s ] && chmod 755 $s; done || true"
        );
        let _ = writeln!(script, "dpkg-deb --root-owner-group --build {folder} /repository/{name}_{number}.deb >/dev/null");
    }
    script.push_str(
        "cd /repository; for deb in *.deb; do dpkg-deb -f $deb; echo \"Filename: ./$deb\"; echo \"Size: $(stat -c %s $deb)\"; echo \"SHA256: $(sha256sum $deb | cut -d' ' -f1)\"; echo; done > Packages\n\
         rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; echo 'deb [trusted=yes] copy:/repository ./' > /etc/apt/sources.list\n\
         apt-get -q update >/dev/null\n",
    );
    node.shell(&script);
}

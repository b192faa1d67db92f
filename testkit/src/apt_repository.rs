//! A private apt repository that is signed and served: what nodes of a test bed install from.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::testbed::{SERVER, Testbed};

/// Serves the folder that it runs in. While a file `cut` is there, packages end in their middle.
const SERVE: &str = r#"
import http.server, os
class Handler(http.server.SimpleHTTPRequestHandler):
    def copyfile(self, source, out):
        if os.path.exists("cut") and self.path.endswith(".deb"):
            out.write(source.read(500))
            self.close_connection = True
        else:
            super().copyfile(source, out)
http.server.ThreadingHTTPServer(("10.77.0.1", 8080), Handler).serve_forever()
"#;

/// Packages, the key that vouches for them, and the process that serves them.
pub struct AptRepository {
    folder: TempDir,
    keys: TempDir,
    server: Child,
}

/// A package to build: name, version, more lines of its control file, and a script that fills its folder.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// Name and version between a blank.
    pub name: &'a str,
    /// More fields, a line each.
    pub fields: &'a str,
    /// Its `postinst`, without the first line.
    pub postinst: &'a str,
    /// Runs in the folder of what it installs.
    pub fill: &'a str,
}

impl<'a> Package<'a> {
    /// One that installs nothing and runs nothing.
    pub fn new(name: &'a str) -> Self {
        Self { name, fields: "", postinst: "", fill: "" }
    }
}

impl AptRepository {
    /// An empty repository at the server's address.
    pub fn start(bed: &Testbed) -> Self {
        let (folder, keys) = (crate::folder(), crate::folder());
        fs::write(keys.path().join("serve.py"), SERVE).expect("the folder can be written");
        let mut command = bed.at_server(Path::new("python3"));
        let server = command.arg(keys.path().join("serve.py")).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("python3 can be started");
        let repository = Self { folder, keys, server };
        repository.run("gpg --batch --quiet --passphrase '' --quick-generate-key 'the repository' ed25519 sign never 2> /dev/null");
        repository
    }

    /// What a node needs to use it, as a script.
    pub fn sources(&self) -> String {
        let key = self.run("gpg --batch --armor --export 'the repository'");
        format!(
            "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; mkdir -p /etc/apt/keyrings; cat > /etc/apt/keyrings/test.asc <<'END'\n{key}END\n\
             echo 'deb [signed-by=/etc/apt/keyrings/test.asc] http://{SERVER}:8080 ./' > /etc/apt/sources.list; apt-get -qq update\n"
        )
    }

    /// Offers these packages beside those that are there.
    pub fn add(&self, packages: &[Package]) {
        let mut script = String::new();
        for package in packages {
            let (name, version) = package.name.split_once(' ').expect("a package has a name and a version");
            let fields: String = package.fields.lines().map(|line| format!("{}\n", line.trim())).collect();
            let _ = write!(
                script,
                "rm -rf build; mkdir -p build/DEBIAN; (cd build; {fill}:)\n\
                 cat > build/DEBIAN/control <<'END'\nPackage: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: test\n{fields}END\n\
                 printf '#!/bin/sh\\n%s\\n' '{postinst}' > build/DEBIAN/postinst; chmod -R go+rX build; chmod 755 build build/DEBIAN build/DEBIAN/postinst\n\
                 dpkg-deb -Znone --root-owner-group --build build {name}_{version}.deb > /dev/null; rm -rf build\n",
                fill = package.fill,
                postinst = package.postinst,
            );
        }
        self.run(&script);
        self.index();
    }

    /// Takes a package away.
    pub fn remove(&self, name: &str, version: &str) {
        self.run(&format!("rm {name}_{version}.deb"));
        self.index();
    }

    /// Changes a package's file, so that it is none that was vouched for.
    pub fn tamper(&self, name: &str, version: &str) {
        self.run(&format!("printf x | dd of={name}_{version}.deb bs=1 seek=100 conv=notrunc status=none"));
    }

    /// Lets downloads of packages break off, or go on.
    pub fn set_cut(&self, is_cut: bool) {
        self.run(if is_cut { "touch cut" } else { "rm -f cut" });
    }

    fn index(&self) {
        self.run(
            "for deb in *.deb; do [ -e $deb ] || continue; dpkg-deb -f $deb; echo \"Filename: ./$deb\"; echo \"Size: $(stat -c %s $deb)\"; echo \"SHA256: $(sha256sum $deb | cut -d' ' -f1)\"; echo; done > Packages\n\
             { echo 'Origin: test'; echo 'Suite: test'; echo \"Date: $(date -Ru)\"; echo 'SHA256:'; echo \" $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) Packages\"; } > Release\n\
             rm -f InRelease; gpg --batch --quiet --clearsign --output InRelease Release"
        );
    }

    fn run(&self, script: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(self.folder.path()).env("GNUPGHOME", self.keys.path()).env("LC_ALL", "C");
        let output = command.output().expect("sh can be started");
        assert!(output.status.success(), "`{script}`: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for AptRepository {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.keys.path()).output();
    }
}

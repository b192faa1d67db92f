//! Nodes of the rpm family: a root with real dnf, zypper and rpm, packages that are really installed
//! there, and repositories as metadata.

use std::fmt::Write as _;

use crate::roots::{self, Overlay};

/// The tools, all in one Debian root: its own packages are dpkg's, and the rpm database is the test's.
const TOOLS: &str = "dnf,zypper,rpm,createrepo-c,python3-rpm,pacman-package-manager,libarchive-tools,zstd,xz-utils";

/// What systems without packages of their own are asked to be.
const OS_RELEASE: &str = "ID=fedora\nVERSION_ID=41\nPRETTY_NAME=\"Fedora Linux 41\"\n";

/// A root with the native tools of the rpm family and of Arch.
pub fn tools() -> std::path::PathBuf {
    roots::base_with("trixie", "tools", TOOLS)
}

/// A node with these packages installed, by rpm itself; each is `name epoch version release arch`.
pub fn node(installed: &[&str]) -> Overlay {
    node_over(&tools(), installed)
}

/// The same with dnf 5, which Debian has only where nothing is released yet.
pub fn node_of_dnf5(installed: &[&str]) -> Overlay {
    node_over(&roots::base_with("sid", "dnf5", "dnf5,rpm,createrepo-c,xz-utils,zstd"), installed)
}

fn node_over(base: &std::path::Path, installed: &[&str]) -> Overlay {
    let node = Overlay::over(base);
    node.write("etc/os-release", OS_RELEASE);
    node.write("etc/dnf/dnf.conf", "[main]\ngpgcheck=0\nplugins=0\nmodule_platform_id=platform:f41\n");
    node.shell("rm -rf /etc/yum.repos.d /etc/zypp/repos.d /var/lib/rpm /usr/lib/sysimage/rpm; mkdir -p /etc/yum.repos.d /rpms; rpmdb --initdb");
    let mut script = String::new();
    for (number, package) in installed.iter().enumerate() {
        let [name, epoch, version, release, architecture] = fields(package);
        // The release of the system is what a package says that it provides, not its own version.
        let provides = if name.ends_with("-release") { "Provides: system-release = 7, system-release(releasever) = 41\n" } else { "" };
        let spec = format!(
            "Name: {name}\nEpoch: {epoch}\nVersion: {version}\nRelease: {release}\nSummary: test\nLicense: MIT\nVendor: Fedora Project\nAutoReqProv: no\n{provides}%description\ntest\n%files\n"
        );
        node.write(&format!("rpms/{number}.spec"), &spec);
        let _ =
            writeln!(script, "rpmbuild -bb --quiet --target {architecture} --define '_topdir /rpms/{number}' --define '_rpmdir /rpms/built' /rpms/{number}.spec >/dev/null 2>&1 &");
        if number % 4 == 3 {
            script.push_str("wait\n");
        }
    }
    script.push_str("wait\nrpm -i --nodeps --ignorearch --oldpackage $(find /rpms/built -name '*.rpm')\n");
    node.shell(&script);
    node
}

/// The five words of a package.
pub fn fields(package: &str) -> [&str; 5] {
    package.split(' ').collect::<Vec<_>>().try_into().expect("a package has a name, an epoch, a version, a release and an architecture")
}

/// A repository: its packages and advisories.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    packages: Vec<(String, String)>,
    advisories: Vec<Advisory>,
    modules: String,
    in_chunks: bool,
}

#[derive(Debug, Clone)]
struct Advisory {
    id: String,
    kind: String,
    severity: String,
    packages: Vec<String>,
    suggestion: Option<String>,
}

impl Repository {
    /// Adds a package.
    #[must_use]
    pub fn package(self, package: &str) -> Self {
        self.package_that(package, "")
    }

    /// Adds a package with more in its `format` element, such as what it obsoletes.
    #[must_use]
    pub fn package_that(mut self, package: &str, format: &str) -> Self {
        self.packages.push((package.to_owned(), format.to_owned()));
        self
    }

    /// Adds an advisory: id, kind, severity, and the packages that it names.
    #[must_use]
    pub fn advisory(mut self, id: &str, kind: &str, severity: &str, packages: &[&str]) -> Self {
        let packages = packages.iter().map(|package| (*package).to_owned()).collect();
        self.advisories.push(Advisory { id: id.into(), kind: kind.into(), severity: severity.into(), packages, suggestion: None });
        self
    }

    /// Makes the last advisory suggest something, such as `reboot`.
    #[must_use]
    pub fn suggesting(mut self, what: &str) -> Self {
        self.advisories.last_mut().expect("an advisory was added").suggestion = Some(what.to_owned());
        self
    }

    /// Adds documents of `modules.yaml`.
    #[must_use]
    pub fn modules(mut self, text: &str) -> Self {
        self.modules.push_str(text);
        self
    }

    /// Has its metadata as zchunk files too.
    #[must_use]
    pub fn in_chunks(mut self) -> Self {
        self.in_chunks = true;
        self
    }

    /// Writes it below a root, with createrepo's own tool for the index.
    pub fn write(&self, node: &Overlay, folder: &str) {
        let at = |name: &str| format!("{}/{name}", folder.trim_start_matches('/'));
        let _ = std::fs::remove_dir_all(node.path().join(folder.trim_start_matches('/')));
        node.write(&at("primary.xml"), &self.primary());
        node.write(&at("filelists.xml"), "<?xml version=\"1.0\"?>\n<filelists xmlns=\"http://linux.duke.edu/metadata/filelists\" packages=\"0\"></filelists>\n");
        let mut kinds = vec!["primary", "filelists"];
        if !self.advisories.is_empty() {
            node.write(&at("updateinfo.xml"), &self.updateinfo());
            kinds.push("updateinfo");
        }
        if !self.modules.is_empty() {
            node.write(&at("modules.yaml"), &self.modules);
            kinds.push("modules");
        }
        node.write(&at("repodata/repomd.xml"), "<?xml version=\"1.0\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>1767323045</revision></repomd>\n");
        for kind in kinds {
            let extension = if kind == "modules" { "yaml" } else { "xml" };
            let in_chunks = if self.in_chunks { "--zck" } else { "" };
            node.shell(&format!("cd {folder}; modifyrepo_c {in_chunks} --mdtype={kind} {kind}.{extension} repodata >/dev/null"));
        }
    }

    fn primary(&self) -> String {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"{}\">\n",
            self.packages.len()
        );
        for (package, format) in &self.packages {
            let [name, epoch, version, release, architecture] = fields(package);
            let digest = checksum(package);
            let _ = writeln!(
                text,
                "<package type=\"rpm\"><name>{name}</name><arch>{architecture}</arch><version epoch=\"{epoch}\" ver=\"{version}\" rel=\"{release}\"/><checksum type=\"sha256\" pkgid=\"YES\">{digest}</checksum><summary>{name}</summary><description>{name} &amp; more</description><packager/><url/><time file=\"1\" build=\"1700000000\"/><size package=\"1\" installed=\"1\" archive=\"1\"/><location href=\"{name}-{version}-{release}.{architecture}.rpm\"/><format><rpm:license>MIT</rpm:license><rpm:vendor>Fedora Project</rpm:vendor><rpm:group>Unspecified</rpm:group><rpm:buildhost>b</rpm:buildhost><rpm:sourcerpm>{name}-{version}-{release}.src.rpm</rpm:sourcerpm><rpm:header-range start=\"1\" end=\"2\"/><rpm:provides><rpm:entry name=\"{name}\" flags=\"EQ\" epoch=\"{epoch}\" ver=\"{version}\" rel=\"{release}\"/></rpm:provides>{format}</format></package>"
            );
        }
        text + "</metadata>\n"
    }

    fn updateinfo(&self) -> String {
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<updates>\n".to_owned();
        for advisory in &self.advisories {
            let severity = if advisory.severity.is_empty() { String::new() } else { format!("<severity>{}</severity>", advisory.severity) };
            let number = advisory.id.chars().filter(char::is_ascii_digit).collect::<String>();
            let _ = write!(
                text,
                "<update from=\"a@b\" status=\"final\" type=\"{}\" version=\"1\"><id>{}</id><title>t</title><issued date=\"2026-01-02 03:04:05\"/><updated date=\"2026-01-03 03:04:05\"/>{severity}<summary>s</summary><description>d</description><references><reference href=\"h\" id=\"CVE-2026-{number}\" type=\"cve\" title=\"t\"/></references><pkglist><collection short=\"c\"><name>c</name>",
                advisory.kind, advisory.id
            );
            for package in &advisory.packages {
                let [name, epoch, version, release, architecture] = fields(package);
                let suggestion = advisory.suggestion.as_deref().map(|what| format!("<{what}_suggested>True</{what}_suggested>")).unwrap_or_default();
                let _ = write!(
                    text,
                    "<package name=\"{name}\" version=\"{version}\" release=\"{release}\" epoch=\"{epoch}\" arch=\"{architecture}\" src=\"s\"><filename>{name}-{version}-{release}.{architecture}.rpm</filename>{suggestion}</package>"
                );
            }
            text.push_str("</collection></pkglist></update>\n");
        }
        text + "</updates>\n"
    }
}

/// A checksum that no file has.
fn checksum(text: &str) -> String {
    domain::model::digest::Digest::of(text.as_bytes()).short(64)
}

/// Configures a repository of a node by its folder there.
pub fn configure(node: &Overlay, id: &str, more: &str) {
    node.write(&format!("etc/yum.repos.d/{id}.repo"), &format!("[{id}]\nname={id}\nbaseurl=file:///repositories/$releasever/{id}\nenabled=1\n{more}\n"));
}

/// The folder of that repository.
pub fn folder(id: &str) -> String {
    format!("/repositories/41/{id}")
}

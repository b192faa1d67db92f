//! What system a node runs, read from the text of os-release(5).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::version::Scheme;

/// Operating systems that baselines are written for, spelt as in AWS Systems Manager; the last four
/// are not among those of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperatingSystem {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Raspberry Pi OS.
    Raspbian,
    /// Red Hat Enterprise Linux.
    RedhatEnterpriseLinux,
    /// AlmaLinux.
    AlmaLinux,
    /// Rocky Linux.
    RockyLinux,
    /// Oracle Linux.
    OracleLinux,
    /// CentOS Stream, and CentOS before it.
    #[serde(rename = "CENTOS")]
    CentOs,
    /// Amazon Linux 2.
    #[serde(rename = "AMAZON_LINUX_2")]
    AmazonLinux2,
    /// Amazon Linux 2023.
    #[serde(rename = "AMAZON_LINUX_2023")]
    AmazonLinux2023,
    /// SUSE Linux Enterprise.
    Suse,
    /// openSUSE.
    #[serde(rename = "OPENSUSE")]
    OpenSuse,
    /// Fedora.
    Fedora,
    /// Alpine.
    Alpine,
    /// Arch.
    Arch,
}

impl OperatingSystem {
    /// Every one, in a fixed order.
    pub const ALL: [Self; 15] = [
        Self::Debian,
        Self::Ubuntu,
        Self::Raspbian,
        Self::RedhatEnterpriseLinux,
        Self::AlmaLinux,
        Self::RockyLinux,
        Self::OracleLinux,
        Self::CentOs,
        Self::AmazonLinux2,
        Self::AmazonLinux2023,
        Self::Suse,
        Self::OpenSuse,
        Self::Fedora,
        Self::Alpine,
        Self::Arch,
    ];

    /// What is known of it: the name for people, the word at the start of a product such as
    /// `Debian12`, the spelling of the wire.
    fn words(self) -> [&'static str; 3] {
        match self {
            Self::Debian => ["Debian", "Debian", "DEBIAN"],
            Self::Ubuntu => ["Ubuntu", "Ubuntu", "UBUNTU"],
            Self::Raspbian => ["Raspberry Pi OS", "Raspbian", "RASPBIAN"],
            Self::RedhatEnterpriseLinux => ["Red Hat Enterprise Linux", "RedhatEnterpriseLinux", "REDHAT_ENTERPRISE_LINUX"],
            Self::AlmaLinux => ["AlmaLinux", "AlmaLinux", "ALMA_LINUX"],
            Self::RockyLinux => ["Rocky Linux", "RockyLinux", "ROCKY_LINUX"],
            Self::OracleLinux => ["Oracle Linux", "OracleLinux", "ORACLE_LINUX"],
            Self::CentOs => ["CentOS", "CentOS", "CENTOS"],
            Self::AmazonLinux2 => ["Amazon Linux 2", "AmazonLinux", "AMAZON_LINUX_2"],
            Self::AmazonLinux2023 => ["Amazon Linux 2023", "AmazonLinux", "AMAZON_LINUX_2023"],
            Self::Suse => ["SUSE Linux Enterprise", "Suse", "SUSE"],
            Self::OpenSuse => ["openSUSE", "OpenSuse", "OPENSUSE"],
            Self::Fedora => ["Fedora", "Fedora", "FEDORA"],
            Self::Alpine => ["Alpine Linux", "Alpine", "ALPINE"],
            Self::Arch => ["Arch Linux", "Arch", "ARCH"],
        }
    }

    /// The name that people use.
    pub fn name(self) -> &'static str {
        self.words()[0]
    }

    /// The word at the start of a product such as `Debian12`.
    pub fn product_word(self) -> &'static str {
        self.words()[1]
    }

    /// The spelling of the wire, such as `DEBIAN`.
    pub fn code(self) -> &'static str {
        self.words()[2]
    }

    /// Whose rules order its versions.
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Debian | Self::Ubuntu | Self::Raspbian => Scheme::Deb,
            Self::Alpine => Scheme::Apk,
            Self::Arch => Scheme::Alpm,
            _ => Scheme::Rpm,
        }
    }

    /// Whether a repository with this `Origin` comes from the vendor. Raspberry Pi OS takes
    /// packages from Raspbian, Debian and the Foundation. The origin of an rpm repository is the
    /// vendor that most of its packages name.
    pub fn is_vendor_origin(self, origin: &str) -> bool {
        match self {
            Self::Debian => origin == "Debian",
            Self::Ubuntu => origin == "Ubuntu",
            Self::Raspbian => matches!(origin, "Raspbian" | "Debian" | "Raspberry Pi Foundation"),
            Self::RedhatEnterpriseLinux => origin.starts_with("Red Hat"),
            Self::AlmaLinux => origin.starts_with("AlmaLinux"),
            Self::RockyLinux => origin.starts_with("Rocky"),
            Self::OracleLinux => origin.starts_with("Oracle"),
            Self::CentOs => origin.starts_with("CentOS"),
            Self::AmazonLinux2 | Self::AmazonLinux2023 => origin.starts_with("Amazon"),
            Self::Suse => origin.starts_with("SUSE"),
            Self::OpenSuse => origin.starts_with("openSUSE") || origin.starts_with("SUSE"),
            Self::Fedora => origin.starts_with("Fedora"),
            Self::Alpine => origin == "Alpine",
            Self::Arch => origin == "Arch Linux",
        }
    }

    /// The system with this `ID` and `VERSION_ID` of os-release.
    fn of(id: &str, release: Option<&str>) -> Option<Self> {
        Some(match id {
            "debian" => Self::Debian,
            "ubuntu" => Self::Ubuntu,
            "raspbian" => Self::Raspbian,
            "rhel" => Self::RedhatEnterpriseLinux,
            "almalinux" => Self::AlmaLinux,
            "rocky" => Self::RockyLinux,
            "ol" => Self::OracleLinux,
            "centos" => Self::CentOs,
            "amzn" if release == Some("2") => Self::AmazonLinux2,
            "amzn" if release.is_some_and(|release| release.starts_with("2023")) => Self::AmazonLinux2023,
            "sles" | "sled" | "sles_sap" | "sle-micro" | "sl-micro" => Self::Suse,
            "fedora" => Self::Fedora,
            "alpine" => Self::Alpine,
            "arch" => Self::Arch,
            _ if id == "opensuse" || id.starts_with("opensuse-") => Self::OpenSuse,
            _ => return None,
        })
    }
}

/// Family, product and release of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Platform {
    /// The operating system, when it is one that Fettle knows.
    pub operating_system: Option<OperatingSystem>,
    /// `ID` of os-release, such as `debian`.
    pub id: String,
    /// The name for people, such as `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
    /// The product that baselines filter on, such as `Debian12`.
    pub product: String,
    /// The release, such as `12`; absent for testing and unstable.
    pub release: Option<String>,
    /// The release's code name, such as `bookworm`.
    pub codename: Option<String>,
    /// The package manager's native architecture, such as `amd64`.
    pub architecture: String,
}

/// Reads os-release text. Unknown systems give a platform without an operating system; a
/// derivative of Debian or Ubuntu (by `ID_LIKE`) stays unknown too, because its repositories,
/// and what counts as a security repository there, are its own.
pub fn detect(os_release: &str, architecture: &str) -> Platform {
    let field = |name: &str| os_release.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=').map(unquote)).filter(|value| !value.is_empty());
    let id = field("ID").unwrap_or_else(|| "linux".to_owned());
    let release = field("VERSION_ID");
    let operating_system = OperatingSystem::of(&id, release.as_deref());
    let product_word = operating_system.map_or_else(|| id.clone(), |system| system.product_word().to_owned());
    Platform {
        product: format!("{product_word}{}", release.as_deref().unwrap_or_default()),
        operating_system,
        name: field("PRETTY_NAME").unwrap_or_else(|| id.clone()),
        release,
        codename: field("VERSION_CODENAME").or_else(|| field("DEBIAN_CODENAME")),
        architecture: architecture.to_owned(),
        id,
    }
}

/// Takes the shell quoting off a value, as os-release(5) allows it.
fn unquote(value: &str) -> String {
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    match (quoted('"'), quoted('\'')) {
        (Some(inner), _) => {
            let mut escaped = false;
            inner
                .chars()
                .filter(|&c| {
                    escaped = c == '\\' && !escaped;
                    !escaped
                })
                .collect()
        }
        (None, Some(inner)) => inner.to_owned(),
        (None, None) => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_recognised() {
        let bookworm = detect("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n", "amd64");
        assert_eq!((bookworm.operating_system, bookworm.product.as_str()), (Some(OperatingSystem::Debian), "Debian12"));
        let noble = detect("ID=ubuntu\nID_LIKE=debian\nVERSION_ID='24.04'\n", "arm64");
        assert_eq!((noble.operating_system, noble.product.as_str()), (Some(OperatingSystem::Ubuntu), "Ubuntu24.04"));
        let sid = detect("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nVERSION_CODENAME=forky\n", "amd64");
        assert_eq!((sid.product.as_str(), sid.release), ("Debian", None));
    }

    #[test]
    fn rpm_apk_and_pacman_systems_are_recognised() {
        let product = |id: &str, release: &str| {
            let platform = detect(&format!("ID={id}\nVERSION_ID={release}\n"), "x86_64");
            (platform.operating_system, platform.product)
        };
        let systems = OperatingSystem::ALL;
        assert!(systems.iter().all(|system| serde_json::to_value(system).unwrap() == system.code()));
        assert_eq!(product("rhel", "9.4"), (Some(OperatingSystem::RedhatEnterpriseLinux), "RedhatEnterpriseLinux9.4".into()));
        assert_eq!(product("amzn", "2"), (Some(OperatingSystem::AmazonLinux2), "AmazonLinux2".into()));
        assert_eq!(product("amzn", "2023"), (Some(OperatingSystem::AmazonLinux2023), "AmazonLinux2023".into()));
        assert_eq!(product("amzn", "2018.03").0, None);
        assert_eq!(product("opensuse-leap", "15.6"), (Some(OperatingSystem::OpenSuse), "OpenSuse15.6".into()));
        assert_eq!(product("sles", "15.5"), (Some(OperatingSystem::Suse), "Suse15.5".into()));
        assert_eq!(product("alpine", "3.23.4"), (Some(OperatingSystem::Alpine), "Alpine3.23.4".into()));
    }

    #[test]
    fn a_derivative_or_an_empty_file_is_unknown() {
        assert_eq!(detect("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=22\n", "amd64").operating_system, None);
        assert_eq!(detect("", "amd64").id, "linux");
    }

    #[test]
    fn quoting_is_taken_off() {
        assert_eq!(unquote(r#""a \"b\" \\c""#), r#"a "b" \c"#);
        assert_eq!(unquote("'x'"), "x");
        assert_eq!(unquote("\""), "\"");
    }
}

//! What system a node runs, read from the text of os-release(5).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Operating systems that baselines are written for, spelt as in AWS Systems Manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperatingSystem {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Raspberry Pi OS.
    Raspbian,
}

impl OperatingSystem {
    /// Every one, in a fixed order.
    pub const ALL: [Self; 3] = [Self::Debian, Self::Ubuntu, Self::Raspbian];

    /// The name that people use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
            Self::Raspbian => "Raspberry Pi OS",
        }
    }

    /// The word at the start of a product such as `Debian12`.
    pub fn product_word(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
            Self::Raspbian => "Raspbian",
        }
    }

    /// The spelling of the wire, such as `DEBIAN`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Debian => "DEBIAN",
            Self::Ubuntu => "UBUNTU",
            Self::Raspbian => "RASPBIAN",
        }
    }

    /// Whether a repository with this `Origin` comes from the vendor. Raspberry Pi OS takes
    /// packages from Raspbian, Debian and the Foundation.
    pub fn is_vendor_origin(self, origin: &str) -> bool {
        match self {
            Self::Debian => origin == "Debian",
            Self::Ubuntu => origin == "Ubuntu",
            Self::Raspbian => matches!(origin, "Raspbian" | "Debian" | "Raspberry Pi Foundation"),
        }
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
    let operating_system = match id.as_str() {
        "debian" => Some(OperatingSystem::Debian),
        "ubuntu" => Some(OperatingSystem::Ubuntu),
        "raspbian" => Some(OperatingSystem::Raspbian),
        _ => None,
    };
    let release = field("VERSION_ID");
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

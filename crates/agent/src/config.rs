//! The agent's own configuration: where the server is, and what this node allows at all. Only this
//! machine's administrator can change it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::model::node::Allows;
use serde::{Deserialize, Serialize};

use crate::install::Hook;

/// Where the configuration is when nothing else is said.
pub const CONFIG_PATH: &str = "/etc/fettle/agent.yaml";
/// Where the agent keeps its state when nothing else is said.
pub const STATE_PATH: &str = "/var/lib/fettle-agent";
/// Where custom inventory is when nothing else is said.
pub const CUSTOM_PATH: &str = "/etc/fettle/inventory.d";

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The server, such as `https://fettle.example:7300`.
    pub server: String,
    /// What may be done to this node besides scanning it: install, reboot, hooks.
    #[serde(default)]
    pub allows: Vec<String>,
    /// Programs that runs may call by these names, when hooks are allowed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<String, Hook>,
    /// Seconds that another program that changes packages is waited for.
    #[serde(default = "ten_minutes", skip_serializing_if = "is_ten_minutes")]
    pub lock_wait_seconds: u32,
    /// Where the agent keeps its state.
    #[serde(default = "state_path")]
    pub state: PathBuf,
    /// A folder of JSON files that become part of the inventory.
    #[serde(default = "custom_path")]
    pub custom_inventory: PathBuf,
    /// A proxy to reach the server through, such as `http://proxy.example:3128`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Whether to ask the cloud that this machine may run in about it.
    #[serde(default = "yes")]
    pub cloud_metadata: bool,
}

fn state_path() -> PathBuf {
    STATE_PATH.into()
}

fn custom_path() -> PathBuf {
    CUSTOM_PATH.into()
}

const fn ten_minutes() -> u32 {
    600
}

fn is_ten_minutes(seconds: &u32) -> bool {
    *seconds == ten_minutes()
}

fn yes() -> bool {
    true
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read the agent's configuration `{path}`")]
    Read {
        /// Which.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file does not read.
    #[error("the agent's configuration `{path}` does not read: {detail}")]
    Malformed {
        /// Which.
        path: String,
        /// What is wrong, with line and column.
        detail: String,
    },
}

impl AgentConfig {
    /// The configuration of a node that joins a server.
    pub fn new(server: &str, state: &Path) -> Self {
        Self {
            server: server.trim_end_matches('/').to_owned(),
            allows: Vec::new(),
            hooks: BTreeMap::new(),
            lock_wait_seconds: ten_minutes(),
            state: state.to_owned(),
            custom_inventory: custom_path(),
            proxy: None,
            cloud_metadata: true,
        }
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.display().to_string(), source })?;
        let malformed = |detail: String| ConfigError::Malformed { path: path.display().to_string(), detail };
        let config: Self = serde_saphyr::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        config.check().map_err(malformed)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if !self.server.starts_with("https://") {
            return Err(format!("server: `{}` does not begin with https://", self.server));
        }
        if let Some((name, _)) = self.hooks.iter().find(|(_, hook)| !hook.program.first().is_some_and(|program| program.starts_with('/'))) {
            return Err(format!("hooks: `{name}` needs a program with its whole path, such as [/usr/local/bin/{name}]"));
        }
        Allows::parse(&self.allows.join(" ")).map(drop).map_err(|error| format!("allows: {error}"))
    }

    /// What this node allows.
    pub fn allows(&self) -> Allows {
        Allows::parse(&self.allows.join(" ")).unwrap_or(Allows::SCAN)
    }

    /// The file's text, with a word on each setting.
    pub fn text(&self) -> String {
        let proxy = self.proxy.as_ref().map_or_else(String::new, |proxy| format!("# How the server is reached.\nproxy: {proxy}\n"));
        let cloud_metadata = if self.cloud_metadata { "" } else { "# The cloud that this machine may run in is not asked about it.\ncloud_metadata: false\n" };
        format!(
            "# The configuration of the Fettle agent. The server can ask for nothing that is not allowed here.\n\
             server: {}\n\
             # What may be done to this node besides scanning it: install, reboot, hooks.\n\
             allows: [{}]\n\
             state: {}\n\
             # JSON files in this folder become part of the inventory.\n\
             custom_inventory: {}\n{proxy}{cloud_metadata}",
            self.server,
            self.allows.join(", "),
            self.state.display(),
            self.custom_inventory.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AgentConfig, String> {
        let folder = testkit::folder();
        let path = folder.path().join("agent.yaml");
        std::fs::write(&path, text).unwrap();
        AgentConfig::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_reads_back() {
        let config = AgentConfig { allows: vec!["install".into(), "reboot".into()], ..AgentConfig::new("https://fettle.example:7300/", Path::new("/var/lib/x")) };
        assert_eq!(read(&config.text()), Ok(config.clone()));
        let behind_proxy = AgentConfig { proxy: Some("http://proxy.example:3128".into()), cloud_metadata: false, ..config.clone() };
        assert_eq!(read(&behind_proxy.text()), Ok(behind_proxy));
        assert_eq!(config.allows().words(), "scan, install, reboot");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(read("server: http://a").unwrap_err().contains("does not begin with https://"));
        assert!(read("server: https://a\nhooks: {drain: {program: [drain]}}").unwrap_err().contains("`drain` needs a program with its whole path"));
        assert!(read("server: https://a\nallows: [root]").unwrap_err().contains("`root` is nothing that a node can allow"));
        let unknown = read("server: https://a\nalows: []").unwrap_err();
        assert!(unknown.contains("alows") && unknown.contains("line 2"), "{unknown}");
    }
}

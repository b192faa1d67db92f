//! Folders and addresses, from flags, then the environment, then defaults.

use std::env;
use std::path::PathBuf;

/// Where the server keeps its data when nothing else is said.
#[cfg(feature = "server")]
pub fn data_folder() -> PathBuf {
    home_folder("XDG_DATA_HOME", ".local/share", "/var/lib")
}

/// Where a scan keeps what makes the next one faster.
pub fn cache_folder() -> PathBuf {
    home_folder("XDG_CACHE_HOME", ".cache", "/var/cache")
}

/// `$VARIABLE/fettle`, else `~/BELOW_HOME/fettle`; for a user without a home, `SYSTEM/fettle`.
fn home_folder(variable: &str, below_home: &str, system: &str) -> PathBuf {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)));
    base.unwrap_or_else(|| PathBuf::from(system)).join("fettle")
}

/// Whether colour is wanted: the terminal has it and `NO_COLOR` is not set.
pub fn colour_wanted() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// Whether this process may change the system, as `apt-get update` needs.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Lets this process open as many files as the system allows it at all; how many that is. Each
/// connection is one.
#[cfg(feature = "server")]
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // What cannot be raised is used as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

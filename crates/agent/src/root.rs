//! A root folder and bounded reads below it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use domain::model::problem::{Problem, ProblemCode};
use domain::model::time::Timestamp;

/// Largest configuration file that is read, in bytes.
const CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The folder that holds a system: `/`, or one that was made or mounted elsewhere.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// The system below `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Whether this is the running system.
    pub fn is_running_system(&self) -> bool {
        self.path == Path::new("/")
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The place of an absolute path below this root.
    pub fn join(&self, absolute: &str) -> PathBuf {
        self.path.join(absolute.trim_start_matches('/'))
    }

    /// The text of a small file, `None` when there is none. Bytes that are not UTF-8 are replaced.
    /// What cannot be read becomes a problem.
    pub fn read_text(&self, absolute: &str, problems: &mut Vec<Problem>) -> Option<String> {
        let file = self.open(absolute, problems)?;
        let read = || -> std::io::Result<Vec<u8>> {
            let size = file.metadata()?.len().min(CONFIG_BYTES_MAX);
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
            file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) if bytes.len() as u64 > CONFIG_BYTES_MAX => {
                problems.push(Problem::new(ProblemCode::LimitReached, absolute, format!("{absolute} is larger than {CONFIG_BYTES_MAX} bytes and was left out")));
                None
            }
            // Nearly every file is UTF-8, and checking that is much cheaper than replacing what is not.
            Ok(bytes) => Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())),
            Err(error) => {
                problems.push(unreadable(absolute, &error));
                None
            }
        }
    }

    /// Opens a file, `None` when there is none. What cannot be opened becomes a problem.
    pub fn open(&self, absolute: &str, problems: &mut Vec<Problem>) -> Option<File> {
        match File::open(self.join(absolute)) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::NotADirectory => None,
            Err(error) => {
                problems.push(unreadable(absolute, &error));
                None
            }
        }
    }

    /// Names of the files in a folder, sorted; nothing when there is no such folder.
    pub fn list_names(&self, absolute: &str, problems: &mut Vec<Problem>) -> Vec<String> {
        let entries = match std::fs::read_dir(self.join(absolute)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                problems.push(unreadable(absolute, &error));
                return Vec::new();
            }
        };
        let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// When a file or folder was last changed.
    pub fn modified_at(&self, absolute: &str) -> Option<Timestamp> {
        modified_at(&self.join(absolute))
    }
}

/// When a file or folder was last changed.
pub fn modified_at(path: &Path) -> Option<Timestamp> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    let since_epoch = modified.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).ok()?))
}

/// The problem of a file that exists and cannot be read.
pub fn unreadable(path: &str, error: &std::io::Error) -> Problem {
    Problem::new(ProblemCode::FileUnreadable, path, format!("failed to read {path}: {error}")).with_hint("run as root, or give the folder of a system with --root")
}

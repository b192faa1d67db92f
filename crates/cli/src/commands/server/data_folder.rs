//! The server's data folder: its lock, its database, and where programs find the running server.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// A data folder that no other server uses while this is alive.
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// How programs on this machine reach the running server.
#[derive(Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub url: String,
    /// A token for its API.
    pub token: String,
}

impl DataFolder {
    /// Makes the folder where it is missing, and takes its lock.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let place = path.display();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| Failure::new(format!("failed to make the data folder `{place}`"), "give a folder that you can write with --data DIR"))?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path.join("lock"));
        let lock = lock.with_context(|| Failure::new(format!("failed to write to the data folder `{place}`"), "give a folder that you can write with --data DIR"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(format!("the data folder `{place}` is in use by another server"), "stop that server, or give another folder with --data DIR").into())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("failed to lock the data folder `{place}`")),
        }
    }

    /// Whether a server holds the folder.
    pub fn is_in_use(path: &Path) -> bool {
        let lock = OpenOptions::new().append(true).open(path.join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Place of the embedded database.
    pub fn database(path: &Path) -> PathBuf {
        path.join("fettle.db")
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets programs of this user find the server.
    pub fn publish(&self, endpoint: &Endpoint) -> anyhow::Result<()> {
        let unfinished = self.path.join("server.json.new");
        let written = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(&serde_json::to_vec(endpoint)?)?;
            fs::rename(&unfinished, Endpoint::place(&self.path))
        };
        written().with_context(|| format!("failed to write `{}`", Endpoint::place(&self.path).display()))
    }

    /// Takes that back.
    pub fn unpublish(&self) {
        // A file left behind is harmless: its token ends with the next start.
        let _ = fs::remove_file(Endpoint::place(&self.path));
    }
}

impl Endpoint {
    /// Where it is kept.
    pub fn place(folder: &Path) -> PathBuf {
        folder.join("server.json")
    }

    /// The server that runs on a data folder.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let place = Self::place(folder);
        let bytes = fs::read(&place).map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow::Error::new(Failure::new(
                format!("no server runs on the data folder `{}`", folder.display()),
                "start one with `fettle up`, or name its folder with --data DIR",
            )),
            _ => anyhow::Error::new(error).context(Failure::new(format!("failed to read `{}`", place.display()), "run this as the user who runs the server")),
        })?;
        serde_json::from_slice(&bytes).with_context(|| Failure::new(format!("`{}` is damaged", place.display()), "restart the server; it writes the file anew"))
    }
}

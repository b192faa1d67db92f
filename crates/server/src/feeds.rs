//! Fetching vendors' feeds, and importing them: what was imported before counts until an import has ended.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use catalog::feed::{Item, ReadError};
use catalog::repomd::Metadata;
use domain::model::catalog::{Catalog, ENTRIES_MAX, Entry};
use domain::model::feed::{Feed, FeedFormat, ImportCounts, PROBLEMS_MAX};
use reqwest::{StatusCode, Url, header};
use store::feeds::FeedRecord;
use store::{Database, StoreError};
use tokio::sync::mpsc;

/// Largest file that is fetched or taken; the archive of every Ubuntu notice has 600 MB.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Entries of one transaction, so that nobody waits for long.
const BATCH: usize = 500;
/// Batches that wait to be written.
const WAITING_MAX: usize = 4;
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);
/// How long a server may say nothing.
const READ_PATIENCE: Duration = Duration::from_mins(1);
const REDIRECTS_MAX: usize = 5;
/// Entries that are read at once at the start.
const PAGE: u32 = 2000;

/// Why a feed brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The address is not one to fetch from.
    #[error("`{url}` is not an address to fetch from: {why}")]
    Address {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
    /// It could not be fetched.
    #[error("failed to fetch {url}: {detail}")]
    Fetch {
        /// The address.
        url: String,
        /// What went wrong.
        detail: String,
    },
    /// The file is broken, cut or foreign.
    #[error("nothing was imported: the file does not read: {0}")]
    File(io::Error),
    /// It has so few entries that something must be wrong with it.
    #[error("nothing was imported: the feed had {before} entries and has {now} now; if that is right, remove the feed and add it again")]
    Shrunk {
        /// How many there were.
        before: u32,
        /// How many there would be.
        now: u32,
    },
    /// It has more entries than there is room for.
    #[error("nothing was imported: it has more than {ENTRIES_MAX} entries")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks an address: feeds decide what is patched, so they come over TLS, or from this very machine.
pub fn check_url(text: &str) -> Result<Url, FeedError> {
    let refuse = |why: &str| FeedError::Address { url: text.chars().take(200).collect(), why: why.to_owned() };
    let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        "http" => Err(refuse("it must begin with https://")),
        _ => Err(refuse("it must be an https address")),
    }
}

/// What was fetched.
pub struct Fetched {
    /// The file, or the folder with the metadata of a repository.
    pub path: PathBuf,
    /// What tells it from what will be there later.
    pub validator: Option<String>,
}

/// Fetches a feed into a folder; nothing when it is what it was.
pub async fn fetch(feed: &Feed, validator: Option<&str>, folder: &Path) -> Result<Option<Fetched>, FeedError> {
    let url = check_url(feed.url.as_deref().unwrap_or_default())?;
    let client = client().map_err(|error| fetch_error(&url, &error))?;
    if feed.format != FeedFormat::Repository {
        let path = folder.join("feed");
        return Ok(download(&client, url, validator, &path).await?.map(|validator| Fetched { path, validator }));
    }
    let base = format!("{}/", url.as_str().trim_end_matches('/'));
    let index = format!("{base}repodata/repomd.xml");
    download(&client, check_url(&index)?, None, &folder.join("repomd.xml")).await?;
    let metadata = Metadata::open(folder).map_err(FeedError::File)?;
    if validator == Some(metadata.digest.as_str()) {
        return Ok(None);
    }
    if let Some(location) = metadata.location("updateinfo") {
        let name = location.rsplit('/').next().unwrap_or_default().to_owned();
        download(&client, check_url(&format!("{base}repodata/{name}"))?, None, &folder.join(name)).await?;
    }
    Ok(Some(Fetched { path: folder.to_owned(), validator: Some(metadata.digest) }))
}

fn client() -> reqwest::Result<reqwest::Client> {
    let follow = reqwest::redirect::Policy::custom(|attempt| {
        let is_safe = check_url(attempt.url().as_str()).is_ok();
        if attempt.previous().len() > REDIRECTS_MAX || !is_safe { attempt.stop() } else { attempt.follow() }
    });
    reqwest::Client::builder().connect_timeout(CONNECT_PATIENCE).read_timeout(READ_PATIENCE).redirect(follow).build()
}

fn fetch_error(url: &Url, error: &reqwest::Error) -> FeedError {
    FeedError::Fetch { url: url.to_string(), detail: deepest(error) }
}

/// The cause below all others: what was wrong on the wire.
pub(crate) fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Downloads a file; nothing when it is what it was, else what tells it from later ones.
async fn download(client: &reqwest::Client, url: Url, validator: Option<&str>, path: &Path) -> Result<Option<Option<String>>, FeedError> {
    let failed = |error: reqwest::Error| fetch_error(&url, &error);
    let detail = |detail: String| FeedError::Fetch { url: url.to_string(), detail };
    let mut request = client.get(url.clone());
    if let Some(validator) = validator {
        request = request.header(if validator.contains('"') { header::IF_NONE_MATCH } else { header::IF_MODIFIED_SINCE }, validator);
    }
    let mut response = request.send().await.map_err(failed)?;
    if response.status() == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    if response.status() != StatusCode::OK {
        return Err(detail(format!("the server answers {}", response.status())));
    }
    let of_header = |name: header::HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let found = of_header(header::ETAG).filter(|tag| tag.contains('"')).or_else(|| of_header(header::LAST_MODIFIED));
    let promised = response.content_length();
    let mut file = std::fs::File::create(path).map_err(FeedError::File)?;
    let mut n_bytes = 0;
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        n_bytes += chunk.len() as u64;
        if n_bytes > FILE_BYTES_MAX {
            return Err(detail(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        file.write_all(&chunk).map_err(FeedError::File)?;
    }
    if promised.is_some_and(|promised| promised != n_bytes) {
        return Err(detail("it ended early".to_owned()));
    }
    Ok(Some(found))
}

/// Imports a feed from a file: what changed is written, and counts all at once when all of it is there.
pub async fn import(database: &Database, record: &FeedRecord, path: PathBuf) -> Result<FeedRecord, FeedError> {
    let FeedRecord { feed, import: before, state } = record.clone();
    let known = database.read().await?.list_entry_times(&feed.name).await?;
    let number = before + 1;
    let mut tx = database.write().await?;
    tx.delete_unfinished_import(&feed.name, before).await?;
    tx.commit().await?;

    let (send, mut received) = mpsc::channel(WAITING_MAX);
    let reading = {
        let (feed, known) = (feed.clone(), known);
        tokio::task::spawn_blocking(move || read(&feed, &path, known, &send))
    };
    while let Some(batch) = received.recv().await {
        let mut tx = database.write().await?;
        tx.insert_catalog_entries(&feed.name, number, &batch).await?;
        tx.commit().await?;
    }
    let read = reading.await.map_err(|_| FeedError::File(io::Error::other("reading it ended unexpectedly")))?;
    let (n_entries, last, removed) = match read {
        Ok(read) if state.n_entries > 1 && read.0 * 2 < state.n_entries => Err(FeedError::Shrunk { before: state.n_entries, now: read.0 }),
        other => other,
    }?;
    let mut finished = FeedRecord { feed, import: number, state };
    finished.state.n_entries = n_entries;
    finished.state.last = last;
    let mut tx = database.write().await?;
    tx.finish_import(&finished, &removed).await?;
    tx.commit().await?;
    Ok(finished)
}

type Read = (u32, ImportCounts, Vec<String>);

/// Reads a feed and sends what changed: how many entries it has, what it brought, and what is gone.
fn read(feed: &Feed, path: &Path, known: std::collections::HashMap<String, domain::model::time::Timestamp>, send: &mpsc::Sender<Vec<Entry>>) -> Result<Read, FeedError> {
    let mut counts = ImportCounts::default();
    let mut seen = std::collections::HashSet::new();
    let mut batch = Vec::with_capacity(BATCH);
    let mut is_open = true;
    let walked = catalog::feed::read(
        feed.format,
        feed.product.as_deref(),
        path,
        |id| known.get(id).copied(),
        |item| {
            match item {
                // The first of two counts.
                Item::Entry(entry) if !seen.contains(&entry.id) => {
                    seen.insert(entry.id.clone());
                    batch.push(*entry);
                    counts.n_changed += 1;
                }
                Item::Entry(_) => {}
                Item::Unchanged(id) => drop(seen.insert(id)),
                Item::PassedOver => counts.n_passed_over += 1,
                Item::Malformed(problem) => {
                    counts.n_malformed += 1;
                    if counts.problems.len() < PROBLEMS_MAX {
                        counts.problems.push(problem.chars().take(300).collect());
                    }
                }
            }
            if batch.len() >= BATCH {
                is_open = send.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_ok();
            }
            is_open && seen.len() <= ENTRIES_MAX
        },
    );
    match walked {
        Err(ReadError::File(error)) => return Err(FeedError::File(error)),
        Err(ReadError::Stopped) => return Err(FeedError::TooMany),
        Ok(()) => {}
    }
    let _ = send.blocking_send(batch);
    let mut removed: Vec<_> = known.into_keys().filter(|id| !seen.contains(id)).collect();
    removed.sort_unstable();
    counts.n_removed = u32::try_from(removed.len()).unwrap_or(u32::MAX);
    Ok((u32::try_from(seen.len()).unwrap_or(u32::MAX), counts, removed))
}

/// The catalog of everything that is stored.
pub async fn load(database: &Database) -> Result<Arc<Catalog>, StoreError> {
    let mut tx = database.read().await?;
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        let page = tx.list_catalog_entries(after.as_ref(), PAGE).await?;
        let Some((feed, last)) = page.last() else { break };
        after = Some((feed.clone(), last.id.clone()));
        entries.extend(page.into_iter().map(|(_, entry)| entry));
    }
    Ok(Arc::new(Catalog::new(entries)))
}

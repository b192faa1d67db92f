//! Feeds: where vendors publish their advisories.

use std::path::Path;

use api::v1::feed::AddFeed;
use domain::model::feed::{EVERY_HOURS_MAX, FEEDS_MAX, Feed, FeedFormat, FeedState, NAME_LENGTH_MAX};
use store::AuditEntry;
use store::feeds::FeedRecord;

use crate::App;
use crate::actions::{ActionError, Caller};
use crate::feeds::{self, FeedError};

/// Vendors publish a few times a day.
const EVERY_HOURS_DEFAULT: u16 = 6;

/// Every feed, by name.
pub async fn list(app: &App, _caller: &Caller) -> Result<Vec<FeedRecord>, ActionError> {
    Ok(app.database().read().await?.list_feeds().await?)
}

/// One feed.
pub async fn find(app: &App, caller: &Caller, name: &str) -> Result<FeedRecord, ActionError> {
    let found = list(app, caller).await?.into_iter().find(|record| record.feed.name == name);
    found.ok_or_else(|| ActionError::not_found("feed", name))
}

/// Adds a feed. It is not fetched yet.
pub async fn add(app: &App, caller: &Caller, body: &AddFeed) -> Result<FeedRecord, ActionError> {
    let name = body.name.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || !name.chars().all(is_plain) {
        return Err(ActionError::invalid("name", format!("a feed's name has 1 to {NAME_LENGTH_MAX} of letters, digits, `-`, `_` and `.`")));
    }
    let format = FeedFormat::ALL.into_iter().find(|format| format.code().eq_ignore_ascii_case(&body.format)).ok_or_else(|| {
        let known = FeedFormat::ALL.map(FeedFormat::code).join(", ");
        ActionError::invalid("format", format!("`{}` is no format of feeds; these are: {known}", body.format.chars().take(60).collect::<String>()))
    })?;
    let given = |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let (url, product) = (given(&body.url), given(&body.product));
    if let Some(url) = &url {
        feeds::check_url(url).map_err(|error| ActionError::invalid("url", error.to_string()))?;
    } else if format == FeedFormat::Repository {
        return Err(ActionError::invalid("url", "a repository is fetched, so it needs an address"));
    }
    if product.is_some() != format.needs_product() || product.as_ref().is_some_and(|product| product.len() > NAME_LENGTH_MAX || !product.chars().all(is_plain)) {
        let message =
            if format.needs_product() { "its entries do not say which product they are for: name one, such as RockyLinux9" } else { "its entries say which products they are for" };
        return Err(ActionError::invalid("product", message));
    }
    let every_hours = body.every_hours.unwrap_or(EVERY_HOURS_DEFAULT);
    if !(1..=EVERY_HOURS_MAX).contains(&every_hours) {
        return Err(ActionError::invalid("every_hours", format!("{every_hours} hours are not from 1 to {EVERY_HOURS_MAX}")));
    }
    let known = list(app, caller).await?;
    if known.len() >= FEEDS_MAX {
        return Err(ActionError::invalid("name", format!("there are {FEEDS_MAX} feeds, which is the limit")));
    }
    if known.iter().any(|record| record.feed.name == name) {
        return Err(ActionError::invalid("name", format!("there is a feed `{name}` already")));
    }
    let record = FeedRecord { feed: Feed { name: name.to_owned(), format, url, product, every_hours }, import: 0, state: FeedState::default() };
    let mut tx = app.database().write().await?;
    tx.upsert_feed(&record).await?;
    tx.append_audit(&audit(app, caller, "feed.add", name, record.feed.url.clone().unwrap_or_default())).await?;
    tx.commit().await?;
    Ok(record)
}

/// Removes a feed with everything that it said.
pub async fn remove(app: &App, caller: &Caller, name: &str) -> Result<(), ActionError> {
    let _import = app.begin_import().await;
    let mut tx = app.database().write().await?;
    if !tx.delete_feed(name).await? {
        return Err(ActionError::not_found("feed", name));
    }
    tx.append_audit(&audit(app, caller, "feed.remove", name, String::new())).await?;
    tx.commit().await?;
    app.reload_catalog().await?;
    Ok(())
}

/// Looks at a feed now: fetches it, and imports what changed.
pub async fn refresh(app: &App, caller: &Caller, name: &str) -> Result<FeedRecord, ActionError> {
    let _import = app.begin_import().await;
    let record = find(app, caller, name).await?;
    if record.feed.url.is_none() {
        return Err(ActionError::invalid("name", format!("`{name}` has no address: import a file into it")));
    }
    let folder = app.create_spool_folder()?;
    let fetched = feeds::fetch(&record.feed, record.state.validator.as_deref(), folder.path()).await;
    take(app, caller, record, fetched.map(|fetched| fetched.map(|fetched| (fetched.path, fetched.validator)))).await
}

/// Imports a feed from a file on this machine.
pub async fn import(app: &App, caller: &Caller, name: &str, path: &Path) -> Result<FeedRecord, ActionError> {
    let _import = app.begin_import().await;
    let record = find(app, caller, name).await?;
    if record.feed.format == FeedFormat::Repository {
        return Err(ActionError::invalid("name", format!("`{name}` is a repository, which is fetched with its checksums; a file goes into a feed of format UPDATEINFO")));
    }
    take(app, caller, record, Ok(Some((path.to_owned(), None)))).await
}

/// Looks at every feed whose time has come; a feed that fails is told about by its state.
pub async fn refresh_due(app: &App, caller: &Caller) -> Result<(), ActionError> {
    for record in list(app, caller).await?.iter().filter(|record| record.feed.is_due(&record.state, app.now())) {
        if let Err(error) = refresh(app, caller, &record.feed.name).await {
            tracing::warn!(feed.name = record.feed.name, %error, "a feed could not be refreshed");
        }
    }
    Ok(())
}

/// Takes in what was found, and remembers how that went.
async fn take(app: &App, caller: &Caller, mut record: FeedRecord, found: Result<Option<(std::path::PathBuf, Option<String>)>, FeedError>) -> Result<FeedRecord, ActionError> {
    let now = app.now();
    record.state.checked_at = Some(now);
    let imported = match found {
        Ok(Some((path, validator))) => feeds::import(app.database(), &record, path).await.map(|imported| Some((imported, validator))),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let (is_changed, failed) = match imported {
        Ok(Some((imported, validator))) => {
            record = imported;
            record.state.imported_at = Some(now);
            record.state.validator = validator;
            (record.state.last.n_changed + record.state.last.n_removed > 0, None)
        }
        Ok(None) => (false, None),
        Err(error) => (false, Some(error)),
    };
    record.state.error = failed.as_ref().map(ToString::to_string);
    let mut tx = app.database().write().await?;
    tx.upsert_feed(&record).await?;
    if is_changed {
        let last = &record.state.last;
        let detail = format!("{} changed, {} removed, {} malformed", last.n_changed, last.n_removed, last.n_malformed);
        tx.append_audit(&audit(app, caller, "feed.import", &record.feed.name, detail)).await?;
    }
    tx.commit().await?;
    if is_changed {
        app.reload_catalog().await?;
    }
    failed.map_or(Ok(record), |error| Err(error.into()))
}

fn audit(app: &App, caller: &Caller, action: &str, name: &str, detail: String) -> AuditEntry {
    AuditEntry { at: app.now(), actor: caller.actor.clone(), action: action.to_owned(), subject: name.to_owned(), detail }
}

//! Notifications: news for channels, tried until they are sent or a day is over.

use std::path::Path;
use std::time::Duration;

use domain::model::channel::{Channel, Destination, Event};
use domain::model::time::{DAY_MS, HOUR_MS, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde_json::json;
use sha2::Sha256;
use store::notifications::Notification;
use store::{StoreError, WriteTx};

use crate::App;
use crate::actions::{Caller, exceptions};

/// How often it is looked whether there are news to send.
const PERIOD: Duration = Duration::from_secs(5);
/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// News that are sent in one look.
const SENT_MAX: u32 = 100;
/// The wait before the second attempt; it doubles with each.
const FIRST_PAUSE_MS: i64 = 10_000;
/// How often it is looked which decisions end soon.
const EXPIRY_PERIOD: Duration = Duration::from_hours(1);
/// Most names of nodes in one piece of news.
const NAMES_MAX: usize = 20;
/// News are kept for so long, and tried for a day.
const KEPT_MS: i64 = 30 * DAY_MS;

/// Sends what is due, for as long as the server runs.
pub async fn run(app: App) {
    let mut period = tokio::time::interval(PERIOD);
    let mut hour = tokio::time::interval(EXPIRY_PERIOD);
    loop {
        let done = tokio::select! {
            _ = period.tick() => send_due(&app).await.map(|_| ()),
            _ = hour.tick() => tell_expiring(&app).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "notifications could not be sent");
        }
    }
}

/// Tells channels something, once; those of these names, or all when there is none.
#[expect(clippy::too_many_arguments, reason = "each is another part of the news")]
pub(crate) async fn tell(app: &App, tx: &mut WriteTx, names: &[String], event: Event, news: &str, subject: &str, detail: &str, now: Timestamp) -> Result<(), StoreError> {
    let channels: Vec<_> = {
        let state = app.fleet().read();
        let is_for = |channel: &&Channel| channel.takes(event) && (names.is_empty() || names.contains(&channel.name));
        state.intents.channels().filter(is_for).map(|channel| channel.name.clone()).collect()
    };
    for channel in channels {
        tx.insert_notification(&notification(app, &channel, event, news, subject, detail, now)).await?;
    }
    Ok(())
}

pub(crate) fn notification(app: &App, channel: &str, event: Event, news: &str, subject: &str, detail: &str, now: Timestamp) -> Notification {
    Notification {
        id: app.create_id(|ids| format!("no-{}", ids.next_digits(now))),
        channel: channel.to_owned(),
        event: event.word().to_owned(),
        news: news.to_owned(),
        subject: subject.to_owned(),
        detail: detail.to_owned(),
        created_at: now,
        next_at: Some(now),
        n_attempts: 0,
        sent_at: None,
        failure: None,
    }
}

/// Tells that nodes are not compliant any more: together, and no more than once an hour.
pub(crate) async fn tell_non_compliant(app: &App, numbers: &[u32], now: Timestamp) -> Result<(), StoreError> {
    let names: Vec<_> = {
        let state = app.fleet().read();
        numbers.iter().take(NAMES_MAX).filter_map(|number| state.nodes.get(*number as usize)).map(|node| node.name.clone()).collect()
    };
    let subject = if numbers.len() == 1 { format!("{} is not compliant any more", names.join(", ")) } else { format!("{} nodes are not compliant any more", numbers.len()) };
    let more = if numbers.len() > names.len() { format!(" and {} more", numbers.len() - names.len()) } else { String::new() };
    let news = format!("not compliant in hour {}", now.as_millis() / HOUR_MS);
    let mut tx = app.database().write().await?;
    tell(app, &mut tx, &[], Event::NonCompliant, &news, &subject, &format!("{}{more}", names.join(", ")), now).await?;
    tx.commit().await
}

/// Tells that decisions end soon: exceptions within two weeks, each once.
pub async fn tell_expiring(app: &App) -> Result<(), StoreError> {
    let now = app.now();
    let ending = exceptions::list_ending(app, &Caller::of("fettle"));
    if ending.is_empty() {
        return Ok(());
    }
    let mut tx = app.database().write().await?;
    for (of, exception) in ending {
        let subject = format!("the exception for {} ends on {}", exception.patch, exception.until);
        let detail = format!("{} answers for it: {}. It is of {of}.", exception.owner, exception.reason);
        let news = format!("exception {of} {} {}", exception.patch, exception.until);
        tell(app, &mut tx, &[], Event::Expiring, &news, &subject, &detail, now).await?;
    }
    tx.commit().await
}

/// Sends what is due once.
pub async fn send_due(app: &App) -> Result<usize, StoreError> {
    let now = app.now();
    let due = app.database().read().await?.list_due_notifications(now, SENT_MAX).await?;
    for notification in &due {
        let channel = app.fleet().read().intents.channels().find(|channel| channel.name == notification.channel).cloned();
        let sent = match channel {
            Some(channel) => send(&channel, notification, app.secrets()).await,
            None => Err("there is no such channel any more".to_owned()),
        };
        let now = app.now();
        let mut tx = app.database().write().await?;
        match sent {
            Ok(()) => tx.note_attempt(&notification.id, Some(now), None, None).await?,
            Err(failure) => {
                let pause = FIRST_PAUSE_MS.saturating_mul(1 << notification.n_attempts.min(20));
                let next_at = Some(now.plus_millis(pause)).filter(|next_at| *next_at < notification.created_at.plus_millis(DAY_MS));
                tracing::warn!(channel = notification.channel, attempt = notification.n_attempts + 1, failure, "a notification could not be sent");
                tx.note_attempt(&notification.id, None, Some(&failure), next_at).await?;
            }
        }
        tx.commit().await?;
    }
    if due.is_empty() {
        let mut tx = app.database().write().await?;
        if tx.delete_notifications_before(now.plus_millis(-KEPT_MS)).await? > 0 {
            tx.commit().await?;
        }
    }
    Ok(due.len())
}

async fn send(channel: &Channel, notification: &Notification, secrets: &Path) -> Result<(), String> {
    let sent = async {
        match &channel.to {
            Destination::Webhook { url, secret } => {
                let key = secret.as_deref().map(|name| read_secret(secrets, name)).transpose()?;
                post(url, &webhook_body(notification), key.as_deref()).await
            }
            Destination::Slack { url_secret } => {
                let text = format!("*{}*\n{}", notification.subject, notification.detail);
                post(read_secret(secrets, url_secret)?.trim(), &json!({ "text": text }).to_string(), None).await
            }
            Destination::Smtp { server, from, to, user, password_secret, plain } => {
                let password = password_secret.as_deref().map(|name| read_secret(secrets, name)).transpose()?;
                mail(server, from, to, user.clone().zip(password), *plain, notification).await
            }
        }
    };
    tokio::time::timeout(PATIENCE, sent).await.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// What a webhook gets: the id tells a repeated attempt from other news.
fn webhook_body(notification: &Notification) -> String {
    let Notification { id, event, subject, detail, created_at, .. } = notification;
    json!({ "id": id, "event": event, "at": created_at.to_string(), "subject": subject, "detail": detail }).to_string()
}

/// A secret of the data folder. Its name was checked: it is no path.
fn read_secret(folder: &Path, name: &str) -> Result<String, String> {
    std::fs::read_to_string(folder.join(name)).map(|text| text.trim_end().to_owned()).map_err(|error| format!("the secret `{name}` cannot be read: {error}"))
}

async fn post(url: &str, body: &str, key: Option<&str>) -> Result<(), String> {
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().map_err(|error| error.to_string())?;
    let mut request = client.post(url).header("content-type", "application/json").body(body.to_owned());
    if let Some(key) = key {
        request = request.header("fettle-signature", format!("sha256={}", signature(key, body)));
    }
    // An address may be a secret: it is not shown.
    let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
}

/// The HMAC-SHA256 of a body, in hexadecimal digits.
fn signature(key: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn mail(server: &str, from: &str, to: &[String], sign_in: Option<(String, String)>, plain: bool, notification: &Notification) -> Result<(), String> {
    let (host, port) = server.rsplit_once(':').ok_or("the server is no HOST:PORT")?;
    let port: u16 = port.parse().map_err(|_| "the server is no HOST:PORT")?;
    let mailbox = |address: &str| address.parse::<Mailbox>().map_err(|error| format!("`{address}` is no address: {error}"));
    let mut message = Message::builder().from(mailbox(from)?).subject(format!("[Fettle] {}", notification.subject)).message_id(Some(format!("<{}@fettle>", notification.id)));
    for address in to {
        message = message.to(mailbox(address)?);
    }
    let message = message.body(notification.detail.clone()).map_err(|error| error.to_string())?;
    let builder = if plain {
        if !["localhost", "127.0.0.1", "::1", "[::1]"].contains(&host) {
            return Err("only a mail server on this machine may do without encryption".to_owned());
        }
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
    } else if port == 465 {
        AsyncSmtpTransport::<Tokio1Executor>::relay(host).map_err(|error| error.to_string())?
    } else {
        AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host).map_err(|error| error.to_string())?
    };
    let mut builder = builder.port(port).timeout(Some(PATIENCE));
    if let Some((user, password)) = sign_in {
        builder = builder.credentials(Credentials::new(user, password));
    }
    builder.build().send(message).await.map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn a_signature_is_the_hmac_of_the_body() {
        // RFC 4231, test case 2.
        assert_eq!(signature("Jefe", "what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}

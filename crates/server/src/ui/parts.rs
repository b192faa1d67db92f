//! Pieces that pages share: badges, times, pages of lists, bars, forms.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use domain::model::compliance::{PatchState, Verdict};
use domain::model::node::{Presence, TagSource};
use domain::model::time::{DAY_MS, HOUR_MS, Timestamp};
use maud::{Markup, html};

use crate::App;
use crate::actions::sessions;
use crate::http::BrowserSession;
use crate::ui::errors;

/// The fields of a form as they were sent; a name may occur more than once.
pub struct FormPairs(Vec<(String, String)>);

impl FormPairs {
    /// The first value of a field, trimmed.
    pub fn value(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// Whether a field was sent.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Every value of a field.
    pub fn values(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// Whether the form was made for this session.
    pub fn belongs_to(&self, session: &BrowserSession) -> bool {
        self.value("form_token") == sessions::form_token(&session.secret)
    }
}

impl FromRequest<App> for FormPairs {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let parsed: Result<Form<Vec<(String, String)>>, _> = Form::from_request(request, app).await;
        parsed.map(|Form(pairs)| Self(pairs)).map_err(|_| errors::unreadable_form())
    }
}

/// The text of a parameter that may be absent.
pub fn text(value: Option<&String>) -> &str {
    value.map(String::as_str).unwrap_or_default()
}

/// Whether a node is heard of, as sign and word.
pub fn presence(presence: Presence) -> Markup {
    let (class, sign) = match presence {
        Presence::Online => ("good", "●"),
        Presence::Late => ("doubt", "◐"),
        Presence::Silent => ("bad", "○"),
        Presence::Awaited => ("note", "…"),
        Presence::Retired => ("", "–"),
    };
    badge(class, sign, presence.word())
}

/// Tags; those that nobody gave by hand are quiet.
pub fn tags(tags: &BTreeMap<String, (TagSource, String)>) -> Markup {
    html! {
        @if tags.is_empty() { span.quiet { "none" } }
        @for (key, (source, value)) in tags {
            a.tag.quiet[*source == TagSource::Fact] href=(address("/nodes", &[("tag", &format!("{key}={value}"))], None)) title={ "from " (source.word()) } { (key) "=" (value) }
            " "
        }
    }
}

/// Reads tags such as `env=prod, team=web`; the error says which is none.
pub fn parse_tags(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pair = |tag: &str| {
        let pair = tag.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
        pair.ok_or_else(|| format!("`{tag}` is not a tag such as env=prod"))
    };
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(pair).collect()
}

/// A verdict as sign and word.
pub fn verdict(verdict: Verdict) -> Markup {
    let (class, sign) = match verdict {
        Verdict::Compliant => ("good", "✓"),
        Verdict::NonCompliant => ("bad", "✕"),
        Verdict::Unknown => ("doubt", "?"),
        Verdict::Unmanaged => ("", "○"),
    };
    badge(class, sign, verdict.words())
}

/// A patch state as sign and words.
pub fn state(state: PatchState) -> Markup {
    let (class, sign) = match state {
        PatchState::Missing | PatchState::Failed | PatchState::InstalledRejected => ("bad", "✕"),
        PatchState::InstalledPendingReboot => ("doubt", "↻"),
        PatchState::AvailableSecurityUpdate => ("note", "!"),
        PatchState::Installed => ("good", "✓"),
        PatchState::InstalledOther => ("", "·"),
    };
    badge(class, sign, state.words())
}

/// A sign and a word in a frame.
pub fn badge(class: &str, sign: &str, words: &str) -> Markup {
    html! { span.badge.(class) { span aria-hidden="true" { (sign) } (words) } }
}

/// How long ago, with the instant itself for those who want it.
pub fn ago(at: Timestamp, now: Timestamp) -> Markup {
    let seconds = (now.as_millis() - at.as_millis()) / 1000;
    let words = match seconds {
        ..=-1 => "in the future".to_owned(),
        0..=59 => "just now".to_owned(),
        60..=3599 => count(seconds / 60, "minute"),
        3600.. if seconds * 1000 < 2 * DAY_MS => count(seconds * 1000 / HOUR_MS, "hour"),
        _ => count(seconds * 1000 / DAY_MS, "day"),
    };
    html! { time datetime=(at) title=(at) { (words) } }
}

fn count(number: i64, unit: &str) -> String {
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

/// A number with its noun.
pub fn number_of(number: u32, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Links below a list: back to its beginning, and on. The address keeps every filter.
pub fn pages(path: &str, filters: &[(&str, &str)], cursor: Option<&str>, next_cursor: Option<&str>) -> Markup {
    let first = address(path, filters, None);
    html! {
        @if cursor.is_some() || next_cursor.is_some() {
            nav.pages aria-label="Pages" {
                @if cursor.is_some() { a href=(first) { "First page" } } @else { span.quiet { "First page" } }
                @if let Some(next) = next_cursor { a rel="next" href=(address(path, filters, Some(next))) { "Next page" } } @else { span.quiet { "Last page" } }
            }
        }
    }
}

/// An address with the filters that are set.
pub fn address(path: &str, filters: &[(&str, &str)], cursor: Option<&str>) -> String {
    let pairs = filters.iter().copied().chain(cursor.map(|cursor| ("cursor", cursor))).filter(|(_, value)| !value.is_empty());
    let query: Vec<_> = pairs.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A bar whose parts are shares of a whole, with the same in words for those who cannot see it.
pub fn bar(parts: &[(&str, &str, u32)]) -> Markup {
    let whole: u32 = parts.iter().map(|(_, _, number)| number).sum();
    let words: Vec<_> = parts.iter().map(|(_, words, number)| format!("{number} {words}")).collect();
    let mut start = 0;
    let placed: Vec<_> = parts
        .iter()
        .map(|(class, _, number)| {
            let width = f64::from(*number) * 1000.0 / f64::from(whole.max(1));
            let x = start;
            start += number;
            (*class, f64::from(x) * 1000.0 / f64::from(whole.max(1)), width)
        })
        .collect();
    html! {
        svg.bar viewBox="0 0 1000 12" preserveAspectRatio="none" role="img" aria-label=(words.join(", ")) {
            rect.rest x="0" y="0" width="1000" height="12" {}
            @for (class, x, width) in placed { rect.(class) x=(format!("{x:.1}")) y="0" width=(format!("{width:.1}")) height="12" {} }
        }
    }
}

/// An `option` of a filter.
pub fn choice(value: &str, words: &str, chosen: &str) -> Markup {
    html! { option value=(value) selected[value == chosen] { (words) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_filters_and_escape_them() {
        assert_eq!(address("/nodes", &[("q", "a b&c"), ("verdict", "")], Some("1.2")), "/nodes?q=a%20b%26c&cursor=1.2");
        assert_eq!(address("/nodes", &[], None), "/nodes");
    }

    #[test]
    fn ages_read_as_people_say_them() {
        let now = Timestamp::from_millis(100 * DAY_MS);
        for (millis, words) in
            [(0, "just now"), (61_000, "1 minute ago"), (3 * HOUR_MS, "3 hours ago"), (47 * HOUR_MS, "47 hours ago"), (3 * DAY_MS, "3 days ago"), (-5000, "in the future")]
        {
            assert!(ago(now.plus_millis(-millis), now).into_string().ends_with(&format!("{words}</time>")), "{words}");
        }
    }
}

//! Channels: where notifications go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::intent::{check_text, is_secret_name};

/// The version of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChannelSchema {
    /// The first.
    #[serde(rename = "channel/v1")]
    V1,
}

/// Where notifications go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// `channel/v1`.
    pub schema: ChannelSchema,
    /// Its name.
    pub name: String,
    /// How they get there.
    pub to: Destination,
    /// Which; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
}

/// How notifications get to people or programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Destination {
    /// JSON by POST; `Fettle-Signature` holds the HMAC-SHA256 of the body when there is a secret.
    Webhook {
        /// Where.
        url: String,
        /// The name of a secret in the server's data folder, `secrets/NAME`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
    },
    /// What Slack's incoming webhooks take, and Mattermost's and others'.
    Slack {
        /// The name of the secret that holds the address: who knows that can post.
        url_secret: String,
    },
    /// Mail.
    Smtp {
        /// `HOST:PORT` of the mail server.
        server: String,
        /// Who writes.
        from: String,
        /// To whom.
        to: Vec<String>,
        /// Name to sign in with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// The name of the secret that is the password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password_secret: Option<String>,
        /// Whether the connection is encrypted; only a server on this machine may do without.
        #[serde(default)]
        plain: bool,
    },
}

/// What people are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Event {
    /// An operation began.
    Started,
    /// An operation ended.
    Finished,
    /// An operation halted itself.
    Halted,
    /// A node failed.
    Failed,
    /// An operation waits for a second person.
    ApprovalNeeded,
    /// A node is not compliant any more.
    NonCompliant,
    /// A decision ends soon: an exception, a freeze.
    Expiring,
    /// Somebody tries a channel.
    Test,
}

impl Event {
    /// The word shown to people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Finished => "FINISHED",
            Self::Halted => "HALTED",
            Self::Failed => "FAILED",
            Self::ApprovalNeeded => "APPROVAL_NEEDED",
            Self::NonCompliant => "NON_COMPLIANT",
            Self::Expiring => "EXPIRING",
            Self::Test => "TEST",
        }
    }
}

impl Channel {
    /// Whether it is for an event.
    pub fn takes(&self, event: Event) -> bool {
        self.events.is_empty() || self.events.contains(&event) || event == Event::Test
    }

    /// What is not possible in it, a sentence each.
    pub fn check(&self, wrong: &mut Vec<String>) {
        let is_url = |url: &str| url.starts_with("https://") || url.starts_with("http://");
        let mut check_secret = |field: &str, name: Option<&String>| {
            if name.is_some_and(|name| !is_secret_name(name)) {
                wrong.push(format!("to.{field} is the name of a file in `secrets`: 1 to 64 letters, digits, `-` and `_`"));
            }
        };
        match &self.to {
            Destination::Webhook { url, secret } => {
                check_secret("webhook.secret", secret.as_ref());
                if !is_url(url) || url.len() > 2000 {
                    wrong.push("to.webhook.url is no https:// or http:// address".to_owned());
                }
            }
            Destination::Slack { url_secret } => check_secret("slack.url_secret", Some(url_secret)),
            Destination::Smtp { server, from, to, user, password_secret, .. } => {
                check_secret("smtp.password_secret", password_secret.as_ref());
                let port = server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                if port.is_none() {
                    wrong.push("to.smtp.server is no HOST:PORT".to_owned());
                }
                let is_address = |address: &String| address.contains('@') && !address.contains(|c: char| c.is_control() || c.is_whitespace() || c == '<' || c == '>');
                if to.is_empty() || to.len() > 20 || !to.iter().chain([from]).all(is_address) {
                    wrong.push("to.smtp needs `from` and 1 to 20 `to` of the form name@example.org".to_owned());
                }
                if user.is_some() != password_secret.is_some() {
                    wrong.push("to.smtp.user and to.smtp.password_secret belong together".to_owned());
                }
                if let Some(user) = user {
                    check_text("to.smtp.user", user, 1, wrong);
                }
            }
        }
    }
}

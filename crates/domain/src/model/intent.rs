//! What operators want, as documents: policies, windows, freezes, reboot groups, channels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::baseline::{BaselineError, DOCUMENT_BYTES_MAX, parse_document};
use crate::model::channel::Channel;
use crate::model::freeze::Freeze;
use crate::model::policy::Policy;
use crate::model::reboot_group::RebootGroup;
use crate::model::window::Window;

/// Longest name or other short text.
const TEXT_LENGTH_MAX: usize = 128;

/// Kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IntentKind {
    /// Patch policies.
    Policy,
    /// Maintenance windows.
    Window,
    /// Freezes.
    Freeze,
    /// Reboot groups.
    RebootGroup,
    /// Channels of notifications.
    Channel,
}

impl IntentKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Policy, Self::Window, Self::Freeze, Self::RebootGroup, Self::Channel];

    /// What one is called.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Window => "window",
            Self::Freeze => "freeze",
            Self::RebootGroup => "reboot-group",
            Self::Channel => "channel",
        }
    }

    /// What several are called, in addresses too.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Policy => "policies",
            Self::Window => "windows",
            Self::Freeze => "freezes",
            Self::RebootGroup => "reboot-groups",
            Self::Channel => "channels",
        }
    }

    /// The kind with this noun or plural.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.noun() == word || kind.plural() == word)
    }
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Intent {
    /// A patch policy.
    Policy(Box<Policy>),
    /// A maintenance window.
    Window(Window),
    /// A freeze.
    Freeze(Freeze),
    /// A reboot group.
    RebootGroup(RebootGroup),
    /// A channel.
    Channel(Channel),
}

/// What every document begins with.
#[derive(Deserialize)]
struct Heading {
    #[serde(default)]
    schema: String,
}

impl Intent {
    /// Reads a document from YAML or JSON and checks its values.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(BaselineError::TooLarge { bytes: text.len() });
        }
        let Heading { schema } = parse_document(text)?;
        let kind = schema.strip_suffix("/v1").and_then(IntentKind::parse);
        let intent = match kind {
            Some(IntentKind::Policy) => Self::Policy(Box::new(parse_document(text)?)),
            Some(IntentKind::Window) => Self::Window(parse_document(text)?),
            Some(IntentKind::Freeze) => Self::Freeze(parse_document(text)?),
            Some(IntentKind::RebootGroup) => Self::RebootGroup(parse_document(text)?),
            Some(IntentKind::Channel) => Self::Channel(parse_document(text)?),
            None => {
                let known: Vec<_> = IntentKind::ALL.into_iter().map(|kind| format!("{}/v1", kind.noun())).collect();
                let message = format!("`schema: {}` is none of {}", schema.chars().take(40).collect::<String>(), known.join(", "));
                return Err(BaselineError::Malformed { message, hint: None });
            }
        };
        let wrong = intent.impossible_values();
        if wrong.is_empty() { Ok(intent) } else { Err(BaselineError::Impossible(wrong)) }
    }

    /// Its kind.
    pub fn kind(&self) -> IntentKind {
        match self {
            Self::Policy(_) => IntentKind::Policy,
            Self::Window(_) => IntentKind::Window,
            Self::Freeze(_) => IntentKind::Freeze,
            Self::RebootGroup(_) => IntentKind::RebootGroup,
            Self::Channel(_) => IntentKind::Channel,
        }
    }

    /// Its name, unique among those of its kind.
    pub fn name(&self) -> &str {
        match self {
            Self::Policy(policy) => &policy.name,
            Self::Window(window) => &window.name,
            Self::Freeze(freeze) => &freeze.name,
            Self::RebootGroup(group) => &group.name,
            Self::Channel(channel) => &channel.name,
        }
    }

    /// The document as people write it.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("a document has text keys only")
    }

    fn impossible_values(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        check_text("name", self.name(), 3, &mut wrong);
        if !self.name().chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) {
            wrong.push("name: letters, digits, `.`, `-` and `_` make a name".to_owned());
        }
        match self {
            Self::Policy(policy) => policy.check(&mut wrong),
            Self::Window(window) => window.check(&mut wrong),
            Self::Freeze(freeze) => freeze.check(&mut wrong),
            Self::RebootGroup(group) => group.check(&mut wrong),
            Self::Channel(channel) => channel.check(&mut wrong),
        }
        wrong
    }
}

/// Whether a text names a secret of the server: a file, and no path.
pub fn is_secret_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Checks a short text.
pub fn check_text(place: &str, text: &str, length_min: usize, wrong: &mut Vec<String>) {
    if !(length_min..=TEXT_LENGTH_MAX).contains(&text.len()) || text.contains(char::is_control) {
        wrong.push(format!("{place} must be {length_min} to {TEXT_LENGTH_MAX} plain bytes"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_says_where_it_is_and_what_was_meant() {
        let why = |text: &str| {
            let error = Intent::parse(text).unwrap_err();
            format!("{error} {}", error.hint().unwrap_or_default())
        };
        assert!(why("schema: polizy/v1\n").starts_with("`schema: polizy/v1` is none of policy/v1, window/v1"), "{}", why("schema: polizy/v1\n"));
        let misspelt = why("schema: freeze/v1\nname: year-end\ntargets: {everyone: true}\nfrom: 2026-12-18T00:00:00Z\nuntl: 2027-01-04T00:00:00Z\n");
        assert!(misspelt.contains("untl") && misspelt.contains("did you mean `until`?"), "{misspelt}");
        let zone = why("schema: window/v1\nname: night\nschedule: daily 02:00\nzone: Europe/Atlantis\nduration_hours: 4\n");
        assert!(zone.contains("is no time zone such as"), "{zone}");
        let owner = why("schema: freeze/v1\nname: y\ntargets: {}\nfrom: 2026-12-18T00:00:00Z\nuntil: 2026-12-17T00:00:00Z\nowner: ''\nreason: audit\n");
        assert_eq!(
            owner,
            "name must be 3 to 128 plain bytes; targets names nobody: name units, accounts, regions, tags, operating_systems, a query or nodes, or say `everyone: true`; owner must be 1 to 128 plain bytes; until is not after from "
        );
    }

    #[test]
    fn a_document_comes_back_as_it_went() {
        let text = "schema: policy/v1\nname: production\ntargets: {tags: {env: prod}, exclude: {nodes: [mi-1]}}\nbaselines: {DEBIAN: mine}\nscan: {schedule: daily 01:00, wait_until_first: false}\n\
                    install: {schedule: monthly TUE#2 02:00, zone: Europe/Berlin, offset_days: 4, catch_up: RUN_AT_ONCE}\nwindows: [night]\nmaximum_minutes: 240\nreboot: NEVER\nhooks: {before: drain}\n\
                    rollout: {start: FIRST_NODE, spread_minutes: 30, rings: [{name: canary, percent: 5, soak_minutes: 60, gate: {prometheus: {url: 'http://p:9090', query: up}}}, {name: rest}]}\nneeds_approval: true\nnotify: [ops]\n";
        let intent = Intent::parse(text).unwrap();
        assert_eq!(Intent::parse(&intent.to_yaml()).unwrap(), intent);
        let channel = Intent::parse("schema: channel/v1\nname: ops\nto: {smtp: {server: 'mail:587', from: a@b.c, to: [d@e.f]}}\nevents: [HALTED]\n").unwrap();
        assert_eq!(Intent::parse(&channel.to_yaml()).unwrap(), channel);
    }
}

//! Baselines: the documents that say which patches are approved for one operating system.
//!
//! Fields, limits and meanings follow AWS Systems Manager's `PatchBaseline`; the document is what
//! YAML files, the API and the store hold.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::id::BaselineId;
use crate::model::platform::OperatingSystem;
use crate::model::time::Timestamp;

/// Largest baseline document that is read, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Most approval rules of a baseline. AWS allows 10; beyond 100 nobody can say what is approved.
pub const RULES_MAX: usize = 100;
/// Most values of one filter.
pub const FILTER_VALUES_MAX: usize = 20;
/// Most entries of the approved and of the rejected list.
pub const LIST_ENTRIES_MAX: usize = 1000;
/// Longest value of a filter, in characters.
pub const FILTER_VALUE_LENGTH_MAX: usize = 64;
/// Longest entry of a list, in characters.
pub const LIST_ENTRY_LENGTH_MAX: usize = 100;
/// Longest approval delay.
pub const APPROVE_AFTER_DAYS_MAX: u16 = 360;
/// Most repositories of one's own.
pub const SOURCES_MAX: usize = 20;
/// Most products of each.
pub const SOURCE_PRODUCTS_MAX: usize = 20;
/// Longest configuration of a repository, in characters.
pub const SOURCE_CONFIGURATION_LENGTH_MAX: usize = 1024;
/// Longest text of an exception, in characters.
pub const EXCEPTION_TEXT_LENGTH_MAX: usize = 200;

/// The version of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BaselineSchema {
    /// The first.
    #[serde(rename = "baseline/v1")]
    V1,
}

/// A patch baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The version of the document.
    pub schema: BaselineSchema,
    /// Its name: 3 to 128 of letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The operating system it is for.
    pub operating_system: OperatingSystem,
    /// What is looked at in the first place; empty lets everything through.
    #[serde(default, skip_serializing_if = "PatchFilters::is_empty")]
    pub global_filters: PatchFilters,
    /// Rules that approve patches; one that matches is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approval_rules: Vec<ApprovalRule>,
    /// Package names approved at once, `*` allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_patches: Vec<String>,
    /// The compliance level of patches that the list approves.
    #[serde(default, skip_serializing_if = "ComplianceLevel::is_unspecified")]
    pub approved_patches_compliance_level: ComplianceLevel,
    /// Whether the list also approves what is no security patch.
    #[serde(default, skip_serializing_if = "is_false")]
    pub approved_patches_enable_non_security: bool,
    /// Package names never approved, `*` allowed. Beats everything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected_patches: Vec<String>,
    /// What rejection means for what is installed, and for dependencies.
    #[serde(default)]
    pub rejected_patches_action: RejectedPatchesAction,
    /// Patches approved or rejected for a while, each by somebody. They end by themselves, and come before
    /// everything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    /// Repositories of one's own that are used while a node is scanned and patched, and not otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Whether a node is compliant while a security update exists that is not approved (yet).
    #[serde(default, skip_serializing_if = "AvailableSecurityUpdates::is_compliant")]
    pub available_security_updates_compliance_status: AvailableSecurityUpdates,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A repository of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name: 3 to 50 of letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// The products that it is for, such as `Debian12`; `*` is every one.
    pub products: Vec<String>,
    /// What the package manager's own file says of it: a line of sources.list(5), or the text of a `.repo` file.
    pub configuration: String,
}

impl Source {
    /// Whether it is for nodes with a product.
    pub fn is_for(&self, product: &str) -> bool {
        self.products.iter().any(|wanted| wanted == "*" || wanted.eq_ignore_ascii_case(product))
    }

    /// Where it is fetched from, as patterns: a package manager's variable is `*`. None where only a list of mirrors is named.
    pub fn places(&self) -> Vec<String> {
        let is_other = |line: &str| line.split_once('=').is_some_and(|(key, _)| !key.trim().contains(char::is_whitespace) && key.trim() != "baseurl");
        let lines = self.configuration.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']) && !is_other(line));
        let words = lines.flat_map(|line| line.split([' ', '\t', '=', ','])).filter(|word| word.contains(":/") && !word.starts_with("mirror"));
        words.map(|word| without_variables(word.trim_end_matches('/'))).collect()
    }

    /// What is not possible in it on any system.
    pub(crate) fn check_text(&self, place: &str, wrong: &mut Vec<String>) {
        let is_plain = self.name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        if !(3..=50).contains(&self.name.len()) || !is_plain {
            wrong.push(format!("{place}.name: `{}` must have 3 to 50 letters, digits, `_`, `-` or `.`", self.name.chars().take(40).collect::<String>()));
        }
        let is_product = |product: &String| (1..=128).contains(&product.chars().count());
        if !(1..=SOURCE_PRODUCTS_MAX).contains(&self.products.len()) || !self.products.iter().all(is_product) {
            wrong.push(format!("{place}.products: must have 1 to {SOURCE_PRODUCTS_MAX} products of 1 to 128 characters"));
        }
        let n = self.configuration.chars().count();
        if !(1..=SOURCE_CONFIGURATION_LENGTH_MAX).contains(&n) || self.configuration.contains('\0') {
            wrong.push(format!("{place}.configuration: must have 1 to {SOURCE_CONFIGURATION_LENGTH_MAX} characters, and has {n}"));
        }
    }

    fn check(&self, place: &str, system: OperatingSystem, wrong: &mut Vec<String>) {
        self.check_text(place, wrong);
        if matches!(system, OperatingSystem::Alpine | OperatingSystem::Arch) {
            wrong.push(format!("{place}: {} has no files for single repositories; sources are for apt, dnf, yum and zypper", system.name()));
        }
    }
}

/// A text with `*` in place of each `$name` and `${name}`.
fn without_variables(text: &str) -> String {
    let mut parts = text.split('$');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = match part.strip_prefix('{') {
            Some(braced) => braced.split_once('}').map_or("", |(_, rest)| rest),
            None => part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'),
        };
        plain.push('*');
        plain.push_str(rest);
    }
    plain
}

/// A patch that is approved or rejected for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// What, as in the lists of approved and rejected patches.
    pub patch: String,
    /// What is decided.
    pub decision: Decision,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds (`YYYY-MM-DD`, UTC).
    pub until: String,
}

/// What an exception decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Decision {
    /// The patch is approved, whatever rules and lists say.
    Approve,
    /// The patch is rejected.
    Reject,
}

impl Decision {
    /// As part of a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reject => "rejected",
        }
    }
}

impl Exception {
    /// The last instant at which it holds.
    pub fn ends_at(&self) -> Option<Timestamp> {
        Timestamp::parse_end_of_date(&self.until)
    }

    /// Notes what is wrong with it; `place` says where it stands.
    pub fn check(&self, place: &str, wrong: &mut Vec<String>) {
        for (key, text) in [("patch", &self.patch), ("owner", &self.owner), ("reason", &self.reason)] {
            let n = text.chars().count();
            if text.trim().is_empty() || n > EXCEPTION_TEXT_LENGTH_MAX {
                wrong.push(format!("{place}.{key}: must have 1 to {EXCEPTION_TEXT_LENGTH_MAX} characters"));
            }
        }
        if self.ends_at().is_none() {
            wrong.push(format!("{place}.until: `{}` is not a day such as 2026-11-24", self.until));
        }
    }
}

/// What a security update that exists and is not approved means for a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AvailableSecurityUpdates {
    /// Nothing.
    #[default]
    Compliant,
    /// The node is not compliant.
    NonCompliant,
}

impl AvailableSecurityUpdates {
    fn is_compliant(&self) -> bool {
        *self == Self::Compliant
    }
}

/// A rule that approves patches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// What it matches: filters are joined by AND, the values of one by OR.
    #[serde(default, skip_serializing_if = "PatchFilters::is_empty")]
    pub filters: PatchFilters,
    /// Days between the day that `delay_from` means and a patch's approval: 0 to 360.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve_after_days: Option<u16>,
    /// Approves what came out on this day (`YYYY-MM-DD`, UTC) or before, by the date that `delay_from` means.
    /// Instead of a delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve_until_date: Option<String>,
    /// Since when a patch counts as being out.
    #[serde(default, skip_serializing_if = "DelayFrom::is_later")]
    pub delay_from: DelayFrom,
    /// How bad it is when an approved patch is missing.
    #[serde(default, skip_serializing_if = "ComplianceLevel::is_unspecified")]
    pub compliance_level: ComplianceLevel,
    /// Whether the rule also approves what is no security patch.
    #[serde(default, skip_serializing_if = "is_false")]
    pub enable_non_security: bool,
}

/// Since when a patch counts as being out. What is not known is never long ago.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DelayFrom {
    /// Its release or its first sighting, whichever is later; where only one is known, that.
    #[default]
    Later,
    /// Its release, as the vendor's advisory dates it.
    Release,
    /// Its first sighting: when a node was first offered it.
    FirstSeen,
}

impl DelayFrom {
    fn is_later(&self) -> bool {
        *self == Self::Later
    }
}

/// Values that a patch must have; an absent or empty list lets every value through, and so does `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchFilters {
    /// Products such as `Debian12`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product: Vec<String>,
    /// Classifications such as `Security`; apt knows that and `Other`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classification: Vec<String>,
    /// Vendor severities such as `Important`; only advisories give any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub severity: Vec<String>,
    /// Archive sections such as `libs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub section: Vec<String>,
    /// Archive priorities such as `Required`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub priority: Vec<String>,
    /// Repositories by their short name, such as `Debian-Security bookworm-security`; `*` `?` `[…]` allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repository: Vec<String>,
    /// Package names; `*` `?` `[…]` allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub name: Vec<String>,
    /// Package architectures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architecture: Vec<String>,
    /// Ids of advisories; `*` `?` `[…]` allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advisory: Vec<String>,
    /// Vulnerabilities that a patch closes; `*` `?` `[…]` allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cve: Vec<String>,
}

impl PatchFilters {
    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.named().all(|(_, values)| values.is_empty())
    }

    /// Every filter with its key.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        [
            ("product", self.product.as_slice()),
            ("classification", self.classification.as_slice()),
            ("severity", self.severity.as_slice()),
            ("section", self.section.as_slice()),
            ("priority", self.priority.as_slice()),
            ("repository", self.repository.as_slice()),
            ("name", self.name.as_slice()),
            ("architecture", self.architecture.as_slice()),
            ("advisory", self.advisory.as_slice()),
            ("cve", self.cve.as_slice()),
        ]
        .into_iter()
    }
}

/// How bad it is when an approved patch is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ComplianceLevel {
    /// Not said.
    #[default]
    Unspecified,
    /// For information.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl ComplianceLevel {
    /// Every one, the least urgent first.
    pub const ALL: [Self; 6] = [Self::Unspecified, Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    fn is_unspecified(&self) -> bool {
        *self == Self::Unspecified
    }

    /// The word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What rejection means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RejectedPatchesAction {
    /// May come in as a dependency; an installed one is fine.
    #[default]
    AllowAsDependency,
    /// Never comes in; an installed one is not compliant.
    Block,
}

/// Why a text is not a baseline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// It is larger than any real baseline.
    #[error("baseline has {bytes} bytes, more than the limit of {DOCUMENT_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It does not have the form of a baseline.
    #[error("{message}")]
    Malformed {
        /// What and where.
        message: String,
        /// What was probably meant.
        hint: Option<String>,
    },
    /// Its values are not possible, each with the field.
    #[error("{}", .0.join("; "))]
    Impossible(Vec<String>),
}

impl BaselineError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Malformed { hint, .. } => hint.as_deref(),
            _ => None,
        }
    }
}

impl Baseline {
    /// Reads a baseline from YAML or JSON and checks its values.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(BaselineError::TooLarge { bytes: text.len() });
        }
        let baseline: Self = parse_document(text)?;
        let wrong = baseline.impossible_values();
        if wrong.is_empty() { Ok(baseline) } else { Err(BaselineError::Impossible(wrong)) }
    }

    /// Exceptions that hold now and end within some time.
    pub fn ending_exceptions(&self, now: Timestamp, within_ms: i64) -> impl Iterator<Item = &Exception> {
        self.exceptions.iter().filter(move |exception| exception.ends_at().is_some_and(|end| now <= end && end <= now.plus_millis(within_ms)))
    }

    /// Whether a security update that it does not approve makes a node non-compliant.
    pub fn counts_available(&self) -> bool {
        !self.available_security_updates_compliance_status.is_compliant()
    }

    /// The document as people write it.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("a baseline has text keys only")
    }

    /// What is not possible in it, a sentence each.
    fn impossible_values(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let name_characters = self.name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        if !(3..=128).contains(&self.name.len()) || !name_characters {
            wrong.push(format!("name: `{}` must have 3 to 128 letters, digits, `_`, `-` or `.`", self.name.chars().take(40).collect::<String>()));
        }
        if self.description.chars().count() > 1024 {
            wrong.push("description: must have at most 1024 characters".to_owned());
        }
        check_filters("global_filters", &self.global_filters, &mut wrong);
        if self.approval_rules.len() > RULES_MAX {
            wrong.push(format!("approval_rules: {} rules are more than the limit of {RULES_MAX}", self.approval_rules.len()));
        }
        for (at, rule) in self.approval_rules.iter().take(RULES_MAX).enumerate() {
            rule.check(&format!("approval_rules[{at}]"), &mut wrong);
        }
        if self.exceptions.len() > LIST_ENTRIES_MAX {
            wrong.push(format!("exceptions: {} entries are more than the limit of {LIST_ENTRIES_MAX}", self.exceptions.len()));
        }
        for (at, exception) in self.exceptions.iter().take(LIST_ENTRIES_MAX).enumerate() {
            exception.check(&format!("exceptions[{at}]"), &mut wrong);
        }
        if self.sources.len() > SOURCES_MAX {
            wrong.push(format!("sources: {} are more than the limit of {SOURCES_MAX}", self.sources.len()));
        }
        for (at, source) in self.sources.iter().take(SOURCES_MAX).enumerate() {
            source.check(&format!("sources[{at}]"), self.operating_system, &mut wrong);
        }
        check_list("approved_patches", &self.approved_patches, &mut wrong);
        check_list("rejected_patches", &self.rejected_patches, &mut wrong);
        wrong
    }
}

impl ApprovalRule {
    /// The last instant of the cut-off date's day, when there is one.
    pub fn cut_off(&self) -> Option<Timestamp> {
        Timestamp::parse_end_of_date(self.approve_until_date.as_deref()?)
    }

    fn check(&self, place: &str, wrong: &mut Vec<String>) {
        check_filters(&format!("{place}.filters"), &self.filters, wrong);
        match (self.approve_after_days, &self.approve_until_date) {
            (Some(_), Some(_)) => wrong.push(format!("{place}: give approve_after_days or approve_until_date, not both")),
            (None, None) => wrong.push(format!("{place}: give approve_after_days or approve_until_date")),
            (Some(days), None) if days > APPROVE_AFTER_DAYS_MAX => wrong.push(format!("{place}.approve_after_days: {days} is not from 0 to {APPROVE_AFTER_DAYS_MAX}")),
            (None, Some(date)) if Timestamp::parse_date(date).is_none() => wrong.push(format!("{place}.approve_until_date: `{date}` is not a day such as 2026-11-24")),
            _ => {}
        }
    }
}

fn check_filters(place: &str, filters: &PatchFilters, wrong: &mut Vec<String>) {
    for (key, values) in filters.named() {
        if values.len() > FILTER_VALUES_MAX {
            wrong.push(format!("{place}.{key}: {} values are more than the limit of {FILTER_VALUES_MAX}", values.len()));
        }
        if values.iter().any(|value| value.is_empty() || value.chars().count() > FILTER_VALUE_LENGTH_MAX) {
            wrong.push(format!("{place}.{key}: each value must have 1 to {FILTER_VALUE_LENGTH_MAX} characters"));
        }
    }
}

fn check_list(place: &str, entries: &[String], wrong: &mut Vec<String>) {
    if entries.len() > LIST_ENTRIES_MAX {
        wrong.push(format!("{place}: {} entries are more than the limit of {LIST_ENTRIES_MAX}", entries.len()));
    }
    if entries.iter().any(|entry| entry.is_empty() || entry.chars().count() > LIST_ENTRY_LENGTH_MAX) {
        wrong.push(format!("{place}: each entry must have 1 to {LIST_ENTRY_LENGTH_MAX} characters"));
    }
}

/// The known name nearest to one that the document's form rejects.
/// Reads a document that people write; what is wrong with it is said with its place.
pub fn parse_document<T: DeserializeOwned>(text: &str) -> Result<T, BaselineError> {
    serde_saphyr::from_str(text).map_err(|error| {
        let message = error.without_snippet().to_string();
        BaselineError::Malformed { hint: nearest_known(&error), message }
    })
}

fn nearest_known(error: &serde_saphyr::Error) -> Option<String> {
    let (rejected, known) = match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => (field, expected),
        serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => (variant, expected),
        _ => return None,
    };
    let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(rejected, known))?;
    Some(format!("did you mean `{nearest}`?"))
}

/// A baseline with its identity and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBaseline {
    /// Its id.
    pub id: BaselineId,
    /// Whether it ships with Fettle and cannot be edited.
    pub predefined: bool,
    /// Which of its versions this is; predefined ones have one.
    pub version: u32,
    /// The document.
    pub baseline: Baseline,
}

/// The JSON schema of the document.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Baseline)).expect("a schema is plain JSON")
}

/// The baselines that ship with Fettle, one per operating system, with the rules of AWS's own for the
/// systems that AWS has: on apt all packages of the security repository at once; elsewhere what
/// advisories call urgent, and bug fixes, after a week. Alpine and Arch say of no package what it is
/// for, so everything is approved after a week there, as AWS does for CentOS.
pub fn predefined() -> Vec<NamedBaseline> {
    OperatingSystem::ALL.into_iter().map(predefined_for).collect()
}

/// The id of an operating system's predefined baseline: equal on every server.
pub fn predefined_id(operating_system: OperatingSystem) -> BaselineId {
    predefined_for(operating_system).id
}

fn predefined_for(operating_system: OperatingSystem) -> NamedBaseline {
    use OperatingSystem::{
        AlmaLinux, Alpine, AmazonLinux2, AmazonLinux2023, Arch, CentOs, Debian, Fedora, OpenSuse, OracleLinux, Raspbian, RedhatEnterpriseLinux, RockyLinux, Suse, Ubuntu,
    };
    const SEVERE: &[&str] = &["Critical", "Important"];
    // Vendors with advisories date them, as AWS counts.
    let security = |severity: &[&str]| ApprovalRule { delay_from: DelayFrom::Release, ..rule(&["Security"], severity, Some(7)) };
    let bugfix = || ApprovalRule { delay_from: DelayFrom::Release, ..rule(&["Bugfix"], &[], Some(7)) };
    let name = operating_system.name();
    let (id, what, approval_rules) = match operating_system {
        Debian | Ubuntu | Raspbian => {
            let id = match operating_system {
                Debian => "de01",
                Ubuntu => "b001",
                _ => "a501",
            };
            let mut rule = rule(&[], &[], Some(0));
            rule.filters.priority = ["Required", "Important", "Standard", "Optional", "Extra"].map(str::to_owned).to_vec();
            (id, format!("every security update of {name} as soon as it is published"), vec![rule])
        }
        RedhatEnterpriseLinux | AlmaLinux | RockyLinux | AmazonLinux2 | AmazonLinux2023 | Fedora => {
            let id = match operating_system {
                RedhatEnterpriseLinux => "4e01",
                AlmaLinux => "a101",
                RockyLinux => "40c1",
                AmazonLinux2 => "a002",
                AmazonLinux2023 => "a023",
                _ => "fed1",
            };
            (id, format!("critical and important security updates and all bug fixes of {name} after 7 days"), vec![security(SEVERE), bugfix()])
        }
        OracleLinux => ("0c01", format!("important and moderate security updates and all bug fixes of {name} after 7 days"), vec![security(&["Important", "Moderate"]), bugfix()]),
        Suse => ("5e01", format!("critical and important security updates of {name} after 7 days"), vec![security(SEVERE)]),
        OpenSuse => ("5e02", format!("critical and important security updates of {name} after 7 days"), vec![security(SEVERE)]),
        CentOs | Alpine | Arch => {
            let id = match operating_system {
                CentOs => "ce01",
                Alpine => "a191",
                _ => "a4c1",
            };
            (id, format!("everything of {name} after 7 days"), vec![ApprovalRule { enable_non_security: true, ..rule(&[], &[], Some(7)) }])
        }
    };
    let baseline = Baseline {
        schema: BaselineSchema::V1,
        // Two systems share a product word.
        name: format!(
            "Fettle-{}DefaultPatchBaseline",
            if operating_system.code().starts_with("AMAZON") { name.replace(' ', "") } else { operating_system.product_word().to_owned() }
        ),
        description: format!("Approves {what}."),
        operating_system,
        global_filters: PatchFilters::default(),
        approval_rules,
        approved_patches: Vec::new(),
        approved_patches_compliance_level: ComplianceLevel::Unspecified,
        approved_patches_enable_non_security: false,
        rejected_patches: Vec::new(),
        rejected_patches_action: RejectedPatchesAction::AllowAsDependency,
        exceptions: Vec::new(),
        sources: Vec::new(),
        available_security_updates_compliance_status: AvailableSecurityUpdates::Compliant,
    };
    let id = format!("pb-0000000000000{id}");
    NamedBaseline { id: id.parse().expect("the ids of predefined baselines are well formed"), predefined: true, version: 1, baseline }
}

/// A rule that names a classification lets it in, security or not.
fn rule(classification: &[&str], severity: &[&str], approve_after_days: Option<u16>) -> ApprovalRule {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    ApprovalRule {
        filters: PatchFilters { classification: owned(classification), severity: owned(severity), ..PatchFilters::default() },
        approve_after_days,
        approve_until_date: None,
        delay_from: DelayFrom::Later,
        compliance_level: ComplianceLevel::Unspecified,
        enable_non_security: classification.iter().any(|word| *word != "Security"),
    }
}

/// The lines of the second document, with those that only one of both has marked: `-` was, `+` is, a space
/// both. Far from a change lines are left out, and `…` stands for them.
pub fn difference(old: Option<&Baseline>, new: Option<&Baseline>) -> Vec<(char, String)> {
    const NEAR: usize = 3;
    let [old, new] = [old, new].map(|baseline| baseline.map(Baseline::to_yaml).unwrap_or_default());
    let difference = similar::TextDiff::from_lines(&old, &new);
    let mut lines = Vec::new();
    for group in difference.grouped_ops(NEAR) {
        if !lines.is_empty() {
            lines.push((' ', "…".to_owned()));
        }
        for change in group.iter().flat_map(|operation| difference.iter_changes(operation)) {
            let sign = match change.tag() {
                similar::ChangeTag::Delete => '-',
                similar::ChangeTag::Insert => '+',
                similar::ChangeTag::Equal => ' ',
            };
            lines.push((sign, change.value().trim_end_matches('\n').to_owned()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "schema: baseline/v1\nname: web-servers\noperating_system: DEBIAN\n";

    fn error(text: &str) -> BaselineError {
        Baseline::parse(&format!("{MINIMAL}{text}")).unwrap_err()
    }

    #[test]
    fn yaml_and_json_hold_the_same_document() {
        let yaml = Baseline::parse(&format!("{MINIMAL}approval_rules:\n- filters: {{section: [libs]}}\n  approve_after_days: 7\n")).unwrap();
        let json = serde_json::to_string(&yaml).unwrap();
        assert_eq!(Baseline::parse(&json).unwrap(), yaml);
        for named in predefined() {
            assert_eq!(Baseline::parse(&serde_json::to_string(&named.baseline).unwrap()).unwrap(), named.baseline);
        }
    }

    #[test]
    fn documents_read_back_as_they_are_written_and_compare_line_by_line() {
        for named in predefined() {
            assert_eq!(Baseline::parse(&named.baseline.to_yaml()).unwrap(), named.baseline);
        }
        let old = Baseline::parse(MINIMAL).unwrap();
        let new = Baseline { approved_patches: vec!["curl".to_owned()], ..old.clone() };
        let changed: Vec<_> = difference(Some(&old), Some(&new)).into_iter().filter(|(sign, _)| *sign != ' ').collect();
        assert_eq!(changed, [('+', "approved_patches:".to_owned()), ('+', "- curl".to_owned())]);
        assert_eq!(difference(Some(&old), Some(&old)), []);
        assert!(difference(None, Some(&old)).iter().all(|(sign, _)| *sign == '+'));
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let error = error("aproved_patches: [curl]\n");
        assert!(error.to_string().contains("aproved_patches"), "{error}");
        assert_eq!(error.hint(), Some("did you mean `approved_patches`?"));
    }

    #[test]
    fn an_exception_needs_an_owner_a_reason_and_an_end() {
        let error = error("exceptions:\n- {patch: curl, decision: REJECT, owner: '', reason: r, until: 2026-02-30}\n").to_string();
        assert!(error.contains("exceptions[0].owner: must have 1 to 200 characters") && error.contains("exceptions[0].until: `2026-02-30` is not a day"), "{error}");
        assert!(Baseline::parse(&format!("{MINIMAL}exceptions:\n- {{patch: curl, decision: REJECT, owner: ada}}\n")).unwrap_err().to_string().contains("missing field"));
    }

    #[test]
    fn impossible_values_are_all_named() {
        let error = error(
            "approval_rules:\n- approve_after_days: 400\n- approve_until_date: 2026-02-30\n- approve_after_days: 1\n  approve_until_date: 2026-01-01\n- {}\napproved_patches: ['']\n",
        );
        insta::assert_snapshot!(error, @"approval_rules[0].approve_after_days: 400 is not from 0 to 360; approval_rules[1].approve_until_date: `2026-02-30` is not a day such as 2026-11-24; approval_rules[2]: give approve_after_days or approve_until_date, not both; approval_rules[3]: give approve_after_days or approve_until_date; approved_patches: each entry must have 1 to 100 characters");
    }

    #[test]
    fn thousands_of_rules_and_huge_files_are_refused() {
        let rules = "- approve_after_days: 1\n".repeat(5000);
        assert_eq!(error(&format!("approval_rules:\n{rules}")).to_string(), "approval_rules: 5000 rules are more than the limit of 100");
        assert_eq!(error(&" ".repeat(DOCUMENT_BYTES_MAX)).to_string(), format!("baseline has {} bytes, more than the limit of 262144", DOCUMENT_BYTES_MAX + MINIMAL.len()));
    }

    #[test]
    fn wrong_types_say_where() {
        let message = error("approval_rules: 7\n").to_string();
        assert!(message.contains("line 4"), "{message}");
    }
}

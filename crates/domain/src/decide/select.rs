//! Which patches a baseline approves, and why: the one function behind preview, scan and run.
//!
//! Order of evaluation, from the AWS Patch Manager guide: rejected beats approved, the approved
//! list bypasses global filters and rules, then global filters, then rules. Delays are honest on
//! apt too: they count from the vendor's release date, else from the first sighting.

use crate::decide::entries::{Entries, Entry};
use crate::model::advisory::Advisory;
use crate::model::baseline::{ApprovalRule, Baseline, ComplianceLevel, Decision, DelayFrom, Exception, PatchFilters};
use crate::model::compliance::{Reason, ReasonCode};
use crate::model::glob::{self, Case};
use crate::model::patch::{Classification, Severity};
use crate::model::platform::{OperatingSystem, Platform};
use crate::model::problem::{Problem, ProblemCode};
use crate::model::time::{DAY_MS, Timestamp};
use crate::model::version::Scheme;

/// What a baseline looks at in a version of a package.
#[derive(Debug, Clone, Copy)]
pub struct PatchFacts<'a> {
    /// Package name.
    pub name: &'a str,
    /// Package architecture.
    pub architecture: &'a str,
    /// The version.
    pub version: &'a str,
    /// The vendor's classification.
    pub classification: Classification,
    /// What the vendor's advisories say of it.
    pub advisory: Option<&'a Advisory>,
    /// Archive section.
    pub section: Option<&'a str>,
    /// Archive priority.
    pub priority: Option<&'a str>,
    /// The short name of the repository that offers it.
    pub repository: Option<&'a str>,
    /// When the vendor released it, where an advisory says.
    pub released_at: Option<Timestamp>,
    /// When a node was first offered it.
    pub first_seen_at: Option<Timestamp>,
}

impl PatchFacts<'_> {
    /// Since when it is out, as a rule counts.
    pub fn out_since(&self, from: DelayFrom) -> Option<Timestamp> {
        match from {
            DelayFrom::Later => self.released_at.max(self.first_seen_at),
            DelayFrom::Release => self.released_at,
            DelayFrom::FirstSeen => self.first_seen_at,
        }
    }

    /// The vendor's severity.
    pub fn severity(&self) -> Severity {
        self.advisory.map_or(Severity::Unspecified, |advisory| advisory.severity)
    }
}

/// What a baseline says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval<'b> {
    /// It should be installed.
    Approved {
        /// How bad it is when it is missing.
        level: ComplianceLevel,
        /// What approves it.
        why: Why<'b>,
    },
    /// A rule will approve it later, at `until` when that can be told.
    Deferred {
        /// The first instant of approval.
        until: Option<Timestamp>,
        /// What defers it.
        why: Why<'b>,
    },
    /// The rejected list names it.
    Rejected {
        /// Which entry.
        why: Why<'b>,
    },
    /// Nothing approves it.
    NotApproved {
        /// Why not.
        why: Why<'b>,
    },
}

impl Approval<'_> {
    /// The word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "approved",
            Self::Deferred { .. } => "deferred",
            Self::Rejected { .. } => "rejected",
            Self::NotApproved { .. } => "not_approved",
        }
    }

    /// Why it is so.
    pub fn reason(&self) -> Reason {
        let (Self::Approved { why, .. } | Self::Deferred { why, .. } | Self::Rejected { why } | Self::NotApproved { why }) = self;
        why.reason()
    }

    /// Whether it should be installed.
    pub fn is_approved(&self) -> bool {
        matches!(self, Self::Approved { .. })
    }
}

/// What an approval rests on. Fleets are judged without building texts; a text is made when
/// somebody reads it. Rules are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why<'b> {
    /// An entry of the rejected list.
    RejectedEntry(&'b str),
    /// An entry of the approved list.
    ApprovedEntry(&'b str),
    /// An entry of the approved list, which lets in security patches only.
    ApprovedEntrySecurityOnly(&'b str),
    /// An exception that holds now.
    Exception(&'b Exception),
    /// A global filter.
    GlobalFilter(&'static str),
    /// The baseline has no rules.
    NoRules,
    /// No rule matches.
    NoRule,
    /// A rule that lets in security patches only.
    RuleSecurityOnly(usize),
    /// A rule without a delay.
    Rule(usize),
    /// A rule whose delay has passed.
    DelayPassed {
        /// The rule.
        rule: usize,
        /// Its delay.
        days: u32,
        /// Since when the patch exists.
        appeared_at: Timestamp,
    },
    /// A rule whose delay has not passed.
    DelayRuns {
        /// The rule.
        rule: usize,
        /// Its delay.
        days: u32,
        /// When it passes; unknown when nobody knows since when the patch exists.
        until: Option<Timestamp>,
    },
    /// A rule with a cut-off date that the patch keeps.
    BeforeCutOff {
        /// The rule.
        rule: usize,
        /// Its date.
        date: &'b str,
        /// Since when the patch exists.
        appeared_at: Timestamp,
    },
    /// A rule with a cut-off date that the patch does not keep.
    AfterCutOff {
        /// The rule.
        rule: usize,
        /// Its date.
        date: &'b str,
        /// Since when the patch exists, when that is known.
        appeared_at: Option<Timestamp>,
    },
}

impl Why<'_> {
    /// The reason in words.
    pub fn reason(&self) -> Reason {
        let (code, text) = match self {
            Self::RejectedEntry(entry) => (ReasonCode::Rejected, format!("rejected by the list entry `{entry}`")),
            Self::ApprovedEntry(entry) => (ReasonCode::ApprovedByList, format!("approved by the list entry `{entry}`")),
            Self::ApprovedEntrySecurityOnly(entry) => (ReasonCode::NotSecurity, format!("the list entry `{entry}` approves security patches only, and this version is none")),
            Self::Exception(exception) => {
                let Exception { decision, owner, reason, until, .. } = exception;
                (ReasonCode::Exception, format!("{} until {until} by an exception of {owner}: {reason}", decision.word()))
            }
            Self::GlobalFilter(key) => (ReasonCode::GlobalFilter, format!("left out by the global filter on {key}")),
            Self::NoRules => (ReasonCode::NoRule, "the baseline has no rules".to_owned()),
            Self::NoRule => (ReasonCode::NoRule, "no rule of the baseline matches it".to_owned()),
            Self::RuleSecurityOnly(rule) => (ReasonCode::NotSecurity, format!("rule {rule} approves security patches only, and this version is none")),
            Self::Rule(rule) => (ReasonCode::ApprovedByRule, format!("approved by rule {rule}")),
            Self::DelayPassed { rule, days, appeared_at } => (ReasonCode::ApprovedByRule, format!("approved by rule {rule}: {days} days have passed since {appeared_at}")),
            Self::DelayRuns { rule, days, until: Some(until) } => (ReasonCode::Deferred, format!("rule {rule} approves it after {days} days, on {until}")),
            Self::DelayRuns { rule, days, until: None } => (ReasonCode::Deferred, format!("rule {rule} approves it after {days} days, and nothing says since when it exists")),
            Self::BeforeCutOff { rule, date, appeared_at } => (ReasonCode::ApprovedByRule, format!("approved by rule {rule}: it appeared on {appeared_at}, not after {date}")),
            Self::AfterCutOff { rule, date, appeared_at: Some(appeared_at) } => {
                (ReasonCode::AfterCutOff, format!("rule {rule} approves what appeared up to {date}; this appeared on {appeared_at}"))
            }
            Self::AfterCutOff { rule, date, appeared_at: None } => {
                (ReasonCode::AfterCutOff, format!("rule {rule} approves what appeared up to {date}, and nothing says when this appeared"))
            }
        };
        Reason::new(code, text)
    }
}

/// A baseline made ready to decide about many versions of one product at one instant: dates are read, lists are
/// found by name, and rules for other products are left out.
#[derive(Debug)]
pub struct Selector<'b> {
    baseline: &'b Baseline,
    now: Timestamp,
    exceptions: Vec<(&'b Exception, Timestamp, Entry<'b>)>,
    rejected: Entries<'b>,
    approved: Entries<'b>,
    global: Filters<'b>,
    rules: Vec<Rule<'b>>,
}

#[derive(Debug)]
struct Rule<'b> {
    /// From 1.
    number: usize,
    rule: &'b ApprovalRule,
    filters: Filters<'b>,
    cut_off: Option<Timestamp>,
}

impl<'b> Selector<'b> {
    /// Makes a baseline ready.
    pub fn new(baseline: &'b Baseline, product: &str, now: Timestamp) -> Self {
        let rule = |(rule, number): (&'b ApprovalRule, usize)| Rule { number, rule, filters: Filters::new(&rule.filters, product), cut_off: rule.cut_off() };
        Self {
            baseline,
            now,
            exceptions: Vec::new(),
            rejected: Entries::new(&baseline.rejected_patches),
            approved: Entries::new(&baseline.approved_patches),
            global: Filters::new(&baseline.global_filters, product),
            rules: baseline.approval_rules.iter().zip(1..).map(rule).filter(|rule| rule.filters.has_product).collect(),
        }
        .with_exceptions(baseline.exceptions.iter())
    }

    /// The same with exceptions that are not the baseline's own.
    #[must_use]
    pub fn with_exceptions(mut self, exceptions: impl Iterator<Item = &'b Exception>) -> Self {
        let now = self.now;
        self.exceptions.extend(exceptions.filter_map(|exception| Some((exception, exception.ends_at().filter(|end| now <= *end)?, Entry::new(&exception.patch)))));
        self
    }

    /// Whether any exception holds.
    pub fn has_exceptions(&self) -> bool {
        !self.exceptions.is_empty()
    }

    /// The baseline.
    pub fn baseline(&self) -> &'b Baseline {
        self.baseline
    }

    /// Decides about one version.
    pub fn select(&self, patch: &PatchFacts) -> Approval<'b> {
        if let Some(exception) = self.active_exception(patch) {
            let why = Why::Exception(exception);
            return match exception.decision {
                Decision::Approve => Approval::Approved { level: self.baseline.approved_patches_compliance_level, why },
                Decision::Reject => Approval::Rejected { why },
            };
        }
        if let Some(entry) = self.rejected.find(patch) {
            return Approval::Rejected { why: Why::RejectedEntry(entry) };
        }
        let is_security = patch.classification == Classification::Security;
        if let Some(entry) = self.approved.find(patch) {
            if is_security || self.baseline.approved_patches_enable_non_security {
                return Approval::Approved { level: self.baseline.approved_patches_compliance_level, why: Why::ApprovedEntry(entry) };
            }
            return Approval::NotApproved { why: Why::ApprovedEntrySecurityOnly(entry) };
        }
        if let Some(key) = self.global.first_mismatch(patch) {
            return Approval::NotApproved { why: Why::GlobalFilter(key) };
        }
        self.select_by_rules(patch)
    }

    /// The exception about a patch that holds; of several a rejecting one.
    fn active_exception(&self, patch: &PatchFacts) -> Option<&'b Exception> {
        let mut active = self.exceptions.iter().filter(|(_, _, entry)| entry.names(patch)).map(|(exception, _, _)| *exception).peekable();
        let first = active.peek().copied();
        active.find(|exception| exception.decision == Decision::Reject).or(first)
    }

    /// The first instant after now at which the answer about a patch may be another: a delay has passed, or an
    /// exception has ended.
    pub fn next_change(&self, patch: &PatchFacts) -> Option<Timestamp> {
        let until = match self.select(patch) {
            Approval::Deferred { until, .. } => until,
            Approval::Approved { why: Why::Exception(_), .. } | Approval::Rejected { why: Why::Exception(_) } => {
                self.exceptions.iter().filter(|(_, _, entry)| entry.names(patch)).map(|(_, end, _)| *end).min()
            }
            _ => None,
        };
        until.map(|until| until.plus_millis(1))
    }

    /// The best answer that any rule gives: approval with the highest level, else the earliest
    /// approval to come, else why the rules do not match.
    fn select_by_rules(&self, patch: &PatchFacts) -> Approval<'b> {
        let mut best = Approval::NotApproved { why: if self.baseline.approval_rules.is_empty() { Why::NoRules } else { Why::NoRule } };
        for rule in &self.rules {
            if rule.filters.first_mismatch(patch).is_none() {
                let approval = rule.apply(patch, self.now);
                if rank(&approval) > rank(&best) {
                    best = approval;
                }
            }
        }
        best
    }
}

/// Orders answers: what says more about when the patch gets approved comes last.
fn rank(approval: &Approval) -> (u8, i64) {
    match approval {
        Approval::NotApproved { why } => (0, i64::from(!matches!(why, Why::NoRules | Why::NoRule))),
        Approval::Rejected { .. } => (0, 0),
        Approval::Deferred { until, .. } => (1, until.map_or(i64::MIN, |until| -until.as_millis())),
        Approval::Approved { level, .. } => (2, *level as i64),
    }
}

impl<'b> Rule<'b> {
    fn apply(&self, patch: &PatchFacts, now: Timestamp) -> Approval<'b> {
        let Self { number, rule, cut_off, .. } = *self;
        if patch.classification != Classification::Security && !rule.enable_non_security {
            return Approval::NotApproved { why: Why::RuleSecurityOnly(number) };
        }
        let approved = |why| Approval::Approved { level: rule.compliance_level, why };
        let out_since = patch.out_since(rule.delay_from);
        if let Some(cut_off) = cut_off {
            let date = rule.approve_until_date.as_deref().unwrap_or_default();
            return match out_since {
                Some(appeared_at) if appeared_at <= cut_off => approved(Why::BeforeCutOff { rule: number, date, appeared_at }),
                appeared_at => Approval::NotApproved { why: Why::AfterCutOff { rule: number, date, appeared_at } },
            };
        }
        let days = rule.approve_after_days.unwrap_or_default();
        if days == 0 {
            return approved(Why::Rule(number));
        }
        let until = out_since.map(|out_since| out_since.plus_millis(i64::from(days) * DAY_MS));
        match (until, out_since) {
            (Some(until), Some(appeared_at)) if now > until => approved(Why::DelayPassed { rule: number, days: days.into(), appeared_at }),
            _ => Approval::Deferred { until, why: Why::DelayRuns { rule: number, days: days.into(), until } },
        }
    }
}

/// Filters made ready for one product.
#[derive(Debug)]
pub struct Filters<'b> {
    has_product: bool,
    /// A bit for each classification and each severity that is let through.
    classifications: u16,
    severities: u8,
    /// The others that have values, each with what tells whether one of them fits.
    others: Vec<(&'static str, &'b [String], Fits)>,
}

type Fits = fn(value: &str, patch: &PatchFacts) -> bool;

impl<'b> Filters<'b> {
    /// Makes filters ready.
    pub fn new(filters: &'b PatchFilters, product: &str) -> Self {
        let is_word = |values: &[String], word: &str| values.is_empty() || values.iter().any(|value| value == "*" || value.eq_ignore_ascii_case(word));
        // Vendors have several words for one severity.
        let is_severity = |severity: Severity| filters.severity.is_empty() || filters.severity.iter().any(|value| value == "*" || Severity::parse(value) == Some(severity));
        let others: [(&'static str, &'b [String], Fits); 7] = [
            ("section", &filters.section, |value, patch| is_plain(value, patch.section.unwrap_or_default())),
            ("priority", &filters.priority, |value, patch| is_plain(value, patch.priority.unwrap_or_default())),
            ("repository", &filters.repository, |value, patch| glob::matches(value, patch.repository.unwrap_or_default(), Case::Folded)),
            ("name", &filters.name, |value, patch| glob::matches(value, patch.name, Case::Folded)),
            ("architecture", &filters.architecture, |value, patch| is_plain(value, patch.architecture)),
            ("advisory", &filters.advisory, |value, patch| has_any(value, patch.advisory.map_or(&[], |advisory| &advisory.ids))),
            ("cve", &filters.cve, |value, patch| has_any(value, patch.advisory.map_or(&[], |advisory| &advisory.cves))),
        ];
        Self {
            has_product: is_word(&filters.product, product),
            classifications: Classification::ALL.into_iter().filter(|known| is_word(&filters.classification, known.word())).fold(0, |bits, known| bits | 1 << known as u16),
            severities: Severity::ALL.into_iter().filter(|known| is_severity(*known)).fold(0, |bits, known| bits | 1 << known as u8),
            others: others.into_iter().filter(|(_, values, _)| !values.is_empty()).collect(),
        }
    }

    /// Whether a patch has a value of every filter.
    pub fn let_through(&self, patch: &PatchFacts) -> bool {
        self.first_mismatch(patch).is_none()
    }

    /// The key of the first filter that keeps the patch out.
    fn first_mismatch(&self, patch: &PatchFacts) -> Option<&'static str> {
        if !self.has_product {
            return Some("product");
        }
        if self.classifications & 1 << patch.classification as u16 == 0 {
            return Some("classification");
        }
        if self.severities & 1 << patch.severity() as u8 == 0 {
            return Some("severity");
        }
        self.others.iter().find(|(_, values, fits)| !values.iter().any(|value| fits(value, patch))).map(|(key, ..)| *key)
    }
}

fn is_plain(value: &str, actual: &str) -> bool {
    value == "*" || value.eq_ignore_ascii_case(actual)
}

fn has_any(value: &str, actual: &[String]) -> bool {
    value == "*" || actual.iter().any(|actual| glob::matches(value, actual, Case::Folded))
}

/// Rules, filters and entries that can never match on this platform.
pub fn find_idle_rules(baseline: &Baseline, platform: &Platform, has_feed: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    if platform.operating_system.is_some_and(|system| system != baseline.operating_system) {
        let message = format!("the baseline is for {}, the node runs {}", baseline.operating_system.name(), platform.name);
        problems.push(Problem::new(ProblemCode::RuleNeverMatches, &baseline.name, message).with_hint("give a baseline for the node's operating system"));
    }
    let has_advisories = has_feed || platform.operating_system.is_some_and(|system| system.scheme() == Scheme::Rpm);
    find_idle_filters("the global filters", &baseline.global_filters, true, (platform, has_advisories), &mut problems);
    for (at, rule) in baseline.approval_rules.iter().enumerate() {
        find_idle_filters(&format!("rule {}", at + 1), &rule.filters, rule.enable_non_security, (platform, has_advisories), &mut problems);
    }
    for entry in baseline.approved_patches.iter().chain(&baseline.rejected_patches).filter(|entry| !has_advisories && is_advisory(entry)) {
        let message = format!("the list entry `{entry}` names an advisory or a CVE; the repositories of {} carry neither, so it matches nothing", platform.name);
        problems.push(Problem::new(ProblemCode::RuleNeverMatches, entry, message).with_hint("name the package instead, or import its vendor's feed"));
    }
    problems
}

fn is_advisory(entry: &str) -> bool {
    ["CVE-", "DSA-", "DLA-", "USN-"].iter().any(|prefix| entry.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}

/// A filter none of whose values the platform can produce.
fn find_idle_filters(place: &str, filters: &PatchFilters, non_security: bool, (platform, has_advisories): (&Platform, bool), problems: &mut Vec<Problem>) {
    let scheme = platform.operating_system.map_or(Scheme::Deb, OperatingSystem::scheme);
    let words = |known: &[&'static str]| known.to_vec();
    let all = Classification::ALL.map(Classification::word);
    let known = if has_advisories { &all[..] } else { &["Security", "Other"] };
    let priorities: &[&str] = if scheme == Scheme::Deb { &["Required", "Important", "Standard", "Optional", "Extra"] } else { &["no priorities"] };
    let mut possible = vec![
        ("product", vec![platform.product.as_str()]),
        ("classification", if non_security { words(known) } else { vec!["Security"] }),
        ("severity", if has_advisories { words(&Severity::ALL.map(Severity::word)) } else { vec!["Unspecified"] }),
        ("priority", words(priorities)),
    ];
    if !has_advisories {
        possible.extend([("advisory", vec!["no advisories"]), ("cve", vec!["no advisories"])]);
    }
    for (key, values) in filters.named().filter(|(_, values)| !values.is_empty()) {
        let Some((_, possible)) = possible.iter().find(|(name, _)| *name == key) else { continue };
        let can_match = values.iter().any(|value| value == "*" || possible.iter().any(|word| is_same_word(key, word, value)));
        if !can_match {
            let message = format!("{place} can never match: its {key} filter wants {}, and this node has {}", join(values), join(possible));
            problems.push(Problem::new(ProblemCode::RuleNeverMatches, place, message).with_hint(format!("change the {key} filter or leave it out")));
        }
    }
}

/// Vendors have several words for one severity.
fn is_same_word(key: &str, word: &str, value: &str) -> bool {
    word.eq_ignore_ascii_case(value) || (key == "severity" && Severity::parse(value).is_some_and(|severity| severity.word() == word))
}

fn join(words: &[impl AsRef<str>]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(" or ")
}

/// A baseline in plain sentences, for people who did not write it.
pub fn explain(baseline: &Baseline) -> Vec<String> {
    let mut sentences = vec![format!("For nodes that run {}.", baseline.operating_system.name())];
    if !baseline.global_filters.is_empty() {
        sentences.push(format!("Looks only at patches {}.", explain_filters(&baseline.global_filters)));
    }
    for (at, rule) in baseline.approval_rules.iter().enumerate() {
        let kind = if rule.enable_non_security { "every patch" } else { "every security patch" };
        let filters = if rule.filters.is_empty() { String::new() } else { format!(" {}", explain_filters(&rule.filters)) };
        let when = match (rule.approve_after_days, &rule.approve_until_date) {
            (_, Some(date)) => format!("if it came out by the end of {date} (UTC)"),
            (None | Some(0), None) => "as soon as it is published".to_owned(),
            (Some(days), None) => {
                let from = match rule.delay_from {
                    DelayFrom::Later => "its release or its first sighting, whichever is later",
                    DelayFrom::Release => "its release; never while the vendor gives no date",
                    DelayFrom::FirstSeen => "its first sighting",
                };
                format!("{days} days after {from}")
            }
        };
        let level = if rule.compliance_level == ComplianceLevel::Unspecified { String::new() } else { format!(" A missing one counts as {}.", rule.compliance_level.word()) };
        sentences.push(format!("Rule {}: approves {kind}{filters} {when}.{level}", at + 1));
    }
    for Exception { patch, decision, owner, reason, until } in &baseline.exceptions {
        sentences.push(format!("Exception: `{patch}` is {} until {until}, by {owner}: {reason}.", decision.word()));
    }
    if !baseline.approved_patches.is_empty() {
        sentences.push(format!("Always approves {}.", join(&baseline.approved_patches)));
    }
    if !baseline.rejected_patches.is_empty() {
        let action = match baseline.rejected_patches_action {
            crate::model::baseline::RejectedPatchesAction::AllowAsDependency => "they may still come in as dependencies",
            crate::model::baseline::RejectedPatchesAction::Block => "a node that has one is not compliant",
        };
        sentences.push(format!("Never approves {}; {action}.", join(&baseline.rejected_patches)));
    }
    if baseline.counts_available() {
        sentences.push("A node is not compliant while a security update exists that nothing approves (yet).".to_owned());
        return sentences;
    }
    sentences.push("What nothing approves is left alone and does not make a node non-compliant.".to_owned());
    for source in &baseline.sources {
        sentences.push(format!("Uses its own repository `{}` on nodes with the product {}, in place of theirs.", source.name, source.products.join(" or ")));
    }
    sentences
}

fn explain_filters(filters: &PatchFilters) -> String {
    filters.named().filter(|(_, values)| !values.is_empty()).map(|(key, values)| format!("with {key} {}", values.join(", "))).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::advisory::Suggestion;
    use crate::model::baseline::{self, RejectedPatchesAction};
    use crate::model::platform;

    const NOW: Timestamp = Timestamp::from_millis(100 * DAY_MS);

    fn patch() -> PatchFacts<'static> {
        PatchFacts {
            name: "curl",
            architecture: "amd64",
            version: "7.88-2",
            classification: Classification::Security,
            advisory: None,
            section: Some("web"),
            priority: Some("optional"),
            repository: Some("Debian-Security bookworm-security"),
            released_at: None,
            first_seen_at: Some(Timestamp::from_millis(95 * DAY_MS)),
        }
    }

    fn baseline(text: &str) -> Baseline {
        Baseline::parse(&format!("schema: baseline/v1\nname: test\noperating_system: DEBIAN\n{text}")).unwrap()
    }

    #[track_caller]
    fn check(text: &str, patch: &PatchFacts, expected: &str) {
        let baseline = baseline(text);
        let approval = Selector::new(&baseline, "Debian12", NOW).select(patch);
        let kind = match &approval {
            Approval::Approved { level, .. } => format!("approved ({})", level.word()),
            Approval::Deferred { .. } => "deferred".to_owned(),
            Approval::Rejected { .. } => "rejected".to_owned(),
            Approval::NotApproved { .. } => "not approved".to_owned(),
        };
        assert_eq!(format!("{kind}: {}", approval.reason()), expected);
    }

    /// A day, as the table writes it.
    fn day(text: &str) -> Option<Timestamp> {
        text.parse().ok().map(|day: i64| Timestamp::from_millis(day * DAY_MS))
    }

    #[test]
    fn the_table_of_approvals_holds() {
        let rows = include_str!("approvals.txt").lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let mut n_rows = 0;
        for (at, row) in rows {
            n_rows += 1;
            let [document, differences, expected]: [&str; 3] = row.split(" |").map(str::trim).collect::<Vec<_>>().try_into().unwrap();
            let baseline: Baseline = Baseline::parse(&format!("{{schema: baseline/v1, name: test, operating_system: DEBIAN, {document}}}")).unwrap();
            let differences: std::collections::BTreeMap<_, _> = differences.split_whitespace().map(|word| word.split_once('=').unwrap()).collect();
            let advisory = differences.get("advisory").map(|text| {
                let [id, severity, cve]: [&str; 3] = text.split(':').collect::<Vec<_>>().try_into().unwrap();
                let severity = Severity::parse(severity).unwrap();
                let (bugs, suggestion) = (Vec::new(), Suggestion::Nothing);
                Advisory { ids: vec![id.into()], classification: Classification::Security, severity, cves: vec![cve.into()], bugs, released_at: None, suggestion }
            });
            let patch = PatchFacts {
                classification: differences.get("class").map_or(Classification::Security, |word| Classification::parse(word).unwrap()),
                first_seen_at: day(differences.get("seen").unwrap_or(&"95")),
                released_at: differences.get("released").and_then(|text| day(text)),
                advisory: advisory.as_ref(),
                ..patch()
            };
            let answer = match Selector::new(&baseline, "Debian12", NOW).select(&patch) {
                Approval::Approved { level, .. } => format!("approved {}", level.word()),
                Approval::Deferred { until, .. } => format!("deferred {}", until.map_or_else(|| "?".to_owned(), |until| (until.as_millis() / DAY_MS).to_string())),
                Approval::Rejected { .. } => "rejected".to_owned(),
                Approval::NotApproved { .. } => "not approved".to_owned(),
            };
            assert_eq!(answer, expected, "line {}: {row}", at + 1);
        }
        assert!(n_rows >= 40, "{n_rows}");
    }

    #[test]
    fn a_security_patch_is_approved_at_once_without_a_delay() {
        check("approval_rules: [{approve_after_days: 0}]", &patch(), "approved (unspecified): approved by rule 1");
    }

    #[test]
    fn other_patches_need_a_rule_that_lets_them_in() {
        let other = PatchFacts { classification: Classification::Other, ..patch() };
        check("approval_rules: [{approve_after_days: 0}]", &other, "not approved: rule 1 approves security patches only, and this version is none");
        check("approval_rules: [{approve_after_days: 0, enable_non_security: true}]", &other, "approved (unspecified): approved by rule 1");
    }

    #[test]
    fn a_deferred_patch_is_approved_after_its_days_to_the_instant() {
        let rule = "approval_rules: [{approve_after_days: 5}]";
        check(rule, &patch(), "deferred: rule 1 approves it after 5 days, on 1970-04-11T00:00:00Z");
        let older = PatchFacts { first_seen_at: Some(Timestamp::from_millis(95 * DAY_MS - 1)), ..patch() };
        check(rule, &older, "approved (unspecified): approved by rule 1: 5 days have passed since 1970-04-05T23:59:59Z");
        let undated = PatchFacts { first_seen_at: None, ..patch() };
        check(rule, &undated, "deferred: rule 1 approves it after 5 days, and nothing says since when it exists");
    }

    #[test]
    fn a_cut_off_date_includes_its_whole_day() {
        check(
            "approval_rules: [{approve_until_date: 1970-04-06}]",
            &patch(),
            "approved (unspecified): approved by rule 1: it appeared on 1970-04-06T00:00:00Z, not after 1970-04-06",
        );
        check(
            "approval_rules: [{approve_until_date: 1970-04-05}]",
            &patch(),
            "not approved: rule 1 approves what appeared up to 1970-04-05; this appeared on 1970-04-06T00:00:00Z",
        );
    }

    #[test]
    fn filters_are_joined_by_and_and_their_values_by_or() {
        check("approval_rules: [{approve_after_days: 0, filters: {section: [libs, WEB], product: [Debian12]}}]", &patch(), "approved (unspecified): approved by rule 1");
        check("approval_rules: [{approve_after_days: 0, filters: {section: [web], product: [Debian11]}}]", &patch(), "not approved: no rule of the baseline matches it");
        check("global_filters: {section: [libs]}\napproval_rules: [{approve_after_days: 0}]", &patch(), "not approved: left out by the global filter on section");
    }

    #[test]
    fn the_highest_level_of_the_matching_rules_wins() {
        check(
            "approval_rules: [{approve_after_days: 0, compliance_level: LOW}, {approve_after_days: 0, compliance_level: CRITICAL}, {approve_after_days: 9}]",
            &patch(),
            "approved (critical): approved by rule 2",
        );
    }

    #[test]
    fn lists_name_packages_and_rejection_beats_approval() {
        check("approved_patches: ['cur*']", &patch(), "approved (unspecified): approved by the list entry `cur*`");
        check("approved_patches: [curl.amd64]\nglobal_filters: {section: [libs]}", &patch(), "approved (unspecified): approved by the list entry `curl.amd64`");
        check("approved_patches: [curl]\nrejected_patches: [curl=7.88-2]", &patch(), "rejected: rejected by the list entry `curl=7.88-2`");
        check("approved_patches: [curl-dev, cur]", &patch(), "not approved: the baseline has no rules");
    }

    #[test]
    fn rules_that_can_never_match_are_named() {
        let platform = platform::detect("ID=debian\nVERSION_ID=12\nPRETTY_NAME=Debian", "amd64");
        let idle = baseline(
            "approval_rules: [{approve_after_days: 0, filters: {product: [Ubuntu24.04]}}, {approve_after_days: 0, filters: {severity: [Critical]}}]\napproved_patches: [CVE-2026-1]",
        );
        let messages: Vec<_> = find_idle_rules(&idle, &platform, false).into_iter().map(|problem| problem.message).collect();
        assert_eq!(
            messages,
            [
                "rule 1 can never match: its product filter wants `Ubuntu24.04`, and this node has `Debian12`",
                "rule 2 can never match: its severity filter wants `Critical`, and this node has `Unspecified`",
                "the list entry `CVE-2026-1` names an advisory or a CVE; the repositories of Debian carry neither, so it matches nothing",
            ]
        );
        let predefined = &baseline::predefined()[0].baseline;
        assert_eq!(find_idle_rules(predefined, &platform, false), []);
    }

    #[test]
    fn a_baseline_reads_as_sentences() {
        let mut predefined = baseline::predefined().remove(0).baseline;
        predefined.rejected_patches = vec!["linux-*".into()];
        predefined.rejected_patches_action = RejectedPatchesAction::Block;
        insta::assert_snapshot!(explain(&predefined).join("\n"), @r"
        For nodes that run Debian.
        Rule 1: approves every security patch with priority Required, Important, Standard, Optional, Extra as soon as it is published.
        Never approves `linux-*`; a node that has one is not compliant.
        What nothing approves is left alone and does not make a node non-compliant.
        ");
    }
}

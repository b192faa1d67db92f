//! From what a node has and what its baseline says to a state per package and one verdict, each
//! with its reason. The node is never called compliant on lists that are absent, foreign or old.

use std::sync::Arc;

use crate::decide::select::{self, Approval, PatchFacts, Selector};
use crate::model::baseline::{Baseline, ComplianceLevel, RejectedPatchesAction};
use crate::model::compliance::{Counts, PatchState, Reason, ReasonCode, SeveritySummary, Verdict};
use crate::model::inventory::{Inventory, Reboot};
use crate::model::package::{InstallState, InstalledPackage};
use crate::model::patch::{AvailableVersion, Classification, Offer};
use crate::model::platform::OperatingSystem;
use crate::model::problem::{Problem, ProblemCode};
use crate::model::repository::Repository;
use crate::model::scan_report::{PatchRow, RepositoryReference};
use crate::model::time::{DAY_MS, Timestamp};
use crate::model::version::Scheme;

/// Lists older than this cannot prove that nothing is missing. Security repositories vouch for
/// their own lists for about a week.
pub const LIST_AGE_DAYS_MAX: u16 = 7;

/// What was found of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is so.
    pub reasons: Vec<Reason>,
    /// Patches per state.
    pub counts: Counts,
    /// Patches by severity.
    pub severities: SeveritySummary,
    /// A row per package, by name and architecture.
    pub patches: Vec<PatchRow>,
    /// What may make the result less than it seems.
    pub warnings: Vec<Problem>,
}

/// Judges an inventory at `now`. Lists older than `list_age_days` are stale.
pub fn judge(inventory: &Inventory, baseline: Option<&Baseline>, list_age_days: u16, now: Timestamp) -> Judgement {
    let freshness = check_lists(inventory, list_age_days, now);
    let mut warnings = inventory.problems.clone();
    warnings.extend(freshness.iter().map(|(problem, _)| problem.clone()));
    warnings.extend(baseline.iter().flat_map(|baseline| select::find_idle_rules(baseline, &inventory.platform, inventory.has_feed)));

    let patches: Vec<PatchRow> = baseline.map_or_else(Vec::new, |baseline| judge_packages(inventory, baseline, now));
    let counts = count(&patches);
    let severities = summarize_severities(&patches, baseline.is_some_and(Baseline::counts_available));
    let unknown = freshness.into_iter().filter_map(|(_, reason)| reason).collect();
    let (verdict, reasons) = decide_verdict(inventory, baseline, &counts, unknown);
    Judgement { verdict, reasons, counts, severities, patches, warnings }
}

/// Counts rows by severity: those that the baseline is about, as AWS does. An available security update has no level.
pub fn summarize_severities(patches: &[PatchRow], counts_available: bool) -> SeveritySummary {
    let mut summary = SeveritySummary::default();
    for patch in patches {
        match patch.state {
            PatchState::InstalledOther => {}
            PatchState::AvailableSecurityUpdate => summary.add(counts_available, ComplianceLevel::Unspecified, patch.classification, patch.severity),
            state => summary.add(state.is_non_compliant(), patch.compliance_level, patch.classification, patch.severity),
        }
    }
    summary
}

/// Counts rows by state. What is stored beside a judgement can always be recounted with it.
pub fn count(patches: &[PatchRow]) -> Counts {
    let mut counts = Counts::default();
    for patch in patches {
        counts.add(patch.state);
        if patch.state.is_non_compliant() {
            counts.security_non_compliant += u32::from(patch.classification == Classification::Security);
            counts.critical_non_compliant += u32::from(patch.compliance_level == ComplianceLevel::Critical);
        }
    }
    counts
}

/// What is wrong with the lists; those that forbid the verdict "compliant" with the reason.
fn check_lists(inventory: &Inventory, list_age_days: u16, now: Timestamp) -> Vec<(Problem, Option<Reason>)> {
    let mut found = Vec::new();
    if inventory.repositories.is_empty() {
        let problem = Problem::new(ProblemCode::ListsMissing, "package lists", "there are no package lists to compare with").with_hint(refresh_hint(inventory));
        return vec![(problem, Some(Reason::new(ReasonCode::NoLists, "there are no package lists, so nobody can say what is missing")))];
    }
    let is_vendor = |repository: &&Repository| {
        let origin = repository.origin.as_deref().unwrap_or_default();
        inventory.platform.operating_system.is_some_and(|system| system.is_vendor_origin(origin))
    };
    if !inventory.repositories.iter().any(|repository| is_vendor(&repository)) {
        let text = format!("no repository of the vendor of {} is configured, so its updates cannot be seen", inventory.platform.name);
        let problem = Problem::new(ProblemCode::NoOperatingSystemRepository, "package lists", &text).with_hint("add the vendor's repository to the node's sources");
        found.push((problem, Some(Reason::new(ReasonCode::NoOperatingSystemRepository, text))));
    }
    let oldest_allowed = now.plus_millis(-i64::from(list_age_days) * DAY_MS);
    if inventory.lists_refreshed_at.is_none_or(|at| at < oldest_allowed) {
        let since = inventory.lists_refreshed_at.map_or_else(|| "at an unknown time".to_owned(), |at| format!("on {at}"));
        let text = format!("the package lists were last refreshed {since}, more than {list_age_days} days ago");
        let problem = Problem::new(ProblemCode::ListsStale, "package lists", &text).with_hint(refresh_hint(inventory));
        found.push((problem, Some(Reason::new(ReasonCode::ListsStale, text))));
    }
    for repository in inventory.repositories.iter().filter(|repository| repository.valid_until.is_some_and(|until| until < now)) {
        let name = repository.short_name();
        let until = repository.valid_until.unwrap_or(now);
        let text = format!("the lists of {name} were valid until {until}");
        let reason = is_vendor(&repository).then(|| Reason::new(ReasonCode::ListsStale, text.clone()));
        let problem = Problem::new(ProblemCode::ListsStale, &name, text).with_hint(refresh_hint(inventory));
        if !found.iter().any(|(known, _)| *known == problem) {
            found.push((problem, reason));
        }
    }
    for repository in inventory.repositories.iter().filter(|repository| !repository.trusted) {
        let name = repository.short_name();
        let problem = Problem::new(ProblemCode::RepositoryUnsigned, &name, format!("the lists of {name} are not signed; nothing from it counts as security"))
            .with_hint("sign the repository");
        if !found.iter().any(|(known, _)| *known == problem) {
            found.push((problem, None));
        }
    }
    found
}

fn refresh_hint(inventory: &Inventory) -> String {
    let command = match inventory.platform.operating_system {
        Some(OperatingSystem::Suse | OperatingSystem::OpenSuse) => "zypper refresh",
        system => match system.map_or(Scheme::Deb, OperatingSystem::scheme) {
            Scheme::Deb => "apt-get update",
            Scheme::Rpm => "dnf makecache",
            Scheme::Apk => "apk update",
            Scheme::Alpm => "pacman -Syu",
        },
    };
    format!("run `{command}` on the node")
}

fn decide_verdict(inventory: &Inventory, baseline: Option<&Baseline>, counts: &Counts, unknown: Vec<Reason>) -> (Verdict, Vec<Reason>) {
    let Some(baseline) = baseline else {
        let text = format!("no baseline applies to {}", inventory.platform.name);
        return (Verdict::Unmanaged, vec![Reason::new(ReasonCode::NoBaseline, text)]);
    };
    let mut wrong = Vec::new();
    if baseline.counts_available() && counts.available_security_update > 0 {
        let n = counts.available_security_update;
        let what = if n == 1 { "a security update is".to_owned() } else { format!("{n} security updates are") };
        let text = format!("{what} available that `{}` does not approve (yet)", baseline.name);
        wrong.push(Reason::new(ReasonCode::SecurityUpdatesAvailable, text));
    }
    if counts.missing > 0 {
        let security = counts.security_non_compliant;
        wrong.push(Reason::new(ReasonCode::PatchesMissing, format!("{} missing that `{}` approves, {security} of them security", patches(counts.missing), baseline.name)));
    }
    if counts.failed > 0 {
        wrong.push(Reason::new(ReasonCode::Broken, format!("{} only partly installed", patches(counts.failed))));
    }
    if counts.installed_rejected > 0 {
        wrong.push(Reason::new(ReasonCode::PatchesRejected, format!("{} installed that the baseline rejects", patches(counts.installed_rejected))));
    }
    if let Reboot::Pending { causes } = &inventory.reboot {
        wrong.push(Reason::new(ReasonCode::RebootPending, format!("a reboot is pending: {}", causes.join("; "))));
    }
    if !wrong.is_empty() {
        return (Verdict::NonCompliant, wrong);
    }
    if !unknown.is_empty() {
        return (Verdict::Unknown, unknown);
    }
    let text = format!("nothing that `{}` approves is missing", baseline.name);
    (Verdict::Compliant, vec![Reason::new(ReasonCode::NothingMissing, text)])
}

fn patches(n: u32) -> String {
    if n == 1 { "1 patch is".to_owned() } else { format!("{n} patches are") }
}

/// What is installed of one package.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The installed version.
    pub installed: PatchFacts<'a>,
    /// How far its installation got.
    pub state: InstallState,
    /// An operator's hold is on it.
    pub held: bool,
    /// It waits for a reboot.
    pub reboot_pending: bool,
}

/// A newer version of it.
#[derive(Debug, Clone, Copy)]
pub struct Newer<'a> {
    /// The version.
    pub facts: PatchFacts<'a>,
    /// How the node's package manager treats it.
    pub offer: &'a Offer,
}

/// The state of one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'b> {
    /// The state.
    pub state: PatchState,
    /// Which of the newer versions it is about.
    pub about: Option<usize>,
    /// What the baseline says of that version, else of the installed one.
    pub approval: Approval<'b>,
}

impl Answer<'_> {
    /// How bad it is when the patch is missing.
    pub fn compliance_level(&self) -> ComplianceLevel {
        if let Approval::Approved { level, .. } = self.approval { level } else { ComplianceLevel::Unspecified }
    }
}

/// Judges one package; `newer` holds its newer versions, newest first. Every judgement, of one
/// node or of a fleet, comes from here.
pub fn judge_standing<'b>(selector: &Selector<'b>, standing: &Standing, newer: &[Newer]) -> Answer<'b> {
    let select = |facts: &PatchFacts| selector.select(facts);
    let about = |state, at: usize| Answer { state, about: Some(at), approval: select(&newer[at].facts) };
    let installed = |state| Answer { state, about: None, approval: select(&standing.installed) };

    if standing.state.is_broken() {
        return installed(PatchState::Failed);
    }
    if let Some(at) = newer.iter().position(|version| version.offer.is_installable() && select(&version.facts).is_approved()) {
        return about(PatchState::Missing, at);
    }
    if standing.reboot_pending {
        return installed(PatchState::InstalledPendingReboot);
    }
    if let Some(at) = newer.iter().position(|version| version.facts.classification == Classification::Security) {
        return about(PatchState::AvailableSecurityUpdate, at);
    }
    let of_installed = installed(PatchState::InstalledOther);
    if matches!(of_installed.approval, Approval::Rejected { .. }) && selector.baseline().rejected_patches_action == RejectedPatchesAction::Block {
        return Answer { state: PatchState::InstalledRejected, ..of_installed };
    }
    if !newer.is_empty() {
        return about(PatchState::InstalledOther, newer.iter().position(|version| version.offer.is_next()).unwrap_or(0));
    }
    if of_installed.approval.is_approved() { Answer { state: PatchState::Installed, ..of_installed } } else { of_installed }
}

/// The first instant after `now` at which the answer about a package may be another.
pub fn next_change(selector: &Selector, standing: &Standing, newer: &[Newer]) -> Option<Timestamp> {
    let facts = std::iter::once(&standing.installed).chain(newer.iter().map(|newer| &newer.facts));
    facts.filter_map(|facts| selector.next_change(facts)).min()
}

/// Why a package is in its state.
fn explain(standing: &Standing, newer: &[Newer], answer: &Answer) -> Reason {
    match (answer.state, answer.about) {
        (PatchState::Failed, _) => Reason::new(ReasonCode::Broken, format!("its installation did not end well: it is {}", standing.state.word())),
        (PatchState::Missing, _) if standing.held => {
            Reason::new(ReasonCode::Held, format!("{}, and a hold on the package keeps it from being installed", answer.approval.reason()))
        }
        (PatchState::InstalledPendingReboot, _) => Reason::new(ReasonCode::RebootPending, "it asked for a reboot, and the node has not rebooted since"),
        (PatchState::Missing, Some(at)) => with_replacement(answer.approval.reason(), newer[at].offer),
        (_, None) => answer.approval.reason(),
        (_, Some(at)) => why_not(newer[at].offer, &answer.approval),
    }
}

/// Why a newer version is not counted as missing: the package manager's reason first, because a
/// baseline cannot change it.
fn why_not(offer: &Offer, approval: &Approval) -> Reason {
    match offer {
        Offer::Candidate | Offer::Superseded | Offer::Replacement(_) => with_replacement(approval.reason(), offer),
        Offer::Pinned { priority, preferred_priority } => {
            let text = format!("apt prefers another version: this one has pin priority {priority}, the preferred one {preferred_priority}");
            Reason::new(ReasonCode::Pinned, text)
        }
        Offer::Excluded { by } => Reason::new(ReasonCode::Excluded, format!("it cannot be installed: {by}")),
        Offer::Phased { percent } => Reason::new(ReasonCode::Phased, format!("the vendor offers it to {percent} % of machines so far, and this one is not among them")),
    }
}

/// Names the package that takes the place of another.
fn with_replacement(reason: Reason, offer: &Offer) -> Reason {
    match offer.replacement() {
        Some(replacement) => Reason::new(reason.code, format!("{reason}; `{}` takes its place", replacement.name)),
        None => reason,
    }
}

/// A row per package. Both lists are sorted by name and architecture, so they are walked together.
fn judge_packages(inventory: &Inventory, baseline: &Baseline, now: Timestamp) -> Vec<PatchRow> {
    let reference = |repository: &Repository| Arc::new(RepositoryReference { origin: repository.origin.clone(), label: repository.label.clone(), suite: repository.suite.clone() });
    let references: Vec<_> = inventory.repositories.iter().map(reference).collect();
    let repository_names: Vec<_> = inventory.repositories.iter().map(Repository::short_name).collect();
    let selector = Selector::new(baseline, &inventory.platform.product, now);
    let mut available = inventory.available.as_slice();
    let mut newer = Vec::new();
    let mut rows = Vec::with_capacity(inventory.packages.len());
    for package in &inventory.packages {
        let wanted = (package.name.as_str(), package.architecture.as_str());
        let of = |version: &AvailableVersion| (version.name.as_str(), version.architecture.as_str()).cmp(&wanted);
        available = &available[available.partition_point(|version| of(version).is_lt())..];
        let of_package = &available[..available.partition_point(|version| of(version).is_le())];

        let of_package = if package.older_of_several { &of_package[..0] } else { of_package };
        newer.clear();
        newer.extend(of_package.iter().map(|version| Newer { facts: available_facts(inventory, &repository_names, version), offer: &version.offer }));
        let standing = Standing { installed: installed_facts(inventory, package), state: package.state, held: package.held, reboot_pending: package.reboot_pending };
        let answer = judge_standing(&selector, &standing, &newer);
        let about = answer.about.map(|at| &of_package[at]);
        let repositories = about.map_or(&package.repositories, |version| &version.repositories);
        let facts = answer.about.map_or(&standing.installed, |at| &newer[at].facts);
        rows.push(PatchRow {
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            installed_version: package.version.clone(),
            available_version: about.map(|version| version.version.clone()),
            state: answer.state,
            classification: facts.classification,
            severity: facts.severity(),
            compliance_level: answer.compliance_level(),
            section: facts.section.map(str::to_owned),
            priority: facts.priority.map(str::to_owned),
            repository: inventory.named_repository(repositories).and_then(|number| references.get(number)).cloned(),
            source: about.map_or(&package.source, |version| &version.source).clone(),
            released_at: facts.advisory.and_then(|advisory| advisory.released_at),
            first_seen_at: about.and_then(|version| version.first_seen_at),
            advisories: facts.advisory.map(|advisory| advisory.ids.clone()).unwrap_or_default(),
            cves: facts.advisory.map(|advisory| advisory.cves.clone()).unwrap_or_default(),
            replaced_by: about.and_then(|version| version.offer.replacement()).cloned(),
            reason: explain(&standing, &newer, &answer),
        });
    }
    rows
}

fn installed_facts<'a>(inventory: &Inventory, package: &'a InstalledPackage) -> PatchFacts<'a> {
    PatchFacts {
        name: &package.name,
        architecture: &package.architecture,
        version: &package.version,
        classification: inventory.classify(package.advisory.as_deref(), &package.repositories),
        advisory: package.advisory.as_deref(),
        section: package.section.as_deref(),
        priority: package.priority.as_deref(),
        // Which repository it came from is not looked at: nodes remember only who offers it today.
        repository: None,
        released_at: INSTALLED_APPEARED_AT,
        first_seen_at: INSTALLED_APPEARED_AT,
    }
}

/// What is installed was there before; it is not deferred.
pub const INSTALLED_APPEARED_AT: Option<Timestamp> = Some(Timestamp::from_millis(0));

fn available_facts<'a>(inventory: &Inventory, repository_names: &'a [String], version: &'a AvailableVersion) -> PatchFacts<'a> {
    PatchFacts {
        name: &version.name,
        architecture: &version.architecture,
        version: &version.version,
        classification: inventory.classify(version.advisory.as_deref(), &version.repositories),
        advisory: version.advisory.as_deref(),
        section: version.section.as_deref(),
        priority: version.priority.as_deref(),
        repository: inventory.named_repository(&version.repositories).and_then(|number| repository_names.get(number)).map(String::as_str),
        released_at: version.advisory.as_ref().and_then(|advisory| advisory.released_at),
        first_seen_at: version.first_seen_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::baseline;
    use crate::model::host::Host;
    use crate::model::patch::Replacement;
    use crate::model::platform;

    const NOW: Timestamp = Timestamp::from_millis(20_000 * DAY_MS);

    fn repository(label: &str, codename: &str) -> Repository {
        Repository {
            origin: Some("Debian".into()),
            label: Some(label.into()),
            suite: None,
            codename: Some(codename.into()),
            component: Some("main".into()),
            version: None,
            architecture: Some("amd64".into()),
            site: "deb.example".into(),
            uri: "http://deb.example/debian".into(),
            released_at: None,
            valid_until: None,
            trusted: true,
            not_automatic: false,
            but_automatic_upgrades: false,
        }
    }

    fn package(name: &str) -> InstalledPackage {
        InstalledPackage {
            name: name.into(),
            architecture: "amd64".into(),
            version: "1".into(),
            source: name.into(),
            source_version: None,
            section: Some("libs".into()),
            priority: Some("optional".into()),
            state: InstallState::Installed,
            held: false,
            automatic: false,
            older_of_several: false,
            multi_arch: None,
            reboot_pending: false,
            repositories: vec![0],
            advisory: None,
            installed_at: None,
        }
    }

    fn newer(name: &str, version: &str, repository: usize) -> AvailableVersion {
        AvailableVersion {
            name: name.into(),
            architecture: "amd64".into(),
            version: version.into(),
            offer: Offer::Candidate,
            source: name.into(),
            source_version: None,
            section: Some("libs".into()),
            priority: Some("optional".into()),
            repositories: vec![repository],
            advisory: None,
            first_seen_at: None,
        }
    }

    /// One package `a`, a main and a security repository, fresh lists, nothing newer.
    fn inventory() -> Inventory {
        Inventory {
            collected_at: NOW,
            name: "n1".into(),
            machine: None,
            platform: platform::detect("ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12\"", "amd64"),
            kernel: None,
            packages: vec![package("a")],
            available: vec![],
            repositories: vec![repository("Debian", "bookworm"), repository("Debian-Security", "bookworm-security")],
            lists_refreshed_at: Some(NOW),
            reboot: Reboot::NotPending,
            host: Host::default(),
            problems: vec![],
            has_feed: false,
        }
    }

    fn run(inventory: &Inventory) -> Judgement {
        let judgement = judge(inventory, Some(&baseline::predefined()[0].baseline), LIST_AGE_DAYS_MAX, NOW);
        assert_eq!(judgement.counts, count(&judgement.patches));
        assert_eq!(judgement.patches.len(), inventory.packages.len());
        judgement
    }

    #[track_caller]
    fn check(inventory: &Inventory, verdict: Verdict, state: PatchState, code: ReasonCode) {
        let judgement = run(inventory);
        let row = &judgement.patches[0];
        assert_eq!((judgement.verdict, row.state, row.reason.code), (verdict, state, code), "{row:?}");
    }

    #[test]
    fn the_table_of_states_holds() {
        let states = [InstallState::Installed, InstallState::HalfInstalled, InstallState::Unpacked, InstallState::HalfConfigured, InstallState::TriggersPending];
        let rows: Vec<_> = include_str!("states.txt").lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
        assert!(rows.len() >= 40, "{}", rows.len());
        for (at, row) in rows {
            let [document, installed, newer, expected]: [&str; 4] = row.split(" |").map(str::trim).collect::<Vec<_>>().try_into().unwrap();
            let baseline = Baseline::parse(&format!("{{schema: baseline/v1, name: test, operating_system: DEBIAN, {document}}}")).unwrap();
            let words: Vec<_> = installed.split_whitespace().collect();
            let offers: Vec<_> = newer.split_whitespace().map(|text| text.split('/').collect::<Vec<_>>()).map(|parts| (parts[0], parts[1] == "S", offer(parts[2]))).collect();
            let class = |security: bool| if security { Classification::Security } else { Classification::Other };
            let of_version = |version, security, seen| PatchFacts {
                name: "a",
                architecture: "amd64",
                version,
                classification: class(security),
                advisory: None,
                section: None,
                priority: None,
                repository: None,
                released_at: None,
                first_seen_at: seen,
            };
            let standing = Standing {
                installed: of_version("1", words.contains(&"security"), INSTALLED_APPEARED_AT),
                state: states.into_iter().find(|state| words.contains(&state.word())).unwrap_or(InstallState::Installed),
                held: words.contains(&"held"),
                reboot_pending: words.contains(&"reboot"),
            };
            let newer: Vec<_> = offers.iter().map(|(version, security, offer)| Newer { facts: of_version(version, *security, Some(NOW.plus_millis(-DAY_MS))), offer }).collect();
            let answer = judge_standing(&Selector::new(&baseline, "Debian12", NOW), &standing, &newer);
            let byte = crate::fleet::Byte::of(&answer, class(false));
            let verdict = if byte.tally().is_non_compliant(baseline.counts_available()) { "non-compliant" } else { "compliant" };
            let about = answer.about.map_or("-", |at| newer[at].facts.version);
            assert_eq!(format!("{} {about} {verdict}", answer.state.code()), expected, "line {}: {row}", at + 1);
        }
    }

    fn offer(word: &str) -> Offer {
        match word {
            "candidate" => Offer::Candidate,
            "superseded" => Offer::Superseded,
            "excluded" => Offer::Excluded { by: "a test".into() },
            "pinned" => Offer::Pinned { priority: 1, preferred_priority: 2 },
            "phased" => Offer::Phased { percent: 1 },
            "replacement" => Offer::Replacement(Replacement { name: "b".into(), architecture: "amd64".into() }),
            other => panic!("{other} is no offer"),
        }
    }

    #[test]
    fn nothing_newer_is_compliant() {
        check(&inventory(), Verdict::Compliant, PatchState::InstalledOther, ReasonCode::NotSecurity);
        let mut from_security = inventory();
        from_security.packages[0].repositories = vec![0, 1];
        check(&from_security, Verdict::Compliant, PatchState::Installed, ReasonCode::ApprovedByRule);
    }

    #[test]
    fn an_approved_newer_version_is_missing() {
        let missing = Inventory { available: vec![newer("a", "2", 1)], ..inventory() };
        check(&missing, Verdict::NonCompliant, PatchState::Missing, ReasonCode::ApprovedByRule);
        assert_eq!(run(&missing).counts.security_non_compliant, 1);
    }

    #[test]
    fn a_newer_version_that_is_no_security_patch_changes_nothing() {
        check(&Inventory { available: vec![newer("a", "2", 0)], ..inventory() }, Verdict::Compliant, PatchState::InstalledOther, ReasonCode::NotSecurity);
    }

    #[test]
    fn the_newest_approved_version_counts_when_the_candidate_is_not_approved() {
        let superseded = AvailableVersion { offer: Offer::Superseded, ..newer("a", "2", 1) };
        let both = Inventory { available: vec![newer("a", "3", 0), superseded], ..inventory() };
        check(&both, Verdict::NonCompliant, PatchState::Missing, ReasonCode::ApprovedByRule);
        assert_eq!(run(&both).patches[0].available_version.as_deref(), Some("2"));
    }

    #[test]
    fn a_hold_does_not_make_a_node_green() {
        let mut held = Inventory { available: vec![newer("a", "2", 1)], ..inventory() };
        held.packages[0].held = true;
        check(&held, Verdict::NonCompliant, PatchState::Missing, ReasonCode::Held);
    }

    #[test]
    fn what_apt_would_not_install_is_shown_with_its_reason() {
        let pinned = AvailableVersion { offer: Offer::Pinned { priority: 100, preferred_priority: 500 }, ..newer("a", "2", 1) };
        check(&Inventory { available: vec![pinned], ..inventory() }, Verdict::Compliant, PatchState::AvailableSecurityUpdate, ReasonCode::Pinned);
        let phased = AvailableVersion { offer: Offer::Phased { percent: 10 }, ..newer("a", "2", 0) };
        check(&Inventory { available: vec![phased], ..inventory() }, Verdict::Compliant, PatchState::InstalledOther, ReasonCode::Phased);
    }

    #[test]
    fn broken_packages_and_pending_reboots_are_not_compliant() {
        let mut broken = inventory();
        broken.packages[0].state = InstallState::HalfConfigured;
        check(&broken, Verdict::NonCompliant, PatchState::Failed, ReasonCode::Broken);
        let mut pending = inventory();
        pending.packages[0].reboot_pending = true;
        pending.reboot = Reboot::Pending { causes: vec!["a asked for it".into()] };
        check(&pending, Verdict::NonCompliant, PatchState::InstalledPendingReboot, ReasonCode::RebootPending);
    }

    #[test]
    fn a_green_verdict_needs_fresh_lists_of_the_vendor() {
        for (doubtful, code) in [
            (Inventory { lists_refreshed_at: Some(NOW.plus_millis(-8 * DAY_MS)), ..inventory() }, ReasonCode::ListsStale),
            (Inventory { lists_refreshed_at: None, ..inventory() }, ReasonCode::ListsStale),
            (Inventory { repositories: vec![Repository { valid_until: Some(NOW.plus_millis(-1)), ..repository("Debian", "x") }], ..inventory() }, ReasonCode::ListsStale),
            (Inventory { repositories: vec![Repository { origin: Some("Other".into()), ..repository("Other", "x") }], ..inventory() }, ReasonCode::NoOperatingSystemRepository),
            (Inventory { repositories: vec![], packages: vec![], ..inventory() }, ReasonCode::NoLists),
        ] {
            let judgement = run(&doubtful);
            assert_eq!((judgement.verdict, judgement.reasons[0].code), (Verdict::Unknown, code));
            assert!(!judgement.warnings.is_empty());
        }
    }

    #[test]
    fn stale_lists_do_not_hide_what_is_missing() {
        let stale = Inventory { available: vec![newer("a", "2", 1)], lists_refreshed_at: None, ..inventory() };
        check(&stale, Verdict::NonCompliant, PatchState::Missing, ReasonCode::ApprovedByRule);
    }

    #[test]
    fn an_unsigned_repository_is_no_security_repository() {
        let unsigned = Repository { trusted: false, ..repository("Debian-Security", "bookworm-security") };
        let node = Inventory { available: vec![newer("a", "2", 1)], repositories: vec![repository("Debian", "bookworm"), unsigned], ..inventory() };
        check(&node, Verdict::Compliant, PatchState::InstalledOther, ReasonCode::NotSecurity);
    }

    #[test]
    fn a_node_without_a_baseline_is_unmanaged() {
        let judgement = judge(&inventory(), None, LIST_AGE_DAYS_MAX, NOW);
        assert_eq!((judgement.verdict, judgement.reasons[0].code), (Verdict::Unmanaged, ReasonCode::NoBaseline));
    }
}

//! Times judging a fleet again after a baseline change, for `cargo xtask bench index`; prints JSON.
//! The peer is a plain loop over arrays: what the sums cost without finding, keeping or explaining.
#![expect(clippy::disallowed_methods, clippy::print_stdout, clippy::cast_possible_truncation, reason = "a benchmark reads a clock and prints")]

use std::hint::black_box;
use std::time::Instant;

use domain::fleet::{AvailableRows, ContextId, Fleet, ListId, PackageRow, Scope, VersionFacts, VersionKey, VersionNumber};
use domain::model::baseline::{self, Baseline};
use domain::model::exception::Cohort;
use domain::model::patch::{AvailableVersion, Classification, Offer};
use domain::model::platform::{self, OperatingSystem};
use domain::model::repository::Repository;
use domain::model::section::{AvailableSet, PackageFacts, PackageFlags};
use domain::model::time::{DAY_MS, Timestamp};

const NAMES: usize = 63_666;
const PACKAGES: usize = 400;
const IMAGES: usize = 50;
const DEFAULT: Scope = (OperatingSystem::Debian, None);
const NOW: Timestamp = Timestamp::from_millis(20_000 * DAY_MS);
/// Distinct versions in the catalog of a fleet of several releases.
const VERSIONS: usize = 71_000;
/// One list in so many is counted again from nothing.
const RECOUNT_EVERY: usize = 97;

fn main() {
    let n_nodes = std::env::args().nth(1).and_then(|number| number.parse().ok()).unwrap_or(1_000_000);
    let (n_versions, table_ms) = verdict_table();
    println!("{{\"what\": \"verdict table\", \"n_versions\": {n_versions}, \"table_ms\": {table_ms:.2}}}");
    for (what, all_distinct) in [("images and drift", false), ("all distinct", true)] {
        let mut bench = Bench::new();
        let lists = bench.fill(n_nodes, all_distinct);
        let baselines = [changed("approve_after_days: 3", &[]), changed("approve_after_days: 0", &[]), changed("approve_after_days: 0", &["package-00040"])];
        let all_ms = bench.judge(&lists, &[baselines[0].clone(), baselines[1].clone()]);
        let one_ms = bench.judge(&lists, &[baselines[2].clone(), baselines[1].clone()]);
        let preview_ms = bench.preview(&lists, &baselines[0]);
        let plain_ms = plain_loop(n_nodes, all_distinct);
        println!(
            "{{\"what\": \"{what}\", \"n_nodes\": {n_nodes}, \"n_lists\": {}, \"n_standings\": {}, \"rule_changed_ms\": {all_ms:.2}, \"one_patch_changed_ms\": {one_ms:.3}, \"preview_ms\": {preview_ms:.2}, \"plain_loop_ms\": {plain_ms:.2}}}",
            bench.fleet.n_lists(),
            bench.fleet.n_standings()
        );
    }
}

/// Milliseconds to judge every version of a whole catalog once more, by a baseline that has some of everything.
fn verdict_table() -> (usize, f64) {
    let mut bench = Bench::new();
    // Each version stands on one node only, so that there is little to sum.
    let all: Vec<_> = (0..NAMES).map(|name| (name, 0)).chain((0..VERSIONS - NAMES).map(|name| (name, 1))).collect();
    let lists: Vec<_> = all.chunks(PACKAGES).map(|drawn| bench.add(drawn)).collect();
    let rules = |days: u16| {
        format!(
            "{{approve_after_days: {days}, filters: {{severity: [Critical, Important], classification: [Security]}}}}, \
             {{approve_until_date: '2024-01-01', filters: {{product: [Debian12], section: [libs, net, admin]}}}}, \
             {{approve_after_days: {days}, enable_non_security: true, filters: {{priority: [Required, Important, Standard]}}}}, \
             {{approve_after_days: 7, compliance_level: HIGH, filters: {{name: ['package-1*']}}}}, {{approve_after_days: 14"
        )
    };
    let baselines = [3, 5].map(|days| changed(rules(days).trim_start_matches('{'), &["package-00040", "package-0012*", "other-*"]));
    (bench.fleet.n_standings(), bench.judge(&lists, &baselines))
}

fn changed(rule: &str, rejected: &[&str]) -> Baseline {
    let text = format!(
        "schema: baseline/v1\nname: bench\noperating_system: DEBIAN\napproval_rules: [{{{rule}}}]\nrejected_patches: [{}]\nrejected_patches_action: BLOCK",
        rejected.join(", ")
    );
    Baseline::parse(&text).expect("the baseline is well formed")
}

struct Bench {
    fleet: Fleet,
    context: ContextId,
    available: AvailableRows,
    /// For each name its versions: the newest one, and the one before.
    versions: Vec<[VersionNumber; 2]>,
    chance: u64,
}

impl Bench {
    fn new() -> Self {
        let mut fleet = Fleet::default();
        fleet.set_baseline(&DEFAULT, Some(baseline::predefined().remove(0).baseline), NOW);
        let platform = platform::detect("ID=debian\nVERSION_ID=12\nPRETTY_NAME=Debian", "amd64");
        let context = fleet.context(&platform, &Cohort::default());
        // One in ten has a newer version, from the security suite.
        let newer = (0..NAMES).step_by(10).map(|number| AvailableVersion {
            advisory: None,
            name: name(number),
            architecture: "amd64".to_owned(),
            version: "2.0-1".to_owned(),
            offer: Offer::Candidate,
            source: name(number),
            source_version: None,
            section: Some("libs".to_owned()),
            priority: Some("optional".to_owned()),
            repositories: vec![1],
            first_seen_at: Some(NOW),
        });
        let set =
            AvailableSet { repositories: vec![repository("Debian"), repository("Debian-Security")], usual_origin: vec![0], versions: newer.collect(), ..AvailableSet::default() };
        let available = fleet.read_available(context, &set, NOW);
        let facts = || VersionFacts {
            facts: PackageFacts { section: Some("libs".to_owned()), priority: Some("optional".to_owned()), ..PackageFacts::default() },
            first_seen_at: NOW,
            classification: Classification::Other,
            repository: None,
            advisory: None,
        };
        let number = |fleet: &mut Fleet, number: usize, version: &str| {
            let name = name(number);
            fleet.versions.number(&VersionKey { ecosystem: "debian", name: &name, architecture: "amd64", version }, facts).0
        };
        let versions = (0..NAMES).map(|at| [number(&mut fleet, at, "1.0-1"), number(&mut fleet, at, "1.0-2")]).collect();
        Self { fleet, context, available, versions, chance: 88_172_645_463_325_252 }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        ((self.chance >> 32) as usize * limit) >> 32
    }

    fn draw(&mut self) -> Vec<(usize, usize)> {
        let mut drawn: Vec<_> = (0..PACKAGES).map(|_| (self.below(NAMES), self.below(2))).collect();
        drawn.sort_unstable();
        drawn.dedup_by_key(|(name, _)| *name);
        drawn
    }

    fn add(&mut self, drawn: &[(usize, usize)]) -> ListId {
        let rows: Vec<_> = drawn.iter().map(|(name, version)| PackageRow { version: self.versions[*name][*version], flags: PackageFlags(0) }).collect();
        let list = self.fleet.list(self.context, &rows, &self.available, None, NOW);
        self.fleet.join(list);
        list
    }

    fn fill(&mut self, n_nodes: usize, all_distinct: bool) -> Vec<ListId> {
        if all_distinct {
            return (0..n_nodes)
                .map(|_| {
                    let drawn = self.draw();
                    self.add(&drawn)
                })
                .collect();
        }
        let images: Vec<_> = (0..IMAGES).map(|_| self.draw()).collect();
        (0..n_nodes)
            .map(|_| {
                let mut drawn = images[self.below(IMAGES)].clone();
                for _ in 0..self.below(5) {
                    let at = self.below(drawn.len());
                    drawn[at].1 = 1 - drawn[at].1;
                }
                self.add(&drawn)
            })
            .collect()
    }

    /// Milliseconds of the quickest of several changes between two baselines; counters are checked.
    fn judge(&mut self, lists: &[ListId], baselines: &[Baseline; 2]) -> f64 {
        let mut best = f64::INFINITY;
        for round in 0..6 {
            let start = Instant::now();
            self.fleet.set_baseline(&DEFAULT, Some(baselines[round % 2].clone()), NOW);
            best = best.min(start.elapsed().as_secs_f64() * 1000.0);
            for list in lists.iter().step_by(RECOUNT_EVERY) {
                assert_eq!(self.fleet.counts(*list), self.fleet.recount(*list), "a counter is wrong");
            }
        }
        best
    }

    /// Milliseconds of the quickest of several previews of a rule change, with the first page of the nodes whose
    /// compliance would change.
    fn preview(&self, lists: &[ListId], baseline: &Baseline) -> f64 {
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let start = Instant::now();
            let preview = self.fleet.preview(&DEFAULT, baseline, NOW);
            let would_change = |list: &&ListId| {
                let then = preview.tallies[list.at()].is_some_and(|tally| tally.is_non_compliant(preview.counts_available));
                then != self.fleet.is_non_compliant(**list)
            };
            let (n_changed, page) = (lists.iter().filter(would_change).count(), lists.iter().filter(would_change).take(50).count());
            black_box((n_changed, page));
            best = best.min(start.elapsed().as_secs_f64() * 1000.0);
        }
        best
    }
}

fn name(number: usize) -> String {
    format!("package-{number:05}")
}

fn repository(label: &str) -> Repository {
    Repository {
        origin: Some("Debian".to_owned()),
        label: Some(label.to_owned()),
        suite: None,
        codename: None,
        component: Some("main".to_owned()),
        version: None,
        architecture: Some("amd64".to_owned()),
        site: "deb.example".to_owned(),
        uri: "http://deb.example".to_owned(),
        released_at: None,
        valid_until: None,
        trusted: true,
        not_automatic: false,
        but_automatic_upgrades: false,
    }
}

/// The sums alone: a verdict byte for each number, gathered for every node.
fn plain_loop(n_nodes: usize, all_distinct: bool) -> f64 {
    let verdicts: Vec<u8> = (0..NAMES * 2).map(|number| u8::from(number % 20 < 2)).collect();
    let mut chance = 1_u64;
    let mut below = |limit: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((chance >> 32) as usize * limit) >> 32
    };
    let per_node = if all_distinct { PACKAGES } else { 2 };
    let numbers: Vec<u32> = (0..n_nodes * per_node).map(|_| below(NAMES * 2) as u32).collect();
    let images: Vec<u16> = (0..n_nodes).map(|_| below(IMAGES) as u16).collect();
    let mut counts = vec![0_u16; n_nodes];
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        for ((count, numbers), image) in counts.iter_mut().zip(numbers.chunks_exact(per_node)).zip(&images) {
            let base = if all_distinct { 0 } else { *image };
            *count = base + numbers.iter().map(|number| u16::from(verdicts[*number as usize])).sum::<u16>();
        }
        black_box(&counts);
        best = best.min(start.elapsed().as_secs_f64() * 1000.0);
    }
    best
}

//! Drawing a fleet: images made from a real inventory, and nodes that drifted from their image.

use std::collections::BTreeMap;

use domain::model::chance::Chance;
use domain::model::content::Content;
use domain::model::digest::Digest;
use domain::model::host::Interface;
use domain::model::inventory::Inventory;
use domain::model::section::{self, Heading, PackageFacts, PerSection};
use domain::model::time::{DAY_MS, Timestamp};

/// Every how manyth package of the inventory an image has in a version of its own.
const IMAGE_OWN_SHARE: usize = 10;
/// Most packages that a node has otherwise than its image.
const DRIFT_MAX: u64 = 4;
/// Versions that a package is found in over the fleet, besides the one of the inventory.
const VERSIONS_PER_PACKAGE: u64 = 4;

/// The fleet to draw nodes from.
#[derive(Debug, Clone)]
pub struct Drawing {
    inventory: Inventory,
    n_images: u32,
    seed: u64,
}

/// What one node reports.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// Times and the host name.
    pub heading: Heading,
    /// Its sections.
    pub sections: PerSection<Content>,
    /// What is known of its packages, by name, architecture and version between tabs.
    pub facts: BTreeMap<String, PackageFacts>,
}

impl Drawing {
    /// A fleet of `n_images` images made from a real inventory. The same seed gives the same fleet;
    /// fleets of different seeds come from the same images.
    pub fn new(inventory: Inventory, n_images: u32, seed: u64) -> Self {
        Self { inventory, n_images: n_images.max(1), seed }
    }

    /// Packages of each node.
    pub fn n_packages(&self) -> usize {
        self.inventory.packages.len()
    }

    /// What a node has after so many rounds of change; each round changes one to four packages more.
    pub fn draw(&self, node: u32, rounds: u32, now: Timestamp) -> Drawn {
        let mut chance = seeded(&[self.seed, u64::from(node)]);
        let image = chance.below(u64::from(self.n_images));
        let mut inventory = self.inventory.clone();
        inventory.name = format!("sim-{node:06}");
        inventory.collected_at = now;
        let mut of_image = seeded(&[u64::MAX, image]);
        for at in (0..inventory.packages.len()).step_by(IMAGE_OWN_SHARE) {
            change_version(&mut inventory, at, &mut of_image, now.plus_millis(-30 * DAY_MS));
        }
        for round in 0..=u64::from(rounds) {
            let mut of_round = seeded(&[self.seed, u64::from(node), round]);
            for _ in 0..=of_round.below(DRIFT_MAX) {
                let at = of_round.below(inventory.packages.len().max(1) as u64);
                change_version(&mut inventory, usize::try_from(at).unwrap_or_default(), &mut of_round, now);
            }
        }
        let [_, b, c, d] = node.to_be_bytes();
        inventory.host.interfaces =
            vec![Interface { name: "eth0".to_owned(), mac: Some(format!("02:00:00:{b:02x}:{c:02x}:{d:02x}")), addresses: vec![format!("10.{b}.{c}.{d}/8")], up: true }];
        let facts = PackageFacts::of_all(&inventory);
        let (heading, sections) = section::write(&inventory);
        Drawn { heading, sections, facts }
    }
}

fn change_version(inventory: &mut Inventory, at: usize, chance: &mut Chance, installed_at: Timestamp) {
    let version = chance.below(VERSIONS_PER_PACKAGE);
    if let Some(package) = inventory.packages.get_mut(at) {
        let base = package.version.split("+sim").next().unwrap_or_default();
        package.version = format!("{base}+sim{version}");
        package.installed_at = package.installed_at.map(|_| installed_at);
    }
}

/// Chance that follows from several numbers.
fn seeded(seeds: &[u64]) -> Chance {
    let bytes: Vec<u8> = seeds.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut seed = [0; 8];
    seed.copy_from_slice(&Digest::of(&bytes).as_bytes()[..8]);
    Chance::seeded(u64::from_le_bytes(seed))
}

#[cfg(test)]
mod tests {
    use domain::model::section::Section;
    use testkit::clock::START;
    use testkit::inventories;

    use super::*;

    #[test]
    fn nodes_differ_by_little_and_are_the_same_when_drawn_again() {
        let drawing = Drawing::new(inventories::debian("real", 200, 20, START), 3, 7);
        let (first, again) = (drawing.draw(5, 0, START), drawing.draw(5, 0, START));
        assert_eq!(first.sections, again.sections);
        let later = drawing.draw(5, 1, START);
        let edit = first.sections[Section::Packages].edit_to(&later.sections[Section::Packages]);
        assert!((2..=8).contains(&edit.lines().count()), "{edit}");
        assert_eq!(first.sections[Section::Available], later.sections[Section::Available]);
        let sets: std::collections::HashSet<_> = (0..100).map(|node| drawing.draw(node, 0, START).sections[Section::Packages].digest()).collect();
        assert!(sets.len() > 95, "{} of 100 nodes have a set of their own", sets.len());
    }
}

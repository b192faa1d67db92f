//! Whose the nodes are: units hold units and accounts; an account has nodes in regions.

use crate::model::id::{AccountId, RegionId, UnitId};

/// A unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its id.
    pub id: UnitId,
    /// The unit that holds it; the root has none.
    pub parent_id: Option<UnitId>,
    /// Its name.
    pub name: String,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The unit that holds it.
    pub unit_id: UnitId,
    /// Its name, unique in the organization.
    pub name: String,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its id.
    pub id: RegionId,
    /// Its name, unique in the organization.
    pub name: String,
}

/// The tree, with what small users never have to look at: a root, one account, one region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Organization {
    /// Every unit.
    pub units: Vec<Unit>,
    /// Every account.
    pub accounts: Vec<Account>,
    /// Every region.
    pub regions: Vec<Region>,
}

/// The name of the account and the region that exist from the start.
pub const DEFAULT_NAME: &str = "default";
/// Deepest tree of units.
pub const DEPTH_MAX: usize = 8;
/// Most units, accounts, or regions.
pub const MEMBERS_MAX: usize = 10_000;
/// Longest name of a unit, an account or a region.
pub const NAME_LENGTH_MAX: usize = 64;

/// The organization of a new installation.
pub fn initial() -> Organization {
    let unit_id: UnitId = "un-00000000000000001".parse().expect("the id is well formed");
    Organization {
        units: vec![Unit { id: unit_id.clone(), parent_id: None, name: "organization".to_owned() }],
        accounts: vec![Account { id: default_account(), unit_id, name: DEFAULT_NAME.to_owned() }],
        regions: vec![Region { id: default_region(), name: DEFAULT_NAME.to_owned() }],
    }
}

/// The account of nodes that nobody put elsewhere.
pub fn default_account() -> AccountId {
    "ac-00000000000000001".parse().expect("the id is well formed")
}

/// The region of nodes that nobody put elsewhere.
pub fn default_region() -> RegionId {
    "rg-00000000000000001".parse().expect("the id is well formed")
}

/// Why a change to the tree is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrganizationError {
    /// A name is empty, too long, or holds strange characters.
    #[error("`{name}` is no name: 1 to {NAME_LENGTH_MAX} letters, digits, and `.`, `-`, `_`")]
    BadName {
        /// The name.
        name: String,
    },
    /// The name is taken.
    #[error("there is a {noun} `{name}` already")]
    Taken {
        /// Unit, account or region.
        noun: &'static str,
        /// The name.
        name: String,
    },
    /// A unit would hold itself, or the tree would get too deep.
    #[error("the unit cannot be there: it would hold itself, or be more than {DEPTH_MAX} deep")]
    BadPlace,
    /// There are too many.
    #[error("there are {MEMBERS_MAX} already")]
    TooMany,
}

/// Checks a name.
pub fn check_name(name: &str) -> Result<(), OrganizationError> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if plain && (1..=NAME_LENGTH_MAX).contains(&name.len()) { Ok(()) } else { Err(OrganizationError::BadName { name: name.chars().take(NAME_LENGTH_MAX).collect() }) }
}

impl Organization {
    /// Whether a unit may have this parent.
    pub fn check_place(&self, unit: &UnitId, parent: Option<&UnitId>) -> Result<(), OrganizationError> {
        let path = parent.map(|parent| self.path(parent)).unwrap_or_default();
        if path.iter().any(|above| above.id == *unit) || path.len() >= DEPTH_MAX { Err(OrganizationError::BadPlace) } else { Ok(()) }
    }

    /// A unit and those above it, from the root down.
    pub fn path(&self, unit: &UnitId) -> Vec<&Unit> {
        let mut path = Vec::new();
        let mut next = Some(unit);
        while let Some(unit) = next.and_then(|id| self.units.iter().find(|unit| unit.id == *id)) {
            if path.len() > DEPTH_MAX {
                break;
            }
            path.push(unit);
            next = unit.parent_id.as_ref();
        }
        path.reverse();
        path
    }

    /// The account with this name or id.
    pub fn find_account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name || account.id.as_str() == name)
    }

    /// The region with this name or id.
    pub fn find_region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == name || region.id.as_str() == name)
    }

    /// The unit with this name or id.
    pub fn find_unit(&self, name: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.name == name || unit.id.as_str() == name)
    }

    /// Accounts in a unit and in the units below it.
    pub fn accounts_below(&self, unit: &UnitId) -> Vec<&AccountId> {
        let below = |account: &&Account| self.path(&account.unit_id).iter().any(|above| above.id == *unit);
        self.accounts.iter().filter(below).map(|account| &account.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_below_units_and_circles_are_refused() {
        let mut organization = initial();
        let root = organization.units[0].id.clone();
        let unit: UnitId = "un-00000000000000002".parse().unwrap();
        organization.units.push(Unit { id: unit.clone(), parent_id: Some(root.clone()), name: "shop".into() });
        let account: AccountId = "ac-00000000000000002".parse().unwrap();
        organization.accounts.push(Account { id: account.clone(), unit_id: unit.clone(), name: "web".into() });
        assert_eq!(organization.accounts_below(&unit), [&account]);
        assert_eq!(organization.accounts_below(&root), [&default_account(), &account]);
        assert_eq!(organization.check_place(&root, Some(&unit)), Err(OrganizationError::BadPlace));
        assert_eq!(organization.check_place(&unit, Some(&root)), Ok(()));
        assert!(check_name("eu-central-1").is_ok() && check_name("").is_err() && check_name("a b").is_err());
    }
}

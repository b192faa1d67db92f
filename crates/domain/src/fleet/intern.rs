//! Values that occur often, numbered once.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Numbers for distinct values.
#[derive(Debug)]
pub struct Interner<T> {
    values: Vec<T>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// The number of a value, and whether it is new. `make` builds it when it is.
    pub fn number<Q: Hash>(&mut self, key: &Q, equals: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> (u32, bool) {
        let hash = self.hasher.hash_one(key);
        if let Some(&number) = self.numbers.find(hash, |&number| equals(&self.values[number as usize])) {
            return (number, false);
        }
        (self.insert(hash, make()), true)
    }

    fn insert(&mut self, hash: u64, value: T) -> u32 {
        let number = u32::try_from(self.values.len()).expect("there are fewer than four billion distinct values");
        self.values.push(value);
        let Self { values, numbers, hasher } = self;
        numbers.insert_unique(hash, number, |&number| hasher.hash_one(&values[number as usize]));
        number
    }

    /// The number of a value that is at hand.
    pub fn number_of(&mut self, value: T) -> u32 {
        let hash = self.hasher.hash_one(&value);
        if let Some(&number) = self.numbers.find(hash, |&number| self.values[number as usize] == value) {
            return number;
        }
        self.insert(hash, value)
    }

    /// The number of a value that was seen before.
    pub fn find<Q: Hash>(&self, key: &Q, equals: impl Fn(&T) -> bool) -> Option<u32> {
        self.numbers.find(self.hasher.hash_one(key), |&number| equals(&self.values[number as usize])).copied()
    }

    /// The value with this number.
    pub fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    /// The same, to change what its identity does not depend on.
    pub fn get_mut(&mut self, number: u32) -> &mut T {
        &mut self.values[number as usize]
    }

    /// Every value, in the order of the numbers.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }
}

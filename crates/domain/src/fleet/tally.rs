//! Counting patches by state with few instructions: a byte for each standing, sums of bytes.

use std::ops::{AddAssign, Sub};

use crate::decide::judge::Answer;
use crate::model::baseline::ComplianceLevel;
use crate::model::compliance::{Counts, PatchState};
use crate::model::patch::Classification;

/// What a baseline says of a standing: three bits of state, and where it makes a node non-compliant, whether it is a
/// security patch, and three bits of its compliance level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Byte(u8);

const STATE_BITS: u8 = 0b111;
const SECURITY: u8 = 1 << 3;
const LEVEL_SHIFT: u32 = 4;
const LEVEL_BITS: u8 = 0b111;
const NO_STATE: u8 = 7;

impl Byte {
    /// The standing is not of this context.
    pub const ABSENT: Self = Self(0xff);
    /// No baseline applies.
    pub const UNJUDGED: Self = Self(NO_STATE);

    /// The byte of an answer.
    pub fn of(answer: &Answer, classification: Classification) -> Self {
        let mut byte = answer.state as u8;
        if answer.state.is_non_compliant() {
            byte |= if classification == Classification::Security { SECURITY } else { 0 };
            byte |= (answer.compliance_level() as u8) << LEVEL_SHIFT;
        }
        Self(byte)
    }

    /// The state, when there is one.
    pub fn state(self) -> Option<PatchState> {
        PatchState::ALL.get(usize::from(self.0 & STATE_BITS)).copied()
    }

    /// The compliance level where it makes a node non-compliant.
    pub fn level(self) -> ComplianceLevel {
        ComplianceLevel::ALL.get(usize::from(self.0 >> LEVEL_SHIFT & LEVEL_BITS)).copied().unwrap_or_default()
    }

    /// What the standing adds to a node's tally.
    pub fn tally(self) -> Tally {
        let mut tally = Tally::default();
        if self == Self::ABSENT {
            return tally;
        }
        if self.0 & STATE_BITS != NO_STATE {
            tally.0[usize::from(self.0 & STATE_BITS)] = 1;
        }
        tally.0[7] = i16::from(self.0 & SECURITY != 0);
        tally.0[8] = i16::from(self.level() == ComplianceLevel::Critical);
        tally
    }
}

/// Patches by state in the order of `PatchState::ALL`, then security and critical ones. A node
/// has fewer packages than fit; differences may be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally(pub [i16; 9]);

impl Tally {
    /// The counts, when none is negative.
    pub fn counts(&self) -> Counts {
        Counts::of_numbers(self.0.map(|count| u32::try_from(count).unwrap_or_default()))
    }

    /// Patches in state MISSING.
    pub fn n_missing(&self) -> u32 {
        u32::try_from(self.0[0]).unwrap_or_default()
    }

    /// Whether any patch makes a node non-compliant; `counts_available` says whether security updates do that
    /// are not approved.
    pub fn is_non_compliant(&self, counts_available: bool) -> bool {
        self.0[..4 + usize::from(counts_available)].iter().any(|count| *count > 0)
    }

    /// The sum of two tallies.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self += *other;
        self
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a = a.saturating_add(b);
        }
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a = a.saturating_sub(b);
        }
        self
    }
}

/// Nine counters of seven bits each, for sums of up to 127 bytes at one addition a byte.
const COUNTER_BITS: u32 = 7;
const SUM_LENGTH_MAX: usize = (1 << COUNTER_BITS) - 1;

/// A table from standings to packed tallies.
pub struct TallyOf<'a> {
    bytes: &'a [Byte],
    packed: [u64; 256],
}

impl<'a> TallyOf<'a> {
    /// The table of these bytes.
    pub fn new(bytes: &'a [Byte]) -> Self {
        let mut packed = [0; 256];
        for (byte, packed) in (0..=u8::MAX).zip(&mut packed) {
            *packed = Byte(byte).tally().0.iter().rev().fold(0, |sum, &count| sum << COUNTER_BITS | u64::from(count.unsigned_abs()));
        }
        Self { bytes, packed }
    }

    /// The sum over standings.
    pub fn sum(&self, numbers: &[u32]) -> Tally {
        let mut tally = Tally::default();
        for chunk in numbers.chunks(SUM_LENGTH_MAX) {
            let mut sum = 0;
            for &number in chunk {
                sum += self.packed[usize::from(self.bytes[number as usize].0)];
            }
            for counter in &mut tally.0 {
                *counter = counter.saturating_add(i16::try_from(sum & ((1 << COUNTER_BITS) - 1)).unwrap_or_default());
                sum >>= COUNTER_BITS;
            }
        }
        tally
    }

    /// The tally of one standing.
    pub fn of(&self, number: u32) -> Tally {
        self.bytes[number as usize].tally()
    }
}

//! How many nodes are at work at once, and how many may fail before no more begin: the rate control of AWS's Run Command.

/// The limits of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nodes at work at once.
    pub concurrency: u32,
    /// Failures that are borne; one more, and no further node begins.
    pub errors: u32,
}

/// What a limit must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is neither a number nor a share such as 10%")]
pub struct RateError {
    text: String,
}

impl Rate {
    /// What AWS's Patch now sets for an install on so many nodes.
    pub fn of_patch_now(n_nodes: u32) -> Self {
        let share = |percent: u32| (n_nodes * percent / 100).max(1);
        match n_nodes {
            ..25 => Self { concurrency: 1, errors: 1 },
            25..=100 => Self { concurrency: share(5), errors: 5 },
            101..=1000 => Self { concurrency: share(8), errors: 10 },
            _ => Self { concurrency: share(10), errors: 10 },
        }
    }

    /// With what was said of it, as numbers or shares of the nodes.
    pub fn with(self, concurrency: Option<&str>, errors: Option<&str>, n_nodes: u32) -> Result<Self, RateError> {
        let concurrency = concurrency.map_or(Ok(self.concurrency), |text| read(text, n_nodes).map(|n| n.max(1)))?;
        let errors = errors.map_or(Ok(self.errors), |text| read(text, n_nodes))?;
        Ok(Self { concurrency, errors })
    }

    /// Whether too many nodes failed for another to begin.
    pub fn is_exceeded(self, n_failed: u32) -> bool {
        n_failed > self.errors
    }
}

/// A number, or a share of all, whose fraction counts nothing.
fn read(text: &str, of: u32) -> Result<u32, RateError> {
    let error = || RateError { text: text.chars().take(40).collect() };
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent: u64 = percent.parse().ok().filter(|percent| *percent <= 100).ok_or_else(error)?;
            Ok(u32::try_from(u64::from(of) * percent / 100).unwrap_or(u32::MAX))
        }
        None => text.parse().map_err(|_| error()),
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn patch_now_is_careful_by_the_size_of_the_fleet() {
        let rate = |n_nodes: u32| {
            let Rate { concurrency, errors } = Rate::of_patch_now(n_nodes);
            (concurrency, errors)
        };
        assert_eq!([1, 24, 25, 100, 101, 1000, 2000].map(rate), [(1, 1), (1, 1), (1, 5), (5, 5), (8, 10), (80, 10), (200, 10)]);
    }

    #[test]
    fn limits_are_numbers_or_shares_and_one_error_more_is_too_many() {
        let rate = |concurrency: &str, errors: &str, n_nodes: u32| Rate::of_patch_now(n_nodes).with(Some(concurrency), Some(errors), n_nodes);
        assert_eq!(rate("10%", "10%", 50), Ok(Rate { concurrency: 5, errors: 5 }));
        assert_eq!(rate("1%", "0%", 50), Ok(Rate { concurrency: 1, errors: 0 }));
        assert_eq!(rate("3", "7", 50), Ok(Rate { concurrency: 3, errors: 7 }));
        for bad in ["", "x", "101%", "-1", "1.5", "%"] {
            assert!(rate(bad, "1", 50).is_err() && rate("1", bad, 50).is_err(), "{bad}");
        }
        // 0 errors: the first one is too many. 3: the fourth. A tenth of 50: the sixth.
        let first = |errors: &str| (0..10).find(|n_failed| rate("1", errors, 50).unwrap().is_exceeded(*n_failed)).unwrap();
        assert_eq!(["0", "3", "10%"].map(first), [1, 4, 6]);
    }
}

//! How many packages to install at once, so that nothing is begun that would not end in time.

/// What a batch took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// Its packages.
    pub n_packages: usize,
    /// Its milliseconds.
    pub millis: i64,
}

/// What stays free at the end, for the proof and the last hook.
const RESERVE_MS: i64 = 60_000;
/// What a package is thought to take before any was installed.
const PACKAGE_MS: i64 = 10_000;
/// A first batch is small, so that there is something to go by.
const FIRST_MAX: usize = 5;

/// The size of the next batch; none when not even one package would end in time. Without an end it is everything.
/// The slowest package seen so far may come once more, the others take what they took on average.
pub fn next_batch(n_left: usize, took: &[Took], millis_left: Option<i64>) -> usize {
    let Some(millis_left) = millis_left else { return n_left };
    let each = took.iter().map(|took| took.millis / count(took.n_packages).max(1));
    let (worst, average) = match each.max() {
        Some(worst) => (worst, took.iter().map(|took| took.millis).sum::<i64>() / took.iter().map(|took| count(took.n_packages)).sum::<i64>().max(1)),
        None => (PACKAGE_MS, PACKAGE_MS),
    };
    let room = millis_left - RESERVE_MS - worst;
    if room < 0 {
        return 0;
    }
    let fitting = usize::try_from(1 + room / average.max(1)).unwrap_or(usize::MAX);
    fitting.min(n_left).min(if took.is_empty() { FIRST_MAX } else { usize::MAX })
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Took, next_batch};

    #[test]
    fn a_batch_is_no_larger_than_what_ends_in_time() {
        let took = |n_packages, millis| Took { n_packages, millis };
        assert_eq!(next_batch(50, &[], None), 50);
        assert_eq!([next_batch(50, &[], Some(600_000)), next_batch(3, &[], Some(600_000)), next_batch(50, &[], Some(69_999))], [5, 3, 0]);
        // Ten packages in ten seconds: after the reserve and the slowest one, what is left is shared by the average.
        assert_eq!(next_batch(50, &[took(10, 10_000)], Some(81_000)), 21);
        // One took twenty seconds: it may come once more.
        assert_eq!(next_batch(50, &[took(10, 10_000), took(1, 20_000)], Some(81_000)), 1);
        assert_eq!(next_batch(50, &[took(10, 10_000), took(1, 20_000)], Some(79_000)), 0);
    }
}

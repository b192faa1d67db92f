//! Times the comparison of version pairs given in a file, for `cargo xtask bench`; prints JSON.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads a file and a clock")]

use std::hint::black_box;
use std::time::Instant;

use domain::model::version::deb;

const ROUNDS: usize = 50;

fn main() {
    let path = std::env::args().nth(1).expect("give a file of pairs");
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let pairs: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let keys: Vec<(Vec<u8>, Vec<u8>)> = pairs.iter().map(|(left, right)| (deb::key(left), deb::key(right))).collect();
    let strings_ns = best(pairs.len(), || pairs.iter().filter(|(left, right)| deb::compare(left, right).is_lt()).count());
    let keys_ns = best(keys.len(), || keys.iter().filter(|(left, right)| left < right).count());
    let digest = pairs.iter().zip(&keys).fold(0_i64, |digest, ((left, right), (left_key, right_key))| {
        assert_eq!(deb::compare(left, right), left_key.cmp(right_key), "{left} against {right}");
        (digest * 3 + deb::compare(left, right) as i64 + 1) % 1_000_000_007
    });
    println!("{{\"strings_ns\": {strings_ns}, \"keys_ns\": {keys_ns}, \"digest\": {digest}}}");
}

/// Nanoseconds per pair of the best of many rounds.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn best(n: usize, round: impl Fn() -> usize) -> f64 {
    let spent = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        black_box(round());
        start.elapsed().as_nanos()
    });
    spent.min().unwrap_or_default() as f64 / n as f64
}

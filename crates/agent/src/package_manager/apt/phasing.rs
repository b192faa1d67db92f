//! Phased updates: apt lets a share of all machines have an update first, by a random number
//! that follows from the source package, its version and the machine id.
//!
//! The number comes from C++'s `seed_seq`, `minstd_rand` and libstdc++'s
//! `uniform_int_distribution(0, 100)`; each is fixed by its standard or its code, and apt relies
//! on that to give a machine the same answer every time.

/// Whether apt 2.1 and later keeps this machine from an update that `percent` of machines get.
pub fn is_excluded(source: &str, source_version: &str, machine_id: &str, percent: u8) -> bool {
    draw(format!("{source}-{source_version}-{machine_id}").as_bytes()) > u32::from(percent)
}

/// A number from 0 to 100.
fn draw(seed: &[u8]) -> u32 {
    const SIDES: u32 = 101;
    const RANGE: u32 = MODULUS - 2;
    let scaling = RANGE / SIDES;
    let mut engine = MinimalStandard::seeded(seed);
    loop {
        let number = engine.next() - 1;
        if number < SIDES * scaling {
            return number / scaling;
        }
    }
}

const MODULUS: u32 = 2_147_483_647;

/// `std::minstd_rand`.
struct MinimalStandard {
    state: u32,
}

impl MinimalStandard {
    /// `seed(seed_seq&)`: the engine takes the fourth of four generated words.
    fn seeded(seed: &[u8]) -> Self {
        let state = seed_sequence(seed)[3] % MODULUS;
        Self { state: if state == 0 { 1 } else { state } }
    }

    fn next(&mut self) -> u32 {
        let product = u64::from(self.state) * 48_271 % u64::from(MODULUS);
        self.state = u32::try_from(product).expect("a remainder is smaller than its modulus");
        self.state
    }
}

/// `std::seed_seq::generate` for four words: [rand.util.seedseq] of the C++ standard with n = 4.
fn seed_sequence(seed: &[u8]) -> [u32; 4] {
    const N: usize = 4;
    // For n = 4 the standard gives t = (n - 1) / 2 = 1, p = (n - t) / 2 = 1 and q = p + t = 2.
    const P: usize = 1;
    const Q: usize = 2;
    let scramble = |x: u32| x ^ (x >> 27);
    let word = |at: usize| u32::try_from(at).expect("seeds are short");
    let mut words = [0x8b8b_8b8b_u32; N];
    let rounds = (seed.len() + 1).max(N);
    for k in 0..rounds {
        let (here, p, q) = (k % N, (k + P) % N, (k + Q) % N);
        let r1 = scramble(words[here] ^ words[p] ^ words[(k + N - 1) % N]).wrapping_mul(1_664_525);
        let r2 = r1.wrapping_add(match k {
            0 => word(seed.len()),
            // `char` is signed on the machines that apt runs on most.
            _ if k <= seed.len() => word(here).wrapping_add(i32::from(seed[k - 1].cast_signed()).cast_unsigned()),
            _ => word(here),
        });
        words[p] = words[p].wrapping_add(r1);
        words[q] = words[q].wrapping_add(r2);
        words[here] = r2;
    }
    for k in rounds..rounds + N {
        let (here, p, q) = (k % N, (k + P) % N, (k + Q) % N);
        let r3 = scramble(words[here].wrapping_add(words[p]).wrapping_add(words[(k + N - 1) % N])).wrapping_mul(1_566_083_941);
        let r4 = r3.wrapping_sub(word(here));
        words[p] ^= r3;
        words[q] ^= r4;
        words[here] = r4;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drawn by a C++ program with the three classes of libstdc++ 12.
    #[test]
    fn numbers_are_those_of_the_c_plus_plus_library() {
        for (seed, expected) in ORACLE {
            assert_eq!(draw(seed.as_bytes()), expected, "{seed}");
        }
    }

    const ORACLE: [(&str, u32); 6] = [
        ("", 63),
        ("a", 94),
        ("abc", 18),
        ("tb-lib-1.1-0123456789abcdef0123456789abcdef", 89),
        ("glibc-2.36-9+deb12u9-5e1b0f3a7c9d4e2f8a6b1c3d5e7f9a0b", 15),
        ("linux-signed-amd64-6.1.147+1-ffffffffffffffffffffffffffffffff", 26),
    ];
}

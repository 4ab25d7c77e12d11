//! Random numbers from a seed: one small stream per component.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
///
/// A stream has eight bytes, so that every link and every client has its own, and one more draw on one stream changes
/// no other. The algorithm defines the meaning of a seed and never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// The stream of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A new stream for the part named `label`. It depends on the state of this stream, and does not change it.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        let seed = label.bytes().fold(self.0, |seed, byte| mix(seed ^ u64::from(byte)));
        Self(mix(seed))
    }

    /// A new stream for the part `index` of many equal parts. It depends on the state of this stream, and does not
    /// change it.
    #[must_use]
    pub const fn split(&self, index: u64) -> Self {
        Self(mix(self.0 ^ mix(index.wrapping_add(1))))
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `bound`; 0 if `bound` is 0. The bias is less than `bound` in 2⁶⁴.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.bits() as u128 * bound as u128) >> 64) as u64
    }

    /// A number between `low` and `high`, both included.
    ///
    /// # Panics
    ///
    /// If `low` is above `high`.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "a range has a lower and an upper end");
        low + self.below((high - low).saturating_add(1))
    }

    /// True with a probability of `per_mille` in 1000; always from 1000 on.
    pub const fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// The finaliser of SplitMix64: every input bit changes half of the output bits.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_equal_the_published_ones() {
        // The first outputs for seed 1234567, as printed with the reference implementation.
        let mut rng = Rng::new(1_234_567);
        let drawn: Vec<u64> = (0..5).map(|_| rng.bits()).collect();
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(drawn, published);
    }

    #[test]
    fn forks_are_independent_of_draws_and_of_each_other() {
        let mut rng = Rng::new(1);
        let link = rng.fork("link");
        assert_ne!(link, rng.fork("client"));
        assert_ne!(link.split(0), link.split(1));
        let before = rng.clone();
        assert_eq!(link, before.fork("link"));
        rng.bits();
        assert_ne!(link, rng.fork("link"), "a fork depends on the state of the stream");
    }

    #[test]
    fn both_ends_of_a_range_are_drawn() {
        let mut rng = Rng::new(7);
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| rng.between(3, 5)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(rng.between(9, 9), 9);
    }
}

//! How long to wait before each attempt to reconnect.

use std::time::Duration;

use crate::rng::Rng;

/// How long to wait before each attempt to reconnect.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    random: Rng,
    attempts: u32,
}

impl Backoff {
    /// A back-off that draws its waits from `random`.
    ///
    /// The first wait is shorter than `first`. The ceiling doubles with every attempt, up to `longest`.
    pub fn new(first: Duration, longest: Duration, random: Rng) -> Self {
        Self { first, longest, random, attempts: 0 }
    }

    /// The wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        let ceiling = self.first.saturating_mul(2_u32.saturating_pow(self.attempts)).min(self.longest);
        self.attempts = self.attempts.saturating_add(1);
        jitter(&mut self.random, ceiling)
    }

    /// Starts again from the shortest wait. Call this when the server has sent something, not when it has only
    /// accepted the connection: otherwise the client would reconnect twice a second to a server that accepts and
    /// hangs up.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// A random wait from zero up to `ceiling`, so that the clients of a server that failed do not all reconnect at once.
fn jitter(random: &mut Rng, ceiling: Duration) -> Duration {
    ceiling.mul_f64((random.bits() >> 11) as f64 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn waits_stay_under_a_ceiling_that_doubles_from_half_a_second_to_thirty() {
        // 0.5 s, 1, 2, 4, 8, 16, then 32 is cut to 30.
        let ceilings = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000];
        let mut longest = [Duration::ZERO; 9];
        for seed in 0..1_000 {
            let mut backoff = Backoff::new(FIRST, LONGEST, Rng::new(seed * 1_000_003));
            for (longest, ceiling) in longest.iter_mut().zip(ceilings) {
                let wait = backoff.next_wait();
                assert!(wait < Duration::from_millis(ceiling));
                *longest = wait.max(*longest);
            }
            backoff.reset();
            assert!(backoff.next_wait() < FIRST);
        }
        for (longest, ceiling) in longest.iter().zip(ceilings) {
            assert!(*longest > Duration::from_millis(ceiling).mul_f64(0.95), "{longest:?} of {ceiling} ms");
        }
    }

    #[test]
    fn waits_are_spread_evenly_and_never_overflow() {
        let mut random = Rng::new(1);
        let total: Duration = (0..10_000).map(|_| jitter(&mut random, Duration::from_secs(1))).sum();
        let mean = total / 10_000;
        assert!((0.48..0.52).contains(&mean.as_secs_f64()), "{mean:?}");
        let mut backoff = Backoff::new(FIRST, LONGEST, Rng::new(u64::MAX));
        backoff.attempts = u32::MAX;
        assert!(backoff.next_wait() < LONGEST);
    }
}

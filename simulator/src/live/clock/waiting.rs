//! How long the server's processes waited for a processor: on a busy machine that is no fault of the server.

use std::time::Duration;

use carillon_server::Timestamp;

/// The sum of all waits so far, at several instants in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Vec<(Timestamp, Duration)>);

impl Waiting {
    /// Notes the sum of all waits at an instant.
    pub(crate) fn record(&mut self, at: Timestamp, sum: Duration) {
        self.0.push((at, sum));
    }

    /// How long the server waited between two instants, at most as long as they are apart. The neighbouring samples
    /// count in full.
    pub(crate) fn between(&self, from: Timestamp, until: Timestamp) -> Duration {
        let before = self.0.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        let after = self.0.partition_point(|(at, _)| *at < until).min(self.0.len().saturating_sub(1));
        let (Some((_, low)), Some((_, high))) = (self.0.get(before), self.0.get(after)) else {
            return Duration::ZERO;
        };
        high.saturating_sub(*low).min(until.since(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_contains_the_samples_around_it() {
        let at = |millis| Timestamp::ZERO + Duration::from_millis(millis);
        let mut waiting = Waiting::default();
        assert_eq!(waiting.between(at(0), at(9)), Duration::ZERO);
        for (millis, sum) in [(100, 0), (200, 30), (300, 100), (400, 100)] {
            waiting.record(at(millis), Duration::from_millis(sum));
        }
        assert_eq!(waiting.between(at(210), at(290)), Duration::from_millis(70));
        assert_eq!(waiting.between(at(150), at(350)), Duration::from_millis(100));
        assert_eq!(waiting.between(at(310), at(900)), Duration::ZERO);
        assert_eq!(
            waiting.between(at(295), at(305)),
            Duration::from_millis(10),
            "no longer than the stretch"
        );
    }
}

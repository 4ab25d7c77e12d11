//! The state of a soak over time, sample by sample.

use serde::{Deserialize, Serialize};

/// The state of a soak at one instant. Counters count from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Milliseconds since the start.
    pub at_millis: u64,
    /// Clients that are connected.
    pub connected: u64,
    /// Clients that consider themselves subscribed.
    pub subscribed: u64,
    /// Pushes that have reached a client.
    pub deliveries: u64,
    /// Replies that have reached a client.
    pub echoes: u64,
    /// Connections that have ended.
    pub closes: u64,
    /// Violations of guarantees.
    pub violations: u64,
    /// Resident memory of the server, in bytes, if it runs on this machine.
    pub server_memory_bytes: Option<u64>,
    /// Processor time that the server has used, in seconds, if it runs on this machine.
    pub server_cpu_seconds: Option<f64>,
    /// Resident memory of the load generator, in bytes.
    pub own_memory_bytes: Option<u64>,
    /// Processor time that the load generator has used, in seconds.
    pub own_cpu_seconds: Option<f64>,
}

impl Sample {
    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.at_millis as f64 / 1000.0
    }

    /// The sum of two load generators. They have different clients, but share one server, whose figures are not added.
    fn plus(&self, other: &Self) -> Self {
        Self {
            at_millis: self.at_millis.max(other.at_millis),
            connected: self.connected + other.connected,
            subscribed: self.subscribed + other.subscribed,
            deliveries: self.deliveries + other.deliveries,
            echoes: self.echoes + other.echoes,
            closes: self.closes + other.closes,
            violations: self.violations + other.violations,
            server_memory_bytes: self.server_memory_bytes.max(other.server_memory_bytes),
            server_cpu_seconds: both(self.server_cpu_seconds, other.server_cpu_seconds, f64::max),
            own_memory_bytes: both(self.own_memory_bytes, other.own_memory_bytes, |one, two| one + two),
            own_cpu_seconds: both(self.own_cpu_seconds, other.own_cpu_seconds, |one, two| one + two),
        }
    }
}

fn both<T>(one: Option<T>, two: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, two) {
        (Some(one), Some(two)) => Some(join(one, two)),
        (one, two) => one.or(two),
    }
}

/// Samples in the order of their times. Each is valid until the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline(Vec<Sample>);

impl Timeline {
    /// Adds a sample, which must not be earlier than the last. A sample of the same time replaces the last.
    pub fn push(&mut self, sample: Sample) {
        if self.0.last().is_some_and(|last| last.at_millis >= sample.at_millis) {
            self.0.pop();
        }
        self.0.push(sample);
    }

    /// All samples, in the order of their times.
    pub fn samples(&self) -> &[Sample] {
        &self.0
    }

    /// Adds the timeline of another load generator. The result has a sample at each time of either.
    pub fn merge(&mut self, other: &Self) {
        let mut sum = Vec::with_capacity(self.0.len().max(other.0.len()));
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let (mut here, mut there) = (Sample::default(), Sample::default());
        loop {
            let times = [left.peek(), right.peek()].into_iter().flatten().map(|sample| sample.at_millis);
            let Some(next) = times.min() else { break };
            here = left.next_if(|sample| sample.at_millis == next).copied().unwrap_or(here);
            there = right.next_if(|sample| sample.at_millis == next).copied().unwrap_or(there);
            sum.push(Sample { at_millis: next, ..here.plus(&there) });
        }
        self.0 = sum;
    }

    /// Resident memory of the server over time: seconds and bytes.
    pub fn server_memory(&self) -> Vec<(f64, f64)> {
        self.known(|sample| sample.server_memory_bytes.map(|bytes| bytes as f64))
    }

    /// Resident memory of the load generator over time: seconds and bytes.
    pub fn own_memory(&self) -> Vec<(f64, f64)> {
        self.known(|sample| sample.own_memory_bytes.map(|bytes| bytes as f64))
    }

    /// The server's share of one core between consecutive samples: the time of the later one in seconds, and percent.
    pub fn server_cpu(&self) -> Vec<(f64, f64)> {
        shares(&self.known(|sample| sample.server_cpu_seconds))
    }

    /// The load generator's share of one core between consecutive samples, in the same units.
    pub fn own_cpu(&self) -> Vec<(f64, f64)> {
        shares(&self.known(|sample| sample.own_cpu_seconds))
    }

    fn known(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Vec<(f64, f64)> {
        let point = |sample: &Sample| Some((sample.seconds(), figure(sample)?));
        self.0.iter().filter_map(point).collect()
    }

    pub(super) fn shift(&mut self, millis: u64) {
        self.0.iter_mut().for_each(|sample| sample.at_millis += millis);
    }
}

/// The used share of each interval between two points, in percent.
fn shares(used: &[(f64, f64)]) -> Vec<(f64, f64)> {
    used.windows(2)
        .map(|pair| (pair[1].0, 100.0 * (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(points: &[(u64, u64)]) -> Timeline {
        let sample = |(at_millis, deliveries): &(u64, u64)| Sample {
            at_millis: *at_millis,
            deliveries: *deliveries,
            connected: 1,
            server_memory_bytes: Some(deliveries * 10),
            own_memory_bytes: Some(5),
            ..Sample::default()
        };
        Timeline(points.iter().map(sample).collect())
    }

    #[test]
    fn the_sum_has_a_sample_at_each_time_of_either() {
        let mut sum = timeline(&[(1000, 1), (2000, 4)]);
        sum.merge(&timeline(&[(1500, 10), (2000, 20), (3000, 30)]));
        let points: Vec<_> =
            sum.samples().iter().map(|sample| (sample.at_millis, sample.deliveries)).collect();
        assert_eq!(points, [(1000, 1), (1500, 11), (2000, 24), (3000, 34)]);
        let connected: Vec<_> = sum.samples().iter().map(|sample| sample.connected).collect();
        assert_eq!(connected, [1, 2, 2, 2]);
        let last = sum.samples()[3];
        assert_eq!((last.server_memory_bytes, last.own_memory_bytes), (Some(300), Some(10)));
    }

    #[test]
    fn a_sample_of_the_same_time_replaces_the_last() {
        let mut line = timeline(&[(1000, 1)]);
        line.push(Sample { at_millis: 1000, deliveries: 2, ..Sample::default() });
        line.push(Sample { at_millis: 1001, deliveries: 3, ..Sample::default() });
        let deliveries: Vec<_> = line.samples().iter().map(|sample| sample.deliveries).collect();
        assert_eq!(deliveries, [2, 3]);
    }

    #[test]
    fn the_share_of_a_core_covers_the_time_since_the_last_sample() {
        let sample =
            |at_millis, seconds| Sample { at_millis, server_cpu_seconds: Some(seconds), ..Sample::default() };
        let line = Timeline(vec![sample(0, 1.0), sample(2000, 2.0), sample(3000, 3.5)]);
        assert_eq!(line.server_cpu(), [(2.0, 50.0), (3.0, 150.0)]);
    }
}

//! The pushes of each connection over time, whatever grid the judge takes them for: whether they come at the stated
//! period, and on one schedule for all.

use std::collections::BTreeMap;
use std::time::Duration;

use carillon_server::Timestamp;

use crate::live::clock::pulse::{Arrival, seconds};

/// The most connections, and the most pushes of each, that are kept.
const CONNECTIONS: usize = 2000;
const PUSHES: usize = 16;

/// The fewest connections and gaps from which a schedule is concluded.
const FEWEST: usize = 4;

/// The shortest interval between pushes that can be a period.
const SHORTEST: Duration = Duration::from_millis(50);

/// The most schedules that are told apart.
const SCHEDULES: usize = 16;

/// When each connection that never sent a command got its pushes.
#[derive(Debug, Default)]
pub(crate) struct Rhythms(BTreeMap<u32, Rhythm>);

#[derive(Debug)]
struct Rhythm {
    opened: Timestamp,
    pushes: Vec<Timestamp>,
}

/// What the rhythms of all connections have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    /// One schedule, or too little is known.
    One,
    /// Each connection has a timer of its own, which starts when it connects.
    OfEachConnection,
    /// Several schedules, each with the instants at which its first connection got a push, relative to the first
    /// schedule, and the number of its connections.
    Several(Vec<(Duration, usize)>),
}

impl Rhythms {
    /// Notes a push on a connection that was opened at `opened`.
    pub(super) fn record(&mut self, client: u32, opened: Timestamp, arrival: Arrival) {
        if self.0.len() >= CONNECTIONS && !self.0.contains_key(&client) {
            return;
        }
        let rhythm = self.0.entry(client).or_insert_with(|| Rhythm { opened, pushes: Vec::new() });
        if rhythm.pushes.len() < PUSHES {
            rhythm.pushes.push(arrival.at);
        }
    }

    /// When the first pushes of a client came, as a sentence; empty if nothing is known.
    pub(super) fn story(&self, client: u32) -> String {
        let Some(rhythm) = self.0.get(&client) else { return String::new() };
        let times: Vec<String> = rhythm.pushes.iter().map(|at| seconds(*at)).collect();
        format!("connected at {}; pushes came at {}", seconds(rhythm.opened), times.join(", "))
    }

    /// The usual time between two pushes on a connection, between which the server did not stand still; `None` if
    /// there are too few, or they come irregularly.
    pub(super) fn interval(&self, is_calm: impl Fn(Timestamp, Timestamp) -> bool) -> Option<Duration> {
        let pairs = self.0.values().flat_map(|rhythm| rhythm.pushes.windows(2));
        let calm = pairs.filter(|pair| is_calm(pair[0], pair[1]));
        let mut gaps: Vec<Duration> = calm.map(|pair| pair[1].since(pair[0])).collect();
        gaps.sort_unstable();
        let clients = self.0.values().filter(|rhythm| rhythm.pushes.len() > 1).count();
        let usual = *gaps.get(gaps.len() / 2)?;
        let is_usual = |gap: &&Duration| gap.abs_diff(usual) <= usual / 10;
        let is_regular = gaps.iter().filter(is_usual).count() * 4 >= gaps.len() * 3;
        (gaps.len() >= FEWEST && clients > 1 && usual >= SHORTEST && is_regular).then_some(usual)
    }

    /// The schedules by which connections get their pushes every `period`.
    pub(super) fn schedule(&self, period: Duration, uncertainty: Duration) -> Schedule {
        let steady: Vec<&Rhythm> =
            self.0.values().filter(|rhythm| rhythm.is_steady(period / 10 + uncertainty, period)).collect();
        let several = self.0.values().filter(|rhythm| rhythm.pushes.len() > 1).count();
        if steady.len() < FEWEST || steady.len() * 2 < several {
            return Schedule::One;
        }
        let phases: Vec<Duration> = steady.iter().map(|rhythm| phase(rhythm.pushes[0], period)).collect();
        if spread(&phases, period) <= period / 3 + uncertainty {
            return Schedule::One;
        }
        let since_opened: Vec<Duration> = steady
            .iter()
            .map(|rhythm| phase(Timestamp::ZERO + rhythm.pushes[0].since(rhythm.opened), period))
            .collect();
        if spread(&since_opened, period) <= period / 6 + uncertainty {
            return Schedule::OfEachConnection;
        }
        let clusters = clusters(phases, period, period / 12 + uncertainty);
        if (2..=SCHEDULES).contains(&clusters.len()) { Schedule::Several(clusters) } else { Schedule::One }
    }
}

impl Rhythm {
    /// Whether there are at least two pushes, all whole periods apart up to a tolerance.
    fn is_steady(&self, tolerance: Duration, period: Duration) -> bool {
        let first = self.pushes[0];
        let is_near = |push: &Timestamp| {
            let beside = phase(Timestamp::ZERO + push.since(first), period);
            beside.min(period - beside) <= tolerance
        };
        self.pushes.len() > 1 && self.pushes.iter().all(is_near)
    }
}

/// The phase of an instant within the period.
fn phase(at: Timestamp, period: Duration) -> Duration {
    Duration::from_nanos(at.as_nanos() % period.as_nanos().max(1) as u64)
}

/// The length of the shortest stretch of the period that holds all phases.
fn spread(phases: &[Duration], period: Duration) -> Duration {
    let (_, widest) = widest_gap(phases, period);
    period.saturating_sub(widest)
}

/// The phase behind the widest gap between neighbours, and that gap. The period is a circle.
fn widest_gap(phases: &[Duration], period: Duration) -> (Duration, Duration) {
    let mut sorted = phases.to_vec();
    sorted.sort_unstable();
    let Some(&first) = sorted.first() else { return (Duration::ZERO, period) };
    let ends = sorted.iter().skip(1).copied().chain([first + period]);
    let gaps = sorted.iter().zip(ends).map(|(one, next)| (next, next - *one));
    let (behind, widest) = gaps.max_by_key(|(_, gap)| *gap).unwrap_or((first, period));
    (if behind >= period { behind - period } else { behind }, widest)
}

/// Groups of phases, each at least `apart` from the next: where it begins after the first group, and its size.
fn clusters(phases: Vec<Duration>, period: Duration, apart: Duration) -> Vec<(Duration, usize)> {
    let (start, _) = widest_gap(&phases, period);
    let after = |phase: Duration| if phase >= start { phase - start } else { phase + period - start };
    let mut sorted: Vec<Duration> = phases.into_iter().map(after).collect();
    sorted.sort_unstable();
    let mut clusters: Vec<(Duration, usize)> = Vec::new();
    let mut last = Duration::ZERO;
    for phase in sorted {
        match clusters.last_mut() {
            Some((_, size)) if phase - last < apart => *size += 1,
            _ => clusters.push((phase, 1)),
        }
        last = phase;
    }
    clusters
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_millis(millis)
    }

    /// Connections that opened at these milliseconds and got their first push at those, then one each period.
    fn rhythms(connections: &[(u64, u64)], interval: u64) -> Rhythms {
        let mut rhythms = Rhythms::default();
        for (client, (opened, first)) in connections.iter().enumerate() {
            for push in 0..5 {
                let at = at(first + push * interval);
                rhythms.record(client as u32, self::at(*opened), Arrival { earliest: at, at });
            }
        }
        rhythms
    }

    fn schedule(connections: &[(u64, u64)]) -> Schedule {
        rhythms(connections, 2000).schedule(PERIOD, Duration::from_millis(10))
    }

    #[test]
    fn one_schedule_for_all_may_be_walked_through_in_a_third_of_the_period() {
        let connections = [(100, 3900), (900, 4000), (300, 4100), (1700, 4500)];
        assert_eq!(schedule(&connections), Schedule::One);
    }

    #[test]
    fn a_timer_for_each_connection_starts_when_it_connects() {
        let connections = [(100, 2101), (900, 2902), (300, 2300), (1700, 3703)];
        assert_eq!(schedule(&connections), Schedule::OfEachConnection);
    }

    #[test]
    fn processes_behind_one_port_have_a_schedule_each() {
        let connections = [(100, 2500), (900, 3600), (300, 2501), (1700, 3601), (1800, 2502)];
        assert_eq!(
            schedule(&connections),
            Schedule::Several(vec![(Duration::ZERO, 2), (Duration::from_millis(900), 3)])
        );
    }

    #[test]
    fn the_interval_is_that_of_the_server() {
        let found = rhythms(&[(0, 3000), (10, 3000), (20, 3001)], 3000);
        assert_eq!(found.interval(|_, _| true), Some(Duration::from_secs(3)));
        assert_eq!(found.interval(|_, _| false), None);
    }
}

//! The metrics and their aggregates by name.

use std::fmt;

use super::measurements::Metrics;
use super::timing::Timing;
use super::unit::Unit;

/// A measured quantity of a soak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Connections that ended.
    Closes,
    /// From the start of a connection to its subscription: TCP, TLS and the handshake.
    Connect,
    /// Handshakes that were refused, failed, or took too long.
    ConnectFailures,
    /// Handshakes that succeeded.
    Connects,
    /// Pushes that reached a client.
    Deliveries,
    /// Pushes of a cycle beyond the first.
    Duplicates,
    /// From a message to its reply.
    Echo,
    /// Replies that reached a client.
    Echoes,
    /// Pushes that the server owed and that never came.
    Lost,
    /// The load generator's share of one core, in percent.
    OwnCpu,
    /// From the instant when a socket is readable until it is read: the error that the load generator adds to all
    /// times.
    OwnDelay,
    /// Resident memory of the load generator.
    OwnMemory,
    /// From the due instant to the delivery.
    PushLatency,
    /// Handshakes that succeeded for clients that had been connected before.
    Reconnects,
    /// The server's share of one core, in percent.
    ServerCpu,
    /// Resident memory of the server.
    ServerMemory,
    /// From the first delivery of a push to its last.
    Spread,
    /// Expectations that the measured times neither confirm nor refute.
    Undecided,
    /// Violations of guarantees.
    Violations,
}

/// How a metric becomes one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregate {
    /// The average.
    Avg,
    /// The number of events or measurements.
    Count,
    /// The growth per hour over the second half; 0 if it is not significant ([`Trend::is_flat`]).
    ///
    /// [`Trend::is_flat`]: crate::metrics::Trend::is_flat
    Growth,
    /// The largest.
    Max,
    /// The median.
    Med,
    /// The smallest.
    Min,
    /// The value that this share of all values, in percent from 0 to 100, does not exceed.
    Percentile(f64),
    /// The number per second.
    Rate,
}

/// The kind of a metric, which decides its aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Count,
    Memory,
    Share,
    Timing,
}

impl Metric {
    /// All metrics, in the order of their names.
    pub const ALL: [Self; 19] = [
        Self::Closes,
        Self::Connect,
        Self::ConnectFailures,
        Self::Connects,
        Self::Deliveries,
        Self::Duplicates,
        Self::Echo,
        Self::Echoes,
        Self::Lost,
        Self::OwnCpu,
        Self::OwnDelay,
        Self::OwnMemory,
        Self::PushLatency,
        Self::Reconnects,
        Self::ServerCpu,
        Self::ServerMemory,
        Self::Spread,
        Self::Undecided,
        Self::Violations,
    ];

    /// The metric's name in thresholds and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closes => "closes",
            Self::Connect => "connect",
            Self::ConnectFailures => "connect_failures",
            Self::Connects => "connects",
            Self::Deliveries => "deliveries",
            Self::Duplicates => "duplicates",
            Self::Echo => "echo",
            Self::Echoes => "echoes",
            Self::Lost => "lost",
            Self::OwnCpu => "own_cpu",
            Self::OwnDelay => "own_delay",
            Self::OwnMemory => "own_memory",
            Self::PushLatency => "push_latency",
            Self::Reconnects => "reconnects",
            Self::ServerCpu => "server_cpu",
            Self::ServerMemory => "server_memory",
            Self::Spread => "spread",
            Self::Undecided => "undecided",
            Self::Violations => "violations",
        }
    }

    /// The metric of this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Connect | Self::Echo | Self::OwnDelay | Self::PushLatency | Self::Spread => Kind::Timing,
            Self::OwnCpu | Self::ServerCpu => Kind::Share,
            Self::OwnMemory | Self::ServerMemory => Kind::Memory,
            _ => Kind::Count,
        }
    }

    /// The aggregates of the metric, as thresholds write them.
    pub const fn aggregates(self) -> &'static [&'static str] {
        match self.kind() {
            Kind::Count => &["count", "rate"],
            Kind::Memory => &["avg", "growth", "max", "med", "min", "p(N)"],
            Kind::Share => &["avg", "max", "med", "min", "p(N)"],
            Kind::Timing => &["avg", "count", "max", "med", "min", "p(N)", "rate"],
        }
    }

    /// The unit of this aggregate of the metric.
    pub const fn unit(self, aggregate: Aggregate) -> Unit {
        match (aggregate, self.kind()) {
            (Aggregate::Rate, _) => Unit::PerSecond,
            (Aggregate::Count, _) | (_, Kind::Count) => Unit::Number,
            (Aggregate::Growth, _) => Unit::BytesPerHour,
            (_, Kind::Memory) => Unit::Bytes,
            (_, Kind::Share) => Unit::Percent,
            (_, Kind::Timing) => Unit::Millis,
        }
    }

    /// The aggregate in [`Metric::unit`]; `None` if there are no measurements for it.
    pub fn of(self, aggregate: Aggregate, metrics: &Metrics) -> Option<f64> {
        let rate = |count: u64| (metrics.seconds > 0.0).then(|| count as f64 / metrics.seconds);
        match (self.kind(), aggregate) {
            (Kind::Count, Aggregate::Rate) => rate(self.count(metrics)),
            (Kind::Count, _) => Some(self.count(metrics) as f64),
            (Kind::Timing, Aggregate::Count) => Some(self.timing(metrics)?.count() as f64),
            (Kind::Timing, Aggregate::Rate) => rate(self.timing(metrics)?.count()),
            (Kind::Timing, _) => of_timing(&self.timing(metrics)?, aggregate),
            (_, Aggregate::Growth) => {
                let is_own = self == Self::OwnMemory;
                let trend = if is_own { metrics.own_memory_trend() } else { metrics.server_memory_trend() }?;
                Some(if trend.is_flat() { 0.0 } else { trend.per_hour })
            }
            _ => of_samples(&self.samples(metrics), aggregate),
        }
    }

    /// The times of the metric; `None` if it does not measure times.
    pub fn timing(self, metrics: &Metrics) -> Option<Timing> {
        Some(match self {
            Self::Connect => metrics.connect.clone(),
            Self::Echo => metrics.echo.clone(),
            Self::OwnDelay => metrics.own_delay.clone(),
            Self::PushLatency => metrics.push_latency.clone(),
            Self::Spread => metrics.pushes.spread(),
            _ => return None,
        })
    }

    fn count(self, metrics: &Metrics) -> u64 {
        let counts = &metrics.counts;
        match self {
            Self::Closes => counts.closes,
            Self::ConnectFailures => counts.connect_failures,
            Self::Connects => counts.connects,
            Self::Deliveries => counts.deliveries,
            Self::Duplicates => counts.duplicates,
            Self::Echoes => counts.echoes,
            Self::Lost => counts.lost,
            Self::Reconnects => counts.reconnects,
            Self::Undecided => counts.undecided,
            Self::Violations => counts.violations,
            _ => 0,
        }
    }

    fn samples(self, metrics: &Metrics) -> Vec<f64> {
        let timeline = &metrics.timeline;
        let points = match self {
            Self::OwnCpu => timeline.own_cpu(),
            Self::OwnMemory => timeline.own_memory(),
            Self::ServerCpu => timeline.server_cpu(),
            Self::ServerMemory => timeline.server_memory(),
            _ => Vec::new(),
        };
        points.into_iter().map(|(_, value)| value).collect()
    }
}

fn of_timing(timing: &Timing, aggregate: Aggregate) -> Option<f64> {
    match aggregate {
        Aggregate::Avg => timing.mean(),
        Aggregate::Max => timing.max(),
        Aggregate::Med => timing.quantile(0.5),
        Aggregate::Min => timing.min(),
        Aggregate::Percentile(percent) => timing.quantile(percent / 100.0),
        Aggregate::Count | Aggregate::Growth | Aggregate::Rate => None,
    }
}

/// The percentiles are those of the nearest rank.
fn of_samples(samples: &[f64], aggregate: Aggregate) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let share = match aggregate {
        Aggregate::Avg if samples.is_empty() => return None,
        Aggregate::Avg => return Some(samples.iter().sum::<f64>() / samples.len() as f64),
        Aggregate::Max => 1.0,
        Aggregate::Med => 0.5,
        Aggregate::Min => 0.0,
        Aggregate::Percentile(percent) => percent / 100.0,
        Aggregate::Count | Aggregate::Growth | Aggregate::Rate => return None,
    };
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

impl Aggregate {
    /// All aggregates without a number.
    const NAMED: [Self; 7] =
        [Self::Avg, Self::Count, Self::Growth, Self::Max, Self::Med, Self::Min, Self::Rate];

    /// The aggregate of this name. Percentiles are written as `p(99)` or `p(99.9)`, from 0 to 100.
    pub fn named(name: &str) -> Option<Self> {
        if let Some(percent) = name.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')')) {
            let is_plain = percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let percent: f64 = percent.parse().ok().filter(|_| is_plain)?;
            return (0.0..=100.0).contains(&percent).then_some(Self::Percentile(percent));
        }
        Self::NAMED.into_iter().find(|aggregate| aggregate.to_string() == name)
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Growth => "growth",
            Self::Max => "max",
            Self::Med => "med",
            Self::Min => "min",
            Self::Percentile(percent) => return write!(f, "p({percent})"),
            Self::Rate => "rate",
        })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

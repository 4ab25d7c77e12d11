//! Checks whether a scenario can be simulated and judged: the ranges of its values, and how they fit together.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use carillon_server::ConfigError;

use crate::scenario::Scenario;
use crate::units::{format_count, format_span};

/// The largest number of clients in a scenario. More do not fit the memory of an ordinary machine.
pub const MOST_CLIENTS: u32 = 10_000_000;

/// No real server pushes faster, and a shorter period is less than the latency of the slowest link.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

/// Longer than any use, and far from the end of the clock.
const LONGEST_DURATION: Duration = Duration::from_secs(366 * 86_400);

/// The shortest mean time between repeated events. With less, a run would contain no other events.
const SHORTEST_MEAN: Duration = Duration::from_secs(1);

/// The longest latency that a link can store.
const LONGEST_LATENCY: Duration = Duration::from_secs(4);

const LONGEST_BOUND: Duration = Duration::from_secs(86_400);

/// From the longest text that every client may send to the longest that a client can build, in bytes.
const MESSAGES: RangeInclusive<usize> = 64..=16 << 20;

/// A value of a scenario that is out of range, or does not fit the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The value's key in a scenario file, such as `period` or `links.max_latency`.
    pub key: &'static str,
    /// The value, its range and the reason: the rest of a sentence that begins with the key.
    pub sentence: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.sentence)
    }
}

impl std::error::Error for Misfit {}

impl Scenario {
    /// Checks that the scenario can be simulated and its server judged.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range.
    pub fn check(&self) -> Result<(), Misfit> {
        if self.name.is_empty() || self.name.contains(char::is_control) {
            return misfit("name", "must be one line of text, at least one character long");
        }
        self.check_counts()?;
        self.check_spans()?;
        self.check_times()?;
        self.check_population()?;
        self.check_server()
    }

    fn check_counts(&self) -> Result<(), Misfit> {
        let faults = &self.faults;
        for (key, count, range) in [
            ("clients", u64::from(self.clients), 1..=u64::from(MOST_CLIENTS)),
            ("shards", self.shards as u64, 1..=64),
            ("links.max_sliced", self.links.max_sliced, 0..=1000),
            ("faults.pauses", u64::from(faults.pauses), 0..=1000),
            ("faults.clock_jumps", u64::from(faults.clock_jumps), 0..=1000),
            ("faults.restarts", u64::from(faults.restarts), 0..=1000),
        ] {
            if !range.contains(&count) {
                let [low, high] = [range.start(), range.end()].map(|end| format_count(*end as u32));
                return misfit(key, &format!("is {count}; it must lie between {low} and {high}"));
            }
        }
        Ok(())
    }

    fn check_spans(&self) -> Result<(), Misfit> {
        let (app, links, bounds) = (&self.app, &self.links, &self.bounds);
        let means = SHORTEST_MEAN..=LONGEST_DURATION;
        let latencies = Duration::ZERO..=LONGEST_LATENCY;
        let limits = Duration::ZERO..=LONGEST_BOUND;
        for (key, span, range) in [
            ("app.heartbeat", app.heartbeat, &means),
            ("app.restart", app.restart, &means),
            ("app.switch.on", app.switch.map(|switch| switch.on), &means),
            ("app.switch.off", app.switch.map(|switch| switch.off), &means),
            ("faults.per_client", self.faults.per_client, &means),
            ("links.max_latency", Some(links.max_latency), &latencies),
            ("links.max_jitter", Some(links.max_jitter), &latencies),
            ("links.min_latency", Some(links.min_latency), &(Duration::ZERO..=links.max_latency)),
            ("bounds.push", Some(bounds.push), &limits),
            ("bounds.reply", Some(bounds.reply), &limits),
            ("bounds.release", Some(bounds.release), &limits),
        ] {
            if let Some(span) = span.filter(|span| !range.contains(span)) {
                let [span, low, high] = [span, *range.start(), *range.end()].map(format_span);
                return misfit(key, &format!("is {span}; it must lie between {low} and {high}"));
            }
        }
        Ok(())
    }

    /// Checks that each push arrives before the next is due. Otherwise the oracle could not distinguish them.
    fn check_times(&self) -> Result<(), Misfit> {
        let (period, window) = (self.server.period, self.bounds.push + self.links.longest_way());
        let shortest = SHORTEST_PERIOD.max(window + Duration::from_millis(1));
        if period < shortest {
            let [period, shortest, window] = [period, shortest, window].map(format_span);
            return misfit(
                "period",
                &format!(
                    "{period} is too short; it must be at least {shortest}, because a push may take {window} to arrive \
                     (the server's bound and the slowest link) and must arrive before the next is due"
                ),
            );
        }
        if !(period..=LONGEST_DURATION).contains(&self.duration) {
            let [duration, period, longest] = [self.duration, period, LONGEST_DURATION].map(format_span);
            return misfit(
                "duration",
                &format!(
                    "{duration} is out of range; it must lie between one period, {period}, and {longest}"
                ),
            );
        }
        Ok(())
    }

    fn check_population(&self) -> Result<(), Misfit> {
        if self.population.iter().all(|(_, weight)| *weight == 0) {
            return misfit("population", "must name at least one behaviour with a weight above 0");
        }
        Ok(())
    }

    fn check_server(&self) -> Result<(), Misfit> {
        let largest = self.server.max_message;
        if !MESSAGES.contains(&largest) {
            return misfit(
                "server.max_message",
                &format!("is {largest} bytes; it must lie between 64 and 16MiB"),
            );
        }
        self.server.validate().or_else(|error| {
            let key = match &error {
                ConfigError::Path { .. } => "server.path",
                ConfigError::OutboxLimit { .. } => "server.outbox_limit",
                ConfigError::Span { name: "period", .. } => "period",
                ConfigError::Span { name: "handshake-timeout", .. } => "server.handshake_timeout",
                ConfigError::Span { name: "ping-interval", .. } => "server.ping_interval",
                ConfigError::Span { .. } => "server.close_timeout",
            };
            misfit(key, &format!("is invalid: {error}"))
        })
    }
}

fn misfit(key: &'static str, sentence: &str) -> Result<(), Misfit> {
    Err(Misfit { key, sentence: sentence.to_owned() })
}

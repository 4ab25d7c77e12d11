//! Everything that a soak measures, and its form in JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::pushes::{PushEntry, Pushes};
use super::timeline::{Sample, Timeline};
use super::timing::Timing;
use super::trend::Trend;

/// The share of the largest number of connected clients from which a soak counts as being at its height.
const HEIGHT: f64 = 0.9;

/// Everything that a soak measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "MetricsEntry", from = "MetricsEntry")]
pub struct Metrics {
    /// The start of the soak, in milliseconds since 1970.
    pub started_unix_millis: u64,
    /// The duration of the soak, in seconds.
    pub seconds: f64,
    /// From the start of a connection until the handshake is done.
    pub connect: Timing,
    /// From a message until its reply.
    pub echo: Timing,
    /// From the instant when a socket is readable until it is read: the error that the load generator adds to all
    /// times.
    pub own_delay: Timing,
    /// From the due instant until the push was read.
    pub push_latency: Timing,
    /// Event counts.
    pub counts: Counts,
    /// The deliveries of each push.
    pub pushes: Pushes,
    /// The state of the soak over time, sample by sample.
    pub timeline: Timeline,
}

impl Metrics {
    /// Records a successful handshake, and how long it took.
    pub fn record_connect(&mut self, span: Duration) {
        self.counts.connects += 1;
        self.connect.record(span);
    }

    /// Records a reply, and how long it took.
    pub fn record_echo(&mut self, span: Duration) {
        self.counts.echoes += 1;
        self.echo.record(span);
    }

    /// Records how long a readable socket was unread.
    pub fn record_own_delay(&mut self, span: Duration) {
        self.own_delay.record(span);
    }

    /// Records that the push of `cycle` reached a client. `due` counts from the start of the soak, `latency` from
    /// `due`.
    pub fn record_push(&mut self, cycle: u64, due: Duration, latency: Duration) {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.counts.deliveries += 1;
        self.push_latency.record(latency);
        self.pushes.add(PushEntry {
            cycle,
            due_micros: micros(due),
            deliveries: 1,
            first_micros: micros(latency),
            last_micros: micros(latency),
        });
    }

    /// Adds what another load generator measured in the same soak.
    ///
    /// The wall clocks of their machines align the times, and should agree to a fraction of a sample.
    pub fn merge(&mut self, other: &Self) {
        let start = self.started_unix_millis.min(other.started_unix_millis);
        let mut other = other.clone();
        self.start_at(start);
        other.start_at(start);
        self.seconds = self.seconds.max(other.seconds);
        self.connect.merge(&other.connect);
        self.echo.merge(&other.echo);
        self.own_delay.merge(&other.own_delay);
        self.push_latency.merge(&other.push_latency);
        self.counts.merge(&other.counts);
        self.pushes.merge(&other.pushes);
        self.timeline.merge(&other.timeline);
    }

    /// The growth of the server's memory, in bytes, in the second half of the soak's height: the time between the
    /// first and the last sample with at least 90 % of the largest number of clients. `None` if there are too few
    /// samples.
    pub fn server_memory_trend(&self) -> Option<Trend> {
        self.trend(self.timeline.server_memory())
    }

    /// The growth of the load generator's memory in the same time.
    pub fn own_memory_trend(&self) -> Option<Trend> {
        self.trend(self.timeline.own_memory())
    }

    fn trend(&self, mut points: Vec<(f64, f64)>) -> Option<Trend> {
        let samples = self.timeline.samples();
        let most = samples.iter().map(|sample| sample.connected).max()? as f64;
        let is_high = |sample: &Sample| sample.connected as f64 >= most * HEIGHT;
        let first = samples.iter().find(|sample| is_high(sample))?.at_millis as f64 / 1000.0;
        let last = samples.iter().rfind(|sample| is_high(sample))?.at_millis as f64 / 1000.0;
        points.retain(|(at, _)| (first.midpoint(last)..=last).contains(at));
        Trend::of(&points)
    }

    /// Moves the start to an earlier time.
    fn start_at(&mut self, unix_millis: u64) {
        let later = self.started_unix_millis - unix_millis;
        self.started_unix_millis = unix_millis;
        self.seconds += later as f64 / 1000.0;
        self.pushes.shift(Duration::from_millis(later));
        self.timeline.shift(later);
    }
}

/// [`Metrics`] in JSON. Spread and trend are for readers only, because they follow from the other fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsEntry {
    /// The start of the soak, in milliseconds since 1970.
    started_unix_millis: u64,
    /// The duration of the soak, in seconds.
    seconds: f64,
    /// The measured times.
    timings: Timings,
    /// Event counts.
    counts: Counts,
    /// How the server's memory grew in the second half, in bytes an hour.
    server_memory_trend: Option<Trend>,
    /// The deliveries of each push.
    pushes: Pushes,
    /// The state of the soak over time, sample by sample.
    timeline: Timeline,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Timings {
    connect: Timing,
    echo: Timing,
    own_delay: Timing,
    push_latency: Timing,
    spread: Timing,
}

impl From<Metrics> for MetricsEntry {
    fn from(metrics: Metrics) -> Self {
        let (server_memory_trend, spread) = (metrics.server_memory_trend(), metrics.pushes.spread());
        let Metrics { connect, echo, own_delay, push_latency, .. } = metrics;
        Self {
            started_unix_millis: metrics.started_unix_millis,
            seconds: metrics.seconds,
            timings: Timings { connect, echo, own_delay, push_latency, spread },
            counts: metrics.counts,
            server_memory_trend,
            pushes: metrics.pushes,
            timeline: metrics.timeline,
        }
    }
}

impl From<MetricsEntry> for Metrics {
    fn from(entry: MetricsEntry) -> Self {
        let Timings { connect, echo, own_delay, push_latency, .. } = entry.timings;
        Self {
            started_unix_millis: entry.started_unix_millis,
            seconds: entry.seconds,
            connect,
            echo,
            own_delay,
            push_latency,
            counts: entry.counts,
            pushes: entry.pushes,
            timeline: entry.timeline,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Something that a load generator measures.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Connect(u32),
        Echo(u32),
        OwnDelay(u32),
        Push(u8, u32),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            any::<u32>().prop_map(Event::Connect),
            any::<u32>().prop_map(Event::Echo),
            any::<u32>().prop_map(Event::OwnDelay),
            (0..5_u8, any::<u32>()).prop_map(|(cycle, micros)| Event::Push(cycle, micros)),
        ]
    }

    fn measured<'a>(events: impl IntoIterator<Item = &'a Event>) -> Metrics {
        let mut metrics = Metrics { started_unix_millis: 1000, seconds: 60.0, ..Metrics::default() };
        for event in events {
            let span = |micros: &u32| Duration::from_micros(u64::from(*micros));
            match event {
                Event::Connect(micros) => metrics.record_connect(span(micros)),
                Event::Echo(micros) => metrics.record_echo(span(micros)),
                Event::OwnDelay(micros) => metrics.record_own_delay(span(micros)),
                Event::Push(cycle, micros) => {
                    metrics.record_push(
                        u64::from(*cycle),
                        Duration::from_secs(u64::from(*cycle)),
                        span(micros),
                    );
                }
            }
        }
        metrics
    }

    #[test]
    fn merge_shifts_the_times_of_the_later_start() {
        let sample = Sample { at_millis: 500, connected: 3, ..Sample::default() };
        let mut early = measured(&[Event::Push(1, 7)]);
        early.timeline.push(sample);
        let mut late = measured(&[Event::Push(2, 7)]);
        late.started_unix_millis = 3000;
        late.timeline.push(sample);
        let (mut one, mut two) = (early.clone(), late.clone());
        one.merge(&late);
        two.merge(&early);
        assert_eq!(one, two, "the order does not matter");
        assert_eq!((one.started_unix_millis, one.seconds), (1000, 62.0));
        let times: Vec<_> =
            one.timeline.samples().iter().map(|sample| (sample.at_millis, sample.connected)).collect();
        assert_eq!(times, [(500, 3), (2500, 6)]);
        let dues: Vec<_> = one.pushes.entries().iter().map(|push| push.due_micros).collect();
        assert_eq!(dues, [1_000_000, 4_000_000]);
    }

    #[test]
    fn the_trend_covers_the_second_half_of_the_height() {
        let mut metrics = Metrics::default();
        for second in 0..100_u64 {
            // Clients connect for 20 s, stay for 60 s, and leave; memory follows, and grows by 1 kB/s from 50 s on.
            let connected = if (20..80).contains(&second) { 1000 } else { 100 };
            let memory = connected * 5000 + second.saturating_sub(50) * 1000;
            metrics.timeline.push(Sample {
                at_millis: second * 1000,
                connected,
                server_memory_bytes: Some(memory),
                ..Sample::default()
            });
        }
        let trend = metrics.server_memory_trend().unwrap();
        assert!((trend.per_hour - 3_600_000.0).abs() < 1.0, "{trend:?}");
        assert!(!trend.is_flat());
        assert_eq!(metrics.own_memory_trend(), None);
    }

    proptest! {
        #[test]
        fn merged_parts_equal_the_whole(events in prop::collection::vec((event(), 0..3_usize), 0..200)) {
            let part = |wanted| measured(events.iter().filter(|(_, part)| *part == wanted).map(|(event, _)| event));
            let mut sum = part(0);
            sum.merge(&part(1));
            sum.merge(&part(2));
            prop_assert_eq!(sum, measured(events.iter().map(|(event, _)| event)));
        }

        #[test]
        fn written_metrics_read_back_equal(events in prop::collection::vec(event(), 0..50)) {
            let metrics = measured(&events);
            let text = serde_json::to_string(&metrics).unwrap();
            prop_assert_eq!(serde_json::from_str::<Metrics>(&text).unwrap(), metrics);
        }
    }
}

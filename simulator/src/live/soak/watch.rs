//! Samples and progress of a soak.

use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use serde::{Deserialize, Serialize};

use super::load::Soak;
use super::outage::watch_drops;
use crate::live::server::usage::{Usage, usage};
use crate::metrics::Sample;

/// Time between two checks for lost connections.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Checks between two samples.
const CHECKS_PER_SAMPLE: u32 = 4;

/// The number of newest cycles that are not concluded, because their pushes may be in flight.
const OPEN_CYCLES: u64 = 3;

/// The progress of a soak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Seconds since the start.
    pub seconds: f64,
    /// Seconds until the planned end.
    pub seconds_left: f64,
    /// The planned number of clients.
    pub wanted: u64,
    /// The number of connected clients.
    pub connected: u64,
    /// The number of subscribed clients, as far as the clients know.
    pub subscribed: u64,
    /// The number of pushes that have reached a client.
    pub deliveries: u64,
    /// The median and the 99th percentile of the push latency, in milliseconds; `None` without a push.
    pub latency_ms: Option<(f64, f64)>,
    /// The number of violations.
    pub violations: u64,
    /// The number of connections that the server ended without a cause, or that were lost in an outage.
    pub lost_connections: u64,
}

impl Progress {
    /// The progress of two parts of one load together. Quantiles cannot be added: the larger ones are taken.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let slower = |one: f64, two: f64| one.max(two);
        Self {
            seconds: self.seconds.max(other.seconds),
            seconds_left: self.seconds_left.max(other.seconds_left),
            wanted: self.wanted + other.wanted,
            connected: self.connected + other.connected,
            subscribed: self.subscribed + other.subscribed,
            deliveries: self.deliveries + other.deliveries,
            latency_ms: match (self.latency_ms, other.latency_ms) {
                (Some(one), Some(two)) => Some((slower(one.0, two.0), slower(one.1, two.1))),
                (one, two) => one.or(two),
            },
            violations: self.violations + other.violations,
            lost_connections: self.lost_connections + other.lost_connections,
        }
    }
}

/// Watches the soak until the task is aborted; `show` gets the progress.
pub(super) async fn watch(soak: Rc<Soak>, mut show: impl FnMut(&Progress)) {
    let mut lost_connections = 0;
    let mut is_grid_known = false;
    for check in 0_u32.. {
        soak.state.pulse.sleep(CHECK_INTERVAL).await;
        let dropped = watch_drops(
            &mut soak.state.judge.borrow_mut(),
            &mut soak.outage.borrow_mut(),
            soak.state.now(),
            soak.connected.get(),
            soak.refused_at.get(),
        );
        lost_connections += dropped;
        if dropped > 0 && soak.outage.borrow().is_some() {
            is_grid_known = false;
        }
        let origin = soak.state.judge.borrow().grid.origin();
        if let Some(origin) = origin.filter(|_| !is_grid_known) {
            soak.grid.borrow_mut().restart(origin);
            is_grid_known = true;
        }
        if check.is_multiple_of(CHECKS_PER_SAMPLE) {
            let mut judge = soak.state.judge.borrow_mut();
            let newest = judge.grid.newest(soak.state.now());
            judge.conclude(newest.saturating_sub(OPEN_CYCLES));
            drop(judge);
            sample(&soak);
            show(&progress(&soak, lost_connections));
        }
    }
}

fn sample(soak: &Soak) {
    let own = usage(std::process::id());
    let server = soak.options.server.and_then(usage);
    let judge = soak.state.judge.borrow();
    let mut metrics = soak.state.metrics.borrow_mut();
    let counts = metrics.counts;
    metrics.timeline.push(Sample {
        at_millis: soak.state.now().since(Timestamp::ZERO).as_millis() as u64,
        connected: soak.connected.get(),
        subscribed: soak.subscribed.get(),
        deliveries: counts.deliveries,
        echoes: counts.echoes,
        closes: counts.closes,
        violations: judge.violation_count(),
        server_memory_bytes: server.map(|Usage { memory_bytes, .. }| memory_bytes),
        server_cpu_seconds: server.map(|Usage { cpu_seconds, .. }| cpu_seconds),
        own_memory_bytes: own.map(|Usage { memory_bytes, .. }| memory_bytes),
        own_cpu_seconds: own.map(|Usage { cpu_seconds, .. }| cpu_seconds),
    });
}

fn progress(soak: &Soak, lost_connections: u64) -> Progress {
    let metrics = soak.state.metrics.borrow();
    let after = soak.state.now().since(Timestamp::ZERO);
    let quantile = |share| metrics.push_latency.quantile(share);
    let (part, parts) = soak.options.shard;
    let wanted = soak.options.plan.clients_at(after);
    Progress {
        seconds: after.as_secs_f64(),
        seconds_left: soak.options.plan.duration().saturating_sub(after).as_secs_f64(),
        wanted: u64::from((wanted + parts - part) / parts),
        connected: soak.connected.get(),
        subscribed: soak.subscribed.get(),
        deliveries: metrics.counts.deliveries,
        latency_ms: quantile(0.5).zip(quantile(0.99)),
        violations: soak.state.judge.borrow().violation_count(),
        lost_connections,
    }
}

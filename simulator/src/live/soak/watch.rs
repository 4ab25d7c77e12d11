//! What nobody but the whole can see: outages, and how it goes.

use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use serde::{Deserialize, Serialize};

use super::Soak;
use crate::live::judge::{Dropped, Judge, seconds};
use crate::live::server::usage::{Usage, usage};
use crate::metrics::Sample;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

/// How often drops are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Drops within this time belong together.
const TOGETHER: Duration = Duration::from_secs(2);

/// Looks between two samples.
const LOOKS_PER_SAMPLE: u32 = 4;

/// Cycles that may still be under way are not concluded.
const OPEN_CYCLES: u64 = 3;

/// How a soak goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Since the start, in seconds.
    pub seconds: f64,
    /// Until the end, in seconds.
    pub seconds_left: f64,
    /// Clients that are to be there.
    pub wanted: u64,
    /// Clients that are.
    pub connected: u64,
    /// Clients that are subscribed, as far as they know.
    pub subscribed: u64,
    /// Pushes that have reached a client.
    pub deliveries: u64,
    /// Half of the pushes, and 99 in a hundred, came within so many milliseconds.
    pub latency_ms: Option<(f64, f64)>,
    /// Broken promises.
    pub violations: u64,
    /// Connections that the server has ended without a cause, or that were lost with it.
    pub lost_connections: u64,
}

impl Progress {
    /// What two parts of one load have come to. Quantiles cannot be added up: the slower part's are shown.
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

/// A time in which the server was not there.
pub(super) struct Outage {
    from: Timestamp,
    connections: u64,
    until: Timestamp,
}

/// Watches until it is aborted.
pub(super) async fn watch(soak: Rc<Soak>, mut show: impl FnMut(&Progress)) {
    let mut lost_connections = 0;
    let mut is_grid_known = false;
    for look in 0_u32.. {
        soak.stage.pulse.sleep(LOOK).await;
        let dropped = watch_drops(&soak, &mut soak.outage.borrow_mut());
        lost_connections += dropped;
        if dropped > 0 && soak.outage.borrow().is_some() {
            is_grid_known = false;
        }
        let origin = soak.stage.judge.borrow().rhythm.origin();
        if let Some(origin) = origin.filter(|_| !is_grid_known) {
            soak.grid.borrow_mut().restart(origin);
            is_grid_known = true;
        }
        if look.is_multiple_of(LOOKS_PER_SAMPLE) {
            let mut judge = soak.stage.judge.borrow_mut();
            let newest = judge.rhythm.newest(soak.stage.now());
            judge.conclude(newest.saturating_sub(OPEN_CYCLES));
            drop(judge);
            sample(&soak);
            show(&progress(&soak, lost_connections));
        }
    }
}

/// Looks at the connections that the server has ended: if most of them went at once, or nobody gets in any more, then it
/// was the server that went, and no promise to anybody that was broken. Returns how many are new.
fn watch_drops(soak: &Soak, outage: &mut Option<Outage>) -> u64 {
    let now = soak.stage.now();
    let mut judge = soak.stage.judge.borrow_mut();
    let drops = judge.drops.get_or_insert_default();
    let recent = drops.iter().filter(|drop| now.since(drop.at) < TOGETHER).count() as u64;
    let is_refused = soak.refused_at.get().is_some_and(|at| now.since(at) < TOGETHER);
    let is_general = recent > 1 && recent >= soak.connected.get();
    if let Some(current) = outage {
        current.connections += drops.len() as u64;
        let taken = drops.drain(..).count() as u64;
        if soak.connected.get() > 0 && !is_refused && now.since(current.from) > TOGETHER {
            current.until = now;
            report_outage(&mut judge, current);
            *outage = None;
        }
        return taken;
    }
    if recent > 0 && (is_refused || is_general) {
        let from = drops.iter().map(|drop| drop.at).min().unwrap_or(now);
        let connections = drops.drain(..).count() as u64;
        *outage = Some(Outage { from, connections, until: Timestamp::MAX });
        judge.rhythm.forget();
        return connections;
    }
    let old: Vec<Dropped> = drops.extract_if(.., |drop| now.since(drop.at) >= TOGETHER).collect();
    let count = old.len() as u64;
    convict(&mut judge, old);
    count
}

fn convict(judge: &mut Judge, drops: Vec<Dropped>) {
    for Dropped { at, client, detail } in drops {
        judge.violate(Guarantee::G3, Fault::Dropped, at, Some(client), detail);
    }
}

fn report_outage(judge: &mut Judge, outage: &Outage) {
    let Outage { from, connections, until } = outage;
    let lasted = if *until == Timestamp::MAX {
        "and it took no new ones until the end".to_owned()
    } else {
        format!("and it took new ones again by {}", seconds(*until))
    };
    let missed = match until.since(*from) {
        _ if *until == Timestamp::MAX => "every push from then on".to_owned(),
        span => format!("up to {} pushes", span.as_nanos() / judge.rhythm.period().as_nanos() + 1),
    };
    let sentence = format!(
        "at {} the server was gone: {connections} connections were lost, {lasted}; each of these clients may have \
         missed {missed}",
        seconds(*from)
    );
    judge.doubt(Guarantee::G3, sentence);
}

/// What is left when a soak ends: an outage that goes on, or drops too fresh for anybody to know what they are. These are
/// put down to an outage.
pub(super) fn conclude_drops(judge: &mut Judge, outage: Option<Outage>, now: Timestamp) {
    let drops = judge.drops.take().unwrap_or_default();
    if let Some(mut outage) = outage {
        outage.connections += drops.len() as u64;
        return report_outage(judge, &outage);
    }
    let (fresh, old): (Vec<Dropped>, Vec<Dropped>) =
        drops.into_iter().partition(|drop| now.since(drop.at) < TOGETHER);
    convict(judge, old);
    if let Some(from) = fresh.iter().map(|drop| drop.at).min() {
        let connections = fresh.len() as u64;
        report_outage(judge, &Outage { from, connections, until: Timestamp::MAX });
    }
}

fn sample(soak: &Soak) {
    let own = usage(std::process::id());
    let server = soak.options.server.and_then(usage);
    let judge = soak.stage.judge.borrow();
    let mut metrics = soak.stage.metrics.borrow_mut();
    let counts = metrics.counts;
    metrics.timeline.push(Sample {
        at_millis: soak.stage.now().since(Timestamp::ZERO).as_millis() as u64,
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
    let metrics = soak.stage.metrics.borrow();
    let after = soak.stage.now().since(Timestamp::ZERO);
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
        violations: soak.stage.judge.borrow().violation_count(),
        lost_connections,
    }
}

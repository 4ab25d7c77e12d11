//! What lost connections mean: the server was gone, or a guarantee was broken.

use std::time::Duration;

use carillon_server::Timestamp;

use crate::live::judge::{Dropped, Judge, seconds};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

/// Lost connections within this time belong together.
const SAME_OUTAGE: Duration = Duration::from_secs(2);

/// A time in which the server was gone.
pub(super) struct Outage {
    from: Timestamp,
    connections: u64,
    until: Timestamp,
}

/// Examines the connections that the server has ended. If most of them ended at once, or the server refuses new
/// ones, the server itself was gone: then no promise to a single client was broken. Returns the number of newly
/// lost connections.
pub(super) fn watch_drops(
    judge: &mut Judge,
    outage: &mut Option<Outage>,
    now: Timestamp,
    connected: u64,
    refused_at: Option<Timestamp>,
) -> u64 {
    let drops = judge.drops.get_or_insert_default();
    let recent = drops.iter().filter(|drop| now.since(drop.at) < SAME_OUTAGE).count() as u64;
    let is_refused = refused_at.is_some_and(|at| now.since(at) < SAME_OUTAGE);
    let is_general = recent > 1 && recent >= connected;
    if let Some(current) = outage {
        current.connections += drops.len() as u64;
        let taken = drops.drain(..).count() as u64;
        if connected > 0 && !is_refused && now.since(current.from) > SAME_OUTAGE {
            current.until = now;
            report_outage(judge, current);
            *outage = None;
        }
        return taken;
    }
    if recent > 0 && (is_refused || is_general) {
        let from = drops.iter().map(|drop| drop.at).min().unwrap_or(now);
        let connections = drops.drain(..).count() as u64;
        *outage = Some(Outage { from, connections, until: Timestamp::MAX });
        judge.grid.forget();
        return connections;
    }
    let old: Vec<Dropped> = drops.extract_if(.., |drop| now.since(drop.at) >= SAME_OUTAGE).collect();
    let count = old.len() as u64;
    convict(judge, old);
    count
}

/// Concludes at the end of a soak: an outage that still lasts, and recent losses that are too fresh to be judged.
/// These count as an outage.
pub(super) fn conclude_drops(judge: &mut Judge, outage: Option<Outage>, now: Timestamp) {
    let drops = judge.drops.take().unwrap_or_default();
    if let Some(mut outage) = outage {
        outage.connections += drops.len() as u64;
        return report_outage(judge, &outage);
    }
    let (fresh, old): (Vec<Dropped>, Vec<Dropped>) =
        drops.into_iter().partition(|drop| now.since(drop.at) < SAME_OUTAGE);
    convict(judge, old);
    if let Some(from) = fresh.iter().map(|drop| drop.at).min() {
        let connections = fresh.len() as u64;
        report_outage(judge, &Outage { from, connections, until: Timestamp::MAX });
    }
}

fn convict(judge: &mut Judge, drops: Vec<Dropped>) {
    for Dropped { at, client, detail } in drops {
        judge.violate(Guarantee::G3, Fault::Dropped, at, Some(client), detail);
    }
}

fn report_outage(judge: &mut Judge, outage: &Outage) {
    let Outage { from, connections, until } = outage;
    let lasted = if *until == Timestamp::MAX {
        "and it accepted no new ones until the end".to_owned()
    } else {
        format!("and it accepted new ones again by {}", seconds(*until))
    };
    let missed = match until.since(*from) {
        _ if *until == Timestamp::MAX => "every push from then on".to_owned(),
        span => format!("up to {} pushes", span.as_nanos() / judge.grid.period().as_nanos() + 1),
    };
    let sentence = format!(
        "at {} the server was gone: {connections} connections were lost, {lasted}; each of these clients may have \
         missed {missed}",
        seconds(*from)
    );
    judge.add_doubt(Guarantee::G3, sentence);
}

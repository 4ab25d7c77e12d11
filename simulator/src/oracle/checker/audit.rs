//! Missing pushes and answers: after each cycle the oracle checks every connection once.

use carillon_server::Timestamp;

use super::Checker;
use crate::network::link::Link;
use crate::oracle::connection::{Connection, Owed};
use crate::oracle::coverage::Met;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Tally};
use crate::units::format_instant;

/// The findings of one audit.
#[derive(Default)]
struct Findings {
    /// Connections that never sent a command: `exercised` counts those that got the push, `violations` the others.
    untouched: Tally,
    lost: Vec<usize>,
    /// At least one client does not read, or its connection died unnoticed.
    has_burden: bool,
    /// The hazards that those connections have met.
    burden: Met,
    has_delivery: bool,
}

impl Checker {
    /// Checks every connection after the deliveries of `cycle`, and reports missing pushes and answers.
    pub(crate) fn audit(
        &mut self,
        cycle: u64,
        connections: &mut [Connection],
        links: &[Link],
        now: Timestamp,
    ) {
        let due = self.grid.due(cycle);
        if due >= self.drained_at {
            return;
        }
        let mut findings = Findings::default();
        for (index, connection) in connections.iter_mut().enumerate() {
            let link = &links[index];
            if connection.has_vanished() || link.flow.as_ref().is_some_and(|flow| flow.is_blocked) {
                findings.has_burden = true;
                findings.burden = findings.burden.union(connection.met);
            }
            if !connection.is_judged() {
                continue;
            }
            self.audit_push(cycle, due, index, connection, link, &mut findings);
            self.audit_waiting(connection, link, now);
        }
        self.report(cycle, &findings, connections, now);
    }

    fn audit_push(
        &mut self,
        cycle: u64,
        due: Timestamp,
        index: usize,
        connection: &mut Connection,
        link: &Link,
        findings: &mut Findings,
    ) {
        let has_push = connection.windows.last_cycle >= cycle as u32;
        if has_push {
            self.exercise(Guarantee::G4, connection.met);
        }
        if connection.windows.must_not(due) && !has_push {
            self.exercise(Guarantee::G2, connection.met);
        }
        if !connection.windows.must(due) || self.is_excused(cycle) {
            return;
        }
        let is_stuck = link.flow.as_ref().is_some_and(|flow| !flow.is_flowing() || flow.stuck_until >= due);
        if has_push {
            findings.has_delivery = true;
            findings.untouched.exercised += u64::from(!connection.windows.has_commanded);
            self.exercise(Guarantee::G3, connection.met);
            if !connection.windows.has_commanded {
                self.exercise(Guarantee::G1, connection.met);
            }
        } else if is_stuck {
            connection.owed.get_or_insert_with(|| Box::new(Owed::default())).waiting.push(cycle as u32);
        } else {
            findings.untouched.violations += u64::from(!connection.windows.has_commanded);
            findings.lost.push(index);
        }
    }

    fn audit_waiting(&mut self, connection: &mut Connection, link: &Link, now: Timestamp) {
        let Some(flow) = &link.flow else {
            return self.check_waiting(connection, Timestamp::ZERO, now);
        };
        if !flow.is_flowing() || connection.is_mute {
            return;
        }
        self.check_waiting(connection, flow.stuck_until, now);
        let limit = self.longest_way * 2 + self.bounds.reply;
        if now.since(flow.stuck_until.max(self.paused_until())) > limit
            && let Some(owed) = connection.owed.take()
        {
            for cycle in owed.overtaken.iter().chain(&owed.waiting) {
                self.violate(Guarantee::G3, Fault::Lost, now, connection, || {
                    format!("the push of cycle {cycle} never came, although the client reads again")
                });
            }
        }
    }

    fn report(&mut self, cycle: u64, findings: &Findings, connections: &[Connection], now: Timestamp) {
        if findings.has_burden && findings.has_delivery && findings.lost.is_empty() {
            self.exercise(Guarantee::G10, findings.burden);
        }
        // If no client without a command gets a push, the initial subscription is wrong (G1), not the delivery (G3).
        let untouched = findings.untouched;
        let is_default_broken = untouched.violations > 1 && untouched.exercised == 0 && findings.has_delivery;
        for index in &findings.lost {
            let connection = &connections[*index];
            let guarantee = if is_default_broken && !connection.windows.has_commanded {
                Guarantee::G1
            } else {
                Guarantee::G3
            };
            self.violate(guarantee, Fault::Lost, now, connection, || {
                let since = format_instant(connection.windows.since);
                format!("the push of cycle {cycle} never came; subscribed since {since}")
            });
        }
    }
}

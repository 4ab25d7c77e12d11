//! Pushes as they arrive, and those that did not: wanted, once, and to everybody who is owed one.

use std::time::Duration;

use carillon_server::Timestamp;

use super::{Judge, KEPT, LiveConnection, Lost};
use crate::live::clock::pulse::Arrival;
use crate::oracle::connection::Phase;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

impl Judge {
    /// A push arrived. Returns its cycle.
    pub(crate) fn on_push(&mut self, connection: &mut LiveConnection, arrival: Arrival, offset: u64) -> u64 {
        self.keeper.score.deliveries += 1;
        let cycle = self.cycle_of(connection, arrival);
        if connection.is_out {
            // Who does not read at once gets at any time what was sent at another: that says nothing of the grid.
            return cycle;
        }
        if self.drained_at.is_none() {
            // What a server still sends when it was told to end is no part of its grid.
            self.grid.take(cycle, arrival);
        }
        self.audit_before(connection, cycle, arrival.at);
        let (client, role) = (Some(connection.core.client), connection.role);
        if offset >= connection.core.windows.quiet_from {
            let since = arrival.at.since(connection.core.windows.since);
            let detail = format!(
                "{role}: a push {since:.1?} behind the fence of an unsubscribe, and no subscribe since"
            );
            self.violate(Guarantee::G2, Fault::Unexpected, arrival.at, client, detail);
        }
        if self.is_second(connection, cycle, arrival) {
            self.on_second(connection, cycle, arrival);
        } else {
            self.on_first(connection, cycle);
        }
        self.check_drained(connection, cycle, arrival);
        connection.core.windows.last_cycle = cycle as u32;
        connection.core.last_push_at = arrival.earliest;
        connection.pushes += 1;
        cycle
    }

    /// The cycle next to it; or the one before, if that is the one that this client waits for. Such a push is late by more
    /// than half a period, unless it was the harness that was.
    fn cycle_of(&mut self, connection: &LiveConnection, arrival: Arrival) -> u64 {
        let nearest = self.grid.nearest(arrival.at);
        if arrival.width() > self.grid.period() / 4 {
            // The harness was held up, and everything of that time is read at once: then the order must do.
            let next = u64::from(connection.core.windows.last_cycle) + 1;
            return next.max(self.grid.nearest(arrival.earliest)).min(nearest);
        }
        let before = nearest.saturating_sub(1);
        let waits = !connection.is_out
            && u64::from(connection.core.windows.last_cycle) < before
            && self.is_owed(connection, before);
        if before == 0 || !waits || arrival.at >= self.grid.due(nearest) || self.grid.is_excused(before) {
            return nearest;
        }
        let late = arrival.earliest.since(self.grid.due(before));
        if late > self.grid.period() / 2 {
            self.late.0 = self.late.0.max(late);
            self.late.1 += 1;
        }
        before
    }

    fn is_second(&self, connection: &LiveConnection, cycle: u64, arrival: Arrival) -> bool {
        let gap = arrival.at.since(connection.core.last_push_at);
        let is_close = connection.core.last_push_at > Timestamp::ZERO && gap < self.grid.period() / 2;
        connection.pushes > 0 && (is_close || u64::from(connection.core.windows.last_cycle) >= cycle)
    }

    fn on_second(&mut self, connection: &LiveConnection, cycle: u64, arrival: Arrival) {
        self.duplicates += 1;
        let gap = arrival.at.since(connection.core.last_push_at);
        let was_stalled = self.grid.is_excused(cycle) && self.tally(Guarantee::G4).violations == 0;
        let (guarantee, cause) = if was_stalled {
            (Guarantee::G7, ", right after a stall: missed cycles are skipped, not made up for")
        } else {
            (Guarantee::G4, "")
        };
        let detail = format!("{}: two pushes within {gap:.1?}{cause}", connection.role);
        self.violate(guarantee, Fault::Duplicated, arrival.at, Some(connection.core.client), detail);
    }

    fn on_first(&mut self, connection: &LiveConnection, cycle: u64) {
        let is_untouched = !connection.core.windows.has_commanded;
        let is_owed = self.is_owed(connection, cycle);
        let is_burdened = self.is_burdened(cycle);
        let audit = self.audits.entry(cycle).or_default();
        audit.is_burdened = is_burdened;
        audit.served += 1;
        audit.served_untouched += u64::from(is_untouched);
        if connection.pushes > 0 {
            self.exercise(Guarantee::G4);
        }
        if is_owed {
            self.exercise(Guarantee::G3);
            if is_untouched {
                self.exercise(Guarantee::G1);
            }
        }
    }

    /// A cycle that falls due after the signal must not fire. The signal takes its time to arrive, too.
    fn check_drained(&mut self, connection: &LiveConnection, cycle: u64, arrival: Arrival) {
        let Some(drained_at) = self.drained_at else { return };
        if self.grid.due(cycle) > drained_at + self.grid.period() / 8 {
            let detail = format!(
                "{}: a push of a cycle that was not due when the server was told to end",
                connection.role
            );
            self.violate(Guarantee::G14, Fault::Unexpected, arrival.at, Some(connection.core.client), detail);
        }
    }

    /// Whether this cycle's push must reach that connection: settled a third of a period before the bound of its due
    /// instant, as the true one may lie that much earlier.
    pub(super) fn is_owed(&self, connection: &LiveConnection, cycle: u64) -> bool {
        let due = self.grid.due(cycle).as_nanos();
        let snapshot = due.saturating_sub(self.grid.period().as_nanos() as u64 / 3);
        connection.core.windows.must(Timestamp::from_nanos(snapshot))
    }

    pub(super) fn is_burdened(&self, cycle: u64) -> bool {
        self.burdened_since.is_some_and(|since| self.grid.due(cycle) > since)
    }

    /// A push of `cycle` is there: those before it come no more.
    fn audit_before(&mut self, connection: &mut LiveConnection, cycle: u64, at: Timestamp) {
        for missing in connection.audited + 1..cycle {
            self.audit(connection, missing, at);
        }
        connection.audited = connection.audited.max(cycle);
    }

    /// Looks at the cycles whose push must have come by now; before a command, and at the end of a connection.
    pub(crate) fn settle_accounts(
        &mut self,
        connection: &mut LiveConnection,
        now: Timestamp,
        blur: Duration,
    ) {
        let patience = self.grid.period() / 2 + blur;
        let newest = self.grid.newest(now);
        for cycle in connection.audited + 1..=newest {
            if self.grid.due(cycle) + patience > now {
                break;
            }
            self.audit(connection, cycle, now);
            connection.audited = cycle;
        }
    }

    /// This cycle's push has not come by now.
    fn audit(&mut self, connection: &LiveConnection, cycle: u64, now: Timestamp) {
        let is_there = !connection.is_out && connection.core.phase == Phase::Open;
        let is_ours = is_there && u64::from(connection.core.windows.last_cycle) < cycle;
        let is_over = self.drained_at.is_some_and(|at| self.grid.due(cycle) + self.grid.period() / 2 >= at);
        if !is_ours || is_over || self.grid.is_excused(cycle) {
            return;
        }
        if connection.core.windows.must_not(self.grid.due(cycle)) {
            return self.exercise(Guarantee::G2);
        }
        if !self.is_owed(connection, cycle) {
            return;
        }
        let is_untouched = !connection.core.windows.has_commanded;
        let is_burdened = self.is_burdened(cycle);
        let without = now.since(connection.core.windows.since.max(connection.core.last_push_at));
        let is_long = without > self.grid.period() * 3 / 2;
        let audit = self.audits.entry(cycle).or_default();
        audit.is_burdened = is_burdened;
        audit.lost_for_long += u64::from(is_long);
        audit.lost += 1;
        audit.lost_untouched += u64::from(is_untouched);
        if audit.kept.len() < KEPT {
            let (client, role, since) =
                (connection.core.client, connection.role, connection.core.windows.since);
            audit.kept.push(Lost { client, role, since, is_untouched, is_long });
        }
    }
}

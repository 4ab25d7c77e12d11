//! Judges pushes that arrive, and pushes that do not: each subscriber must get every push, once.

use std::time::Duration;

use carillon_server::Timestamp;

use super::facts::Lost;
use super::{BINARY, Judge, LOST, LiveConnection, Observation};
use crate::live::clock::pulse::Arrival;
use crate::oracle::connection::Phase;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

impl Judge {
    /// Judges a push, and returns its cycle.
    pub(crate) fn on_push(&mut self, connection: &mut LiveConnection, arrival: Arrival, offset: u64) -> u64 {
        self.keeper.score.deliveries += 1;
        let cycle = self.cycle_of(connection, arrival);
        if connection.is_excluded {
            // A client that does not read at once receives pushes late: their arrivals say nothing about the grid.
            return cycle;
        }
        if self.drained_at.is_none() {
            // A push after the signal to shut down is not part of the grid.
            self.grid.record_push(cycle, arrival);
        }
        if !connection.core.windows.has_commanded {
            self.rhythms.record(connection.core.client, connection.core.opened_at, arrival);
        }
        self.audit_before(connection, cycle, arrival.at);
        if offset >= connection.core.windows.quiet_from {
            self.on_unwanted(connection, arrival);
        }
        if self.is_made_up_for(connection, arrival) {
            self.on_made_up_for(connection, arrival);
        } else if self.is_second(connection, cycle, arrival) {
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

    /// The cycle of a push: the nearest one, or the one before if this client still waits for that one. Such a push
    /// is more than half a period late, unless the harness was late itself.
    fn cycle_of(&mut self, connection: &LiveConnection, arrival: Arrival) -> u64 {
        let nearest = self.grid.nearest(arrival.at);
        if let Some((_, next)) = self.grid.stall_before(arrival.at) {
            // A late push of the last cycle that the stall covers, or the push of the next cycle.
            let is_next = arrival.at + self.grid.period() / 3 >= self.grid.due(next);
            return if is_next { next } else { next.saturating_sub(1) };
        }
        if arrival.width() > self.grid.period() / 4 {
            // The harness was delayed, and everything of that time is read at once: then the order decides.
            let next = u64::from(connection.core.windows.last_cycle) + 1;
            return next.max(self.grid.nearest(arrival.earliest)).min(nearest);
        }
        let before = nearest.saturating_sub(1);
        let waits = !connection.is_excluded
            && u64::from(connection.core.windows.last_cycle) < before
            && self.is_owed(connection, before);
        // The bound of a due instant may be somewhat late itself.
        let is_on_time = arrival.at + self.grid.period() / 8 >= self.grid.due(nearest);
        if before == 0 || !waits || is_on_time || self.grid.is_excused(before) {
            return nearest;
        }
        let late = arrival.earliest.since(self.grid.due(before));
        if late > self.grid.period() / 2 {
            let is_starved = self.is_starved(arrival.at);
            self.late.add(late, before, is_starved);
        }
        before
    }

    /// Whether a push right after a stall makes up for cycles that the server missed. One push may be late, and the
    /// next one may follow on time (G7).
    fn is_made_up_for(&self, connection: &mut LiveConnection, arrival: Arrival) -> bool {
        let stall = self.grid.stall_before(arrival.at).map(|(stall, _)| stall);
        if connection.after_stall.0 != stall {
            connection.after_stall = (stall, 0);
        }
        connection.after_stall.1 += 1;
        stall.is_some() && connection.after_stall.1 > 2
    }

    fn on_made_up_for(&mut self, connection: &LiveConnection, arrival: Arrival) {
        if self.tally(Guarantee::G4).violations > 0 {
            // A server that sends every push twice does so after a stall, too.
            return;
        }
        let outcome = format!(
            "{} pushes right after a stall: missed cycles are skipped, not made up for",
            connection.after_stall.1
        );
        self.report_second(connection, arrival, Guarantee::G7, outcome);
    }

    fn is_second(&self, connection: &mut LiveConnection, cycle: u64, arrival: Arrival) -> bool {
        // Around a stall the pushes are counted, because a late one and the next may come close together.
        if connection.pushes == 0 || self.grid.stall_before(arrival.at).is_some() {
            return false;
        }
        let before = connection.core.last_push_at;
        if before > Timestamp::ZERO && arrival.at.since(before) < self.grid.period() / 2 {
            return true;
        }
        // Pushes that are far apart are too many only if that goes on: one of them may have been late.
        let is_again = u64::from(connection.core.windows.last_cycle) >= cycle;
        connection.excess += u8::from(is_again);
        is_again && connection.excess > 1
    }

    fn on_second(&mut self, connection: &LiveConnection, cycle: u64, arrival: Arrival) {
        let gap = arrival.at.since(connection.core.last_push_at);
        self.twins += u64::from(gap < self.grid.period() / 20);
        let was_stalled = self.grid.is_excused(cycle) && self.tally(Guarantee::G4).violations == 0;
        let (guarantee, cause) = if was_stalled {
            (Guarantee::G7, ", right after a stall: missed cycles are skipped, not made up for")
        } else {
            (Guarantee::G4, "")
        };
        self.report_second(connection, arrival, guarantee, format!("two pushes within {gap:.1?}{cause}"));
    }

    fn report_second(
        &mut self,
        connection: &LiveConnection,
        arrival: Arrival,
        guarantee: Guarantee,
        outcome: String,
    ) {
        self.duplicates += 1;
        let seen = Observation::of(connection.role, outcome);
        self.violate(guarantee, Fault::Duplicated, arrival.at, Some(connection.core.client), seen);
    }

    /// Reports a push behind the fence of an unsubscribe.
    fn on_unwanted(&mut self, connection: &LiveConnection, arrival: Arrival) {
        let since = arrival.at.since(connection.core.windows.since);
        let (guarantee, outcome) = if connection.has_binary_command {
            (Guarantee::G9, format!("{BINARY}, which is no command"))
        } else {
            let outcome =
                format!("a push {since:.1?} behind the fence of an unsubscribe, and no subscribe since");
            (Guarantee::G2, outcome)
        };
        let seen = Observation::of(connection.role, outcome);
        self.violate(guarantee, Fault::Unexpected, arrival.at, Some(connection.core.client), seen);
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

    /// A cycle that falls due after the signal must not be pushed. The signal itself takes some time to arrive.
    fn check_drained(&mut self, connection: &LiveConnection, cycle: u64, arrival: Arrival) {
        let Some(drained_at) = self.drained_at else { return };
        if self.grid.due(cycle) > drained_at + self.grid.period() / 8 {
            let outcome =
                "a push of a cycle that was not due when the server was told to shut down".to_owned();
            let seen = Observation::of(connection.role, outcome);
            self.violate(Guarantee::G14, Fault::Unexpected, arrival.at, Some(connection.core.client), seen);
        }
    }

    /// Whether the push of this cycle must reach the connection: the subscription was settled a third of a period
    /// before the bound of the due instant. The true due instant may be that much earlier.
    pub(super) fn is_owed(&self, connection: &LiveConnection, cycle: u64) -> bool {
        let due = self.grid.due(cycle).as_nanos();
        let snapshot = due.saturating_sub(self.grid.period().as_nanos() as u64 / 3);
        connection.core.windows.must(Timestamp::from_nanos(snapshot))
    }

    pub(super) fn is_burdened(&self, cycle: u64) -> bool {
        self.burdened_since.is_some_and(|since| self.grid.due(cycle) > since)
    }

    /// Checks all cycles before `cycle`: after a push of `cycle`, pushes of earlier cycles cannot arrive any more.
    fn audit_before(&mut self, connection: &mut LiveConnection, cycle: u64, at: Timestamp) {
        for missing in connection.audited + 1..cycle {
            self.audit(connection, missing, at);
        }
        connection.audited = connection.audited.max(cycle);
    }

    /// Checks the cycles whose push must have arrived by now. Called before a command and at the end of a
    /// connection.
    pub(crate) fn check_due_cycles(
        &mut self,
        connection: &mut LiveConnection,
        now: Timestamp,
        uncertainty: Duration,
    ) {
        let patience = self.grid.period() / 2 + uncertainty;
        let newest = self.grid.newest(now);
        for cycle in connection.audited + 1..=newest {
            if self.grid.due(cycle) + patience > now {
                break;
            }
            self.audit(connection, cycle, now);
            connection.audited = cycle;
        }
    }

    /// Judges a push that has not arrived.
    fn audit(&mut self, connection: &LiveConnection, cycle: u64, now: Timestamp) {
        let is_there = !connection.is_excluded && connection.core.phase == Phase::Open;
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
        if audit.kept.len() < LOST {
            let (client, role, since) =
                (connection.core.client, connection.role, connection.core.windows.since);
            let is_binary = connection.has_binary_command;
            audit.kept.push(Lost { client, role, since, is_untouched, is_long, is_binary });
        }
    }
}

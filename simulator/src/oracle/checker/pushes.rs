//! Arriving pushes: to subscribers only, once, in order, on time, with the exact text.

use carillon_server::Timestamp;

use super::Checker;
use crate::network::link::Flow;
use crate::oracle::connection::Connection;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::oracle::sighting::Sighting;
use crate::units::format_instant;

impl Checker {
    /// Judges a push. `text` is `None` if the frame was compared with the due one and was equal.
    pub(crate) fn on_push(&mut self, connection: &mut Connection, text: Option<&[u8]>, seen: Sighting) {
        let cycle = self.grid.newest(seen.sent_at);
        self.check_wanted(connection, seen);
        if self.is_early(connection, seen) {
            return;
        }
        self.count(seen, cycle);
        if cycle == self.grid.newest_before_start() {
            return self.violate(Guarantee::G7, Fault::Unexpected, seen.at, connection, || {
                format!("a push at {}, before the first cycle is due", format_instant(seen.sent_at))
            });
        }
        self.check_once(connection, cycle, seen);
        self.check_not_shut_down(connection, cycle, seen);
        connection.windows.last_cycle = cycle as u32;
        connection.last_push_at = seen.sent_at;
        self.check_punctuality(connection, cycle, seen);
        match text {
            Some(text) => self.check_text(connection, cycle, text, seen),
            None => self.exercise(Guarantee::G6, connection.met),
        }
    }

    /// Judges a push over a link that can refuse bytes: the push may belong to an earlier cycle.
    pub(crate) fn on_slow_push(
        &mut self,
        connection: &mut Connection,
        text: &[u8],
        seen: Sighting,
        flow: &Flow,
    ) {
        let newest = self.grid.newest(seen.sent_at);
        self.check_wanted(connection, seen);
        // Over a link that held pushes back, only the text distinguishes an early push from a late one.
        let may_be_late = is_stuck_since(flow, self.grid.due(newest));
        let is_next =
            u64::from(connection.windows.last_cycle) >= newest && self.is_text_of(newest + 1, text, seen);
        if (!may_be_late || is_next) && self.is_early(connection, seen) {
            return;
        }
        self.count(seen, newest);
        let Some(cycle) = self.cycle_of(connection, text, seen) else {
            return self.on_stray_push(connection, text, seen, flow);
        };
        if let Some(owed) = &mut connection.owed {
            let overtaken = owed.waiting.iter().take_while(|waiting| u64::from(**waiting) < cycle).count();
            owed.overtaken.extend(owed.waiting.drain(..overtaken));
            owed.waiting.retain(|waiting| u64::from(*waiting) != cycle);
        }
        self.check_not_shut_down(connection, cycle, seen);
        if !is_stuck_since(flow, self.grid.due(cycle)) {
            self.check_punctuality(connection, cycle, seen);
        }
        // The link may have delayed the previous push, while this one is on time.
        let calm = connection.last_push_at.since(Timestamp::ZERO).saturating_sub(self.grid.period());
        if !is_stuck_since(flow, Timestamp::ZERO + calm) {
            self.check_once(connection, cycle, seen);
        }
        connection.windows.last_cycle = cycle as u32;
        connection.last_push_at = seen.sent_at;
        self.exercise(Guarantee::G6, connection.met);
    }

    /// The cycle of a push that may be late. Where daylight saving ends, two cycles have the same text: then the
    /// result is the first cycle that the client still waits for, or else the newest.
    fn cycle_of(&mut self, connection: &Connection, text: &[u8], seen: Sighting) -> Option<u64> {
        let could_come = u64::from(connection.windows.last_cycle) + 1..=self.grid.newest(seen.sent_at);
        let waiting = connection.owed.iter().flat_map(|owed| &owed.waiting).map(|cycle| u64::from(*cycle));
        let mut waiting = waiting.filter(|cycle| could_come.contains(cycle));
        let mut says = |cycle: &u64| &self.grid.frame(*cycle)[2..] == text;
        let exact = waiting.find(&mut says).or_else(|| could_come.clone().rfind(says));
        exact.or_else(|| could_come.clone().rfind(|cycle| self.is_text_of(*cycle, text, seen)))
    }

    /// Judges a push that fits no cycle whose push could still come.
    fn on_stray_push(&mut self, connection: &mut Connection, text: &[u8], seen: Sighting, flow: &Flow) {
        let mut overtaken = connection.owed.as_ref().map(|owed| owed.overtaken.clone()).unwrap_or_default();
        let place = overtaken.iter().position(|cycle| &self.grid.frame(u64::from(*cycle))[2..] == text);
        let shown = String::from_utf8_lossy(text).into_owned();
        if let Some(place) = place {
            let cycle = overtaken.remove(place);
            if let Some(owed) = &mut connection.owed {
                owed.overtaken = overtaken;
            }
            return self.violate(Guarantee::G5, Fault::OutOfOrder, seen.at, connection, || {
                format!("the push of cycle {cycle} came after a later one")
            });
        }
        if seen.sent_at >= self.drained_at {
            return self.violate(Guarantee::G14, Fault::Unexpected, seen.at, connection, || {
                format!("a push after the shutdown began: {shown:?}")
            });
        }
        let newest = self.grid.newest(seen.sent_at);
        if !is_stuck_since(flow, self.grid.due(newest)) {
            self.check_punctuality(connection, newest, seen);
        }
        let last = u64::from(connection.windows.last_cycle);
        if last > 0 && self.is_text_of(last, text, seen) {
            return self.check_once(connection, last, seen);
        }
        self.violate(Guarantee::G6, Fault::WrongText, seen.at, connection, || {
            format!("{shown:?} is not the text of any cycle that could come")
        });
    }

    /// Whether the server sent a push so shortly before the next due instant that it must belong to that cycle.
    fn is_early(&mut self, connection: &mut Connection, seen: Sighting) -> bool {
        let newest = self.grid.newest(seen.sent_at);
        let early = self.grid.due(newest + 1).since(seen.sent_at);
        let is_excused = seen.sent_at >= self.drained_at || self.is_excused(newest);
        if early >= self.grid.period() / 3 || is_excused {
            return false;
        }
        self.keeper.score.deliveries += 1;
        connection.windows.last_cycle = newest as u32 + 1;
        connection.last_push_at = seen.sent_at;
        self.violate(Guarantee::G7, Fault::Unexpected, seen.at, connection, || {
            format!("a push left the server {early:?} before cycle {} was due", newest + 1)
        });
        true
    }

    fn count(&mut self, seen: Sighting, cycle: u64) {
        self.keeper.score.deliveries += 1;
        let latency = seen.at.since(self.grid.due(cycle));
        self.keeper.score.latency.saturating_record(latency.as_micros() as u64);
    }

    fn check_wanted(&mut self, connection: &Connection, seen: Sighting) {
        if seen.offset >= connection.windows.quiet_from {
            self.violate(Guarantee::G2, Fault::Unexpected, seen.at, connection, || {
                "a push after an unsubscribe had taken effect".to_owned()
            });
        }
    }

    /// Checks that a connection gets no two pushes in one cycle, and no two within half a period.
    fn check_once(&mut self, connection: &Connection, cycle: u64, seen: Sighting) {
        let since_last = seen.sent_at.since(connection.last_push_at);
        let is_second = connection.windows.last_cycle >= cycle as u32;
        let is_bunched = connection.last_push_at > Timestamp::ZERO && since_last < self.grid.period() / 2;
        if !is_second && !is_bunched {
            return;
        }
        let follows_pause =
            self.paused_until() > Timestamp::ZERO && seen.sent_at <= self.paused_until() + self.grid.period();
        if seen.sent_at >= self.drained_at {
            self.violate(Guarantee::G14, Fault::Unexpected, seen.at, connection, || {
                "a push after the shutdown began".to_owned()
            });
        } else if follows_pause {
            self.violate(Guarantee::G7, Fault::Duplicated, seen.at, connection, || {
                format!(
                    "after a stall two pushes within {since_last:?}; missed cycles are skipped, not bunched"
                )
            });
        } else {
            self.violate(Guarantee::G4, Fault::Duplicated, seen.at, connection, || {
                format!("a second push of cycle {cycle}, {since_last:?} after the first")
            });
        }
    }

    fn check_not_shut_down(&mut self, connection: &Connection, cycle: u64, seen: Sighting) {
        if self.grid.due(cycle) > self.drained_at {
            self.violate(Guarantee::G14, Fault::Unexpected, seen.at, connection, || {
                format!("cycle {cycle} fired after the shutdown began")
            });
        }
    }

    /// Checks that the server sent the push soon after its due instant. If every push of the cycle is late, the cycle
    /// is off the grid (G7). If only this one is late, the server waited for another client (G10).
    fn check_punctuality(&mut self, connection: &Connection, cycle: u64, seen: Sighting) {
        if cycle > self.newest_cycle {
            self.newest_cycle = cycle;
            self.first_sent = seen.sent_at;
            self.exercise(Guarantee::G7, connection.met);
        }
        let late = seen.sent_at.since(self.grid.due(cycle));
        if late > self.bounds.push && !self.is_excused(cycle) {
            let was_on_time = self.first_sent.since(self.grid.due(cycle)) <= self.bounds.push;
            let guarantee = if was_on_time { Guarantee::G10 } else { Guarantee::G7 };
            self.violate(guarantee, Fault::Late, seen.at, connection, || {
                format!("the push of cycle {cycle} left the server {late:?} after it was due")
            });
        }
    }

    /// Whether `text` is a valid text for the push of this cycle.
    fn is_text_of(&mut self, cycle: u64, text: &[u8], seen: Sighting) -> bool {
        text == &self.grid.frame(cycle)[2..]
            || (self.server.is_foreign && self.grid.is_text_between(cycle, seen.sent_at, text))
    }

    fn check_text(&mut self, connection: &Connection, cycle: u64, text: &[u8], seen: Sighting) {
        if self.is_text_of(cycle, text, seen) {
            return self.exercise(Guarantee::G6, connection.met);
        }
        let expected = String::from_utf8_lossy(&self.grid.frame(cycle)[2..]).into_owned();
        self.violate(Guarantee::G6, Fault::WrongText, seen.at, connection, || {
            format!("cycle {cycle} says {:?}; expected {expected:?}", String::from_utf8_lossy(text))
        });
    }
}

/// Whether the link has refused bytes, or its client has not read, since then.
fn is_stuck_since(flow: &Flow, since: Timestamp) -> bool {
    flow.is_blocked || (flow.stuck_until >= since && flow.stuck_until > Timestamp::ZERO)
}

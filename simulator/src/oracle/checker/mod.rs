//! Holds what clients observe against the model, frame by frame, and keeps the score.

mod audit;
mod echoes;
mod pushes;

pub(crate) use echoes::guarantee_of_lost;

use std::time::Duration;

use carillon_server::Timestamp;

use crate::oracle::connection::Peer;
use crate::oracle::coverage::{Hazard, Met};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::model::{Grid, State, Windows};
use crate::oracle::score::{Fault, Race, Score, Violation};
use crate::scenario::Bounds;

/// Violations that are kept with their story; all are counted.
pub(crate) const KEPT: usize = 64;

/// Of each guarantee so many are kept, however many of others came first.
const KEPT_OF_EACH: u64 = 4;

/// The judge of one run.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) score: Score,
    pub(crate) grid: Grid,
    pub(crate) bounds: Bounds,
    pub(crate) longest_way: Duration,
    /// The newest cycle of which a push was seen, and the earliest instant at which one was sent.
    newest_cycle: u64,
    first_sent: Timestamp,
    /// When the server last stood still, and until when.
    paused: (Timestamp, Timestamp),
    /// What the whole server has met.
    weather: Met,
    drained_at: Timestamp,
    /// The server has habits of its own: it may render a text when it sends it, and send it to whoever is there then.
    pub(crate) is_foreign: bool,
}

/// Where and when a frame was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) at: Timestamp,
    /// When the server handed it to the link.
    pub(crate) sent_at: Timestamp,
    /// Where it begins in the server's stream.
    pub(crate) offset: u64,
}

impl Checker {
    pub(crate) fn new(grid: Grid, bounds: Bounds, longest_way: Duration) -> Self {
        Self {
            score: Score::new(),
            grid,
            bounds,
            longest_way,
            newest_cycle: 0,
            first_sent: Timestamp::ZERO,
            paused: (Timestamp::ZERO, Timestamp::ZERO),
            weather: Met::default(),
            drained_at: Timestamp::MAX,
            is_foreign: false,
        }
    }

    /// When the deliveries of a cycle are complete.
    pub(crate) fn audit_at(&self, cycle: u64) -> Timestamp {
        self.grid.due(cycle) + self.bounds.push + self.longest_way
    }

    pub(crate) fn on_drain(&mut self, now: Timestamp) {
        self.drained_at = now;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drained_at != Timestamp::MAX
    }

    pub(crate) fn on_pause(&mut self, now: Timestamp, until: Timestamp) {
        self.paused = (now, until);
        self.weather.add(Hazard::Pause);
    }

    /// The newest cycle of which a connection that is made now gets no push.
    pub(crate) fn newest_past(&self, now: Timestamp) -> u64 {
        self.grid.newest(now).saturating_sub(u64::from(self.is_foreign))
    }

    /// Until when the server last stood still.
    pub(crate) fn paused_until(&self) -> Timestamp {
        self.paused.1
    }

    pub(crate) fn on_restart(&mut self, now: Timestamp) {
        self.grid.restart(now);
        self.weather.add(Hazard::Restart);
    }

    pub(crate) fn on_set_clock(&mut self, now: Timestamp, seconds: i64) {
        self.grid.set_clock(now, seconds);
        self.weather.add(Hazard::ClockJump);
    }

    pub(crate) fn on_daylight_saving(&mut self) {
        self.weather.add(Hazard::DaylightSaving);
    }

    /// Whether a cycle may be skipped, or come late, because the server stood still.
    fn is_excused(&self, cycle: u64) -> bool {
        let (start, end) = self.paused;
        let due = self.grid.due(cycle);
        due <= end && due + self.bounds.push >= start && end > Timestamp::ZERO
    }

    /// A promise was kept that could have been broken here.
    pub(crate) fn exercise(&mut self, guarantee: Guarantee, met: Met) {
        self.score.tallies[guarantee.index()].exercised += 1;
        let met = met.union(self.weather);
        if !met.is_empty() {
            self.score.coverage.count(met, guarantee);
        }
    }

    /// A promise to this client was broken.
    pub(crate) fn violate(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        peer: &Peer,
        detail: impl FnOnce() -> String,
    ) {
        self.record(guarantee, fault, at, Some(peer.client), detail);
    }

    /// A promise to a client without a connection was broken.
    pub(crate) fn violate_client(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        client: u32,
        detail: impl FnOnce() -> String,
    ) {
        self.record(guarantee, fault, at, Some(client), detail);
    }

    /// A promise was broken that concerns the server as a whole.
    pub(crate) fn violate_all(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        detail: impl FnOnce() -> String,
    ) {
        self.record(guarantee, fault, at, None, detail);
    }

    fn record(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        client: Option<u32>,
        detail: impl FnOnce() -> String,
    ) {
        let tally = &mut self.score.tallies[guarantee.index()];
        tally.violations += 1;
        if tally.violations <= KEPT_OF_EACH || self.score.violations.len() < KEPT {
            self.score.violations.push(Violation { guarantee, fault, at, client, detail: detail() });
        }
    }

    /// Counts a due instant that fell between the start and the end of a change.
    pub(crate) fn on_change(&mut self, race: Race, started: Timestamp, ended: Timestamp) {
        if self.grid.newest(ended) > self.grid.newest(started) {
            self.score.races[race as usize] += 1;
        }
    }

    /// A settled change of subscription, for the races that it was part of.
    pub(crate) fn on_settled(&mut self, windows: &Windows, asked_at: Timestamp, now: Timestamp) {
        let race = match (windows.has_commanded, windows.state) {
            (false, _) => Race::Connect,
            (true, State::Off) => Race::Unsubscribe,
            (true, _) => Race::Subscribe,
        };
        self.on_change(race, asked_at, now);
    }
}

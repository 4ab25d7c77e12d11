//! Holds what clients observe against the model, fact by fact, and keeps the score.
//!
//! The world calls one method for each fact: "this frame was read", "this stream ended", "this cycle is over". No method
//! here moves a byte or a clock. `oracle/mod.rs` lists which file judges which guarantee.

mod audit;
mod closes;
pub(crate) mod echoes;
mod endings;
mod frames;
mod handshakes;
mod held;
mod log;
mod pushes;
mod shutdown;
mod waiting;

use std::time::Duration;

use carillon_server::{Config, Timestamp, Zone};

use crate::network::LogEntry;
use crate::oracle::connection::Connection;
use crate::oracle::coverage::{Hazard, Met};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::model::{Grid, State, Windows};
use crate::oracle::score::{Fault, Race, Score};
use crate::oracle::score_keeper::{Retention, ScoreKeeper};
use crate::oracle::server_log::ServerLog;
use crate::scenario::{Bounds, Scenario};

/// Of a simulated run the first violations are kept, and some of each guarantee.
const RETENTION: Retention = Retention { of_each: 4, in_all: KEPT };

/// Violations that are kept with their story; all are counted.
pub(crate) const KEPT: usize = 64;

/// What the oracle must know of the server on trial, besides what it does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerTraits {
    /// It has habits of its own ("Other servers" in `PROTOCOL.md`): it may render a text when it sends it, and send it to
    /// every client that is there then.
    pub(crate) is_foreign: bool,
    /// Each log line is handed over while the input is handled that caused it.
    pub(crate) attributes_log: bool,
    /// How much it may buffer for one connection beyond its outbox and one message, in bytes (G10).
    pub(crate) buffer_allowance: u64,
}

/// The judge of one run.
#[derive(Debug)]
pub(crate) struct Checker {
    keeper: ScoreKeeper,
    pub(crate) grid: Grid,
    pub(crate) bounds: Bounds,
    longest_way: Duration,
    server: ServerTraits,
    /// The limits and times that the server was given.
    limits: Config,
    zone: Zone,
    /// The newest cycle of which a push was seen, and the earliest instant at which one was sent.
    newest_cycle: u64,
    first_sent: Timestamp,
    /// When the server last stood still, and until when.
    paused: (Timestamp, Timestamp),
    drained_at: Timestamp,
    log: LogState,
}

/// What the oracle knows of the server's log.
#[derive(Debug, Default)]
struct LogState {
    told: ServerLog,
    /// The line of a command that must come next.
    expected: Option<LogEntry>,
    /// When the log was last looked at.
    seen_at: Timestamp,
}

impl Checker {
    pub(crate) fn new(scenario: &Scenario, server: ServerTraits) -> Self {
        let period = scenario.server.period;
        let bounds = if server.is_foreign { scenario.foreign_bounds() } else { scenario.bounds };
        Self {
            keeper: ScoreKeeper::new(RETENTION),
            grid: Grid::new(period, scenario.wall_origin, scenario.zone.clone()),
            bounds,
            longest_way: scenario.links.longest_way(),
            server,
            limits: scenario.server.clone(),
            zone: scenario.zone.clone(),
            newest_cycle: 0,
            first_sent: Timestamp::ZERO,
            paused: (Timestamp::ZERO, Timestamp::ZERO),
            drained_at: Timestamp::MAX,
            log: LogState::default(),
        }
    }

    /// The score of the run, which is over.
    pub(crate) fn into_score(self) -> Score {
        self.keeper.score
    }

    /// Whether the server has habits of its own.
    pub(crate) fn is_foreign(&self) -> bool {
        self.server.is_foreign
    }

    /// When the deliveries of a cycle are complete.
    pub(crate) fn audit_at(&self, cycle: u64) -> Timestamp {
        self.grid.due(cycle) + self.bounds.push + self.longest_way
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drained_at != Timestamp::MAX
    }

    pub(crate) fn on_pause(&mut self, now: Timestamp, until: Timestamp) {
        self.paused = (now, until);
        self.keeper.meet(Hazard::Pause);
    }

    /// The newest cycle of which a connection that is made now gets no push.
    pub(crate) fn newest_past(&self, now: Timestamp) -> u64 {
        self.grid.newest(now).saturating_sub(u64::from(self.server.is_foreign))
    }

    /// Until when the server last stood still.
    pub(crate) fn paused_until(&self) -> Timestamp {
        self.paused.1
    }

    pub(crate) fn on_restart(&mut self, now: Timestamp) {
        self.grid.restart(now);
        self.restart_log();
        self.keeper.meet(Hazard::Restart);
    }

    pub(crate) fn on_set_clock(&mut self, now: Timestamp, seconds: i64) {
        self.grid.set_clock(now, seconds);
        self.keeper.meet(Hazard::ClockJump);
    }

    pub(crate) fn on_daylight_saving(&mut self) {
        self.keeper.meet(Hazard::DaylightSaving);
    }

    /// Whether a cycle may be skipped, or come late, because the server stood still.
    fn is_excused(&self, cycle: u64) -> bool {
        let (start, end) = self.paused;
        let due = self.grid.due(cycle);
        due <= end && due + self.bounds.push >= start && end > Timestamp::ZERO
    }

    fn exercise(&mut self, guarantee: Guarantee, met: Met) {
        self.keeper.exercise(guarantee, met);
    }

    /// A guarantee to this client was broken.
    fn violate(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        connection: &Connection,
        detail: impl FnOnce() -> String,
    ) {
        self.keeper.violate(guarantee, fault, at, Some(connection.client), detail);
    }

    /// A guarantee was broken that concerns the server as a whole.
    fn violate_all(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        detail: impl FnOnce() -> String,
    ) {
        self.keeper.violate(guarantee, fault, at, None, detail);
    }

    /// Counts a due instant that fell between the start and the end of a change.
    pub(crate) fn on_change(&mut self, race: Race, started: Timestamp, ended: Timestamp) {
        if self.grid.newest(ended) > self.grid.newest(started) {
            self.keeper.score.races[race as usize] += 1;
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

//! Compares what clients observe with the model, fact by fact, and keeps the score.
//!
//! The world calls one method for each fact: "this frame was read", "this stream ended", "this cycle is over". No
//! method here moves a byte or a clock. The table in `oracle/mod.rs` shows which file judges which guarantee.

mod audit;
mod closes;
pub(crate) mod echoes;
mod endings;
pub(crate) mod frames;
mod handshakes;
mod held;
mod log;
mod pushes;
mod shutdown;
mod waiting;

use std::time::Duration;

use carillon_server::{Config, Timestamp, Zone};

use crate::network::LogEntry;
use crate::oracle::clause::Clause;
use crate::oracle::connection::Connection;
use crate::oracle::coverage::{Hazard, Met};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::model::{Grid, State, Windows};
use crate::oracle::score::{Fault, Race, Score};
use crate::oracle::score_keeper::{Retention, ScoreKeeper};
use crate::oracle::server_log::ServerLog;
use crate::scenario::{Bounds, Scenario};

/// A simulated run keeps the first violations, and some of each guarantee.
const RETENTION: Retention = Retention { of_each: 4, in_all: KEPT };

/// The number of violations that are kept with their details; all are counted.
pub(crate) const KEPT: usize = 64;

/// What the oracle must know about the kind of server on trial.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerTraits {
    /// The server is a third-party server ("Other servers" in `PROTOCOL.md`): it may render a push when it sends it,
    /// and send it to every client that is connected then.
    pub(crate) is_foreign: bool,
    /// The server hands over each log line while it handles the input that caused the line.
    pub(crate) attributes_log: bool,
    /// How many bytes the server may buffer for one connection beyond its outbox and one message (G10).
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
    /// The server's configuration.
    limits: Config,
    zone: Zone,
    /// The newest cycle with a push, and the instant when its first push was sent.
    newest_cycle: u64,
    first_sent: Timestamp,
    /// The start and the end of the server's last pause.
    paused: (Timestamp, Timestamp),
    drained_at: Timestamp,
    log: LogState,
}

/// What the oracle knows about the server's log.
#[derive(Debug, Default)]
struct LogState {
    told: ServerLog,
    /// The line of a command that must come next.
    expected: Option<LogEntry>,
    /// When the oracle last read the log.
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

    /// The score of the finished run.
    pub(crate) fn into_score(self) -> Score {
        self.keeper.score
    }

    /// Whether a third-party server is on trial.
    pub(crate) fn is_foreign(&self) -> bool {
        self.server.is_foreign
    }

    /// The instant by which all deliveries of a cycle are complete.
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

    /// The newest cycle whose push does not go to a connection that opens now.
    pub(crate) fn newest_past(&self, now: Timestamp) -> u64 {
        self.grid.newest(now).saturating_sub(u64::from(self.server.is_foreign))
    }

    /// The end of the server's last pause.
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

    /// Whether a cycle may be skipped or late because of a pause.
    fn is_excused(&self, cycle: u64) -> bool {
        let (start, end) = self.paused;
        let due = self.grid.due(cycle);
        due <= end && due + self.bounds.push >= start && end > Timestamp::ZERO
    }

    fn exercise(&mut self, guarantee: Guarantee, met: Met) {
        self.keeper.exercise(guarantee, met);
    }

    /// Notes that the server broke a guarantee to this client.
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

    /// Notes that the server departed from a clause. From a third-party server that is lax, and hurts no one. The
    /// reference server's own choices are stricter.
    fn lapse(
        &mut self,
        clause: Clause,
        fault: Fault,
        at: Timestamp,
        connection: &Connection,
        detail: impl FnOnce() -> String,
    ) {
        if self.server.is_foreign {
            self.keeper.lapse(clause, detail());
        } else {
            self.violate(clause.guarantee(), fault, at, connection, detail);
        }
    }

    /// Notes that the server broke a guarantee that concerns no single client.
    fn violate_all(
        &mut self,
        guarantee: Guarantee,
        fault: Fault,
        at: Timestamp,
        detail: impl FnOnce() -> String,
    ) {
        self.keeper.violate(guarantee, fault, at, None, detail);
    }

    /// Counts a race, if a due instant lies between the start and the end of a change.
    pub(crate) fn on_change(&mut self, race: Race, started: Timestamp, ended: Timestamp) {
        if self.grid.newest(ended) > self.grid.newest(started) {
            self.keeper.score.races[race as usize] += 1;
        }
    }

    /// Counts the race of a settled change of subscription.
    pub(crate) fn on_settled(&mut self, windows: &Windows, asked_at: Timestamp, now: Timestamp) {
        let race = match (windows.has_commanded, windows.state) {
            (false, _) => Race::Connect,
            (true, State::Off) => Race::Unsubscribe,
            (true, _) => Race::Subscribe,
        };
        self.on_change(race, asked_at, now);
    }
}

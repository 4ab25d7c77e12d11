//! The ends of connections: announced (G3, G12, G14), detected by the server (G13), with nothing left (G11).

use std::time::Duration;

use carillon_server::Timestamp;

use super::Checker;
use crate::network::link::{End, Link};
use crate::oracle::clause::Clause;
use crate::oracle::connection::{Connection, Phase};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Race};
use crate::units::format_instant;
use crate::wire::offence::Offence;

impl Checker {
    /// Judges the end of the server's stream, which the client has read.
    pub(crate) fn on_stream_end(&mut self, connection: &Connection, link: &Link, end: End, now: Timestamp) {
        let is_unannounced = !connection.has_close && connection.phase == Phase::Open;
        let punished = connection.offence.filter(|offence| offence.close_code().is_some());
        let is_excused = connection.may_be_ended || self.is_draining() || link.has_ever_stalled();
        if let Some(offence) = punished
            && is_unannounced
            && (end == End::Finished || !is_excused)
        {
            self.note_end(connection);
            return self.lapse(Clause::CloseAfterOffence, Fault::WrongClose, now, connection, || {
                format!("{} was answered with the end of the stream, without a Close", offence.name())
            });
        }
        if self.lacks_close(connection, link) {
            return self.violate(Guarantee::G12, Fault::Lost, now, connection, || {
                "a Close was answered with the end of the stream, without a Close".to_owned()
            });
        }
        let is_expected = connection.has_close
            || connection.phase == Phase::Closing
            || connection.may_be_ended
            || connection.is_mute;
        if is_expected || link.has_ever_stalled() || self.is_unsettled_handshake(connection) {
            return;
        }
        let guarantee = if self.is_draining() { Guarantee::G14 } else { Guarantee::G3 };
        self.violate(guarantee, Fault::Dropped, now, connection, || {
            let action = if end == End::Finished { "ended the stream" } else { "reset the connection" };
            format!("the server {action} without a Close")
        });
    }

    /// A third-party server that ends the connection of an offender has protected the others.
    pub(super) fn note_end(&mut self, connection: &Connection) {
        if self.server.is_foreign {
            self.exercise(Guarantee::G12, connection.met);
        }
    }

    /// Whether the server, which ends the stream now, still owes the answer to the client's Close.
    fn lacks_close(&self, connection: &Connection, link: &Link) -> bool {
        let was_paused = self.paused_until() >= connection.ended_at;
        let is_excused = was_paused || self.is_draining() || link.has_ever_stalled();
        connection.awaits_close && !connection.has_close && !is_excused
    }

    /// Notes that the server dropped its end of the connection.
    pub(crate) fn on_released(&mut self, connection: &mut Connection, now: Timestamp) {
        if connection.ended_at != Timestamp::MAX {
            self.on_change(Race::Close, connection.ended_at, now);
            self.exercise(Guarantee::G11, connection.met);
        }
        if self.server.is_foreign && connection.windows.is_in_flight() {
            self.log.told.interrupted += 1;
        }
        if connection.has_vanished() || connection.is_mute {
            self.exercise(Guarantee::G13, connection.met);
            connection.may_be_ended = true;
        }
    }

    /// The time after which the server must have detected a dead client: twice the ping interval, and some slack for a
    /// server that checks periodically.
    pub(crate) fn dead_bound(&self) -> Duration {
        self.limits.ping_interval * 9 / 4 + self.limits.close_timeout
    }

    /// How long the server may wait for a client with this offence, in addition to the close timeout.
    pub(crate) fn patience_with(&self, offence: Offence) -> Duration {
        match offence {
            Offence::Truncated => self.dead_bound(),
            _ if offence.is_before_handshake() => {
                self.limits.handshake_timeout + self.limits.handshake_timeout / 4
            }
            _ => Duration::ZERO,
        }
    }

    /// The instant by which the server must have dropped a connection that ends now, if it may first wait for
    /// `patience`.
    pub(crate) fn release_due(&self, now: Timestamp, patience: Duration) -> Timestamp {
        now + 5 * self.longest_way + self.limits.close_timeout * 5 / 4 + patience + self.bounds.release
    }

    /// Judges a server that still holds a connection after its release was due. If the delay is excused, returns when
    /// to check again.
    pub(crate) fn on_unreleased(
        &mut self,
        connection: &Connection,
        link: &Link,
        is_suspended: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        // After a pause, all timeouts of the server may start again.
        let patience = self.dead_bound() + 2 * self.limits.close_timeout + self.limits.handshake_timeout;
        let again = self.paused_until() + patience;
        let was_paused = self.paused_until() >= connection.opened_at;
        if is_suspended || (was_paused && now < again) {
            return Some(again);
        }
        // A client that still reads what was queued for it counts as alive, even if the server cannot hear it.
        let again = link.stuck_until() + patience;
        if now < again {
            return Some(again);
        }
        let is_unpunished =
            connection.offence.is_some_and(|offence| offence.close_code().is_some()) && !connection.has_close;
        let guarantee = if is_unpunished {
            Guarantee::G12
        } else if connection.has_vanished() || connection.is_mute {
            Guarantee::G13
        } else {
            Guarantee::G11
        };
        self.violate(guarantee, Fault::Leaked, now, connection, || held_too_long(connection));
        None
    }
}

/// The sentence about a connection that the server holds too long.
fn held_too_long(connection: &Connection) -> String {
    match connection.ended_at {
        Timestamp::MAX => {
            "the server still holds a connection whose client has been silent for too long".to_owned()
        }
        ended_at => {
            format!("the server still holds a connection that ended at {}", format_instant(ended_at))
        }
    }
}

//! Upgrade requests: the server answers them in time (G10), and refuses those that break a rule (G12).

use std::time::Duration;

use carillon_server::Timestamp;

use super::Checker;
use crate::network::link::Link;
use crate::oracle::connection::{Connection, Phase};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::wire::codec::Garbled;

/// The extra time that a third-party server may take for a handshake, because it may query a database.
const FOREIGN_HANDSHAKE: Duration = Duration::from_secs(5);

impl Checker {
    /// Checks that the server answers a complete request as promptly as a message (G10).
    pub(crate) fn check_handshake(
        &mut self,
        connection: &mut Connection,
        link: &Link,
        is_suspended: bool,
        now: Timestamp,
    ) {
        let is_excused = is_suspended || self.is_handshake_excused(connection, link);
        let allowance = if self.server.is_foreign { FOREIGN_HANDSHAKE } else { Duration::ZERO };
        let limit = 2 * self.longest_way + self.bounds.reply + allowance;
        let waits_for = now.since(connection.taken_at.max(self.paused_until()));
        if is_excused || waits_for <= limit || std::mem::replace(&mut connection.is_overdue, true) {
            return;
        }
        self.violate(Guarantee::G10, Fault::Late, now, connection, || {
            format!("a request has waited {waits_for:?} for its answer; the limit is {limit:?}")
        });
    }

    /// Whether no answer to a handshake is due: the connection is open, the request is incomplete, or a fault excuses
    /// it.
    fn is_handshake_excused(&self, connection: &Connection, link: &Link) -> bool {
        let is_due = connection.phase == Phase::Handshake
            && connection.offence.is_none()
            && connection.windows.is_taken(connection.taken);
        let is_broken = connection.may_be_ended || connection.is_mute || link.is_server_gone;
        !is_due || is_broken || self.is_draining() || link.has_ever_stalled()
    }

    /// Judges the response to a request that is not an upgrade, and that the server must not upgrade.
    ///
    /// # Errors
    ///
    /// A response that upgrades the connection.
    pub(crate) fn on_refusal(&mut self, connection: &Connection, response: &[u8]) -> Result<(), Garbled> {
        if response.starts_with(b"HTTP/1.1 101") {
            return Err(Garbled::new("an upgrade that the client did not request"));
        }
        self.exercise(Guarantee::G12, connection.met);
        Ok(())
    }

    /// Whether a handshake may fail: the server was paused after it began, or is shutting down.
    pub(super) fn is_unsettled_handshake(&self, connection: &Connection) -> bool {
        let was_paused = self.paused_until() >= connection.opened_at;
        connection.phase == Phase::Handshake && (was_paused || self.is_draining())
    }
}

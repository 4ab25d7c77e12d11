//! Upgrade requests: answered in time (G10), and refused where they break a rule (G12).

use std::time::Duration;

use carillon_server::Timestamp;

use super::Checker;
use crate::network::link::Link;
use crate::oracle::connection::{Connection, Phase};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::wire::codec::Garbled;

/// What a third-party server may take for a handshake beyond any other answer: it may ask a database.
const FOREIGN_HANDSHAKE: Duration = Duration::from_secs(5);

impl Checker {
    /// A request that the server has whole is answered as promptly as a message is (G10).
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
            format!("a request has waited {waits_for:?} for its answer; allowed are {limit:?}")
        });
    }

    /// Whether no answer is due to a handshake: there is none, it is not complete, or something else explains it.
    fn is_handshake_excused(&self, connection: &Connection, link: &Link) -> bool {
        let is_due = connection.phase == Phase::Handshake
            && connection.offence.is_none()
            && connection.windows.is_taken(connection.taken);
        let is_broken = connection.may_be_ended || connection.is_mute || link.is_server_gone;
        !is_due || is_broken || self.is_draining() || link.has_ever_stalled()
    }

    /// A request that is not an upgrade was answered with these bytes; it must not be upgraded.
    ///
    /// # Errors
    ///
    /// An upgrade.
    pub(crate) fn on_refusal(&mut self, connection: &Connection, response: &[u8]) -> Result<(), Garbled> {
        if response.starts_with(b"HTTP/1.1 101") {
            return Err(Garbled("an upgrade that nobody asked for"));
        }
        self.exercise(Guarantee::G12, connection.met);
        Ok(())
    }

    /// Whether a handshake may fail: the server has stood still since it began, or is shutting down.
    pub(super) fn is_unsettled_handshake(&self, connection: &Connection) -> bool {
        let has_stood_still = self.paused_until() >= connection.opened_at;
        connection.phase == Phase::Handshake && (has_stood_still || self.is_draining())
    }
}

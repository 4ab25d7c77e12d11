//! The memory that the server holds for a client that does not read (G10).

use carillon_server::Timestamp;

use super::Checker;
use crate::network::link::Link;
use crate::oracle::connection::Connection;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

/// The size of a push with its header, in bytes.
const PUSH_FRAME: u64 = 44;

impl Checker {
    /// Reports a server that holds more bytes for a client than allowed. Due pushes count only if `has_census` says
    /// that the server reports what it holds; any other server may have lost them.
    pub(crate) fn check_held(
        &mut self,
        connection: &mut Connection,
        link: &Link,
        has_census: bool,
        now: Timestamp,
    ) {
        let Some(flow) = &link.flow else { return };
        let untaken = connection.sent - connection.taken;
        let pushes =
            connection.owed.as_ref().filter(|_| has_census).map_or(0, |owed| owed.waiting.len() as u64);
        let replies = connection.echo_bytes.saturating_sub(untaken);
        let held = (replies + pushes * PUSH_FRAME).saturating_sub(u64::from(flow.outstanding()));
        let kept = 2 * (self.limits.outbox_limit + self.limits.max_message) as u64;
        let limit = kept + self.server.buffer_allowance;
        // Above the limit once is no violation: the server may have given up on the client and discard what it still
        // reads.
        let was_over = std::mem::replace(&mut connection.is_over_held, held > limit);
        if was_over && held > limit {
            self.violate(Guarantee::G10, Fault::Leaked, now, connection, || {
                format!("the server holds {held} bytes for a client that does not read; the limit is {limit}")
            });
        }
    }
}

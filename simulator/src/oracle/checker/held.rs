//! What the server holds for a client that does not read (G10).

use carillon_server::Timestamp;

use super::Checker;
use crate::network::link::Link;
use crate::oracle::connection::Connection;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

/// A push with its header, in bytes.
const PUSH_FRAME: u64 = 44;

impl Checker {
    /// Reports the bytes that a server holds for a client beyond any limit. `has_census` tells a server that says what it
    /// holds: such a server has kept the pushes that are due. Another may as well have lost them.
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
        // Once may be a server that has given up on the client and throws away what it still reads.
        let was_over = std::mem::replace(&mut connection.is_over_held, held > limit);
        if was_over && held > limit {
            self.violate(Guarantee::G10, Fault::Leaked, now, connection, || {
                format!("the server holds {held} bytes for a client that does not read; allowed are {limit}")
            });
        }
    }
}

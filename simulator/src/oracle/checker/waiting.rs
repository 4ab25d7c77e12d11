//! Overdue answers: an echo, a pong or a log line.

use carillon_server::Timestamp;

use super::Checker;
use super::echoes::guarantee_of_lost;
use crate::oracle::connection::Connection;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

impl Checker {
    /// Reports the first answer that is overdue.
    pub(super) fn check_waiting(
        &mut self,
        connection: &mut Connection,
        stuck_until: Timestamp,
        now: Timestamp,
    ) {
        let limit = self.longest_way * 2 + self.bounds.reply;
        let since = connection.waiting_since.max(stuck_until).max(self.paused_until());
        if now.since(since) <= limit {
            return;
        }
        if let Some(text) = connection.echoes.front() {
            // The echo stays in the queue: if it comes later, the echoes after it are still in order.
            if !std::mem::replace(&mut connection.is_overdue, true) {
                let guarantee = guarantee_of_lost(text);
                self.violate(guarantee, Fault::Lost, now, connection, || {
                    format!("the reply to {text} never came")
                });
            }
        } else if let Some(text) = connection.unlogged.front() {
            self.violate(Guarantee::G15, Fault::WrongLog, now, connection, || {
                format!("the server never logged {text}")
            });
            connection.unlogged.clear();
        }
        if connection.ping != 0 && now.since(connection.pinged_at.max(since)) > limit {
            self.violate(Guarantee::G13, Fault::Lost, now, connection, || {
                "the server never answered a ping".to_owned()
            });
            connection.ping = 0;
        }
    }
}

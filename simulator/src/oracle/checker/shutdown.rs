//! The end of a run: the server serves healed clients again (G3), and a shutdown leaves nothing (G11, G14, G15).

use carillon_server::Timestamp;

use super::Checker;
use crate::network::link::{Link, LinkId};
use crate::oracle::census::Census;
use crate::oracle::connection::{Connection, Phase};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

impl Checker {
    /// Checks that the server has served a client since its faults healed: the client is connected and has the last
    /// cycle's push. `connection` is the client's newest connection, if it is open.
    pub(crate) fn check_healed(&mut self, client: u32, connection: Option<&Connection>, now: Timestamp) {
        let last = self.grid.newest(now);
        let Some(connection) = connection else {
            return self.keeper.violate(Guarantee::G3, Fault::Lost, now, Some(client), || {
                "the client could not reconnect after its faults had healed".to_owned()
            });
        };
        if u64::from(connection.windows.last_cycle) < last {
            self.violate(Guarantee::G3, Fault::Lost, now, connection, || {
                format!("the push of cycle {last} is missing, although the client's faults have healed")
            });
        }
    }

    /// Notes the start of the shutdown, and what the server owes then. `has_unread` says whether the server has unread
    /// bytes of a connection.
    pub(crate) fn on_drain(
        &mut self,
        connections: &mut [Connection],
        links: &[Link],
        has_unread: impl Fn(LinkId) -> bool,
        now: Timestamp,
    ) {
        self.drained_at = now;
        for (index, (connection, link)) in connections.iter_mut().zip(links).enumerate() {
            // The server need not answer what it has not read behind a stalled reply, nor what it is still working on.
            let is_at_work = self.server.is_foreign && now <= connection.taken_at + self.bounds.reply;
            let is_prompt = !is_at_work && !has_unread(LinkId(index as u32)) && !link.has_ever_stalled();
            if connection.sent == connection.taken && connection.phase == Phase::Open && is_prompt {
                connection.echoes_at_drain = connection.echoes.len() as u32;
            }
        }
    }

    /// Judges the finished shutdown: no connection may be left, and the log must be complete. `census` is the server's
    /// own count, if it has one.
    pub(crate) fn on_drained(
        &mut self,
        connections: &[Connection],
        links: &[Link],
        census: Option<Census>,
        now: Timestamp,
    ) {
        for (connection, link) in connections.iter().zip(links) {
            if !connection.is_folded() && !link.is_server_gone {
                self.violate(Guarantee::G14, Fault::Leaked, now, connection, || {
                    "the server has not released the connection by the deadline".to_owned()
                });
            }
        }
        self.finish_log(now);
        if census.is_some_and(|census| census.connections > 0) {
            self.violate_all(Guarantee::G11, Fault::Leaked, now, || {
                format!("after the last connection the server still holds {census:?}")
            });
        }
    }
}

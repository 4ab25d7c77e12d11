//! All other frames: an unexpected message, a pong, a frame after a Close, garbled bytes.

use carillon_server::Timestamp;

use super::{Checker, echoes};
use crate::network::link::Link;
use crate::oracle::connection::{Connection, Phase};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::oracle::sighting::Sighting;
use crate::wire::codec::{Garbled, Received};
use crate::wire::offence::Offence;

impl Checker {
    /// Judges a frame with this first byte. No frame may follow a Close (RFC 6455 section 5.5.1).
    pub(crate) fn on_frame(&mut self, connection: &Connection, first: u8, seen: Sighting) {
        if connection.has_close {
            self.violate(Guarantee::G5, Fault::AfterClose, seen.at, connection, || {
                format!("a frame {first:#04x} after the server's Close")
            });
        }
    }

    /// Judges a message or a control frame that the client has read. Returns whether it settled the newest command.
    ///
    /// A ping breaks no promise. [`Checker::on_close`] judges a Close.
    pub(crate) fn on_message(
        &mut self,
        connection: &mut Connection,
        link: &Link,
        received: &Received<'_>,
        seen: Sighting,
    ) -> bool {
        match received {
            Received::Push(text) => match &link.flow {
                Some(flow) => self.on_slow_push(connection, text, seen, flow),
                None => self.on_push(connection, Some(text), seen),
            },
            Received::Echo(text) => {
                if let Some(asked_at) = echoes::on_echo(&mut self.keeper, connection, text, seen) {
                    self.on_settled(&connection.windows, asked_at, seen.at);
                    return true;
                }
            }
            Received::Pong(payload) => self.on_pong(connection, payload),
            Received::Binary => self.violate(Guarantee::G9, Fault::Unexpected, seen.at, connection, || {
                "a binary message from the server".to_owned()
            }),
            Received::Unknown(text) => {
                let guarantee = if connection.windows.has_commanded { Guarantee::G9 } else { Guarantee::G8 };
                self.violate(guarantee, Fault::Unexpected, seen.at, connection, || {
                    format!("a text that is no reply and no push: {:?}", String::from_utf8_lossy(text))
                });
            }
            Received::Close(_) | Received::Ping(_) => {}
        }
        false
    }

    /// Any other pong is a legal unsolicited one (RFC 6455 section 5.5.3). If the right pong never comes, the audit
    /// reports it.
    fn on_pong(&mut self, connection: &mut Connection, payload: &[u8]) {
        if connection.ping != 0 && payload == connection.ping.to_be_bytes() {
            connection.ping = 0;
            self.exercise(Guarantee::G13, connection.met);
        }
    }

    /// Reports bytes that no server may send.
    pub(crate) fn on_garbled(&mut self, connection: &Connection, garbled: &Garbled, now: Timestamp) {
        if self.is_unsettled_handshake(connection) {
            return;
        }
        let is_other_path =
            connection.phase == Phase::Handshake && connection.offence == Some(Offence::WrongPath);
        if self.server.is_foreign && is_other_path {
            // PROTOCOL.md leaves it to other servers which paths they serve.
            self.keeper.remark("a path that the server was not told of was upgraded");
        } else {
            let guarantee = guarantee_of_garbled(connection);
            self.violate(guarantee, Fault::Garbled, now, connection, || garbled.0.clone().into_owned());
        }
    }
}

/// The guarantee that bytes break which no server may send: the order of frames, or before and after an offence the
/// handshake and its end.
pub(crate) fn guarantee_of_garbled(connection: &Connection) -> Guarantee {
    let is_orderly = connection.offence.is_none() && connection.phase != Phase::Handshake;
    if is_orderly { Guarantee::G5 } else { Guarantee::G12 }
}

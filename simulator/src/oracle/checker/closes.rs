//! Closes from the server: justified, with the right code (G3, G10, G12, G14), and after what was queued (G14).

use carillon_server::Timestamp;

use super::Checker;
use crate::network::link::Link;
use crate::oracle::clause::Clause;
use crate::oracle::connection::{Connection, Phase};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::wire::codec::answers_plainly;
use crate::wire::offence::Offence;

impl Checker {
    /// Judges the server's Close that the client has read.
    pub(crate) fn on_close(
        &mut self,
        connection: &Connection,
        link: &Link,
        code: Option<u16>,
        now: Timestamp,
    ) {
        if connection.phase == Phase::Open {
            self.check_close(connection, link, code, now);
        } else {
            self.check_reply_to_close(connection, link, code, now);
        }
    }

    /// Checks that the server answers a Close with the code that it got (RFC 6455 section 5.5.1).
    fn check_reply_to_close(
        &mut self,
        connection: &Connection,
        link: &Link,
        code: Option<u16>,
        now: Timestamp,
    ) {
        let is_free = self.server.is_foreign && code.is_some_and(answers_plainly);
        let is_due = code == Some(1000) || is_free || self.is_draining() || link.has_ever_stalled();
        if self.server.is_foreign && code.is_none() && !is_due {
            return self.lapse(Clause::AnswerHasCode, Fault::WrongClose, now, connection, || {
                "a Close of 1000 was answered with one without a code".to_owned()
            });
        }
        if !is_due && connection.ended_at != Timestamp::MAX && !connection.is_mute {
            self.violate(Guarantee::G12, Fault::WrongClose, now, connection, || {
                format!("a Close of 1000 was answered with {}", name_of(code))
            });
        }
    }

    /// Checks that a Close of the server has a cause and the right code.
    fn check_close(&mut self, connection: &Connection, link: &Link, code: Option<u16>, now: Timestamp) {
        let is_slow = link.has_ever_stalled();
        if self.is_draining() && self.may_say_at_shutdown(code) {
            self.check_queue_drained(connection, now);
        } else if let Some((offence, due)) = connection.offence.and_then(with_close_code) {
            self.check_punishment(connection, (offence, due), code, now);
        } else if is_slow && self.may_tell_the_slow(code) {
            self.exercise(Guarantee::G10, connection.met);
        } else if is_slow && !self.is_draining() {
            self.violate(Guarantee::G10, Fault::WrongClose, now, connection, || {
                format!("a slow client got {}; expected 1013", name_of(code))
            });
        } else if self.is_draining() && self.server.is_foreign && code.is_none() {
            self.check_queue_drained(connection, now);
            self.lapse(Clause::CodeAtShutdown, Fault::WrongClose, now, connection, || {
                "the server shut down with a Close without a code".to_owned()
            });
        } else if self.is_draining() {
            self.violate(Guarantee::G14, Fault::WrongClose, now, connection, || {
                format!("the server shut down with {}; expected 1001", name_of(code))
            });
        } else if !connection.may_be_ended && !connection.is_mute {
            self.violate(Guarantee::G3, Fault::Dropped, now, connection, || {
                format!("the server ended the connection with {}", name_of(code))
            });
        }
    }

    /// Checks the code with which the server answers an offence.
    fn check_punishment(
        &mut self,
        connection: &Connection,
        (offence, due): (Offence, u16),
        code: Option<u16>,
        now: Timestamp,
    ) {
        let detail = || format!("{} was answered with {}; expected {due}", offence.name(), name_of(code));
        if code == Some(due) {
            return self.exercise(Guarantee::G12, connection.met);
        }
        match Clause::of_answer(offence, Some(code)) {
            Some(clause) => {
                self.note_end(connection);
                self.lapse(clause, Fault::WrongClose, now, connection, detail);
            }
            None => self.violate(Guarantee::G12, Fault::WrongClose, now, connection, detail),
        }
    }

    /// Whether the Close of a shutdown may have this code: 1001, and from a third-party server also 1012 (service
    /// restart).
    fn may_say_at_shutdown(&self, code: Option<u16>) -> bool {
        code == Some(1001) || (self.server.is_foreign && code == Some(1012))
    }

    /// Whether the server may close a client that does not read with this code. A third-party server may use other
    /// codes, but none that means a normal end or a broken rule.
    fn may_tell_the_slow(&self, code: Option<u16>) -> bool {
        code == Some(1013)
            || (self.server.is_foreign && !matches!(code, Some(1000 | 1002 | 1003 | 1007 | 1009 | 1010)))
    }

    /// Checks that the Close of a shutdown comes after everything that was queued.
    fn check_queue_drained(&mut self, connection: &Connection, now: Timestamp) {
        let pushes = connection.owed.as_ref().map_or(0, |owed| owed.waiting.len() + owed.overtaken.len());
        if pushes == 0 && connection.echoes_at_drain == 0 {
            return self.exercise(Guarantee::G14, connection.met);
        }
        self.violate(Guarantee::G14, Fault::Lost, now, connection, || {
            format!("{pushes} pushes and {} replies were queued and never came", connection.echoes_at_drain)
        });
    }
}

/// The offence and the code of the Close that answers it; `None` if no Close is due.
fn with_close_code(offence: Offence) -> Option<(Offence, u16)> {
    offence.close_code().map(|code| (offence, code))
}

fn name_of(code: Option<u16>) -> String {
    format!("a Close {}", code.map_or_else(|| "without a code".to_owned(), |code| format!("of {code}")))
}

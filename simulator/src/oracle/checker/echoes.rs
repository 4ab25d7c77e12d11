//! Replies as they arrive: the right text, once, in the order of the messages.

use carillon_server::Timestamp;

use super::{Checker, Sighting};
use crate::oracle::connection::Peer;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::wire::text::Text;

impl Checker {
    /// A reply arrived. Returns when the command was sent that it is the fence of.
    pub(crate) fn on_echo(&mut self, peer: &mut Peer, text: &[u8], seen: Sighting) -> Option<Timestamp> {
        let expected = peer.echoes.front().filter(|expected| expected.is(text));
        if let Some(expected) = expected {
            self.on_due_echo(peer, expected, seen);
        } else {
            self.on_other_echo(peer, text, seen);
        }
        peer.windows.on_echo(seen.offset, seen.at)
    }

    fn on_due_echo(&mut self, peer: &mut Peer, expected: Text, seen: Sighting) {
        peer.pop_echo();
        peer.waiting_since = seen.at;
        peer.is_overdue = false;
        peer.echoes_at_drain = peer.echoes_at_drain.saturating_sub(1);
        self.exercise(Guarantee::G5, peer.met);
        self.exercise(Guarantee::G8, peer.met);
        match expected {
            // It follows a command in the same write: had that been answered, the answer would have come first.
            Text::Fence(_) | Text::NearMiss(_) => self.exercise(Guarantee::G9, peer.met),
            Text::Heartbeat => self.exercise(Guarantee::G13, peer.met),
            _ => {}
        }
    }

    fn on_other_echo(&mut self, peer: &mut Peer, text: &[u8], seen: Sighting) {
        if peer.is_mute {
            // Which of its last messages have arrived, nobody knows.
            return;
        }
        let shown = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
        if let Some(offence) = peer.offence.filter(|_| peer.echoes.front().is_none()) {
            return self.violate(Guarantee::G12, Fault::Unexpected, seen.at, peer, || {
                format!("{offence:?} was answered with a reply to {shown:?}")
            });
        }
        if let Some(skipped) = peer.skipped_echo.take_if(|skipped| skipped.is(text)) {
            return self.violate(Guarantee::G5, Fault::OutOfOrder, seen.at, peer, || {
                format!("the reply to {skipped} came behind one to a later message")
            });
        }
        let is_command = [Text::Subscribe, Text::Unsubscribe].iter().any(|command| command.is(text));
        if is_command {
            return self.violate(Guarantee::G9, Fault::Unexpected, seen.at, peer, || {
                format!("the command {shown:?} was answered, or a binary message that holds it")
            });
        }
        if peer.echoes.has_behind_front(|later| later.is(text)) {
            return self.on_early_echo(peer, text, &shown, seen);
        }
        match peer.pop_echo() {
            Some(Text::NearMiss(which)) => {
                self.violate(Guarantee::G9, Fault::WrongEcho, seen.at, peer, || {
                    format!(
                        "a reply to {shown:?} where {} was due, which is no command",
                        Text::NearMiss(which)
                    )
                });
            }
            Some(expected) => self.violate(Guarantee::G8, Fault::WrongEcho, seen.at, peer, || {
                format!("a reply to {shown:?}; due was the one to {expected}")
            }),
            None => self.violate(Guarantee::G8, Fault::Unexpected, seen.at, peer, || {
                format!("a reply to {shown:?}, which nobody had sent or which was answered before")
            }),
        }
    }

    /// A reply that others should have come before. They are lost, or out of order: the next few replies will tell.
    fn on_early_echo(&mut self, peer: &mut Peer, text: &[u8], shown: &str, seen: Sighting) {
        let mut skipped = Vec::new();
        while let Some(front) = peer.pop_echo() {
            if front.is(text) {
                break;
            }
            skipped.push(front);
        }
        let Some(&first) = skipped.first() else { return };
        peer.skipped_echo = Some(first);
        let guarantee = guarantee_of_lost(first);
        self.violate(guarantee, Fault::Lost, seen.at, peer, || {
            format!("the reply to {first} had not come when the one to {shown:?} did")
        });
    }

    /// Whether the answer to something that was sent is overdue.
    pub(super) fn check_waiting(&mut self, peer: &mut Peer, stuck_until: Timestamp, now: Timestamp) {
        let limit = self.longest_way * 2 + self.bounds.reply;
        let since = peer.waiting_since.max(stuck_until).max(self.paused_until());
        if now.since(since) <= limit {
            return;
        }
        if let Some(text) = peer.echoes.front() {
            // It stays in the queue: should it come after all, what follows is not out of place.
            if !std::mem::replace(&mut peer.is_overdue, true) {
                let guarantee = guarantee_of_lost(text);
                self.violate(guarantee, Fault::Lost, now, peer, || format!("the reply to {text} never came"));
            }
        } else if let Some(text) = peer.unlogged.front() {
            self.violate(Guarantee::G15, Fault::WrongLog, now, peer, || format!("{text} was never logged"));
            peer.unlogged.clear();
        }
        if peer.ping != 0 && now.since(peer.pinged_at.max(since)) > limit {
            self.violate(Guarantee::G13, Fault::Lost, now, peer, || "a ping was never answered".to_owned());
            peer.ping = 0;
        }
    }
}

/// The promise that is broken when this is not answered.
pub(crate) fn guarantee_of_lost(text: Text) -> Guarantee {
    match text {
        Text::Heartbeat => Guarantee::G13,
        Text::NearMiss(_) => Guarantee::G9,
        _ => Guarantee::G8,
    }
}

//! What reaches the server, and what it did beside sending.

use carillon_server::Timestamp;

use super::World;
use crate::checker::{Fault, Race};
use crate::guarantee::Guarantee;
use crate::link::LinkId;
use crate::network::{End, LogEntry, payload_of};
use crate::queue::Event;
use crate::target::Target;
use crate::text::Text;

impl<T: Target> World<T> {
    pub(super) fn on_accept(&mut self, link: LinkId) {
        self.target.accept(link, &mut self.net);
        self.after_server();
    }

    pub(super) fn on_server_bytes(&mut self, link: LinkId, event: &Event) {
        let payload = payload_of(event);
        let bytes = self.net.payloads.take(payload);
        if !self.net.links[link.index()].is_server_gone {
            self.offer(link, &bytes[event.start as usize..event.end as usize]);
        }
        self.net.payloads.put_back(payload, bytes);
    }

    /// Offers bytes to the server, behind those that it refused before.
    pub(super) fn offer(&mut self, link: LinkId, bytes: &[u8]) {
        if let Some(refused) = &mut self.peers[link.index()].refused {
            refused.extend_from_slice(bytes);
            return;
        }
        self.serving = Some(link);
        let taken = self.target.receive(link, bytes, &mut self.net);
        let peer = &mut self.peers[link.index()];
        peer.taken += taken as u64;
        if taken < bytes.len() {
            peer.refused = Some(Box::new(bytes[taken..].to_vec()));
        }
        if peer.windows.is_in_flight() && !peer.is_settling {
            peer.is_settling = true;
            self.settling.push(link);
        }
        self.after_server();
    }

    pub(super) fn on_server_end(&mut self, link: LinkId, end: End) {
        if self.net.links[link.index()].is_server_gone {
            return;
        }
        match end {
            End::Finished => self.target.end(link, &mut self.net),
            End::Reset => self.target.reset(link, &mut self.net),
        }
        self.after_server();
    }

    /// Looks at what the server has done to the network besides sending.
    pub(super) fn after_server(&mut self) {
        self.check_log();
        self.serving = None;
        while let Some(link) = self.net.dropped.pop() {
            self.on_dropped(link);
        }
        while let Some(link) = self.net.resumed.pop() {
            if let Some(refused) = self.peers[link.index()].refused.take()
                && !self.net.links[link.index()].is_server_gone
            {
                self.offer(link, &refused);
            }
        }
    }

    /// The server has run idle: what it has taken has taken effect.
    pub(super) fn settle(&mut self) {
        while let Some(link) = self.settling.pop() {
            let (now, sent) = (self.net.now, self.net.links[link.index()].down_sent);
            let peer = &mut self.peers[link.index()];
            peer.is_settling = false;
            if let Some(asked_at) = peer.windows.on_idle(peer.taken, sent, now) {
                self.checker.on_settled(&peer.windows, asked_at, now);
            }
        }
    }

    pub(super) fn on_dropped(&mut self, link: LinkId) {
        let now = self.net.now;
        let peer = &self.peers[link.index()];
        if peer.ended_at != Timestamp::MAX {
            let has_vanished = peer.has_vanished();
            self.checker.on_change(Race::Close, peer.ended_at, now);
            self.checker.exercise(Guarantee::G11);
            if has_vanished {
                self.checker.exercise(Guarantee::G13);
                self.peers[link.index()].may_be_ended = true;
            }
        }
        self.free_if_unused(link);
    }

    pub(super) fn check_log(&mut self) {
        if !self.net.log.lines.is_empty() {
            self.check_log_lines();
        }
        if self.net.log.entries.is_empty() {
            return;
        }
        let book = std::mem::take(&mut self.net.log);
        for entry in &book.entries {
            self.check_log_entry(*entry, &book.texts);
        }
        self.net.log = book;
        self.net.log.entries.clear();
        self.net.log.texts.clear();
    }

    pub(super) fn check_log_lines(&mut self) {
        let wall = self.net.now().wall;
        for line in std::mem::take(&mut self.net.log.lines) {
            match self.journal.read(&line, wall, &self.scenario.zone) {
                Ok(true) => self.checker.exercise(Guarantee::G15),
                Ok(false) => {}
                Err(detail) => {
                    self.checker.violate(Guarantee::G15, Fault::WrongLog, self.net.now, 0, || detail);
                }
            }
        }
    }

    pub(super) fn check_log_entry(&mut self, entry: LogEntry, texts: &str) {
        let is_due = match entry {
            LogEntry::Connected => {
                self.journal.open += 1;
                self.expected_line.is_none()
            }
            LogEntry::Disconnected => {
                self.journal.open -= 1;
                self.expected_line.is_none()
            }
            LogEntry::Received { start, end } => self.is_received_line_due(&texts[start..end]),
            LogEntry::Subscribed | LogEntry::Unsubscribed => self.expected_line.take() == Some(entry),
        };
        if is_due {
            self.checker.exercise(Guarantee::G15);
        } else {
            let client = self.serving.map_or(0, |link| self.peers[link.index()].client);
            self.checker.violate(Guarantee::G15, Fault::WrongLog, self.net.now, client, || {
                format!("a log line {entry:?} that nothing called for")
            });
        }
    }

    pub(super) fn is_received_line_due(&mut self, logged: &str) -> bool {
        let Some(link) = self.serving else { return false };
        let Some(text) = self.peers[link.index()].unlogged.pop() else {
            return false;
        };
        self.expected_line = match text {
            Text::Subscribe => Some(LogEntry::Subscribed),
            Text::Unsubscribe => Some(LogEntry::Unsubscribed),
            _ => None,
        };
        text.is(logged.as_bytes(), &mut String::new())
    }
}

//! The wire of the tested hub.

use carillon_server::{ConnectionId, LogLine, Wire};

use crate::support::frames::PING;

/// A wire that records the bytes that each connection accepted, and checks that the hub keeps the rules of [`Wire`].
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) links: Vec<Link>,
    pub(crate) lines: Vec<String>,
    /// The client of each slot of the hub.
    holders: Vec<Option<usize>>,
    pub(super) resumed: Vec<usize>,
    /// Since the hub was last woken.
    pub(super) pinged: Vec<usize>,
    pub(super) closed: Vec<usize>,
}

/// The link from the hub to one client.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) taken: Vec<u8>,
    /// The number of bytes of `taken` that the client has understood.
    pub(crate) read: usize,
    /// The output that the client could not understand.
    pub(crate) garbled: Option<String>,
    pub(crate) is_closed: bool,
    pub(crate) is_shut: bool,
    /// The number of further bytes that the link accepts.
    pub(super) room: usize,
    pub(super) is_blocked: bool,
    /// The place of the newest ping in the stream.
    pinged_at: Option<usize>,
}

impl Recorder {
    pub(crate) fn open(&mut self, id: ConnectionId) {
        if self.holders.len() <= id.index() {
            self.holders.resize(id.index() + 1, None);
        }
        let holder = self.holders[id.index()].replace(self.links.len());
        assert_eq!(holder, None, "the hub gave out an id that is in use");
        self.links.push(Link {
            taken: Vec::new(),
            read: 0,
            garbled: None,
            is_closed: false,
            is_shut: false,
            room: usize::MAX,
            is_blocked: false,
            pinged_at: None,
        });
    }

    fn holder(&self, id: ConnectionId) -> usize {
        self.holders[id.index()].expect("the hub uses an id only until it has closed it")
    }

    fn take(&mut self, who: usize, bytes: &[u8]) -> usize {
        let link = &mut self.links[who];
        assert!(!link.is_shut, "nothing is sent after the shutdown");
        assert!(!bytes.is_empty(), "the hub offers no empty output");
        let taken = bytes.len().min(link.room);
        link.taken.extend_from_slice(&bytes[..taken]);
        if link.room != usize::MAX {
            link.room -= taken;
        }
        link.is_blocked = taken < bytes.len();
        taken
    }
}

impl Wire for Recorder {
    fn send(&mut self, to: ConnectionId, bytes: &[u8]) -> usize {
        let who = self.holder(to);
        // A ping that was refused completely is offered again as the first of the backlog, at the same place.
        let link = &mut self.links[who];
        let place = Some(link.taken.len());
        if bytes == [PING, 0] && link.pinged_at != place {
            link.pinged_at = place;
            self.pinged.push(who);
        }
        self.take(who, bytes)
    }

    fn send_all(&mut self, to: &[ConnectionId], frame: &[u8], taken: &mut [usize]) {
        assert_eq!(to.len(), taken.len(), "one count for each connection");
        for (id, taken) in to.iter().zip(taken) {
            *taken = self.take(self.holder(*id), frame);
        }
    }

    fn resume(&mut self, connection: ConnectionId) {
        self.resumed.push(self.holder(connection));
    }

    fn shutdown(&mut self, connection: ConnectionId) {
        let who = self.holder(connection);
        assert!(!std::mem::replace(&mut self.links[who].is_shut, true), "the stream was shut down twice");
    }

    fn close(&mut self, connection: ConnectionId) {
        let who = self.holder(connection);
        self.links[who].is_closed = true;
        self.closed.push(who);
        self.holders[connection.index()] = None;
    }

    fn log(&mut self, line: LogLine<'_>) {
        if matches!(
            line,
            LogLine::Connected
                | LogLine::Disconnected
                | LogLine::Received { .. }
                | LogLine::Subscribed
                | LogLine::Unsubscribed
        ) {
            self.lines.push(format!("{line:?}"));
        }
    }
}

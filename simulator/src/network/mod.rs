//! The simulated network between the clients and the server on trial.

pub(crate) mod link;
mod payloads;
pub(crate) mod queue;

use carillon_server::{LogLine, Now, Timestamp, WallTime};

use crate::network::link::{End, Link, LinkId, Piece};
use crate::network::payloads::{PayloadId, Payloads};
use crate::network::queue::{Event, EventQueue};

/// The kind of a queued event; the low byte of its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A connection reaches the server.
    Accept,
    /// The oracle audits the deliveries of a cycle.
    Audit,
    /// A client's timer expires.
    Client,
    /// A client's link is established, and the client sends its request.
    Dial,
    /// Both ends and all bytes in transit are gone: the link can be reused.
    Free,
    /// The faults of the clients that are to heal end.
    Heal,
    /// A slow client reads.
    Read,
    /// The server should have dropped its end by now.
    Reap,
    /// The server's pause ends.
    Resume,
    /// A line of the script is due.
    Script,
    /// A fault hits the server.
    Server,
    /// Bytes reach the client.
    ToClient,
    /// The end of the stream, or a reset, reaches the client.
    ToClientEnd,
    /// Bytes reach the server.
    ToServer,
    /// The end of the stream, or a reset, reaches the server.
    ToServerEnd,
    /// A third-party server has had time to handle what it took. This kind is last, because digests contain the
    /// numbers.
    Settle,
}

const KINDS: [Kind; 16] = [
    Kind::Accept,
    Kind::Audit,
    Kind::Client,
    Kind::Dial,
    Kind::Free,
    Kind::Heal,
    Kind::Read,
    Kind::Reap,
    Kind::Resume,
    Kind::Script,
    Kind::Server,
    Kind::ToClient,
    Kind::ToClientEnd,
    Kind::ToServer,
    Kind::ToServerEnd,
    Kind::Settle,
];

impl Kind {
    pub(crate) fn of(event: &Event) -> Self {
        KINDS[(event.tag & 0xFF) as usize]
    }
}

/// The payload of which an event carries a piece.
pub(crate) fn payload_of(event: &Event) -> PayloadId {
    PayloadId(event.tag >> 8)
}

impl End {
    pub(crate) fn of(event: &Event) -> Self {
        if event.start == 0 { Self::Finished } else { Self::Reset }
    }
}

/// The links, the bytes in transit, and the clock: the part of the world that a target can use.
///
/// This is the server's side of the simulated network, and mirrors [`carillon_server::Wire`]. A target calls it while
/// it handles an input, with the [`LinkId`] of [`Target::accept`](crate::Target::accept).
#[derive(Debug)]
pub struct Network {
    pub(crate) now: Timestamp,
    /// The wall time at the origin of the monotonic clock.
    pub(crate) wall_origin: WallTime,
    pub(crate) queue: EventQueue,
    pub(crate) payloads: Payloads,
    pub(crate) links: Vec<Link>,
    free: Vec<u32>,
    /// Links whose refused input the world may offer again.
    pub(crate) resumed: Vec<LinkId>,
    /// Links that the server has dropped since the world last handled them.
    pub(crate) dropped: Vec<LinkId>,
    /// Log lines since the world last read them.
    pub(crate) log: LogBook,
    pub(crate) open: usize,
}

/// What the server logged while it handled one input.
#[derive(Debug, Default)]
pub(crate) struct LogBook {
    pub(crate) texts: String,
    pub(crate) entries: Vec<LogEntry>,
    /// Complete lines of targets that do not attribute their lines.
    pub(crate) lines: Vec<String>,
}

/// A log line, whose text is a range of [`LogBook::texts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogEntry {
    Connected,
    Disconnected,
    Received { start: usize, end: usize },
    Subscribed,
    Unsubscribed,
}

impl Network {
    pub(crate) fn new(tie_seed: u64, wall_origin: WallTime) -> Self {
        Self {
            now: Timestamp::ZERO,
            wall_origin,
            queue: EventQueue::new(tie_seed),
            payloads: Payloads::default(),
            links: Vec::new(),
            free: Vec::new(),
            resumed: Vec::new(),
            dropped: Vec::new(),
            log: LogBook::default(),
            open: 0,
        }
    }

    /// The current monotonic and wall time.
    pub fn now(&self) -> Now {
        Now { at: self.now, wall: self.wall_origin.after(self.now.since(Timestamp::ZERO)) }
    }

    /// Offers bytes to a client. Returns how many bytes from the front the link took; after fewer than all,
    /// [`Target::writable`](crate::Target::writable) tells when there is room.
    pub fn send(&mut self, to: LinkId, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        // The server offers refused bytes again and again, so only taken bytes are copied.
        let payload = self.payloads.add(&[&bytes[..self.room(to, bytes.len())]], self.now);
        let taken = self.send_payload(to, payload, bytes.len());
        self.payloads.discard_unused(payload);
        taken
    }

    /// Offers the same frame to many clients. Sets `taken`, in the order of `to`, to the number of bytes that each
    /// link took.
    pub fn send_all(&mut self, to: impl Iterator<Item = LinkId>, frame: &[u8], taken: &mut [usize]) {
        let payload = self.payloads.add(&[frame], self.now);
        for (link, taken) in to.zip(taken) {
            *taken = self.send_payload(link, payload, frame.len());
        }
        self.payloads.discard_unused(payload);
    }

    /// Lets the world offer again the input that the target refused.
    pub fn resume(&mut self, link: LinkId) {
        self.resumed.push(link);
    }

    /// Ends the server's side of the stream: the client reads its end after all bytes that the link took.
    pub fn shutdown(&mut self, id: LinkId) {
        self.end_to_client(id, End::Finished);
    }

    /// Drops the server's end. Without an earlier [`Network::shutdown`] the client sees a reset.
    pub fn close(&mut self, id: LinkId) {
        self.drop_stream(id, End::Reset);
    }

    /// Drops the server's end. A client that has not seen the end of the stream before sees `end`.
    pub(crate) fn drop_stream(&mut self, id: LinkId, end: End) {
        self.end_to_client(id, end);
        let link = &mut self.links[id.index()];
        if !link.is_server_gone {
            link.is_server_gone = true;
            self.open -= 1;
            self.dropped.push(id);
        }
    }

    /// Notes a log line of the server, caused by the input that the target handles now (G15).
    pub fn log(&mut self, line: LogLine<'_>) {
        let entry = match line {
            LogLine::Connected => LogEntry::Connected,
            LogLine::Disconnected => LogEntry::Disconnected,
            LogLine::Received { text } => {
                let start = self.log.texts.len();
                self.log.texts.push_str(text);
                LogEntry::Received { start, end: self.log.texts.len() }
            }
            LogLine::Subscribed => LogEntry::Subscribed,
            LogLine::Unsubscribed => LogEntry::Unsubscribed,
            _ => return,
        };
        self.log.entries.push(entry);
    }

    /// Notes a log line of the server whose cause is unknown.
    pub(crate) fn log_line(&mut self, line: String) {
        self.log.lines.push(line);
    }

    /// Adds a link, and returns its id.
    pub(crate) fn open_link(&mut self, link: Link) -> LinkId {
        self.open += 1;
        match self.free.pop() {
            Some(index) => {
                self.links[index as usize] = link;
                LinkId(index)
            }
            None => {
                self.links.push(link);
                LinkId(u32::try_from(self.links.len() - 1).expect("fewer than 2^32 links"))
            }
        }
    }

    /// How many bytes a link takes now, at most `most`.
    pub(crate) fn room(&self, link: LinkId, most: usize) -> usize {
        self.links[link.index()].flow.as_ref().map_or(most, |flow| flow.room().min(most))
    }

    /// Notes whether the server has bytes that the link does not take.
    pub(crate) fn set_blocked(&mut self, link: LinkId, is_blocked: bool) {
        if let Some(flow) = &mut self.links[link.index()].flow {
            flow.is_blocked = is_blocked;
        }
    }

    /// Sends a client's bytes towards the server.
    pub(crate) fn send_to_server(&mut self, id: LinkId, bytes: &[u8]) {
        let payload = self.payloads.add(&[bytes], self.now);
        let (now, link) = (self.now, &mut self.links[id.index()]);
        let (queue, payloads) = (&mut self.queue, &mut self.payloads);
        if link.is_up_lost {
            return payloads.discard_unused(payload);
        }
        link.cut_up(now, bytes.len(), |piece| {
            payloads.retain(payload);
            queue.push(carry(id, Kind::ToServer, payload, piece));
        });
        self.payloads.discard_unused(payload);
    }

    /// Ends the client's side of the stream.
    pub(crate) fn end_to_server(&mut self, id: LinkId, end: End) {
        let link = &mut self.links[id.index()];
        if link.is_up_lost {
            return;
        }
        let at = match end {
            End::Finished => link.up_end(self.now),
            End::Reset => link.up_reset(self.now),
        };
        self.schedule(at, id.0, Kind::ToServerEnd, u32::from(end == End::Reset), 0);
    }

    pub(crate) fn schedule(&mut self, at: Timestamp, subject: u32, kind: Kind, start: u32, end: u32) {
        self.queue.push(Event { at, subject, tag: kind as u32, start, end });
    }

    /// Frees a link without bytes in transit.
    pub(crate) fn free_link(&mut self, id: LinkId) {
        let flow = self.links[id.index()].flow.take();
        for unread in flow.into_iter().flat_map(|mut flow| flow.take_unread()) {
            self.payloads.release(unread.payload);
        }
        self.free.push(id.0);
    }

    fn send_payload(&mut self, to: LinkId, payload: PayloadId, length: usize) -> usize {
        let (now, link) = (self.now, &mut self.links[to.index()]);
        let taken = link.flow.as_mut().map_or(length, |flow| flow.take(length));
        link.down_sent += taken as u64;
        if link.is_client_gone || link.is_down_lost || taken == 0 {
            return taken;
        }
        let (queue, payloads) = (&mut self.queue, &mut self.payloads);
        link.cut_down(now, taken, |piece| {
            payloads.retain(payload);
            queue.push(carry(to, Kind::ToClient, payload, piece));
        });
        taken
    }

    fn end_to_client(&mut self, id: LinkId, end: End) {
        let link = &mut self.links[id.index()];
        if !link.is_down_ended && !link.is_down_lost {
            link.is_down_ended = true;
            let at = link.down_end(self.now);
            self.schedule(at, id.0, Kind::ToClientEnd, u32::from(end == End::Reset), 0);
        }
    }
}

fn carry(link: LinkId, kind: Kind, payload: PayloadId, piece: Piece) -> Event {
    Event {
        at: piece.at,
        subject: link.0,
        tag: payload.0 << 8 | kind as u32,
        start: piece.start,
        end: piece.end,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::network::link::LinkPlan;
    use crate::network::link::Unread;

    #[test]
    fn a_freed_link_releases_its_unread_bytes() {
        let mut net = Network::new(1, WallTime::default());
        let plan = LinkPlan {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            sliced: 0,
            window: Some(64),
            seed: 1,
        };
        let link = net.open_link(Link::new(&plan));
        assert_eq!(net.send(link, b"a push"), 6);
        let event = net.queue.pop(Timestamp::MAX).expect("the push is in transit");
        let unread = Unread { payload: payload_of(&event), start: event.start, end: event.end };
        let flow = net.links[link.index()].flow.as_mut().expect("its window is limited");
        flow.arrive(unread);
        assert_eq!(net.payloads.in_use(), 1);
        net.free_link(link);
        assert_eq!(net.payloads.in_use(), 0);
    }
}

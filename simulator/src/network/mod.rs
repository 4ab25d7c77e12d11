//! The simulated network: what happens to the bytes between clients and the server under test.

pub(crate) mod link;
mod payloads;
pub(crate) mod queue;

use carillon_server::{LogLine, Now, Timestamp, WallTime};

use crate::network::link::{End, Link, LinkId, Piece};
use crate::network::payloads::{PayloadId, Payloads};
use crate::network::queue::{Event, EventQueue};

/// What an event of the queue means; the low byte of its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A connection reaches the server.
    Accept,
    /// A cycle's deliveries are held against the model.
    Audit,
    /// A timer of a client.
    Client,
    /// A client learns that its connection was accepted, and sends its request.
    Dial,
    /// Both ends and everything under way are gone: the link can be used again.
    Free,
    /// The faults end, for those who are to get well.
    Heal,
    /// A slow client reads.
    Read,
    /// A server should have dropped its end by now.
    Reap,
    /// A server that stood still goes on.
    Resume,
    /// A line of a script.
    Script,
    /// Something happens to the server.
    Server,
    /// Bytes reach the client.
    ToClient,
    /// The end of the stream, or a reset, reaches the client.
    ToClientEnd,
    /// Bytes reach the server.
    ToServer,
    /// The end of the stream, or a reset, reaches the server.
    ToServerEnd,
    /// A server that is not ours has had time for what it took. The last, as the numbers are in every digest.
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

/// The payload that an event carries a piece of.
pub(crate) fn payload_of(event: &Event) -> PayloadId {
    PayloadId(event.tag >> 8)
}

impl End {
    pub(crate) fn of(event: &Event) -> Self {
        if event.start == 0 { Self::Finished } else { Self::Reset }
    }
}

/// The links, what is under way on them, and the clock: all of the world that a target can reach.
///
/// This is the server's side of the simulated network, and mirrors [`carillon_server::Wire`]. A target calls it while it
/// handles an input, with the [`LinkId`] that it was given.
#[derive(Debug)]
pub struct Network {
    pub(crate) now: Timestamp,
    /// What the wall clock shows at the origin of the monotonic one.
    pub(crate) wall_origin: WallTime,
    pub(crate) queue: EventQueue,
    pub(crate) payloads: Payloads,
    pub(crate) links: Vec<Link>,
    free: Vec<u32>,
    /// Links whose refused input may be offered again.
    pub(crate) resumed: Vec<LinkId>,
    /// Links that the server has dropped since the world last looked.
    pub(crate) dropped: Vec<LinkId>,
    /// Log lines since the world last looked.
    pub(crate) log: LogBook,
    pub(crate) open: usize,
}

/// What the server logged while it handled one input.
#[derive(Debug, Default)]
pub(crate) struct LogBook {
    pub(crate) texts: String,
    pub(crate) entries: Vec<LogEntry>,
    /// Lines as they were written, by targets whose events cannot be attributed.
    pub(crate) lines: Vec<String>,
}

/// A log line whose text lies in the book.
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

    /// What both clocks show.
    pub fn now(&self) -> Now {
        Now { at: self.now, wall: self.wall_origin.after(self.now.since(Timestamp::ZERO)) }
    }

    /// Offers bytes to a client and returns how many the link took, from the front.
    pub fn send(&mut self, to: LinkId, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        // What a slow link does not take is offered again and again: only what it takes is copied.
        let payload = self.payloads.add(&[&bytes[..self.room(to, bytes.len())]], self.now);
        let taken = self.send_payload(to, payload, bytes.len());
        self.payloads.discard_unused(payload);
        taken
    }

    /// Offers the same frame to many clients; `taken` is set to what each link took.
    pub fn send_all(&mut self, to: impl Iterator<Item = LinkId>, frame: &[u8], taken: &mut [usize]) {
        let payload = self.payloads.add(&[frame], self.now);
        for (link, taken) in to.zip(taken) {
            *taken = self.send_payload(link, payload, frame.len());
        }
        self.payloads.discard_unused(payload);
    }

    /// Input that the target refused may be offered again.
    pub fn resume(&mut self, link: LinkId) {
        self.resumed.push(link);
    }

    /// Nothing more will be sent: the client sees the end of the stream behind what was taken.
    pub fn shutdown(&mut self, id: LinkId) {
        self.end_to_client(id, End::Finished);
    }

    /// The server has dropped its end. If it had not shut it down before, the client sees a reset.
    pub fn close(&mut self, id: LinkId) {
        self.drop_stream(id, End::Reset);
    }

    /// The server has dropped its end, which looks like `end` to a client that has not seen the stream's end before.
    pub(crate) fn drop_stream(&mut self, id: LinkId, end: End) {
        self.end_to_client(id, end);
        let link = &mut self.links[id.index()];
        if !link.is_server_gone {
            link.is_server_gone = true;
            self.open -= 1;
            self.dropped.push(id);
        }
    }

    /// The server has logged something.
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

    /// The server has written a line to its log; whose input made it do so is not known.
    pub(crate) fn log_line(&mut self, line: String) {
        self.log.lines.push(line);
    }

    /// A new link for this client.
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

    /// How many bytes a link would take now, at most `most`.
    pub(crate) fn room(&self, link: LinkId, most: usize) -> usize {
        self.links[link.index()].flow.as_ref().map_or(most, |flow| flow.room().min(most))
    }

    /// The server has, or has no more, something that the link does not take.
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

    /// Forgets a link on which nothing is under way any more.
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
    fn what_nobody_read_is_given_back_with_its_link() {
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
        let event = net.queue.pop(Timestamp::MAX).expect("it is on its way");
        let unread = Unread { payload: payload_of(&event), start: event.start, end: event.end };
        let flow = net.links[link.index()].flow.as_mut().expect("its window is limited");
        flow.arrive(unread);
        assert_eq!(net.payloads.in_use(), 1);
        net.free_link(link);
        assert_eq!(net.payloads.in_use(), 0);
    }
}

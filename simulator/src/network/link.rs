//! A link: the two byte pipes of one connection, with latency, jitter, and writes that arrive in pieces.

use std::collections::VecDeque;
use std::time::Duration;

use carillon_server::Timestamp;

use crate::network::payloads::PayloadId;
use crate::rng::Rng;

/// The id of a link of the simulated network. The world reuses it once both ends and all bytes in transit are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(crate) u32);

impl LinkId {
    /// The index of the link, from 0: small, dense and reused.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The ranges from which a scenario's links are drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkProfile {
    /// The shortest one-way latency, from 0 to `max_latency`.
    pub min_latency: Duration,
    /// The longest one-way latency, at most 4 s.
    pub max_latency: Duration,
    /// The longest jitter, which is added to the latency of each write, at most 4 s.
    pub max_jitter: Duration,
    /// How many of 1000 writes arrive in pieces on the worst link, from 0 to 1000.
    pub max_sliced: u64,
}

impl LinkProfile {
    /// Draws a link.
    pub(crate) fn draw(&self, rng: &mut Rng) -> LinkPlan {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let latency = rng.between(nanos(self.min_latency), nanos(self.max_latency));
        LinkPlan {
            latency: Duration::from_nanos(latency),
            jitter: Duration::from_nanos(rng.between(0, nanos(self.max_jitter))),
            sliced: rng.below(self.max_sliced + 1) as u16,
            window: None,
            seed: rng.bits(),
        }
    }

    /// The longest time that a write can take on a link of this profile: the latency and twice the jitter.
    pub fn longest_way(&self) -> Duration {
        // The last piece of a write arrives at most one more jitter later.
        self.max_latency + 2 * self.max_jitter
    }
}

/// The properties of one connection's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkPlan {
    /// The one-way latency.
    pub latency: Duration,
    /// The longest jitter, which is added to the latency of each write.
    pub jitter: Duration,
    /// How many of 1000 writes arrive in pieces. Toxiproxy calls this `slicer`.
    pub sliced: u16,
    /// The limit of bytes in transit to the client or unread by it; `None` for no limit.
    pub window: Option<u32>,
    /// The seed that decides jitter and the sizes of pieces.
    pub seed: u64,
}

/// How fast a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The client reads all bytes as soon as they arrive.
    AtOnce,
    /// The client reads nothing. Toxiproxy calls this `timeout`.
    Never,
    /// The client reads this many bytes a second. Toxiproxy calls this `bandwidth`.
    Slowly(u32),
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    /// Cleanly: all earlier bytes arrive.
    Finished,
    /// By a reset, which overtakes bytes in transit.
    Reset,
}

/// A piece of a write and its arrival time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) at: Timestamp,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// The state of one link. It fits one cache line, because a fan-out touches all links.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    rng: Rng,
    /// When the last bytes towards the client arrive. Later bytes arrive later, because TCP keeps the order.
    down_last: Timestamp,
    up_last: Timestamp,
    /// The number of bytes that the server has sent.
    pub(crate) down_sent: u64,
    latency: u32,
    jitter: u32,
    sliced: u16,
    pub(crate) is_client_gone: bool,
    pub(crate) is_server_gone: bool,
    pub(crate) is_down_ended: bool,
    /// The server has accepted the connection.
    pub(crate) is_accepted: bool,
    /// The end of the stream is scheduled.
    pub(crate) is_retired: bool,
    /// Bytes from the server get lost.
    pub(crate) is_down_lost: bool,
    /// Bytes from the client get lost.
    pub(crate) is_up_lost: bool,
    /// The client's receive window, if it is limited.
    pub(crate) flow: Option<Box<Flow>>,
}

/// The widest of narrow receive windows, in bytes.
pub(crate) const NARROW: u32 = 2048;

/// A limited receive window, and a client that does not always read.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    window: u32,
    /// Bytes in transit to the client, or unread.
    outstanding: u32,
    /// The link refused bytes in the server's last write.
    pub(crate) is_blocked: bool,
    /// The last instant at which the link was blocked or had unread bytes.
    pub(crate) stuck_until: Timestamp,
    pub(crate) reading: Reading,
    /// Bytes have once waited to be read.
    pub(crate) has_held: bool,
    /// The end of the stream, after the unread bytes.
    pub(crate) pending_end: Option<End>,
    /// The client's next read is scheduled.
    pub(crate) is_read_scheduled: bool,
    /// The bytes that have arrived and are unread.
    unread: VecDeque<Unread>,
}

/// A range of a payload that has arrived and is unread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread {
    pub(crate) payload: PayloadId,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Flow {
    fn new(window: u32) -> Self {
        Self {
            window,
            outstanding: 0,
            is_blocked: false,
            stuck_until: Timestamp::ZERO,
            reading: Reading::AtOnce,
            has_held: false,
            pending_end: None,
            is_read_scheduled: false,
            unread: VecDeque::new(),
        }
    }

    /// Whether bytes that wait at the server may take minutes to arrive, even if the client reads at once.
    pub(crate) fn is_narrow(&self) -> bool {
        self.window <= NARROW
    }

    /// How many bytes the link takes now.
    pub(crate) fn room(&self) -> usize {
        (self.window - self.outstanding) as usize
    }

    /// Takes as much of a write of this length as there is room for, and returns how much.
    pub(crate) fn take(&mut self, length: usize) -> usize {
        let taken = length.min(self.room());
        self.outstanding += taken as u32;
        self.is_blocked = taken < length;
        taken
    }

    /// Adds unread bytes. The flow holds a reference to their payload from now on.
    pub(crate) fn arrive(&mut self, unread: Unread) {
        self.unread.push_back(unread);
    }

    /// The client reads up to `limit` bytes of one arrival. The flag is true for the last of them, with which the flow
    /// gives up its reference.
    pub(crate) fn read(&mut self, limit: u32) -> Option<(Unread, bool)> {
        let unread = self.unread.front_mut()?;
        let end = unread.end.min(unread.start.saturating_add(limit));
        let read = Unread { end, ..*unread };
        unread.start = end;
        let is_last = unread.start == unread.end;
        if is_last {
            self.unread.pop_front();
        }
        self.outstanding -= end - read.start;
        Some((read, is_last))
    }

    /// Takes all unread bytes of a client that no longer reads.
    pub(crate) fn take_unread(&mut self) -> VecDeque<Unread> {
        std::mem::take(&mut self.unread)
    }

    /// Frees the room of bytes that were lost or read at once.
    pub(crate) fn forget(&mut self, length: u32) {
        self.outstanding -= length;
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Bytes in transit to the client, or unread.
    pub(crate) fn outstanding(&self) -> u32 {
        self.outstanding
    }

    /// Whether the link takes everything that the server wants to send.
    pub(crate) fn is_flowing(&self) -> bool {
        !self.is_blocked && !self.has_unread()
    }
}

impl Link {
    pub(crate) fn new(plan: &LinkPlan) -> Self {
        let small = |span: Duration| u32::try_from(span.as_nanos()).unwrap_or(u32::MAX);
        Self {
            rng: Rng::new(plan.seed),
            down_last: Timestamp::ZERO,
            up_last: Timestamp::ZERO,
            down_sent: 0,
            latency: small(plan.latency),
            jitter: small(plan.jitter),
            sliced: plan.sliced,
            is_client_gone: false,
            is_server_gone: false,
            is_down_ended: false,
            is_accepted: false,
            is_retired: false,
            is_down_lost: false,
            is_up_lost: false,
            flow: plan.window.map(|window| Box::new(Flow::new(window))),
        }
    }

    /// The one-way latency without jitter.
    pub(crate) fn latency(&self) -> Duration {
        Duration::from_nanos(u64::from(self.latency))
    }

    /// Whether the client has ever left bytes unread, so that the server may lose patience with it.
    pub(crate) fn has_ever_stalled(&self) -> bool {
        let flow = self.flow.as_ref();
        flow.is_some_and(|flow| !flow.is_flowing() || flow.has_held || flow.stuck_until > Timestamp::ZERO)
    }

    /// The last instant at which the client had unread bytes or the link refused bytes; zero if never.
    pub(crate) fn stuck_until(&self) -> Timestamp {
        self.flow.as_ref().map_or(Timestamp::ZERO, |flow| flow.stuck_until)
    }

    /// The arrival of the last bytes in transit, in either direction.
    pub(crate) fn quiet_from(&self) -> Timestamp {
        self.down_last.max(self.up_last)
    }

    /// Sends a write towards the client, and calls `arrive` for each piece.
    pub(crate) fn cut_down(&mut self, now: Timestamp, length: usize, arrive: impl FnMut(Piece)) {
        self.down_last = self.cut(now, self.down_last, length, arrive);
    }

    /// Sends a write towards the server, and calls `arrive` for each piece.
    pub(crate) fn cut_up(&mut self, now: Timestamp, length: usize, arrive: impl FnMut(Piece)) {
        self.up_last = self.cut(now, self.up_last, length, arrive);
    }

    /// When a reset towards the server arrives. It overtakes bytes in transit.
    pub(crate) fn up_reset(&mut self, now: Timestamp) -> Timestamp {
        let at = self.arrival(now, now);
        self.up_last = self.up_last.max(at);
        at
    }

    /// When the end of the stream towards the client arrives.
    pub(crate) fn down_end(&mut self, now: Timestamp) -> Timestamp {
        self.down_last = self.arrival(now, self.down_last);
        self.down_last
    }

    /// When the end of the stream towards the server arrives.
    pub(crate) fn up_end(&mut self, now: Timestamp) -> Timestamp {
        self.up_last = self.arrival(now, self.up_last);
        self.up_last
    }

    fn cut(
        &mut self,
        now: Timestamp,
        last: Timestamp,
        length: usize,
        mut arrive: impl FnMut(Piece),
    ) -> Timestamp {
        let length = length as u32;
        let mut at = self.arrival(now, last);
        let mut start = 0;
        if self.sliced > 0 && self.rng.chance(u64::from(self.sliced)) {
            for _ in 0..self.rng.between(1, 3) {
                let end = self.rng.between(u64::from(start), u64::from(length)) as u32;
                if start < end && end < length {
                    arrive(Piece { at, start, end });
                    start = end;
                    at = self.after(at);
                }
            }
        }
        arrive(Piece { at, start, end: length });
        at
    }

    /// When bytes that are sent now arrive: after all earlier bytes.
    fn arrival(&mut self, now: Timestamp, last: Timestamp) -> Timestamp {
        let way = u64::from(self.latency) + self.rng.below(u64::from(self.jitter) + 1);
        let at = now.as_nanos() + way;
        Timestamp::from_nanos(at.max(last.as_nanos() + 1))
    }

    /// When the next piece of the same write arrives.
    fn after(&mut self, at: Timestamp) -> Timestamp {
        Timestamp::from_nanos(at.as_nanos() + 1 + self.rng.below(u64::from(self.jitter / 4) + 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rng::Rng;

    fn profile(max_sliced: u64) -> LinkProfile {
        LinkProfile {
            min_latency: Duration::from_millis(3),
            max_latency: Duration::from_millis(300),
            max_jitter: Duration::from_millis(40),
            max_sliced,
        }
    }

    #[test]
    fn a_link_fits_a_cache_line() {
        assert!(size_of::<Link>() <= 64, "{} bytes", size_of::<Link>());
    }

    proptest! {
        #[test]
        fn all_bytes_arrive_once_in_order_and_in_time(
            seed in any::<u64>(),
            writes in prop::collection::vec((0u64..50_000_000, 1usize..200), 1..60),
        ) {
            let profile = profile(1000);
            let mut link = Link::new(&profile.draw(&mut Rng::new(seed)));
            let (mut now, mut last) = (Timestamp::ZERO, Timestamp::ZERO);
            for (pause, length) in writes {
                now = now + Duration::from_nanos(pause);
                let mut arrived = 0;
                let mut pieces = Vec::new();
                link.cut_down(now, length, |piece| pieces.push(piece));
                for piece in pieces {
                    prop_assert_eq!(piece.start, arrived);
                    prop_assert!(piece.end > piece.start);
                    prop_assert!(piece.at > last, "{:?} does not come after {}", piece, last);
                    (arrived, last) = (piece.end, piece.at);
                }
                prop_assert_eq!(arrived as usize, length);
            }
            prop_assert_eq!(link.quiet_from(), last);
        }

        #[test]
        fn a_single_write_takes_no_longer_than_the_profile_says(seed in any::<u64>(), length in 1usize..100) {
            let profile = profile(1000);
            let mut link = Link::new(&profile.draw(&mut Rng::new(seed)));
            let mut last = Timestamp::ZERO;
            link.cut_up(Timestamp::ZERO, length, |piece| last = piece.at);
            prop_assert!(last.since(Timestamp::ZERO) <= profile.longest_way());
        }
    }
}

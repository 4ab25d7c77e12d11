//! The event queue: finds the next of millions of pending events.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};

use carillon_server::Timestamp;

use crate::rng::mix;

/// A fine bucket spans 2¹⁹ ns, about 524 µs: few enough events share one for a cheap sort, and the ring of buckets
/// stays in the cache.
const FINE_SHIFT: u32 = 19;
/// 2¹¹ fine buckets make one coarse bucket of about 1.07 s.
const COARSE_SHIFT: u32 = FINE_SHIFT + 11;
/// 2¹² coarse buckets make one epoch of about 73 min.
const EPOCH_SHIFT: u32 = COARSE_SHIFT + 12;

const FINE_BUCKETS: usize = 1 << (COARSE_SHIFT - FINE_SHIFT);
const COARSE_BUCKETS: usize = 1 << (EPOCH_SHIFT - COARSE_SHIFT);

/// A pending event. It has 24 bytes, because millions of them wait at a time.
///
/// The world defines its meaning. The queue orders events by `at`, and uses the other fields only to break ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) subject: u32,
    pub(crate) tag: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A calendar queue (Brown, CACM 1988) of three levels: an event moves from its epoch to its coarse bucket to its fine
/// bucket, and is sorted among the handful that share the last. A heap touches log n cache lines where this touches
/// three.
///
/// The seed decides the order of events at the same instant.
#[derive(Debug)]
pub(crate) struct EventQueue {
    tie_seed: u64,
    /// The events of the fine bucket being consumed, latest first.
    current: Vec<Event>,
    /// Events that were added to the fine bucket being consumed.
    late: BinaryHeap<Reverse<Ordered>>,
    /// The index of the fine bucket being consumed, counted from the origin.
    cursor: u64,
    fine: Level,
    coarse: Level,
    epochs: BTreeMap<u64, Vec<Event>>,
    length: usize,
}

/// A ring of buckets, and one bit for each bucket that is not empty.
#[derive(Debug)]
struct Level {
    buckets: Vec<Vec<Event>>,
    occupied: Vec<u64>,
}

impl Level {
    fn new(buckets: usize) -> Self {
        Self { buckets: vec![Vec::new(); buckets], occupied: vec![0; buckets / 64] }
    }

    fn add(&mut self, bucket: usize, event: Event) {
        self.buckets[bucket].push(event);
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
    }

    /// The first bucket from `from` on that is not empty.
    fn next_occupied(&self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut bits = *self.occupied.get(word)? & (u64::MAX << (from % 64));
        while bits == 0 {
            word += 1;
            bits = *self.occupied.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// Exchanges the contents of a bucket with the empty `other`, so that both keep their memory.
    fn take(&mut self, bucket: usize, other: &mut Vec<Event>) {
        debug_assert!(other.is_empty(), "a bucket is only ever exchanged with an empty one");
        std::mem::swap(&mut self.buckets[bucket], other);
        self.occupied[bucket / 64] &= !(1 << (bucket % 64));
    }
}

/// An event in the order of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ordered {
    tie: u64,
    event: Event,
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.event.at, self.tie).cmp(&(other.event.at, other.tie))
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl EventQueue {
    pub(crate) fn new(tie_seed: u64) -> Self {
        Self {
            tie_seed,
            current: Vec::new(),
            late: BinaryHeap::new(),
            cursor: 0,
            fine: Level::new(FINE_BUCKETS),
            coarse: Level::new(COARSE_BUCKETS),
            epochs: BTreeMap::new(),
            length: 0,
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Adds an event, which must not be earlier than the last popped event or the last limit.
    pub(crate) fn push(&mut self, event: Event) {
        self.length += 1;
        let fine = event.at.as_nanos() >> FINE_SHIFT;
        if fine <= self.cursor {
            let tie = self.tie(&event);
            self.late.push(Reverse(Ordered { tie, event }));
            return;
        }
        self.add_to_bucket(event);
    }

    /// The instant of the next event, if it is not after `limit`.
    ///
    /// The cursor does not pass the limit, so that later events go to their bucket and not to the heap.
    pub(crate) fn next_at(&mut self, limit: Timestamp) -> Option<Timestamp> {
        if self.current.is_empty() && self.late.is_empty() && !self.advance(limit) {
            return None;
        }
        let late = self.late.peek().map(|Reverse(late)| late.event.at);
        let current = self.current.last().map(|event| event.at);
        let next = match (current, late) {
            (Some(current), Some(late)) => current.min(late),
            (current, late) => current.or(late)?,
        };
        (next <= limit).then_some(next)
    }

    /// Takes the next event, if it is not after `limit`.
    pub(crate) fn pop(&mut self, limit: Timestamp) -> Option<Event> {
        self.next_at(limit)?;
        self.take()
    }

    /// Takes the event that [`EventQueue::next_at`] has just found.
    pub(crate) fn take(&mut self) -> Option<Event> {
        self.length -= 1;
        let Some(Reverse(late)) = self.late.peek() else {
            return self.current.pop();
        };
        match self.current.last() {
            Some(event) if self.ordered(*event) < *late => self.current.pop(),
            _ => self.late.pop().map(|Reverse(late)| late.event),
        }
    }

    /// Puts an event into the finest bucket that its distance from the cursor allows.
    fn add_to_bucket(&mut self, event: Event) {
        let nanos = event.at.as_nanos();
        let here = self.cursor << FINE_SHIFT;
        if nanos >> COARSE_SHIFT == here >> COARSE_SHIFT {
            self.fine.add((nanos >> FINE_SHIFT) as usize % FINE_BUCKETS, event);
        } else if nanos >> EPOCH_SHIFT == here >> EPOCH_SHIFT {
            self.coarse.add((nanos >> COARSE_SHIFT) as usize % COARSE_BUCKETS, event);
        } else {
            self.epochs.entry(nanos >> EPOCH_SHIFT).or_default().push(event);
        }
    }

    /// Moves the cursor to the next fine bucket that has events and begins by `limit`; `false` if there is none.
    fn advance(&mut self, limit: Timestamp) -> bool {
        let limit = limit.as_nanos();
        loop {
            let first = self.cursor as usize % FINE_BUCKETS;
            if let Some(bucket) = self.fine.next_occupied(first) {
                let cursor = self.cursor + (bucket - first) as u64;
                if cursor > limit >> FINE_SHIFT {
                    return false;
                }
                self.cursor = cursor;
                self.fine.take(bucket, &mut self.current);
                self.sort_current();
                return true;
            }
            if !self.open_coarse(limit) && !self.open_epoch(limit) {
                return false;
            }
        }
    }

    /// Spreads the next coarse bucket of this epoch over the fine ones.
    fn open_coarse(&mut self, limit: u64) -> bool {
        let here = self.cursor >> (COARSE_SHIFT - FINE_SHIFT);
        let first = here as usize % COARSE_BUCKETS;
        let Some(bucket) = self.coarse.next_occupied(first) else {
            return false;
        };
        let coarse = here + (bucket - first) as u64;
        if coarse > limit >> COARSE_SHIFT {
            return false;
        }
        self.cursor = coarse << (COARSE_SHIFT - FINE_SHIFT);
        // Free the bucket's memory: otherwise each second of an epoch would in time keep the memory of its largest
        // push.
        let mut events = Vec::new();
        self.coarse.take(bucket, &mut events);
        for event in events {
            self.add_to_bucket(event);
        }
        true
    }

    /// Spreads the next epoch over the coarse buckets, once the current epoch is empty.
    fn open_epoch(&mut self, limit: u64) -> bool {
        let is_spent = self.coarse.next_occupied(0).is_none();
        let Some(entry) =
            self.epochs.first_entry().filter(|entry| is_spent && *entry.key() <= limit >> EPOCH_SHIFT)
        else {
            return false;
        };
        let (epoch, events) = entry.remove_entry();
        self.cursor = epoch << (EPOCH_SHIFT - FINE_SHIFT);
        for event in events {
            self.add_to_bucket(event);
        }
        true
    }

    fn sort_current(&mut self) {
        let mut events = std::mem::take(&mut self.current);
        events.sort_unstable_by(|a, b| b.at.cmp(&a.at).then_with(|| self.ordered(*b).cmp(&self.ordered(*a))));
        self.current = events;
    }

    fn ordered(&self, event: Event) -> Ordered {
        Ordered { tie: self.tie(&event), event }
    }

    fn tie(&self, event: &Event) -> u64 {
        mix(self.tie_seed
            ^ (u64::from(event.subject) << 32 | u64::from(event.tag))
            ^ u64::from(event.start) << 20)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(at: u64, subject: u32) -> Event {
        Event { at: Timestamp::from_nanos(at), subject, tag: 0, start: 0, end: 0 }
    }

    #[test]
    fn the_seed_decides_the_order_of_events_at_the_same_instant() {
        let first_of = |seed| {
            let mut queue = EventQueue::new(seed);
            queue.push(event(5, 1));
            queue.push(event(5, 2));
            queue.pop(Timestamp::MAX).map(|event| event.subject)
        };
        let firsts: std::collections::BTreeSet<_> = (0..20).map(first_of).collect();
        assert_eq!(firsts.len(), 2, "twenty seeds gave the same order: {firsts:?}");
        assert_eq!(first_of(3), first_of(3));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Pop { limit: u64 },
        Push { after: u64 },
    }

    fn any_op() -> impl Strategy<Value = Op> {
        let distance = || {
            prop_oneof![
                Just(0),
                Just(u64::MAX >> 1),
                0u64..1 << FINE_SHIFT,
                0u64..1 << COARSE_SHIFT,
                0u64..1 << (EPOCH_SHIFT + 2),
            ]
        };
        prop_oneof![
            distance().prop_map(|limit| Op::Pop { limit }),
            distance().prop_map(|after| Op::Push { after: after % (1 << (EPOCH_SHIFT + 2)) }),
        ]
    }

    proptest! {
        #[test]
        fn a_calendar_queue_pops_events_in_sorted_order(ops in prop::collection::vec(any_op(), 0..300)) {
            let mut queue = EventQueue::new(1);
            let mut model: Vec<Event> = Vec::new();
            let (mut now, mut subject) = (0, 0);
            for op in ops {
                match op {
                    Op::Push { after } => {
                        subject += 1;
                        queue.push(event(now + after, subject));
                        model.push(event(now + after, subject));
                    }
                    Op::Pop { limit } => {
                        let limit = now + limit;
                        model.sort_by_key(|event| Reverse(queue.ordered(*event)));
                        let expected = model.pop_if(|event| event.at.as_nanos() <= limit);
                        let limit = Timestamp::from_nanos(limit);
                        prop_assert_eq!(queue.next_at(limit), expected.map(|event| event.at));
                        prop_assert_eq!(queue.pop(limit), expected);
                        now = expected.map_or(limit.as_nanos().min(now + 1), |event| event.at.as_nanos());
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
        }
    }
}

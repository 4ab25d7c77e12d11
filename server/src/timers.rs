//! The next wake-up of each session: a timer wheel that tolerates stale entries.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::{Timestamp, nanos};

/// One pending wake-up per slot.
///
/// Deadlines are rounded, so thousands of sessions share one turn of the wheel, and taking the next of them costs no
/// search. A deadline usually moves to a later instant, because a client that sends is alive. A later deadline leaves
/// the old entry in place: the entry fires early, the session finds that nothing is due, and arms its timer again. So
/// the common case is one comparison. An entry that an earlier deadline has replaced stays until its turn comes, or
/// until such entries outnumber the live ones.
#[derive(Debug)]
pub(crate) struct Timers {
    /// The turns of the wheel, each with the slots to wake.
    turns: BTreeMap<Timestamp, Vec<u32>>,
    /// The first of the turns, `MAX` if there is none. It is stored because a hub reads it after every input.
    first: Timestamp,
    /// The turn that is under way, and its slots that were not woken yet.
    under_way: (Timestamp, Vec<u32>),
    /// The number of entries in all turns.
    entries: usize,
    /// The turn of each slot's valid entry; `MAX` for none.
    live: Vec<Timestamp>,
    /// The number of slots with a valid entry.
    armed: usize,
    /// In nanoseconds, at least 1.
    granularity: u64,
}

impl Timers {
    /// The memory per slot, in bytes: an entry, and the turn of the valid entry.
    pub(crate) const EACH: usize = size_of::<u32>() + size_of::<Timestamp>();

    /// A wheel without entries. It rounds deadlines up to multiples of `granularity`, so that sessions share wake-ups.
    pub(crate) fn new(granularity: Duration) -> Self {
        Self {
            turns: BTreeMap::new(),
            first: Timestamp::MAX,
            under_way: (Timestamp::ZERO, Vec::new()),
            entries: 0,
            live: Vec::new(),
            armed: 0,
            granularity: nanos(granularity).max(1),
        }
    }

    /// Wakes `slot` at `deadline`, or earlier.
    pub(crate) fn arm(&mut self, slot: u32, deadline: Timestamp) {
        let index = slot as usize;
        if index >= self.live.len() {
            self.live.resize(index + 1, Timestamp::MAX);
        }
        if deadline >= self.live[index] {
            return;
        }
        let rounded = self.round_up(deadline);
        if rounded >= self.live[index] {
            return;
        }
        self.armed += usize::from(self.live[index] == Timestamp::MAX);
        self.live[index] = rounded;
        self.turns.entry(rounded).or_default().push(slot);
        self.first = self.first.min(rounded);
        self.entries += 1;
        self.drop_overtaken();
    }

    /// Cancels the wake-up of `slot`.
    pub(crate) fn disarm(&mut self, slot: u32) {
        if let Some(live) = self.live.get_mut(slot as usize)
            && *live != Timestamp::MAX
        {
            *live = Timestamp::MAX;
            self.armed -= 1;
            self.drop_overtaken();
        }
    }

    /// The next instant at which [`Timers::pop`] may return a slot.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let (at, rest) = &self.under_way;
        let next = if rest.is_empty() { self.first } else { *at };
        (next < Timestamp::MAX).then_some(next)
    }

    /// Takes a slot whose wake-up is due at `at`, and disarms it.
    pub(crate) fn pop(&mut self, at: Timestamp) -> Option<u32> {
        while self.next().is_some_and(|next| next <= at) {
            if let Some(slot) = self.pop_entry() {
                return Some(slot);
            }
        }
        None
    }

    /// Takes the next entry, and returns its slot if the entry is still valid.
    fn pop_entry(&mut self) -> Option<u32> {
        if self.under_way.1.is_empty() {
            self.under_way = self.turns.pop_first()?;
            self.find_first();
        }
        let (at, rest) = &mut self.under_way;
        let slot = rest.pop()?;
        self.entries -= 1;
        let live = &mut self.live[slot as usize];
        if *live != *at {
            return None;
        }
        *live = Timestamp::MAX;
        self.armed -= 1;
        Some(slot)
    }

    /// Keeps the number of entries within twice the number of armed slots plus 64, however often connections come and
    /// go.
    fn drop_overtaken(&mut self) {
        if self.entries <= 2 * self.armed + 64 {
            return;
        }
        let live = &self.live;
        self.turns.retain(|at, slots| {
            slots.retain(|slot| live[*slot as usize] == *at);
            !slots.is_empty()
        });
        self.find_first();
        self.entries = self.under_way.1.len() + self.turns.values().map(Vec::len).sum::<usize>();
    }

    fn find_first(&mut self) {
        self.first = self.turns.first_key_value().map_or(Timestamp::MAX, |(at, _)| *at);
    }

    fn round_up(&self, deadline: Timestamp) -> Timestamp {
        let ticks = deadline.as_nanos().div_ceil(self.granularity);
        Timestamp::from_nanos(ticks.saturating_mul(self.granularity))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn a_later_deadline_fires_early_and_is_armed_again() {
        let mut timers = Timers::new(Duration::from_nanos(10));
        timers.arm(0, at(15));
        timers.arm(0, at(95));
        assert_eq!(timers.next(), Some(at(20)), "15 ns rounds up to 20 ns");
        assert_eq!(timers.pop(at(19)), None);
        assert_eq!(timers.pop(at(20)), Some(0));
        timers.arm(0, at(95));
        assert_eq!(timers.next(), Some(at(100)));
    }

    #[test]
    fn arming_and_disarming_leaves_at_most_64_entries() {
        let mut timers = Timers::new(Duration::from_nanos(1));
        for round in 0..10_000 {
            timers.arm(0, at(1_000_000 - round));
            timers.disarm(0);
        }
        assert!(timers.entries <= 64, "{} entries without a slot", timers.entries);
        assert!(timers.turns.len() <= 64, "{} turns without a slot", timers.turns.len());
    }

    #[test]
    fn replaced_entries_are_dropped_beyond_66_and_not_before() {
        // Two for the one armed slot, and 64.
        const MOST: u64 = 66;
        let mut timers = Timers::new(Duration::from_nanos(1));
        for earlier in 0..MOST {
            timers.arm(0, at(1000 - earlier));
            assert_eq!(timers.entries as u64, earlier + 1);
        }
        timers.arm(0, at(1000 - MOST));
        assert_eq!((timers.entries, timers.next()), (1, Some(at(1000 - MOST))));
    }

    #[test]
    fn a_slot_costs_an_entry_of_4_bytes_and_an_instant_of_8() {
        assert_eq!(Timers::EACH, 12);
    }

    fn check_counts(timers: &Timers) {
        let entries = timers.under_way.1.len() + timers.turns.values().map(Vec::len).sum::<usize>();
        assert_eq!(timers.entries, entries);
        assert_eq!(timers.armed, timers.live.iter().filter(|live| **live < Timestamp::MAX).count());
    }

    #[derive(Clone, Debug)]
    enum Op {
        Advance { nanos: u64 },
        Arm { slot: u32, after: u64 },
        Disarm { slot: u32 },
    }

    fn any_op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0u64..50).prop_map(|nanos| Op::Advance { nanos }),
            (0u32..8, 0u64..200).prop_map(|(slot, after)| Op::Arm { slot, after }),
            (0u32..8, Just(0)).prop_map(|(slot, after)| Op::Arm { slot, after }),
            (0u32..8).prop_map(|slot| Op::Disarm { slot }),
        ]
    }

    proptest! {
        #[test]
        fn a_slot_is_woken_by_its_earliest_deadline_and_only_then(ops in prop::collection::vec(any_op(), 0..100)) {
            let mut timers = Timers::new(Duration::from_nanos(1));
            let mut model = BTreeMap::<u32, u64>::new();
            let mut now = 0;
            for op in ops {
                match op {
                    Op::Advance { nanos } => {
                        now += nanos;
                        while let Some(slot) = timers.pop(at(now)) {
                            let due = model.remove(&slot);
                            prop_assert!(due.is_some_and(|due| due <= now), "slot {} at {}: {:?}", slot, now, due);
                        }
                        prop_assert!(model.values().all(|due| *due > now), "missed at {}: {:?}", now, model);
                    }
                    Op::Arm { slot, after } => {
                        timers.arm(slot, at(now + after));
                        let due = model.entry(slot).or_insert(u64::MAX);
                        *due = (*due).min(now + after);
                    }
                    Op::Disarm { slot } => {
                        timers.disarm(slot);
                        model.remove(&slot);
                    }
                }
                check_counts(&timers);
            }
        }
    }
}

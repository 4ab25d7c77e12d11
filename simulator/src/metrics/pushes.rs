//! The deliveries of each push: when the first client read it, and when the last.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::timing::Timing;

/// The deliveries of one push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushEntry {
    /// The number of the push's cycle, the same in all shards of a soak.
    pub cycle: u64,
    /// The due instant, in microseconds since the start of the soak.
    pub due_micros: u64,
    /// The number of clients that the push reached.
    pub deliveries: u64,
    /// From the due instant until the first client read the push, in microseconds.
    pub first_micros: u64,
    /// From the due instant until the last client read the push, in microseconds.
    pub last_micros: u64,
}

impl PushEntry {
    /// The time from the first client's read to the last client's.
    pub fn spread(&self) -> Duration {
        Duration::from_micros(self.last_micros.saturating_sub(self.first_micros))
    }

    fn merge(&mut self, other: &Self) {
        self.due_micros = self.due_micros.min(other.due_micros);
        self.deliveries += other.deliveries;
        self.first_micros = self.first_micros.min(other.first_micros);
        self.last_micros = self.last_micros.max(other.last_micros);
    }
}

/// All pushes, in the order of their cycles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pushes(Vec<PushEntry>);

impl Pushes {
    /// Adds one delivery, or the deliveries of a push that another shard recorded.
    pub fn add(&mut self, entry: PushEntry) {
        // It is nearly always the last entry, so the search begins there.
        let place = self.0.iter().rposition(|known| known.cycle <= entry.cycle);
        match place {
            Some(place) if self.0[place].cycle == entry.cycle => self.0[place].merge(&entry),
            place => self.0.insert(place.map_or(0, |place| place + 1), entry),
        }
    }

    /// Adds the deliveries that another shard recorded.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|entry| self.add(*entry));
    }

    /// One entry per push, in the order of their cycles.
    pub fn entries(&self) -> &[PushEntry] {
        &self.0
    }

    /// The spreads of all pushes that reached at least two clients.
    ///
    /// It is computed from the entries, because the spread of a merged push does not follow from the spreads of its
    /// parts.
    pub fn spread(&self) -> Timing {
        let mut spread = Timing::default();
        let shared = self.0.iter().filter(|entry| entry.deliveries > 1);
        shared.for_each(|entry| spread.record(entry.spread()));
        spread
    }

    pub(super) fn shift(&mut self, later: Duration) {
        let micros = later.as_micros() as u64;
        self.0.iter_mut().for_each(|entry| entry.due_micros += micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(cycle: u64, first_micros: u64, last_micros: u64) -> PushEntry {
        PushEntry { cycle, due_micros: cycle * 1000, deliveries: 1, first_micros, last_micros }
    }

    #[test]
    fn entries_are_in_the_order_of_cycles() {
        let mut pushes = Pushes::default();
        [4, 2, 9, 2, 1, 4].into_iter().for_each(|cycle| pushes.add(entry(cycle, 5, 5)));
        let cycles: Vec<_> = pushes.entries().iter().map(|entry| (entry.cycle, entry.deliveries)).collect();
        assert_eq!(cycles, [(1, 1), (2, 2), (4, 2), (9, 1)]);
    }

    #[test]
    fn the_spread_of_two_shards_spans_both() {
        let mut pushes = Pushes::default();
        pushes.add(entry(1, 100, 300));
        let mut other = Pushes::default();
        other.add(entry(1, 250, 900));
        other.add(entry(2, 7, 7));
        pushes.merge(&other);
        let spread = pushes.spread();
        // The second cycle reached one client, which has no spread.
        assert_eq!((spread.count(), spread.max()), (1, Some(0.8)));
    }
}

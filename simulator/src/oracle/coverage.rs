//! Which hazards met which guarantees. A guarantee that was never exercised under a hazard was not tested under it.

use crate::oracle::guarantee::Guarantee;

/// A condition that makes promises hard to keep. Names follow Toxiproxy where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hazard {
    /// The client reads a few bytes a second.
    Bandwidth,
    /// The server's wall clock jumped.
    ClockJump,
    /// The client came back after its connection had ended.
    Comeback,
    /// Daylight saving time began or ended.
    DaylightSaving,
    /// The client sends far more than it reads.
    Flood,
    /// The client ended only its own side of the stream.
    HalfClose,
    /// What one side sends is lost, unnoticed.
    HalfOpen,
    /// The client broke a rule of RFC 6455 or of HTTP.
    Offence,
    /// The server process was paused.
    Pause,
    /// The connection was reset.
    ResetPeer,
    /// The server was restarted.
    Restart,
    /// Writes arrive in pieces.
    Slicer,
    /// The client stopped reading.
    Timeout,
    /// The client vanished without a Close or a reset.
    Vanish,
}

impl Hazard {
    /// All hazards, in the order of [`Coverage::cells`].
    pub const ALL: [Self; 14] = [
        Self::Bandwidth,
        Self::ClockJump,
        Self::Comeback,
        Self::DaylightSaving,
        Self::Flood,
        Self::HalfClose,
        Self::HalfOpen,
        Self::Offence,
        Self::Pause,
        Self::ResetPeer,
        Self::Restart,
        Self::Slicer,
        Self::Timeout,
        Self::Vanish,
    ];

    /// The hazard's name in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bandwidth => "bandwidth",
            Self::ClockJump => "clock jump",
            Self::Comeback => "comeback",
            Self::DaylightSaving => "daylight saving",
            Self::Flood => "flood",
            Self::HalfClose => "half-close",
            Self::HalfOpen => "half-open",
            Self::Offence => "offence",
            Self::Pause => "pause",
            Self::ResetPeer => "reset_peer",
            Self::Restart => "restart",
            Self::Slicer => "slicer",
            Self::Timeout => "timeout",
            Self::Vanish => "vanish",
        }
    }
}

/// A set of hazards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met(u16);

impl Met {
    pub(crate) fn add(&mut self, hazard: Hazard) {
        self.0 |= 1 << hazard as u8;
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn has(self, hazard: Hazard) -> bool {
        self.0 & 1 << hazard as u8 != 0
    }
}

/// How often each guarantee was exercised on a connection that had met each hazard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Numbers of exercises, indexed by the place in [`Hazard::ALL`] and by [`Guarantee::index`].
    pub cells: [[u64; 15]; 14],
}

impl Coverage {
    pub(crate) fn count(&mut self, met: Met, guarantee: Guarantee) {
        for hazard in Hazard::ALL {
            self.cells[hazard as usize][guarantee.index()] += u64::from(met.has(hazard));
        }
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &Self) {
        for (row, others) in self.cells.iter_mut().zip(&other.cells) {
            for (cell, other) in row.iter_mut().zip(others) {
                *cell += other;
            }
        }
    }

    /// How often this guarantee was exercised under this hazard.
    pub fn get(&self, hazard: Hazard, guarantee: Guarantee) -> u64 {
        self.cells[hazard as usize][guarantee.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarantee_counts_for_each_hazard_that_was_met() {
        let (mut met, mut coverage) = (Met::default(), Coverage::default());
        assert!(met.is_empty());
        met.add(Hazard::Slicer);
        met.add(Hazard::Vanish);
        coverage.count(met, Guarantee::G3);
        let mut sum = coverage;
        sum.merge(&coverage);
        assert_eq!(sum.get(Hazard::Vanish, Guarantee::G3), 2);
        assert_eq!(sum.get(Hazard::Vanish, Guarantee::G4), 0);
        assert_eq!(sum.get(Hazard::Pause, Guarantee::G3), 0);
    }
}

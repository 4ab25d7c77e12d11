//! A virtual client: what it does next, drawn from a stream of its own. It is a state machine, not a task.

use std::time::Duration;

use carillon_server::Timestamp;

use crate::model::Grid;
use crate::rng::Rng;
use crate::scenario::AppProfile;

/// Who a client is between its connections.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) rng: Rng,
    /// The number of its connection; a timer of an older one means nothing.
    pub(crate) epoch: u32,
    /// The link of its newest connection; [`Client::NO_LINK`] while it has none.
    pub(crate) link: u32,
    /// Whether its switch is on.
    pub(crate) wants_push: bool,
    /// The number of its last fence or ping.
    pub(crate) last_number: u32,
}

/// What a client's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Alarm {
    Connect,
    Flip,
    Heartbeat,
    Restart,
}

const ALARMS: [Alarm; 4] = [Alarm::Connect, Alarm::Flip, Alarm::Heartbeat, Alarm::Restart];

impl Alarm {
    pub(crate) fn from_index(index: u32) -> Self {
        ALARMS[index as usize]
    }
}

/// How an app goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// With a Close.
    Clean,
    /// The process ends: the stream does, without a Close.
    Abrupt,
    /// The connection is reset.
    Reset,
    /// The network is gone: nobody learns of it.
    Vanish,
}

impl Client {
    pub(crate) const NO_LINK: u32 = u32::MAX;

    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, epoch: 0, link: Self::NO_LINK, wants_push: true, last_number: 0 }
    }

    /// The next fence or ping.
    pub(crate) fn next_number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    /// When the switch is flipped next: half of the time within two latencies of a due instant, so that the races happen.
    pub(crate) fn next_flip(
        &mut self,
        app: &AppProfile,
        grid: &Grid,
        latency: Duration,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let switch = app.switch?;
        let mean = if self.wants_push { switch.on } else { switch.off };
        let at = now + self.around(mean);
        if self.rng.chance(500) {
            return Some(at);
        }
        let due = grid.due(grid.newest(at) + 1);
        let margin = 2 * latency.as_nanos() as u64;
        let race = Timestamp::from_nanos(
            (due.as_nanos() - margin.min(due.as_nanos())) + self.rng.below(2 * margin + 1),
        );
        Some(race.max(now))
    }

    pub(crate) fn next_restart(&mut self, app: &AppProfile, now: Timestamp) -> Option<Timestamp> {
        app.restart.map(|mean| now + self.around(mean))
    }

    pub(crate) fn next_departure(&mut self) -> Departure {
        match self.rng.below(10) {
            0..=4 => Departure::Clean,
            5..=6 => Departure::Abrupt,
            7..=8 => Departure::Reset,
            _ => Departure::Vanish,
        }
    }

    /// How long the app stays away.
    pub(crate) fn pause(&mut self) -> Duration {
        Duration::from_millis(self.rng.between(200, 30_000))
    }

    /// A span between half of the mean and one and a half of it. Whole numbers, as `ln` differs between machines.
    fn around(&mut self, mean: Duration) -> Duration {
        let mean = mean.as_nanos() as u64;
        Duration::from_nanos(self.rng.between(mean / 2, mean + mean / 2))
    }
}

//! Numbers the cycles of a server and renders each push once, for all of its shards.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::framing;
use crate::protocol;
use crate::schedule::Schedule;
use crate::time::{Now, Timestamp};
use crate::zone::Zone;

/// The number of pushes that are kept for shards that have not asked yet. A shard that is further behind would skip
/// them anyway, because they are too old (see [`Schedule`]).
const KEPT: usize = 4;

/// The message of one cycle, rendered and framed.
#[derive(Debug, PartialEq, Eq)]
pub struct Push {
    cycle: u64,
    due: Timestamp,
    frame: Arc<[u8]>,
}

impl Push {
    fn new(cycle: u64, due: Timestamp, text: &str) -> Self {
        let mut frame = Vec::new();
        framing::encode_text(&mut frame, &[text]);
        Self { cycle, due, frame: frame.into() }
    }

    /// The number of the push's cycle, from 1.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// The due instant: the clients that were subscribed at that instant get the push.
    pub fn due(&self) -> Timestamp {
        self.due
    }

    /// The complete WebSocket frame, header included; every client gets the same bytes.
    pub fn frame(&self) -> &Arc<[u8]> {
        &self.frame
    }
}

/// The single source of a server's pushes; a server has one announcer for all shards.
///
/// Every shard asks the announcer at the due instant. The first request renders the cycle, and all shards get the same
/// [`Push`], so that they cannot disagree about a text, a number or a skipped cycle.
#[derive(Debug)]
pub struct Announcer {
    schedule: Schedule,
    zone: Zone,
    recent: VecDeque<Arc<Push>>,
    skipped: u64,
    is_stopped: bool,
}

impl Announcer {
    /// An announcer whose first cycle is due one `period` after `start`.
    ///
    /// # Panics
    ///
    /// If the period is zero.
    pub fn new(start: Timestamp, period: Duration, zone: Zone) -> Self {
        Self {
            schedule: Schedule::new(start, period),
            zone,
            recent: VecDeque::with_capacity(KEPT),
            skipped: 0,
            is_stopped: false,
        }
    }

    /// The due instant of the next cycle; `None` after [`Announcer::stop`].
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.is_stopped).then(|| self.schedule.next_due())
    }

    /// Renders the push of the cycle that is due at `now`, if there is one, and returns the number of cycles that were
    /// skipped because they are too old.
    ///
    /// The text names the due instant: the current wall clock minus the delay.
    pub fn handle_timeout(&mut self, now: Now) -> u64 {
        if self.is_stopped {
            return 0;
        }
        let turn = self.schedule.poll(now.at);
        self.skipped += turn.skipped;
        if let Some(cycle) = turn.cycle {
            let text = protocol::push_text(now.wall.before(now.at.since(cycle.due)), &self.zone);
            if self.recent.len() == KEPT {
                self.recent.pop_front();
            }
            self.recent.push_back(Arc::new(Push::new(cycle.number, cycle.due, &text)));
        }
        turn.skipped
    }

    /// The pushes of the cycles after `cycle`, oldest first. Only the newest four are kept.
    pub fn pushes_after(&self, cycle: u64) -> impl Iterator<Item = &Arc<Push>> {
        self.recent.iter().filter(move |push| push.cycle > cycle)
    }

    /// Ends the schedule at the beginning of a drain (G14): no cycle fires from now on.
    pub fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// The number of cycles since the start that were too old when a shard asked for them.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The time zone of the push texts.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WallTime;

    const PERIOD: Duration = Duration::from_secs(300);

    fn now(seconds: f64) -> Now {
        let span = Duration::from_secs_f64(seconds);
        Now { at: Timestamp::ZERO + span, wall: WallTime::from_unix_seconds(1_795_348_800).after(span) }
    }

    fn texts(announcer: &Announcer, after: u64) -> Vec<String> {
        let text = |push: &Arc<Push>| String::from_utf8_lossy(&push.frame()[2..]).into_owned();
        announcer.pushes_after(after).map(text).collect()
    }

    #[test]
    fn the_text_names_the_due_instant_and_not_the_moment_of_sending() {
        let mut announcer = Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC);
        announcer.handle_timeout(now(301.5));
        assert_eq!(texts(&announcer, 0), ["Server push message at 2026-11-22 12:05:00"]);
    }

    #[test]
    fn the_second_shard_that_asks_gets_the_same_push() {
        let mut announcer = Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC);
        announcer.handle_timeout(now(300.0));
        let first = Arc::clone(announcer.pushes_after(0).next().unwrap());
        announcer.handle_timeout(now(300.004));
        assert!(Arc::ptr_eq(&first, announcer.pushes_after(0).next().unwrap()));
        assert_eq!(announcer.pushes_after(1).count(), 0);
    }

    #[test]
    fn pushes_are_numbered_and_the_newest_four_are_kept() {
        let mut announcer = Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC);
        for cycle in 1..=6 {
            announcer.handle_timeout(now(300.0 * f64::from(cycle)));
        }
        let kept =
            announcer.pushes_after(0).map(|push| (push.cycle(), push.due().as_nanos() / 1_000_000_000));
        assert!(kept.eq([(3, 900), (4, 1200), (5, 1500), (6, 1800)]));
    }

    #[test]
    fn no_cycle_fires_after_the_stop() {
        let mut announcer = Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC);
        announcer.stop();
        announcer.handle_timeout(now(300.0));
        assert_eq!(announcer.pushes_after(0).count(), 0);
        assert_eq!(announcer.poll_timeout(), None);
    }

    #[test]
    fn skipped_cycles_are_counted() {
        let mut announcer = Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC);
        assert_eq!(announcer.handle_timeout(now(1000.0)), 2, "cycle 3 is 100 s late, which is just in time");
        assert_eq!(announcer.skipped(), 2);
        assert_eq!(texts(&announcer, 0), ["Server push message at 2026-11-22 12:15:00"]);
    }
}

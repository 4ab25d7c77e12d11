//! Numbers the cycles of a server and renders each push once, for all of its shards.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::framing;
use crate::protocol;
use crate::schedule::Schedule;
use crate::time::{Now, Timestamp};
use crate::zone::Zone;

/// How many pushes are kept for shards that have not asked yet. A shard further behind would skip them for their age
/// anyway (see [`Schedule`]).
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

    /// The cycle that it belongs to.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// When it was due: who was subscribed then gets it.
    pub fn due(&self) -> Timestamp {
        self.due
    }

    /// The WebSocket frame, the same bytes for every client.
    pub fn frame(&self) -> &Arc<[u8]> {
        &self.frame
    }
}

/// One value per server: the single source of its pushes.
///
/// Every shard asks it at the due instant; the first to ask has the cycle rendered, and all get the same [`Push`], so
/// that they cannot disagree about a text, a number or a skipped cycle.
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

    /// When the next cycle is due; `None` once it was stopped.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.is_stopped).then(|| self.schedule.next_due())
    }

    /// Announces the cycle that is due by `now`, if one is, and returns how many were skipped as too old.
    ///
    /// The text names the due instant, by the wall clock as it is now.
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

    /// The pushes of the cycles after `cycle`, oldest first, as far back as they are kept.
    pub fn pushes_after(&self, cycle: u64) -> impl Iterator<Item = &Arc<Push>> {
        self.recent.iter().filter(move |push| push.cycle > cycle)
    }

    /// No cycle fires any more: the drain has begun (G14).
    pub fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Cycles that came due and were too old to be delivered when somebody woke up.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The zone that the texts are in.
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
    fn the_second_shard_to_ask_gets_the_very_same_push() {
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

//! The cycles: their due instants, their texts, and the clients that get them.

use std::sync::Arc;

use chrono::{Datelike, NaiveDateTime, TimeDelta, Timelike};
use tokio::time::{Duration, Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::protocol::frame::{
    Frame,
    coding::{CloseCode, Data, OpCode},
};

use super::{
    clock::{now, stamp},
    defect::Defect,
    outbox::{Encoded, encode},
    server::{CompactServer, Member},
};

impl CompactServer {
    /// Fires cycle k at start + k periods. The instants are absolute, so lateness does not add up. After a stall only
    /// the last missed cycle is fired, and only if it is not too late.
    pub(super) async fn tick(self: Arc<Self>) {
        match self.defect {
            Some(Defect::SchedulesByWallClock) => return self.tick_by_wall_clock().await,
            Some(Defect::TimesEachConnection) => return,
            _ => {}
        }
        let period = self.settings.period;
        let mut start = self.started.0;
        if self.has(Defect::PushesEarly) {
            start -= Duration::from_millis(20);
        }
        let mut next = if self.has(Defect::SkipsFirstCycle) { 2 } else { 1 };
        loop {
            sleep_until(start + period * next).await;
            if self.is_draining() {
                return;
            }
            let cycle = self.latest(start, next);
            let due = start + period * cycle;
            let late = due.elapsed();
            if late <= period / 3 || self.has(Defect::BunchesAfterStall) {
                self.fire(due).await;
            } else if self.has(Defect::RestartsScheduleAfterStall) {
                start += late;
            }
            if self.has(Defect::StopsAfterStall) && cycle > next {
                return;
            }
            if self.has(Defect::Drifts) {
                start += Duration::from_millis(50);
            }
            next = cycle + 1;
        }
    }

    /// The last cycle that is due by now, at least `next`.
    fn latest(&self, start: Instant, next: u32) -> u32 {
        if self.has(Defect::BunchesAfterStall) {
            return next;
        }
        let passed = start.elapsed().as_nanos() / self.settings.period.as_nanos();
        next.max(u32::try_from(passed).unwrap_or(next))
    }

    async fn tick_by_wall_clock(self: Arc<Self>) {
        let mut due = self.started.1;
        loop {
            due += civil(self.settings.period);
            let ahead = (due - (self.clock)()).to_std().unwrap_or_default();
            sleep(ahead).await;
            if self.is_draining() {
                return;
            }
            self.fire(now()).await;
        }
    }

    /// The timer of a single connection, instead of one timer for all.
    pub(super) async fn tick_alone(self: Arc<Self>, member: Arc<Member>) {
        loop {
            sleep(self.settings.period).await;
            if self.is_draining() || !self.is_open(member.id) {
                return;
            }
            if member.wish().since.is_some() {
                member.outbox.offer(&self.push_at(now()));
            }
        }
    }

    /// Pushes one cycle to all clients that were subscribed at its due instant and still are.
    pub(super) async fn fire(&self, due: Instant) {
        let mut frame = self.push_at(due);
        if self.has(Defect::UndoesUnsubscribe) {
            self.clean_slots();
        }
        let members = self.members();
        for (place, member) in members.iter().enumerate() {
            if self.has(Defect::RendersPerClient) {
                sleep(Duration::from_millis(20)).await;
                frame = self.push_at(now());
            }
            if self.has(Defect::AwaitsSlowClient) {
                member.outbox.emptied().await;
            }
            if self.is_wanted(member, due) && !self.overlooks(&members, place, due) {
                self.deliver(member, &frame);
            }
        }
        *self.last_cycle.lock().expect("no task panics with the lock") = self.civil_at(due);
    }

    /// Whether the client was subscribed at the due instant, and is.
    fn is_wanted(&self, member: &Member, due: Instant) -> bool {
        let mut wish = member.wish();
        if self.has(Defect::MissesFirstCycle) && wish.joined + self.settings.period > due {
            return false;
        }
        let wanted = wish.since.is_some_and(|since| since <= due);
        if wish.leaving {
            wish.leaving = false;
            wish.since = None;
        }
        wanted
    }

    /// Whether a defect makes the walk skip this client.
    fn overlooks(&self, members: &[Arc<Member>], place: usize, due: Instant) -> bool {
        let member = &members[place];
        let previous = place.checked_sub(1).map(|before| &members[before]);
        let quiet = member.wish().spoke.elapsed();
        match self.defect {
            Some(Defect::LosesAtShardBoundary) => {
                previous.is_some_and(|previous| self.shard_of(previous.id) != self.shard_of(member.id))
            }
            Some(Defect::LosesLastSubscriber) => place + 1 == members.len(),
            Some(Defect::PushesOnlyToActive) => quiet > self.settings.period,
            Some(Defect::SkipsBusy) => !member.outbox.is_empty(),
            Some(Defect::SkipsNeighbour) => {
                let left = previous.and_then(|previous| previous.wish().until);
                left.is_some_and(|left| left + self.settings.period > due)
            }
            _ => false,
        }
    }

    fn deliver(&self, member: &Arc<Member>, frame: &Encoded) {
        let wish = member.wish().clone();
        if self.has(Defect::ClosesInsteadOfPushing) && wish.spoke.elapsed() > self.settings.period * 2 {
            return member.outbox.close(CloseCode::Normal);
        }
        for _ in 0..wish.copies {
            member.outbox.offer(frame);
        }
        if self.has(Defect::RetriesUnacknowledged) {
            tokio::spawn(retry(member.clone(), frame.clone()));
        }
    }

    fn push_at(&self, due: Instant) -> Encoded {
        let text = format!("Server push message at {}", self.render(due));
        let text = if self.has(Defect::EndsWithNewline) { text + "\n" } else { text };
        encode(Frame::message(text, OpCode::Data(Data::Text), true))
    }

    fn render(&self, due: Instant) -> String {
        let mut time = self.civil_at(due);
        match self.defect {
            Some(Defect::RendersFromStart) => time = self.started.1 + civil(due - self.started.0),
            Some(Defect::RendersPreviousCycle) => time -= civil(self.settings.period),
            _ => {}
        }
        let text = stamp(time);
        let (date, clock) = text.split_at(11);
        match self.defect {
            Some(Defect::RendersMonthAsMinutes) => {
                format!("{date}{}{:02}{}", &clock[..3], time.month(), &clock[5..])
            }
            Some(Defect::RendersTwelveHours) => format!("{date}{:02}{}", time.hour12().1, &clock[2..]),
            Some(Defect::SwapsDayAndMonth) => {
                format!("{:04}-{:02}-{:02} {clock}", time.year(), time.day(), time.month())
            }
            _ => text,
        }
    }

    /// The wall clock's time at an instant that has just passed.
    fn civil_at(&self, instant: Instant) -> NaiveDateTime {
        (self.clock)() - civil(instant.elapsed())
    }
}

/// Sends the push once more if the client has sent nothing since.
async fn retry(member: Arc<Member>, frame: Encoded) {
    let sent = now();
    sleep(Duration::from_secs(10)).await;
    if member.wish().spoke < sent {
        member.outbox.offer(&frame);
    }
}

fn civil(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or_default()
}

//! The harness's own clock, and how late the harness is woken.
//!
//! A frame arrived between two instants: the last time at which the runtime asked the system for arrivals and did
//! not get this one, and the time at which the frame was read. The ticks bound the first. So a delay of the harness
//! widens its windows by exactly that delay.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use carillon_server::shell::{Clock, SystemClock};
use carillon_server::{Timestamp, WallTime};
use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep_until};

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(5);

/// The longest delay that is measured, in microseconds; longer ones count as this.
const LONGEST: u64 = 60_000_000;

/// When something arrived, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The earliest possible arrival.
    pub(crate) earliest: Timestamp,
    /// When it was read: the latest possible arrival.
    pub(crate) at: Timestamp,
}

impl Arrival {
    /// The uncertainty of the arrival.
    pub(crate) fn width(&self) -> Duration {
        self.at.since(self.earliest)
    }
}

/// An instant of the run in seconds, as `12.345 s`.
pub(crate) fn seconds(at: Timestamp) -> String {
    format!("{:.3} s", at.as_nanos() as f64 / 1e9)
}

/// The clock of a run, and its ticks.
#[derive(Debug)]
pub(crate) struct Pulse {
    clock: SystemClock,
    /// The last tick but one, and the last one.
    ticks: Cell<(Timestamp, Timestamp)>,
    /// Delays of the ticks, in microseconds.
    lateness: RefCell<Histogram<u64>>,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        let clock = SystemClock::new();
        let now = clock.now().at;
        let lateness = Histogram::new_with_bounds(1, LONGEST, 2).expect("valid bounds and precision");
        Self { clock, ticks: Cell::new((now, now)), lateness: RefCell::new(lateness) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().at
    }

    /// The clock, for another thread.
    pub(crate) fn clock(&self) -> SystemClock {
        self.clock.clone()
    }

    /// This machine's wall clock time at an instant of the run, by its present setting.
    pub(crate) fn wall(&self, at: Timestamp) -> WallTime {
        let now = self.clock.now();
        if at >= now.at { now.wall.after(at.since(now.at)) } else { now.wall.before(now.at.since(at)) }
    }

    /// The same instant as tokio has it.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.clock.instant(at)
    }

    pub(crate) async fn sleep_until(&self, at: Timestamp) {
        sleep_until(self.instant(at)).await;
    }

    pub(crate) async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now() + span).await;
    }

    /// The arrival of what is read now. A reader may run before the tick of its own turn, so the tick before the
    /// last one is the bound.
    pub(crate) fn arrival(&self) -> Arrival {
        Arrival { earliest: self.ticks.get().0, at: self.now() }
    }

    /// How late the harness is woken, at this quantile (0 to 1).
    pub(crate) fn lateness(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.lateness.borrow().value_at_quantile(quantile))
    }

    /// The delays of all ticks, in microseconds.
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        self.lateness.borrow().clone()
    }

    /// Ticks until the task is aborted.
    pub(crate) async fn tick_forever(self: Rc<Self>) {
        loop {
            let planned = self.now() + TICK;
            self.sleep_until(planned).await;
            let now = self.now();
            self.ticks.set((self.ticks.get().1, now));
            self.lateness.borrow_mut().saturating_record(now.since(planned).as_micros() as u64);
        }
    }
}

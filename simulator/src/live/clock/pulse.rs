//! The harness's own clock, and how late the harness itself is.
//!
//! A frame is known to have arrived between two instants: the last one at which the runtime asked the system what had
//! arrived and this was not among it, and the one at which it was read. A tick bounds the first. So a harness that is
//! held up widens its windows by exactly as much as it was held up, and by nothing else.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use carillon_server::shell::{Clock, SystemClock};
use carillon_server::{Timestamp, WallTime};
use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep_until};

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(5);

/// The longest delay that is told apart from longer ones, in microseconds.
const LONGEST: u64 = 60_000_000;

/// When something arrived, as far as one can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Not before this.
    pub(crate) earliest: Timestamp,
    /// When it was read.
    pub(crate) at: Timestamp,
}

impl Arrival {
    /// How little is known about it.
    pub(crate) fn width(&self) -> Duration {
        self.at.since(self.earliest)
    }
}

/// The clock of a run, and its ticks.
#[derive(Debug)]
pub(crate) struct Pulse {
    clock: SystemClock,
    /// The tick before the last one, and the last one.
    ticks: Cell<(Timestamp, Timestamp)>,
    /// How late ticks came, in microseconds.
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

    /// The clock itself, for another thread.
    pub(crate) fn clock(&self) -> SystemClock {
        self.clock.clone()
    }

    /// What this machine's wall clock showed at an instant of the run, as it is set now.
    pub(crate) fn wall(&self, at: Timestamp) -> WallTime {
        let now = self.clock.now();
        if at >= now.at { now.wall.after(at.since(now.at)) } else { now.wall.before(now.at.since(at)) }
    }

    /// The runtime's instant of that name.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.clock.instant(at)
    }

    pub(crate) async fn sleep_until(&self, at: Timestamp) {
        sleep_until(self.instant(at)).await;
    }

    pub(crate) async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now() + span).await;
    }

    /// When what is read now arrived. A reader may run before the tick of its own turn: so it is the tick before.
    pub(crate) fn arrival(&self) -> Arrival {
        Arrival { earliest: self.ticks.get().0, at: self.now() }
    }

    /// How late the harness is woken, at this quantile.
    pub(crate) fn lateness(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.lateness.borrow().value_at_quantile(quantile))
    }

    /// How late the ticks came, in microseconds.
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        self.lateness.borrow().clone()
    }

    /// Ticks for ever.
    pub(crate) async fn beat(self: Rc<Self>) {
        loop {
            let planned = self.now() + TICK;
            self.sleep_until(planned).await;
            let now = self.now();
            self.ticks.set((self.ticks.get().1, now));
            self.lateness.borrow_mut().saturating_record(now.since(planned).as_micros() as u64);
        }
    }
}

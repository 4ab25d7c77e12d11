//! A clock that a bench can put forward.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carillon_server::shell::{Clock, SystemClock};
use carillon_server::{Now, Timestamp};
use tokio::time::Instant;

/// The machine's clock with an offset that a bench can increase. A shard notices a leap when its [`run`] is called
/// again.
///
/// [`run`]: carillon_server::shell::Shard::run
#[derive(Default)]
pub(crate) struct LeapingClock {
    system: SystemClock,
    ahead: AtomicU64,
}

impl LeapingClock {
    /// Makes the clock show `at` now.
    pub(crate) fn leap(&self, at: Timestamp) {
        let span = at.since(self.now().at).as_nanos() as u64;
        self.ahead.fetch_add(span, Ordering::Relaxed);
    }
}

impl Clock for LeapingClock {
    fn now(&self) -> Now {
        let now = self.system.now();
        Now { at: now.at + Duration::from_nanos(self.ahead.load(Ordering::Relaxed)), ..now }
    }

    fn instant(&self, at: Timestamp) -> Instant {
        let ahead = Timestamp::from_nanos(self.ahead.load(Ordering::Relaxed));
        self.system.instant(Timestamp::ZERO + at.since(ahead))
    }
}

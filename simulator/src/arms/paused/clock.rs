//! The clocks that a server on trial reads instead of the system's clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use carillon_server::{Timestamp, WallTime};
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// The clocks of a server on trial. They show virtual time, in step with the clock of tokio's paused runtime.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    origin: Instant,
    /// The monotonic time at `origin`. A restarted server has a new runtime, whose origin is later.
    started_at: Timestamp,
    /// The wall time at the start of the run, in nanoseconds since the Unix epoch. A jump of the wall clock changes it.
    pub(super) wall_origin: Arc<AtomicI64>,
}

impl VirtualClock {
    /// The current wall time.
    pub fn wall(&self) -> WallTime {
        WallTime::from_unix_nanos(self.wall_origin.load(Relaxed))
            .after(self.timestamp().since(Timestamp::ZERO))
    }

    /// The current monotonic time since the start of the run.
    pub fn timestamp(&self) -> Timestamp {
        self.started_at + self.elapsed()
    }

    /// The runtime's instant for the monotonic time `at`.
    pub(super) fn instant_of(&self, at: Timestamp) -> Instant {
        // A century is longer than any run, and an instant can hold it.
        const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
        self.origin + at.since(self.started_at).min(FAR)
    }

    /// The clock of `runtime`, which shows `at` now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock of a paused runtime shows what the world has set"
    )]
    pub(super) fn new(runtime: &Runtime, at: Timestamp, wall_origin: Arc<AtomicI64>) -> Self {
        let _guard = runtime.enter();
        Self { origin: Instant::now(), started_at: at, wall_origin }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the clock of a paused runtime shows what the world has set"
    )]
    fn elapsed(&self) -> Duration {
        Instant::now().duration_since(self.origin)
    }
}

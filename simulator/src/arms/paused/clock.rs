//! The clocks that a server on trial reads in the place of the system's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use carillon_server::{Timestamp, WallTime};
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// What a server's wall clock shows: virtual time, in step with tokio's.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    origin: Instant,
    /// What the monotonic clock shows there: a server that is started again has a runtime of its own.
    started_at: Timestamp,
    /// What the wall clock shows at the beginning of the run, in nanoseconds since the Unix epoch; it is set when the clock is.
    pub(super) wall_origin: Arc<AtomicI64>,
}

impl VirtualClock {
    /// The wall clock now.
    pub fn wall(&self) -> WallTime {
        WallTime::from_unix_nanos(self.wall_origin.load(Relaxed))
            .after(self.timestamp().since(Timestamp::ZERO))
    }

    /// The monotonic clock now.
    pub fn timestamp(&self) -> Timestamp {
        self.started_at + self.elapsed()
    }

    /// The runtime's instant at which the monotonic clock shows `at`.
    pub(super) fn instant_of(&self, at: Timestamp) -> Instant {
        // A century is beyond any run, and within what an instant can hold.
        const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
        self.origin + at.since(self.started_at).min(FAR)
    }

    /// The clock of `runtime`, which shows `at` from now on.
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

//! What several test modules need.

use std::time::Duration;

pub(crate) mod app;
pub(crate) mod child;
pub(crate) mod frames;
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod soak;
pub(crate) mod trial;

/// Waits for what must come; the limit is there so that a test that hangs says where.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("what was waited for never came")
}

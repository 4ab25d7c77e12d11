//! What a server on trial has to offer: a future for each connection.

use std::future::Future;
use std::pin::Pin;

use super::stream::Stream;
use crate::oracle::census::Census;

/// A future that stays on the thread of the simulation.
pub type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A server on trial: what to do with each connection.
///
/// Any closure from a [`Stream`] to a future is one. A server with a background task starts it in the function that is
/// given to [`PausedTarget::new`](super::PausedTarget::new), which runs inside the runtime.
pub trait Service {
    /// Serves one connection, from its handshake to its end.
    fn serve(&self, stream: Stream) -> LocalFuture;

    /// Shuts down (G14). Without a drain of its own a server is not asked to.
    fn drain(&self) -> Option<LocalFuture> {
        None
    }

    /// What it holds, if it can tell (G11).
    fn census(&self) -> Option<Census> {
        None
    }

    /// Log lines since the last call.
    fn log_lines(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<F, Fut> Service for F
where
    F: Fn(Stream) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    fn serve(&self, stream: Stream) -> LocalFuture {
        Box::pin(self(stream))
    }
}

//! The interface of an async server on trial: a future for each connection.

use std::future::Future;
use std::pin::Pin;

use super::stream::Stream;
use crate::oracle::census::Census;

/// A future that stays on the thread of the simulation.
pub type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// An async server on trial.
///
/// Any closure from a [`Stream`] to a future implements it. A server starts its background tasks in the function that
/// [`PausedTarget::new`](super::PausedTarget::new) takes, which runs inside the runtime.
pub trait Service {
    /// Serves one connection, from its handshake to its end. Dropping the stream drops the connection.
    fn serve(&self, stream: Stream) -> LocalFuture;

    /// Shuts the server down (G14): the future sends what is queued and closes. `None`, the default, means that the
    /// server has no shutdown, and G14 is not exercised.
    fn drain(&self) -> Option<LocalFuture> {
        None
    }

    /// The server's own count of what it holds (G11); `None`, the default, if it cannot tell.
    fn census(&self) -> Option<Census> {
        None
    }

    /// The log lines since the last call, oldest first and without line feeds (G15).
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

//! Interruption by a signal: Ctrl-C (SIGINT), or SIGTERM as a CI system sends it.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};

/// Waits until the process receives SIGINT or SIGTERM. If a handler cannot be installed, the signal ends the
/// process as usual, and this future never completes.
pub async fn interrupted() {
    let received = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(_) => pending().await,
        }
    };
    tokio::select! {
        () = received(SignalKind::interrupt()) => {}
        () = received(SignalKind::terminate()) => {}
    }
}

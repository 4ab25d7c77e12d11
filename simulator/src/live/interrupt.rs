//! An end from outside: Ctrl-C, or SIGTERM from the pipeline that runs this.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for it. Where a signal cannot be caught, it ends the process as ever.
pub async fn interrupted() {
    let told = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(_) => pending().await,
        }
    };
    tokio::select! {
        () = told(SignalKind::interrupt()) => {}
        () = told(SignalKind::terminate()) => {}
    }
}

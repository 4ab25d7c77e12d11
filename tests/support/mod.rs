//! Helpers that several test modules share.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(crate) mod app;
pub(crate) mod child;
pub(crate) mod frames;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod soak;
pub(crate) mod trial;

/// Waits for an event that must come. The limit of 30 s makes a hanging test fail at this place.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("the awaited event never came")
}

/// A port of the loopback interface that was free a moment ago, for a process that listens on a given port. The
/// function returns no port twice: two servers that start at the same time must not use the same port.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("there is a free port").port();
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return port;
        }
    }
}

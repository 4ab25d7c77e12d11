//! Accepts sockets and hands them to the shards, within the limits of the server and of the process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;

use crate::shell::clock::Clock;
use crate::shell::log::Journal;
use crate::shell::process::limits::MOST_REFUSED;

/// The pause of the accept loop when the process has run out of files or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// A new connection on its way to its shard.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Not registered with a runtime yet: the shard's runtime will poll the stream.
    pub(super) stream: std::net::TcpStream,
    pub(super) place: Place,
}

/// Counts the open connections of all shards, and applies the limit.
#[derive(Debug)]
pub(super) struct Gate {
    limit: usize,
    admitted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

/// One connection's place among the admitted or the refused. Dropping the value frees the place.
#[derive(Debug)]
pub(super) struct Place {
    counter: Arc<AtomicUsize>,
    pub(super) is_admitted: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, admitted: Arc::default(), refused: Arc::default() }
    }

    /// A place for one more connection, among the admitted or else among the refused; `None` if both are full.
    ///
    /// Only the accept loop takes places, so a count can fall but not rise between the check and the increment.
    fn enter(&self) -> Option<Place> {
        let is_admitted = self.admitted.load(Ordering::Relaxed) < self.limit;
        let counter = if is_admitted { &self.admitted } else { &self.refused };
        if !is_admitted && counter.load(Ordering::Relaxed) >= MOST_REFUSED {
            return None;
        }
        counter.fetch_add(1, Ordering::Relaxed);
        Some(Place { counter: Arc::clone(counter), is_admitted })
    }
}

/// Accepts sockets for ever and gives them to the shards in turn.
///
/// It runs on a thread that serves no client. So a storm of clients is accepted as fast as the kernel delivers them,
/// and a shard only does the work for its own arrivals.
pub(super) async fn accept_all(
    listener: &TcpListener,
    gate: &Gate,
    shards: &[UnboundedSender<Arrival>],
    log: (&Journal, &dyn Clock),
) {
    let mut is_paused = false;
    for shard in shards.iter().cycle() {
        let stream = accept_one(listener, &mut is_paused, log).await;
        let Some(place) = gate.enter() else { continue };
        // A socket that fails here is closed already: its client has left.
        if let Ok(stream) = prepare(stream) {
            // If the send fails, the shard has failed, and `Server::run` is about to return that error.
            shard.send(Arrival { stream, place }).ok();
        }
    }
}

fn prepare(stream: TcpStream) -> io::Result<std::net::TcpStream> {
    stream.set_nodelay(true)?;
    stream.into_std()
}

/// The next socket. Waits as long as the process has no room for one, and logs each pause once.
async fn accept_one(
    listener: &TcpListener,
    is_paused: &mut bool,
    (journal, clock): (&Journal, &dyn Clock),
) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                *is_paused = false;
                return stream;
            }
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                if !std::mem::replace(is_paused, true) {
                    journal.note("paused", &format!("Accepting pauses: {error}"), clock.now());
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether the error concerns the new socket only: Linux reports a pending error of that socket from `accept`, and the
/// next socket may be fine.
fn concerns_one_client(error: &io::Error) -> bool {
    let is_shortage = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    !is_shortage && error.kind() != io::ErrorKind::InvalidInput
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_some_clients_are_refused_and_the_rest_is_dropped() {
        let gate = Gate::new(2);
        let mut places: Vec<_> = (0..2 + MOST_REFUSED).map(|_| gate.enter().unwrap()).collect();
        let admitted = places.iter().filter(|place| place.is_admitted).count();
        assert_eq!(admitted, 2);
        assert!(gate.enter().is_none());
        places.remove(0);
        assert!(gate.enter().is_some_and(|place| place.is_admitted));
    }

    #[test]
    fn only_a_shortage_makes_accepting_pause() {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        assert!(concerns_one_client(&error(Errno::CONNABORTED)));
        assert!(concerns_one_client(&error(Errno::HOSTUNREACH)));
        assert!(!concerns_one_client(&error(Errno::MFILE)));
        assert!(!concerns_one_client(&error(Errno::NFILE)));
    }
}

//! How long a readable socket goes unread: a byte with the time of its sending, again and again.

use std::io::Write;
use std::os::unix::net::UnixStream as Sender;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use carillon_server::Timestamp;
use carillon_server::shell::{Clock, SystemClock};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use crate::live::run_state::RunState;

/// Time between two samples.
const PAUSE: Duration = Duration::from_millis(7);

/// Stops the sender when it is dropped.
pub(crate) struct Canary(Arc<AtomicBool>);

impl Drop for Canary {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Begins to measure. The sender is a thread of its own: what keeps the clients waiting does not keep it.
///
/// # Errors
///
/// The system has no room for two more files.
pub(crate) fn start(state: &Rc<RunState>) -> std::io::Result<Canary> {
    let (mut sender, receiver) = Sender::pair()?;
    receiver.set_nonblocking(true)?;
    let mut receiver = UnixStream::from_std(receiver)?;
    let clock = state.pulse.clock();
    let is_over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_over);
    thread::spawn(move || {
        while !told.load(Ordering::Relaxed) {
            thread::sleep(PAUSE);
            if sender.write_all(&now(&clock).to_le_bytes()).is_err() {
                return;
            }
        }
    });
    let state = Rc::clone(state);
    tokio::task::spawn_local(async move {
        while let Ok(sent) = receiver.read_u64_le().await {
            let waited = state.now().since(Timestamp::from_nanos(sent));
            state.metrics.borrow_mut().record_own_delay(waited);
        }
    });
    Ok(Canary(is_over))
}

fn now(clock: &SystemClock) -> u64 {
    clock.now().at.as_nanos()
}

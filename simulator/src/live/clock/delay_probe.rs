//! Measures the harness's own delay: how long a readable socket stays unread. A thread sends the current time over
//! a socket again and again.

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

/// Stops the sending thread when it is dropped.
pub(crate) struct DelayProbe(Arc<AtomicBool>);

impl Drop for DelayProbe {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts the measurement. The sender is a separate thread, so that it is not delayed by what delays the clients.
///
/// # Errors
///
/// The system has no file descriptors left.
pub(crate) fn start(state: &Rc<RunState>) -> std::io::Result<DelayProbe> {
    let (mut sender, receiver) = Sender::pair()?;
    receiver.set_nonblocking(true)?;
    let mut receiver = UnixStream::from_std(receiver)?;
    let clock = state.pulse.clock();
    let is_over = Arc::new(AtomicBool::new(false));
    let should_stop = Arc::clone(&is_over);
    thread::spawn(move || {
        while !should_stop.load(Ordering::Relaxed) {
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
    Ok(DelayProbe(is_over))
}

fn now(clock: &SystemClock) -> u64 {
    clock.now().at.as_nanos()
}

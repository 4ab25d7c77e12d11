//! Notes how long the server's processes wait for a processor, if they run on this machine and are known. What a busy
//! machine delays is no fault of the server.

use std::fs;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{AbortHandle, spawn_local};

use super::session::Session;

/// Time between two looks, and the most threads of a process that are looked at: those that started first.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const THREADS: usize = 8;

/// Starts the observation. It ends when the handle aborts it.
pub(super) fn watch(session: &Rc<Session>, pids: Vec<u32>) -> AbortHandle {
    let session = Rc::clone(session);
    let watching = async move {
        loop {
            let sum = pids.iter().map(|pid| waited(*pid)).sum();
            session.state.judge.borrow_mut().waiting.record(session.state.now(), sum);
            session.state.pulse.sleep(LOOK_INTERVAL).await;
        }
    };
    spawn_local(watching).abort_handle()
}

/// How long the threads of a process have waited for a processor since they started; zero if the system does not
/// tell.
fn waited(pid: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let figures = threads.filter_map(Result::ok).take(THREADS).map(|thread| thread.path().join("schedstat"));
    // The second field: nanoseconds spent waiting on a run queue.
    let nanos = figures
        .filter_map(|path| fs::read_to_string(path).ok()?.split_whitespace().nth(1)?.parse::<u64>().ok());
    Duration::from_nanos(nanos.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_waited_for_a_processor_and_a_missing_one_has_not() {
        assert!(waited(std::process::id()) > Duration::ZERO);
        assert_eq!(waited(u32::MAX), Duration::ZERO);
    }
}

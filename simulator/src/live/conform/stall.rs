//! The server is stopped for a while: it must not make up for what it missed (G7).

use rustix::process::{Pid, Signal, kill_process};

use super::session::Session;
use crate::live::server::child::Spawned;
use crate::oracle::guarantee::Guarantee;

/// The stall: from the first phase of the last cycle to the second phase, counted from that cycle. The late push of
/// the second missed cycle would then be more than a third of a period late, and so must not be sent.
pub(super) const STALL: (f64, f64) = (0.56, 2.42);

/// Stops the server over two due instants (SIGSTOP), and watches two more cycles.
pub(super) async fn run(session: &Session, server: Option<&Spawned>) {
    let last = session.options.cycles;
    let started = session.state.now();
    let suspend = |is_suspended: bool| match server {
        Some(server) => server.suspend(is_suspended),
        None => signal(session.options.pid, is_suspended),
    };
    // Noted beforehand: the excuse must exist when a client reads a late push.
    let planned = session.instant(last, STALL.1);
    session.state.judge.borrow_mut().grid.stall(started, planned);
    suspend(true);
    session.state.pulse.sleep_until(planned).await;
    suspend(false);
    session.state.judge.borrow_mut().grid.stall(planned, session.state.now());
    let before = session.state.judge.borrow().tally(Guarantee::G7).violations;
    session.wait(last + 4, 0.6).await;
    let mut judge = session.state.judge.borrow_mut();
    if judge.tally(Guarantee::G7).violations == before && !judge.grid.cycles().is_empty() {
        judge.exercise(Guarantee::G7);
        let stalled = planned.since(started);
        judge.add_finding(
            Guarantee::G7,
            format!("after {stalled:.1?} at a stop the server did not make up for what it missed"),
        );
    }
}

fn signal(pid: Option<u32>, is_suspended: bool) {
    let signal = if is_suspended { Signal::STOP } else { Signal::CONT };
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        // If the process is gone, its connections show it.
        let _is_sent = kill_process(pid, signal);
    }
}

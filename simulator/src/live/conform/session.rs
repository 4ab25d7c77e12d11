//! What all clients of a trial share: its tasks, its timetable, and its end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use tokio::task::JoinSet;

use super::options::ConformOptions;
use crate::live::client::{LiveClient, Manner};
use crate::live::run_state::RunState;
use crate::network::link::End;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

/// How often a client that waits for the end looks whether it has come.
const LOOK: Duration = Duration::from_millis(20);

/// One trial.
pub(super) struct Session {
    pub(super) state: Rc<RunState>,
    pub(super) options: ConformOptions,
    tasks: RefCell<JoinSet<()>>,
    is_over: Cell<bool>,
}

impl Session {
    pub(super) fn new(state: Rc<RunState>, options: ConformOptions) -> Self {
        Self { state, options, tasks: RefCell::default(), is_over: Cell::new(false) }
    }

    /// Whether this guarantee is on trial.
    pub(super) fn tries(&self, guarantee: Guarantee) -> bool {
        self.options.guarantees.contains(&guarantee)
    }

    pub(super) fn period(&self) -> Duration {
        self.options.period
    }

    /// Has something go on beside the rest.
    pub(super) fn start(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().spawn_local(task);
    }

    /// Waits for all that goes on, and for what that starts.
    pub(super) async fn finish(&self) {
        loop {
            let mut tasks = self.tasks.take();
            if tasks.is_empty() {
                return;
            }
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended
                    && error.is_panic()
                {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }

    /// When a cycle has come so far: 0 is its due instant, 1 the next one's.
    pub(super) fn instant(&self, cycle: u64, phase: f64) -> Timestamp {
        self.state.judge.borrow().grid.due(cycle) + self.period().mul_f64(phase)
    }

    /// Sleeps until then.
    pub(super) async fn wait(&self, cycle: u64, phase: f64) {
        self.state.pulse.sleep_until(self.instant(cycle, phase)).await;
    }

    /// Sleeps until the next time that a cycle has come so far.
    pub(super) async fn wait_for_phase(&self, phase: f64) {
        let now = self.state.now();
        let newest = self.state.judge.borrow().grid.newest(now);
        let next = if self.instant(newest, phase) > now { newest } else { newest + 1 };
        self.wait(next, phase).await;
    }

    /// Connects, and proves that the connection is served. A server that refuses is reported once for each role.
    pub(super) async fn admit(&self, role: &'static str) -> Option<LiveClient> {
        let mut client = self.dial(role).await?;
        client.fence().await;
        Some(client)
    }

    /// Connects, and says nothing.
    pub(super) async fn dial(&self, role: &'static str) -> Option<LiveClient> {
        self.dial_as(role, Manner::Plain).await
    }

    /// The same in another manner.
    pub(super) async fn dial_as(&self, role: &'static str, manner: Manner) -> Option<LiveClient> {
        let dialled = self.state.now();
        let error = match LiveClient::connect_as(&self.state, role, manner).await {
            Ok(client) => return Some(client),
            Err(error) => error,
        };
        let mut judge = self.state.judge.borrow_mut();
        // A server that was stopped, or told to shut down, does not answer.
        if judge.grid.stalled_until(dialled).is_none() && judge.drained_at.is_none() {
            let detail = format!("{role}: {error}");
            judge.violate(Guarantee::G3, Fault::Dropped, self.state.now(), None, detail);
        }
        None
    }

    /// Ends the trial: every client that is still connected leaves.
    pub(super) fn end(&self) {
        self.is_over.set(true);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Stays to the end, and leaves in order.
    pub(super) async fn stay(&self, mut client: LiveClient) {
        while !self.is_over() && client.end.is_none() {
            client.attend(client.now() + LOOK).await;
        }
        self.part(client).await;
    }

    /// Leaves with a Close, and sees that the server answers it and lets go.
    pub(super) async fn part(&self, mut client: LiveClient) {
        if !client.is_open() {
            return;
        }
        client.close(Some(1000));
        self.see_off(client).await;
    }

    /// Waits for the end of a connection that the client has ended on its side (G11).
    pub(super) async fn see_off(&self, mut client: LiveClient) {
        let bound = client.now() + self.options.close_timeout + self.state.patience;
        client.attend_until(bound, |client| client.end.is_some()).await;
        let now = client.now();
        let number = client.number();
        let mut judge = self.state.judge.borrow_mut();
        if client.end.is_none() {
            let detail = client.tale("the server has not ended its side of the stream");
            judge.violate(Guarantee::G11, Fault::Leaked, now, number, detail);
            return;
        }
        judge.exercise(Guarantee::G11);
        let Some(sent) = client.closed_with.filter(|_| judge.drained_at.is_none()) else { return };
        let said = |code: Option<u16>| code.map_or("without a code".to_owned(), |code| format!("of {code}"));
        let sentence = match client.close_code {
            Some(code) if is_answer(sent, code, judge.is_strict) => return judge.exercise(Guarantee::G12),
            Some(code) => format!("a Close {} was answered with one {}", said(sent), said(code)),
            None if client.end == Some(End::Finished) => format!("a Close {} had no answer", said(sent)),
            // A reset may have destroyed it.
            None => return,
        };
        judge.violate(Guarantee::G12, Fault::WrongClose, now, number, client.tale(&sentence));
    }
}

/// Whether a Close with this code answers one of that code. It ought to be the same, or 1000 if there was none; another
/// server may choose, but no code that is never sent, and none that names an offence where there was none.
fn is_answer(sent: Option<u16>, code: Option<u16>, is_strict: bool) -> bool {
    match code {
        _ if code == Some(sent.unwrap_or(1000)) => true,
        _ if is_strict => false,
        None => sent.is_none(),
        Some(1002 | 1007 | 1009) => false,
        Some(code) => matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999),
    }
}

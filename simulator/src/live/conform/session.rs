//! Shared by all clients of a trial: tasks, timetable, connecting and leaving.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use tokio::task::JoinSet;

use super::options::ConformOptions;
use crate::live::client::{LiveClient, NoConnection, RequestForm, with_code};
use crate::live::judge::Observation;
use crate::live::run_state::RunState;
use crate::network::link::End;
use crate::oracle::clause::Clause;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::wire::codec::answers_plainly;

/// How often a waiting client checks whether the trial is over.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The most attempts of a client to connect to a server that stands still.
const ATTEMPTS: u32 = 5;

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

    /// Starts a concurrent task.
    pub(super) fn start(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().spawn_local(task);
    }

    /// Waits for all tasks, including those that they start.
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

    /// The instant at a phase of a cycle: phase 0 is the due instant of `cycle`, 1 that of the next one.
    pub(super) fn instant(&self, cycle: u64, phase: f64) -> Timestamp {
        self.state.judge.borrow().grid.due(cycle) + self.period().mul_f64(phase)
    }

    /// Sleeps until a phase of a cycle.
    pub(super) async fn wait(&self, cycle: u64, phase: f64) {
        self.state.pulse.sleep_until(self.instant(cycle, phase)).await;
    }

    /// Sleeps until this phase comes next, in the present cycle or the next one.
    pub(super) async fn wait_for_phase(&self, phase: f64) {
        self.state.pulse.sleep_until(self.next_at_phase(phase)).await;
    }

    /// The next instant at this phase, in the present cycle or the next one.
    pub(super) fn next_at_phase(&self, phase: f64) -> Timestamp {
        let now = self.state.now();
        let newest = self.state.judge.borrow().grid.newest(now);
        let next = if self.instant(newest, phase) > now { newest } else { newest + 1 };
        self.instant(next, phase)
    }

    /// Connects and sends a fence, which proves that the server serves the connection. A failure is reported as a
    /// violation.
    pub(super) async fn connect_and_fence(&self, role: &'static str) -> Option<LiveClient> {
        let mut client = self.connect(role).await?;
        client.fence().await;
        Some(client)
    }

    /// Connects and sends nothing.
    pub(super) async fn connect(&self, role: &'static str) -> Option<LiveClient> {
        self.connect_in_form(role, RequestForm::Plain).await
    }

    /// The same with another form of the request.
    pub(super) async fn connect_in_form(&self, role: &'static str, form: RequestForm) -> Option<LiveClient> {
        for attempt in 1.. {
            let started = self.state.now();
            let error = match LiveClient::connect_in_form(&self.state, role, form).await {
                Ok(client) => return Some(client),
                Err(error) => error,
            };
            if !self.was_silent_since(started) {
                self.report_refusal(role, &error);
                return None;
            }
            // The server stands still, or stood still meanwhile.
            if attempt == ATTEMPTS || self.is_over() {
                return None;
            }
            self.state.pulse.sleep(CHECK_INTERVAL).await;
        }
        None
    }

    /// Whether the server was stopped after this instant, answers nobody since then, or shuts down.
    fn was_silent_since(&self, started: Timestamp) -> bool {
        let judge = self.state.judge.borrow();
        judge.grid.stalled_until(started).is_some()
            || judge.is_silent_since(started)
            || judge.drained_at.is_some()
    }

    /// Reports a connection that did not open: a request that was refused breaks what the protocol says of handshakes.
    pub(super) fn report_refusal(&self, role: &'static str, error: &NoConnection) {
        let (guarantee, fault) = match error {
            NoConnection::Refused(..) => (Guarantee::G12, Fault::Unexpected),
            _ => (Guarantee::G3, Fault::Dropped),
        };
        let mut judge = self.state.judge.borrow_mut();
        if let NoConnection::Refused(refusal, None) = error
            && refusal.status == Some(503)
        {
            return judge
                .add_doubt(Guarantee::G3, format!("{role}: {error}; the server says that it is full"));
        }
        judge.violate(guarantee, fault, self.state.now(), None, Observation::of(role, error.to_string()));
    }

    /// Ends the trial: every connected client leaves.
    pub(super) fn end(&self) {
        self.is_over.set(true);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Stays connected to the end of the trial, and leaves with a Close.
    pub(super) async fn stay_to_the_end(&self, mut client: LiveClient) {
        while !self.is_over() && client.end.is_none() {
            client.process_until(client.now() + CHECK_INTERVAL).await;
        }
        self.close_and_wait(client).await;
    }

    /// Leaves with a Close, and checks that the server answers it and ends the connection.
    pub(super) async fn close_and_wait(&self, mut client: LiveClient) {
        if !client.is_open() {
            return;
        }
        client.close(Some(1000));
        self.await_server_end(client).await;
    }

    /// Waits until the server ends a connection that the client has ended on its side (G11).
    pub(super) async fn await_server_end(&self, mut client: LiveClient) {
        let patience = self.options.close_timeout + self.state.patience;
        client.process_until_answered(patience, |client| client.end.is_some()).await;
        let now = client.now();
        let number = client.number();
        let mut judge = self.state.judge.borrow_mut();
        if client.end.is_none() {
            let detail = client.with_story("the server has not ended its side of the stream");
            judge.violate(Guarantee::G11, Fault::Leaked, now, number, detail);
            return;
        }
        judge.exercise(Guarantee::G11);
        let Some(sent) = client.closed_with.filter(|_| judge.drained_at.is_none()) else { return };
        let answered =
            |code| format!("a Close {} was answered with one {}", with_code(sent), with_code(code));
        let sentence = match client.close_code {
            Some(code) if is_answer(sent, code, judge.is_strict) => return judge.exercise(Guarantee::G12),
            Some(None) => {
                judge.exercise(Guarantee::G12);
                let seen = Observation::of(client.connection.role, answered(None));
                return judge.lapse(Clause::AnswerHasCode, Fault::WrongClose, now, number, seen);
            }
            Some(code) => answered(code),
            None if client.end == Some(End::Finished) => {
                format!("a Close {} had no answer", with_code(sent))
            }
            // A reset may have destroyed the answer.
            None => return,
        };
        judge.violate(Guarantee::G12, Fault::WrongClose, now, number, client.with_story(&sentence));
    }
}

/// Whether a Close with `code` is a correct answer to one with `sent`. It should have the same code, or 1000 if
/// there was none. A third-party server may choose another code, but none that must not be sent, and none that
/// names an offence where there was none.
fn is_answer(sent: Option<u16>, code: Option<u16>, is_strict: bool) -> bool {
    match code {
        _ if code == Some(sent.unwrap_or(1000)) => true,
        _ if is_strict => false,
        None => sent.is_none(),
        Some(code) => answers_plainly(code),
    }
}

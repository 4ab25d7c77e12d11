//! Many clients that mostly listen: a server that serves only some of its clients, or that takes long for each, is seen
//! only among many (G3, G10).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use tokio::sync::{Semaphore, watch};

use super::session::Session;
use crate::live::client::LiveClient;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::script::verb::Utterance;
use crate::wire::text::Text;

const ROLE: &str = "client of the crowd";

/// The most handshakes at a time, and the most clients that leave at a time.
const HANDSHAKES: u32 = 16;
const LEAVING: usize = 64;

/// The number of cycles in which the last client must come too late: one cycle may have met a pause of the machine.
const LATE_CYCLES: usize = 2;

/// Time between two looks at the harness's own use of the processor.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The clients of the crowd.
pub(super) struct Crowd {
    /// How many of them stay: those with a larger number leave.
    stay: watch::Sender<u32>,
    leaving: Semaphore,
    /// How many have begun to connect, and how many have connected.
    begun: Cell<u32>,
    connected: Cell<u32>,
    cycles: RefCell<BTreeMap<u64, Walk>>,
}

/// The pushes of one cycle to the crowd.
#[derive(Clone, Copy, Debug)]
struct Walk {
    first: Timestamp,
    last: Timestamp,
    deliveries: u32,
    /// The harness's own work at the first push, and when and what it last was.
    work_at_first: Duration,
    looked_at: Timestamp,
    work: Duration,
    /// How long the server waited for a processor between the first push and the last.
    waited: Duration,
}

impl Walk {
    /// The time from the first push to the last, without what the harness itself needed to read them, and without
    /// what the machine kept from the server.
    fn spread(&self) -> Duration {
        let own = self.work.saturating_sub(self.work_at_first);
        self.last.since(self.first).saturating_sub(own + self.waited)
    }
}

impl Crowd {
    /// Starts to connect the clients, as fast as the server accepts them.
    pub(super) fn start(session: &Rc<Session>) -> Rc<Self> {
        let crowd = Rc::new(Self {
            stay: watch::Sender::new(session.options.crowd),
            leaving: Semaphore::new(LEAVING),
            begun: Cell::new(0),
            connected: Cell::new(0),
            cycles: RefCell::default(),
        });
        for _ in 0..HANDSHAKES.min(session.options.crowd) {
            session.start(connect_in_turn(Rc::clone(session), Rc::clone(&crowd)));
        }
        crowd
    }

    /// Every client leaves.
    pub(super) fn leave(&self) {
        self.stay.send_replace(0);
    }

    /// Judges how long the server took from the first client of a cycle to the last (G10).
    pub(super) fn conclude(&self, session: &Session) {
        let connected = self.connected.get();
        let state = &session.state;
        let mut judge = state.judge.borrow_mut();
        let cycles = self.cycles.borrow();
        // Without a stop of the server, and with most of the crowd.
        let calm = cycles.iter().filter(|(cycle, walk)| {
            !judge.grid.is_excused(**cycle) && walk.deliveries > connected / 2 && walk.deliveries > 1
        });
        let waited = |walk: &Walk| judge.waiting.between(walk.first, walk.last);
        let mut walks: Vec<Walk> = calm.map(|(_, walk)| Walk { waited: waited(walk), ..*walk }).collect();
        walks.sort_by_key(|walk| std::cmp::Reverse(walk.spread()));
        let Some(worst) = walks.first() else { return };
        let third = session.period() / 3;
        // The slowest replies are those that wait for a slow walk, so the usual one shows the network's share. What the
        // harness itself missed of a walk is in its spread already.
        let allowed = third + state.pulse.lateness(0.99) + state.round_trip(0.5);
        let late = walks.iter().filter(|walk| walk.spread() > allowed).count();
        let (spread, count) = (worst.spread(), worst.deliveries);
        let sentence = format!("the last of {count} clients got its push {spread:.1?} after the first");
        // A server that takes long for each client does so in every cycle. One that is late only while clients send long
        // texts is busy.
        if late >= LATE_CYCLES && late * 2 > walks.len() {
            let detail =
                format!("{sentence}, and in {late} cycles later than {third:.1?}, a third of the period");
            judge.violate(Guarantee::G10, Fault::Late, worst.last, None, detail);
        } else {
            judge.exercise(Guarantee::G10);
            judge.add_finding(Guarantee::G10, format!("{sentence}, in the slowest cycle"));
        }
    }

    /// The number of the next client; `None` if there are enough.
    fn next_index(&self) -> Option<u32> {
        let index = self.begun.get();
        self.begun.set(index + 1);
        (index < *self.stay.borrow()).then_some(index)
    }

    /// The server takes no more clients, or none at present. Half of the crowd leaves, because the other clients of the
    /// trial need places too.
    fn on_refused(&self, session: &Session, cause: &str) {
        let connected = self.connected.get();
        let is_first = self.stay.send_if_modified(|stay| {
            let is_first = *stay == session.options.crowd;
            *stay = (*stay).min(connected / 2);
            is_first
        });
        let mut judge = session.state.judge.borrow_mut();
        let is_stopped = judge.grid.stalled_until(session.state.now()).is_some();
        if is_first && !is_stopped && judge.drained_at.is_none() {
            let sentence = format!(
                "the crowd has {connected} clients, because the server did not take the next one ({cause}); half of them \
                 left: state a number that it takes with --crowd"
            );
            judge.add_finding(Guarantee::G3, sentence);
        }
    }

    fn on_push(&self, cycle: u64, at: Timestamp) {
        let mut cycles = self.cycles.borrow_mut();
        let fresh = |work| Walk {
            first: at,
            last: at,
            deliveries: 0,
            work_at_first: work,
            looked_at: at,
            work,
            waited: Duration::ZERO,
        };
        let walk = cycles.entry(cycle).or_insert_with(|| fresh(own_work()));
        walk.last = at;
        walk.deliveries += 1;
        if at.since(walk.looked_at) > LOOK_INTERVAL {
            (walk.looked_at, walk.work) = (at, own_work());
        }
    }
}

async fn connect_in_turn(session: Rc<Session>, crowd: Rc<Crowd>) {
    while let Some(index) = crowd.next_index() {
        match LiveClient::connect(&session.state, ROLE).await {
            Ok(mut client) => {
                client.forget_stories();
                crowd.connected.set(crowd.connected.get() + 1);
                fence(&session, &mut client).await;
                session.start(listen(Rc::clone(&session), Rc::clone(&crowd), client, index));
            }
            Err(error) => return crowd.on_refused(&session, &error.to_string()),
        }
    }
}

/// Sends the first fence. How long it takes says only how busy the server is with the crowd's handshakes.
async fn fence(session: &Session, client: &mut LiveClient) {
    let subscribe = (!session.state.dialect.is_subscribed).then_some(Text::Subscribe);
    let fence = Text::Fence(client.next_number());
    let texts: Vec<Utterance> = subscribe.into_iter().chain([fence]).map(Utterance::Text).collect();
    client.say(&texts);
    client.forget_timing();
    client.await_replies().await;
}

/// Listens until the crowd leaves.
async fn listen(session: Rc<Session>, crowd: Rc<Crowd>, mut client: LiveClient, index: u32) {
    let mut stay = crowd.stay.subscribe();
    let must_leave = async { stay.wait_for(|stay| index >= *stay).await.is_ok() };
    let listening = async {
        while client.is_open() {
            let (seen, bound) = (client.connection.pushes, client.now() + session.period() * 2);
            if client.process_until_done(bound, |client| client.connection.pushes > seen).await {
                crowd.on_push(u64::from(client.connection.core.windows.last_cycle), client.now());
            }
        }
    };
    tokio::select! {
        biased;
        _ = must_leave => {}
        () = listening => {}
    }
    // Many Closes at once would only measure how fast the server answers them.
    let _place = crowd.leaving.acquire().await;
    session.close_and_wait(client).await;
}

/// How long this thread has used the processor, and waited for it. The trial has only this thread.
fn own_work() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().take(2).map(|field| field.parse::<u64>().unwrap_or(0));
    Duration::from_nanos(nanos.sum())
}

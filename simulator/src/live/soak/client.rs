//! One client of a soak: it connects, acts by its behaviour, leaves and returns.

use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;

use super::load::Soak;
use crate::live::backoff::Backoff;
use crate::live::client::LiveClient;
use crate::network::link::LinkPlan;
use crate::network::link::Reading;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::scenario::Behaviour;
use crate::script::verb::{Departure, Utterance, Verb};
use crate::wire::offence::Offence;
use crate::world::client::{Client, View};

/// The interval in which a slow reader reads its share.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// How much later than planned a client leaves: without it rounding could wake the client many times just before
/// that instant.
const WAKE_UP_DELAY: Duration = Duration::from_millis(10);

/// The most unsent bytes before a client sends no more: a real client's buffer is limited, too.
const MOST_UNSENT: usize = 256 << 10;

/// The bounds of the back-off after the server has ended a connection.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The smallest receive buffer of the system, in bytes.
const SMALLEST_WINDOW: u32 = 2304;

/// Connects and leaves for as long as the plan has this client.
pub(super) async fn run(soak: Rc<Soak>, index: u32) {
    let mut client = Client::new(soak.rng(index), &soak.options.scenario.population);
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, client.rng.fork("back-off"));
    let mut connections = 0_u32;
    while soak.wants(index) {
        // Boxed: a connected client must not keep the memory that only connecting needs.
        let Some(mut connected) = Box::pin(connect_client(&soak, index, &mut client)).await else {
            soak.pause(backoff.next_wait()).await;
            continue;
        };
        backoff.reset();
        connections += 1;
        if connections > 1 {
            soak.state.metrics.borrow_mut().counts.reconnects += 1;
        }
        let was_dropped = connected.run(&mut client).await;
        drop(connected);
        let pause = if was_dropped { backoff.next_wait() } else { client.pause() };
        if soak.wants(index) {
            soak.pause(pause).await;
        }
    }
}

async fn connect_client<'a>(
    soak: &'a Rc<Soak>,
    index: u32,
    client: &mut Client,
) -> Option<Box<SoakClient<'a>>> {
    let plan = client.link_plan(&soak.options.scenario);
    let live = connect(soak, &plan, client.behaviour).await?;
    Some(Box::new(SoakClient::new(soak, index, live, client)))
}

async fn connect(soak: &Rc<Soak>, plan: &LinkPlan, behaviour: Behaviour) -> Option<LiveClient> {
    let _permit = soak.admission.acquire().await.ok()?;
    if behaviour == Behaviour::Staller {
        stall(soak).await;
        return None;
    }
    let asked = soak.state.now();
    let window = plan.window.map(|window| window.max(SMALLEST_WINDOW));
    match LiveClient::connect_with(&soak.state, behaviour.name(), soak.socket_options(window)).await {
        Ok(mut live) => {
            live.forget_stories();
            soak.state.metrics.borrow_mut().record_connect(soak.state.now().since(asked));
            Some(live)
        }
        Err(_) => {
            soak.state.metrics.borrow_mut().counts.connect_failures += 1;
            soak.refused_at.set(Some(soak.state.now()));
            None
        }
    }
}

/// Opens a connection, sends no request, and leaves after a while.
async fn stall(soak: &Rc<Soak>) {
    if let Ok(transport) = soak.state.open(soak.socket_options(None)).await {
        soak.pause(READ_INTERVAL * 3).await;
        drop(transport);
    }
}

/// A connected client: its connection, and the times of its next actions.
struct SoakClient<'a> {
    soak: &'a Rc<Soak>,
    index: u32,
    live: LiveClient,
    /// How it reads.
    reading: Reading,
    /// Whether the client sends nothing more, as if the network had failed.
    is_silent: bool,
    heartbeat: Option<Timestamp>,
    flip: Option<Timestamp>,
    act: Option<Timestamp>,
    fault: Option<Timestamp>,
    restart: Option<Timestamp>,
    /// Whether the client is counted as subscribed.
    is_counted: bool,
}

impl<'a> SoakClient<'a> {
    fn new(soak: &'a Rc<Soak>, index: u32, live: LiveClient, client: &mut Client) -> Self {
        let now = soak.state.now();
        let scenario = &soak.options.scenario;
        let mut connected = Self {
            soak,
            index,
            live,
            reading: Reading::AtOnce,
            is_silent: false,
            heartbeat: scenario
                .app
                .heartbeat
                .map(|span| now + span.mul_f64(client.rng.below(1000) as f64 / 1000.0)),
            flip: None,
            act: None,
            fault: client.next_fault(scenario, now),
            restart: client.next_restart(&scenario.app, now),
            is_counted: false,
        };
        soak.connected.set(soak.connected.get() + 1);
        connected.plan(client);
        connected
    }

    /// Runs the client until its connection ends. Returns whether the server ended it.
    async fn run(&mut self, client: &mut Client) -> bool {
        self.live.say(&client.greeting());
        while self.live.end.is_none() {
            let now = self.live.now();
            if !self.soak.wants(self.index) {
                Box::pin(self.leave(Departure::Clean)).await;
                return false;
            }
            self.update_subscribers();
            let alarms = [self.heartbeat, self.flip, self.act, self.fault, self.restart];
            let next = alarms.into_iter().flatten().min().unwrap_or(Timestamp::MAX);
            self.live.process_until(next.min(self.next_wake_up(now))).await;
            if let Reading::Slowly(bytes) = self.reading {
                self.live.read_at_most(bytes as usize);
            }
            self.live.report_overdue_echoes();
            if let Some(departure) = self.perform_due_actions(client).await {
                Box::pin(self.leave(departure)).await;
                return false;
            }
        }
        self.soak.state.metrics.borrow_mut().counts.closes += 1;
        true
    }

    /// When the client must wake up apart from its alarms. A client that only listens sleeps until it leaves.
    fn next_wake_up(&self, now: Timestamp) -> Timestamp {
        let after = now.since(Timestamp::ZERO);
        let leaves = Timestamp::ZERO + self.soak.options.plan.leaves_at(self.index, after) + WAKE_UP_DELAY;
        match self.reading {
            Reading::Slowly(_) => leaves.min(now + READ_INTERVAL),
            _ if self.live.waits_for_echoes() => leaves.min(now + self.soak.state.patience),
            _ => leaves,
        }
    }

    /// Draws the times of the next subscribe or unsubscribe and of the next action of its behaviour.
    fn plan(&mut self, client: &mut Client) {
        let grid = self.soak.grid.borrow();
        let view = View {
            scenario: &self.soak.options.scenario,
            grid: &grid,
            now: self.live.now(),
            latency: self.soak.state.round_trip(0.5).max(Duration::from_millis(1)),
            unsent: self.live.unsent() as u64,
        };
        if self.flip.is_none() {
            self.flip = client.next_flip(&view);
        }
        if self.act.is_none() {
            self.act = client.next_act(&view);
        }
    }

    /// Performs the actions that are due. Returns how the client leaves, if that is one of them.
    async fn perform_due_actions(&mut self, client: &mut Client) -> Option<Departure> {
        let now = self.live.now();
        let is_due = |alarm: &mut Option<Timestamp>| alarm.take_if(|at| *at <= now).is_some();
        let mut verbs = Vec::new();
        if is_due(&mut self.heartbeat) {
            self.heartbeat = self.soak.options.scenario.app.heartbeat.map(|span| now + span);
            verbs.push(Verb::Say(vec![client.beat()]));
        }
        if is_due(&mut self.flip) {
            verbs.push(Verb::Say(client.flip()));
        }
        if is_due(&mut self.act) {
            let grid = self.soak.grid.borrow();
            let view = View {
                scenario: &self.soak.options.scenario,
                grid: &grid,
                now,
                latency: Duration::from_millis(1),
                unsent: self.live.unsent() as u64,
            };
            verbs.extend(client.act(&view));
        }
        if is_due(&mut self.fault) {
            verbs.push(client.fault());
            self.fault = client.next_fault(&self.soak.options.scenario, now);
        }
        if is_due(&mut self.restart) {
            verbs.push(Verb::Leave(client.restart()));
        }
        self.plan(client);
        for verb in verbs {
            if let Some(departure) = self.perform(verb).await {
                return Some(departure);
            }
        }
        None
    }

    async fn perform(&mut self, verb: Verb) -> Option<Departure> {
        match verb {
            Verb::Connect(_) => {}
            Verb::Leave(Departure::LoseDown) => self.change_reading(Reading::Never),
            Verb::Leave(Departure::LoseUp | Departure::Vanish) => self.stop_sending(),
            Verb::Leave(departure) => return Some(departure),
            Verb::Offend(offence) => {
                Box::pin(self.offend(offence)).await;
                return Some(Departure::Quit);
            }
            Verb::Read(reading) => self.change_reading(reading),
            Verb::Say(utterances) => self.say(&utterances),
        }
        None
    }

    async fn offend(&mut self, offence: Offence) {
        let largest = self.soak.options.scenario.server.max_message;
        self.live.exclude();
        self.live.offend(offence, largest);
        let bound = self.live.now() + self.soak.state.patience;
        self.live.process_until_done(bound, |live| live.end.is_some()).await;
        self.judge_offence(offence.close_code());
    }

    /// Judges the code of the Close that answered an offence (G12), if there was one.
    fn judge_offence(&self, due: Option<u16>) {
        let (Some(due), Some(code)) = (due, self.live.close_code) else { return };
        let (now, client) = (self.live.now(), Some(self.live.connection.core.client));
        let mut judge = self.soak.state.judge.borrow_mut();
        if code == Some(due) {
            return judge.exercise(Guarantee::G12);
        }
        let detail = format!("hostile: a Close of {code:?}; due was {due}");
        judge.violate(Guarantee::G12, Fault::WrongClose, now, client, detail);
    }

    fn say(&mut self, utterances: &[Utterance]) {
        if !self.is_silent && self.live.unsent() < MOST_UNSENT {
            self.live.say(utterances);
        }
    }

    /// Changes how the client reads. A client that does not read at once cannot be judged any more.
    fn change_reading(&mut self, reading: Reading) {
        self.reading = reading;
        self.live.set_reading(reading == Reading::AtOnce);
        if reading != Reading::AtOnce {
            self.live.exclude();
            let now = self.live.now();
            self.soak.state.judge.borrow_mut().burdened_since.get_or_insert(now);
        }
    }

    /// The network fails without either side being told.
    fn stop_sending(&mut self) {
        self.is_silent = true;
        self.live.answers_pings = false;
        self.live.exclude();
    }

    async fn leave(&mut self, departure: Departure) {
        self.soak.state.metrics.borrow_mut().counts.closes += 1;
        let bound = self.live.now() + self.soak.state.patience;
        match departure {
            Departure::Clean => self.live.close(Some(1000)),
            Departure::HalfClose => self.live.half_close(),
            _ => {
                self.live.exclude();
                let resets = departure == Departure::Reset;
                return if resets { self.live.reset_on_drop() } else { self.live.end = None };
            }
        }
        self.live.set_reading(true);
        self.live.process_until_done(bound, |live| live.end.is_some()).await;
    }

    /// Updates the number of subscribers.
    fn update_subscribers(&mut self) {
        let is_subscribed = self.live.wants_pushes() && self.live.is_open();
        let soak = self.soak;
        match (self.is_counted, is_subscribed) {
            (false, true) => soak.subscribed.set(soak.subscribed.get() + 1),
            (true, false) => soak.subscribed.set(soak.subscribed.get() - 1),
            _ => {}
        }
        self.is_counted = is_subscribed;
    }
}

impl Drop for SoakClient<'_> {
    fn drop(&mut self) {
        let soak = self.soak;
        soak.connected.set(soak.connected.get() - 1);
        if self.is_counted {
            soak.subscribed.set(soak.subscribed.get() - 1);
        }
        self.live.check_due_cycles();
    }
}

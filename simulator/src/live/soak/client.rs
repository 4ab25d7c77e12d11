//! One client of a soak: it connects, does what its behaviour says, and comes back.

use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;

use super::load::Soak;
use crate::live::client::LiveClient;
use crate::network::link::LinkPlan;
use crate::network::link::Reading;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::scenario::Behaviour;
use crate::script::verb::{Departure, Utterance, Verb};
use crate::wire::offence::Offence;
use crate::world::client::{Client, View};

/// The time in which a slow reader reads its share.
const SLICE: Duration = Duration::from_secs(1);

/// So much later than the plan has it a client goes, lest rounding has it look up a hundred times before that.
const MOMENT: Duration = Duration::from_millis(10);

/// Most bytes that wait for a server that takes nothing more; a client's own buffer is not endless either.
const MOST_UNSENT: usize = 256 << 10;

/// The first wait after the server has ended a connection, doubled with every further attempt up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The system makes no smaller receive buffers.
const SMALLEST_WINDOW: u32 = 2304;

/// Comes and goes for as long as the plan has it.
pub(super) async fn run(soak: Rc<Soak>, index: u32) {
    let mut client = Client::new(soak.rng(index), &soak.options.scenario.population);
    let mut failures = 0;
    let mut connections = 0_u32;
    while soak.wants(index) {
        // In boxes: a client must not keep the memory that connecting takes for as long as it stays connected.
        let Some(mut connected) = Box::pin(arrive(&soak, index, &mut client)).await else {
            failures += 1;
            soak.pause(back_off(&mut client, failures)).await;
            continue;
        };
        failures = 0;
        connections += 1;
        if connections > 1 {
            soak.state.metrics.borrow_mut().counts.reconnects += 1;
        }
        let was_dropped = connected.run(&mut client).await;
        drop(connected);
        let pause = if was_dropped { back_off(&mut client, 1) } else { client.pause() };
        if soak.wants(index) {
            soak.pause(pause).await;
        }
    }
}

async fn arrive<'a>(soak: &'a Rc<Soak>, index: u32, client: &mut Client) -> Option<Box<SoakClient<'a>>> {
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

/// A connection on which no request comes: held for a while, and left.
async fn stall(soak: &Rc<Soak>) {
    if let Ok(transport) = soak.state.open(soak.socket_options(None)).await {
        soak.pause(SLICE * 3).await;
        drop(transport);
    }
}

/// A random time below a ceiling that doubles.
fn back_off(client: &mut Client, failures: u32) -> Duration {
    let ceiling = FIRST_WAIT.saturating_mul(1 << failures.min(6)).min(LONGEST_WAIT);
    Duration::from_millis(client.rng.between(50, ceiling.as_millis() as u64))
}

/// A client that is connected: its connection, and when it does what.
struct SoakClient<'a> {
    soak: &'a Rc<Soak>,
    index: u32,
    live: LiveClient,
    /// How it reads.
    reading: Reading,
    /// Nothing that it sends arrives, as far as the server can tell.
    is_mute: bool,
    heartbeat: Option<Timestamp>,
    flip: Option<Timestamp>,
    act: Option<Timestamp>,
    fault: Option<Timestamp>,
    restart: Option<Timestamp>,
    /// Counted as subscribed.
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
            is_mute: false,
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

    /// Runs to its end; whether it was the server that ended it.
    async fn run(&mut self, client: &mut Client) -> bool {
        self.live.say(&client.greeting());
        while self.live.end.is_none() {
            let now = self.live.now();
            if !self.soak.wants(self.index) {
                Box::pin(self.leave(Departure::Clean)).await;
                return false;
            }
            self.count();
            let alarms = [self.heartbeat, self.flip, self.act, self.fault, self.restart];
            let next = alarms.into_iter().flatten().min().unwrap_or(Timestamp::MAX);
            self.live.attend(next.min(self.looks_up_at(now))).await;
            if let Reading::Slowly(bytes) = self.reading {
                self.live.sip(bytes as usize);
            }
            self.live.miss_echoes();
            if let Some(departure) = self.do_what_is_due(client).await {
                Box::pin(self.leave(departure)).await;
                return false;
            }
        }
        self.soak.state.metrics.borrow_mut().counts.closes += 1;
        true
    }

    /// When there is something to look after that is no alarm. A client that only listens sleeps until its time is over.
    fn looks_up_at(&self, now: Timestamp) -> Timestamp {
        let after = now.since(Timestamp::ZERO);
        let leaves = Timestamp::ZERO + self.soak.options.plan.leaves_at(self.index, after) + MOMENT;
        match self.reading {
            Reading::Slowly(_) => leaves.min(now + SLICE),
            _ if self.live.waits_for_echoes() => leaves.min(now + self.soak.state.patience),
            _ => leaves,
        }
    }

    /// Draws when its switch is flipped, and when its behaviour acts.
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

    /// Does it; how it leaves, if that was among it.
    async fn do_what_is_due(&mut self, client: &mut Client) -> Option<Departure> {
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
            Verb::Leave(Departure::LoseDown) => self.read_like(Reading::Never),
            Verb::Leave(Departure::LoseUp | Departure::Vanish) => self.fall_silent(),
            Verb::Leave(departure) => return Some(departure),
            Verb::Offend(offence) => {
                Box::pin(self.offend(offence)).await;
                return Some(Departure::Quit);
            }
            Verb::Read(reading) => self.read_like(reading),
            Verb::Say(utterances) => self.say(&utterances),
        }
        None
    }

    async fn offend(&mut self, offence: Offence) {
        let largest = self.soak.options.scenario.server.max_message;
        self.live.drop_out();
        self.live.offend(offence, largest);
        let bound = self.live.now() + self.soak.state.patience;
        self.live.attend_until(bound, |live| live.end.is_some()).await;
        self.judge_offence(offence.close_code());
    }

    /// Which Close an offence was answered with (G12), if with any.
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
        if !self.is_mute && self.live.unsent() < MOST_UNSENT {
            self.live.say(utterances);
        }
    }

    /// A client that does not read at once is owed nothing from then on that could be judged.
    fn read_like(&mut self, reading: Reading) {
        self.reading = reading;
        self.live.set_reading(reading == Reading::AtOnce);
        if reading != Reading::AtOnce {
            self.live.drop_out();
            let now = self.live.now();
            self.soak.state.judge.borrow_mut().burdened_since.get_or_insert(now);
        }
    }

    /// The network is gone, and neither side learns of it.
    fn fall_silent(&mut self) {
        self.is_mute = true;
        self.live.answers_pings = false;
        self.live.drop_out();
    }

    async fn leave(&mut self, departure: Departure) {
        self.soak.state.metrics.borrow_mut().counts.closes += 1;
        let bound = self.live.now() + self.soak.state.patience;
        match departure {
            Departure::Clean => self.live.close(Some(1000)),
            Departure::HalfClose => self.live.half_close(),
            _ => {
                self.live.drop_out();
                let resets = departure == Departure::Reset;
                return if resets { self.live.cut() } else { self.live.end = None };
            }
        }
        self.live.set_reading(true);
        self.live.attend_until(bound, |live| live.end.is_some()).await;
    }

    /// Keeps the number of subscribers.
    fn count(&mut self) {
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
        self.live.settle_accounts();
    }
}

//! The compact server as a whole: its settings, its connections, its start and its drain.

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use chrono::NaiveDateTime;
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{clock::now, defect::Defect, outbox::Outbox};

/// The wall clock in the server's zone; returns the local civil time.
pub(crate) type WallClock = Arc<dyn Fn() -> NaiveDateTime + Send + Sync>;

/// Receives each log line.
pub(crate) type Journal = Arc<dyn Fn(String) + Send + Sync>;

/// The settings that an operator would choose.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// From one cycle to the next.
    pub(crate) period: Duration,
    /// The path of the upgrade request.
    pub(crate) path: String,
    /// The longest message of a client, in bytes.
    pub(crate) max_message: usize,
    /// The most bytes that wait for a client; at least twice the largest reply.
    pub(crate) outbox_limit: usize,
    /// The time for a handshake.
    pub(crate) handshake_timeout: Duration,
    /// A client that is silent for this time is pinged, and dropped when it stays silent for as long again.
    pub(crate) ping_interval: Duration,
    /// The time that a closing client has to close its own side.
    pub(crate) close_timeout: Duration,
    /// The number of maps over which the connections are spread; at least two are made.
    pub(crate) shards: usize,
}

/// A push server that keeps every promise, unless it is started with a defect.
pub(crate) struct CompactServer {
    pub(super) settings: Settings,
    pub(super) defect: Option<Defect>,
    pub(super) clock: WallClock,
    pub(super) journal: Journal,
    /// The same moment on both clocks.
    pub(super) started: (Instant, NaiveDateTime),
    pub(super) budget: Arc<AtomicUsize>,
    /// The streams that a leaking defect keeps.
    pub(super) leaked: Mutex<Vec<Box<dyn Any + Send>>>,
    /// Due instant of the last cycle, on the wall clock.
    pub(super) last_cycle: Mutex<NaiveDateTime>,
    served: AtomicUsize,
    state: Mutex<State>,
    /// A stream has ended.
    ended: Notify,
}

/// The streams and connections of the server.
struct State {
    next_id: u64,
    draining: bool,
    /// All served streams, including those in their handshake and those that are closing.
    streams: BTreeMap<u64, Arc<Outbox>>,
    /// The open connections.
    shards: Vec<BTreeMap<u64, Arc<Member>>>,
    slots: Slots,
}

/// Places that are reused, each by one connection at a time. Only the defects that confuse a place with its client use
/// them.
#[derive(Default)]
struct Slots {
    taken: Vec<Option<u64>>,
    /// Whether the last client of a place wanted pushes.
    wanted: Vec<bool>,
    /// Places whose clean-up is pending.
    unclean: Vec<usize>,
}

/// An open connection as the ticker sees it.
pub(crate) struct Member {
    pub(super) id: u64,
    pub(super) slot: usize,
    pub(super) outbox: Arc<Outbox>,
    wish: Mutex<Wish>,
}

/// The subscription of a client, and the data for the defects.
#[derive(Clone)]
pub(crate) struct Wish {
    /// The instant of the subscription; `None` while unsubscribed.
    pub(super) since: Option<Instant>,
    /// The instant of the last unsubscribe.
    pub(super) until: Option<Instant>,
    pub(super) joined: Instant,
    /// The instant of the client's last text.
    pub(super) spoke: Instant,
    /// The number of copies of each push that the client gets.
    pub(super) copies: usize,
    /// The number of replies so far.
    pub(super) replies: u64,
    /// A command that a defect postpones.
    pub(super) parked: Option<bool>,
    /// Whether the client is unsubscribed, and a defect removes it only after the next cycle.
    pub(super) leaving: bool,
}

impl CompactServer {
    /// Starts the clock of the cycles; must be called within a runtime.
    pub(crate) fn start(
        settings: Settings,
        defect: Option<Defect>,
        clock: WallClock,
        journal: Journal,
    ) -> Arc<Self> {
        let civil = clock();
        let state = State {
            next_id: 0,
            draining: false,
            streams: BTreeMap::new(),
            shards: vec![BTreeMap::new(); settings.shards.max(2)],
            slots: Slots::default(),
        };
        let server = Arc::new(Self {
            settings,
            defect,
            clock,
            journal,
            started: (now(), civil),
            budget: Arc::default(),
            leaked: Mutex::default(),
            last_cycle: Mutex::new(civil),
            served: AtomicUsize::new(0),
            state: Mutex::new(state),
            ended: Notify::new(),
        });
        tokio::spawn(server.clone().tick());
        server
    }

    /// The number of open connections that the server knows.
    pub(crate) fn census(&self) -> usize {
        self.state().shards.iter().map(BTreeMap::len).sum()
    }

    /// Ends the cycles, closes every connection behind its queued output, and returns when all are gone.
    pub(crate) async fn drain(&self) {
        if self.has(Defect::PushesFarewell) {
            self.fire(now()).await;
        }
        for outbox in self.stop_admission() {
            if self.has(Defect::DrainsLosingQueue) {
                outbox.discard_unbegun();
            }
            match self.defect {
                Some(Defect::DrainsNormally) => outbox.close(CloseCode::Normal),
                Some(Defect::DrainsSilently) => outbox.seal(),
                _ => outbox.close(CloseCode::Away),
            }
        }
        loop {
            let ended = self.ended.notified();
            if self.state().streams.is_empty() {
                return;
            }
            ended.await;
        }
    }

    pub(super) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.state().draining
    }

    /// Counts a stream in, unless the server is draining.
    pub(super) fn admit(self: &Arc<Self>, outbox: &Arc<Outbox>) -> Option<Ticket> {
        let mut state = self.state();
        if state.draining {
            return None;
        }
        state.next_id += 1;
        let id = state.next_id;
        state.streams.insert(id, outbox.clone());
        Some(Ticket { id, server: self.clone() })
    }

    /// Counts an open connection in.
    pub(super) fn join(self: &Arc<Self>, id: u64, outbox: &Arc<Outbox>) -> Membership {
        let mut state = self.state();
        let (slot, wanted) = state.slots.take(id);
        let wish = self.first_wish(wanted, state.slots.is_used(slot));
        let member = Arc::new(Member { id, slot, outbox: outbox.clone(), wish: Mutex::new(wish) });
        state.shard_of(id).insert(id, member.clone());
        drop(state);
        let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        let total = if self.has(Defect::CountsOnlyUp) { served } else { self.census() };
        self.log(format!("Client connected. Total connections: {total}"));
        Membership { server: self.clone(), member, keeps_entry: false }
    }

    /// The state of a new client, which is subscribed. Only the defects use the state of the place's last client.
    fn first_wish(&self, wanted: bool, reused: bool) -> Wish {
        let now = now();
        let starts_off = match self.defect {
            Some(Defect::InheritsSlotSubscription) => !wanted,
            Some(Defect::StartsUnsubscribed | Defect::WaitsForHeartbeat) => true,
            _ => false,
        };
        let twice = reused && self.has(Defect::PushesTwiceToReusedSlot);
        Wish {
            since: (!starts_off).then_some(now),
            until: None,
            joined: now,
            spoke: now,
            copies: if twice { 2 } else { 1 },
            replies: 0,
            parked: None,
            leaving: false,
        }
    }

    /// The open connections in the order of the walk: shard by shard, the oldest first.
    pub(super) fn members(&self) -> Vec<Arc<Member>> {
        self.state().shards.iter().flat_map(BTreeMap::values).cloned().collect()
    }

    pub(super) fn is_open(&self, id: u64) -> bool {
        self.state().shard_of(id).contains_key(&id)
    }

    pub(super) fn shard_of(&self, id: u64) -> usize {
        self.state().shard_index(id)
    }

    /// The late clean-up of free places: it resets the client that now has the place to the default.
    pub(super) fn clean_slots(&self) {
        let unclean = std::mem::take(&mut self.state().slots.unclean);
        for member in self.members().iter().filter(|member| unclean.contains(&member.slot)) {
            member.wish().since.get_or_insert_with(now);
        }
    }

    pub(super) fn log(&self, line: String) {
        (self.journal)(line);
    }

    fn leave(&self, member: &Member) {
        let mut state = self.state();
        state.shard_of(member.id).remove(&member.id);
        let wanted = member.wish().since.is_some();
        state.slots.free(member.slot, wanted);
    }

    fn stop_admission(&self) -> Vec<Arc<Outbox>> {
        let mut state = self.state();
        state.draining = true;
        state.streams.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no task panics while it holds the lock")
    }
}

impl State {
    fn shard_index(&self, id: u64) -> usize {
        usize::try_from(id).unwrap_or(0) % self.shards.len()
    }

    fn shard_of(&mut self, id: u64) -> &mut BTreeMap<u64, Arc<Member>> {
        let index = self.shard_index(id);
        &mut self.shards[index]
    }
}

impl Slots {
    /// The lowest free place, and whether its last client wanted pushes.
    fn take(&mut self, id: u64) -> (usize, bool) {
        let slot = self.taken.iter().position(Option::is_none).unwrap_or(self.taken.len());
        let wanted = self.wanted.get(slot).copied().unwrap_or(true);
        if slot == self.taken.len() {
            self.taken.push(None);
        }
        self.taken[slot] = Some(id);
        (slot, wanted)
    }

    /// Whether the place had a client before.
    fn is_used(&self, slot: usize) -> bool {
        slot < self.wanted.len()
    }

    fn free(&mut self, slot: usize, wanted: bool) {
        self.taken[slot] = None;
        self.unclean.push(slot);
        if self.wanted.len() <= slot {
            self.wanted.resize(slot + 1, true);
        }
        self.wanted[slot] = wanted;
    }
}

impl Member {
    /// The state of the client, to be read or changed.
    pub(super) fn wish(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().expect("no task panics while it holds the lock")
    }
}

/// A served stream. Dropping the value removes the stream from the count on every path.
pub(crate) struct Ticket {
    pub(super) id: u64,
    server: Arc<CompactServer>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.server.state().streams.remove(&self.id);
        self.server.ended.notify_waiters();
    }
}

/// An open connection. Dropping the value removes its own entry, and no other, on every path.
pub(crate) struct Membership {
    pub(super) member: Arc<Member>,
    /// Set by the defects that forget the entry.
    pub(super) keeps_entry: bool,
    server: Arc<CompactServer>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let server = &self.server;
        if !self.keeps_entry {
            server.leave(&self.member);
        }
        let served = server.served.load(Ordering::Relaxed);
        let total = if server.has(Defect::CountsOnlyUp) { served } else { server.census() };
        server.log(format!("Client disconnected. Total connections: {total}"));
    }
}

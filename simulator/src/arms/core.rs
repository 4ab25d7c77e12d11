//! The core arm: the reference server's hubs and announcer as plain values, without sockets, tasks or a runtime.

use std::sync::Arc;
use std::time::Duration;

use carillon_server::{Announcer, Config, ConfigError, ConnectionId, Hub, LogLine, Timestamp, Wire, Zone};

use crate::network::Network;
use crate::network::link::LinkId;
use crate::oracle::census::Census;
use crate::rng::Rng;
use crate::world::target::{Advance, Target};

/// The largest difference between the instants at which two shards wake up for the same cycle.
const MAX_SKEW: Duration = Duration::from_millis(5);

/// The reference server without its shell: hubs that deliver one sequence of pushes.
#[derive(Debug)]
pub struct CoreTarget {
    config: Config,
    zone: Zone,
    rng: Rng,
    announcer: Announcer,
    shards: Vec<Shard>,
    /// The next timer of each shard, in one vector because the world reads all of them before every event.
    wakes_at: Vec<Timestamp>,
    /// The shard and the connection of each link.
    homes: Vec<Home>,
    next_shard: usize,
}

#[derive(Debug)]
struct Shard {
    hub: Hub,
    /// The link of each of the hub's connections.
    links: Vec<LinkId>,
    /// How late this shard notices a due cycle.
    skew: Duration,
    /// When this shard asks the announcer next.
    asks_at: Timestamp,
    last_cycle: u64,
}

#[derive(Clone, Copy, Debug)]
struct Home {
    shard: usize,
    connection: ConnectionId,
}

/// A hub's view of the network.
struct HubWire<'a> {
    net: &'a mut Network,
    links: &'a [LinkId],
}

impl Wire for HubWire<'_> {
    fn send(&mut self, to: ConnectionId, bytes: &[u8]) -> usize {
        self.net.send(self.links[to.index()], bytes)
    }

    fn send_all(&mut self, to: &[ConnectionId], frame: &[u8], taken: &mut [usize]) {
        let links = self.links;
        self.net.send_all(to.iter().map(|connection| links[connection.index()]), frame, taken);
    }

    fn resume(&mut self, connection: ConnectionId) {
        self.net.resume(self.links[connection.index()]);
    }

    fn shutdown(&mut self, connection: ConnectionId) {
        self.net.shutdown(self.links[connection.index()]);
    }

    fn close(&mut self, connection: ConnectionId) {
        self.net.close(self.links[connection.index()]);
    }

    fn log(&mut self, line: LogLine<'_>) {
        self.net.log(line);
    }
}

impl CoreTarget {
    /// A server of `shards` hubs, at least one, that starts at the origin of time. `rng` draws the skew between them.
    ///
    /// # Errors
    ///
    /// A configuration that fails [`Config::validate`].
    pub fn new(config: &Config, zone: Zone, shards: usize, rng: Rng) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut target = Self {
            announcer: Announcer::new(Timestamp::ZERO, config.period, zone.clone()),
            config: config.clone(),
            zone,
            rng,
            shards: Vec::new(),
            wakes_at: Vec::new(),
            homes: Vec::new(),
            next_shard: 0,
        };
        target.start(Timestamp::ZERO, shards.max(1));
        Ok(target)
    }

    fn start(&mut self, now: Timestamp, shards: usize) {
        let largest_skew = if shards > 1 { MAX_SKEW } else { Duration::ZERO };
        self.announcer = Announcer::new(now, self.config.period, self.zone.clone());
        self.shards.clear();
        for _ in 0..shards {
            let skew = Duration::from_nanos(self.rng.below(largest_skew.as_nanos() as u64 + 1));
            let hub =
                Hub::new(self.config.clone(), self.rng.bits()).expect("the configuration was validated");
            let asks_at = now + self.config.period + skew;
            self.shards.push(Shard { hub, links: Vec::new(), skew, asks_at, last_cycle: 0 });
        }
        self.wakes_at = vec![Timestamp::ZERO; shards];
        (0..shards).for_each(|shard| self.ask_when(shard));
    }

    /// Updates the next timer of a shard after an event.
    fn ask_when(&mut self, shard: usize) {
        self.wakes_at[shard] = self.shards[shard].poll_timeout();
    }

    /// Runs `act` on the hub that serves `link`.
    fn with_hub<R>(
        &mut self,
        link: LinkId,
        net: &mut Network,
        act: impl FnOnce(&mut Hub, ConnectionId, &mut HubWire<'_>) -> R,
    ) -> R {
        let home = self.homes[link.index()];
        let Shard { hub, links, .. } = &mut self.shards[home.shard];
        let result = act(hub, home.connection, &mut HubWire { net, links });
        self.ask_when(home.shard);
        result
    }
}

impl Shard {
    fn poll_timeout(&self) -> Timestamp {
        self.hub.poll_timeout().map_or(self.asks_at, |timeout| timeout.min(self.asks_at))
    }

    fn handle_timeout(&mut self, announcer: &mut Announcer, net: &mut Network) {
        let now = net.now();
        if self.asks_at <= now.at {
            announcer.handle_timeout(now);
            for push in announcer.pushes_after(self.last_cycle) {
                self.last_cycle = push.cycle();
                self.hub.handle_push(Arc::clone(push));
            }
            self.asks_at = announcer.poll_timeout().map_or(Timestamp::MAX, |due| due + self.skew);
        }
        self.hub.handle_timeout(now, &mut HubWire { net, links: &self.links });
    }
}

impl Target for CoreTarget {
    fn accept(&mut self, link: LinkId, net: &mut Network) {
        let index = self.next_shard;
        self.next_shard = (index + 1) % self.shards.len();
        let shard = &mut self.shards[index];
        let connection = shard.hub.handle_connect(net.now(), true);
        put(&mut shard.links, connection.index(), link);
        put(&mut self.homes, link.index(), Home { shard: index, connection });
        self.ask_when(index);
    }

    fn receive(&mut self, link: LinkId, bytes: &[u8], net: &mut Network) -> usize {
        let now = net.now();
        self.with_hub(link, net, |hub, connection, wire| hub.handle_input(connection, bytes, now, wire))
    }

    fn writable(&mut self, link: LinkId, net: &mut Network) {
        let now = net.now();
        self.with_hub(link, net, |hub, connection, wire| hub.handle_writable(connection, now, wire));
    }

    fn end(&mut self, link: LinkId, net: &mut Network) {
        let now = net.now();
        self.with_hub(link, net, |hub, connection, wire| hub.handle_end(connection, now, wire));
    }

    fn reset(&mut self, link: LinkId, net: &mut Network) {
        let now = net.now();
        self.with_hub(link, net, |hub, connection, wire| hub.handle_reset(connection, now, wire));
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.wakes_at.iter().min().copied()
    }

    fn advance(&mut self, limit: Timestamp, net: &mut Network) -> Advance {
        let next = self.wakes_at.iter().copied().enumerate().min_by_key(|(_, wakes_at)| *wakes_at);
        let Some((index, wakes_at)) = next.filter(|(_, wakes_at)| *wakes_at <= limit) else {
            return Advance::Reached;
        };
        net.now = net.now.max(wakes_at);
        self.shards[index].handle_timeout(&mut self.announcer, net);
        self.ask_when(index);
        Advance::Acted
    }

    fn drain(&mut self, net: &mut Network) -> bool {
        self.announcer.stop();
        let now = net.now();
        for shard in &mut self.shards {
            shard.asks_at = Timestamp::MAX;
            shard.hub.handle_drain(now, &mut HubWire { net, links: &shard.links });
        }
        (0..self.shards.len()).for_each(|shard| self.ask_when(shard));
        true
    }

    fn restart(&mut self, net: &mut Network) -> bool {
        self.start(net.now().at, self.shards.len());
        true
    }

    fn attributes_log(&self) -> bool {
        true
    }

    fn census(&self) -> Option<Census> {
        let add = |total: Census, census: carillon_server::Census| Census {
            connections: total.connections + census.connections,
            held: total.held + census.held,
        };
        Some(self.shards.iter().map(|shard| shard.hub.census()).fold(Census::default(), add))
    }
}

/// Sets an element of a dense map. Growth fills the map with copies of the value.
fn put<T: Copy>(map: &mut Vec<T>, index: usize, value: T) {
    if index >= map.len() {
        map.resize(index + 1, value);
    }
    map[index] = value;
}

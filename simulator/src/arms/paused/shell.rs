//! The reference server's shell on the paused arm: its connection tasks and timer loops, over simulated links.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use carillon_server::shell::{Clock, Log, Shard, Socket};
use carillon_server::{Announcer, Config, ConfigError, LogLine, Now, Timestamp, Zone};
use tokio::time::Instant;

use super::clock::VirtualClock;
use super::service::{LocalFuture, Service};
use super::stream::{Stream, lock};
use crate::oracle::census::Census;
use crate::rng::Rng;

/// The shards of one server, all on the thread of the simulation.
pub struct ShellService {
    shards: Vec<Shard<Stream>>,
    announcer: Arc<Mutex<Announcer>>,
    log: Arc<Lines>,
    next_shard: Cell<usize>,
}

impl ShellService {
    /// Starts the timer loops of `shards` shards, at least one. Call it inside the runtime.
    ///
    /// # Errors
    ///
    /// A configuration that fails [`Config::validate`].
    pub fn start(
        config: &Config,
        zone: Zone,
        shards: usize,
        mut rng: Rng,
        clock: VirtualClock,
    ) -> Result<Self, ConfigError> {
        let announcer = Announcer::new(clock.timestamp(), config.period, zone.clone());
        let announcer = Arc::new(Mutex::new(announcer));
        let log = Arc::new(Lines { zone, total: Mutex::new(0), lines: Mutex::default() });
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let mut start = || {
            let (announcer, clock) = (Arc::clone(&announcer), Arc::clone(&clock));
            let shard =
                Shard::new(config.clone(), announcer, clock, Arc::clone(&log) as Arc<dyn Log>, rng.bits())?;
            tokio::task::spawn_local(shard.run());
            Ok(shard)
        };
        let shards = (0..shards.max(1)).map(|_| start()).collect::<Result<_, _>>()?;
        Ok(Self { shards, announcer, log, next_shard: Cell::new(0) })
    }
}

impl Service for ShellService {
    fn serve(&self, stream: Stream) -> LocalFuture {
        let index = self.next_shard.get();
        self.next_shard.set((index + 1) % self.shards.len());
        Box::pin(self.shards[index].serve(stream, true))
    }

    fn drain(&self) -> Option<LocalFuture> {
        self.announcer.lock().unwrap_or_else(PoisonError::into_inner).stop();
        let shards = self.shards.clone();
        Some(Box::pin(async move {
            for shard in shards {
                shard.drain();
            }
        }))
    }

    fn census(&self) -> Option<Census> {
        let add = |total: Census, census: carillon_server::Census| Census {
            connections: total.connections + census.connections,
            held: total.held + census.held,
        };
        Some(self.shards.iter().map(Shard::census).fold(Census::default(), add))
    }

    fn log_lines(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.log.lines))
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Now {
        Now { at: self.timestamp(), wall: self.wall() }
    }

    fn instant(&self, at: Timestamp) -> Instant {
        self.instant_of(at)
    }
}

/// A log that the world reads.
struct Lines {
    zone: Zone,
    total: Mutex<u64>,
    lines: Mutex<Vec<String>>,
}

impl Log for Lines {
    fn log(&self, line: &LogLine<'_>, now: Now) {
        let mut total = lock(&self.total);
        match line {
            LogLine::Connected => *total += 1,
            LogLine::Disconnected => *total -= 1,
            _ => {}
        }
        lock(&self.lines).push(line.render(now.wall, &self.zone, *total));
    }
}

impl Socket for Stream {}

//! The compact server as a target, with one of the catalogue's defects or without.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carillon_simulator::paused::{LocalFuture, PausedTarget, Service, Stream, VirtualClock};
use carillon_simulator::{Census, Scenario};

use crate::catalogue::{CompactServer, Defect, Settings};

/// The compact server with the settings of a scenario, and with this defect.
pub(crate) fn trial_target(scenario: &Scenario, defect: Option<Defect>) -> PausedTarget {
    let settings = settings(scenario);
    let zone = scenario.zone.clone();
    let start = move |clock: VirtualClock| {
        let (zone, lines) = (zone.clone(), Lines::default());
        let sink = Arc::clone(&lines);
        let journal = Arc::new(move |line| lock(&sink).push(line));
        let civil = Arc::new(move || zone.civil(clock.wall()));
        Trial { server: CompactServer::start(settings.clone(), defect, civil, journal), lines }
    };
    PausedTarget::new(scenario.wall_origin, start).expect("the system has room for a runtime")
}

type Lines = Arc<Mutex<Vec<String>>>;

/// The server and its log.
struct Trial {
    server: Arc<CompactServer>,
    lines: Lines,
}

impl Service for Trial {
    fn serve(&self, stream: Stream) -> LocalFuture {
        Box::pin(Arc::clone(&self.server).serve(stream))
    }

    fn drain(&self) -> Option<LocalFuture> {
        let server = Arc::clone(&self.server);
        Some(Box::pin(async move { server.drain().await }))
    }

    fn census(&self) -> Option<Census> {
        Some(Census { connections: self.server.census(), held: 0 })
    }

    fn log_lines(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.lines))
    }
}

fn settings(scenario: &Scenario) -> Settings {
    let server = &scenario.server;
    Settings {
        period: server.period,
        path: server.path.clone(),
        max_message: server.max_message,
        outbox_limit: server.outbox_limit,
        handshake_timeout: server.handshake_timeout,
        ping_interval: server.ping_interval,
        close_timeout: server.close_timeout,
        shards: scenario.shards,
    }
}

fn lock(lines: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What the server holds when every client has left: sockets and open files (G11).

use std::time::Duration;

use tokio::task::spawn_blocking;

use super::session::Session;
use crate::live::server::child::Spawned;
use crate::live::server::leaks;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;

/// How many files each process of a server may open while it runs, and keep.
const OWN_FILES: usize = 12;

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The open files of the server before the first client connected.
pub(super) struct Files {
    pids: Vec<u32>,
    before: Option<usize>,
}

/// The processes of the server, as far as they are on this machine and known.
pub(super) fn processes(session: &Session, server: Option<&Spawned>) -> Vec<u32> {
    server.map(Spawned::members).unwrap_or_else(|| session.options.pid.into_iter().collect())
}

impl Files {
    pub(super) fn before(session: &Session, server: Option<&Spawned>) -> Self {
        let pids = processes(session, server);
        Self { before: leaks::open_files(&pids), pids }
    }

    /// The number of files that may be open when every client has left.
    fn allowed(&self, pids: &[u32]) -> Option<usize> {
        Some(self.before? + OWN_FILES * pids.len().max(self.pids.len()))
    }
}

/// Waits until the server has released what its clients have left, as long as it may take, and judges the rest.
pub(super) async fn count(session: &Session, server: Option<&Spawned>, files: &Files) {
    if !session.tries(Guarantee::G11) {
        return;
    }
    let state = &session.state;
    let bound = state.now() + session.options.close_timeout + state.patience;
    let (forgotten, open, pids) = loop {
        let pids = processes(session, server);
        let (socket, own) = (state.socket, pids.clone());
        // On a machine with many sockets the system's tables are slow to read.
        let look = spawn_blocking(move || (leaks::forgotten_sockets(socket), leaks::open_files(&own)));
        let (forgotten, open) = look.await.unwrap_or_default();
        let is_clean = forgotten.is_none_or(|count| count == 0) && open <= files.allowed(&pids).or(open);
        if is_clean || state.now() >= bound {
            break (forgotten, open, pids);
        }
        state.pulse.sleep(LOOK_INTERVAL).await;
    };
    let now = state.now();
    let mut judge = state.judge.borrow_mut();
    match forgotten {
        None => {}
        Some(0) => {
            judge.exercise(Guarantee::G11);
            let sentence = "every socket that a client has left is closed by the server";
            judge.add_finding(Guarantee::G11, sentence.to_owned());
        }
        Some(count) => {
            let detail = format!("{count} sockets that their clients have left are not closed by the server");
            judge.violate(Guarantee::G11, Fault::Leaked, now, None, detail);
        }
    }
    let (Some(before), Some(open), Some(allowed)) = (files.before, open, files.allowed(&pids)) else {
        return;
    };
    let clients = state.client_count();
    let sentence =
        format!("{open} open files after all of {clients} clients have left, {before} before the first came");
    if open > allowed {
        judge.violate(Guarantee::G11, Fault::Leaked, now, None, sentence);
    } else {
        judge.add_finding(Guarantee::G11, sentence);
    }
}

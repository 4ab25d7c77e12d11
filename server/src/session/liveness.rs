//! The timeouts of a connection: when its client is pinged, and when the client counts as dead.

use std::time::Duration;

use crate::config::Config;
use crate::framing;
use crate::handshake::Refusal;
use crate::log::LogLine;
use crate::time::Timestamp;
use crate::wire::Wire;

use super::{Context, Fate, Phase, Session};

/// A session's ping comes early by up to this part of the ping interval, so that sessions do not ping all at once.
const JITTER_DIVISOR: u32 = 8;

/// An expired connection is checked twice, at least this part of the timeout apart. Input that arrived in time may be
/// unread at the first check, as a driver that reads a thousand sockets at a time can reach the timer first.
const CHECK_DIVISOR: u32 = 32;

/// A timeout that fires later than this was delayed, and input may have arrived since the first check. A shorter delay
/// is within the timer noise of an ordinary operating system.
const HELD_UP: Duration = Duration::from_millis(20);

/// If a timeout fires later than this part of its span, and later than [`SHORTEST_PAUSE`], the whole process stood
/// still.
const OVERSLEPT_DIVISOR: u32 = 8;

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// The most times that a deadline is postponed, so that a server that is always late still cuts off dead clients.
const MOST_POSTPONEMENTS: u8 = 4;

impl Session {
    /// The next instant at which [`Session::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self, config: &Config) -> Timestamp {
        match self.phase {
            Phase::Open { is_pinged: false, .. } => self.last_heard + self.ping_after(config),
            _ if self.postponements > 0 => self.deadline,
            _ => self.deadline.before(self.patience(config) / CHECK_DIVISOR * 2),
        }
    }

    /// The clock has reached [`Session::poll_timeout`].
    pub(crate) fn handle_timeout<W: Wire>(&mut self, cx: &mut Context<'_, W>) -> Fate {
        if cx.now.at < self.poll_timeout(cx.config) || self.is_postponed(cx) {
            return Fate::Lives;
        }
        match &mut self.phase {
            Phase::Handshake { .. } => self.refuse(Refusal::TimedOut, cx),
            Phase::Open { is_pinged: false, .. } => self.ping(cx),
            Phase::Open { .. } => {
                cx.wire.log(LogLine::Dead);
                return Fate::Over;
            }
            Phase::Closing { .. } => return Fate::Over,
        }
        self.flush(cx)
    }

    /// Whether the check of an expired, or almost expired, connection is postponed. After a long pause of the process
    /// the timeout starts again, except for a closing connection, whose input does not matter.
    fn is_postponed<W>(&mut self, cx: &Context<'_, W>) -> bool {
        if let Phase::Open { is_pinged: false, .. } = self.phase {
            return false;
        }
        let patience = self.patience(cx.config);
        let pause = patience / CHECK_DIVISOR;
        // Zero at the first check, which comes before the deadline.
        let late = cx.now.at.since(self.deadline);
        let was_paused = late > (patience / OVERSLEPT_DIVISOR).max(SHORTEST_PAUSE);
        let more = match self.postponements {
            MOST_POSTPONEMENTS => return false,
            _ if was_paused && !matches!(self.phase, Phase::Closing { .. }) => patience,
            1.. if late <= pause.max(HELD_UP) => return false,
            _ => pause,
        };
        self.postponements += 1;
        self.deadline = self.deadline.max(cx.now.at + more);
        true
    }

    fn ping<W: Wire>(&mut self, cx: &mut Context<'_, W>) {
        if let Phase::Open { is_pinged, .. } = &mut self.phase {
            *is_pinged = true;
        }
        let answer_time = cx.config.ping_interval * 2 - self.ping_after(cx.config);
        self.deadline = cx.now.at + answer_time;
        self.postponements = 0;
        // A backlog serves as well as a ping does: the client must read some of it.
        if self.outbox.is_none() {
            framing::encode_ping(&mut cx.scratch.output);
        }
    }

    /// The timeout of the present phase; in the open phase, the time that a client has to give a sign of life.
    fn patience(&self, config: &Config) -> Duration {
        match self.phase {
            Phase::Handshake { .. } => config.handshake_timeout,
            Phase::Open { .. } => config.ping_interval,
            Phase::Closing { .. } => config.close_timeout,
        }
    }

    fn ping_after(&self, config: &Config) -> Duration {
        let largest_jitter = config.ping_interval / JITTER_DIVISOR;
        config.ping_interval - largest_jitter * u32::from(self.jitter) / 256
    }
}

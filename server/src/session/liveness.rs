//! What time does to a connection: when its peer is pinged, and when it counts as dead.

use std::time::Duration;

use crate::config::Config;
use crate::framing;
use crate::handshake::Refusal;
use crate::log::LogLine;
use crate::time::Timestamp;
use crate::wire::Wire;

use super::{Context, Fate, Phase, Session};

/// The largest part of the ping interval by which a session's ping comes early, so that pings do not come in herds.
const JITTER_DIVISOR: u32 = 8;

/// A peer whose time is up is looked at twice, at least this part of the timeout apart: what it sent in time may lie
/// unread, as a driver that reads a thousand sockets at a time can come to the timer first.
const LOOK_DIVISOR: u32 = 32;

/// A timeout that fires this late was held up, and what the first look should have found may have come meanwhile. Below
/// it the timers of an ordinary operating system are noise.
const HELD_UP: Duration = Duration::from_millis(20);

/// One that fires later than this part of its span, and than [`SHORTEST_PAUSE`], did not fire late: the process stood
/// still.
const OVERSLEPT_DIVISOR: u32 = 8;

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// A server that is always late ends with its dead peers after so many looks.
const MOST_LOOKS: u8 = 4;

impl Session {
    /// The next instant at which [`Session::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self, config: &Config) -> Timestamp {
        match self.phase {
            Phase::Open { is_pinged: false, .. } => self.last_heard + self.ping_after(config),
            _ if self.looks > 0 => self.deadline,
            _ => self.deadline.before(self.patience(config) / LOOK_DIVISOR * 2),
        }
    }

    /// The clock has reached [`Session::poll_timeout`].
    pub(crate) fn handle_timeout<W: Wire>(&mut self, cx: &mut Context<'_, W>) -> Fate {
        if cx.now.at < self.poll_timeout(cx.config) || self.is_looked_at_again(cx) {
            return Fate::Lives;
        }
        match &mut self.phase {
            Phase::Handshake { .. } => self.refuse(Refusal::TimedOut, cx),
            Phase::Open { is_pinged: false, .. } => self.ask_for_a_sign_of_life(cx),
            Phase::Open { .. } => {
                cx.wire.log(LogLine::Dead);
                return Fate::Over;
            }
            Phase::Closing { .. } => return Fate::Over,
        }
        self.flush(cx)
    }

    /// Whether a peer whose time is up, or almost, lives until another look at it. After a long pause of the process it has
    /// the whole time again, unless it is closing and has no say in it.
    fn is_looked_at_again<W>(&mut self, cx: &Context<'_, W>) -> bool {
        if let Phase::Open { is_pinged: false, .. } = self.phase {
            return false;
        }
        let patience = self.patience(cx.config);
        let look = patience / LOOK_DIVISOR;
        // Nothing, at the first look.
        let late = cx.now.at.since(self.deadline);
        let was_paused = late > (patience / OVERSLEPT_DIVISOR).max(SHORTEST_PAUSE);
        let more = match self.looks {
            MOST_LOOKS => return false,
            _ if was_paused && !matches!(self.phase, Phase::Closing { .. }) => patience,
            1.. if late <= look.max(HELD_UP) => return false,
            _ => look,
        };
        self.looks += 1;
        self.deadline = self.deadline.max(cx.now.at + more);
        true
    }

    fn ask_for_a_sign_of_life<W: Wire>(&mut self, cx: &mut Context<'_, W>) {
        if let Phase::Open { is_pinged, .. } = &mut self.phase {
            *is_pinged = true;
        }
        let answer_time = cx.config.ping_interval * 2 - self.ping_after(cx.config);
        self.deadline = cx.now.at + answer_time;
        self.looks = 0;
        // A backlog asks for a sign of life as well as a ping does: the peer must take some of it.
        if self.outbox.is_none() {
            framing::encode_ping(&mut cx.scratch.output);
        }
    }

    /// The whole time that the peer has in this phase; while open, to give a sign of life.
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

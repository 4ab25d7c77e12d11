//! The oracle's simple model of one connection: which pushes may, must and must not arrive.

use std::time::Duration;

use carillon_server::protocol::Command;
use carillon_server::{Timestamp, WallTime, Zone, protocol};

use crate::trace::Digest;

/// The cycles of a run: cycle k is due k periods after the server's start.
///
/// After a restart the server counts periods from the new start. The cycle numbers continue, so that each number means
/// one push.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    period: Duration,
    /// The server's last start, and the number of the newest cycle before it.
    origin: (Timestamp, u64),
    wall_origin: WallTime,
    /// Jumps of the wall clock: the instant, and the change in seconds.
    jumps: Vec<(Timestamp, i64)>,
    zone: Zone,
    /// Cache: the rendered texts of the last requested cycles, oldest first.
    texts: [Text; 2],
}

/// The rendered push of a cycle.
#[derive(Clone, Debug, Default)]
struct Text {
    cycle: u64,
    frame: Vec<u8>,
    digest: u64,
}

impl Grid {
    pub(crate) fn new(period: Duration, wall_origin: WallTime, zone: Zone) -> Self {
        let origin = (Timestamp::ZERO, 0);
        Self { period, origin, wall_origin, jumps: Vec::new(), zone, texts: Default::default() }
    }

    /// Notes a restart of the server.
    pub(crate) fn restart(&mut self, now: Timestamp) {
        self.origin = (now, self.newest(now));
    }

    /// Notes a jump of the wall clock by `seconds`.
    pub(crate) fn set_clock(&mut self, now: Timestamp, seconds: i64) {
        self.jumps.push((now, seconds));
    }

    /// The due instant of a cycle since the last restart.
    pub(crate) fn due(&self, cycle: u64) -> Timestamp {
        let (start, before) = self.origin;
        start + self.period * (cycle - before.min(cycle)) as u32
    }

    /// The newest cycle that was due by `at`; 0 if none was.
    pub(crate) fn newest(&self, at: Timestamp) -> u64 {
        let (start, before) = self.origin;
        before + (at.since(start).as_nanos() / self.period.as_nanos()) as u64
    }

    /// The newest cycle that was due before the last restart.
    pub(crate) fn newest_before_start(&self) -> u64 {
        self.origin.1
    }

    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    /// The push of a cycle as an unmasked text frame with its header.
    pub(crate) fn frame(&mut self, cycle: u64) -> &[u8] {
        &self.text(cycle).frame
    }

    /// The digest of the text of a cycle's push.
    pub(crate) fn digest(&mut self, cycle: u64) -> u64 {
        self.text(cycle).digest
    }

    /// Whether `text` names an instant between one second before the cycle's due instant and `sent_at`.
    pub(crate) fn is_text_between(&self, cycle: u64, sent_at: Timestamp, text: &[u8]) -> bool {
        let due = self.due(cycle);
        let instants = (0..=sent_at.since(due).as_secs()).map(|seconds| due + Duration::from_secs(seconds));
        let earlier = Timestamp::from_nanos(due.as_nanos().saturating_sub(1_000_000_000));
        std::iter::once(earlier)
            .chain(instants)
            .chain([sent_at])
            .any(|at| self.push_text(at).as_bytes() == text)
    }

    fn text(&mut self, cycle: u64) -> &Text {
        let place = match self.texts.iter().position(|text| text.cycle == cycle) {
            Some(place) => place,
            None => {
                let frame = self.render(cycle);
                self.texts.swap(0, 1);
                self.texts[1] = Text { cycle, digest: Digest::of(&frame[2..]), frame };
                1
            }
        };
        &self.texts[place]
    }

    fn render(&self, cycle: u64) -> Vec<u8> {
        let text = self.push_text(self.due(cycle));
        // The text has 42 bytes while years have four digits: well below 126, where a longer header begins.
        [&[0x81, text.len() as u8], text.as_bytes()].concat()
    }

    /// The text of a push that names the instant `at`.
    fn push_text(&self, at: Timestamp) -> String {
        let jumps = self.jumps.iter().filter(|(jumped_at, _)| *jumped_at <= at);
        let shift: i64 = jumps.map(|(_, seconds)| seconds * 1_000_000_000).sum();
        let wall = self.wall_origin.after(at.since(Timestamp::ZERO));
        protocol::push_text(WallTime::from_unix_nanos(wall.as_unix_nanos() + shift), &self.zone)
    }
}

/// The state of a connection's subscription, as far as a client can know it.
///
/// A command is in flight from the instant when it is sent until it is *settled*: its fence has arrived, or the server
/// has taken its bytes and has certainly had time to obey. The connect itself is a command to subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A command is in flight: one push per cycle may come.
    InFlight,
    /// Settled: no push must come.
    Off,
    /// Settled: every push must come.
    On,
}

/// The windows of one connection: when a push may, must or must not come. The size is constant.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    /// When the newest change was settled; while it is in flight, when it was sent.
    pub(crate) since: Timestamp,
    /// While unsubscribed: from this offset of the server's stream on there must be no push.
    pub(crate) quiet_from: u64,
    /// The end of the newest command in flight, as an offset of the client's stream.
    command_end: u64,
    /// The newest cycle whose push has arrived.
    pub(crate) last_cycle: u32,
    pub(crate) state: State,
    /// The number of due echoes up to the first that proves that the command in flight took effect; 0 if the client
    /// asked for none.
    fence: u32,
    /// The state that the newest command asks for.
    wants: bool,
    pub(crate) has_commanded: bool,
}

impl Windows {
    /// The windows of a connection that the client requests at `now`. The request ends at `request_end` of the client's
    /// stream.
    pub(crate) fn new(now: Timestamp, request_end: u64, newest_cycle: u64) -> Self {
        Self {
            since: now,
            quiet_from: u64::MAX,
            command_end: request_end,
            last_cycle: newest_cycle as u32,
            state: State::InFlight,
            fence: 0,
            wants: true,
            has_commanded: false,
        }
    }

    /// The same for a server that does not subscribe new connections.
    #[cfg(feature = "live")]
    pub(crate) fn unsubscribed(mut self) -> Self {
        self.wants = false;
        self
    }

    /// Notes that the client sends a command that ends at the offset `end` of its stream.
    pub(crate) fn on_command(&mut self, command: Command, end: u64, now: Timestamp) {
        self.has_commanded = true;
        let wants = command == Command::Subscribe;
        if wants == self.wants {
            // Commands are idempotent (G9): a command that changes nothing opens no window.
            return;
        }
        self.wants = wants;
        self.command_end = end;
        self.state = State::InFlight;
        self.quiet_from = u64::MAX;
        self.fence = 0;
        self.since = now;
    }

    /// Notes that the client sends a text whose echo is due, as the last of `echoes_due`.
    pub(crate) fn on_text(&mut self, echoes_due: usize) {
        if self.state == State::InFlight && self.fence == 0 {
            self.fence = echoes_due as u32;
        }
    }

    /// Notes an echo that begins at `offset` of the server's stream.
    ///
    /// If the echo is the fence of a command, returns when that command was sent.
    pub(crate) fn on_echo(&mut self, offset: u64, now: Timestamp) -> Option<Timestamp> {
        if self.state != State::InFlight || self.fence == 0 {
            return None;
        }
        self.fence -= 1;
        (self.fence == 0).then(|| self.settle(offset, now))
    }

    /// Notes that the server has taken the client's stream up to `taken`, has run idle, and has sent `sent` bytes so
    /// far.
    ///
    /// If that settles a command, returns when that command was sent.
    pub(crate) fn on_idle(&mut self, taken: u64, sent: u64, now: Timestamp) -> Option<Timestamp> {
        if self.state != State::InFlight || !self.is_taken(taken) {
            return None;
        }
        Some(self.settle(sent, now))
    }

    /// Whether a server that has taken the client's stream up to `taken` has the newest command.
    pub(crate) fn is_taken(&self, taken: u64) -> bool {
        taken >= self.command_end
    }

    fn settle(&mut self, offset: u64, now: Timestamp) -> Timestamp {
        self.state = if self.wants { State::On } else { State::Off };
        self.quiet_from = if self.wants { u64::MAX } else { offset };
        self.fence = 0;
        std::mem::replace(&mut self.since, now)
    }

    /// The state that the newest command asks for.
    #[cfg(feature = "live")]
    pub(crate) fn wants(&self) -> bool {
        self.wants
    }

    /// Whether a command is in flight.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.state == State::InFlight
    }

    /// Whether the push of a cycle with this due instant must have arrived by now.
    pub(crate) fn must(&self, due: Timestamp) -> bool {
        self.state == State::On && self.since < due
    }

    /// Whether the push of a cycle with this due instant must not have been sent.
    pub(crate) fn must_not(&self, due: Timestamp) -> bool {
        self.state == State::Off && self.since < due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Timestamp = Timestamp::from_nanos(100);

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn a_connect_is_in_flight_until_the_server_has_run_idle() {
        let mut windows = Windows::new(at(10), 200, 0);
        assert_eq!(windows.on_idle(199, 0, at(20)), None, "the request is not complete");
        assert!(!windows.must(DUE));
        assert_eq!(windows.on_idle(200, 0, at(30)), Some(at(10)));
        assert!(windows.must(DUE) && !windows.must_not(DUE));
        assert!(!windows.must(at(30)), "a change settled at the due instant decides nothing for that cycle");
    }

    #[test]
    fn an_unsubscribe_forbids_only_pushes_that_are_sent_after_it_took_effect() {
        let mut windows = Windows::new(at(0), 1, 0);
        windows.on_idle(1, 0, at(1));
        windows.on_command(Command::Unsubscribe, 20, at(50));
        assert!(!windows.must(DUE) && !windows.must_not(DUE), "in flight: may");
        windows.on_idle(20, 777, at(60));
        assert!(windows.must_not(DUE));
        assert_eq!(windows.quiet_from, 777);
        windows.on_command(Command::Subscribe, 40, at(70));
        assert_eq!(windows.quiet_from, u64::MAX, "pushes may come again from now on");
    }

    #[test]
    fn a_command_that_changes_nothing_opens_no_window() {
        let mut windows = Windows::new(at(0), 1, 0);
        windows.on_idle(1, 0, at(1));
        windows.on_command(Command::Subscribe, 20, at(50));
        assert!(windows.must(DUE));
    }

    #[test]
    fn the_echo_is_a_fence() {
        let mut windows = Windows::new(at(0), 1, 0);
        windows.on_idle(1, 0, at(1));
        windows.on_text(1);
        windows.on_command(Command::Unsubscribe, 20, at(50));
        windows.on_text(2);
        windows.on_text(3);
        assert_eq!(windows.on_echo(500, at(60)), None, "it was sent before the command");
        assert_eq!(windows.on_echo(520, at(61)), Some(at(50)));
        assert_eq!((windows.state, windows.quiet_from), (State::Off, 520));
    }

    #[test]
    fn the_newest_change_decides_when_two_are_in_flight() {
        let mut windows = Windows::new(at(0), 1, 0);
        windows.on_idle(1, 0, at(1));
        windows.on_command(Command::Unsubscribe, 20, at(50));
        windows.on_command(Command::Subscribe, 40, at(51));
        assert_eq!(windows.on_idle(20, 0, at(60)), None);
        assert!(windows.on_idle(40, 0, at(70)).is_some());
        assert!(windows.must(DUE));
    }

    #[test]
    fn cycle_k_is_due_k_periods_after_the_start() {
        let origin = WallTime::from_unix_seconds(1_795_348_800);
        let mut grid = Grid::new(Duration::from_secs(300), origin, Zone::UTC);
        assert_eq!(grid.newest(Timestamp::ZERO + Duration::from_millis(299_999)), 0);
        assert_eq!(grid.newest(grid.due(7)), 7);
        assert_eq!(&grid.frame(1)[2..], b"Server push message at 2026-11-22 12:05:00");
        assert_eq!(&grid.frame(2)[2..], b"Server push message at 2026-11-22 12:10:00");
        assert_eq!(grid.frame(1)[1], 42);
    }

    #[test]
    fn a_restart_and_a_set_clock_move_the_grid_and_the_texts() {
        let origin = WallTime::from_unix_seconds(1_795_348_800);
        let mut grid = Grid::new(Duration::from_secs(300), origin, Zone::UTC);
        let start = Timestamp::ZERO + Duration::from_secs(1000);
        grid.restart(start);
        assert_eq!((grid.newest(start), grid.newest_before_start()), (3, 3));
        assert_eq!(grid.due(4), Timestamp::ZERO + Duration::from_secs(1300));
        grid.set_clock(Timestamp::ZERO + Duration::from_secs(1400), -60);
        assert_eq!(&grid.frame(4)[2..], b"Server push message at 2026-11-22 12:21:40");
        assert_eq!(&grid.frame(5)[2..], b"Server push message at 2026-11-22 12:25:40");
    }
}

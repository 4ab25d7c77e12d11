//! The trace of one client, parsed line by line.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use carillon_server::log::escape;

use crate::trace::{Trace, Watch};

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TraceLine {
    pub(super) at: Timestamp,
    pub(super) event: Event,
}

/// What a line of a trace says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The client acts.
    Action(String),
    /// The client receives a message or an end.
    Receives(String),
    /// The client's subscription is settled: on (`true`) or off.
    Settled(bool),
    /// The client sends this many bytes in one write; `true` if they are its HTTP request.
    Write(usize, bool),
    /// This many of the client's bytes reach the server.
    ReachedServer(usize),
    /// Bytes reach the client that the server sent at this time.
    ReachedClient(Timestamp),
    /// Another event on the server's side.
    Server(String),
}

/// Collects the trace lines of one client.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    client: u32,
    lines: Rc<RefCell<Vec<TraceLine>>>,
}

impl Recorder {
    pub(super) fn new(client: u32) -> Self {
        Self { client, lines: Rc::default() }
    }

    /// A trace that writes into this recorder, for the run.
    pub(super) fn trace(&self) -> Trace {
        Trace::new(Watch::One(self.client), Some(Box::new(self.clone())))
    }

    pub(super) fn lines(&self) -> Vec<TraceLine> {
        self.lines.borrow().clone()
    }
}

/// Each call gets one line, as [`Trace`] writes them.
impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.borrow_mut().extend(TraceLine::parse(&String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TraceLine {
    /// Parses a line such as `300.001000000s  client 7  sends subscribe`.
    fn parse(raw: &str) -> Option<Self> {
        let mut parts = raw.strip_suffix('\n')?.splitn(3, "  ");
        let at = parse_instant(parts.next()?)?;
        let is_wire = parts.next()?.starts_with("wire ");
        let text = escape(parts.next()?).to_string();
        let event = if is_wire { Event::of_wire(&text)? } else { Event::of_client(text) };
        Some(Self { at, event })
    }
}

impl Event {
    fn of_client(text: String) -> Self {
        const ACTIONS: [&str; 5] = ["connects", "sends ", "leaves: ", "offends: ", "reads "];
        if let Some(state) = text.strip_prefix("is settled") {
            return Self::Settled(state.ends_with("On"));
        }
        if ACTIONS.iter().any(|action| text.starts_with(action)) {
            Self::Action(text)
        } else {
            Self::Receives(text)
        }
    }

    fn of_wire(text: &str) -> Option<Self> {
        let number = || text.split(' ').find_map(|word| word.parse().ok());
        if text.ends_with("leaves the client") {
            return Some(Self::Write(number()?, text.starts_with("request")));
        }
        if text.ends_with("bytes reach the server") {
            return Some(Self::ReachedServer(number()?));
        }
        if let Some((_, sent_at)) = text.split_once(" bytes reach the client, sent at ") {
            return Some(Self::ReachedClient(parse_instant(sent_at)?));
        }
        Some(Self::Server(text.to_owned()))
    }
}

fn parse_instant(text: &str) -> Option<Timestamp> {
    let (seconds, nanos) = text.strip_suffix('s')?.split_once('.')?;
    Some(Timestamp::ZERO + Duration::new(seconds.parse().ok()?, nanos.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_trace_are_read_back() {
        let read = |line: &str| TraceLine::parse(&format!("300.001000000s  {line}\n")).unwrap().event;
        assert_eq!(read("client 7  sends fence-1"), Event::Action("sends fence-1".to_owned()));
        assert_eq!(read("client 7  echo of a  b"), Event::Receives("echo of a  b".to_owned()));
        assert_eq!(read("client 7  is settled by its fence: Off"), Event::Settled(false));
        assert_eq!(read("wire 7  request of 160 bytes leaves the client"), Event::Write(160, true));
        assert_eq!(read("wire 7  12 bytes reach the server"), Event::ReachedServer(12));
        let sent_at = Timestamp::from_nanos(299_500_000_000);
        assert_eq!(
            read("wire 7  4 bytes reach the client, sent at 299.500000000s"),
            Event::ReachedClient(sent_at)
        );
        assert_eq!(read("wire 7  drops the connection"), Event::Server("drops the connection".to_owned()));
    }
}

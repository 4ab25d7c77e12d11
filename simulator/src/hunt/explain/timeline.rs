//! The timeline of an explanation: messages with both their ends, other actions of either side, windows and due
//! instants.

use std::collections::VecDeque;

use carillon_server::Timestamp;

use super::trace_lines::{Event, TraceLine};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::model::Grid;
use crate::oracle::score::{Fault, Violation};
use crate::script::Script;
use crate::script::line::ScriptLine;
use crate::script::verb::ServerVerb;

/// The most lines of other clients that are shown; with more of them no such line is shown.
const MOST_OTHER_LINES: usize = 12;

/// Name of the automatic pong.
const PONG: &str = "its pong";

/// Everything that an explanation shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    pub(super) messages: Vec<Message>,
    /// Actions of a side other than sending and receiving.
    pub(super) actions: Vec<Action>,
    pub(super) windows: Vec<Window>,
    /// Cycle numbers and due instants, up to the violation.
    pub(super) dues: Vec<(u64, Timestamp)>,
}

/// A message from one side to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) from: Side,
    pub(super) sent_at: Timestamp,
    /// When its last byte arrived; `None` if it never did.
    pub(super) arrived_at: Option<Timestamp>,
    pub(super) text: String,
    /// Whether this message broke the guarantee.
    pub(super) is_guilty: bool,
}

impl Message {
    /// Whether it is a ping of the server or the answer to one.
    fn is_sign_of_life(&self) -> bool {
        matches!((self.from, self.text.as_str()), (Side::Server, "ping") | (Side::Client, PONG))
    }

    fn travels_with(&self, other: &Self) -> bool {
        let way = |message: &Self| (message.from, message.sent_at, message.arrived_at, message.is_guilty);
        way(self) == way(other) && !self.is_guilty
    }

    /// The message, with its text completed for `count` joined messages.
    fn with_more(self, count: usize) -> Self {
        let more = if count > 2 { format!(", {} more", count - 2) } else { String::new() };
        Self { text: format!("{}{more}", self.text), ..self }
    }
}

/// An action of one side that is not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Action {
    pub(super) at: Timestamp,
    pub(super) side: Side,
    pub(super) text: String,
    /// Whether this entry marks the violation itself.
    pub(super) is_breach: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// From when on a push would be allowed, required or forbidden.
/// Event the oracle says about a push at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    pub(super) rule: PushRule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushRule {
    /// There is no connection, or the oracle does not judge it.
    Nothing,
    May,
    Must,
    MustNot,
}

impl PushRule {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::May => "MAY",
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
        }
    }
}

impl Timeline {
    pub(super) fn new(script: &Script, violation: &Violation, client: u32, lines: &[TraceLine]) -> Self {
        let mut builder = TimelineBuilder::default();
        for line in lines {
            builder.on(line);
        }
        let mut timeline = builder.finish();
        timeline.accuse(violation);
        if violation.guarantee != Guarantee::G13 {
            timeline.messages.retain(|message| message.is_guilty || !message.is_sign_of_life());
        }
        timeline.join_messages();
        timeline.add_others(script, client);
        timeline.dues = due_instants(script, violation.at);
        timeline.actions.sort_by_key(|action| action.at);
        timeline
    }

    /// The rule for a push at this instant.
    pub(super) fn rule_at(&self, at: Timestamp) -> PushRule {
        let before = self.windows.iter().take_while(|window| window.from <= at);
        before.last().map_or(PushRule::Nothing, |window| window.rule)
    }

    /// Marks the message that broke the guarantee, and adds an entry for the violation. If the violation is a
    /// missing message, only the entry marks it, at the instant at which the oracle noticed.
    fn accuse(&mut self, violation: &Violation) {
        if let Some(kind) = kind_of_frame(violation) {
            let is_it = |message: &&mut Message| {
                let is_there = message.from == Side::Server && message.arrived_at == Some(violation.at);
                is_there && message.text.starts_with(kind)
            };
            let mut suspects: Vec<&mut Message> = self.messages.iter_mut().filter(is_it).collect();
            // Of two identical messages the second one is the duplicate.
            let place = usize::from(violation.fault == Fault::Duplicated && suspects.len() > 1);
            if let Some(guilty) = suspects.get_mut(place) {
                guilty.is_guilty = true;
            }
        }
        let side = if violation.fault == Fault::WrongLog { Side::Server } else { Side::Client };
        let text = format!("✗ {}: {}", violation.guarantee, violation.fault.name());
        self.actions.push(Action { at: violation.at, side, text, is_breach: true });
    }

    /// Joins messages that left together and arrived together.
    fn join_messages(&mut self) {
        self.messages.sort_by_key(|message| message.sent_at);
        let mut joined: Vec<(Message, usize)> = Vec::new();
        for message in std::mem::take(&mut self.messages) {
            match joined.last_mut() {
                Some((last, count)) if last.travels_with(&message) => {
                    *count += 1;
                    if *count <= 2 {
                        last.text = format!("{}, {}", last.text, message.text);
                    }
                }
                _ => joined.push((message, 1)),
            }
        }
        self.messages = joined.into_iter().map(|(message, count)| message.with_more(count)).collect();
    }

    /// Adds the script lines of the server, and those of other clients if they are few.
    fn add_others(&mut self, script: &Script, client: u32) {
        let others: Vec<&ScriptLine> =
            script.lines.iter().filter(|line| line.client() != Some(client)).collect();
        let is_shown = |line: &&&ScriptLine| line.client().is_none() || others.len() <= MOST_OTHER_LINES;
        for line in others.iter().filter(is_shown) {
            let text = line.to_string();
            let text = text.splitn(3, ' ').nth(2).unwrap_or_default();
            let text = text.split(" latency ").next().unwrap_or_default().to_owned();
            let side = if line.client().is_some() { Side::Client } else { Side::Server };
            self.actions.push(Action { at: line.at(), side, text, is_breach: false });
        }
    }
}

/// The first word of the text of the message that can have broken the guarantee; `None` if the violation is no
/// message.
fn kind_of_frame(violation: &Violation) -> Option<&'static str> {
    match (violation.fault, violation.guarantee) {
        (Fault::Leaked | Fault::Lost | Fault::WrongLog, _) => None,
        (Fault::Dropped | Fault::WrongClose, _) => Some("close"),
        (Fault::Duplicated | Fault::Late | Fault::WrongText, _) => Some("push"),
        (Fault::Unexpected, Guarantee::G2 | Guarantee::G7 | Guarantee::G14) => Some("push"),
        _ => Some(""),
    }
}

fn due_instants(script: &Script, until: Timestamp) -> Vec<(u64, Timestamp)> {
    let scenario = &script.scenario;
    let mut grid = Grid::new(scenario.server.period, scenario.wall_origin, scenario.zone.clone());
    let mut dues = Vec::new();
    let mut collect = |grid: &Grid, until: Timestamp| {
        let first = dues.last().map_or(1, |(cycle, _)| cycle + 1);
        dues.extend((first..=grid.newest(until)).map(|cycle| (cycle, grid.due(cycle))));
    };
    for line in script.lines.iter().filter(|line| line.at() <= until) {
        if let ScriptLine::Server { at, verb: ServerVerb::Restart } = line {
            collect(&grid, *at);
            grid.restart(*at);
        }
    }
    collect(&grid, until);
    dues
}

/// Builds a timeline: combines the two ends of each message.
#[derive(Default)]
struct TimelineBuilder {
    timeline: Timeline,
    /// Event the client has composed since its last write.
    composed: Vec<String>,
    /// Write that have not fully reached the server.
    in_flight: VecDeque<Write>,
    /// When the server sent the bytes that reached the client last, and when they arrived.
    reached: Option<(Timestamp, Timestamp)>,
    /// Whether the client wants pushes.
    wants: bool,
}

struct Write {
    at: Timestamp,
    rest: usize,
    text: String,
}

impl TimelineBuilder {
    fn on(&mut self, line: &TraceLine) {
        let at = line.at;
        match &line.event {
            Event::Action(text) => self.on_client_action(at, text),
            Event::Receives(text) => self.on_received(at, text),
            Event::Settled(is_on) => {
                self.open_window(at, if *is_on { PushRule::Must } else { PushRule::MustNot });
            }
            Event::Write(length, is_request) => {
                let composed = std::mem::take(&mut self.composed).join(", ");
                let text = if *is_request { "request".to_owned() } else { composed };
                self.in_flight.push_back(Write { at, rest: *length, text });
            }
            Event::ReachedServer(length) => self.on_reached_server(at, *length),
            Event::ReachedClient(sent_at) => self.reached = Some((*sent_at, at)),
            Event::Server(text) => self.add_action(at, Side::Server, text),
        }
    }

    fn on_client_action(&mut self, at: Timestamp, text: &str) {
        if let Some(composed) = text.strip_prefix("sends ") {
            self.on_command(at, composed);
            return self.composed.push(composed.to_owned());
        }
        if text == "leaves: clean" {
            self.composed.push("close".to_owned());
        }
        if text == "connects" {
            self.wants = true;
            self.in_flight.clear();
            self.open_window(at, PushRule::May);
        } else if text.starts_with("leaves") || text.starts_with("offends") {
            self.open_window(at, PushRule::Nothing);
        }
        self.add_action(at, Side::Client, text);
    }

    /// Opens a MAY window: a command is in flight until it is settled. A command that changes nothing opens no
    /// window.
    fn on_command(&mut self, at: Timestamp, composed: &str) {
        let wants = match composed.split(" in ").next() {
            Some("subscribe") => true,
            Some("unsubscribe") => false,
            _ => return,
        };
        if std::mem::replace(&mut self.wants, wants) != wants {
            self.open_window(at, PushRule::May);
        }
    }

    fn on_received(&mut self, at: Timestamp, text: &str) {
        let is_end = matches!(text, "end of stream" | "reset");
        if is_end {
            self.open_window(at, PushRule::Nothing);
        }
        if let Some(answer) = self.in_flight.back_mut().filter(|write| write.at == at && write.is_answer()) {
            answer.text = if text == "ping" { PONG.to_owned() } else { "its close".to_owned() };
        }
        match self.reached.filter(|(_, reached_at)| *reached_at == at && !is_end) {
            Some((sent_at, _)) => {
                let text = text.replace("Server push message at ", "push of ");
                let (from, arrived_at) = (Side::Server, Some(at));
                self.timeline.messages.push(Message { from, sent_at, arrived_at, text, is_guilty: false });
            }
            None => self.add_action(at, Side::Client, &format!("sees {text}")),
        }
    }

    fn on_reached_server(&mut self, at: Timestamp, mut length: usize) {
        while length > 0
            && let Some(write) = self.in_flight.front_mut()
        {
            let taken = length.min(write.rest);
            write.rest -= taken;
            length -= taken;
            if write.rest == 0
                && let Some(write) = self.in_flight.pop_front()
            {
                self.timeline.messages.push(write.into_message(Some(at)));
            }
        }
    }

    fn open_window(&mut self, from: Timestamp, rule: PushRule) {
        if self.timeline.windows.last().is_none_or(|last| last.rule != rule) {
            self.timeline.windows.push(Window { from, rule });
        }
    }

    fn add_action(&mut self, at: Timestamp, side: Side, text: &str) {
        self.timeline.actions.push(Action { at, side, text: text.to_owned(), is_breach: false });
    }

    fn finish(mut self) -> Timeline {
        let lost = self.in_flight.into_iter().map(|write| write.into_message(None));
        self.timeline.messages.extend(lost);
        self.timeline
    }
}

impl Write {
    /// Whether it is an automatic answer to a frame that arrived at the same instant.
    fn is_answer(&self) -> bool {
        self.text.is_empty()
    }

    fn into_message(self, arrived_at: Option<Timestamp>) -> Message {
        Message { from: Side::Client, sent_at: self.at, arrived_at, text: self.text, is_guilty: false }
    }
}

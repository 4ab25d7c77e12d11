//! What there is to tell: messages with both their ends, what else either side does, windows and due instants.

use std::collections::VecDeque;

use carillon_server::Timestamp;

use super::seen::{Seen, What};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::model::Grid;
use crate::oracle::score::{Fault, Violation};
use crate::script::Script;
use crate::script::line::ScriptLine;
use crate::script::verb::ServerVerb;

/// Lines of other clients and of the server's fate that are told; more of them would be hard to follow.
const MOST_OTHERS: usize = 12;

/// How the answer to a ping is called, which a client gives without being told.
const PONG: &str = "its pong";

#[derive(Clone, Debug, Default)]
pub(super) struct Tale {
    pub(super) messages: Vec<Message>,
    /// What a side does besides sending and taking.
    pub(super) deeds: Vec<Deed>,
    pub(super) windows: Vec<Window>,
    /// Cycles and when they were due, up to the end of the tale.
    pub(super) dues: Vec<(u64, Timestamp)>,
}

/// Something that went from one side to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) from: Side,
    pub(super) sent_at: Timestamp,
    /// When all of it had arrived; `None` if that never happened.
    pub(super) came_at: Option<Timestamp>,
    pub(super) words: String,
    /// It broke the promise.
    pub(super) is_guilty: bool,
}

impl Message {
    /// A ping of the server, or the answer to one.
    fn is_sign_of_life(&self) -> bool {
        matches!((self.from, self.words.as_str()), (Side::Server, "ping") | (Side::Client, PONG))
    }

    fn travels_with(&self, other: &Self) -> bool {
        let way = |message: &Self| (message.from, message.sent_at, message.came_at, message.is_guilty);
        way(self) == way(other) && !self.is_guilty
    }

    /// The same, told of so many.
    fn with_more(self, count: usize) -> Self {
        let more = if count > 2 { format!(", {} more", count - 2) } else { String::new() };
        Self { words: format!("{}{more}", self.words), ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) at: Timestamp,
    pub(super) side: Side,
    pub(super) words: String,
    /// It says that the promise broke here.
    pub(super) is_breach: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What a push would be while this lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    pub(super) may: May,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the oracle's own words")]
pub(super) enum May {
    /// There is no connection, or none that is judged.
    Nothing,
    May,
    Must,
    MustNot,
}

impl May {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::May => "MAY",
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
        }
    }
}

impl Tale {
    pub(super) fn new(script: &Script, violation: &Violation, client: u32, lines: &[Seen]) -> Self {
        let mut teller = Teller::default();
        for seen in lines {
            teller.on(seen);
        }
        let mut tale = teller.finish();
        tale.accuse(violation);
        if violation.guarantee != Guarantee::G13 {
            tale.messages.retain(|message| message.is_guilty || !message.is_sign_of_life());
        }
        tale.join_messages();
        tale.add_others(script, client);
        tale.dues = due_instants(script, violation.at);
        tale.deeds.sort_by_key(|deed| deed.at);
        tale
    }

    /// What a push would be then.
    pub(super) fn may_at(&self, at: Timestamp) -> May {
        let before = self.windows.iter().take_while(|window| window.from <= at);
        before.last().map_or(May::Nothing, |window| window.may)
    }

    /// Marks what broke the promise; that something never came is marked where it came to light.
    fn accuse(&mut self, violation: &Violation) {
        if let Some(kind) = kind_of_frame(violation) {
            let is_it = |message: &&mut Message| {
                let is_there = message.from == Side::Server && message.came_at == Some(violation.at);
                is_there && message.words.starts_with(kind)
            };
            let mut suspects: Vec<&mut Message> = self.messages.iter_mut().filter(is_it).collect();
            // Of two of a kind the second is one too many.
            let place = usize::from(violation.fault == Fault::Duplicated && suspects.len() > 1);
            if let Some(guilty) = suspects.get_mut(place) {
                guilty.is_guilty = true;
            }
        }
        let side = if violation.fault == Fault::WrongLog { Side::Server } else { Side::Client };
        let words = format!("✗ {}: {}", violation.guarantee, violation.fault.name());
        self.deeds.push(Deed { at: violation.at, side, words, is_breach: true });
    }

    /// What left together and came together is told as one.
    fn join_messages(&mut self) {
        self.messages.sort_by_key(|message| message.sent_at);
        let mut joined: Vec<(Message, usize)> = Vec::new();
        for message in std::mem::take(&mut self.messages) {
            match joined.last_mut() {
                Some((last, count)) if last.travels_with(&message) => {
                    *count += 1;
                    if *count <= 2 {
                        last.words = format!("{}, {}", last.words, message.words);
                    }
                }
                _ => joined.push((message, 1)),
            }
        }
        self.messages = joined.into_iter().map(|(message, count)| message.with_more(count)).collect();
    }

    /// What else the script says.
    fn add_others(&mut self, script: &Script, client: u32) {
        let others: Vec<&ScriptLine> =
            script.lines.iter().filter(|line| line.client() != Some(client)).collect();
        let is_told = |line: &&&ScriptLine| line.client().is_none() || others.len() <= MOST_OTHERS;
        for line in others.iter().filter(is_told) {
            let text = line.to_string();
            let words = text.splitn(3, ' ').nth(2).unwrap_or_default();
            let words = words.split(" latency ").next().unwrap_or_default().to_owned();
            let side = if line.client().is_some() { Side::Client } else { Side::Server };
            self.deeds.push(Deed { at: line.at(), side, words, is_breach: false });
        }
    }
}

/// How the words for a frame begin that can have broken the promise; `None` if it was none that came.
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

/// Puts the two ends of each message together.
#[derive(Default)]
struct Teller {
    tale: Tale,
    /// What the client has said since its last write.
    said: Vec<String>,
    /// Writes that have not all been taken.
    under_way: VecDeque<Write>,
    /// When the server sent what has reached the client last, and when that was.
    reached: Option<(Timestamp, Timestamp)>,
    /// Whether the client wants pushes.
    wants: bool,
}

struct Write {
    at: Timestamp,
    rest: usize,
    words: String,
}

impl Teller {
    fn on(&mut self, seen: &Seen) {
        let at = seen.at;
        match &seen.what {
            What::Acts(words) => self.on_act(at, words),
            What::Gets(words) => self.on_get(at, words),
            What::Settled(is_on) => {
                self.open_window(at, if *is_on { May::Must } else { May::MustNot });
            }
            What::Writes(length, is_request) => {
                let said = std::mem::take(&mut self.said).join(", ");
                let words = if *is_request { "request".to_owned() } else { said };
                self.under_way.push_back(Write { at, rest: *length, words });
            }
            What::Taken(length) => self.on_taken(at, *length),
            What::Reached(sent_at) => self.reached = Some((*sent_at, at)),
            What::Server(words) => self.add_deed(at, Side::Server, words),
        }
    }

    fn on_act(&mut self, at: Timestamp, words: &str) {
        if let Some(said) = words.strip_prefix("sends ") {
            self.on_command(at, said);
            return self.said.push(said.to_owned());
        }
        if words == "leaves: clean" {
            self.said.push("close".to_owned());
        }
        if words == "connects" {
            self.wants = true;
            self.under_way.clear();
            self.open_window(at, May::May);
        } else if words.starts_with("leaves") || words.starts_with("offends") {
            self.open_window(at, May::Nothing);
        }
        self.add_deed(at, Side::Client, words);
    }

    /// A command is in flight until it is settled; one that changes nothing is none.
    fn on_command(&mut self, at: Timestamp, said: &str) {
        let wants = match said.split(" in ").next() {
            Some("subscribe") => true,
            Some("unsubscribe") => false,
            _ => return,
        };
        if std::mem::replace(&mut self.wants, wants) != wants {
            self.open_window(at, May::May);
        }
    }

    fn on_get(&mut self, at: Timestamp, words: &str) {
        let is_end = matches!(words, "end of stream" | "reset");
        if is_end {
            self.open_window(at, May::Nothing);
        }
        if let Some(answer) = self.under_way.back_mut().filter(|write| write.at == at && write.is_answer()) {
            answer.words = if words == "ping" { PONG.to_owned() } else { "its close".to_owned() };
        }
        match self.reached.filter(|(_, reached_at)| *reached_at == at && !is_end) {
            Some((sent_at, _)) => {
                let words = words.replace("Server push message at ", "push of ");
                let (from, came_at) = (Side::Server, Some(at));
                self.tale.messages.push(Message { from, sent_at, came_at, words, is_guilty: false });
            }
            None => self.add_deed(at, Side::Client, &format!("sees {words}")),
        }
    }

    fn on_taken(&mut self, at: Timestamp, mut length: usize) {
        while length > 0
            && let Some(write) = self.under_way.front_mut()
        {
            let taken = length.min(write.rest);
            write.rest -= taken;
            length -= taken;
            if write.rest == 0
                && let Some(write) = self.under_way.pop_front()
            {
                self.tale.messages.push(write.into_message(Some(at)));
            }
        }
    }

    fn open_window(&mut self, from: Timestamp, may: May) {
        if self.tale.windows.last().is_none_or(|last| last.may != may) {
            self.tale.windows.push(Window { from, may });
        }
    }

    fn add_deed(&mut self, at: Timestamp, side: Side, words: &str) {
        self.tale.deeds.push(Deed { at, side, words: words.to_owned(), is_breach: false });
    }

    fn finish(mut self) -> Tale {
        let lost = self.under_way.into_iter().map(|write| write.into_message(None));
        self.tale.messages.extend(lost);
        self.tale
    }
}

impl Write {
    /// No command made the client send it: what it got at the same instant did.
    fn is_answer(&self) -> bool {
        self.words.is_empty()
    }

    fn into_message(self, came_at: Option<Timestamp>) -> Message {
        Message { from: Side::Client, sent_at: self.at, came_at, words: self.words, is_guilty: false }
    }
}

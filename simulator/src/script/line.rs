//! The lines of a script: actions of the clients and events of the server, as text to read, edit and run again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use carillon_server::Timestamp;

use crate::network::link::LinkPlan;
use crate::network::link::Reading;
use crate::script::verb::{Departure, ServerVerb, Utterance, Verb};
use crate::units::{format_instant, format_seconds};
use crate::wire::offence::Offence;
use crate::wire::text::Text;

/// One line of a script. It displays, and parses, as a line such as `at 300.25s client 3 says unsubscribe, fence-7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptLine {
    /// An action of a client.
    Client {
        /// The virtual time since the start of the run.
        at: Timestamp,
        /// The number of the client, from 0.
        client: u32,
        /// The action.
        verb: Verb,
    },
    /// An event that concerns the server as a whole.
    Server {
        /// The virtual time since the start of the run.
        at: Timestamp,
        /// The event.
        verb: ServerVerb,
    },
}

impl ScriptLine {
    /// The virtual time of the line.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Client { at, .. } | Self::Server { at, .. } => *at,
        }
    }

    /// The number of the client that acts; `None` for an event of the server.
    pub fn client(&self) -> Option<u32> {
        match self {
            Self::Client { client, .. } => Some(*client),
            Self::Server { .. } => None,
        }
    }

    /// Moves the line to another time.
    pub(crate) fn set_at(&mut self, when: Timestamp) {
        match self {
            Self::Client { at, .. } | Self::Server { at, .. } => *at = when,
        }
    }
}

impl fmt::Display for ScriptLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} ", format_instant(self.at()))?;
        match self {
            Self::Client { client, verb, .. } => {
                write!(f, "client {client} ")?;
                write_verb(f, verb)
            }
            Self::Server { verb, .. } => match verb {
                ServerVerb::Pause(span) => write!(f, "server pauses {}", format_seconds(*span)),
                ServerVerb::Restart => f.write_str("server restarts"),
                ServerVerb::SetClock(shift) => write!(f, "server sets-clock {shift}s"),
            },
        }
    }
}

fn write_verb(f: &mut fmt::Formatter<'_>, verb: &Verb) -> fmt::Result {
    match verb {
        Verb::Connect(plan) => {
            write!(
                f,
                "connects latency {} jitter {}",
                format_seconds(plan.latency),
                format_seconds(plan.jitter)
            )?;
            write!(f, " sliced {} seed {}", plan.sliced, plan.seed)?;
            plan.window.map_or(Ok(()), |window| write!(f, " window {window}"))
        }
        Verb::Leave(departure) => write!(f, "leaves {}", departure.name()),
        Verb::Offend(offence) => write!(f, "offends {}", offence.name()),
        Verb::Read(reading) => write!(f, "reads {}", reading_text(*reading)),
        Verb::Say(utterances) => {
            let words: Vec<String> = utterances.iter().map(|utterance| utterance_text(*utterance)).collect();
            write!(f, "says {}", words.join(", "))
        }
    }
}

/// The form of an utterance in scripts.
pub(crate) fn utterance_text(utterance: Utterance) -> String {
    match utterance {
        Utterance::Binary => "binary".to_owned(),
        Utterance::Ping(number) => format!("ping-{number}"),
        Utterance::Pong => "pong".to_owned(),
        Utterance::Fragmented(text, pieces) => format!("{text} in {pieces} fragments"),
        Utterance::Text(text) => text.to_string(),
    }
}

/// The form of a way to read in scripts.
pub(crate) fn reading_text(reading: Reading) -> String {
    match reading {
        Reading::AtOnce => "at-once".to_owned(),
        Reading::Never => "never".to_owned(),
        Reading::Slowly(bytes) => format!("{bytes} bytes a second"),
    }
}

/// Reads seconds with up to nine decimals.
impl FromStr for ScriptLine {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = LineReader { line, words: line.split_whitespace().collect(), next: 0 };
        words.expect("at")?;
        let at = Timestamp::ZERO + words.span()?;
        match words.word("client or server")? {
            "client" => {
                let client = words.number("a client's number")?;
                let verb = words.verb()?;
                Ok(Self::Client { at, client, verb })
            }
            "server" => Ok(Self::Server { at, verb: words.server_verb()? }),
            other => Err(format!("{other:?} cannot act; allowed: client, server")),
        }
    }
}

/// The words of a line, read one by one.
struct LineReader<'a> {
    line: &'a str,
    words: Vec<&'a str>,
    next: usize,
}

impl<'a> LineReader<'a> {
    fn word(&mut self, wanted: &str) -> Result<&'a str, String> {
        let word = self.words.get(self.next).copied();
        self.next += 1;
        word.ok_or_else(|| format!("the line {:?} ends, but expected is {wanted}", self.line))
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        match self.word(wanted)? {
            word if word == wanted => Ok(()),
            word => Err(format!("expected {wanted:?} instead of {word:?}")),
        }
    }

    fn number<N: FromStr>(&mut self, wanted: &str) -> Result<N, String> {
        let word = self.word(wanted)?;
        word.parse().map_err(|_| format!("expected {wanted} instead of {word:?}"))
    }

    /// Seconds, such as `12.5s`.
    fn span(&mut self) -> Result<Duration, String> {
        let word = self.word("a time")?;
        parse_seconds(word).ok_or_else(|| format!("{word:?} is not a time; write seconds, such as 12.5s"))
    }

    fn verb(&mut self) -> Result<Verb, String> {
        match self.word("a verb")? {
            "connects" => self.link_plan().map(Verb::Connect),
            "leaves" => self.one_of("way to leave", &Departure::ALL, Departure::name).map(Verb::Leave),
            "offends" => self.one_of("offence", &Offence::ALL, Offence::name).map(Verb::Offend),
            "reads" => self.reading().map(Verb::Read),
            "says" => self.utterances().map(Verb::Say),
            other => Err(format!("{other:?} is not a verb; allowed: connects, leaves, offends, reads, says")),
        }
    }

    fn server_verb(&mut self) -> Result<ServerVerb, String> {
        match self.word("a verb")? {
            "pauses" => self.span().map(ServerVerb::Pause),
            "restarts" => Ok(ServerVerb::Restart),
            "sets-clock" => {
                let word = self.word("seconds")?;
                let shift = word.strip_suffix('s').and_then(|digits| digits.parse().ok());
                shift.map(ServerVerb::SetClock).ok_or_else(|| format!("{word:?} is not a time; write -3600s"))
            }
            other => {
                Err(format!("{other:?} is not a verb of the server; allowed: pauses, restarts, sets-clock"))
            }
        }
    }

    fn link_plan(&mut self) -> Result<LinkPlan, String> {
        let none = Duration::ZERO;
        let mut plan = LinkPlan { latency: none, jitter: none, sliced: 0, window: None, seed: 0 };
        while self.next < self.words.len() {
            match self.word("a property")? {
                "latency" => plan.latency = self.span()?,
                "jitter" => plan.jitter = self.span()?,
                "sliced" => plan.sliced = self.number("writes in a thousand")?,
                "window" => plan.window = Some(self.number("bytes")?),
                "seed" => plan.seed = self.number("a seed")?,
                other => {
                    return Err(format!(
                        "{other:?} is not a property of a link; allowed: latency, jitter, sliced, window, seed"
                    ));
                }
            }
        }
        Ok(plan)
    }

    fn reading(&mut self) -> Result<Reading, String> {
        match self.word("never, at-once or a number of bytes")? {
            "at-once" => Ok(Reading::AtOnce),
            "never" => Ok(Reading::Never),
            digits => digits.parse().map(Reading::Slowly).map_err(|_| {
                format!("{digits:?} is not a way to read; allowed: at-once, never, N bytes a second")
            }),
        }
    }

    fn utterances(&mut self) -> Result<Vec<Utterance>, String> {
        let rest = self.words[self.next..].join(" ");
        self.next = self.words.len();
        rest.split(", ").map(parse_utterance).collect()
    }

    fn one_of<T: Copy>(&mut self, noun: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, String> {
        let word = self.word(noun)?;
        all.iter().copied().find(|one| name(*one) == word).ok_or_else(|| {
            let allowed: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            format!("{word:?} is not a known {noun}; allowed: {}", allowed.join(", "))
        })
    }
}

fn parse_utterance(words: &str) -> Result<Utterance, String> {
    match words {
        "binary" => return Ok(Utterance::Binary),
        "pong" => return Ok(Utterance::Pong),
        _ => {}
    }
    if let Some(digits) = words.strip_prefix("ping-") {
        return digits
            .parse()
            .map(Utterance::Ping)
            .map_err(|_| format!("{words:?} is not a ping; write ping-7"));
    }
    match words.strip_suffix(" fragments").and_then(|rest| rest.split_once(" in ")) {
        Some((text, pieces)) => {
            let pieces = pieces.parse().map_err(|_| format!("{pieces:?} is not a number of fragments"))?;
            Ok(Utterance::Fragmented(text.parse()?, pieces))
        }
        None => words.parse::<Text>().map(Utterance::Text),
    }
}

fn parse_seconds(word: &str) -> Option<Duration> {
    let digits = word.strip_suffix('s')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.len() > 9 || !is_digits(fraction) || !is_digits(whole) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_utterance() -> impl Strategy<Value = Utterance> {
        let text = prop_oneof![
            Just(Text::Empty),
            any::<u32>().prop_map(Text::Fence),
            (any::<u32>(), any::<u32>()).prop_map(|(number, length)| Text::Probe { number, length }),
            Just(Text::Unsubscribe),
        ];
        prop_oneof![
            Just(Utterance::Binary),
            Just(Utterance::Pong),
            any::<u32>().prop_map(Utterance::Ping),
            text.clone().prop_map(Utterance::Text),
            (text, 2u8..9).prop_map(|(text, pieces)| Utterance::Fragmented(text, pieces)),
        ]
    }

    fn any_verb() -> impl Strategy<Value = Verb> {
        let plan = (any::<u32>(), any::<u32>(), any::<u16>(), any::<Option<u32>>(), any::<u64>());
        let plan = plan.prop_map(|(latency, jitter, sliced, window, seed)| LinkPlan {
            latency: Duration::from_nanos(u64::from(latency)),
            jitter: Duration::from_nanos(u64::from(jitter)),
            sliced,
            window,
            seed,
        });
        prop_oneof![
            plan.prop_map(Verb::Connect),
            prop::sample::select(Departure::ALL.to_vec()).prop_map(Verb::Leave),
            prop::sample::select(Offence::ALL.to_vec()).prop_map(Verb::Offend),
            any::<u32>().prop_map(|bytes| Verb::Read(Reading::Slowly(bytes))),
            Just(Verb::Read(Reading::Never)),
            prop::collection::vec(any_utterance(), 1..5).prop_map(Verb::Say),
        ]
    }

    proptest! {
        #[test]
        fn every_line_reads_back_equal(nanos in 0u64..1 << 60, client in any::<u32>(), verb in any_verb()) {
            let line = ScriptLine::Client { at: Timestamp::from_nanos(nanos), client, verb };
            prop_assert_eq!(line.to_string().parse(), Ok(line));
        }

        #[test]
        fn no_line_causes_a_panic(line in ".*") {
            prop_assert!(line.parse::<ScriptLine>().is_err() || line.starts_with("at "));
        }
    }

    #[test]
    fn a_line_reads_like_a_sentence() {
        let line = ScriptLine::Client {
            at: Timestamp::ZERO + Duration::from_millis(300_250),
            client: 3,
            verb: Verb::Say(vec![Utterance::Text(Text::Unsubscribe), Utterance::Text(Text::Fence(7))]),
        };
        assert_eq!(line.to_string(), "at 300.25s client 3 says unsubscribe, fence-7");
        let pause = ScriptLine::Server { at: Timestamp::ZERO, verb: ServerVerb::SetClock(-3600) };
        assert_eq!(pause.to_string().parse(), Ok(pause));
    }

    #[test]
    fn the_error_of_a_line_names_what_is_allowed() {
        let error = |line: &str| line.parse::<ScriptLine>().unwrap_err();
        assert!(error("at 1s client 3 sings").contains("allowed: connects, leaves"));
        assert!(error("at 1s client 3 leaves quietly").contains("half-close"));
        assert!(error("at soon client 3 leaves quit").contains("12.5s"));
        assert!(error("at 1s client").contains("ends, but expected is a client's number"));
        assert!(error("at 1s client 1 says what").contains("fence-N"));
    }
}

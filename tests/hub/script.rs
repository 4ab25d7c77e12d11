//! Scripts: lists of operations on a hub, each of which is valid in every state.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;

/// `who` selects one of the connected clients, modulo their number. Without a client the operation does nothing. A
/// tick is [`TICK`](super::settings::TICK).
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Time passes, and the hub is woken at each of its timeouts.
    Advance { ticks: u64 },
    /// A client connects and says nothing yet.
    Connect { is_admitted: bool },
    /// Time passes until the next cycle is due.
    Cycle,
    /// The server shuts down.
    Drain,
    /// A client ends its side of the stream.
    End { who: usize },
    /// A client connects and completes its handshake.
    Open,
    /// Time passes, and the hub is not woken before the next operation.
    Oversleep { ticks: u64 },
    /// A link accepts all bytes again.
    Release { who: usize },
    /// A connection fails.
    Reset { who: usize },
    /// A client says a message, and its last bytes arrive with the client's next message.
    Say { who: usize, what: Speech, later: usize },
    /// A link accepts this many more bytes, and then refuses.
    Stall { who: usize, takes: usize },
}

/// A message of a client.
#[derive(Clone, Debug)]
pub(crate) enum Speech {
    Binary {
        length: usize,
    },
    Close(Option<u16>),
    Handshake,
    /// An index into [`offences`](crate::support::frames::offences), modulo their number.
    Offence(usize),
    Ping {
        length: usize,
    },
    Pong,
    /// Any bytes.
    Raw(Bytes),
    /// A text in two fragments with a ping between them.
    Split {
        text: Words,
        at: usize,
    },
    Subscribe,
    Text(Words),
    Unsubscribe,
}

/// A list of operations that prints as the Rust that replays it.
#[derive(Clone)]
pub(crate) struct Script(pub(crate) Vec<Op>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n    replay(&[")?;
        for op in &self.0 {
            writeln!(f, "        {op:?},")?;
        }
        write!(f, "    ]);")
    }
}

/// A text that prints as an expression.
#[derive(Clone)]
pub(crate) struct Words(pub(crate) String);

impl From<&str> for Words {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.into()", self.0)
    }
}

/// Bytes that print as an expression.
#[derive(Clone)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<const N: usize> From<&[u8; N]> for Bytes {
    fn from(bytes: &[u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\".into()", self.0.escape_ascii())
    }
}

/// Scripts of all operations.
pub(crate) fn any_script() -> impl Strategy<Value = Script> {
    script([calm_ops(), hindrances(), vec![(2, say(raw()))]].concat())
}

/// Scripts of all operations except links that refuse bytes and bytes without a meaning.
pub(crate) fn script_over_open_links() -> impl Strategy<Value = Script> {
    script(calm_ops())
}

/// Scripts of clients that read slowly, or not at all, and say only messages that the model can predict.
pub(crate) fn script_over_slow_links() -> impl Strategy<Value = Script> {
    script([calm_ops(), hindrances()].concat())
}

/// Scripts of some clients that behave well and some that send arbitrary bytes.
pub(crate) fn hostile_script() -> impl Strategy<Value = Script> {
    script([calm_ops(), hindrances(), vec![(40, say(raw()))]].concat())
}

type Weighted = Vec<(u32, BoxedStrategy<Op>)>;

fn script(ops: Weighted) -> impl Strategy<Value = Script> {
    vec(Union::new_weighted(ops), 0..100).prop_map(Script)
}

fn who() -> std::ops::Range<usize> {
    0..3
}

fn calm_ops() -> Weighted {
    let advance = prop_oneof![0u64..10, 0u64..700].prop_map(|ticks| Op::Advance { ticks });
    vec![
        (6, advance.boxed()),
        (1, any::<bool>().prop_map(|is_admitted| Op::Connect { is_admitted }).boxed()),
        (12, Just(Op::Cycle).boxed()),
        (1, Just(Op::Drain).boxed()),
        (1, who().prop_map(|who| Op::End { who }).boxed()),
        (6, Just(Op::Open).boxed()),
        (1, (0u64..1200).prop_map(|ticks| Op::Oversleep { ticks }).boxed()),
        (1, who().prop_map(|who| Op::Reset { who }).boxed()),
        (60, say(any_said())),
    ]
}

fn hindrances() -> Weighted {
    let takes = prop_oneof![0usize..3, 0usize..50, 0usize..300];
    let long = "[xyz]{100,200}".prop_map(|text| Speech::Text(Words(text)));
    vec![
        (16, (who(), takes).prop_map(|(who, takes)| Op::Stall { who, takes }).boxed()),
        (2, who().prop_map(|who| Op::Release { who }).boxed()),
        (16, say(long)),
    ]
}

/// Any message, also bytes without a meaning.
pub(crate) fn any_say() -> impl Strategy<Value = Speech> {
    prop_oneof![8 => any_said(), 1 => raw()]
}

/// Any message with a meaning.
fn any_said() -> impl Strategy<Value = Speech> {
    let close = prop::option::of(prop::sample::select(vec![1000, 1001, 3000, 4999]));
    prop_oneof![
        16 => Just(Speech::Subscribe),
        10 => Just(Speech::Unsubscribe),
        20 => any_words().prop_map(Speech::Text),
        4 => (any_words(), 0usize..200).prop_map(|(text, at)| Speech::Split { text, at }),
        4 => (0usize..=125).prop_map(|length| Speech::Ping { length }),
        2 => (0usize..200).prop_map(|length| Speech::Binary { length }),
        1 => Just(Speech::Pong),
        1 => Just(Speech::Handshake),
        1 => (0usize..20).prop_map(Speech::Offence),
        1 => close.prop_map(Speech::Close),
    ]
}

/// Mostly in one piece, else cut anywhere, or held back to arrive together with the next message.
fn say(what: impl Strategy<Value = Speech> + 'static) -> BoxedStrategy<Op> {
    let later = prop_oneof![4 => Just(0usize), 2 => 0usize..40, 1 => 0usize..400];
    (who(), what, later).prop_map(|(who, what, later)| Op::Say { who, what, later }).boxed()
}

/// Short texts, among them commands and near misses, and a text of 200 bytes, which is the limit.
fn any_words() -> impl Strategy<Value = Words> {
    let near = prop::sample::select(vec!["subscribe", "unsubscribe", "Subscribe", "subscribe\n", "", "❄"]);
    prop_oneof!["\\PC{0,12}".prop_map(Words), near.prop_map(Words::from), Just(Words("é".repeat(100)))]
}

/// Bytes without a meaning, or frames that begin well.
fn raw() -> impl Strategy<Value = Speech> {
    let header = prop::sample::select(vec![0x01, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A, 0xC1, b'G']);
    let second = prop::sample::select(vec![0x00, 0x80, 0x85, 0xFD, 0xFE, 0xFF]);
    let framed = (header, second, vec(any::<u8>(), 0..40))
        .prop_map(|(first, second, rest)| [vec![first, second], rest].concat());
    prop_oneof![framed, vec(any::<u8>(), 0..60)].prop_map(|bytes| Speech::Raw(Bytes(bytes)))
}

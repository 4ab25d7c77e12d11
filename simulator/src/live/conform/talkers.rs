//! Clients that say everything that can be said: echoes, pongs, and commands in every wrapping (G5, G8, G9, G13).

use std::rc::Rc;

use super::listeners::admit;
use super::session::Session;
use crate::live::client::{LiveClient, Manner};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::script::verb::Utterance;
use crate::wire::text::Text;

/// A long text that any server takes.
const LONG: u32 = 60_000;

/// Lengths at which the header of an echo, 17 bytes longer, changes its form, or at which buffers commonly end.
const LENGTHS: [u32; 16] = [
    40, 108, 109, 126, 700, 4_079, 4_096, 8_175, 8_192, 16_367, 16_384, 20_000, 65_518, 65_519, 65_535,
    65_536,
];

/// Pieces of a message: few, and more than a server may think reasonable.
const PIECES: [u8; 3] = [2, 5, 70];

/// Texts that are sent in one write.
const BURST: usize = 20;

/// Near misses in the catalogue of texts.
const NEAR_MISSES: u8 = 8;

pub(super) fn start(session: &Rc<Session>) {
    for index in 0..2 {
        session.start(talk(Rc::clone(session), index));
    }
    session.start(hurry(Rc::clone(session)));
}

/// Goes through the repertoire once a cycle, unsubscribed every other time: an echo is no push.
async fn talk(session: Rc<Session>, index: u64) {
    let Some(mut client) = admit(&session, "talker").await else { return };
    for cycle in 1..session.options.cycles {
        client.attend(session.instant(cycle, 0.52 + 0.03 * index as f64)).await;
        let command = if (cycle + index).is_multiple_of(2) { Text::Unsubscribe } else { Text::Subscribe };
        if index == 0 {
            client.command(&[command]).await;
        } else {
            client.say(&[Utterance::Fragmented(command, 2)]);
            client.fence().await;
        }
        converse(&session, &mut client, cycle).await;
        // The last word before the next cycle is one that every app says, and that changes nothing.
        client.say(&[Utterance::Text(Text::Heartbeat)]);
        client.hear_echoes().await;
        if !client.is_open() {
            return;
        }
    }
    session.stay(client).await;
}

async fn converse(session: &Session, client: &mut LiveClient, cycle: u64) {
    for which in 0..NEAR_MISSES {
        client.say(&[Utterance::Text(Text::NearMiss(which))]);
    }
    client.hear_echoes().await;
    client.say(&[Text::Empty, Text::Heartbeat, Text::Hello].map(Utterance::Text));
    client.hear_echoes().await;
    let oddities: Vec<Utterance> = Text::oddities().map(Utterance::Text).collect();
    client.say(&oddities);
    client.hear_echoes().await;
    for length in lengths(session, cycle) {
        let number = client.next_number();
        client.say(&[Utterance::Text(Text::Probe { number, length })]);
        client.hear_echoes().await;
    }
    speak_in_pieces(client).await;
    send_what_wants_no_reply(client).await;
    burst(client).await;
    for length in [0, 4, 125] {
        client.ping(&vec![b'p'; length]);
        client.hear_echoes().await;
    }
}

/// Half of the lengths that the server takes, the other half the next time, and a long one.
fn lengths(session: &Session, cycle: u64) -> impl Iterator<Item = u32> {
    let longest = session.options.max_message.map_or(LONG, |most| most as u32);
    let half = LENGTHS.into_iter().skip(cycle as usize % 2).step_by(2);
    half.filter(move |length| *length <= longest).chain([LONG.min(longest)])
}

/// Fragments, cut within characters, and with a ping between them.
async fn speak_in_pieces(client: &mut LiveClient) {
    for pieces in PIECES {
        let number = client.next_number();
        client.say(&[Utterance::Fragmented(Text::Probe { number, length: 333 }, pieces)]);
    }
    let number = client.next_number();
    client.say_around_ping(Text::Probe { number, length: 90 });
    client.hear_echoes().await;
}

/// The state does not change: the command among them is the one that was sent last, in fragments. Behind the other one,
/// as a binary message, comes no command before the next push, which would undo what a server makes of it.
async fn send_what_wants_no_reply(client: &mut LiveClient) {
    let mut commands = [Text::Subscribe, Text::Unsubscribe];
    if !client.wants_pushes() {
        commands.reverse();
    }
    let [same, other] = commands;
    client.say(&[Utterance::Fragmented(same, 3), Utterance::Pong]);
    client.fence().await;
    client.say_binary(other);
    client.fence().await;
}

/// Speaks before the server has answered its request. RFC 6455 section 4.1 has clients wait, so another server may refuse
/// it; but a server that upgrades it must not lose what it said.
async fn hurry(session: Rc<Session>) {
    const ROLE: &str = "client that does not wait for the 101";
    session.wait(1, 0.6).await;
    let error = match LiveClient::connect_as(&session.state, ROLE, Manner::Hasty).await {
        Ok(mut client) => {
            client.hear_echoes().await;
            return session.part(client).await;
        }
        Err(error) => format!("{ROLE}: {error}"),
    };
    let now = session.state.now();
    let mut judge = session.state.judge.borrow_mut();
    if judge.is_strict {
        judge.violate(Guarantee::G8, Fault::Lost, now, None, error);
    } else {
        judge.find(Guarantee::G8, error);
    }
}

async fn burst(client: &mut LiveClient) {
    let texts: Vec<Utterance> = (0..BURST)
        .map(|_| Utterance::Text(Text::Probe { number: client.next_number(), length: 30 }))
        .collect();
    client.say(&texts);
    client.hear_echoes().await;
}

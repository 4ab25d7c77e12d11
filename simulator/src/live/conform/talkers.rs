//! Clients that send every kind of message: echoes, pings, and commands in every framing (G5, G8, G9, G13).

use std::rc::Rc;

use super::listeners::connect_subscribed;
use super::session::Session;
use crate::live::client::{LiveClient, RequestForm};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::script::verb::Utterance;
use crate::wire::text::Text;

/// The length of a long text that any server accepts, in bytes.
const LONG: u32 = 60_000;

/// Lengths of texts, in bytes: those at which the header of the echo (17 bytes longer) changes its form, and those
/// at which buffers commonly end.
const LENGTHS: [u32; 16] = [
    40, 108, 109, 126, 700, 4_079, 4_096, 8_175, 8_192, 16_367, 16_384, 20_000, 65_518, 65_519, 65_535,
    65_536,
];

/// Numbers of fragments of a message: few, and more than a server may expect.
const PIECES: [u8; 3] = [2, 5, 70];

/// The number of texts in one write.
const BURST: usize = 20;

/// After so many missing replies in a cycle a client sends no more: each of them takes as long as a reply may take.
const HOPELESS: u32 = 3;

/// The number of near misses in the catalogue of texts.
const NEAR_MISSES: u8 = 8;

pub(super) fn start(session: &Rc<Session>) {
    for index in 0..2 {
        session.start(talk(Rc::clone(session), index));
    }
    session.start(send_text_early(Rc::clone(session)));
}

/// Sends all kinds of messages once a cycle, unsubscribed every other time: an echo is not a push.
async fn talk(session: Rc<Session>, index: u64) {
    let Some(mut client) = connect_subscribed(&session, "client that sends every kind of text").await else {
        return;
    };
    for cycle in 1..session.options.cycles {
        client.process_until(session.instant(cycle, 0.52 + 0.03 * index as f64)).await;
        let command = if (cycle + index).is_multiple_of(2) { Text::Unsubscribe } else { Text::Subscribe };
        if index == 0 {
            client.command(&[command]).await;
        } else {
            client.say(&[Utterance::Fragmented(command, 2)]);
            client.fence().await;
        }
        send_all_kinds(&session, &mut client, cycle).await;
        // The last text before the next cycle is one that every app sends and that changes nothing.
        client.say(&[Utterance::Text(Text::Heartbeat)]);
        client.await_replies().await;
        if !client.is_open() {
            return;
        }
        if session.is_over() {
            break;
        }
    }
    session.stay_to_the_end(client).await;
}

async fn send_all_kinds(session: &Session, client: &mut LiveClient, cycle: u64) {
    let hopeless = client.missing + HOPELESS;
    let goes_on = |client: &LiveClient| client.missing < hopeless && !session.is_over();
    for which in 0..NEAR_MISSES {
        client.say(&[Utterance::Text(Text::NearMiss(which))]);
    }
    client.await_replies().await;
    client.say(&[Text::Empty, Text::Heartbeat, Text::Hello].map(Utterance::Text));
    client.await_replies().await;
    let oddities: Vec<Utterance> = Text::oddities().map(Utterance::Text).collect();
    client.say(&oddities);
    client.await_replies().await;
    for length in lengths(session, cycle) {
        if !goes_on(client) {
            return;
        }
        let number = client.next_number();
        client.say(&[Utterance::Text(Text::Probe { number, length })]);
        client.await_replies().await;
    }
    send_fragments(client).await;
    // Every other cycle without a binary command: what happens then has another cause.
    send_what_wants_no_reply(client, cycle.is_multiple_of(4) || cycle % 4 == 1).await;
    burst(client).await;
    for length in [0, 4, 125] {
        if !goes_on(client) {
            return;
        }
        client.ping(&vec![b'p'; length]);
        client.await_replies().await;
    }
}

/// Every second length that the server accepts, the others in the next cycle, and a long one.
fn lengths(session: &Session, cycle: u64) -> impl Iterator<Item = u32> {
    let longest = session.options.max_message.map_or(LONG, |most| most as u32);
    let half = LENGTHS.into_iter().skip(cycle as usize % 2).step_by(2);
    half.filter(move |length| *length <= longest).chain([LONG.min(longest)])
}

/// Sends fragments that are cut within characters, and fragments with a ping between them.
async fn send_fragments(client: &mut LiveClient) {
    for pieces in PIECES {
        let number = client.next_number();
        client.say(&[Utterance::Fragmented(Text::Probe { number, length: 333 }, pieces)]);
    }
    let number = client.next_number();
    client.say_around_ping(Text::Probe { number, length: 90 });
    client.await_replies().await;
}

/// The subscription does not change: the command in fragments repeats the last one. The opposite command is sent as
/// a binary message. No command follows it before the next push: that would hide a server that obeys it.
async fn send_what_wants_no_reply(client: &mut LiveClient, has_binary: bool) {
    let mut commands = [Text::Subscribe, Text::Unsubscribe];
    if !client.wants_pushes() {
        commands.reverse();
    }
    let [same, other] = commands;
    client.say(&[Utterance::Fragmented(same, 3), Utterance::Pong]);
    client.fence().await;
    if has_binary {
        client.say_binary(other);
        client.fence().await;
    }
}

/// Sends a text before the server has answered the request. RFC 6455 section 4.1 forbids that to clients, so a server
/// that loses the text or refuses the request is remarked on, and no more.
async fn send_text_early(session: Rc<Session>) {
    const ROLE: &str = "client that does not wait for the 101";
    session.wait(1, 0.6).await;
    let (remark, fault) = match LiveClient::connect_in_form(&session.state, ROLE, RequestForm::WithText).await
    {
        Ok(client) => match hear_early_echo(&session, client).await {
            true => return,
            false => ("the text of a client that does not wait for the 101 was lost".to_owned(), Fault::Lost),
        },
        Err(error) => (format!("{ROLE}: {error}"), Fault::Dropped),
    };
    let now = session.state.now();
    let mut judge = session.state.judge.borrow_mut();
    if judge.is_strict {
        judge.violate(Guarantee::G8, fault, now, None, remark);
    } else {
        judge.add_finding(Guarantee::G8, format!("{remark}, which RFC 6455 §4.1 allows"));
    }
}

/// Whether the echo of an early text comes.
async fn hear_early_echo(session: &Session, mut client: LiveClient) -> bool {
    client.connection.is_excluded = true;
    client.may_be_ended = true;
    let bound = client.now() + session.state.patience;
    let is_heard = client.process_until_done(bound, |client| client.echoes_heard > 0).await;
    client.quit();
    is_heard
}

async fn burst(client: &mut LiveClient) {
    // Long and short ones in turn: a server that handles each message on its own answers them in another order.
    let lengths = [300, 30].into_iter().cycle().take(BURST);
    let texts: Vec<Utterance> =
        lengths.map(|length| Utterance::Text(Text::Probe { number: client.next_number(), length })).collect();
    client.say(&texts);
    client.await_replies().await;
}

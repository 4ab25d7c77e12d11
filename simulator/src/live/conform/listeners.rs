//! Clients that never touch the switch: they must get every push, once (G1, G3, G4, G6, G7).

use std::rc::Rc;

use super::session::Session;
use crate::live::client::{LiveClient, Manner};
use crate::oracle::guarantee::Guarantee;
use crate::script::verb::Utterance;
use crate::wire::text::Text;

/// Cycles without a push after which a client that never spoke is missed.
const MISSED: u32 = 3;

pub(super) fn start(session: &Rc<Session>) {
    for (role, manner) in [
        ("listener", Manner::Plain),
        ("listener whose request says WebSocket, and keep-alive beside Upgrade", Manner::Browser),
    ] {
        session.start(listen(Rc::clone(session), role, manner));
    }
    session.start(beat_hearts(Rc::clone(session)));
    session.start(insist(Rc::clone(session)));
    session.start(be_mute(Rc::clone(session)));
    session.start(keep_time(Rc::clone(session)));
}

/// Says nothing but its fence, and listens to the end.
async fn listen(session: Rc<Session>, role: &'static str, manner: Manner) {
    let Some(mut client) = session.dial_as(role, manner).await else { return };
    greet(&session, &mut client).await;
    session.stay(client).await;
}

/// The original app: says hello, and sends heartbeats.
async fn beat_hearts(session: Rc<Session>) {
    let Some(mut client) = admit(&session, "app").await else { return };
    client.say(&[Utterance::Text(Text::Hello)]);
    while !session.is_over() && client.is_open() {
        client.say(&[Utterance::Text(Text::Heartbeat)]);
        client.hear_echoes().await;
        client.attend(client.now() + session.period().mul_f64(0.4)).await;
    }
    session.stay(client).await;
}

/// Subscribes again and again, though it is subscribed.
async fn insist(session: Rc<Session>) {
    let Some(mut client) = admit(&session, "redundant subscriber").await else { return };
    while !session.is_over() && client.is_open() {
        client.command(&[Text::Subscribe, Text::Subscribe]).await;
        client.attend(client.now() + session.period().mul_f64(1.3)).await;
    }
    session.stay(client).await;
}

/// Never says a word. Nothing proves when the server has taken it in, so a push that it misses is a doubt.
async fn be_mute(session: Rc<Session>) {
    let Some(mut client) = session.dial("client that never speaks").await else { return };
    while !session.is_over() && client.end.is_none() {
        client.attend(client.now() + session.period() / 20).await;
    }
    let served = session.state.judge.borrow().tally(Guarantee::G1).exercised;
    let cycles = session.state.judge.borrow().grid.cycles().len() as u32;
    if session.state.dialect.is_subscribed && client.connection.pushes == 0 && cycles > MISSED && served > 0 {
        let sentence = format!(
            "a client that never said a word got none of {cycles} pushes; without an echo nothing proves that it was \
             connected for the server"
        );
        session.state.judge.borrow_mut().doubt(Guarantee::G1, sentence);
    }
    session.part(client).await;
}

/// Asks all the time: this shows how long an answer takes, and when the server answered no client.
async fn keep_time(session: Rc<Session>) {
    let Some(mut client) = admit(&session, "metronome").await else { return };
    while !session.is_over() && client.is_open() {
        client.attend(client.now() + session.period() / 20).await;
        client.fence().await;
        let payload = client.next_number().to_be_bytes();
        client.ping(&payload);
        client.hear_echoes().await;
    }
    session.stay(client).await;
}

/// A subscriber, also where the server subscribes no client of its own accord.
pub(super) async fn admit(session: &Session, role: &'static str) -> Option<LiveClient> {
    let mut client = session.dial(role).await?;
    greet(session, &mut client).await;
    Some(client)
}

async fn greet(session: &Session, client: &mut LiveClient) {
    let commands: &[Text] = if session.state.dialect.is_subscribed { &[] } else { &[Text::Subscribe] };
    client.command(commands).await;
}

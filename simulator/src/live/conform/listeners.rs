//! Those who never touch the switch: they must get every push, once (G1, G3, G4, G6, G7).

use std::rc::Rc;

use super::show::Show;
use crate::live::caller::{Caller, Manner};
use crate::oracle::guarantee::Guarantee;
use crate::script::verb::Utterance;
use crate::wire::text::Text;

/// Cycles without a push after which a client that never spoke is missed.
const MISSED: u32 = 3;

pub(super) fn start(show: &Rc<Show>) {
    for (role, manner) in [
        ("listener", Manner::Plain),
        ("listener whose request says WebSocket, and keep-alive beside Upgrade", Manner::Browser),
    ] {
        show.start(listen(Rc::clone(show), role, manner));
    }
    show.start(beat_hearts(Rc::clone(show)));
    show.start(insist(Rc::clone(show)));
    show.start(be_mute(Rc::clone(show)));
    show.start(keep_time(Rc::clone(show)));
}

/// Says nothing but its fence, and listens to the end.
async fn listen(show: Rc<Show>, role: &'static str, manner: Manner) {
    let Some(mut caller) = show.dial_as(role, manner).await else { return };
    greet(&show, &mut caller).await;
    show.stay(caller).await;
}

/// The app of the seed document: says hello, and sends heartbeats.
async fn beat_hearts(show: Rc<Show>) {
    let Some(mut caller) = admit(&show, "app").await else { return };
    caller.say(&[Utterance::Text(Text::Hello)]);
    while !show.is_over() && caller.is_open() {
        caller.say(&[Utterance::Text(Text::Heartbeat)]);
        caller.hear_echoes().await;
        caller.attend(caller.now() + show.period().mul_f64(0.4)).await;
    }
    show.stay(caller).await;
}

/// Subscribes again and again, though it is subscribed.
async fn insist(show: Rc<Show>) {
    let Some(mut caller) = admit(&show, "redundant subscriber").await else { return };
    while !show.is_over() && caller.is_open() {
        caller.command(&[Text::Subscribe, Text::Subscribe]).await;
        caller.attend(caller.now() + show.period().mul_f64(1.3)).await;
    }
    show.stay(caller).await;
}

/// Never says a word. Nothing proves when the server has taken it in, so a push that it misses is a doubt.
async fn be_mute(show: Rc<Show>) {
    let Some(mut caller) = show.dial("client that never speaks").await else { return };
    while !show.is_over() && caller.end.is_none() {
        caller.attend(caller.now() + show.period() / 20).await;
    }
    let served = show.stage.judge.borrow().tally(Guarantee::G1).exercised;
    let cycles = show.stage.judge.borrow().rhythm.cycles().len() as u32;
    if show.stage.dialect.is_subscribed && caller.seat.pushes == 0 && cycles > MISSED && served > 0 {
        let sentence = format!(
            "a client that never said a word got none of {cycles} pushes; without an echo nothing proves that it was \
             connected for the server"
        );
        show.stage.judge.borrow_mut().doubt(Guarantee::G1, sentence);
    }
    show.part(caller).await;
}

/// Asks all the time, so that it is known how long an answer takes, and when the server answered nobody.
async fn keep_time(show: Rc<Show>) {
    let Some(mut caller) = admit(&show, "metronome").await else { return };
    while !show.is_over() && caller.is_open() {
        caller.attend(caller.now() + show.period() / 20).await;
        caller.fence().await;
        let payload = caller.next_number().to_be_bytes();
        caller.ping(&payload);
        caller.hear_echoes().await;
    }
    show.stay(caller).await;
}

/// A subscriber, also where the server subscribes nobody of its own accord.
pub(super) async fn admit(show: &Show, role: &'static str) -> Option<Caller> {
    let mut caller = show.dial(role).await?;
    greet(show, &mut caller).await;
    Some(caller)
}

async fn greet(show: &Show, caller: &mut Caller) {
    let commands: &[Text] = if show.stage.dialect.is_subscribed { &[] } else { &[Text::Subscribe] };
    caller.command(commands).await;
}

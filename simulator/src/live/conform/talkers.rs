//! Those who say whatever can be said: echoes, pongs, and commands in every wrapping (G5, G8, G9, G13).

use std::rc::Rc;

use super::listeners::admit;
use super::show::Show;
use crate::live::caller::Caller;
use crate::text::Text;
use crate::verb::Utterance;

/// A long text that any server takes.
const LONG: u32 = 60_000;

/// Texts that are sent in one write.
const BURST: usize = 20;

/// Near misses in the catalogue of texts.
const NEAR_MISSES: u8 = 8;

pub(super) fn start(show: &Rc<Show>) {
    for index in 0..2 {
        show.start(talk(Rc::clone(show), index));
    }
}

/// Goes through the repertoire once a cycle, unsubscribed every other time: an echo is no push.
async fn talk(show: Rc<Show>, index: u64) {
    let Some(mut caller) = admit(&show, "talker").await else { return };
    for cycle in 1..show.options.cycles {
        caller.attend(show.instant(cycle, 0.52 + 0.03 * index as f64)).await;
        let command = if (cycle + index).is_multiple_of(2) { Text::Unsubscribe } else { Text::Subscribe };
        caller.command(&[command]).await;
        converse(&show, &mut caller).await;
        // The last word before the next cycle is one that every app says, and that changes nothing.
        caller.say(&[Utterance::Text(Text::Heartbeat)]);
        caller.hear_echoes().await;
        if !caller.is_open() {
            return;
        }
    }
    show.stay(caller).await;
}

async fn converse(show: &Show, caller: &mut Caller) {
    for which in 0..NEAR_MISSES {
        caller.say(&[Utterance::Text(Text::NearMiss(which))]);
    }
    caller.hear_echoes().await;
    caller.say(&[Text::Empty, Text::Heartbeat, Text::Hello].map(Utterance::Text));
    caller.hear_echoes().await;
    for length in [40, 126, 700, LONG.min(show.options.longest() as u32)] {
        let number = caller.next_number();
        caller.say(&[Utterance::Text(Text::Probe { number, length })]);
        caller.hear_echoes().await;
    }
    speak_in_pieces(caller).await;
    send_what_wants_no_reply(caller).await;
    burst(caller).await;
    for length in [0, 4, 125] {
        caller.ping(&vec![b'p'; length]);
        caller.hear_echoes().await;
    }
}

/// Fragments, cut within characters, and with a ping between them.
async fn speak_in_pieces(caller: &mut Caller) {
    for pieces in [2, 5] {
        let number = caller.next_number();
        caller.say(&[Utterance::Fragmented(Text::Probe { number, length: 333 }, pieces)]);
    }
    let number = caller.next_number();
    caller.say_around_ping(Text::Probe { number, length: 90 });
    caller.hear_echoes().await;
}

/// The state does not change: the command among them is the one that was sent last, in fragments.
async fn send_what_wants_no_reply(caller: &mut Caller) {
    let same = if caller.wants_pushes() { Text::Subscribe } else { Text::Unsubscribe };
    caller.say(&[Utterance::Binary, Utterance::Fragmented(same, 3), Utterance::Pong]);
    caller.fence().await;
}

async fn burst(caller: &mut Caller) {
    let texts: Vec<Utterance> = (0..BURST)
        .map(|_| Utterance::Text(Text::Probe { number: caller.next_number(), length: 30 }))
        .collect();
    caller.say(&texts);
    caller.hear_echoes().await;
}

//! Clients that use the switch (G2, G3, G4, G9).

use std::rc::Rc;

use super::listeners::admit;
use super::session::Session;
use crate::live::client::LiveClient;
use crate::script::verb::Utterance;
use crate::wire::text::Text;

/// When commands are sent for which nothing may be in doubt: the pushes of the cycle are through, and the next is not due
/// for more than a third of a period.
const CALM: f64 = 0.52;

/// How long before the due instant the racers act, in milliseconds.
const RACES: [u64; 4] = [40, 12, 2, 0];

pub(super) fn start(session: &Rc<Session>) {
    for index in 0..4 {
        session.start(switch(Rc::clone(session), index));
    }
    for lead in RACES {
        session.start(race(Rc::clone(session), lead));
    }
    for index in 0..2 {
        session.start(whisper(Rc::clone(session), index));
    }
}

/// Off for a cycle, on for a cycle. One says everything twice, and one the opposite first, in the same write.
async fn switch(session: Rc<Session>, index: u64) {
    let Some(mut client) = admit(&session, "switcher").await else { return };
    for cycle in 1..session.options.cycles {
        client.attend(session.instant(cycle, CALM + 0.02 * index as f64)).await;
        let is_off = (cycle + index / 2).is_multiple_of(2);
        let mut commands = [Text::Subscribe, Text::Unsubscribe];
        if !is_off {
            commands.reverse();
        }
        let [other, command] = commands;
        let said: &[Text] = match index {
            1 => &[command, command],
            3 => &[other, command],
            _ => &[command],
        };
        client.command(said).await;
    }
    session.stay(client).await;
}

/// Switches off when a push is about to be sent: either side is right, but not two pushes, and none behind the fence.
async fn race(session: Rc<Session>, lead: u64) {
    let Some(mut client) = admit(&session, "racer").await else { return };
    for cycle in (2..session.options.cycles).step_by(2) {
        let at = session.instant(cycle - 1, 1.0 - lead as f64 / session.period().as_millis() as f64);
        client.attend(at).await;
        client.command(&[Text::Unsubscribe]).await;
        client.attend(session.instant(cycle + 1, CALM)).await;
        client.command(&[Text::Subscribe]).await;
    }
    session.stay(client).await;
}

/// Sends no text behind its commands: a server that obeys when the next text arrives never does. A pong, and some time
/// after it, stand in for the fence.
async fn whisper(session: Rc<Session>, index: u64) {
    let Some(mut client) = admit(&session, "whisperer").await else { return };
    for cycle in 1..session.options.cycles {
        client.attend(session.instant(cycle, CALM - 0.1)).await;
        let command = if (cycle + index).is_multiple_of(2) { Text::Unsubscribe } else { Text::Subscribe };
        whisper_once(&session, &mut client, command).await;
    }
    // Its last state was never fenced, and is not to be disturbed.
    session.stay(client).await;
}

async fn whisper_once(session: &Session, client: &mut LiveClient, command: Text) {
    client.say(&[Utterance::Text(command)]);
    let payload = client.next_number().to_be_bytes();
    client.ping(&payload);
    if client.hear_echoes().await {
        client.attend(client.now() + session.period() / 12).await;
        client.settle();
    }
}

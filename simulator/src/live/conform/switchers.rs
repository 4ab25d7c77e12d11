//! Clients that subscribe and unsubscribe (G2, G3, G4, G9).

use std::rc::Rc;

use super::listeners::connect_subscribed;
use super::session::Session;
use crate::live::client::LiveClient;
use crate::script::verb::Utterance;
use crate::wire::text::Text;

/// The phase at which commands are certain to take effect in time: the pushes of the cycle have arrived, and the
/// next is not due for more than a third of a period.
const CALM: f64 = 0.52;

/// How long before the due instant the racing clients act, in milliseconds.
const RACES: [u64; 4] = [40, 12, 2, 0];

pub(super) fn start(session: &Rc<Session>) {
    for index in 0..4 {
        session.start(switch(Rc::clone(session), index));
    }
    for lead in RACES {
        session.start(race(Rc::clone(session), lead));
    }
    for index in 0..2 {
        session.start(command_without_text(Rc::clone(session), index));
    }
}

/// Unsubscribed for a cycle, subscribed for a cycle. One client sends every command twice, and one sends the
/// opposite first, in the same write.
async fn switch(session: Rc<Session>, index: u64) {
    let Some(mut client) = connect_subscribed(&session, "client that switches pushes on and off").await
    else {
        return;
    };
    for cycle in 1..session.options.cycles {
        client.process_until(session.instant(cycle, CALM + 0.02 * index as f64)).await;
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
    session.stay_to_the_end(client).await;
}

/// Unsubscribes when a push is about to be sent: the push may arrive or not, but not twice, and not behind the
/// fence.
async fn race(session: Rc<Session>, lead: u64) {
    let Some(mut client) = connect_subscribed(&session, "client that unsubscribes at the due instant").await
    else {
        return;
    };
    for cycle in (2..session.options.cycles).step_by(2) {
        let at = session.instant(cycle - 1, 1.0 - lead as f64 / session.period().as_millis() as f64);
        client.process_until(at).await;
        client.command(&[Text::Unsubscribe]).await;
        client.process_until(session.instant(cycle + 1, CALM)).await;
        client.command(&[Text::Subscribe]).await;
    }
    session.stay_to_the_end(client).await;
}

/// Sends no text behind its commands, to convict a server that obeys only when the next text arrives. A pong and
/// some time after it replace the fence.
async fn command_without_text(session: Rc<Session>, index: u64) {
    let Some(mut client) = connect_subscribed(&session, "client that sends commands alone").await else {
        return;
    };
    for cycle in 1..session.options.cycles {
        client.process_until(session.instant(cycle, CALM - 0.1)).await;
        let command = if (cycle + index).is_multiple_of(2) { Text::Unsubscribe } else { Text::Subscribe };
        command_without_text_once(&session, &mut client, command).await;
    }
    // Its last command was never fenced, and no text may follow it.
    session.stay_to_the_end(client).await;
}

async fn command_without_text_once(session: &Session, client: &mut LiveClient, command: Text) {
    client.say(&[Utterance::Text(command)]);
    let payload = client.next_number().to_be_bytes();
    client.ping(&payload);
    if client.await_replies().await {
        client.process_until(client.now() + session.period() / 12).await;
        client.settle_sent_commands();
    }
}

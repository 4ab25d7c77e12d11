//! Clients that never change their subscription: they must get every push, once (G1, G3, G4, G6, G7).

use std::rc::Rc;
use std::time::Duration;

use super::session::Session;
use crate::live::client::{LiveClient, RequestForm};
use crate::oracle::guarantee::Guarantee;
use crate::script::verb::Utterance;
use crate::wire::text::Text;

/// The number of cycles without a push after which the push of a silent client counts as missing.
const MISSED: u32 = 3;

/// The shortest time between two questions of the client that measures replies.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

pub(super) fn start(session: &Rc<Session>) {
    for (role, form) in [
        ("listener", RequestForm::Plain),
        ("listener that asks like Firefox", RequestForm::KeepAlive),
        ("listener that asks through a proxy", RequestForm::OtherCase),
    ] {
        session.start(listen(Rc::clone(session), role, form));
    }
    session.start(send_heartbeats(Rc::clone(session)));
    session.start(subscribe_repeatedly(Rc::clone(session)));
    session.start(stay_silent(Rc::clone(session)));
    session.start(measure_replies(Rc::clone(session)));
}

/// Sends only its fence, and listens to the end.
async fn listen(session: Rc<Session>, role: &'static str, form: RequestForm) {
    let Some(mut client) = session.connect_in_form(role, form).await else { return };
    send_first_fence(&session, &mut client).await;
    session.stay_to_the_end(client).await;
}

/// The original app: sends a greeting and heartbeats.
async fn send_heartbeats(session: Rc<Session>) {
    let Some(mut client) = connect_subscribed(&session, "app client").await else { return };
    client.say(&[Utterance::Text(Text::Hello)]);
    while !session.is_over() && client.is_open() {
        client.say(&[Utterance::Text(Text::Heartbeat)]);
        client.await_replies().await;
        client.process_until(client.now() + session.period().mul_f64(0.4)).await;
    }
    session.stay_to_the_end(client).await;
}

/// Sends `subscribe` again and again, although it is subscribed.
async fn subscribe_repeatedly(session: Rc<Session>) {
    let Some(mut client) = connect_subscribed(&session, "redundant subscriber").await else { return };
    while !session.is_over() && client.is_open() {
        client.command(&[Text::Subscribe, Text::Subscribe]).await;
        client.process_until(client.now() + session.period().mul_f64(1.3)).await;
    }
    session.stay_to_the_end(client).await;
}

/// Never sends a text. Nothing proves when the server has registered the client, so a missing push is only a doubt.
async fn stay_silent(session: Rc<Session>) {
    let Some(mut client) = session.connect("client that never speaks").await else { return };
    while !session.is_over() && client.end.is_none() {
        client.process_until(client.now() + session.period() / 20).await;
    }
    let served = session.state.judge.borrow().tally(Guarantee::G1).exercised;
    let cycles = session.state.judge.borrow().grid.cycles().len() as u32;
    if session.state.dialect.is_subscribed && client.connection.pushes == 0 && cycles > MISSED && served > 0 {
        let sentence = format!(
            "a client that never sent a text got none of {cycles} pushes; without an echo nothing proves that it was \
             connected from the server's point of view"
        );
        session.state.judge.borrow_mut().add_doubt(Guarantee::G1, sentence);
    }
    session.close_and_wait(client).await;
}

/// Sends fences and pings all the time. This measures round trips, and shows when the server answered no client.
async fn measure_replies(session: Rc<Session>) {
    let Some(mut client) = connect_subscribed(&session, "client that sends fences and pings").await else {
        return;
    };
    let pause = (session.period() / 40).max(SHORTEST_PAUSE);
    while !session.is_over() && client.is_open() {
        client.process_until(client.now() + pause).await;
        session.state.judge.borrow_mut().on_question(client.now());
        let is_answered = client.fence().await && has_pong(&mut client).await;
        session.state.judge.borrow_mut().on_answer();
        if !is_answered {
            // It is judged, and what this client asks says no more about silence.
            break;
        }
    }
    session.stay_to_the_end(client).await;
}

/// Sends a ping. Returns whether its pong came.
async fn has_pong(client: &mut LiveClient) -> bool {
    let payload = client.next_number().to_be_bytes();
    client.ping(&payload);
    client.await_replies().await
}

/// Connects a client that is subscribed, even if the server does not subscribe new connections by default.
pub(super) async fn connect_subscribed(session: &Session, role: &'static str) -> Option<LiveClient> {
    let mut client = session.connect(role).await?;
    send_first_fence(session, &mut client).await;
    Some(client)
}

async fn send_first_fence(session: &Session, client: &mut LiveClient) {
    let commands: &[Text] = if session.state.dialect.is_subscribed { &[] } else { &[Text::Subscribe] };
    client.command(commands).await;
}

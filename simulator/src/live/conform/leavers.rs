//! Clients that leave and come back, in every way there is (G1, G4, G11).

use std::rc::Rc;

use super::listeners::admit;
use super::session::Session;
use crate::live::client::LiveClient;
use crate::wire::text::Text;

/// Connections of the storm, and how many dial at a time: it is to end before the server is stopped, also where a
/// handshake takes its time, and a short backlog is to hold it.
const STORM: u32 = 24;
const AT_ONCE: u32 = 4;

/// What a Close says, by the client that sends it: nothing, what a browser says that leaves a page, and an application's
/// first and last code.
const CODES: [Option<u16>; 4] = [None, Some(1001), Some(3000), Some(4999)];

pub(super) fn start(session: &Rc<Session>) {
    for index in 0..4 {
        session.start(come_back(Rc::clone(session), index));
    }
    for lane in 0..AT_ONCE {
        session.start(storm(Rc::clone(session), lane));
    }
}

/// Leaves once a cycle, mostly unsubscribed, and is back at once: as a new client, subscribed (G1).
async fn come_back(session: Rc<Session>, index: u64) {
    let Some(mut client) = admit(&session, "returner").await else { return };
    for cycle in 1..session.options.cycles {
        client.attend(session.instant(cycle, 0.42 + 0.02 * index as f64)).await;
        if !client.is_open() {
            return;
        }
        if !(cycle + index).is_multiple_of(3) {
            client.command(&[Text::Unsubscribe]).await;
        }
        leave(&session, client, (cycle + index) % 4, CODES[index as usize]).await;
        let Some(next) = admit(&session, "returner").await else { return };
        client = next;
        if index == 0 {
            // Cleaning up after its last connection must not touch this one.
            client.command(&[Text::Unsubscribe]).await;
        }
    }
    session.stay(client).await;
}

/// The server's side of it is awaited beside the rest, so that nothing holds up the return.
async fn leave(session: &Rc<Session>, mut client: LiveClient, way: u64, code: Option<u16>) {
    let beside = Rc::clone(session);
    match way {
        0 => client.reset(),
        1 => client.quit(),
        2 => {
            client.half_close();
            session.start(async move { beside.see_off(client).await });
        }
        _ => {
            client.close(code);
            session.start(async move { beside.see_off(client).await });
        }
    }
}

/// Many at once, which vanish without a word.
async fn storm(session: Rc<Session>, lane: u32) {
    for cycle in [2, 3] {
        session.wait(cycle, 0.55).await;
        let mut clients = Vec::new();
        for _ in (lane..STORM).step_by(AT_ONCE as usize) {
            clients.extend(session.dial("one of a storm").await);
        }
        for (index, client) in clients.into_iter().enumerate() {
            if index % 2 == 0 { client.reset() } else { client.quit() }
        }
    }
}

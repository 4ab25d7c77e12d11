//! Clients that leave and return, in every possible way (G1, G4, G11).

use std::rc::Rc;

use super::listeners::connect_subscribed;
use super::session::Session;
use crate::live::client::LiveClient;
use crate::wire::text::Text;

/// The number of connections of the storm, and how many of them connect at a time. The storm must end before the
/// server is stopped, even if handshakes are slow and the listen backlog is short.
const STORM: u32 = 24;
const AT_ONCE: u32 = 4;

/// The code of each returning client's Close: none, the code of a browser that leaves a page, and the first and
/// last code for applications.
const CODES: [Option<u16>; 4] = [None, Some(1001), Some(3000), Some(4999)];

pub(super) fn start(session: &Rc<Session>) {
    for index in 0..4 {
        session.start(leave_and_return(Rc::clone(session), index));
    }
    for lane in 0..AT_ONCE {
        session.start(storm(Rc::clone(session), lane));
    }
}

/// Leaves once a cycle, mostly unsubscribed, and returns at once: as a new client it is subscribed (G1).
async fn leave_and_return(session: Rc<Session>, index: u64) {
    let Some(mut client) = connect_subscribed(&session, "client that leaves and returns").await else {
        return;
    };
    for cycle in 1..session.options.cycles {
        client.process_until(session.instant(cycle, 0.42 + 0.02 * index as f64)).await;
        if !client.is_open() {
            return;
        }
        if !(cycle + index).is_multiple_of(3) {
            client.command(&[Text::Unsubscribe]).await;
        }
        leave(&session, client, (cycle + index) % 4, CODES[index as usize]).await;
        let Some(next) = connect_subscribed(&session, "client that leaves and returns").await else { return };
        client = next;
        if index == 0 {
            // The clean-up of its last connection must not affect this one.
            client.command(&[Text::Unsubscribe]).await;
        }
    }
    session.stay_to_the_end(client).await;
}

/// Leaves in one of four ways. A separate task waits for the server's side, so that the return is not delayed.
async fn leave(session: &Rc<Session>, mut client: LiveClient, way: u64, code: Option<u16>) {
    let session_of_task = Rc::clone(session);
    match way {
        0 => client.reset(),
        1 => client.quit(),
        2 => {
            client.half_close();
            session.start(async move { session_of_task.await_server_end(client).await });
        }
        _ => {
            client.close(code);
            session.start(async move { session_of_task.await_server_end(client).await });
        }
    }
}

/// Many clients connect at once, and leave without a Close.
async fn storm(session: Rc<Session>, lane: u32) {
    for cycle in [2, 3] {
        session.wait(cycle, 0.55).await;
        let mut clients = Vec::new();
        for _ in (lane..STORM).step_by(AT_ONCE as usize) {
            clients.extend(session.connect("client of a storm of connections").await);
        }
        for (index, client) in clients.into_iter().enumerate() {
            if index % 2 == 0 { client.reset() } else { client.quit() }
        }
    }
}

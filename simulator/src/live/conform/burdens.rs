//! Clients that must not make others wait: they flood, do not read, and stop in the middle (G10, G11, G13).

use std::rc::Rc;
use std::time::Duration;

use super::session::Session;
use crate::live::client::LiveClient;
use crate::live::run_state::SocketOptions;
use crate::network::link::End;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::script::verb::Utterance;
use crate::wire::offence::Offence;
use crate::wire::text::Text;

/// The receive buffer of a client that does not read: the smaller it is, the sooner the server has to hold what it owes.
const SMALL_WINDOW: u32 = 4096;

/// A flooder's texts.
const FLOOD_TEXT: u32 = 32 << 10;
const FLOOD_PAUSE: Duration = Duration::from_millis(4);

/// What a server may have taken from a client that reads none of its echoes: far more than all buffers of the system on
/// the way there and back. Beyond it the server holds the echoes, without a bound, or has lost them.
const FLOOD_LIMIT: usize = 32 << 20;

pub(super) fn start(session: &Rc<Session>) {
    if session.tries(Guarantee::G10) || session.tries(Guarantee::G13) {
        session.start(lay_on(Rc::clone(session)));
    }
    if session.tries(Guarantee::G13) && session.options.ping_interval.is_some() {
        session.start(die(Rc::clone(session)));
        session.start(live_quietly(Rc::clone(session)));
    }
}

async fn lay_on(session: Rc<Session>) {
    let cycle = session.options.cycles / 2;
    session.wait(cycle, 0.5).await;
    let now = session.state.now();
    session.state.judge.borrow_mut().burdened_since = Some(now);
    session.start(flood(Rc::clone(&session)));
    session.start(never_read(Rc::clone(&session)));
    for _ in 0..2 {
        session.start(stop_in_a_frame(Rc::clone(&session)));
        session.start(stop_in_the_handshake(Rc::clone(&session)));
    }
}

/// A client that does not read from now on.
async fn deaf(session: &Session, role: &'static str) -> Option<LiveClient> {
    let mut client = LiveClient::connect_narrow(&session.state, role, SMALL_WINDOW).await.ok()?;
    client.fence().await;
    client.drop_out();
    client.set_reading(false);
    Some(client)
}

async fn never_read(session: Rc<Session>) {
    let Some(mut client) = deaf(&session, "never-reader").await else { return };
    while !session.is_over() && client.end.is_none() {
        client.attend(client.now() + session.period() / 20).await;
    }
    client.reset();
}

/// Sends texts as fast as they are taken, and reads none of their echoes until it is known how many that are.
async fn flood(session: Rc<Session>) {
    let Some(mut client) = deaf(&session, "flooder").await else { return };
    let length = FLOOD_TEXT.min(session.options.longest() as u32);
    let (mut taken, until) = (0, session.instant(session.options.cycles, 0.1));
    while session.state.now() < until && taken < FLOOD_LIMIT && !client.is_refused() {
        if !client.has_unsent() {
            taken += length as usize;
            let number = client.next_number();
            client.say(&[Utterance::Text(Text::Probe { number, length })]);
            client.connection.core.forget_echoes();
        }
        client.attend(client.now() + FLOOD_PAUSE).await;
    }
    // A server that has given up on it reads on for a while, and throws away what it reads.
    let mut was_kept = taken >= FLOOD_LIMIT;
    if was_kept {
        client.set_reading(true);
        client.attend(client.now() + session.state.patience).await;
        was_kept = client.is_open();
    }
    report_flood(&session, &client, taken, was_kept);
    while !session.is_over() {
        session.state.pulse.sleep(session.period() / 20).await;
    }
    client.reset();
}

fn report_flood(session: &Session, client: &LiveClient, taken: usize, was_kept: bool) {
    let mebibytes = taken >> 20;
    let (now, number) = (session.state.now(), client.number());
    let mut judge = session.state.judge.borrow_mut();
    if was_kept {
        let detail = format!(
            "flooder: {mebibytes} MiB were taken from a client that read none of its echoes, on a connection that was \
             kept: the server holds them without a bound, or has lost them"
        );
        judge.violate(Guarantee::G10, Fault::Leaked, now, number, detail);
    } else {
        judge.find(Guarantee::G10, format!("a flooder that never reads got rid of {mebibytes} MiB"));
    }
}

/// Half of a frame, then silence.
async fn stop_in_a_frame(session: Rc<Session>) {
    let Some(mut client) = session.admit("client that stops in a frame").await else { return };
    client.drop_out();
    client.offend(Offence::Truncated, session.options.longest());
    while !session.is_over() && client.end.is_none() {
        client.attend(client.now() + session.period() / 20).await;
    }
    client.reset();
}

/// Half of a request, then silence.
async fn stop_in_the_handshake(session: Rc<Session>) {
    let Ok(mut transport) = session.state.open(SocketOptions::default()).await else { return };
    let begun = format!("GET {} HTTP/1.1\r\nHost: x\r\nUpgr", session.state.address.target);
    if transport.write_all(begun.as_bytes()).await.is_err() {
        return;
    }
    while !session.is_over() {
        session.state.pulse.sleep(session.period() / 20).await;
    }
}

/// Neither speaks nor answers pings: it must be cut off after twice the ping interval.
async fn die(session: Rc<Session>) {
    let Some(interval) = session.options.ping_interval else { return };
    let Some(mut client) = session.admit("dead client").await else { return };
    client.drop_out();
    client.answers_pings = false;
    let silent_since = client.now();
    // Twice the interval, a quarter of it for the server's own timers, and what is under way.
    let bound = silent_since + interval * 9 / 4 + session.state.patience;
    let is_cut =
        client.attend_until(bound, |client| client.end.is_some() || client.close_code.is_some()).await;
    let now = client.now();
    let number = client.number();
    let lasted = now.since(silent_since);
    let mut judge = session.state.judge.borrow_mut();
    if is_cut && client.end != Some(End::Reset) && lasted < interval {
        let detail =
            client.tale(&format!("cut off after {lasted:.1?} of silence; the ping interval is {interval:?}"));
        judge.violate(Guarantee::G13, Fault::Dropped, now, number, detail);
    } else if is_cut {
        judge.exercise(Guarantee::G13);
        judge.find(
            Guarantee::G13,
            format!("a client that answered no ping was found dead after {lasted:.1?}"),
        );
    } else if !session.is_over() {
        let detail = client.tale(&format!("silent for {lasted:.1?}, and still connected"));
        judge.violate(Guarantee::G13, Fault::Leaked, now, number, detail);
    }
}

/// Says nothing, but answers pings: it must stay, and get its pushes.
async fn live_quietly(session: Rc<Session>) {
    let Some(client) = session.admit("quiet client that answers pings").await else { return };
    session.stay(client).await;
}

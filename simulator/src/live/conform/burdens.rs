//! Clients that must not delay others: they flood, do not read, and stop in the middle (G10, G11, G13).

use std::rc::Rc;
use std::time::Duration;

use super::session::Session;
use crate::live::client::LiveClient;
use crate::live::run_state::SocketOptions;
use crate::network::link::End;
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::Fault;
use crate::script::verb::Utterance;
use crate::units::format_size;
use crate::wire::offence::Offence;
use crate::wire::text::Text;

/// The receive buffer of a client that does not read, in bytes. The smaller it is, the sooner the server has to
/// queue.
const SMALL_WINDOW: u32 = 4096;

/// The length of a flooder's texts in bytes, and the bytes after which it waits, in which time the server serves others.
const FLOOD_TEXT: u32 = 32 << 10;
const FLOOD_PORTION: usize = 32 << 10;
const FLOOD_PAUSE: Duration = Duration::from_millis(4);

/// From this total on the texts are as long as the server accepts, and the portions larger: most servers have stopped
/// the flood by then.
const FLOOD_FASTER: usize = 8 << 20;
const FLOOD_LARGE_TEXT: u32 = 256 << 10;
const FLOOD_LARGE_PORTION: usize = 1 << 20;

/// How many bytes a server may accept from a client that reads no echoes, if its owner states no bound: far more than
/// any sensible one. Beyond it the server queues the echoes without a bound, or has lost them.
const FLOOD_LIMIT: usize = 96 << 20;

/// A flood that nothing has stopped beyond this is at least suspect: it is more than a bound of 32 MiB and the
/// system's buffers.
const SUSPECT: usize = 48 << 20;

/// The most that all buffers of the system on both ways hold, beside what the server itself holds.
const SYSTEM_BUFFERS: usize = 16 << 20;

pub(super) fn start(session: &Rc<Session>) {
    if session.tries(Guarantee::G10) || session.tries(Guarantee::G13) {
        session.start(add_burdens(Rc::clone(session)));
    }
    if session.tries(Guarantee::G13) && session.options.ping_interval.is_some() {
        session.start(go_silent(Rc::clone(session)));
        session.start(answer_pings_only(Rc::clone(session)));
    }
}

async fn add_burdens(session: Rc<Session>) {
    // The flood needs time to show whether the server ever stops it.
    session.wait((session.options.cycles * 3 / 8).max(2), 0.5).await;
    let now = session.state.now();
    session.state.judge.borrow_mut().burdened_since = Some(now);
    session.start(flood(Rc::clone(&session)));
    session.wait(session.options.cycles / 2, 0.5).await;
    session.start(never_read(Rc::clone(&session)));
    for _ in 0..2 {
        session.start(stop_in_a_frame(Rc::clone(&session)));
        session.start(stop_in_the_handshake(Rc::clone(&session)));
    }
}

/// Connects a client that stops reading.
async fn connect_non_reader(session: &Session, role: &'static str) -> Option<LiveClient> {
    let mut client = LiveClient::connect_with_window(&session.state, role, SMALL_WINDOW).await.ok()?;
    client.fence().await;
    client.exclude();
    client.set_reading(false);
    Some(client)
}

async fn never_read(session: Rc<Session>) {
    let Some(mut client) = connect_non_reader(&session, "client that never reads").await else { return };
    while !session.is_over() && client.end.is_none() {
        client.process_until(client.now() + session.period() / 20).await;
    }
    client.reset();
}

/// Sends texts as fast as the server accepts them, in portions. Reads no echoes until the total is known.
async fn flood(session: Rc<Session>) {
    let Some(mut client) = connect_non_reader(&session, "flooder").await else { return };
    let stated = session.options.outbox_limit;
    let limit = stated.map_or(FLOOD_LIMIT, |bound| bound.saturating_add(SYSTEM_BUFFERS));
    let (taken, is_stopped) = flood_until(&session, &mut client, limit).await;
    // A server that has ended the connection may go on reading for a while and discard what it reads.
    let is_beyond = taken > limit;
    let mut was_kept = !client.is_refused();
    if is_beyond {
        client.set_reading(true);
        client.process_until(client.now() + session.state.patience).await;
        was_kept = client.is_open();
    }
    let end = match () {
        () if is_beyond && was_kept => FloodEnd::Boundless,
        () if was_kept && !is_stopped && taken > SUSPECT && stated.is_none() => FloodEnd::Unstopped,
        () => FloodEnd::Bounded,
    };
    report_flood(&session, &client, taken, end);
    while !session.is_over() {
        session.state.pulse.sleep(session.period() / 20).await;
    }
    client.reset();
}

/// How a flood ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FloodEnd {
    /// The server read no more, or ended the connection.
    Bounded,
    /// The time was over before the server stopped it.
    Unstopped,
    /// The server took more than any sensible bound.
    Boundless,
}

/// Sends until the server accepts no more, or more than `limit`. Returns how many bytes the system or the server took,
/// and whether the server stopped the flood.
async fn flood_until(session: &Session, client: &mut LiveClient, limit: usize) -> (usize, bool) {
    let longest = session.options.longest() as u32;
    let (mut taken, mut portion) = (0, 0);
    let mut moved_at = client.now();
    while !session.is_over() && taken <= limit && !client.is_refused() {
        if client.has_unsent() {
            let unsent = client.unsent();
            client.process_until_done(client.now() + FLOOD_PAUSE, |client| !client.has_unsent()).await;
            if client.unsent() < unsent {
                moved_at = client.now();
            }
            if client.now().since(moved_at) > session.state.patience {
                break;
            }
            continue;
        }
        let is_fast = taken >= FLOOD_FASTER;
        let length = if is_fast { FLOOD_LARGE_TEXT } else { FLOOD_TEXT }.min(longest);
        let number = client.next_number();
        client.say(&[Utterance::Text(Text::Probe { number, length })]);
        client.connection.core.forget_echoes();
        (taken, portion) = (taken + length as usize, portion + length as usize);
        if portion >= if is_fast { FLOOD_LARGE_PORTION } else { FLOOD_PORTION } {
            portion = 0;
            client.process_until(client.now() + FLOOD_PAUSE).await;
        }
    }
    let is_stopped = client.now().since(moved_at) > session.period() / 2 && client.has_unsent();
    (taken.saturating_sub(client.unsent()), is_stopped)
}

fn report_flood(session: &Session, client: &LiveClient, taken: usize, end: FloodEnd) {
    let mebibytes = taken as f64 / f64::from(1 << 20);
    let (now, number) = (session.state.now(), client.number());
    let mut judge = session.state.judge.borrow_mut();
    match end {
        FloodEnd::Boundless => {}
        FloodEnd::Bounded => {
            let sentence = format!("a flooder that never reads got rid of {mebibytes:.1} MiB");
            return judge.add_finding(Guarantee::G10, sentence);
        }
        FloodEnd::Unstopped => {
            let sentence = format!(
                "a flooder that never reads got rid of {mebibytes:.1} MiB, and nothing stopped it until the trial was \
                 over: more --cycles would show whether there is a bound, or --outbox-limit can state it"
            );
            return judge.leave_undecided(Guarantee::G10, sentence);
        }
    }
    let bound = match session.options.outbox_limit {
        Some(bound) => format!(
            "the stated bound of {} and {} for the system's buffers are less",
            format_size(bound),
            format_size(SYSTEM_BUFFERS)
        ),
        None => "the server holds them without a bound, or has lost them".to_owned(),
    };
    let detail = format!(
        "flooder: {mebibytes:.0} MiB were taken from a client that read none of its echoes, on a connection that was \
         kept: {bound}"
    );
    judge.violate(Guarantee::G10, Fault::Leaked, now, number, detail);
}

/// Sends half of a frame, then nothing.
async fn stop_in_a_frame(session: Rc<Session>) {
    let Some(mut client) = session.connect_and_fence("client that stops in a frame").await else { return };
    client.exclude();
    client.offend(Offence::Truncated, session.options.longest());
    while !session.is_over() && client.end.is_none() {
        client.process_until(client.now() + session.period() / 20).await;
    }
    client.reset();
}

/// Sends half of a request, then nothing.
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

/// Sends nothing and answers no ping: the server must end the connection after twice the ping interval.
async fn go_silent(session: Rc<Session>) {
    let Some(interval) = session.options.ping_interval else { return };
    let Some(mut client) = session.connect_and_fence("dead client").await else { return };
    client.exclude();
    client.answers_pings = false;
    let silent_since = client.now();
    // Twice the interval, a quarter of it for the server's own timers, and the time in flight.
    let bound = silent_since + interval * 9 / 4 + session.state.patience;
    let is_cut =
        client.process_until_done(bound, |client| client.end.is_some() || client.close_code.is_some()).await;
    let now = client.now();
    let number = client.number();
    let lasted = now.since(silent_since);
    let mut judge = session.state.judge.borrow_mut();
    if is_cut && client.end != Some(End::Reset) && lasted < interval {
        let detail = client
            .with_story(&format!("cut off after {lasted:.1?} of silence; the ping interval is {interval:?}"));
        judge.violate(Guarantee::G13, Fault::Dropped, now, number, detail);
    } else if is_cut {
        judge.exercise(Guarantee::G13);
        judge.add_finding(
            Guarantee::G13,
            format!("a client that answered no ping was found dead after {lasted:.1?}"),
        );
    } else if !session.is_over() {
        let detail = client.with_story(&format!("silent for {lasted:.1?}, and still connected"));
        judge.violate(Guarantee::G13, Fault::Leaked, now, number, detail);
    }
}

/// Sends nothing but answers pings: the client must stay connected and get its pushes.
async fn answer_pings_only(session: Rc<Session>) {
    let Some(client) = session.connect_and_fence("quiet client that answers pings").await else { return };
    session.stay_to_the_end(client).await;
}

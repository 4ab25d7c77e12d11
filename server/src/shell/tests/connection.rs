//! The connection task and the timer loop over scripted streams, on a paused runtime.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio_test::io::{Builder, Mock};
use tokio_test::task as by_hand;
use tokio_test::{assert_pending, assert_ready};

use crate::client_frames::text as client_text;
use crate::config::Config;
use crate::hub::SLICE;
use crate::shell::shard::connection::Connection;
use crate::shell::shard::socket::Socket;
use crate::shell::tests::scripted::*;

impl Socket for Mock {}

/// Runs `test` with a shard whose timer loop runs.
async fn with_fixture<S: Socket, F: Future<Output = ()>>(config: Config, test: impl FnOnce(Fixture<S>) -> F) {
    let local = LocalSet::new();
    local
        .run_until(async move {
            let fixture = Fixture::new(config);
            spawn_local(fixture.shard.run());
            test(fixture).await;
        })
        .await;
}

/// Lets all tasks do their work: a paused clock moves only when all tasks wait.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn connect(fixture: &Fixture<Scripted>) -> (Peer, JoinHandle<()>) {
    let peer = Peer::upgrading();
    let task = spawn_local(fixture.shard.serve(peer.stream(), true));
    settle().await;
    assert_eq!(peer.received(), RESPONSE);
    assert_eq!(fixture.events.take(), ["connected"]);
    (peer, task)
}

/// A configuration in which no client is pinged during a test of a few cycles.
fn quiet() -> Config {
    Config { ping_interval: 100 * PERIOD, ..Config::default() }
}

#[test]
fn the_task_of_a_connection_is_16_bytes() {
    assert_eq!(size_of::<Connection<tokio::net::TcpStream>>(), 16);
}

#[tokio::test(start_paused = true)]
async fn input_may_come_byte_by_byte() {
    with_fixture(quiet(), async |fixture| {
        let mut script = Builder::new();
        for byte in REQUEST {
            script.read(std::slice::from_ref(byte));
        }
        script.write(RESPONSE);
        for byte in client_text("Hello, Server!") {
            script.read(&[byte]);
        }
        script.write(&server_text("Server received: Hello, Server!"));
        // The mock ends the stream after its script, and panics if it is dropped before the script's end.
        fixture.shard.serve(script.build(), true).await;
        assert_eq!(fixture.events.take(), ["connected", "received", "disconnected"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn commands_in_one_piece_with_the_request_are_served() {
    with_fixture(quiet(), async |fixture| {
        let input = [REQUEST, &client_text("unsubscribe"), &client_text("a"), &client_text("b")].concat();
        let answers = [server_text("Server received: a"), server_text("Server received: b")].concat();
        let mut script = Builder::new();
        script.read(&input).write(&[RESPONSE, &answers].concat()).wait(2 * PERIOD);
        fixture.shard.serve(script.build(), true).await;
        assert_eq!(fixture.shard.counters().deliveries, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_the_connection() {
    with_fixture(quiet(), async |fixture| {
        let reset = std::io::ErrorKind::ConnectionReset.into();
        let wait = Duration::from_secs(1);
        // The builder must be dropped, as the mock needs the only handle to the error.
        let stream = Builder::new().read(REQUEST).write(RESPONSE).wait(wait).read_error(reset).build();
        fixture.shard.serve(stream, true).await;
        assert_eq!(fixture.events.take(), ["connected", "disconnected"]);
        assert_eq!(fixture.shard.census(), Default::default());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn writes_that_are_accepted_in_part_arrive_whole_and_in_order() {
    with_fixture(quiet(), async |fixture| {
        let (peer, _task) = connect(&fixture).await;
        peer.plan([Write::Take(3), Write::Take(1), Write::Block, Write::Take(7)]);
        peer.send_text("one");
        settle().await;
        let whole = server_text("Server received: one");
        assert_eq!(peer.received(), whole[..4]);
        peer.send_text("two");
        settle().await;
        assert_eq!(peer.received(), b"", "the stream is blocked");
        peer.unblock();
        settle().await;
        let rest = [&whole[4..], &server_text("Server received: two")].concat();
        assert_eq!(peer.received(), rest);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_push_that_was_cut_is_finished_before_anything_else() {
    with_fixture(quiet(), async |fixture| {
        let (peer, _task) = connect(&fixture).await;
        peer.plan([Write::Take(5), Write::Block]);
        tokio::time::sleep(PERIOD).await;
        assert_eq!(peer.received(), push(1)[..5]);
        peer.send_text("echo");
        tokio::time::sleep(PERIOD).await;
        peer.unblock();
        settle().await;
        let echo = server_text("Server received: echo");
        assert_eq!(peer.received(), [&push(1)[5..], &echo, &push(2)].concat());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_blocked_and_a_failed_connection_delay_no_other() {
    with_fixture(quiet(), async |fixture| {
        let (blocked, _blocked_task) = connect(&fixture).await;
        let (failing, failing_task) = connect(&fixture).await;
        let (healthy, _healthy_task) = connect(&fixture).await;
        blocked.plan([Write::Take(5), Write::Block]);
        failing.plan([Write::Fail]);
        tokio::time::sleep(PERIOD).await;
        assert_eq!(healthy.received(), push(1));
        failing_task.await.unwrap();
        assert!(failing.is_dropped());
        assert_eq!(fixture.events.take(), ["pushed", "disconnected"]);
        assert_eq!(blocked.received(), push(1)[..5]);
        blocked.unblock();
        settle().await;
        assert_eq!(blocked.received(), push(1)[5..]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_client_leaves_in_the_middle_of_a_frame_the_shard_holds_nothing_of_it() {
    with_fixture(quiet(), async |fixture| {
        let (peer, task) = connect(&fixture).await;
        peer.send(Read::Bytes(client_text("Hello, Server!")[..9].to_vec()));
        settle().await;
        assert!(fixture.shard.census().held > 0);
        peer.send(Read::End);
        task.await.unwrap();
        assert_eq!(peer.received(), b"");
        assert!(peer.is_dropped());
        assert!(!peer.is_aborted(), "unsent bytes may still arrive");
        assert_eq!(fixture.shard.census(), Default::default());
        assert_eq!(fixture.events.take(), ["disconnected"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_noticed_while_a_push_waits() {
    with_fixture(quiet(), async |fixture| {
        let (peer, task) = connect(&fixture).await;
        peer.plan([Write::Take(5), Write::Block]);
        tokio::time::sleep(PERIOD).await;
        assert_eq!(fixture.shard.census().held, push(1).len() - 5);
        peer.send(Read::Reset);
        task.await.unwrap();
        assert!(peer.is_dropped());
        assert_eq!(fixture.shard.census(), Default::default());
        assert_eq!(fixture.events.take(), ["pushed", "disconnected"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn input_of_a_client_that_reads_no_echoes_stalls_and_no_echo_is_lost() {
    let config = Config { max_message: 100, outbox_limit: 254, ..quiet() };
    with_fixture(config, async |fixture| {
        let (peer, _task) = connect(&fixture).await;
        peer.plan([Write::Block]);
        // Two echoes of 2 + 17 + 100 bytes are more than half of 254, so the second piece is refused.
        let text = |index: usize| format!("{index:0>100}");
        for index in 0..10 {
            let piece = [client_text(&text(2 * index)), client_text(&text(2 * index + 1))];
            peer.send(Read::Bytes(piece.concat()));
        }
        settle().await;
        assert_eq!(peer.unread(), 8, "nothing is read after the refused piece");
        peer.unblock();
        settle().await;
        let echoes: Vec<u8> =
            (0..20).flat_map(|index| server_text(&format!("Server received: {}", text(index)))).collect();
        assert_eq!(peer.received(), echoes);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn at_most_half_an_outbox_is_read_of_a_flood_that_cannot_be_answered() {
    const OUTBOX_LIMIT: usize = 16 << 10;
    let config = Config { max_message: 1 << 10, outbox_limit: OUTBOX_LIMIT, ..quiet() };
    with_fixture(config, async |fixture| {
        let (peer, _task) = connect(&fixture).await;
        peer.plan([Write::Block]);
        let flood: Vec<u8> = (0..1000).flat_map(|_| client_text(&"x".repeat(100))).collect();
        let length = flood.len();
        peer.send(Read::Bytes(flood));
        settle().await;
        let read = length - peer.unread_bytes();
        assert!((1..=OUTBOX_LIMIT / 2).contains(&read), "{read} bytes for an outbox of {OUTBOX_LIMIT}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_too_slow_for_pushes_is_closed_with_1013_and_its_input_is_discarded() {
    let config = Config { max_message: 100, outbox_limit: 254, ..quiet() };
    with_fixture(config, async |fixture| {
        let (peer, task) = connect(&fixture).await;
        peer.plan([Write::Block]);
        // Two echoes of 119 bytes stall the input, and with a push of 44 they are more than 254.
        (0..5).for_each(|_| peer.send_text(&"x".repeat(100)));
        settle().await;
        assert_eq!(peer.unread(), 2, "stalled, with one refused piece");
        tokio::time::sleep(PERIOD).await;
        assert_eq!(peer.unread(), 0);
        peer.unblock();
        settle().await;
        let sentence = "pushes were not read in time; reconnect and read faster";
        assert_eq!(peer.received(), server_close(1013, sentence));
        peer.send(Read::End);
        task.await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn commands_are_served_between_the_slices_of_a_fan_out() {
    with_fixture(quiet(), async |fixture| {
        let mut peers = Vec::new();
        for _ in 0..4 * SLICE {
            peers.push(connect(&fixture).await.0);
        }
        for peer in &peers {
            peer.answer_the_next_write("Heartbeat");
        }
        tokio::time::sleep(PERIOD).await;
        let events = fixture.events.take();
        let pushed = events.iter().position(|event| *event == "pushed").unwrap();
        let answered = events[..pushed].iter().filter(|event| **event == "received").count();
        assert_eq!(answered, 3 * SLICE, "the last slice ends the fan-out before its own answers");
        let echo = server_text("Server received: Heartbeat");
        for peer in peers {
            assert_eq!(peer.received(), [&push(1)[..], &echo].concat());
        }
    })
    .await;
}

/// A storm of handshakes wakes thousands of tasks before the timer loop gets its turn. Here the timer loop does not
/// run.
#[tokio::test(start_paused = true)]
async fn a_due_push_waits_at_most_five_milliseconds_for_other_tasks() {
    let fixture = Fixture::<Scripted>::new(quiet());
    let mut timers = by_hand::spawn(fixture.shard.run());
    assert_pending!(timers.poll());
    let peers: Vec<_> = (0..=SLICE).map(|_| Peer::upgrading()).collect();
    let mut tasks: Vec<_> =
        peers.iter().map(|peer| by_hand::spawn(fixture.shard.serve(peer.stream(), true))).collect();
    let mut turn = || tasks.iter_mut().for_each(|task| assert_pending!(task.poll()));
    let pushed = || peers.iter().filter(|peer| peer.received() == push(1)).count();
    turn();
    assert_eq!(pushed(), 0, "the response is not a push");
    tokio::time::advance(PERIOD - Duration::from_millis(1)).await;
    // The handshakes before their timeout are two slices.
    (0..2).for_each(|_| assert_pending!(timers.poll()));
    // The work is seen at once and begun after more than 5 ms. The same holds for the second slice.
    for (passed, served) in [(1, 0), (5, 0), (1, SLICE), (5, 0), (1, 1)] {
        tokio::time::advance(Duration::from_millis(passed)).await;
        turn();
        assert_eq!(pushed(), served);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_request_gets_408_and_is_then_cut_off() {
    with_fixture(Config::default(), async |fixture| {
        let peer = Peer::default();
        let task = spawn_local(fixture.shard.serve(peer.stream(), true));
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert!(peer.received().starts_with(b"HTTP/1.1 408 "));
        assert!(peer.is_shut() && !peer.is_dropped());
        task.await.unwrap();
        assert!(peer.is_aborted() && peer.is_dropped());
        assert_eq!(fixture.events.take(), ["refused"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_admitted_gets_503() {
    with_fixture(Config::default(), async |fixture| {
        let peer = Peer::upgrading();
        let task = spawn_local(fixture.shard.serve(peer.stream(), false));
        settle().await;
        assert!(peer.received().starts_with(b"HTTP/1.1 503 "));
        assert!(peer.is_shut());
        peer.send(Read::End);
        task.await.unwrap();
        assert!(!peer.is_aborted());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_sends_1001_behind_the_queued_output_and_ends() {
    with_fixture(quiet(), async |fixture| {
        let (polite, _polite_task) = connect(&fixture).await;
        let (silent, _silent_task) = connect(&fixture).await;
        polite.plan([Write::Block]);
        polite.send_text("last words");
        settle().await;
        fixture.announcer.lock().unwrap().stop();
        fixture.shard.drain();
        let mut emptied = by_hand::spawn(fixture.shard.emptied());
        assert_pending!(emptied.poll());
        polite.unblock();
        settle().await;
        let goodbye = server_close(1001, "the server is shutting down");
        let echo = server_text("Server received: last words");
        assert_eq!(polite.received(), [&echo[..], &goodbye].concat());
        assert!(polite.is_shut());
        polite.send(Read::End);
        settle().await;
        assert_pending!(emptied.poll(), "the silent client has five seconds");
        assert_eq!(silent.received(), goodbye);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_ready!(emptied.poll());
        assert!(silent.is_aborted() && !polite.is_aborted());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_push_that_was_announced_before_the_drain_is_delivered() {
    let fixture = Fixture::<Scripted>::new(quiet());
    let peer = Peer::upgrading();
    let mut task = by_hand::spawn(fixture.shard.serve(peer.stream(), true));
    assert_pending!(task.poll());
    peer.received();
    tokio::time::advance(PERIOD).await;
    let now = fixture.now();
    fixture.announcer.lock().unwrap().handle_timeout(now);
    fixture.announcer.lock().unwrap().stop();
    fixture.shard.drain();
    let goodbye = server_close(1001, "the server is shutting down");
    assert_eq!(peer.received(), [&push(1)[..], &goodbye].concat());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_dropped_cuts_its_client_off() {
    with_fixture(quiet(), async |fixture| {
        let (peer, task) = connect(&fixture).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(peer.is_aborted() && peer.is_dropped());
        assert_eq!(fixture.shard.census(), Default::default());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_slot_was_reused_does_not_touch_the_new_connection() {
    let fixture = Fixture::<Scripted>::new(Config::default());
    let mut timers = by_hand::spawn(fixture.shard.run());
    let mut old = by_hand::spawn(fixture.shard.serve(Peer::default().stream(), true));
    assert_pending!(old.poll());
    for _ in 0..160 {
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_pending!(timers.poll());
    }
    assert_eq!(fixture.shard.census().connections, 0, "408 after 10 s, cut off after 15 s");
    let peer = Peer::upgrading();
    let mut new = by_hand::spawn(fixture.shard.serve(peer.stream(), true));
    assert_ready!(old.poll());
    drop(old);
    assert_pending!(new.poll());
    assert_eq!(peer.received(), RESPONSE);
}

#[tokio::test(start_paused = true)]
async fn other_tasks_get_their_turn_during_a_large_input() {
    let fixture = Fixture::<Scripted>::new(quiet());
    let peer = Peer::upgrading();
    for _ in 0..100 {
        peer.send_text("Heartbeat");
    }
    let mut task = by_hand::spawn(fixture.shard.serve(peer.stream(), true));
    let mut polls = 0;
    while peer.unread() > 0 {
        assert_pending!(task.poll());
        assert!(peer.unread() == 0 || task.is_woken(), "the task wakes itself for the rest");
        polls += 1;
    }
    assert_eq!(polls, 26, "101 pieces, four at a time");
}

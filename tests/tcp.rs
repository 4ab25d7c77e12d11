//! The whole server over loopback, with clients of tokio-tungstenite and with sockets that send what no library sends.
//!
//! Every test runs with each kind of fan-out. No test measures time. Where an event must not happen, the pushes of
//! another client prove that cycles went by.

#![expect(clippy::unwrap_used, reason = "these are the bodies of tests; a macro makes the tests of them")]

use std::num::NonZeroUsize;
use std::time::Duration;

use carillon_server::shell::{Fanout, FanoutChoice, Options};
use chrono::{NaiveDateTime, TimeDelta};
use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::frames::{self, CLOSE, Heard, REQUEST};
use crate::support::raw::Raw;
use crate::support::server::{Client, Running, fence, next_text, pushes, say};
use crate::support::soon;

/// Makes a test of each function for each kind of fan-out.
macro_rules! each_way {
    ($($test:ident,)*) => {
        mod portable {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::FanoutChoice::Portable).await;
            })*
        }

        #[cfg(target_os = "linux")]
        mod uring {
            $(#[tokio::test]
            async fn $test() {
                match super::Fanout::uring() {
                    Ok(_) => super::$test(super::FanoutChoice::Uring).await,
                    Err(error) => println!("skipped: there is no io_uring: {error}"),
                }
            })*
        }
    };
}

each_way! {
    clients_of_two_shards_get_the_same_text_every_second,
    each_of_three_hundred_subscribers_gets_a_cycle_once,
    nothing_is_pushed_between_the_fence_of_an_unsubscribe_and_the_next_subscribe,
    a_client_that_comes_back_is_subscribed,
    texts_of_any_length_and_script_come_back_byte_for_byte,
    echoes_keep_the_order_of_a_thousand_messages,
    pings_are_answered_and_commands_and_binary_messages_are_not,
    messages_sent_directly_after_the_request_are_served,
    input_may_arrive_byte_by_byte,
    a_close_is_answered_with_its_own_code_or_1000_if_it_has_none,
    each_offence_gets_its_code_and_harms_no_other_client,
    an_invalid_handshake_is_refused_with_its_status,
    a_client_beyond_the_limit_gets_503_until_another_leaves,
    a_client_that_floods_and_never_reads_is_closed_with_1013_and_delays_no_other,
    a_flood_that_is_read_late_loses_no_echo,
    a_client_that_reads_slowly_and_steadily_is_not_cut_off,
    a_silent_client_is_pinged_and_cut_off_and_one_that_sends_is_not,
    a_drain_closes_every_reader_with_1001_and_cuts_off_the_rest,
    the_place_of_a_client_is_free_after_every_kind_of_end,
    a_client_that_leaves_in_the_middle_of_a_handshake_holds_no_place,
}

const NOTHING: [String; 0] = [];

async fn clients_of_two_shards_get_the_same_text_every_second(fanout: FanoutChoice) {
    let server = start(fanout, Options { period: Duration::from_secs(1), ..two_shards() });
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    let (mut one, mut two) = (next_push(&mut first).await, next_push(&mut second).await);
    // One of them may have been connected one cycle longer.
    while one < two {
        one = next_push(&mut first).await;
    }
    while two < one {
        two = next_push(&mut second).await;
    }
    assert_eq!(one, two);
    assert_eq!(next_push(&mut first).await - one, TimeDelta::seconds(1));
}

async fn each_of_three_hundred_subscribers_gets_a_cycle_once(fanout: FanoutChoice) {
    // They are more than one slice of 256 on one shard. With a period of a second all texts differ.
    let options =
        Options { shards: NonZeroUsize::new(1), period: Duration::from_secs(1), ..Options::default() };
    let server = start(fanout, options);
    let mut clients = join_all((0..300).map(|_| server.connect())).await;
    let heard = pushes(&mut server.connect().await, 2).await;
    // The first of the two pushes was complete before the second was due.
    for client in &mut clients {
        let pushes = fence(client, "which ones?").await;
        let count = pushes.iter().filter(|push| **push == heard[0]).count();
        assert_eq!(count, 1, "{:?} in {pushes:?}", heard[0]);
    }
}

async fn nothing_is_pushed_between_the_fence_of_an_unsubscribe_and_the_next_subscribe(fanout: FanoutChoice) {
    let server = start(fanout, quick());
    let (mut client, mut witness) = (server.connect().await, server.connect().await);
    for round in 0..3 {
        say(&mut client, "unsubscribe").await;
        fence(&mut client, &format!("off {round}")).await;
        fence(&mut witness, "here").await;
        pushes(&mut witness, 3).await;
        assert_eq!(fence(&mut client, &format!("still off {round}")).await, NOTHING);
        say(&mut client, "subscribe").await;
        pushes(&mut client, 3).await;
    }
}

async fn a_client_that_comes_back_is_subscribed(fanout: FanoutChoice) {
    let server = start(fanout, quick());
    let mut client = server.connect().await;
    say(&mut client, "unsubscribe").await;
    fence(&mut client, "off").await;
    drop(client);
    pushes(&mut server.connect().await, 1).await;
}

async fn texts_of_any_length_and_script_come_back_byte_for_byte(fanout: FanoutChoice) {
    let server = start(fanout, Options::default());
    let mut client = server.connect().await;
    // The limit is 64 KiB. The header of an echo grows at 126 and at 65,536 bytes, 17 of which are the prefix.
    let lengths = [108, 109, 65_518, 65_519, 65_536].map(|length| "x".repeat(length));
    let near_misses = ["Subscribe", " subscribe", "subscribe\n", "unsubscribed", ""];
    let others = ["Heartbeat", "\0", "你好，推送 🔔"];
    let largest = "é".repeat(32_768);
    let texts = near_misses.iter().chain(&others).copied().chain(lengths.iter().map(String::as_str));
    for text in texts.chain([largest.as_str()]) {
        say(&mut client, text).await;
        assert!(next_text(&mut client).await == format!("Server received: {text}"), "{} bytes", text.len());
    }
}

async fn echoes_keep_the_order_of_a_thousand_messages(fanout: FanoutChoice) {
    let server = start(fanout, Options::default());
    let (mut sink, mut stream) = server.connect().await.split();
    let talk = async {
        for number in 0..1000 {
            soon(sink.send(Message::text(number.to_string()))).await.unwrap();
        }
    };
    let listen = async {
        for number in 0..1000 {
            let echo = soon(stream.next()).await.unwrap().unwrap();
            assert_eq!(echo, Message::text(format!("Server received: {number}")));
        }
    };
    tokio::join!(talk, listen);
}

async fn pings_are_answered_and_commands_and_binary_messages_are_not(fanout: FanoutChoice) {
    let server = start(fanout, Options::default());
    let mut client = server.connect().await;
    let ping = b"are you there?".to_vec();
    let quiet = [Message::text("subscribe"), Message::binary(b"unsubscribe".to_vec())];
    for message in quiet.into_iter().chain([Message::Ping(ping.clone().into())]) {
        client.send(message).await.unwrap();
    }
    assert_eq!(soon(client.next()).await.unwrap().unwrap(), Message::Pong(ping.into()));
}

async fn messages_sent_directly_after_the_request_are_served(fanout: FanoutChoice) {
    let server = start(fanout, Options::default());
    let mut client = Raw::connect(server.address).await;
    client.send(&[REQUEST, &frames::text("Hello, Server!"), &frames::close(1000)].concat()).await;
    let echo = Heard::Text("Server received: Hello, Server!".to_owned());
    for heard in [Some(Heard::Response(101)), Some(echo), Some(Heard::Close(1000)), None] {
        assert_eq!(client.next().await, heard);
    }
}

async fn input_may_arrive_byte_by_byte(fanout: FanoutChoice) {
    let server = start(fanout, Options::default());
    let mut client = Raw::connect(server.address).await;
    // The second fragment begins in the middle of a character.
    for byte in [REQUEST, &frames::split_text("grün", 3, b"between"), &frames::close(4321)].concat() {
        client.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    let echo = Heard::Text("Server received: grün".to_owned());
    let pong = Heard::Pong(b"between".to_vec());
    for heard in [Some(Heard::Response(101)), Some(pong), Some(echo), Some(Heard::Close(4321)), None] {
        assert_eq!(client.next().await, heard);
    }
}

async fn a_close_is_answered_with_its_own_code_or_1000_if_it_has_none(fanout: FanoutChoice) {
    let server = start(fanout, Options::default());
    let closes =
        [(frames::close(1000), 1000), (frames::close(3000), 3000), (frames::frame(CLOSE, b""), 1000)];
    for (close, code) in closes {
        let mut client = Raw::open(server.address).await;
        client.send(&close).await;
        assert_eq!(client.next().await, Some(Heard::Close(code)));
        assert_eq!(client.next().await, None);
    }
}

async fn each_offence_gets_its_code_and_harms_no_other_client(fanout: FanoutChoice) {
    let mut server = start(fanout, two_shards());
    let mut bystander = server.connect().await;
    for (what, bytes, code) in frames::offences(64 << 10) {
        let mut client = Raw::open(server.address).await;
        client.send(&[frames::text("before"), bytes, frames::text("behind")].concat()).await;
        let echo = Heard::Text("Server received: before".to_owned());
        for heard in [Some(echo), Some(Heard::Close(code)), None] {
            assert_eq!(client.next().await, heard, "{what}");
        }
        client.hang_up().await;
        server.logged("Client disconnected. Total connections: 1").await;
        assert_eq!(fence(&mut bystander, what).await, NOTHING);
    }
}

async fn an_invalid_handshake_is_refused_with_its_status(fanout: FanoutChoice) {
    let server =
        start(fanout, Options { handshake_timeout: Duration::from_millis(50), ..Options::default() });
    let request = String::from_utf8_lossy(REQUEST);
    let large = format!("Cookie: {}\r\n\r\n", "x".repeat(8192));
    let cases = [
        (request.replace("/ws", "/other"), 404),
        (request.replace("Upgrade: websocket\r\n", ""), 426),
        (request.replace("Version: 13", "Version: 12"), 426),
        (request.replace("GET", "POST"), 400),
        (request.replace("dGhl", "===="), 400),
        ("\x16\x03\x01\x02 so TLS begins".to_owned(), 400),
        (request.replace("\r\n\r\n", &format!("\r\n{large}")), 431),
        (request.replace("\r\n\r\n", "\r\n"), 408),
    ];
    for (request, status) in cases {
        let mut client = Raw::connect(server.address).await;
        client.send(request.as_bytes()).await;
        assert_eq!(client.next().await, Some(Heard::Response(status)), "{request}");
        assert_eq!(client.next().await, None, "{request}");
    }
}

async fn a_client_beyond_the_limit_gets_503_until_another_leaves(fanout: FanoutChoice) {
    let mut server = start(fanout, Options { max_connections: Some(2), ..two_shards() });
    let (first, _second) = (server.connect().await, server.connect().await);
    for _ in 0..3 {
        let Err(Error::Http(response)) = server.try_connect().await else { panic!("there is no room") };
        assert_eq!(response.status(), 503);
    }
    drop(first);
    server.logged("Client disconnected. Total connections: 1").await;
    connect_when_there_is_room(&server).await;
}

async fn a_client_that_floods_and_never_reads_is_closed_with_1013_and_delays_no_other(fanout: FanoutChoice) {
    let mut server = start(fanout, narrow(Duration::from_millis(20)));
    let mut bystander = server.connect().await;
    let Raw { mut input, output } = Raw::open_narrow(server.address).await;
    // Echoes fill the kernel's buffers and half of the outbox; only pushes can fill the rest.
    let flood = tokio::spawn(flood(output));
    server.logged("Closing a connection: 1013").await;
    fence(&mut bystander, "now").await;
    pushes(&mut bystander, 3).await;
    let mut last = None;
    while let Some(heard) = input.next().await {
        last = Some(heard);
    }
    assert_eq!(last, Some(Heard::Close(1013)));
    flood.abort();
}

async fn a_flood_that_is_read_late_loses_no_echo(fanout: FanoutChoice) {
    // No push comes, so no outbox overflows: the outbox of 2,054 bytes and the kernel fill up, and the server stops
    // reading.
    let server = start(fanout, narrow(Duration::from_secs(300)));
    let Raw { mut input, mut output } = Raw::open_narrow(server.address).await;
    let mut sent = 0;
    // A write that takes this long succeeds only after the client reads. If not, the test is easier, but still right.
    let patience = Duration::from_millis(200);
    let mut text = frames::text(&numbered(sent));
    while let Ok(written) = tokio::time::timeout(patience, output.write_all_buf(&mut text.as_slice())).await {
        written.unwrap();
        sent += 1;
        text = frames::text(&numbered(sent));
    }
    for number in 0..sent {
        assert!(input.next().await == Some(Heard::Text(format!("Server received: {}", numbered(number)))));
    }
}

async fn a_client_that_reads_slowly_and_steadily_is_not_cut_off(fanout: FanoutChoice) {
    /// A client that is silent for twice this time is dead.
    const INTERVAL: Duration = Duration::from_millis(500);

    let server = start(fanout, Options { ping_interval: INTERVAL, ..Options::default() });
    let Raw { mut input, output } = Raw::open_narrow(server.address).await;
    let flood = tokio::spawn(flood(output));
    // The speed of a slow link: 100 KB a second, of the megabytes that the kernel might hold for it.
    for echo in 0..200 {
        assert!(input.next().await.is_some(), "cut off after {echo} echoes");
        tokio::time::sleep(INTERVAL / 50).await;
    }
    flood.abort();
}

async fn a_silent_client_is_pinged_and_cut_off_and_one_that_sends_is_not(fanout: FanoutChoice) {
    let server = start(fanout, Options { ping_interval: Duration::from_millis(500), ..two_shards() });
    let (mut silent, mut talker) = (Raw::open(server.address).await, server.connect().await);
    let talk = async {
        loop {
            fence(&mut talker, "Heartbeat").await;
        }
    };
    tokio::select! {
        heard = silent.next() => assert_eq!(heard, None, "no Close for a dead client"),
        () = talk => {}
    }
    assert_eq!(silent.input.pings, 1);
    fence(&mut talker, "Heartbeat").await;
}

async fn a_drain_closes_every_reader_with_1001_and_cuts_off_the_rest(fanout: FanoutChoice) {
    let close_timeout = Duration::from_millis(200);
    let server = start(fanout, Options { close_timeout, period: Duration::from_millis(20), ..two_shards() });
    let mut readers = join_all((0..10).map(|_| server.connect())).await;
    let _stubborn = Raw::open(server.address).await;
    let mut late = Raw::connect(server.address).await;
    late.send(&REQUEST[..20]).await;
    // A served client proves that the accept loop has accepted all earlier clients.
    readers.push(server.connect().await);
    for client in &mut readers {
        say(client, "goodbye").await;
    }
    fence(&mut readers[10], "all have been sent their Close").await;
    server.shut_down.send(()).unwrap();
    for client in &mut readers {
        assert_eq!(close_code(client).await, 1001);
        assert!(soon(client.next()).await.is_none());
    }
    assert_eq!(late.next().await, Some(Heard::Response(503)));
    drop((readers, late));
    soon(server.task).await.unwrap().unwrap();
}

async fn the_place_of_a_client_is_free_after_every_kind_of_end(fanout: FanoutChoice) {
    const COUNT: usize = 50;
    // A place becomes free just after its log line, so each of the two shards may lag by one place.
    let mut server = start(fanout, Options { max_connections: Some(COUNT + 2), ..two_shards() });
    for _ in 0..3 {
        let clients = join_all((0..COUNT).map(|_| Raw::open(server.address))).await;
        server.logged(&format!("Client connected. Total connections: {COUNT}")).await;
        for (number, mut client) in clients.into_iter().enumerate() {
            match number % 5 {
                0 => client.send(&frames::text("in the middle of")[..5]).await,
                1 => client.reset(),
                2 => client.send(&[frames::close(1000), frames::text("behind a Close")].concat()).await,
                3 => client.send(&frames::text("with a reply unread")).await,
                _ => client.hang_up().await,
            }
        }
        server.logged("Client disconnected. Total connections: 0").await;
    }
}

async fn a_client_that_leaves_in_the_middle_of_a_handshake_holds_no_place(fanout: FanoutChoice) {
    let server = start(fanout, Options { max_connections: Some(1), ..Options::default() });
    for end in [0, 1, 20, REQUEST.len() - 1] {
        let mut client = Raw::connect(server.address).await;
        client.send(&REQUEST[..end]).await;
        drop(client);
        connect_when_there_is_room(&server).await;
    }
}

fn start(fanout: FanoutChoice, options: Options) -> Running {
    Running::start(Options { fanout, ..options })
}

/// No push comes for five minutes.
fn two_shards() -> Options {
    Options { shards: NonZeroUsize::new(2), ..Options::default() }
}

fn quick() -> Options {
    Options { period: Duration::from_millis(50), ..two_shards() }
}

/// The smallest valid outbox for texts of 1,000 bytes: 2 × (10 + 17 + 1000).
fn narrow(period: Duration) -> Options {
    Options { period, max_message: 1000, outbox_limit: Some(2054), ..two_shards() }
}

/// Connects as soon as there is room: a place becomes free shortly after its client has left.
async fn connect_when_there_is_room(server: &Running) -> Client {
    loop {
        match server.try_connect().await {
            Ok(client) => return client,
            Err(error) => assert!(matches!(error, Error::Http(_)), "{error}"),
        }
    }
}

/// The instant of the next push.
async fn next_push(client: &mut Client) -> NaiveDateTime {
    let push = next_text(client).await;
    NaiveDateTime::parse_from_str(&push, "Server push message at %Y-%m-%d %H:%M:%S")
        .expect("the text of a push")
}

/// The code of the Close, which pushes and echoes may precede.
async fn close_code(client: &mut Client) -> u16 {
    loop {
        match soon(client.next()).await.expect("a Close comes first").expect("and no error") {
            Message::Close(Some(close)) => return close.code.into(),
            Message::Close(None) => panic!("a Close without a code"),
            _ => {}
        }
    }
}

/// Sends texts until the server reads no more.
async fn flood(mut output: OwnedWriteHalf) {
    let text = frames::text(&"x".repeat(1000));
    while output.write_all(&text).await.is_ok() {}
}

/// A text of 1,000 bytes.
fn numbered(number: usize) -> String {
    format!("{number:01000}")
}

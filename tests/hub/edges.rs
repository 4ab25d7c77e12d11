//! Single scripts on both sides of each limit.

use carillon_server::Counters;
use carillon_server::protocol::PUSH_PREFIX;
use proptest::collection::vec;
use proptest::prelude::*;

use super::play::Play;
use super::script::Bytes;
use super::script::Op::{self, *};
use super::script::Speech::{self, *};
use super::settings::{CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, PERIOD, PING_INTERVAL};
use crate::support::frames::Heard;

#[test]
fn an_outbox_at_its_limit_is_kept_and_one_byte_more_ends_in_1013() {
    // An echo has 4 + 17 bytes besides its text; a push has 2 + 42. 221 + 189 + 44 = 454, which is the limit.
    let mut play = Play::of(&[Open, stall(0), echo(200), echo(168), Cycle]);
    assert_eq!(play.hub.census().subscribed, 1);
    play.apply(&Release { who: 0 });
    assert_eq!(play.heard(0).len(), 4, "the response, two echoes and the push: {:?}", play.heard(0));

    let mut play = Play::of(&[Open, stall(0), echo(200), echo(169), Cycle]);
    assert_eq!(play.hub.census().subscribed, 0);
    play.apply(&Release { who: 0 });
    assert_eq!(play.heard(0), [Heard::Response(101), Heard::Close(1013)], "no echo was begun");
}

#[test]
fn a_frame_that_was_begun_is_finished_before_1013() {
    // The link accepted one byte of the first echo: 220 + 191 + 44 = 455.
    let mut play = Play::of(&[Open, stall(1), echo(200), echo(170), Cycle, Release { who: 0 }]);
    let [Heard::Response(101), Heard::Text(first), Heard::Close(1013)] = play.heard(0) else {
        panic!("{:?}", play.heard(0));
    };
    assert_eq!(first.len(), 217);
    play.advance(CLOSE_TIMEOUT - 1);
    assert_eq!(play.connected().count(), 1, "the client may still answer the Close");
    play.advance(1);
    assert_eq!(play.connected().count(), 0);
}

#[test]
fn a_response_is_sent_whole_before_1013() {
    // The response has 129 bytes, and 454 is the limit: 129 + 221 + 3 × 44 = 482, and 1 + 221 + 112 + 3 × 44 = 466.
    for takes in [0, 1, 10, 128] {
        let mut play = Play::of(&[Connect { is_admitted: true }]);
        play.give_room(0, takes);
        for op in [say(Handshake), echo(200), ping(110), Cycle, Cycle, Cycle, Release { who: 0 }] {
            play.apply(&op);
        }
        assert_eq!(play.heard(0), [Heard::Response(101), Heard::Close(1013)], "{takes} bytes were taken");
    }
}

#[test]
fn a_push_does_not_overtake_the_outbox_even_if_the_socket_has_room() {
    let mut play = Play::with_a_slow_wire();
    play.perform(&[Open, stall(1), echo(200), Advance { ticks: 0 }]);
    play.give_room(0, usize::MAX);
    // The hub learns of the room after the push.
    play.apply(&Cycle);
    let texts = match play.heard(0) {
        [Heard::Response(101), Heard::Text(first), Heard::Text(second)] => [first, second],
        other => panic!("{other:?}"),
    };
    assert_eq!(texts.map(|text| text.starts_with(PUSH_PREFIX)), [false, true]);
}

#[test]
fn a_request_head_without_an_end_is_refused_when_it_is_a_byte_too_long() {
    // 8 KiB, in pieces without a line end.
    const MOST: usize = 8 << 10;
    let raw = |length: usize| say(Raw(Bytes(vec![b'x'; length])));
    let mut play = Play::of(&[Connect { is_admitted: true }, raw(MOST - 1), raw(1)]);
    assert_eq!(play.heard(0), []);
    play.apply(&raw(1));
    assert_eq!(play.heard(0), [Heard::Response(431)]);
}

#[test]
fn input_is_refused_over_half_of_the_outbox_and_resumed_at_half() {
    // Half is 227 bytes. An echo of 200 bytes has 221, a pong of 4 bytes has 6, one of 5 bytes has 7.
    let play = Play::of(&[Open, stall(0), echo(200), ping(4), say(Text("at half".into()))]);
    assert_eq!(play.refused(0), 0, "221 + 6 is half, so the next message is read");

    let mut play = Play::of(&[Open, stall(0), echo(200), ping(5), say(Text("over half".into()))]);
    assert_eq!(
        play.refused(0),
        6 + 9,
        "221 + 7 is more than half, so the next message waits, header and mask too"
    );
    play.apply(&stall(1));
    assert_eq!(play.refused(0), 0, "228 - 1 is half");
    play.check();
}

#[test]
fn a_command_that_is_refused_takes_effect_when_it_is_read() {
    let mut play = Play::of(&[Open, stall(0), echo(200), ping(5), say(Unsubscribe)]);
    assert_eq!(play.hub.census().subscribed, 1);
    play.apply(&Cycle);
    play.apply(&Release { who: 0 });
    assert_eq!(play.hub.census().subscribed, 0);
    play.apply(&Cycle);
    assert_eq!(play.texts(0, PUSH_PREFIX).len(), 1, "the first cycle came before the command was read");
}

#[test]
fn a_silent_client_is_pinged_within_the_interval_and_gone_after_twice_that() {
    let mut play = Play::of(&[Open, say(Unsubscribe)]);
    // At most an eighth earlier: 512 - 64 = 448.
    play.advance(PING_INTERVAL - PING_INTERVAL / 8 - 1);
    assert_eq!(play.heard(0), [Heard::Response(101)]);
    play.advance(PING_INTERVAL / 8 + 1);
    assert_eq!(play.heard(0), [Heard::Response(101), Heard::Ping]);
    play.advance(PING_INTERVAL - 1);
    assert_eq!(play.connected().count(), 1);
    // The ping, and so the end, may be rounded up by a tick.
    play.advance(2);
    assert_eq!(play.connected().count(), 0);
}

#[test]
fn after_a_server_stood_still_every_client_has_the_time_to_answer_again() {
    let sleep = Oversleep { ticks: 10 * PING_INTERVAL };
    let mut play = Play::of(&[Open, say(Unsubscribe), Connect { is_admitted: true }, sleep]);
    play.advance(HANDSHAKE_TIMEOUT - 1);
    assert_eq!(play.heard(1), []);
    play.advance(1);
    assert_eq!(play.heard(1), [Heard::Response(408)]);
    assert_eq!(play.heard(0), [Heard::Response(101), Heard::Ping]);
    play.advance(PING_INTERVAL - HANDSHAKE_TIMEOUT - 1);
    assert_eq!(play.connected().collect::<Vec<_>>(), [0]);
    // The ping was due up to an eighth of the interval early, and the time to answer is longer by as much.
    play.advance(PING_INTERVAL / 8 + 2);
    assert_eq!(play.connected().count(), 0);
}

/// The ticks between two checks of an expired handshake: a 32nd of the timeout.
const LOOK: u64 = HANDSHAKE_TIMEOUT / 32;

#[test]
fn an_expired_client_is_checked_again_and_has_the_whole_timeout_after_a_pause() {
    const EIGHTH: u64 = HANDSHAKE_TIMEOUT / 8;
    for (late, more) in [(0, LOOK), (EIGHTH, LOOK), (EIGHTH + 1, HANDSHAKE_TIMEOUT)] {
        let sleep = Oversleep { ticks: HANDSHAKE_TIMEOUT + late };
        let mut play = Play::of(&[Connect { is_admitted: true }, sleep, Advance { ticks: 0 }]);
        play.advance(more - 1);
        assert_eq!(play.heard(0), [], "{late} ticks late");
        play.advance(1);
        assert_eq!(play.heard(0), [Heard::Response(408)], "{late} ticks late");
    }
}

#[test]
fn a_hub_that_is_always_late_cuts_a_client_off_after_four_checks() {
    let late = |ticks| [Oversleep { ticks: ticks + LOOK + 1 }, Advance { ticks: 0 }];
    let mut play = Play::of(&[Connect { is_admitted: true }]);
    late(HANDSHAKE_TIMEOUT).iter().for_each(|op| play.apply(op));
    for _ in 1..4 {
        late(LOOK).iter().for_each(|op| play.apply(op));
        assert_eq!(play.heard(0), []);
    }
    late(LOOK).iter().for_each(|op| play.apply(op));
    assert_eq!(play.heard(0), [Heard::Response(408)]);
}

#[test]
fn any_input_in_time_keeps_a_client_and_it_is_pinged_once_per_silence() {
    let mut play = Play::of(&[Open, say(Unsubscribe), Advance { ticks: 2 * PING_INTERVAL - 1 }, say(Pong)]);
    play.advance(2 * PING_INTERVAL - 1);
    assert_eq!(play.heard(0), [Heard::Response(101), Heard::Ping, Heard::Ping]);
    play.advance(2);
    assert_eq!(play.connected().count(), 0);
}

#[test]
fn a_refused_ping_is_sent_once_however_often_it_is_offered() {
    let mut play = Play::of(&[Open, Cycle, Cycle, stall(0), Cycle, say(Subscribe)]);
    for _ in 0..3 {
        play.apply(&Cycle);
        play.check();
    }
}

#[test]
fn a_handshake_has_its_timeout_and_then_the_close_timeout() {
    let mut play = Play::of(&[Connect { is_admitted: true }, Advance { ticks: HANDSHAKE_TIMEOUT - 1 }]);
    assert_eq!(play.heard(0), []);
    play.advance(1);
    assert_eq!(play.heard(0), [Heard::Response(408)]);
    assert!(play.wire.links[0].is_shut, "the stream ends behind the answer");
    play.advance(CLOSE_TIMEOUT - 1);
    assert_eq!(play.connected().count(), 1);
    play.advance(1);
    assert_eq!(play.connected().count(), 0);
}

#[test]
fn a_client_that_is_not_admitted_gets_503_after_its_request() {
    let mut play = Play::of(&[Connect { is_admitted: false }]);
    assert_eq!(play.heard(0), []);
    play.apply(&say(Handshake));
    assert_eq!(play.heard(0), [Heard::Response(503)]);
    play.apply(&End { who: 0 });
    assert!(play.hub.is_empty());
}

#[test]
fn a_drain_sends_1001_behind_the_queued_output_and_ends_with_the_close_timeout() {
    let mut play = Play::of(&[
        Connect { is_admitted: true },
        Open,
        Open,
        Stall { who: 2, takes: 0 },
        Say { who: 2, what: Text("queued".into()), later: 0 },
        Drain,
    ]);
    assert_eq!(play.heard(0), [Heard::Response(503)]);
    assert_eq!(play.heard(1), [Heard::Response(101), Heard::Close(1001)]);
    play.apply(&Release { who: 2 });
    let echo = Heard::Text("Server received: queued".to_owned());
    assert_eq!(play.heard(2), [Heard::Response(101), echo, Heard::Close(1001)]);
    play.apply(&Open);
    assert_eq!(play.heard(3), [Heard::Response(503)], "too late");
    play.advance(CLOSE_TIMEOUT - 1);
    assert_eq!(play.connected().count(), 4);
    play.advance(1);
    assert!(play.hub.is_empty());
    play.apply(&Cycle);
    assert_eq!(play.hub.counters(), Counters { connections: 4, ..Counters::default() });
}

#[test]
fn a_push_that_reaches_a_stalled_shard_later_than_a_third_of_the_period_is_dropped_and_counted() {
    // 200 / 3 = 66 ticks and two thirds of one.
    for (late, late_pushes) in [(66, 0), (67, 1)] {
        let mut play = Play::of(&[Open, Advance { ticks: PERIOD - 1 }, Oversleep { ticks: 1 }]);
        play.announce();
        play.model.now += late;
        while play.wake_once() {}
        assert_eq!(play.hub.counters().late_pushes, late_pushes, "{late} ticks");
        assert_eq!(play.hub.counters().deliveries, 1 - late_pushes);
    }
}

/// What may happen to a client between two slices of a walk.
#[derive(Clone, Copy, Debug)]
enum Touch {
    Flicker,
    Newcomer,
    Reset,
    Unsubscribe,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_walk_in_slices_serves_every_subscriber_once_whatever_happens_between_slices(
        touches in vec(vec((0..CROWD, any_touch()), 0..20), 6)
    ) {
        let mut play = Play::of(&vec![Open; CROWD]);
        play.advance(PERIOD - 1);
        play.apply(&Oversleep { ticks: 1 });
        play.announce();
        // A client that connects or subscribes from here on is late.
        play.apply(&Oversleep { ticks: 1 });
        let mut touched = Vec::new();
        for round in &touches {
            play.wake_once();
            for (who, touch) in round {
                touched.push(*who);
                touch_client(&mut play, *who, *touch);
            }
        }
        prop_assert_eq!(play.hub.counters().pushes, 1, "600 clients are three slices, and new clients are not walked");
        play.settle();
        for who in 0..play.model.clients.len() {
            let pushes = play.texts(who, PUSH_PREFIX).len();
            let is_due = who < CROWD && !touched.contains(&who);
            prop_assert!(pushes <= 1 && (!is_due || pushes == 1), "client {} got {} pushes", who, pushes);
            prop_assert!(who < CROWD || pushes == 0, "newcomer {} got a push", who);
            let texts = play.texts(who, "Server");
            let fence = texts.iter().position(|text| text == &FENCE).unwrap_or(texts.len());
            let is_push = |text: &&str| text.starts_with(PUSH_PREFIX);
            prop_assert!(!texts[fence..].iter().any(is_push), "client {} heard {:?}", who, texts);
        }
    }
}

const CROWD: usize = 600;
const FENCE: &str = "Server received: fence";

fn any_touch() -> impl Strategy<Value = Touch> {
    prop::sample::select(vec![Touch::Flicker, Touch::Newcomer, Touch::Reset, Touch::Unsubscribe])
}

fn touch_client(play: &mut Play, who: usize, touch: Touch) {
    if play.wire.links[who].is_closed {
        return;
    }
    match touch {
        Touch::Flicker => {
            play.say(who, &Unsubscribe, 0);
            play.say(who, &Subscribe, 0);
        }
        Touch::Newcomer => play.open(),
        Touch::Reset => play.reset(who),
        Touch::Unsubscribe => {
            play.say(who, &Unsubscribe, 0);
            play.say(who, &Text("fence".into()), 0);
        }
    }
}

fn say(what: Speech) -> Op {
    Op::Say { who: 0, what, later: 0 }
}

fn echo(length: usize) -> Op {
    say(Text("x".repeat(length).as_str().into()))
}

fn ping(length: usize) -> Op {
    say(Ping { length })
}

fn stall(takes: usize) -> Op {
    Stall { who: 0, takes }
}

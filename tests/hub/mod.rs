//! The hub as a whole, driven by scripts: arbitrary ones that shrink, and single ones at each limit.
//!
//! | file | subject |
//! |---|---|
//! | `hub/settings.rs` | the configuration of the hub, in ticks |
//! | `hub/script.rs` | the operations of a script |
//! | `hub/play.rs` | plays a script on a real hub |
//! | `hub/recorder.rs` | the hub's wire, which records all output |
//! | `hub/model.rs` | the simple hub with which the real one is compared |
//! | `hub/edges.rs` | single scripts: both sides of each limit |
//! | `hub/turns.rs` | the order of a fan-out, and the spread of pings |

mod edges;
mod model;
mod play;
mod recorder;
mod script;
mod settings;
mod turns;

use carillon_server::Census;
use carillon_server::protocol::{ECHO_PREFIX, PUSH_PREFIX};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::frames::{Heard, REQUEST};

use model::Phase;
use play::{Play, answers_to, bytes_of};
use script::{Op, any_say, any_script, hostile_script, script_over_open_links, script_over_slow_links};
use settings::{CLOSE_TIMEOUT, MAX_MESSAGE, OUTBOX_LIMIT, PING_INTERVAL};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_subscribers_receive_pushes(script in any_script()) {
        let play = Play::of(&script.0);
        for who in tame_clients(&play) {
            for push in play.texts(who, PUSH_PREFIX) {
                prop_assert!(was_subscribed(&play, who, push), "client {} got {:?}", who, push);
            }
        }
    }

    #[test]
    fn every_subscriber_receives_each_push_exactly_once(script in script_over_open_links()) {
        let play = Play::of(&script.0);
        for cycle in &play.model.cycles {
            for who in &cycle.subscribers {
                let pushes = play.texts(*who, &cycle.text).len();
                prop_assert_eq!(pushes, 1, "client {} and {:?}", who, &cycle.text);
            }
        }
    }

    #[test]
    fn frames_arrive_whole(script in script_over_slow_links()) {
        for mut play in [Play::new(), Play::with_a_slow_wire()] {
            play.perform(&script.0);
            release_all_links(&mut play);
            for (who, link) in play.wire.links.iter().enumerate() {
                prop_assert_eq!(&link.garbled, &None, "the output to client {}", who);
                prop_assert!(link.is_closed || link.read == link.taken.len(), "client {} waits for the rest", who);
            }
        }
    }

    #[test]
    fn replies_come_in_the_order_of_the_messages(script in script_over_slow_links()) {
        let play = Play::of(&script.0);
        let is_reply = |heard: &&Heard| match heard {
            Heard::Pong(_) => true,
            Heard::Text(text) => text.starts_with(ECHO_PREFIX),
            _ => false,
        };
        for (who, client) in play.model.clients.iter().enumerate() {
            let owed: Vec<_> = client.owed.iter().map(|(heard, _)| heard).filter(is_reply).collect();
            let heard: Vec<_> = client.heard.iter().filter(is_reply).collect();
            prop_assert!(owed.starts_with(&heard), "client {} heard {:?} for {:?}", who, heard, owed);
        }
    }

    #[test]
    fn nothing_follows_a_close(script in hostile_script()) {
        let mut play = Play::of(&script.0);
        release_all_links(&mut play);
        play.apply(&Op::Cycle);
        for who in 0..play.model.clients.len() {
            let close = play.heard(who).iter().position(|heard| matches!(heard, Heard::Close(_)));
            let last = play.heard(who).len().checked_sub(1);
            prop_assert!(close.is_none() || close == last, "client {} heard {:?}", who, play.heard(who));
            prop_assert_eq!(&play.wire.links[who].garbled, &None);
        }
    }

    #[test]
    fn the_memory_of_the_connections_is_bounded(script in hostile_script()) {
        let mut play = Play::new();
        for op in &script.0 {
            play.apply(op);
            let most = play.connected().map(|who| most_held(&play, who)).sum();
            prop_assert!(play.hub.census().held <= most, "{:?} > {} after {:?}", play.hub.census(), most, op);
        }
    }

    #[test]
    fn a_connection_that_is_gone_leaves_nothing_behind(script in any_script()) {
        let mut play = Play::of(&script.0);
        for who in play.connected().collect::<Vec<_>>() {
            if who % 2 == 0 { play.reset(who) } else { play.end(who) }
        }
        // A client that ended its stream has the close timeout to read the queued output. An end behind refused input
        // is not seen; silence then ends the connection.
        play.advance(2 * PING_INTERVAL + CLOSE_TIMEOUT + 1);
        prop_assert_eq!(play.hub.census(), Census::default());
        prop_assert!(play.hub.is_empty());
        // Wake-ups of gone connections stay until they are due, and then wake no session.
        play.advance(2 * PING_INTERVAL);
        prop_assert_eq!(play.hub.poll_timeout(), None);
    }

    #[test]
    fn no_input_panics_and_well_behaved_clients_notice_nothing(script in hostile_script()) {
        replay(&script.0);
    }

    #[test]
    fn the_hub_does_what_the_model_does(script in script_over_slow_links()) {
        replay(&script.0);
    }

    #[test]
    fn the_sizes_of_the_pieces_do_not_change_the_answers(
        says in vec(any_say(), 0..12),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let bytes = [REQUEST.to_vec(), says.iter().flat_map(bytes_of).collect()].concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(answers_to(&pieces), answers_to(&[&bytes]));
    }
}

/// Plays a script and compares hub and model after every operation. A failing test prints a call of this function.
fn replay(script: &[Op]) {
    let mut play = Play::new();
    for op in script {
        play.apply(op);
        play.check();
    }
}

/// The clients whose messages the model understands.
fn tame_clients(play: &Play) -> impl Iterator<Item = usize> {
    (0..play.model.clients.len()).filter(|who| !play.model.clients[*who].is_wild)
}

/// Whether the client was subscribed when the cycle of this text was delivered.
fn was_subscribed(play: &Play, who: usize, push: &str) -> bool {
    play.model.cycles.iter().any(|cycle| cycle.text == push && cycle.subscribers.contains(&who))
}

fn release_all_links(play: &mut Play) {
    for who in play.connected().collect::<Vec<_>>() {
        play.give_room(who, usize::MAX);
    }
    // A slow wire reports the room to the hub after the next operation.
    play.apply(&Op::Advance { ticks: 0 });
}

/// The limit of G10 in bytes: the request head, or one incomplete message and an outbox.
fn most_held(play: &Play, who: usize) -> usize {
    // A vector that grows has less than twice the capacity that it uses. The head is refused when it is a byte too
    // long.
    const HEAD: usize = 2 * (8192 + 1);
    // The largest control frame may come between two fragments; 14 is the longest header.
    const MESSAGE: usize = 2 * (MAX_MESSAGE + 125 + 14);
    const LARGEST_CLOSE: usize = 2 + 125;
    let client = &play.model.clients[who];
    if client.is_wild && client.heard.is_empty() {
        HEAD
    } else if client.is_wild {
        OUTBOX_LIMIT + LARGEST_CLOSE + MESSAGE
    } else if matches!(client.phase, Phase::Closing | Phase::Gone) {
        if play.wire.links[who].is_shut { 0 } else { OUTBOX_LIMIT + LARGEST_CLOSE }
    } else {
        client.backlog() + MESSAGE
    }
}

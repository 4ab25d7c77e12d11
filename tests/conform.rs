//! Verdicts over real sockets: a server that keeps its promises is acquitted, one with a mistake is convicted of it.
//!
//! Time is real here, but nothing is asserted about it: the harness measures what it cannot see, and says so.

use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;

use carillon_simulator::Guarantee;
use carillon_simulator::Verdict;
use carillon_simulator::live::Trust;
use carillon_simulator::live::conform::{ConformError, ConformOptions, Conformance, conform};
use carillon_simulator::live::{Address, Dialect};

use crate::catalogue::Defect;
use crate::support::child::{CLOSE_TIMEOUT, MAX_MESSAGE, PERIOD, PING_INTERVAL, Who, command};
use crate::support::free_port;

/// Trials at a time: they wait most of the time.
const AT_ONCE: usize = 6;

/// Defects that cannot be seen from outside, or not in ten cycles, and why.
const OUT_OF_SIGHT: [(Defect, &str); 15] = [
    (Defect::RendersPreviousCycle, "with a period of one second it is as early as a text may be"),
    (Defect::SkipsFirstCycle, "nobody knows when the server's schedule began"),
    (
        Defect::KeepsDeadEntry,
        "only the server's own count would tell, and nobody dies who is not cut off at the end",
    ),
    (Defect::WaitsForHandshake, "nobody states a handshake timeout"),
    (Defect::RendersFromStart, "nobody sets the clock of this machine"),
    (Defect::RendersPerClient, "a text may be rendered for each client, and at the time of sending"),
    (Defect::RendersTwelveHours, "half of the day it is right, and else it is a zone twelve hours away"),
    (Defect::SchedulesByWallClock, "nobody sets the clock of this machine"),
    (Defect::SharesOneBudget, "it takes a slow client's queue of pushes"),
    (Defect::SkipsBusy, "it takes a client that reads, and whose queue is not empty at the due instant"),
    (Defect::RetriesUnacknowledged, "it takes ten seconds of silence, and these trials have fewer"),
    (Defect::DrainsLosingQueue, "it takes a queue that waits when the shutdown begins"),
    (Defect::DrainsForever, "it takes a client that stays when it is asked to go"),
    (Defect::GrowsOutbox, "its outbox is bounded by what its client sends in these few seconds"),
    (Defect::LogsStaleTime, "the instants of the log are not held against a clock"),
];

fn options(who: Who) -> ConformOptions {
    let (port, command) = command(who);
    ConformOptions {
        address: Address::parse(&format!("ws://127.0.0.1:{port}/ws")).expect("a sound URL"),
        trust: Trust::default(),
        period: PERIOD,
        guarantees: Guarantee::ALL.to_vec(),
        cycles: 6,
        is_strict: false,
        dialect: Dialect::default(),
        spawn: Some(command),
        pid: None,
        max_message: Some(MAX_MESSAGE),
        ping_interval: Some(PING_INTERVAL),
        close_timeout: CLOSE_TIMEOUT,
        speed: 1,
    }
}

fn try_out(options: ConformOptions) -> Conformance {
    conform(options, |_| ()).expect("a server that starts")
}

fn violated(conformance: &Conformance) -> Vec<String> {
    let broken = conformance.guarantees().iter().filter(|entry| entry.verdict == Verdict::Violated);
    broken.map(|entry| entry.id.clone()).collect()
}

/// The defects of `all` that were not convicted, and what was found instead.
fn acquitted(all: &[Defect]) -> Vec<(Defect, Vec<String>)> {
    let (waiting, missed) = (Mutex::new(all.to_vec()), Mutex::new(Vec::new()));
    let next = || waiting.lock().expect("nobody panics with it in hand").pop();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(defect) = next() {
                    // The log is the business of a strict trial.
                    let is_strict = defect.guarantees().contains(&"G15");
                    let found = violated(&try_out(ConformOptions {
                        is_strict,
                        ..options(Who::Compact(Some(defect)))
                    }));
                    let is_right = found.iter().any(|id| defect.guarantees().contains(&id.as_str()));
                    println!("{defect:?} {:?}: {found:?}", defect.guarantees());
                    if !is_right {
                        missed.lock().expect("nobody panics with it in hand").push((defect, found));
                    }
                }
            });
        }
    });
    missed.into_inner().expect("nobody panics with it in hand")
}

/// What a busy machine leaves undecided is tried again so often in all; a wrong verdict never is.
const TRIALS: usize = 3;

#[test]
fn a_server_that_keeps_its_promises_is_acquitted() {
    let is_acquitted = || {
        let conformance = try_out(options(Who::Compact(None)));
        conformance.guarantees().iter().all(|entry| {
            assert_ne!(entry.verdict, Verdict::Violated, "{entry:#?}");
            (entry.verdict == Verdict::Held) == (entry.id != "G15")
        })
    };
    assert!((0..TRIALS).any(|_| is_acquitted()), "some guarantees were never decided");
}

/// One mistake for each guarantee, and those that take a probe of their own.
#[test]
fn servers_with_one_mistake_are_convicted_of_it() {
    let chosen = [
        Defect::StartsUnsubscribed,
        Defect::AppliesCommandOnNextText,
        Defect::IgnoresUnsubscribe,
        Defect::ResubscribesOnHeartbeat,
        Defect::UndoesUnsubscribe,
        Defect::LosesLastSubscriber,
        Defect::PushesPerSubscribe,
        Defect::ServesNewestFirst,
        Defect::EndsWithNewline,
        Defect::BunchesAfterStall,
        Defect::RestartsScheduleAfterStall,
        Defect::StopsAfterStall,
        Defect::Drifts,
        Defect::TimesEachConnection,
        Defect::TruncatesEcho,
        Defect::TrimsCommands,
        Defect::AwaitsSlowClient,
        Defect::LeaksAbruptClose,
        Defect::LeaksFailedHandshake,
        Defect::ClosesBadUtf8As1002,
        Defect::AnswersPingEmpty,
        Defect::DiesOnPong,
        Defect::NeverFindsDead,
        Defect::DrainsSilently,
        Defect::PushesFarewell,
        Defect::CountsOnlyUp,
    ];
    let mut missed = acquitted(&chosen);
    for _ in 1..TRIALS {
        let again: Vec<Defect> = missed.iter().map(|(defect, _)| *defect).collect();
        missed = acquitted(&again);
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// Its clients would reach somebody else, and whatever that one does is no verdict on the server of the command.
#[test]
fn a_port_that_somebody_else_serves_is_refused() {
    let port = free_port();
    let _other = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let address = Address::parse(&format!("ws://127.0.0.1:{port}/ws")).expect("a sound URL");
    let result = conform(ConformOptions { address, ..options(Who::Compact(None)) }, |_| ());
    assert!(matches!(result, Err(ConformError::Occupied(_))));
}

#[test]
#[ignore = "five minutes; the whole catalogue"]
fn every_mistake_that_can_be_seen_is_convicted() {
    let is_in_sight = |defect: &&Defect| OUT_OF_SIGHT.iter().all(|(hidden, _)| hidden != *defect);
    let all: Vec<Defect> = Defect::ALL.iter().filter(is_in_sight).copied().collect();
    let missed = acquitted(&all);
    assert!(missed.is_empty(), "{missed:#?}");
}

/// Its timers and its `unsubscribe` are the listing's own mistakes. What its transport does to who breaks a rule, or
/// vanishes, is another matter: these guarantees are not on trial here.
#[test]
fn the_listing_as_printed_fails_exactly_what_it_breaks() {
    use Guarantee::{G1, G2, G3, G4, G5, G6, G7, G8, G9};
    let guarantees = vec![G1, G2, G3, G4, G5, G6, G7, G8, G9];
    let conformance = try_out(ConformOptions { guarantees, ..options(Who::Listing) });
    assert_eq!(violated(&conformance), ["G2", "G4"], "{:#?}", conformance.guarantees());
}

//! Verdicts over real sockets: a server that keeps its promises is acquitted, a server with one defect is convicted of
//! it.
//!
//! Time is real here, but no test asserts a time: the harness measures its own limits and reports them.

use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;

use carillon_simulator::Guarantee;
use carillon_simulator::Verdict;
use carillon_simulator::live::Address;
use carillon_simulator::live::conform::{ConformError, ConformOptions, Conformance, conform};

use crate::catalogue::Defect;
use crate::support::child::{CLOSE_TIMEOUT, MAX_MESSAGE, PERIOD, PING_INTERVAL, TestServer, command};
use crate::support::free_port;

/// The number of trials that run at the same time. They are idle for most of it.
const AT_ONCE: usize = 6;

/// The size of the crowd of each trial: the trials run side by side.
const CROWD: u32 = 40;

/// Defects that cannot be seen from outside, or not in ten cycles, each with the reason.
const OUT_OF_SIGHT: [(Defect, &str); 15] = [
    (Defect::RendersPreviousCycle, "with a period of one second it is as early as a text may be"),
    (Defect::SkipsFirstCycle, "the start of the server's schedule is not known"),
    (
        Defect::KeepsDeadEntry,
        "only the server's own count would tell, and every client that dies is cut off at the end",
    ),
    (Defect::WaitsForHandshake, "the trial states no handshake timeout"),
    (Defect::RendersFromStart, "no trial sets the clock of this machine"),
    (Defect::RendersPerClient, "a text may be rendered for each client, and at the time of sending"),
    (Defect::RendersTwelveHours, "right for half of the day, and else like a zone twelve hours away"),
    (Defect::SchedulesByWallClock, "no trial sets the clock of this machine"),
    (Defect::SharesOneBudget, "it needs a slow client's queue of pushes"),
    (Defect::SkipsBusy, "it needs a client that reads, and whose queue is not empty at the due instant"),
    (Defect::RetriesUnacknowledged, "it needs ten seconds of silence, and these trials have fewer"),
    (Defect::DrainsLosingQueue, "it needs a queue that waits when the shutdown begins"),
    (Defect::DrainsForever, "it needs a client that stays when the server closes"),
    (Defect::GrowsOutbox, "its outbox is bounded by the few bytes that its client sends in these seconds"),
    (Defect::LogsStaleTime, "the instants of the log are not compared with a clock"),
];

fn options(server: TestServer) -> ConformOptions {
    let (port, command) = command(server);
    ConformOptions {
        cycles: 6,
        spawn: Some(command),
        crowd: CROWD,
        max_message: Some(MAX_MESSAGE),
        ping_interval: Some(PING_INTERVAL),
        close_timeout: CLOSE_TIMEOUT,
        ..ConformOptions::new(
            Address::parse(&format!("ws://127.0.0.1:{port}/ws")).expect("a sound URL"),
            PERIOD,
        )
    }
}

fn try_out(options: ConformOptions) -> Conformance {
    conform(options, |_| ()).expect("a server that starts")
}

fn violated(conformance: &Conformance) -> Vec<String> {
    let broken = conformance.guarantees().iter().filter(|entry| entry.verdict == Verdict::Violated);
    broken.map(|entry| entry.id.clone()).collect()
}

/// The defects of `all` that were not convicted, each with the guarantees that were violated instead.
fn acquitted(all: &[Defect]) -> Vec<(Defect, Vec<String>)> {
    let (waiting, missed) = (Mutex::new(all.to_vec()), Mutex::new(Vec::new()));
    let next = || waiting.lock().expect("no thread panics while it holds the lock").pop();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(defect) = next() {
                    // Only a strict trial reads the log.
                    let is_strict = defect.guarantees().contains(&"G15");
                    let found = violated(&try_out(ConformOptions {
                        is_strict,
                        ..options(TestServer::Compact(Some(defect)))
                    }));
                    let is_right = found.iter().any(|id| defect.guarantees().contains(&id.as_str()));
                    println!("{defect:?} {:?}: {found:?}", defect.guarantees());
                    if !is_right {
                        missed.lock().expect("no thread panics with the lock").push((defect, found));
                    }
                }
            });
        }
    });
    missed.into_inner().expect("no thread panics while it holds the lock")
}

/// The number of trials if a busy machine leaves a verdict undecided. A wrong verdict is never tried again.
const TRIALS: usize = 3;

#[test]
fn a_server_that_keeps_its_promises_is_acquitted() {
    let is_acquitted = || {
        let conformance = try_out(options(TestServer::Compact(None)));
        conformance.guarantees().iter().all(|entry| {
            assert_ne!(entry.verdict, Verdict::Violated, "{entry:#?}");
            (entry.verdict == Verdict::Held) == (entry.id != "G15")
        })
    };
    assert!((0..TRIALS).any(|_| is_acquitted()), "some guarantees were never decided");
}

/// One defect for each guarantee, and the defects that need a separate probe.
#[test]
fn servers_with_one_defect_are_convicted_of_it() {
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

/// The clients would reach the wrong server, and its behaviour is no verdict on the server of the command.
#[test]
fn a_port_that_another_process_serves_is_refused() {
    let port = free_port();
    let _other = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let address = Address::parse(&format!("ws://127.0.0.1:{port}/ws")).expect("a sound URL");
    let result = conform(ConformOptions { address, ..options(TestServer::Compact(None)) }, |_| ());
    assert!(matches!(result, Err(ConformError::Occupied(_))));
}

#[test]
#[ignore = "five minutes; the whole catalogue"]
fn every_defect_that_can_be_seen_is_convicted() {
    let is_in_sight = |defect: &&Defect| OUT_OF_SIGHT.iter().all(|(hidden, _)| hidden != *defect);
    let all: Vec<Defect> = Defect::ALL.iter().filter(is_in_sight).copied().collect();
    let missed = acquitted(&all);
    assert!(missed.is_empty(), "{missed:#?}");
}

/// The timers and the `unsubscribe` are the listing's own mistakes. Its transport decides how it treats a client that
/// breaks a rule or vanishes, so this trial leaves out those guarantees.
#[test]
fn the_listing_as_printed_fails_exactly_what_it_breaks() {
    use Guarantee::{G1, G2, G3, G4, G5, G6, G7, G8, G9};
    let guarantees = vec![G1, G2, G3, G4, G5, G6, G7, G8, G9];
    let conformance = try_out(ConformOptions { guarantees, ..options(TestServer::Listing) });
    assert_eq!(violated(&conformance), ["G2", "G4", "G7"], "{:#?}", conformance.guarantees());
}

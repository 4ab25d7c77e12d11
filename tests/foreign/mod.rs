//! Verdicts on a third-party server in Python, which shares no code with this workspace: with permitted deviations, and
//! with single defects. Without the interpreter the tests print that they are skipped, and pass.

mod stops;
mod subjects;
mod verdicts;

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use carillon_simulator::Verdict;
use carillon_simulator::live::Address;
use carillon_simulator::live::conform::{ConformOptions, Conformance, conform};

use crate::support::free_port;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/push_server.py");

/// The speed of the server's clock, as a multiple of real time.
const SPEED: u32 = 150;

fn is_there(program: &str) -> bool {
    let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_there = asked.is_ok_and(|status| status.success());
    if !is_there {
        println!("skipped: there is no {program} here");
    }
    is_there
}

fn try_out(before: &str, arguments: &str, speed: u32, period: Duration) -> Conformance {
    let port = free_port();
    let options = ConformOptions {
        cycles: 6,
        spawn: Some(format!("{before} python3 '{SERVER}' {port} {arguments}")),
        // Longer texts are tried only on a server that states no limit.
        max_message: (!arguments.contains("corrupts-large")).then_some(64 << 10),
        // Without a stated bound the flood has to reach 160 MiB, which takes long on a busy machine.
        outbox_limit: arguments.contains("queues-without-bound").then_some(1 << 20),
        // Several trials run side by side, so most of them have a small crowd.
        crowd: if NEED_A_CROWD.iter().any(|defect| arguments.ends_with(defect)) { 300 } else { 40 },
        close_timeout: Duration::from_secs(3),
        speed,
        ..ConformOptions::new(
            Address::parse(&format!("ws://127.0.0.1:{port}/ws")).expect("a sound URL"),
            period,
        )
    };
    conform(options, |_| ()).expect("a server that starts")
}

fn violated(conformance: &Conformance) -> Vec<String> {
    let broken = conformance.guarantees().iter().filter(|entry| entry.verdict == Verdict::Violated);
    broken.map(|entry| entry.id.clone()).collect()
}

const PERIOD: Duration = Duration::from_secs(1);

/// The number of trials at the same time. With more of them the harness misses small effects, such as a small drift.
const AT_ONCE: usize = 4;

/// Defects that only many clients can see.
const NEED_A_CROWD: [&str; 2] = ["serves-first-page", "slow-walk"];

/// Single defects, each with the guarantee that it breaks.
const MISTAKES: [(&str, &str); 21] = [
    ("bad-deflate", "G8"),
    ("corrupts-large", "G8"),
    ("drifts", "G7"),
    ("drops-for-laggards", "G3"),
    ("forgets-leavers", "G11"),
    ("hangs-up", "G3"),
    ("idle-timeout", "G13"),
    ("leaks-memory", "G11"),
    ("leaves-closes", "G12"),
    ("loses-pings", "G13"),
    ("names-1000", "G12"),
    ("obeys-binary", "G9"),
    ("off-by-one", "G3"),
    ("queues-without-bound", "G10"),
    ("serves-first-page", "G3"),
    ("slow-walk", "G10"),
    ("stops-when-empty", "G7"),
    ("takes-surrogates", "G12"),
    ("trims", "G9"),
    ("twice-after-return", "G4"),
    ("wastes-lengths", "G5"),
];

/// What the protocol permits.
const MANNERS: [&str; 10] = [
    "plain",
    "late",
    "fragments",
    "own-texts",
    "pongs",
    "relaxed",
    "deflates",
    "two-files-per-connection",
    "collects-garbage-late",
    "large-outbox",
];

#[test]
fn permitted_deviations_are_acquitted() {
    if !is_there("python3") {
        return;
    }
    thread::scope(|scope| {
        for manner in MANNERS {
            scope.spawn(move || {
                let conformance = try_out("exec", &format!("--period 1 --manner {manner}"), 1, PERIOD);
                let found = violated(&conformance);
                assert!(found.is_empty(), "{manner}: {found:?} {:#?}", conformance.guarantees());
            });
        }
    });
}

#[test]
fn single_defects_are_convicted() {
    if !is_there("python3") {
        return;
    }
    for some in MISTAKES.chunks(AT_ONCE) {
        thread::scope(|scope| {
            for (defect, guarantee) in some {
                scope.spawn(move || {
                    let conformance = try_out("exec", &format!("--period 1 --defect {defect}"), 1, PERIOD);
                    let found = violated(&conformance);
                    assert!(found.iter().any(|id| id == guarantee), "{defect}: {found:?}");
                });
            }
        });
    }
}

/// Five minutes are two seconds at 150 times the speed. The trial leaves out the stall: a signal stops the process, but
/// not its fast clock.
#[test]
fn a_fixed_timer_of_five_minutes_is_run_faster() {
    if !is_there("python3") || !is_there("faketime") {
        return;
    }
    let before = format!("exec faketime -f '+0 x{SPEED}'");
    let conformance = try_out(&before, "", SPEED, Duration::from_secs(300) / SPEED);
    let found = violated(&conformance);
    assert!(found.is_empty(), "{found:?} {:#?}", conformance.guarantees());
    let held = |id: &str| {
        conformance.guarantees().iter().any(|entry| entry.id == id && entry.verdict == Verdict::Held)
    };
    assert!(held("G3") && held("G6"), "{:#?}", conformance.guarantees());
}

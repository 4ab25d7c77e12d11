//! Verdicts on a server in another language, which shares no line with this workspace: lawful in manners of its own, and
//! with single mistakes. Where its interpreter is missing, the tests say so and pass.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use carillon_simulator::Guarantee;
use carillon_simulator::Verdict;
use carillon_simulator::live::Trust;
use carillon_simulator::live::conform::{ConformOptions, Conformance, conform};
use carillon_simulator::live::{Address, Dialect};

use crate::support::free_port;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/push_server.py");

/// How the server is run faster than it was written.
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
        address: Address::parse(&format!("ws://127.0.0.1:{port}/ws")).expect("a sound URL"),
        trust: Trust::default(),
        period,
        guarantees: Guarantee::ALL.to_vec(),
        cycles: 6,
        is_strict: false,
        dialect: Dialect::default(),
        spawn: Some(format!("{before} python3 '{SERVER}' {port} {arguments}")),
        pid: None,
        max_message: Some(64 << 10),
        ping_interval: None,
        close_timeout: Duration::from_secs(3),
        speed,
    };
    conform(options, |_| ()).expect("a server that starts")
}

fn violated(conformance: &Conformance) -> Vec<String> {
    let broken = conformance.guarantees().iter().filter(|entry| entry.verdict == Verdict::Violated);
    broken.map(|entry| entry.id.clone()).collect()
}

const PERIOD: Duration = Duration::from_secs(1);

/// Trials at a time: with more of them the harness sees less, such as a small drift.
const AT_ONCE: usize = 6;

/// Single mistakes, and the guarantee that each breaks.
const MISTAKES: [(&str, &str); 12] = [
    ("drifts", "G7"),
    ("forgets-leavers", "G11"),
    ("hangs-up", "G3"),
    ("leaves-closes", "G12"),
    ("loses-pings", "G13"),
    ("names-1000", "G12"),
    ("obeys-binary", "G3"),
    ("off-by-one", "G3"),
    ("takes-surrogates", "G12"),
    ("trims", "G9"),
    ("twice-after-return", "G4"),
    ("wastes-lengths", "G5"),
];

#[test]
fn lawful_manners_are_acquitted() {
    if !is_there("python3") {
        return;
    }
    thread::scope(|scope| {
        for manner in ["plain", "late", "fragments", "own-texts", "pongs", "relaxed"] {
            scope.spawn(move || {
                let conformance = try_out("exec", &format!("--period 1 --manner {manner}"), 1, PERIOD);
                let found = violated(&conformance);
                assert!(found.is_empty(), "{manner}: {found:?} {:#?}", conformance.guarantees());
            });
        }
    });
}

#[test]
fn single_mistakes_are_convicted() {
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

/// Five minutes, 150 times as fast, are two seconds. Its stall is left out: what stops the process stops no clock that
/// runs 150 times as fast.
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

use std::time::Duration;

use carillon_server::Timestamp;
use hdrhistogram::Histogram;
use serde_json::Value;

use super::*;
use crate::oracle::clause::{Clause, Lapse};
use crate::oracle::coverage::{Coverage, Hazard};
use crate::oracle::guarantee::Guarantee;
use crate::oracle::score::{Fault, Score, Tally, Violation};
use crate::scenario::{Arm, Scenario};
use crate::world::Outcome;

const DAY: Duration = Duration::from_secs(86_400);
const PERIOD: Duration = Duration::from_secs(300);

/// The outcome of a run that exercised all guarantees except G12.
fn outcome() -> Outcome {
    let mut latency = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap();
    for micros in 1..=1000 {
        latency.record(micros * 100).unwrap();
    }
    let mut tallies = [Tally::default(); 15];
    for (index, tally) in tallies.iter_mut().enumerate() {
        tally.exercised = 1_234_567 / (index as u64 + 1);
    }
    tallies[Guarantee::G12.index()].exercised = 0;
    Outcome {
        score: Score {
            tallies,
            deliveries: 2_606_067,
            races: [1523, 11, 8782, 9136],
            coverage: Coverage::default(),
            violations: Vec::new(),
            lapses: Vec::new(),
            remarks: Vec::new(),
            latency,
        },
        digest: 0x0747_ef5b_7ff3_ce00,
        observed: 0xd667_9bb7_0ecb_30d8,
        events: 6_978_525,
        cycles: 288,
        virtual_time: DAY + Duration::from_millis(7400),
        record: None,
    }
}

/// The same outcome with G2 and G4 broken. G4 broke more often than violations are kept.
fn broken_outcome() -> Outcome {
    let mut outcome = outcome();
    outcome.score.tallies[Guarantee::G2.index()].violations = 2;
    outcome.score.tallies[Guarantee::G4.index()].violations = 1000;
    let violation = |guarantee, fault, seconds: u64, detail: &str| Violation {
        guarantee,
        fault,
        at: Timestamp::ZERO + Duration::from_secs(seconds),
        client: Some(7),
        detail: detail.to_owned(),
    };
    outcome.score.violations = vec![
        violation(Guarantee::G4, Fault::Duplicated, 300, "a second push of cycle 1"),
        violation(Guarantee::G2, Fault::Unexpected, 600, "a push behind an unsubscribe"),
        violation(Guarantee::G4, Fault::Duplicated, 600, "a second push of cycle 2"),
    ];
    outcome
}

fn run(scenario: &Scenario) -> Run<'_> {
    Run { arm: Arm::Core, scenario, seed: 1, wall: Duration::from_millis(1250) }
}

fn text(outcome: &Outcome, palette: Palette) -> String {
    let scenario = Scenario::day(10_000, DAY, PERIOD);
    let run = run(&scenario);
    TextReport { run, outcome, palette }.to_string()
}

fn json(outcome: &Outcome) -> Value {
    let scenario = Scenario::day(10_000, DAY, PERIOD);
    serde_json::to_value(Summary::new(&run(&scenario), outcome)).unwrap()
}

#[test]
fn the_text_report_has_this_form() {
    let expected = "\
scenario day: 10,000 clients, 24h, a push every 5m; core arm, seed 1

       guarantee                      verdict            exercised   violations
  G1   Subscribed by default          held               1,234,567            0
  G2   Silence while unsubscribed     held                 617,283            0
  G3   Every subscriber, every cycle  held                 411,522            0
  G4   At most once                   held                 308,641            0
  G5   In order                       held                 246,913            0
  G6   Exact text                     held                 205,761            0
  G7   On the grid                    held                 176,366            0
  G8   Faithful echo                  held                 154,320            0
  G9   Quiet commands                 held                 137,174            0
  G10  No client delays another       held                 123,456            0
  G11  Nothing left behind            held                 112,233            0
  G12  Malformed input named          not exercised              0            0
  G13  Alive or found out             held                  94,966            0
  G14  Clean shutdown                 held                  88,183            0
  G15  Logged                         held                  82,304            0

  push against  close 1,523, connect 11, subscribe 8,782, unsubscribe 9,136
  pushes        288 cycles, 2,606,067 deliveries
  latency       p50 50.0 ms, p90 90.0 ms, p99 99.0 ms, p99.9 99.9 ms, max 100.0 ms
  virtual time  24:00:07 in 1.250 s of wall time: 69,126 ×
  speed         2,084,854 deliveries/s, 5,582,820 events/s
  digest        0747ef5b7ff3ce00
  repeat        cargo sim run --seed 1

14 of 15 guarantees held, 1 not exercised
";
    assert_eq!(text(&outcome(), Palette::Plain), expected);
}

#[test]
fn lax_departures_stand_above_the_verdict_and_do_not_count() {
    let mut outcome = outcome();
    let details = vec!["POST got 101".to_owned()];
    outcome.score.lapses = vec![Lapse { clause: Clause::MethodIsGet, count: 2, details }];
    let end = "
  repeat        cargo sim run --seed 1

lax, by the letter of a standard (they do not count):
  RFC 6455 §4.1  a request that is not a GET is refused: 2 times
         POST got 101

14 of 15 guarantees held, 1 not exercised, 1 lax
";
    let text = text(&outcome, Palette::Plain);
    assert!(text.ends_with(end), "{text}");
    let json = json(&outcome);
    assert_eq!((&json["verdict"], &json["lax"][0]["count"]), (&"held".into(), &2.into()));
}

#[test]
fn a_broken_guarantee_stands_out() {
    let text = text(&broken_outcome(), Palette::Plain);
    let row = text.lines().find(|line| line.contains("G4")).unwrap();
    assert_eq!(row, "  G4   At most once                   VIOLATED             308,641        1,000");
    assert!(text.ends_with("\n2 of 15 guarantees VIOLATED, 1 not exercised\n"), "{text}");
}

#[test]
fn colours_change_nothing_but_the_colour() {
    let plain = text(&broken_outcome(), Palette::Plain);
    let mut bare = text(&broken_outcome(), Palette::Ansi);
    assert!(bare.contains("\x1b[1;31mVIOLATED"));
    for sequence in ["\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[0m"] {
        bare = bare.replace(sequence, "");
    }
    assert_eq!(bare, plain);
}

#[test]
fn nothing_is_wider_than_a_hundred_columns() {
    let mut outcome = broken_outcome();
    // A million clients for a year.
    outcome.score.races = [99_999_999; 4];
    outcome.score.deliveries = 100_000_000_000;
    for tally in &mut outcome.score.tallies {
        *tally = Tally { exercised: 100_000_000_000, violations: 99_999_999_999 };
    }
    for line in text(&outcome, Palette::Plain).lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn violations_are_listed_by_kind_with_the_first_of_each() {
    let report = ViolationReport { outcome: &broken_outcome(), palette: Palette::Plain };
    let expected = "\
G2 Silence while unsubscribed: unexpected, at least 1 time
    day 1 00:10:00.000, client 7
    a push behind an unsubscribe
G4 At most once: duplicated, at least 2 times
    day 1 00:05:00.000, client 7
    a second push of cycle 1
Of 1,002 violations the first 3 were kept.
";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn without_a_delivery_there_is_no_latency() {
    let mut outcome = outcome();
    outcome.score.latency.reset();
    outcome.score.deliveries = 0;
    assert!(text(&outcome, Palette::Plain).contains("  latency       nothing was delivered\n"));
    assert_eq!(json(&outcome)["latency_ms"], Value::Null);
}

#[test]
fn the_json_has_every_field_of_its_schema() {
    let json = json(&broken_outcome());
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let expected = [
        "arm",
        "clients",
        "command",
        "compression",
        "coverage",
        "cycles",
        "deliveries",
        "deliveries_per_second",
        "digest",
        "events",
        "guarantees",
        "headlines",
        "insecure",
        "interrupted",
        "latency_ms",
        "lax",
        "metrics",
        "observed_digest",
        "period_seconds",
        "races",
        "remarks",
        "repeat",
        "scenario",
        "schema_version",
        "seed",
        "thresholds",
        "verdict",
        "violations",
        "virtual_seconds",
        "wall_seconds",
    ];
    assert_eq!(keys(&json), expected);
    let guarantee = ["evidence", "exercised", "id", "name", "promise", "verdict", "violations"];
    assert_eq!(keys(&json["guarantees"][0]), guarantee);
    let violation = ["at_seconds", "client", "detail", "fault", "guarantee"];
    assert_eq!(keys(&json["violations"][0]), violation);
    assert_eq!(keys(&json["races"]), ["close", "connect", "subscribe", "unsubscribe"]);
    assert_eq!(keys(&json["latency_ms"]), ["max", "mean", "p50", "p90", "p99", "p999"]);
}

#[test]
fn the_json_reads_back_as_it_was_written() {
    let scenario = Scenario::day(10_000, DAY, PERIOD);
    let summary = Summary::new(&run(&scenario), &broken_outcome());
    let text = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
}

#[test]
fn the_json_says_what_the_run_came_to() {
    let json = json(&broken_outcome());
    assert_eq!(json["verdict"], "violated");
    assert_eq!(json["digest"], "0747ef5b7ff3ce00");
    assert_eq!(json["virtual_seconds"], 86_407.4);
    assert_eq!(json["wall_seconds"], 1.25);
    // 86,407.4 s / 1.25 s = 69,125.92.
    assert_eq!(json["compression"], 69_126.0);
    assert_eq!(json["races"]["connect"], 11);
    assert_eq!(json["latency_ms"]["p50"], 50.015);
    assert_eq!(json["repeat"], "cargo sim run --seed 1");
    let verdicts: Vec<_> = (0..15).map(|index| &json["guarantees"][index]["verdict"]).collect();
    assert_eq!(verdicts[1], "violated");
    assert_eq!(verdicts[2], "held");
    assert_eq!(verdicts[11], "not_exercised");
    assert_eq!(
        json["guarantees"][3]["evidence"],
        serde_json::json!([
            "day 1 00:05:00.000, client 7: duplicated: a second push of cycle 1",
            "day 1 00:10:00.000, client 7: duplicated: a second push of cycle 2",
        ])
    );
    assert_eq!(json["violations"][1]["at_seconds"], 600.0);
}

#[test]
fn only_wall_clock_figures_differ_between_two_runs_of_one_seed() {
    let scenario = Scenario::day(10_000, DAY, PERIOD);
    let outcome = outcome();
    let [mut one, mut other] = [1250, 2500].map(|millis| {
        let wall = Duration::from_millis(millis);
        let summary = Summary::new(&Run { wall, ..run(&scenario) }, &outcome);
        serde_json::to_value(summary).unwrap()
    });
    for field in ["wall_seconds", "compression", "deliveries_per_second"] {
        assert_ne!(one[field], other[field]);
        one[field] = Value::Null;
        other[field] = Value::Null;
    }
    assert_eq!(one, other);
}

#[test]
fn the_line_that_repeats_a_run_names_what_is_not_the_default() {
    let scenario = Scenario::fanout(2500, Duration::from_secs(5400), Duration::from_secs(10));
    let run = Run { arm: Arm::Paused, seed: u64::MAX, ..run(&scenario) };
    assert_eq!(
        run.repeat_line(),
        "cargo sim run --scenario fanout --clients 2500 --for 1h30m --period 10s --arm paused --seed \
         18446744073709551615"
    );
}

#[test]
fn coverage_is_shown_where_something_goes_wrong() {
    let mut outcome = outcome();
    outcome.score.coverage.cells[Hazard::Slicer as usize][Guarantee::G3.index()] = 5;
    let coverage = &json(&outcome)["coverage"];
    assert_eq!(coverage, &serde_json::json!([{ "hazard": "slicer", "guarantee": "G3", "count": 5 }]));
    assert!(!text(&outcome, Palette::Plain).contains("slicer"), "a day of the app has no hazards");
    let scenario = Scenario::named("storm", 10, DAY, PERIOD, 1).unwrap();
    let report = TextReport { run: run(&scenario), outcome: &outcome, palette: Palette::Plain }.to_string();
    assert!(report.contains("\n  slicer               .    .    5    ."), "{report}");
}

#[test]
fn the_line_that_repeats_a_run_of_a_file_names_the_file() {
    let file = Some("my scenarios/it's slow.toml".into());
    let scenario = Scenario { file, ..Scenario::day(10_000, DAY, PERIOD) };
    let expected = r"cargo sim run --scenario 'my scenarios/it'\''s slow.toml' --clients 10k --for 24h --period 5m --seed 1";
    assert_eq!(run(&scenario).repeat_line(), expected);
}

//! `simulator/SCHEMA.md` describes the JSON of the subcommands, field by field.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use carillon_simulator::hunt::sweep::{Totals, sweep};
use carillon_simulator::report::compare::CompareSummary;
use carillon_simulator::report::{
    Document, Palette, Run, SCHEMA_VERSION, ScenarioList, ScriptSummary, Summary, SweepReport, SweepSummary,
};
use carillon_simulator::{Arm, RunOptions, run_arm};
use carillon_simulator::{Clause, Lapse, Outcome, Scenario, Verdict};
use serde_json::Value;

use crate::support::soak;

const DOCUMENT: &str = include_str!("../simulator/SCHEMA.md");

/// Metrics of times, which the document names once.
const TIMINGS: [&str; 5] = ["connect", "echo", "own_delay", "push_latency", "spread"];

#[test]
fn every_field_of_a_report_is_documented_and_the_other_way_round() {
    let (scenario, outcome) = late();
    let run = Run { arm: Arm::Core, scenario: &scenario, seed: 1, wall: Duration::from_secs(1) };
    let (broken, lax) = (soak::broken("words"), soak::lax("words"));
    let reports = [Summary::new(&run, &outcome), soak::part(1, 1, 100), broken, lax];
    let written: BTreeSet<String> = reports.iter().flat_map(|report| paths(&value(report))).collect();
    assert_eq!(written, documented("`run`, `replay`, `soak`, `conform` and `merge`"));
}

#[test]
fn every_field_of_a_sweep_is_documented_and_the_other_way_round() {
    assert_eq!(paths(&value(&swept())), documented("`sweep`"));
}

#[test]
fn every_field_of_a_comparison_is_documented_and_the_other_way_round() {
    let [base, new] = [1, 2].map(|seed| [(format!("{seed}.json"), soak::whole(seed, 100))]);
    let summary = CompareSummary::new(&base, &new, &[]).unwrap();
    assert_eq!(paths(&value(&summary)), documented("`compare`"));
}

#[test]
fn every_field_of_a_script_is_documented_and_the_other_way_round() {
    let (scenario, _) = late();
    let options = RunOptions { records: true, ..RunOptions::default() };
    let outcome = run_arm(Arm::Core, &scenario, 1, options, |_| ()).unwrap();
    let script = outcome.script(&scenario, 1, Arm::Core).unwrap();
    let (first, repeat) = (&outcome.score.violations[0], "cargo sim replay late.script");
    let summary = ScriptSummary::broken("explain", &script, first, Some("it was late".into()), repeat.into());
    assert_eq!(paths(&value(&summary.unwrap())), documented("`shrink` and `explain`"));
    let held = ScriptSummary::held("shrink", repeat.into());
    assert_eq!(value(&held)["violation"], Value::Null);
}

#[test]
fn every_field_of_the_list_is_documented_and_the_other_way_round() {
    assert_eq!(paths(&value(&ScenarioList::built_in())), documented("`list`"));
}

#[test]
fn a_written_document_reads_back() {
    let (scenario, outcome) = late();
    let run = Run { arm: Arm::Core, scenario: &scenario, seed: 1, wall: Duration::from_secs(1) };
    let large = Summary { seed: (1 << 53) + 1, ..soak::lax("words") };
    for summary in [Summary::new(&run, &outcome), soak::part(2, 1, 100), soak::broken("words"), large] {
        let read = Document::parse(&serde_json::to_string_pretty(&summary).unwrap()).unwrap();
        assert_eq!(read, Document::Run(Box::new(summary)));
    }
    let summary = swept();
    let read = Document::parse(&serde_json::to_string(&summary).unwrap()).unwrap();
    assert_eq!(read, Document::Sweep(Box::new(summary)));
}

#[test]
fn every_seed_is_a_string_of_decimal_digits() {
    let seeds = |json: &Value| {
        let mut found = Vec::new();
        find_seeds(json, "", &mut found);
        found
    };
    let [failed, first] = ["failures[].seed", "from"].map(|path| (path.to_owned(), "1".to_owned()));
    assert_eq!(seeds(&value(&swept())), [failed, first]);
    let run = Summary { seed: u64::MAX, ..soak::lax("words") };
    assert_eq!(seeds(&value(&run)), [("seed".to_owned(), u64::MAX.to_string())]);
}

/// The reports were written by the last version with schema 1. Their seeds are above 2^53.
#[test]
fn reports_of_schema_1_are_read() {
    for (text, seed) in [
        (include_str!("schema_1/run.json"), 18_446_744_073_709_551_557),
        (include_str!("schema_1/soak-1.json"), (1 << 53) + 1),
    ] {
        let Ok(Document::Run(summary)) = Document::parse(text) else { panic!("{:?}", Document::parse(text)) };
        assert_eq!(
            (summary.schema_version, summary.seed, summary.verdict),
            (SCHEMA_VERSION, seed, Verdict::Held)
        );
        assert!(summary.lax.is_empty() && summary.headlines.is_empty() && summary.metrics.is_some());
        let again = serde_json::to_string(&summary).unwrap();
        assert_eq!(Document::parse(&again).unwrap(), Document::Run(summary));
    }
    let text = include_str!("schema_1/sweep.json");
    let Ok(Document::Sweep(summary)) = Document::parse(text) else { panic!("{:?}", Document::parse(text)) };
    assert_eq!((summary.from, summary.seeds), ((1 << 53) + 1, 3));
}

#[test]
fn another_schema_is_refused_with_the_versions_that_are_read() {
    let text = include_str!("schema_1/run.json").replace("\"schema_version\": 1", "\"schema_version\": 3");
    assert_eq!(Document::parse(&text).unwrap_err(), "its schema_version is 3; this program reads 1 and 2");
    let text = include_str!("schema_1/run.json").replace("\"schema_version\": 1", "\"schema_version\": 2");
    let error = Document::parse(&text).unwrap_err();
    assert!(error.contains("invalid type: integer `18446744073709551557`, expected a string"), "{error}");
}

/// A run in which every push is late.
fn late() -> (Scenario, Outcome) {
    let mut scenario = swarm(1);
    scenario.bounds.push = Duration::ZERO;
    let outcome = run_arm(Arm::Core, &scenario, 1, RunOptions::default(), |_| ()).expect("limits that hold");
    assert!(outcome.score.violation_count() > 0);
    (scenario, outcome)
}

fn swept() -> SweepSummary {
    let mut totals = Totals::default();
    let one = std::num::NonZeroUsize::MIN;
    let run = |seed| {
        let mut scenario = swarm(seed);
        scenario.bounds.push = Duration::ZERO;
        run_arm(Arm::Core, &scenario, seed, RunOptions::default(), |_| ()).map_err(|error| error.to_string())
    };
    sweep(1..3, one, run, |seed, result| {
        totals.add(seed, result);
        ControlFlow::Continue(())
    });
    totals.lapses.push(Lapse { clause: Clause::MethodIsGet, count: 1, details: vec!["POST got 101".into()] });
    let scenario = swarm(1);
    let run = Run { arm: Arm::Core, scenario: &scenario, seed: 1, wall: Duration::from_secs(1) };
    SweepSummary::new(&SweepReport { run, jobs: 1, totals: &totals, palette: Palette::Plain })
}

fn swarm(seed: u64) -> Scenario {
    Scenario::named("swarm", 30, Duration::from_secs(7200), Duration::from_secs(300), seed)
        .expect("a built-in scenario")
}

fn value(summary: &impl serde::Serialize) -> Value {
    serde_json::to_value(summary).expect("no map without names")
}

/// The fields that the table below this heading names.
fn documented(heading: &str) -> BTreeSet<String> {
    let (_, section) = DOCUMENT.split_once(&format!("\n## {heading}\n")).expect("a heading of the document");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(path, _)| path.to_owned()).collect()
}

/// Every field of the value, by the path that leads to it.
fn paths(value: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    collect(value, "", &mut all);
    all
}

/// Every seed, with the path that leads to it.
fn find_seeds(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Array(entries) => {
            entries.iter().for_each(|entry| find_seeds(entry, &format!("{path}[]"), found));
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                if ["seed", "from"].contains(&name.as_str()) {
                    let seed = field.as_str().unwrap_or_else(|| panic!("{path} is {field}"));
                    found.push((path, seed.to_owned()));
                } else {
                    find_seeds(field, &path, found);
                }
            }
        }
        _ => {}
    }
}

fn collect(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Array(entries) => {
            entries.iter().for_each(|entry| collect(entry, &format!("{path}[]"), all));
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let is_timing = path == "metrics.timings" && TIMINGS.contains(&name.as_str());
                let name = if is_timing { "NAME" } else { name };
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                collect(field, &path, all);
                all.insert(path);
            }
        }
        _ => {}
    }
}

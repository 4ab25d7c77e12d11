//! Comparisons report every figure that has become worse, and no other.

use carillon_simulator::Verdict;
use carillon_simulator::report::compare::{ChangeVerdict, CompareSummary, Limit, NoiseSource};
use carillon_simulator::report::{Document, Summary};

use crate::support::soak;

const LIMIT: &str = "push_latency:p(99)>+10%";

type Side = Vec<(String, Summary)>;

#[test]
fn a_planted_regression_is_found_by_single_runs_and_by_repeated_ones() {
    for seeds in [1, 3] {
        let summary = compare(&runs(0..seeds, 100), &runs(10..10 + seeds, 130), LIMIT);
        assert!(summary.regressed, "{summary:?}");
        assert_eq!(summary.figures[0].change_verdict, ChangeVerdict::Regressed);
        let change = summary.figures[0].change_percent.unwrap();
        assert!((20.0..40.0).contains(&change), "{change} %");
        let source = if seeds == 1 { NoiseSource::Samples } else { NoiseSource::Runs };
        assert_eq!(summary.figures[0].noise_source, source);
    }
}

#[test]
fn a_figure_that_is_worse_by_less_than_the_limit_is_no_regression() {
    let summary = compare(&runs(0..3, 100), &runs(10..13, 130), "push_latency:p(99)>+50%");
    assert!(!summary.regressed, "{summary:?}");
    assert_eq!(summary.figures[0].change_verdict, ChangeVerdict::Changed);
}

#[test]
fn noise_is_no_regression_however_small_the_limit() {
    let mut found = 0;
    for seed in 0..20 {
        let base = runs(seed * 10..seed * 10 + 3, 100);
        let new = runs(seed * 10 + 5..seed * 10 + 8, 100);
        found += u32::from(compare(&base, &new, "push_latency:p(99)>0ms").regressed);
    }
    // One side of 95 % is one in forty, so the chance of four in twenty is one in a thousand.
    assert!(found < 4, "{found} of 20");
}

#[test]
fn a_spread_among_repeated_runs_hides_a_difference_that_single_runs_show() {
    // 100, 150 and 200 % of the usual latency, against 130 %.
    let wild = [100, 150, 200].map(|slowness| (slowness.to_string(), soak::whole(slowness, slowness)));
    let summary = compare(&wild, &runs(0..3, 180), LIMIT);
    assert_eq!(summary.figures[0].change_verdict, ChangeVerdict::WithinNoise, "{summary:?}");
    assert!(compare(&wild[..1], &runs(0..1, 180), LIMIT).regressed);
}

#[test]
fn a_lost_push_is_a_regression_even_between_single_runs() {
    let mut new = runs(1..2, 100);
    new[0].1.metrics.as_mut().unwrap().counts.lost = 1;
    let summary = compare(&runs(0..1, 100), &new, "lost:count>0");
    assert!(summary.regressed, "{summary:?}");
    assert_eq!(summary.figures[0].noise_source, NoiseSource::Unknown);
}

#[test]
fn a_limit_on_a_figure_that_was_not_measured_is_not_kept() {
    let mut new = runs(1..2, 100);
    new[0].1.metrics.as_mut().unwrap().push_latency = Default::default();
    let summary = compare(&runs(0..1, 100), &new, LIMIT);
    assert!(summary.regressed);
    assert_eq!(summary.figures[0].change_verdict, ChangeVerdict::NoData);
}

#[test]
fn a_new_run_that_broke_a_guarantee_says_so() {
    let broken = vec![("broken".to_owned(), soak::broken("a push"))];
    assert_eq!(compare(&runs(5..6, 100), &broken, LIMIT).verdict, Verdict::Violated);
    assert_eq!(compare(&broken, &runs(5..6, 100), LIMIT).verdict, Verdict::Held);
}

#[test]
fn lax_departures_change_no_comparison() {
    let lax = vec![("lax".to_owned(), soak::lax("words"))];
    let [one, other] = [runs(1..2, 100), lax].map(|new| compare(&runs(0..1, 100), &new, LIMIT));
    assert_eq!((one.figures, one.verdict, one.regressed), (other.figures, other.verdict, other.regressed));
}

#[test]
fn a_report_of_schema_1_is_compared_with_one_of_schema_2() {
    let old = read(include_str!("schema_1/soak-1.json"));
    let mut new = old.clone();
    new.seed += 1;
    let new = read(&serde_json::to_string(&new).unwrap());
    let summary = compare(&[("old".to_owned(), old)], &[("new".to_owned(), new)], LIMIT);
    assert_eq!(summary.figures[0].change_verdict, ChangeVerdict::Unchanged);
}

#[test]
fn runs_of_different_loads_are_not_compared() {
    let refusal = |base: &Side, new: &Side| CompareSummary::new(base, new, &[]).unwrap_err();
    let mut other = runs(1..2, 100);
    other[0].1.clients = 7;
    let sentence = refusal(&runs(0..1, 100), &other);
    assert!(sentence.contains("the number of clients is 300 in run 0, but 7 in run 1"), "{sentence}");
    let twice = [runs(0..1, 100), runs(0..1, 100)].concat();
    assert!(refusal(&twice, &runs(1..2, 100)).contains("the same run as run 0"));
    let mut bare = runs(1..2, 100);
    bare[0].1.metrics = None;
    assert!(refusal(&runs(0..1, 100), &bare).contains("run 1 has no metrics"));
    assert!(refusal(&runs(0..1, 100), &Vec::new()).contains("no run to compare"));
}

fn read(text: &str) -> Summary {
    match Document::parse(text) {
        Ok(Document::Run(summary)) => *summary,
        other => panic!("{other:?}"),
    }
}

fn compare(base: &[(String, Summary)], new: &[(String, Summary)], limit: &str) -> CompareSummary {
    let limit: Limit = limit.parse().expect("a limit");
    CompareSummary::new(base, new, &[limit]).expect("runs that measure the same")
}

fn runs(seeds: std::ops::Range<u64>, slowness: u64) -> Side {
    seeds.map(|seed| (format!("run {seed}"), soak::whole(seed, slowness))).collect()
}

//! The merged parts of a load equal the report of the whole load.

use std::time::Duration;

use carillon_simulator::metrics::{Metric, Threshold};
use carillon_simulator::report::{Document, SCHEMA_VERSION, Shard, Summary};
use carillon_simulator::{Clause, Verdict};

use crate::support::soak;

fn parts() -> [(String, Summary); 3] {
    [1, 2, 3].map(|number| (format!("part{number}.json"), soak::part(number, 1, 100)))
}

#[test]
fn counts_and_histograms_are_sums_and_the_order_does_not_matter() {
    let whole = Summary::merge(&parts()).unwrap();
    let [one, two, three] = parts();
    let other = Summary::merge(&[three, one, two]).unwrap();
    assert_eq!(
        Summary { repeat: String::new(), ..other },
        Summary { repeat: String::new(), ..whole.clone() }
    );
    let sum = |figure: fn(&Summary) -> u64| parts().iter().map(|(_, part)| figure(part)).sum::<u64>();
    assert_eq!(whole.deliveries, sum(|part| part.deliveries));
    assert_eq!(whole.guarantees[0].exercised, sum(|part| part.guarantees[0].exercised));
    assert_eq!(whole.clients, 300);
    assert_eq!(whole.shard, Some(Shard { numbers: vec![1, 2, 3], of: 3 }));
    let latency = |part: &Summary| part.metrics.as_ref().unwrap().push_latency.count();
    assert_eq!(latency(&whole), sum(|part| part.metrics.as_ref().unwrap().push_latency.count()));
}

#[test]
fn a_merge_of_merges_is_the_merge_of_all() {
    let [one, two, three] = parts();
    let some = Summary::merge(&[one.clone(), two.clone()]).unwrap();
    assert_eq!(some.shard, Some(Shard { numbers: vec![1, 2], of: 3 }));
    let all = Summary::merge(&[("some.json".to_owned(), some), three.clone()]).unwrap();
    assert_eq!(all, Summary::merge(&[one, two, three]).unwrap());
}

#[test]
fn spreads_cover_all_parts_and_bounds_are_judged_again() {
    let [mut one, mut two, _] = parts();
    let spread =
        |part: &Summary| Metric::Spread.timing(part.metrics.as_ref().unwrap()).unwrap().max().unwrap();
    // The second part has each push once more, 80 ms after its due instant.
    let metrics = two.1.metrics.as_mut().unwrap();
    for cycle in 1..=120 {
        metrics.record_push(cycle, Duration::from_secs(5 * cycle), Duration::from_millis(80));
    }
    let threshold: Threshold = "spread:max<50ms".parse().unwrap();
    one.1.thresholds = vec![threshold.evaluate(one.1.metrics.as_ref().unwrap())];
    assert!(one.1.thresholds[0].held && spread(&one.1) < 50.0);
    let whole = Summary::merge(&[one, two]).unwrap();
    assert!(spread(&whole) > 50.0);
    assert_eq!(whole.thresholds[0].threshold, "spread:max<50ms");
    assert_eq!((whole.thresholds[0].observed, whole.thresholds[0].held), (Some(spread(&whole)), false));
    // A threshold of the second part alone is kept.
    assert_eq!(whole.thresholds.len(), 3);
}

#[test]
fn the_merged_verdict_is_the_worst_of_all_parts() {
    let [one, mut two, three] = parts();
    two.1.verdict = Verdict::Violated;
    (two.1.guarantees[2].verdict, two.1.guarantees[2].violations) = (Verdict::Violated, 4);
    two.1.guarantees[11].verdict = Verdict::Held;
    (two.1.interrupted, two.1.insecure) = (true, true);
    let whole = Summary::merge(&[one, two, three]).unwrap();
    let verdicts = [2, 3, 10, 11, 14].map(|index: usize| whole.guarantees[index].verdict);
    let expected =
        [Verdict::Violated, Verdict::Held, Verdict::Undecided, Verdict::Held, Verdict::NotExercised];
    assert_eq!(verdicts, expected);
    assert_eq!(
        (whole.verdict, whole.guarantees[2].violations, whole.interrupted, whole.insecure),
        (Verdict::Violated, 4, true, true)
    );
}

#[test]
fn lax_departures_are_added_up_and_headlines_are_kept() {
    let [mut one, mut two, three] = parts();
    let details = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    one.1.lax = vec![soak::lax_entry(Clause::CodeAfterOffence, 3, details(&["b", "a"]))];
    two.1.lax = vec![
        soak::lax_entry(Clause::CloseAfterOffence, 1, details(&["c"])),
        soak::lax_entry(Clause::CodeAfterOffence, 4, details(&["a", "d"])),
    ];
    (one.1.headlines, two.1.headlines) =
        (details(&["The server ended."]), details(&["The server ended.", "x"]));
    (one.1.guarantees[6].evidence, two.1.guarantees[6].evidence) = (details(&["e"]), details(&["e", "f"]));
    let whole = Summary::merge(&[one.clone(), two.clone(), three.clone()]).unwrap();
    assert_eq!(whole.verdict, Verdict::Held);
    let counts: Vec<_> = whole.lax.iter().map(|entry| (entry.section.as_ref(), entry.count)).collect();
    assert_eq!(counts, [("RFC 6455 §7.1.7", 1), ("RFC 6455 §7.4.1", 7)]);
    assert_eq!(whole.lax[1].details, ["a", "b", "d"]);
    assert_eq!(
        (whole.headlines.concat().as_str(), whole.guarantees[6].evidence.len()),
        ("The server ended.x", 2)
    );
    assert_eq!(Summary::merge(&[three, two, one]).unwrap().lax, whole.lax);
}

#[test]
fn parts_of_schema_1_are_merged() {
    let texts = [include_str!("schema_1/soak-1.json"), include_str!("schema_1/soak-2.json")];
    let parts = texts.map(|text| match Document::parse(text) {
        Ok(Document::Run(part)) => (format!("part {:?}", part.shard), *part),
        other => panic!("{other:?}"),
    });
    let whole = Summary::merge(&parts).unwrap();
    assert_eq!((whole.schema_version, whole.seed, whole.clients), (SCHEMA_VERSION, (1 << 53) + 1, 4));
}

#[test]
fn reports_that_are_not_parts_of_one_load_are_refused_with_the_reason() {
    let refusal = |change: fn(&mut Summary)| {
        let [one, mut two, _] = parts();
        change(&mut two.1);
        Summary::merge(&[one, two]).unwrap_err()
    };
    for (sentence, words) in [
        (refusal(|part| part.seed = 8), "the seed is 7 in part1.json, but 8 in part2.json"),
        (refusal(|part| part.scenario = "day".to_owned()), "the scenario is churn in part1.json, but day"),
        (refusal(|part| part.plan = None), "the plan is 300,30s;300,9m;0,30s in part1.json, but none"),
        (refusal(|part| part.period_seconds = 1.0), "the period is 5 s in part1.json, but 1 s"),
        (refusal(|part| part.arm = "core".into()), "the arm is live in part1.json, but core"),
        (
            refusal(|part| part.command = "run".into()),
            "part2.json is the report of a run; only reports of soaks",
        ),
        (refusal(|part| part.metrics = None), "only reports of soaks can be merged"),
        (refusal(|part| part.shard = None), "part2.json is a whole load"),
        (
            refusal(|part| part.shard.as_mut().unwrap().of = 4),
            "part1.json is one of 3 parts, but part2.json is one of 4",
        ),
        (
            refusal(|part| part.shard.as_mut().unwrap().numbers = vec![1]),
            "part 1 of 3 is there twice; the second time in part2.json",
        ),
    ] {
        assert!(sentence.contains(words), "{sentence}");
    }
    assert!(Summary::merge(&[]).is_err());
}

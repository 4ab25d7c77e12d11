use std::time::Duration;

use super::timeline::PushRule;
use super::*;

/// A scenario that allows no delay at all, so that the second shard breaks G7: it wakes up a little later.
const STRICT: &str = "\
name = \"strict <judge>\"
clients = 2
duration = \"11m\"
[bounds]
push = \"0s\"
---
seed 1

at 0s client 0 connects latency 0.02s
at 0s client 1 connects latency 0.02s
at 10s client 1 says hello, unsubscribe
at 20s client 1 says subscribe
";

fn strict() -> Explanation {
    let script: Script = STRICT.parse().unwrap();
    Explanation::of(&script, "cargo sim replay strict", |trace| script.play(trace).unwrap()).unwrap()
}

#[test]
fn the_text_has_both_sides_and_fits_a_terminal() {
    let text = strict().to_string();
    for part in [
        "G7 · On the grid, broken: late",
        "Promised: The due instants",
        "cycle 1 is due, at 20:05:00",
        "✗ gets push of",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 100, "{widest}:\n{text}");
    assert!(text.lines().count() <= 25, "{text}");
}

#[test]
fn the_picture_is_one_well_formed_file() {
    let svg = strict().svg();
    for tag in ["svg", "text", "style", "defs", "marker", "title"] {
        let (open, close) =
            (svg.matches(&format!("<{tag}")).count(), svg.matches(&format!("</{tag}>")).count());
        assert_eq!(open, close, "<{tag}> in\n{svg}");
    }
    assert_eq!(svg.matches("class=\"guilty\"").count(), 1);
    let page = strict().html();
    assert!(page.contains("strict &lt;judge&gt;") && !page.contains("<judge>"), "{page}");
}

#[test]
fn a_command_is_in_flight_until_it_is_settled() {
    let script: Script = STRICT.parse().unwrap();
    let recorder = Recorder::new(1);
    script.play(recorder.trace()).unwrap();
    let timeline = Timeline::new(&script, &strict().violation, 1, &recorder.lines());
    let rule_at = |millis| timeline.rule_at(Timestamp::ZERO + Duration::from_millis(millis));
    // The connection is open after 20 ms there and 20 ms back. Its request takes another 20 ms.
    let connect = [rule_at(0), rule_at(59), rule_at(100)];
    assert_eq!(connect, [PushRule::May, PushRule::May, PushRule::Must]);
    let commands = [rule_at(10_019), rule_at(10_100), rule_at(20_019), rule_at(20_100)];
    assert_eq!(commands, [PushRule::May, PushRule::MustNot, PushRule::May, PushRule::Must]);
}

#[test]
fn a_run_without_a_violation_has_no_explanation() {
    let mut script: Script = STRICT.parse().unwrap();
    script.scenario.bounds.push = Duration::from_millis(50);
    assert!(Explanation::of(&script, "", |trace| script.play(trace).unwrap()).is_none());
}

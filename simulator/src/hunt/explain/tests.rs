use std::time::Duration;

use super::tale::May;
use super::*;

/// A judge who allows for no delay at all, and so accuses the second shard, which wakes up a little later.
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
    let tale = Tale::new(&script, &strict().violation, 1, &recorder.lines());
    let may_at = |millis| tale.may_at(Timestamp::ZERO + Duration::from_millis(millis));
    // The connection stands after 20 ms there and 20 ms back, its request takes 20 ms.
    let connect = [may_at(0), may_at(59), may_at(100)];
    assert_eq!(connect, [May::May, May::May, May::Must]);
    let commands = [may_at(10_019), may_at(10_100), may_at(20_019), may_at(20_100)];
    assert_eq!(commands, [May::May, May::MustNot, May::May, May::Must]);
}

#[test]
fn a_run_in_which_nothing_breaks_needs_no_explanation() {
    let mut script: Script = STRICT.parse().unwrap();
    script.scenario.bounds.push = Duration::from_millis(50);
    assert!(Explanation::of(&script, "", |trace| script.play(trace).unwrap()).is_none());
}

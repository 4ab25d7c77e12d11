//! A failing run becomes a script that a person can read, and the script explains the failure.

use std::time::Duration;

use carillon_simulator::Arm;
use carillon_simulator::hunt::explain::Explanation;
use carillon_simulator::hunt::shrink::{Shrunk, shrink};
use carillon_simulator::{Outcome, Rng, Scenario, Script, Trace, World};

use crate::catalogue::Defect;
use crate::support::trial::trial_target;

const MINUTE: Duration = Duration::from_secs(60);

/// A script that is easy to read has at most this many clients and this many commands.
const FEW_CLIENTS: usize = 5;
const FEW_COMMANDS: usize = 10;

/// Runs that shrinking may take; most defects need fewer than a hundred.
const BUDGET: u32 = 3000;

#[test]
fn an_ignored_unsubscribe_becomes_one_client_and_one_command() {
    let script = convict_and_shrink(Defect::IgnoresUnsubscribe).script;
    assert_eq!((script.acting_clients(), script.commands()), (1, 1));
    let lines: Vec<String> = script.lines.iter().map(ToString::to_string).collect();
    assert!(lines[0].contains("client 0 connects latency 0.01s jitter 0s sliced 0"), "{lines:?}");
    assert!(lines[1].ends_with("client 0 says unsubscribe"), "{lines:?}");
}

#[test]
fn a_skipped_neighbour_becomes_a_few_clients() {
    let shrunk = convict_and_shrink(Defect::LosesAtShardBoundary);
    assert!(shrunk.script.acting_clients() >= 2, "the first client of all is never lost");
    assert!(shrunk.script.scenario.duration <= 6 * MINUTE);
}

#[test]
fn a_defect_that_needs_a_stall_keeps_the_stall() {
    let script = convict_and_shrink(Defect::StopsAfterStall).script;
    assert!(script.to_text().unwrap().contains("server pauses"));
}

#[test]
fn a_defect_of_the_shutdown_keeps_the_shutdown() {
    let script = convict_and_shrink(Defect::DrainsNormally).script;
    assert_eq!(script.scenario.duration, 5 * MINUTE, "a run lasts a period at least");
}

#[test]
fn the_head_of_a_script_names_the_violation() {
    for defect in [Defect::EchoesOutOfOrder, Defect::LosesLastSubscriber, Defect::PushesPerSubscribe] {
        convict_and_shrink(defect);
    }
}

#[test]
fn an_explanation_shows_both_sides_the_promise_and_the_guilty_frame() {
    let script = convict_and_shrink(Defect::IgnoresUnsubscribe).script;
    let play = |trace| play(&script, Some(Defect::IgnoresUnsubscribe), trace);
    let explanation = Explanation::of(&script, "cargo sim replay silence", play).unwrap();
    let text = explanation.to_string();
    for part in [
        "G2 · Silence while unsubscribed, broken: unexpected",
        "An unsubscribed client gets no push.",
        "sends unsubscribe",
        "takes unsubscribe",
        "MUST NOT",
        "cycle 1 is due",
        "✗ gets push of ",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    assert!(text.lines().count() <= 25, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let svg = explanation.svg();
    assert!(svg.contains("class=\"guilty\"") && svg.contains("prefers-color-scheme"), "{svg}");
    let page = explanation.html();
    let loads = ["<script", "<link", "<img", "url(http", "@import", "src="];
    assert!(loads.iter().all(|load| !page.contains(load)), "{page}");
}

#[test]
#[ignore = "takes minutes: the whole catalogue"]
fn nearly_all_of_the_catalogue_becomes_easy_to_read() {
    let mut large = Vec::new();
    for defect in Defect::ALL {
        let Some((recorded, outcome)) = convict(*defect) else { continue };
        let Shrunk { script, violation, runs, .. } = shrink_defect(*defect, recorded);
        let (clients, commands) = (script.acting_clients(), script.commands());
        println!("{defect:?}: {clients} clients, {commands} commands, {runs} runs: {}", violation.detail);
        println!("{}", script.to_text().unwrap());
        check_replay(*defect, &script);
        assert!(outcome.score.violation_count() > 0);
        if clients > FEW_CLIENTS || commands > FEW_COMMANDS {
            large.push(defect);
        }
    }
    assert!(large.len() * 8 <= Defect::ALL.len(), "{large:?}");
}

/// Finds a seed that convicts the defect, shrinks the run, and checks the script.
fn convict_and_shrink(defect: Defect) -> Shrunk {
    let (recorded, _) = convict(defect).unwrap_or_else(|| panic!("{defect:?} is never convicted"));
    let shrunk = shrink_defect(defect, recorded);
    let (clients, commands) = (shrunk.script.acting_clients(), shrunk.script.commands());
    assert!(
        clients <= FEW_CLIENTS && commands <= FEW_COMMANDS,
        "{defect:?}: {clients} clients, {commands} commands"
    );
    check_replay(defect, &shrunk.script);
    shrunk
}

/// The first run of the swarm in which a guarantee breaks that the defect is known to break.
fn convict(defect: Defect) -> Option<(Script, Outcome)> {
    (0..20).find_map(|seed| {
        let scenario = Scenario::named("swarm", 200, 120 * MINUTE, 5 * MINUTE, seed)?;
        let target = trial_target(&scenario, Some(defect));
        let world = World::new(scenario.clone(), target, &Rng::new(seed), Trace::default());
        let outcome = world.recording().run(|_| ());
        let is_known = |name: String| defect.guarantees().contains(&name.as_str());
        let violations = &outcome.score.violations;
        let first = violations.iter().find(|violation| is_known(violation.guarantee.to_string()))?;
        let breaks = Some((first.guarantee, first.fault));
        let script = outcome.script(&scenario, seed, Arm::Paused)?;
        Some((Script { breaks, ..script }, outcome))
    })
}

fn shrink_defect(defect: Defect, recorded: Script) -> Shrunk {
    let wanted = recorded.breaks.expect("the script of a conviction says what breaks");
    let mut runs = 0;
    let should_stop = || {
        runs += 1;
        runs > BUDGET
    };
    let shrunk = shrink(recorded, wanted, should_stop, |script| play(script, Some(defect), Trace::default()));
    shrunk.unwrap_or_else(|| panic!("{defect:?}: the script alone does not break {wanted:?}"))
}

/// The script that is written down breaks the same promise, and a server without the defect keeps it.
fn check_replay(defect: Defect, script: &Script) {
    let text = script.to_text().expect("a scenario that a file can say");
    let read: Script = text.parse().expect("what is written can be read");
    let outcome = play(&read, Some(defect), Trace::default());
    assert!(read.violation_in(&outcome.score).is_some(), "{defect:?}: nothing breaks in\n{text}");
    let innocent = play(&read, None, Trace::default());
    assert_eq!(innocent.score.violations, [], "the server without {defect:?} is accused in\n{text}");
}

fn play(script: &Script, defect: Option<Defect>, trace: Trace) -> Outcome {
    script.play_on(trial_target(&script.scenario, defect), trace)
}

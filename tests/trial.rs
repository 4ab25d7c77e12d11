//! A trial in a user's own test: its result, and its output when a guarantee breaks.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;
use std::{env, fs};

use carillon_simulator::paused::Stream;
use carillon_simulator::trial::{Trial, TrialError};
use carillon_simulator::{Guarantee, Script, Verdict};
use futures::{SinkExt, StreamExt};

/// The variable that tells a copy of this program to run the failing trial.
const REQUEST: &str = "CARILLON_TEST_FAILING_TRIAL";

/// An echo server without pushes.
async fn serve(stream: Stream) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Ok(text) = message.to_text() else { return };
        let reply = format!("Server received: {text}");
        if message.is_text() && socket.send(reply.into()).await.is_err() {
            return;
        }
    }
}

fn trial() -> Trial {
    Trial::of(|_scenario, _clock| serve).clients(10).duration(Duration::from_secs(1800)).seeds(3..=6)
}

fn scripts() -> PathBuf {
    env::temp_dir().join(format!("carillon-trial-{}", std::process::id()))
}

#[test]
fn a_trial_returns_the_tallies_of_all_seeds() {
    let result = trial().run().expect("the scenario is a built-in one");
    assert_eq!((result.verdict(), result.seeds()), (Verdict::Violated, 4));
    assert_eq!(result.failed_seeds().collect::<Vec<_>>(), [3, 4, 5, 6]);
    assert!(result.tally(Guarantee::G3).violations > 0 && result.tally(Guarantee::G8).exercised > 0);
    assert_eq!(result.tally(Guarantee::G8).violations, 0);
}

#[test]
fn an_invalid_setting_is_an_error_that_names_the_allowed_values() {
    let error = |trial: Trial| match trial.run() {
        Err(TrialError::Setting(sentence)) => sentence,
        other => panic!("{other:?}"),
    };
    assert!(error(trial().scenario("quiet")).contains("swarm"));
    assert!(error(trial().clients(0)).contains("clients"));
    #[expect(clippy::reversed_empty_ranges, reason = "this is the mistake")]
    let none = trial().seeds(2..=1);
    assert!(error(none).contains("no seed from 2 to 1"));
    assert!(error(trial().seeds(u64::MAX..=u64::MAX)).contains("18446744073709551614 at most"));
    let missing = trial().scenario("./no-such-file.toml").run();
    assert!(matches!(missing, Err(TrialError::File(_))), "{missing:?}");
}

/// Not a test: the tests below start it in a separate process and set its environment.
#[test]
fn a_failing_trial() {
    if let Some(folder) = env::var_os(REQUEST) {
        trial().scripts_in(folder).assert_held();
    }
}

/// Runs the trial in another process, with these variables.
fn fail(variables: &[(&str, &str)]) -> String {
    let program = env::current_exe().expect("a running program has a path");
    let Output { status, stdout, stderr } = Command::new(program)
        .args(["--exact", "trial::a_failing_trial", "--nocapture"])
        .env(REQUEST, scripts())
        .envs(variables.iter().copied())
        .output()
        .expect("this program can be started again");
    let output = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(!status.success(), "{output}");
    output
}

#[test]
fn a_failed_assertion_prints_the_promise_the_story_and_the_commands_to_repeat_it() {
    let output = fail(&[("CARGO_PKG_NAME", "my-server")]);
    let expected = [
        "in 4 of 4 seeds of day (10 clients, 30m); the first is seed 3",
        "G3 Every subscriber, every cycle: lost",
        "Promised: The push of a cycle goes to every client",
        "The run made small, written to ",
        "breaks G3 lost",
        "To see it again:  CARILLON_SEED=3 cargo test -p my-server trial::a_failing_trial -- --exact",
        "To play the script:  CARILLON_SCRIPT=",
    ];
    for part in expected {
        assert!(output.contains(part), "{part:?} is missing in\n{output}");
    }
    // The script that was written breaks the same guarantee when it is played.
    let file = scripts().join("trial-a_failing_trial-seed-3.script");
    let script = Script::load(&file).expect("the script was written");
    assert_eq!(script.breaks.map(|(guarantee, _)| guarantee), Some(Guarantee::G3));
    let played = fail(&[("CARILLON_SCRIPT", &file.display().to_string())]);
    assert!(played.contains("a guarantee breaks in the script"), "{played}");
    let one = fail(&[("CARILLON_SEED", "5")]);
    assert!(one.contains("in 1 of 1 seeds") && one.contains("the first is seed 5"), "{one}");
    fs::remove_dir_all(scripts()).expect("it was made by this test");
}

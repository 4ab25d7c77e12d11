use std::time::Duration;

use carillon_server::{Config, Zone};
use proptest::prelude::*;

use super::*;
use crate::scenario::{
    Behaviour, DEFAULT_CLIENTS, DEFAULT_DURATION, DEFAULT_PERIOD, Scenario, SwitchProfile,
};

const MINUTE: Duration = Duration::from_secs(60);

fn mistake(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn missing_keys_have_the_values_of_a_quiet_scenario() {
    let parsed = parse("name = \"calm\"").unwrap();
    let server = Config { period: DEFAULT_PERIOD, ..Config::default() };
    let quiet = Scenario::quiet("calm", DEFAULT_CLIENTS, DEFAULT_DURATION, server);
    assert_eq!(format!("{parsed:?}"), format!("{quiet:?}"));
}

#[test]
fn a_third_party_server_has_a_third_of_the_period_for_a_push_unless_the_file_sets_a_bound() {
    let push_of = |text: &str| parse(text).unwrap().foreign_bounds().push;
    assert_eq!(push_of("name = \"left out\"\nperiod = \"5m\""), Duration::from_secs(100));
    for bound in ["500ms", "2s"] {
        let text = format!("name = \"said\"\nbounds.push = \"{bound}\"");
        assert_eq!(push_of(&text), parse(&text).unwrap().bounds.push);
        let again = format(&parse(&text).unwrap()).unwrap();
        assert_eq!(push_of(&again), push_of(&text));
    }
    // The slowest link takes 350 ms, and a push must arrive before the next is due.
    assert_eq!(push_of("name = \"short\"\nperiod = \"1s\""), Duration::from_millis(500));
}

#[test]
fn counts_times_zones_and_sizes_may_have_units() {
    let text = r#"
        name = "mine"
        clients = "2k"
        period = "90s"
        zone = { before = "+01:00", after = "+02:00", at = 2026-03-29T01:00:00Z }
        wall_origin = "2026-03-29T00:30:00.5+01:00"
        server = { max_message = 1000, outbox_limit = "4KiB" }
        population = { switcher = 2, app = 1 }
        app.switch = { on = "1m", off = "1h30m" }
    "#;
    let scenario = parse(text).unwrap();
    assert_eq!((scenario.clients, scenario.server.period), (2000, MINUTE + MINUTE / 2));
    assert!(matches!(scenario.zone, Zone::Switch { before: 3600, at: 1_774_746_000, after: 7200 }));
    // 2026-03-28 23:30:00.5 UTC.
    assert_eq!(scenario.wall_origin.as_unix_nanos(), 1_774_740_600_500_000_000);
    assert_eq!((scenario.server.max_message, scenario.server.outbox_limit), (1000, 4096));
    assert_eq!(scenario.population, [(Behaviour::App, 1), (Behaviour::Switcher, 2)]);
    assert_eq!(scenario.app.switch, Some(SwitchProfile { on: MINUTE, off: 90 * MINUTE }));
}

#[test]
fn a_mistake_names_its_line_its_column_and_the_expected_value() {
    let head = "name = \"x\"\n";
    for (rest, expected) in [
        (
            "clinets = 5",
            "line 2, column 1: there is no key clinets; expected one of name, clients, duration,",
        ),
        (
            "clients = \"many\"",
            "line 2, column 11: clients cannot be read: write a whole number, alone or with k",
        ),
        ("clients = -1", "line 2, column 11: clients cannot be read: write a whole number such as 500"),
        ("clients = 0", "line 2, column 11: clients is 0; it must lie between 1 and 10m"),
        ("period = 5", "line 2, column 10: period cannot be read: write a time in quotes, such as \"5m\""),
        ("period = \"5 m\"", "line 2, column 10: period cannot be read: write whole numbers and units"),
        ("[server]\nlimit = 3", "line 3, column 1: there is no key server.limit; expected one of path,"),
        ("server = 3", "line 2, column 10: server must be a table: write [server]"),
        (
            "[server]\noutbox_limit = 9",
            "line 3, column 16: server.outbox_limit is invalid: outbox-limit is 9",
        ),
        ("[server]\nmax_message = \"1GiB\"", "line 3, column 15: server.max_message is 1073741824 bytes"),
        ("[population]\ngoat = 1", "line 3, column 1: there is no key population.goat; expected one of app,"),
        ("population = {}", "line 2, column 14: population must name at least one behaviour"),
        ("[app.switch]\non = \"1m\"", "line 2, column 1: app.switch.off is missing"),
        ("[app]\nheartbeat = \"1ms\"", "line 3, column 13: app.heartbeat is 1ms; it must lie between 1s and"),
        (
            "links.max_latency = \"1ms\"",
            "line 2, column 1: links.min_latency is 3ms; it must lie between 0s and 1ms",
        ),
        ("faults.heals = 1", "line 2, column 16: faults.heals cannot be read: write true or false"),
        ("zone = \"local\"", "line 2, column 8: zone cannot be read: write \"utc\", an offset such as"),
        ("zone = { before = \"utc\" }", "line 2, column 8: zone cannot be read"),
        ("wall_origin = \"noon\"", "line 2, column 15: wall_origin cannot be read: write an instant"),
        (
            "period = \"1s\"\nbounds.push = \"1s\"",
            "line 2, column 10: period 1s is too short; it must be at least 1s351ms",
        ),
        ("clients = ", "line 2, column 1"),
    ] {
        let seen = mistake(&format!("{head}{rest}"));
        assert!(seen.starts_with(expected), "{rest}\n     seen: {seen}\n expected: {expected}");
    }
    assert!(mistake("").starts_with("line 1, column 1: name must be"));
}

#[test]
fn a_scenario_that_a_file_cannot_express_is_not_written() {
    let scenario = Scenario::day(10, Duration::from_secs(3600), 5 * MINUTE);
    for zone in [Zone::Function(|_| 0), Zone::Fixed(-1)] {
        assert_eq!(format(&Scenario { zone, ..scenario.clone() }), Err(Unwritable));
    }
    let name = "a \"quoted\" \\ name".to_owned();
    assert_eq!(parse(&format(&Scenario { name: name.clone(), ..scenario }).unwrap()).unwrap().name, name);
}

proptest! {
    /// [`format`] itself compares, and refuses a scenario that it cannot write.
    #[test]
    fn a_written_scenario_reads_back_equal(
        name in prop::sample::select(Scenario::BUILT_IN.map(|(name, _)| name).to_vec()),
        clients in 1..=10_000_000_u32,
        period in 2000..400_000_u64,
        seed: u64,
    ) {
        let period = Duration::from_millis(period);
        let scenario = Scenario::named(name, clients, 100 * period, period, seed).unwrap();
        let text = format(&scenario).unwrap();
        prop_assert_eq!(format!("{:?}", parse(&text).unwrap()), format!("{scenario:?}"));
        prop_assert!(text.lines().all(|line| line.chars().count() <= 110), "{}", text);
    }

    #[test]
    fn no_text_causes_a_panic(text: String) {
        let _answer = parse(&text);
    }
}

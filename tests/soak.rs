//! Loads over real sockets: judged like any run, with a report of what they cannot tell.

use std::future::pending;
use std::time::Duration;

use carillon_simulator::Verdict;
use carillon_simulator::live::Trust;
use carillon_simulator::live::soak::{Plan, SoakOptions, soak};
use carillon_simulator::live::{Address, Dialect};
use carillon_simulator::report::Summary;
use carillon_simulator::{AppProfile, Scenario, SwitchProfile};
use tokio::time::sleep;

use crate::catalogue::Defect;
use crate::support::child::{PERIOD, Process, TestServer};

const SECOND: Duration = Duration::from_secs(1);

/// A load of clients that use their switch all the time, for `seconds`.
fn options(port: u16, clients: u32, seconds: u64) -> SoakOptions {
    let plan = Plan::steady(clients, SECOND * seconds as u32);
    let mut scenario = Scenario::day(clients, plan.duration(), PERIOD);
    let switch = SwitchProfile { on: SECOND * 2, off: SECOND * 2 };
    scenario.app = AppProfile { heartbeat: Some(SECOND), switch: Some(switch), restart: Some(SECOND * 3) };
    SoakOptions {
        address: Address::parse(&format!("ws://127.0.0.1:{port}/ws")).expect("a sound URL"),
        trust: Trust::default(),
        dialect: Dialect::default(),
        scenario,
        plan,
        seed: 7,
        shard: (1, 1),
        thresholds: vec!["lost:count==0".parse().expect("a threshold")],
        server: None,
        is_served: false,
    }
}

fn verdict(summary: &Summary, id: &str) -> Verdict {
    summary.guarantees.iter().find(|entry| entry.id == id).expect("all are there").verdict
}

#[test]
fn a_server_that_keeps_its_promises_is_acquitted() {
    let server = Process::start(TestServer::Compact(None));
    let summary = soak(options(server.port, 60, 8), pending(), |_| ()).expect("a load");
    assert_eq!(summary.verdict, Verdict::Held, "{:#?}", summary.guarantees);
    for id in ["G1", "G2", "G3", "G4", "G5", "G6", "G8"] {
        assert_eq!(verdict(&summary, id), Verdict::Held, "{id}: {:#?}", summary.guarantees);
    }
    assert!(summary.deliveries > 100 && !summary.interrupted, "{summary:#?}");
    assert!(summary.thresholds[0].held);
    let metrics = summary.metrics.expect("a soak measures");
    assert!(metrics.counts.reconnects > 0 && metrics.counts.lost == 0, "{:?}", metrics.counts);
    assert!(metrics.own_delay.count() > 0 && !metrics.timeline.samples().is_empty());
}

#[test]
fn a_server_that_breaks_a_promise_is_convicted() {
    for (defect, id) in [(Defect::IgnoresUnsubscribe, "G2"), (Defect::LosesLastSubscriber, "G3")] {
        let server = Process::start(TestServer::Compact(Some(defect)));
        let summary = soak(options(server.port, 20, 6), pending(), |_| ()).expect("a load");
        assert_eq!(verdict(&summary, id), Verdict::Violated, "{defect:?}: {:#?}", summary.guarantees);
    }
}

/// The report counts the connections that were lost with the server.
#[test]
fn a_server_that_dies_is_an_outage_and_no_violation() {
    let server = Process::start(TestServer::Compact(None));
    let port = server.port;
    let mut server = Some(server);
    let summary = soak(options(port, 30, 8), pending(), move |progress| {
        if progress.seconds > 4.0 {
            server.take();
        }
    })
    .expect("a load");
    assert_ne!(summary.verdict, Verdict::Violated, "{:#?}", summary.guarantees);
    let lost = summary.guarantees.iter().find(|entry| entry.id == "G3").expect("it is there");
    assert!(lost.evidence.iter().any(|sentence| sentence.contains("the server was gone")), "{lost:#?}");
}

#[test]
fn an_interrupted_load_reports_the_results_so_far() {
    let server = Process::start(TestServer::Compact(None));
    let interrupted = async { sleep(SECOND * 3).await };
    let summary = soak(options(server.port, 10, 600), interrupted, |_| ()).expect("a load");
    assert!(summary.interrupted && summary.deliveries > 0, "{summary:#?}");
    assert_eq!(summary.verdict, Verdict::Held);
}

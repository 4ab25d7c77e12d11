//! `wss://`: the same verdicts behind a proxy that terminates TLS, and no verdict if its certificate is not trusted.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use carillon_server::shell::Options;
use carillon_simulator::Verdict;
use carillon_simulator::live::Trust;
use carillon_simulator::live::conform::{ConformError, ConformOptions, ConformReport, Conformance, conform};
use carillon_simulator::live::soak::{Plan, SoakOptions, soak};
use carillon_simulator::live::{Address, Dialect};
use carillon_simulator::report::{Palette, Summary, SummaryReport};
use carillon_simulator::{AppProfile, Guarantee, Scenario, SwitchProfile};
use tokio::task::spawn_blocking;

use crate::support::proxy::Proxy;
use crate::support::server::Running;
use crate::support::soon;

const PERIOD: Duration = Duration::from_secs(1);

/// The number of trials if a busy machine leaves a verdict undecided. A wrong verdict is never tried again.
const TRIALS: usize = 3;

/// The warning in a report of a run that trusted any certificate.
const WARNING: &str = "The server's certificate was NOT verified (--insecure)";

/// The reference server behind a proxy with a certificate for `name`.
async fn start(name: &str) -> (Running, Proxy) {
    let server = Running::start(Options { period: PERIOD, ..Options::default() });
    let proxy = Proxy::start(server.address, name).await;
    (server, proxy)
}

fn trust(proxy: &Proxy) -> Trust {
    Trust::with_roots_of(proxy.root()).expect("a file with a certificate")
}

async fn try_out(url: String, trust: Trust) -> Result<Conformance, ConformError> {
    let options = ConformOptions {
        trust,
        guarantees: vec![Guarantee::G1, Guarantee::G5, Guarantee::G8],
        cycles: 4,
        close_timeout: PERIOD * 5,
        ..ConformOptions::new(Address::parse(&url).expect("a sound URL"), PERIOD)
    };
    spawn_blocking(|| conform(options, |_| ())).await.expect("a trial does not panic")
}

/// The report of a load of `churn` for `seconds`.
async fn put_load(url: String, trust: Trust, seconds: u32) -> Result<Summary, String> {
    let plan = Plan::steady(30, Duration::from_secs(1) * seconds);
    let mut scenario = Scenario::named("churn", 30, plan.duration(), PERIOD, 7).expect("a built-in one");
    let switch = SwitchProfile { on: PERIOD * 2, off: PERIOD * 2 };
    scenario.app = AppProfile { heartbeat: Some(PERIOD), switch: Some(switch), restart: Some(PERIOD * 2) };
    let options = SoakOptions {
        address: Address::parse(&url).expect("a sound URL"),
        trust,
        dialect: Dialect::default(),
        scenario,
        plan,
        seed: 7,
        shard: (1, 1),
        thresholds: Vec::new(),
        server: None,
        is_served: false,
    };
    let load = spawn_blocking(|| soak(options, pending(), |_| ()).map_err(|error| error.to_string()));
    load.await.expect("a load does not panic")
}

/// The error sentences of a trial and of a load.
async fn refusals(url: &str, trust: &Trust) -> [String; 2] {
    let unreachable = |error| match error {
        ConformError::Unreachable(sentence) => sentence,
        other => panic!("{other}"),
    };
    let conformance = soon(try_out(url.to_owned(), trust.clone())).await.map(|_| ());
    let load = soon(put_load(url.to_owned(), trust.clone(), 60)).await.map(|_| ());
    [conformance.map_err(unreachable), load]
        .map(|result| result.expect_err("a certificate that is not trusted"))
}

fn verdict(summary: &Summary, id: &str) -> Verdict {
    summary.guarantees.iter().find(|entry| entry.id == id).expect("all are there").verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_tls_is_acquitted() {
    let (_server, proxy) = start("127.0.0.1").await;
    for trial in 1.. {
        let conformance = try_out(proxy.url(), trust(&proxy)).await.expect("a server that is trusted");
        let tried =
            || conformance.guarantees().iter().filter(|entry| ["G1", "G5", "G8"].contains(&&*entry.id));
        assert!(tried().all(|entry| entry.verdict != Verdict::Violated), "{:#?}", conformance.guarantees());
        if tried().all(|entry| entry.verdict == Verdict::Held) {
            let report = ConformReport { conformance: &conformance, palette: Palette::Plain }.to_string();
            assert!(!conformance.summary().insecure && !report.contains(WARNING), "{report}");
            return assert!(conformance.summary().repeat.contains(" --ca "));
        }
        assert!(trial < TRIALS, "{:#?}", conformance.guarantees());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_over_tls_is_judged() {
    let (_server, proxy) = start("127.0.0.1").await;
    for trial in 1.. {
        let summary = put_load(proxy.url(), trust(&proxy), 5).await.expect("a server that is trusted");
        assert_ne!(summary.verdict, Verdict::Violated, "{:#?}", summary.guarantees);
        let counts = summary.metrics.as_ref().expect("a soak measures").counts;
        assert_eq!(counts.lost, 0);
        let is_held = |id: &str| verdict(&summary, id) == Verdict::Held;
        let is_tried = ["G1", "G3", "G5", "G8"].into_iter().all(is_held);
        if is_tried && counts.connect_failures == 0 && counts.reconnects > 0 {
            return assert!(!summary.insecure && summary.repeat.contains(" --ca "), "{}", summary.repeat);
        }
        assert!(trial < TRIALS, "{counts:?} {:#?}", summary.guarantees);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insecure_load_says_so_in_its_report() {
    let (_server, proxy) = start("elsewhere.test").await;
    let summary =
        put_load(proxy.url(), Trust::any_certificate(), 3).await.expect("any certificate is accepted");
    assert!(summary.insecure && summary.deliveries > 0, "{summary:#?}");
    assert!(summary.repeat.contains(" --insecure"), "{}", summary.repeat);
    let report = SummaryReport { summary: &summary, palette: Palette::Plain }.to_string();
    assert!(report.contains(WARNING), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_refused_with_advice() {
    let (_server, proxy) = start("127.0.0.1").await;
    let host = "the certificate of 127.0.0.1 is from an issuer that is not known here";
    for sentence in refusals(&proxy.url(), &Trust::default()).await {
        assert!(sentence.contains(host), "{sentence}");
        assert!(sentence.contains("--ca FILE") && sentence.contains("--insecure"), "{sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused() {
    let (_server, proxy) = start("elsewhere.test").await;
    for sentence in refusals(&proxy.url(), &trust(&proxy)).await {
        assert!(
            sentence.contains("is not for 127.0.0.1") && sentence.contains("elsewhere.test"),
            "{sentence}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_refused_as_such() {
    let server = Running::start(Options { period: PERIOD, ..Options::default() });
    let SocketAddr::V4(address) = server.address else { panic!("loopback is IPv4") };
    for sentence in refusals(&format!("wss://{address}/ws"), &Trust::default()).await {
        assert!(sentence.contains("does not speak TLS") && sentence.contains("ws://"), "{sentence}");
    }
}

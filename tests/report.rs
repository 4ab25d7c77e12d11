//! Report pages: the parts that they must contain, and the parts that they must not.

use std::time::Duration;

use carillon_simulator::Scenario;
use carillon_simulator::report::page::{html, markdown};
use carillon_simulator::report::{Document, Run, Summary};
use carillon_simulator::{Arm, RunOptions, run_arm};

use crate::support::soak;

/// A text that an attacker might send to inject markup into a page.
const HARM: &str = "<script>alert(1)</script> & \"quotes\" | `ticks` **stars** </details> @all [x](y)";

/// Elements without an end.
const VOID: [&str; 5] = ["br", "hr", "img", "link", "meta"];

#[test]
fn a_page_loads_nothing() {
    for (name, page) in pages() {
        let page = page.to_lowercase();
        for load in [
            "http:", "https:", "//cdn", "src=", "href=", "@import", "url(", "<script", "<link", "<img",
            "<iframe",
        ] {
            assert!(!page.contains(load), "{name} contains {load}");
        }
    }
}

#[test]
fn a_page_is_well_formed() {
    for (name, page) in pages() {
        check_nesting(&name, &page);
    }
}

#[test]
fn text_from_the_wire_is_escaped_on_every_page() {
    let page = html(&run_document(soak::broken(HARM)));
    assert!(!page.contains("<script>"), "{page}");
    // The evidence, the detail and the story.
    assert_eq!(page.matches("&#60;script&#62;alert(1)&#60;/script&#62;").count(), 3, "{page}");
    let text = markdown(&run_document(soak::broken(HARM)));
    for harm in ["<script>", "</details> @", "`ticks`", "**stars**", "@all", "[x]"] {
        assert!(!text.contains(harm), "{harm} stands in\n{text}");
    }
}

#[test]
fn the_page_of_a_soak_has_every_figure() {
    let page = html(&run_document(soak::broken("a push")));
    for name in [
        "Push latency",
        "Deliveries",
        "Connections",
        "Spread of each push",
        "Memory of the server",
        "Processor time",
    ] {
        assert!(page.contains(&format!("role=\"img\" aria-label=\"{name}. ")), "{name} is missing");
        assert!(page.contains(&format!("<title>{name}</title>")), "{name} has no title");
    }
    assert!(!page.contains("Not measured"), "{page}");
    for part in [
        "1 of 15 guarantees violated, 1 undecided, 2 not exercised",
        "Promised: An unsubscribed client gets no push.",
        "push_latency:p(99)&#60;50ms",
        "does not differ significantly from zero",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(page.contains(part), "{part:?} is missing");
    }
    let verdict = page.find("class=\"verdict\"").unwrap();
    let guarantees = page.find("<h2>Guarantees</h2>").unwrap();
    assert!(verdict < guarantees && guarantees < page.find("<svg").unwrap(), "verdict, guarantees, charts");
}

#[test]
fn the_page_of_a_run_says_what_was_not_measured() {
    let page = html(&run_document(simulated()));
    assert!(page.contains("aria-label=\"Push latency. "), "{page}");
    assert!(page.contains("<h2>Not measured</h2>"), "{page}");
    assert!(page.contains("No samples were taken over time; only a soak takes them."), "{page}");
    assert_eq!(page.matches("<svg").count(), 1);
}

#[test]
fn the_page_of_a_bare_report_still_has_a_verdict() {
    let bare = Summary { metrics: None, latency_ms: None, guarantees: Vec::new(), ..soak::whole(1, 100) };
    let page = html(&run_document(bare));
    assert!(page.contains("No times were measured.") && !page.contains("<svg"), "{page}");
}

#[test]
fn an_insecure_run_says_so_on_its_page() {
    let trusting = |insecure| run_document(Summary { insecure, ..soak::whole(1, 100) });
    for print in [html, markdown] {
        assert!(print(&trusting(true)).contains("NOT verified (--insecure)"));
        assert!(!print(&trusting(false)).contains("NOT verified"));
    }
}

#[test]
fn markdown_has_the_verdict_first_and_folds_long_parts() {
    let text = markdown(&run_document(soak::broken("a push")));
    assert!(text.starts_with("### soak of churn: ✗ 1 of 15 guarantees violated,"), "{text}");
    assert!(text.contains("| `push_latency:p(99)<50ms` | "), "{text}");
    assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
    for table in text.split("\n\n").filter(|block| block.starts_with('|')) {
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        let widths: Vec<_> = table.lines().map(columns).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
    }
}

/// A page of each kind, with [`HARM`] in every text.
fn pages() -> Vec<(String, String)> {
    let named = |name: &str, summary| (name.to_owned(), html(&run_document(summary)));
    let mut short = soak::whole(1, 100);
    short.metrics.iter_mut().for_each(|metrics| *metrics = Default::default());
    vec![
        named("a soak", soak::broken(HARM)),
        named("a run", simulated()),
        named("an empty soak", Summary { scenario: HARM.to_owned(), interrupted: true, ..short }),
    ]
}

fn simulated() -> Summary {
    let scenario = Scenario::day(30, Duration::from_secs(7200), Duration::from_secs(300));
    let outcome = run_arm(Arm::Core, &scenario, 1, RunOptions::default(), |_| ()).expect("limits that hold");
    Summary::new(
        &Run { arm: Arm::Core, scenario: &scenario, seed: 1, wall: Duration::from_secs(1) },
        &outcome,
    )
}

fn run_document(summary: Summary) -> Document {
    Document::Run(Box::new(summary))
}

/// Every element ends where it should, and every attribute is quoted.
fn check_nesting(name: &str, page: &str) {
    let (_, page) = page.split_once("<!doctype html>").expect("a document type");
    let page = page.split("<style>").collect::<Vec<_>>();
    let page: String =
        page.iter().map(|part| part.split_once("</style>").map_or(*part, |(_, rest)| rest)).collect();
    let mut open = Vec::new();
    for (index, piece) in page.split('<').enumerate().skip(1) {
        let (tag, _) =
            piece.split_once('>').unwrap_or_else(|| panic!("{name}: <{piece} has no end ({index})"));
        let word = tag.split([' ', '/']).next().unwrap_or_default();
        if let Some(ended) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(ended), "{name}: </{ended}>");
        } else if !tag.ends_with('/') && !VOID.contains(&word) {
            open.push(word);
        }
        assert!(tag.matches('"').count().is_multiple_of(2), "{name}: <{tag}>");
    }
    assert_eq!(open, [""; 0], "{name}");
}

//! Report pages: the parts that they must contain, and the parts that they must not.

use std::time::Duration;

use carillon_simulator::Scenario;
use carillon_simulator::report::page::{html, markdown};
use carillon_simulator::report::{Document, EvidenceReport, Palette, Run, Summary, SummaryReport};
use carillon_simulator::{Arm, RunOptions, Verdict, run_arm};

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
    let lax = html(&run_document(soak::lax(HARM)));
    assert!(!lax.contains("<script>"), "{lax}");
    // The headline and six details.
    assert_eq!(lax.matches("&#60;script&#62;alert(1)&#60;/script&#62;").count(), 7, "{lax}");
    let text = [soak::broken(HARM), soak::lax(HARM)].map(|summary| markdown(&run_document(summary))).concat();
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
fn lax_departures_have_a_section_and_headlines_stand_on_top() {
    let page = html(&run_document(soak::lax("words")));
    let position = |part: &str| page.find(part).unwrap_or_else(|| panic!("{part:?} is missing in {page}"));
    let places =
        ["class=\"verdict\"", "status 1: words", "<h2>Guarantees</h2>", "<h2>Lax</h2>", "<h2>Times</h2>"];
    assert!(places.map(position).is_sorted(), "{page}");
    for part in [
        "RFC 6455 §7.1.7",
        "before the connection ends: 12 times",
        "<li>case 6: words</li>",
        "<li>and 2 more</li>",
    ] {
        assert!(page.contains(part), "{part:?} is missing");
    }
    assert!(page.contains("12 of 15 guarantees held, 1 undecided, 2 not exercised, 2 lax"), "{page}");
    assert!(!html(&run_document(soak::whole(1, 100))).contains("<h2>Lax</h2>"));
    let text = markdown(&run_document(soak::lax("words")));
    assert!(text.contains("\n> The server ended with status 1: words\n"), "{text}");
    assert!(
        text.contains("<summary>Lax: 2 (they do not count)</summary>\n\n* **RFC 6455 §7.1.7**: a client "),
        "{text}"
    );
    assert!(text.contains("\n    * case 6: words\n    * and 2 more\n* **RFC 6455 §4.1**: "), "{text}");
    assert!(!markdown(&run_document(soak::whole(1, 100))).contains("Lax"));
}

#[test]
fn guarantees_that_were_not_asked_for_share_a_line_and_others_have_a_reason() {
    let mut summary = soak::whole(1, 100);
    for index in [1, 4] {
        let entry = &mut summary.guarantees[index];
        (entry.verdict, entry.evidence) = (Verdict::NotExercised, vec!["not selected".to_owned()]);
    }
    let page = html(&run_document(summary.clone()));
    assert!(page.contains("<p class=\"others\">not asked for: G2, G5</p>"), "{page}");
    assert_eq!(page.matches("<td class=\"id\">").count(), 13);
    assert_eq!(page.matches("<small>no situation arose</small>").count(), 2, "{page}");
    assert!(
        page.contains("10 of 15 guarantees held, 1 undecided, 2 not exercised, 2 not asked for"),
        "{page}"
    );
    assert!(markdown(&run_document(summary)).contains("\nnot asked for: G2, G5\n"));
}

#[test]
fn the_text_of_a_load_has_headlines_lax_departures_and_evidence() {
    let mut summary = soak::lax(&"words ".repeat(30));
    summary.guarantees[1].evidence = (1..=9).map(|number| format!("sentence {number}")).collect();
    let text = SummaryReport { summary: &summary, palette: Palette::Plain }.to_string();
    let position = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} is missing in {text}"));
    let places = [
        "soak of churn",
        "The server ended with status 1",
        "  G1 ",
        "\nlax, by the letter of",
        "15 guarantees",
    ];
    assert!(places.map(position).is_sorted(), "{text}");
    assert!(text.contains("(they do not count):\n  RFC 6455 §7.1.7  a client that"), "{text}");
    assert!(text.ends_with("2 not exercised, 2 lax\n"), "{text}");
    let evidence = EvidenceReport { summary: &summary }.to_string();
    assert!(evidence.contains("\n  G2   sentence 8\n  G2   and 1 more in the JSON\n"), "{evidence}");
    assert!(
        evidence.contains("\n  G12  no situation arose\n") && evidence.contains("\n  repeat with\n"),
        "{evidence}"
    );
    for line in text.lines().chain(evidence.split("  repeat with").next().unwrap().lines()) {
        assert!(line.chars().count() <= 100, "{line}");
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
        named("a lax soak", soak::lax(HARM)),
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

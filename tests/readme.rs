//! The four pages tell the truth about the code: their samples are the files, and their links lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use carillon_simulator::live::Dialect;

const README: &str = include_str!("../README.md");

const MANUAL: &str = include_str!("../simulator/README.md");

/// The pages whose links are followed.
const PAGES: [&str; 4] = ["README.md", "simulator/README.md", "server/README.md", "benches/README.md"];

/// The most lines that a reader of the front page has to look through.
const MOST_LINES: usize = 220;

/// The blocks of code in this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect()
}

#[test]
fn the_front_page_is_short() {
    let lines = README.lines().count();
    assert!(lines <= MOST_LINES, "README.md has {lines} lines, more than {MOST_LINES}");
}

#[test]
fn the_test_on_the_front_page_is_the_one_that_is_compiled() {
    let test = include_str!("own_server.rs");
    let shown: String = test.split_inclusive('\n').filter(|line| !line.starts_with("#[path = ")).collect();
    assert_eq!(
        blocks(README, "rust"),
        [shown.as_str()],
        "README.md shows another test than tests/own_server.rs"
    );
    let lines = shown.lines().count();
    assert!(lines <= 20, "the test has {lines} lines, more than 20");
}

#[test]
fn the_example_of_the_manual_is_the_one_that_is_compiled() {
    let example = include_str!("../simulator/examples/own_server.rs");
    let is_shown = blocks(MANUAL, "rust").contains(&example);
    assert!(is_shown, "simulator/README.md shows another example than simulator/examples/own_server.rs");
    let lines = example.lines().count();
    assert!(lines <= 30, "the example has {lines} lines and does not fit on a screen");
}

#[test]
fn the_dialect_of_the_manual_can_be_read() {
    let [text] = blocks(MANUAL, "toml")[..] else { panic!("simulator/README.md shows one dialect") };
    let dialect = Dialect::parse(text).expect("the dialect can be read");
    assert_ne!(dialect, Dialect::default());
}

#[test]
fn every_relative_link_leads_to_a_file_or_a_heading() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut followed = 0;
    let mut broken = Vec::new();
    for name in PAGES {
        let page = top.join(name);
        for link in links(&read(&page)) {
            followed += 1;
            if let Err(why) = follow(&page, &link) {
                broken.push(format!("{name}: {link}: {why}"));
            }
        }
    }
    assert!(followed > 40, "only {followed} links were found");
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn a_heading_is_linked_as_github_does_it() {
    let page = "# One `Two`: three\n```\n# no heading\n```\n## G13 · Alive\n    # none either\n";
    assert_eq!(anchors(page), ["one-two-three", "g13--alive"]);
    let page = "[`a`](b.md#c) and `[no](link)` [d](https://e.org)\n    [no](code)\n";
    assert_eq!(links(page), ["b.md#c"]);
}

fn read(page: &Path) -> String {
    fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// The lines that are text: neither in a fence nor indented as code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_fenced = false;
    page.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_fenced ^= is_fence;
        !is_fenced && !is_fence && !line.starts_with("    ")
    })
}

/// The targets of all links to places of this repository.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(page) {
        // Every other part stands in backticks.
        let plain: String = line.split('`').step_by(2).collect();
        let targets = plain.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        links.extend(
            targets.map(|(target, _)| target).filter(|target| !target.contains("://")).map(str::to_owned),
        );
    }
    links
}

/// What the headings of a page are called in links.
fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// Letters in lower case, digits, `-` and `_` stay, a space becomes `-`, and all else goes.
fn anchor(heading: &str) -> String {
    let stays = |character: &char| character.is_alphanumeric() || [' ', '-', '_'].contains(character);
    heading.to_lowercase().chars().filter(stays).collect::<String>().replace(' ', "-")
}

/// Says why the link leads nowhere, if it does not.
fn follow(page: &Path, link: &str) -> Result<(), String> {
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let folder = page.parent().expect("a page lies in a folder");
    let target: PathBuf = if file.is_empty() { page.to_owned() } else { folder.join(file) };
    if !target.exists() {
        return Err("there is no such file".to_owned());
    }
    match heading {
        Some(heading) if !anchors(&read(&target)).iter().any(|anchor| anchor == heading) => {
            Err("there is no such heading".to_owned())
        }
        _ => Ok(()),
    }
}

//! A report in Markdown for a pull request: short, with long parts folded.

use std::fmt::Write;

use super::sweep::SweepPage;
use super::view::{Badge, LaxRow, QUANTILES, RunPage};
use crate::report::Document;

/// The most violations that are shown.
const SHOWN: usize = 5;

/// The report in Markdown for GitHub and GitLab.
pub fn markdown(document: &Document) -> String {
    match document {
        Document::Run(summary) => of_run(&RunPage::new(summary)),
        Document::Sweep(summary) => of_sweep(&SweepPage::new(summary)),
    }
}

fn of_run(page: &RunPage) -> String {
    let mut text = head(&page.title, &page.verdict, &page.warnings);
    page.headlines.iter().for_each(|headline| quote(&mut text, headline));
    let tiles = page.tiles.iter().map(|(name, value)| [(*name).to_owned(), value.clone()]);
    text.push_str(&table(["figure", "value"], tiles));
    if !page.thresholds.is_empty() {
        let rows = page
            .thresholds
            .iter()
            .map(|row| [code(&row.threshold), row.observed.clone(), badge(&row.verdict)]);
        text.push_str(&table(["threshold", "observed", "verdict"], rows));
    }
    let rows = page.guarantees.iter().map(|row| {
        [
            format!("{} {}", row.id, escaped(&row.name)),
            badge(&row.verdict),
            row.exercised.clone(),
            row.violations.clone(),
        ]
    });
    let mut guarantees = table(["guarantee", "verdict", "exercised", "violations"], rows);
    page.others.iter().for_each(|others| add(&mut guarantees, &format!("{}\n\n", escaped(others))));
    text.push_str(&folded("Guarantees", &guarantees));
    text.push_str(&lax(&page.lax));
    if !page.timings.is_empty() {
        text.push_str(&folded("Times", &times(page)));
    }
    for row in page.violations.iter().take(SHOWN) {
        add(
            &mut text,
            &format!("* **{}**, {}: {}\n", escaped(&row.title), escaped(&row.place), escaped(&row.detail)),
        );
    }
    if page.violations.len() > SHOWN {
        add(&mut text, &format!("* and {} more\n", page.violations.len() - SHOWN));
    }
    add(&mut text, &format!("\nRepeat: {}\n", code(&page.repeat)));
    text
}

fn of_sweep(page: &SweepPage) -> String {
    let mut text = head(&page.title, &page.verdict, &page.warnings);
    let facts = page.facts.iter().map(|(name, value)| [(*name).to_owned(), value.clone()]);
    text.push_str(&table(["fact", "value"], facts));
    let rows = page.guarantees.iter().map(|row| {
        [format!("{} {}", row.id, row.name), badge(&row.verdict), row.exercised.clone(), row.failing.clone()]
    });
    text.push_str(&folded(
        "Guarantees",
        &table(["guarantee", "verdict", "exercised", "failing seeds"], rows),
    ));
    text.push_str(&lax(&page.lax));
    for row in page.failures.iter().take(SHOWN) {
        add(&mut text, &format!("* seed {}: {}\n", row.seed, escaped(&row.detail)));
    }
    if page.failures.len() > SHOWN {
        add(&mut text, &format!("* and {} more\n", page.failures.len() - SHOWN));
    }
    text
}

fn head(title: &str, verdict: &Badge, warnings: &[String]) -> String {
    let mut text = format!("### {}: {}\n\n", escaped(title), badge(verdict));
    warnings.iter().for_each(|warning| quote(&mut text, warning));
    text
}

/// Adds a paragraph that stands out.
fn quote(text: &mut String, paragraph: &str) {
    add(text, &format!("> {}\n\n", escaped(paragraph)));
}

/// The departures from the letter of a standard, folded; nothing if there are none.
fn lax(rows: &[LaxRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut list = String::new();
    for row in rows {
        add(&mut list, &format!("* **{}**: {}\n", escaped(&row.section), escaped(&row.sentence)));
        row.details.iter().for_each(|detail| add(&mut list, &format!("    * {}\n", escaped(detail))));
    }
    list.push('\n');
    folded(&format!("Lax: {} (they do not count)", rows.len()), &list)
}

fn times(page: &RunPage) -> String {
    let headings: Vec<&str> =
        ["metric", "count"].into_iter().chain(QUANTILES.map(|(name, _)| name)).collect();
    let rows = page.timings.iter().map(|(name, cells)| [vec![name.clone()], cells.clone()].concat());
    table(headings, rows)
}

fn badge(badge: &Badge) -> String {
    format!("{} {}", badge.symbol, badge.words)
}

fn table<'a, R: IntoIterator<Item = String>>(
    headings: impl IntoIterator<Item = &'a str>,
    rows: impl Iterator<Item = R>,
) -> String {
    let headings: Vec<&str> = headings.into_iter().collect();
    let mut text = format!("| {} |\n|{}\n", headings.join(" | "), "---|".repeat(headings.len()));
    for row in rows {
        let cells: Vec<String> = row.into_iter().collect();
        add(&mut text, &format!("| {} |\n", cells.join(" | ")));
    }
    text.push('\n');
    text
}

fn folded(title: &str, body: &str) -> String {
    format!("<details><summary>{title}</summary>\n\n{body}</details>\n\n")
}

/// The text as a code span, on one line.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('\n', " ; ").replace('`', "'").replace('|', "\\|"))
}

/// The text, escaped for Markdown and HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => safe.extend(['\\', character]),
            // GitHub would notify the user of that name.
            '@' => safe.push_str("@\u{200b}"),
            other if other.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

fn add(text: &mut String, more: &str) {
    text.write_str(more).expect("a string takes every text");
}

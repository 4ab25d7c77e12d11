//! Reports as documents: one HTML page that loads nothing, Markdown for a pull request, or an SVG plot.

mod axis;
mod capacity;
mod chart;
mod figures;
mod markdown;
mod sweep;
mod view;

use askama::Template;

use self::sweep::SweepPage;
use self::view::RunPage;
use crate::report::Document;

pub use capacity::capacity;
pub use markdown::markdown;

/// The report as one HTML page, for light and dark screens and for print.
pub fn html(document: &Document) -> String {
    let page = match document {
        Document::Run(summary) => RunPage::new(summary).render(),
        Document::Sweep(summary) => SweepPage::new(summary).render(),
    };
    page.expect("a string takes every page")
}

#[cfg(test)]
mod tests;

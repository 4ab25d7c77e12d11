//! The table as a picture: one panel per figure, one line per server, one dot per size, on a logarithmic axis.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use super::contender::Contender;
use super::figures::{Figures, Row};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 30.0;
/// The distance from one server to the next.
const LINE: f64 = 24.0;
/// The space above the first server of a panel, for the title and the axis.
const HEAD: f64 = 56.0;
/// Blue, orange, green: colour-blind readers can distinguish them, too.
const COLOURS: [&str; 3] = ["#0072b2", "#d55e00", "#009e73"];

const STYLE: &str = "<style>text{font:13px sans-serif;fill:#222}.title{font-weight:bold}line{stroke:#ccc}\
    @media(prefers-color-scheme:dark){svg{background:#1b1b1b}text{fill:#ddd}line{stroke:#444}}</style>";

/// Least, median and most of a figure.
type Range = [f64; 3];

struct Panel {
    title: &'static str,
    range: fn(&Row) -> Range,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "Processor time per delivery, µs",
        range: |row| [row.spent.min, row.spent.median, row.spent.max],
    },
    Panel {
        title: "From the push to the last subscriber, ms",
        range: |row| [row.last.min, row.last.median, row.last.max],
    },
    Panel { title: "Resident memory per idle connection, KiB", range: |row| [row.memory; 3] },
];

/// Writes the table as an SVG that needs no other file.
pub(crate) fn write(path: &Path, results: &[Figures]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, draw(results))
}

fn draw(results: &[Figures]) -> String {
    let panel_height = HEAD + LINE * Contender::ALL.len() as f64;
    let height = panel_height * PANELS.len() as f64 + HEAD;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\">{STYLE}"
    );
    for (index, result) in results.iter().enumerate() {
        let (x, colour) = (LEFT + 160.0 * index as f64, COLOURS[index]);
        add(&mut svg, format_args!("<circle cx=\"{x}\" cy=\"20\" r=\"5\" fill=\"{colour}\"/>"));
        text(&mut svg, x + 10.0, 24.0, "", &format!("{} connections", result.connections));
    }
    for (index, panel) in PANELS.iter().enumerate() {
        draw_panel(&mut svg, panel, 20.0 + panel_height * index as f64, results);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_panel(svg: &mut String, panel: &Panel, top: f64, results: &[Figures]) {
    let ranges = || results.iter().flat_map(|result| &result.rows).map(panel.range);
    let axis = Axis::over(ranges());
    text(svg, 10.0, top + 20.0, "title", panel.title);
    let bottom = top + HEAD + LINE * Contender::ALL.len() as f64 - LINE / 2.0;
    for mark in axis.marks() {
        let (x, from) = (axis.place(mark), top + HEAD - LINE / 2.0);
        add(svg, format_args!("<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{from}\" y2=\"{bottom}\"/>"));
        text(svg, x - 4.0, from - 4.0, "", &mark.to_string());
    }
    for (line, contender) in Contender::ALL.iter().enumerate() {
        let y = top + HEAD + LINE * line as f64;
        text(svg, 10.0, y + 4.0, "", &contender.name().replace('`', ""));
        for (index, result) in results.iter().enumerate() {
            let y = y + 6.0 * (index as f64 - 1.0);
            dot(svg, &axis, y, (panel.range)(&result.rows[line]), COLOURS[index]);
        }
    }
}

/// The median as a dot, the range as a line through it.
fn dot(svg: &mut String, axis: &Axis, y: f64, range: Range, colour: &str) {
    let [least, middle, most] = range.map(|value| axis.place(value));
    add(
        svg,
        format_args!(
            "<line x1=\"{least:.1}\" x2=\"{most:.1}\" y1=\"{y}\" y2=\"{y}\" style=\"stroke:{colour}\"/>\
             <circle cx=\"{middle:.1}\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"><title>{:.2}</title></circle>",
            range[1]
        ),
    );
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, words: &str) {
    add(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{words}</text>"));
}

fn add(svg: &mut String, part: std::fmt::Arguments<'_>) {
    svg.write_fmt(part).expect("writing to a string does not fail");
}

/// A logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    /// The smallest start of an axis: smaller figures cannot be told from zero.
    const LEAST: f64 = 0.05;

    fn over(ranges: impl Iterator<Item = Range> + Clone) -> Self {
        let low = ranges.clone().map(|range| range[0]).fold(f64::INFINITY, f64::min).max(Self::LEAST);
        let high = ranges.map(|range| range[2]).fold(low * 2.0, f64::max);
        Self { low: low / 1.2, high: high * 1.2 }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        LEFT + (WIDTH - LEFT - RIGHT) * share
    }

    /// 1, 2 and 5 of every decade.
    fn marks(&self) -> impl Iterator<Item = f64> {
        let decades = (-2..6).map(|power| 10_f64.powi(power));
        let all = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * decade));
        all.filter(|mark| (self.low..=self.high).contains(mark))
    }
}

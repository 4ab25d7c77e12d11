//! Charts as inline SVG. Colours are CSS classes of the page, so that they follow its colour scheme.

use std::fmt::Write;

use super::axis::Axis;
use crate::markup::escaped;

const WIDTH: f64 = 540.0;
const HEIGHT: f64 = 230.0;

/// The edges of the plot.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 512.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 198.0;

/// The width of the label of a rule.
const LABEL: f64 = 90.0;

/// Half of the most points of a line: two points for every 1.5 units of width.
const COLUMNS: usize = 400;

/// An element of a chart.
pub(super) enum Mark {
    /// Columns: left x, right x, height y.
    Bars(Vec<(f64, f64, f64)>),
    /// A line with this CSS class.
    Line(&'static str, Vec<(f64, f64)>),
    /// Vertical strokes: x, lower y, upper y.
    Ranges(Vec<(f64, f64, f64)>),
    /// A vertical line at this x, with a label at its top.
    Rule(f64, String),
}

/// A chart with its axes.
pub(super) struct Chart<'a> {
    /// The name and a sentence about the content, for screen readers.
    pub(super) name: &'a str,
    pub(super) sentence: &'a str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) marks: Vec<Mark>,
}

impl Chart<'_> {
    /// The chart as an `svg` element.
    pub(super) fn draw(&self) -> String {
        let (name, sentence) = (escaped(self.name), escaped(self.sentence));
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{name}. {sentence}\"><title>{name}</title>\n"
        );
        self.grid(&mut svg);
        let mut rules = 0;
        for mark in &self.marks {
            match mark {
                Mark::Bars(bars) => bars.iter().for_each(|bar| self.bar(*bar, &mut svg)),
                Mark::Line(class, points) => self.line(class, points, &mut svg),
                Mark::Ranges(ranges) => ranges.iter().for_each(|range| self.range(*range, &mut svg)),
                Mark::Rule(at, label) => {
                    self.rule(*at, label, rules, &mut svg);
                    rules += 1;
                }
            }
        }
        svg.push_str("</svg>");
        svg
    }

    fn grid(&self, svg: &mut String) {
        for (value, label) in &self.y.ticks {
            let y = self.height(*value);
            let text = format!(
                "<text class=\"end\" x=\"{:.0}\" y=\"{y:.1}\" dy=\"4\">{}</text>",
                LEFT - 8.0,
                escaped(label)
            );
            add(svg, &format!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>{text}\n"));
        }
        for (value, label) in &self.x.ticks {
            let x = self.across(*value);
            let text = format!(
                "<text class=\"mid\" x=\"{x:.1}\" y=\"{:.0}\">{}</text>",
                BOTTOM + 20.0,
                escaped(label)
            );
            add(svg, &format!("<path class=\"tick\" d=\"M{x:.1} {BOTTOM}v5\"/>{text}\n"));
        }
    }

    fn bar(&self, (from, to, value): (f64, f64, f64), svg: &mut String) {
        let (left, right, y) = (self.across(from), self.across(to), self.height(value));
        if y < BOTTOM {
            let width = (right - left - 1.0).max(0.8);
            let height = (BOTTOM - y).max(1.0);
            let top = BOTTOM - height;
            add(
                svg,
                &format!(
                    "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>\n"
                ),
            );
        }
    }

    fn line(&self, class: &str, points: &[(f64, f64)], svg: &mut String) {
        let mut path = String::new();
        for (index, (x, y)) in thinned(points).into_iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            add(&mut path, &format!("{command}{:.1} {:.1}", self.across(x), self.height(y)));
        }
        add(svg, &format!("<path class=\"line {class}\" d=\"{path}\"/>\n"));
    }

    /// Draws a stroke that is at least 2 units long, so that it is visible.
    fn range(&self, (at, low, high): (f64, f64, f64), svg: &mut String) {
        let (x, bottom, top) = (self.across(at), self.height(low), self.height(high));
        let (top, bottom) = (top.min(bottom - 2.0), bottom);
        add(svg, &format!("<path class=\"range\" d=\"M{x:.1} {bottom:.1}V{top:.1}\"/>\n"));
    }

    /// Draws a rule. The first one has its label on the left, others on the right if there is room; the heights
    /// alternate.
    fn rule(&self, at: f64, label: &str, index: u32, svg: &mut String) {
        let x = self.across(at);
        let y = TOP - 10.0 + 15.0 * f64::from(index % 2);
        let room = RIGHT - x - LABEL;
        let is_left = (index == 0 && x > LEFT + LABEL) || room < 0.0;
        let (class, text_x) = if is_left { ("rule-label end", x - 5.0) } else { ("rule-label", x + 5.0) };
        add(
            svg,
            &format!(
                "<path class=\"rule\" d=\"M{x:.1} {:.0}V{BOTTOM}\"/><text class=\"{class}\" x=\"{text_x:.1}\" y=\"{y:.1}\" \
                 dy=\"4\">{}</text>\n",
                TOP - 14.0,
                escaped(label)
            ),
        );
    }

    fn across(&self, value: f64) -> f64 {
        self.x.place(value, LEFT, RIGHT)
    }

    fn height(&self, value: f64) -> f64 {
        self.y.place(value, BOTTOM, TOP + 8.0)
    }
}

/// At most twice [`COLUMNS`] points: of each group the lowest and the highest, so that no peak is lost.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * COLUMNS {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for group in points.chunks(points.len().div_ceil(COLUMNS)) {
        let low = (0..group.len()).min_by(|a, b| group[*a].1.total_cmp(&group[*b].1));
        let high = (0..group.len()).max_by(|a, b| group[*a].1.total_cmp(&group[*b].1));
        let mut both: Vec<usize> = low.into_iter().chain(high).collect();
        both.sort_unstable();
        both.dedup();
        kept.extend(both.into_iter().map(|index| group[index]));
    }
    kept
}

fn add(text: &mut String, more: &str) {
    text.write_str(more).expect("a string takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Unit;

    #[test]
    fn a_thinned_line_keeps_its_peaks() {
        let points: Vec<_> =
            (0..100_000).map(|at| (f64::from(at), if at == 77_777 { 9.0 } else { 1.0 })).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= 2 * COLUMNS && thin.contains(&(77_777.0, 9.0)));
        assert!(thin.is_sorted_by(|one, other| one.0 < other.0));
    }

    #[test]
    fn a_chart_has_a_description_for_screen_readers() {
        let (x, y) = (Axis::seconds(10.0), Axis::from_zero(4.0, Unit::Number));
        let marks =
            vec![Mark::Line("one", vec![(0.0, 1.0), (10.0, 4.0)]), Mark::Rule(5.0, "a < b".to_owned())];
        let svg = Chart { name: "Deliveries", sentence: "They rise & rise.", x, y, marks }.draw();
        assert!(svg.contains("role=\"img\" aria-label=\"Deliveries. They rise &amp; rise.\""), "{svg}");
        assert!(svg.contains("<path class=\"line one\" d=\"M58.0"), "{svg}");
        assert!(svg.contains(">a &lt; b</text>"), "{svg}");
    }
}

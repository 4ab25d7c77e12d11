//! The plot of a capacity search: a figure against the number of clients.

use super::axis::Axis;
use super::chart::{Chart, Mark};
use crate::metrics::{Threshold, Unit};

/// The style of the plot, for light and dark screens.
const STYLE: &str = "<style>svg{background:#fff;font:11px sans-serif}text{fill:#333}.end{text-anchor:end}.mid{text-anchor:\
    middle}.grid,.tick{stroke:#ccc;fill:none}.a{stroke:#06c;stroke-width:2;fill:none}.b{stroke:#c33;stroke-dasharray:\
    4 3;fill:none}@media(prefers-color-scheme:dark){svg{background:#181818}text{fill:#ccc}.grid,.tick{stroke:#444}}\
    </style>";

/// A figure against the number of clients, and its bound, as an SVG file. `points` are pairs of the number of
/// clients and the figure, in the unit of the threshold's metric.
pub fn capacity(threshold: &Threshold, points: &[(f64, f64)]) -> String {
    let unit = threshold.metric.unit(threshold.aggregate);
    let clients = points.iter().map(|(clients, _)| *clients).fold(1.0, f64::max);
    let most = points.iter().map(|(_, value)| *value).fold(threshold.bound(), f64::max);
    let sentence = format!("by the number of clients; the bound is {threshold}");
    let name = threshold.to_string();
    let chart = Chart {
        name: &name,
        sentence: &sentence,
        x: Axis::from_zero(clients, Unit::Number),
        y: Axis::from_zero(most, unit),
        marks: vec![
            Mark::Line("a", points.to_vec()),
            Mark::Line("b", vec![(0.0, threshold.bound()), (clients, threshold.bound())]),
        ],
    };
    let drawn = chart.draw();
    let own = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"810\" height=\"345\" ";
    drawn.replacen("<svg ", own, 1).replacen('>', &format!(">{STYLE}"), 1) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plot_is_a_complete_svg_file_with_the_bound() {
        let threshold = "spread:p(95)<250ms".parse().unwrap();
        let svg = capacity(&threshold, &[(1000.0, 20.0), (2000.0, 300.0)]);
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(svg.contains("<style>") && svg.contains("spread:p(95)&lt;250ms"), "{svg}");
        assert_eq!(svg.matches("class=\"line").count(), 2, "{svg}");
    }
}

//! The explanation as one picture: two lifelines, arrows that slope by latency, due instants, and the frame that
//! broke the guarantee. The picture loads nothing, and is readable in light and dark colour schemes.

use std::collections::BTreeMap;

use carillon_server::Timestamp;

use super::layout::{LINE, Layout};
use super::text::wrapped;
use super::timeline::{Message, PushRule, Side};
use super::{Explanation, seconds};
use crate::markup::escaped;

const WIDTH: f64 = 1100.0;

/// The x position of the band that shows whether a push may arrive.
const BAND: f64 = 190.0;

/// The x positions of the client's lifeline and of the server's.
const CLIENT: f64 = 500.0;
const SERVER: f64 = 720.0;

/// How many characters fit beside each lifeline.
const LEFT: usize = 38;
const RIGHT: usize = 48;

/// How many characters fit the whole width.
const FULL: usize = 138;

const STYLE: &str = "\
svg{background:var(--paper);--paper:#fff;--ink:#1b2430;--dim:#6a7683;--line:#c3ccd5;--bad:#c8102e;--must:#2e9e5b;\
--may:#e0a800;--not:#d9534f}
@media(prefers-color-scheme:dark){svg{--paper:#12171d;--ink:#e4e9ef;--dim:#8e9aa6;--line:#3a4652;--bad:#ff6b7d;\
--must:#3fbf74;--may:#d9a520;--not:#e0605c}}
text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:var(--ink)}
.title{font-size:18px;font-weight:600}.dim{fill:var(--dim)}.bad{fill:var(--bad);font-weight:600}.end{text-anchor:end}
.mid{text-anchor:middle}
.life{stroke:var(--ink);stroke-width:1.5}.due{stroke:var(--dim);stroke-dasharray:2 5}
.way{stroke:var(--ink);stroke-width:1.3;marker-end:url(#tip)}.lost{stroke:var(--dim);stroke-dasharray:4 4}
.guilty{stroke:var(--bad);stroke-width:3;marker-end:url(#bad-tip)}
.tip{fill:var(--ink)}.bad-tip{fill:var(--bad)}.must{fill:var(--must)}.may{fill:var(--may)}.not{fill:var(--not)}";

const TIPS: &str = "\
<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"tip\" d=\"M0 0 8 4 0 8z\"/></marker>\
<marker id=\"bad-tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"12\" markerHeight=\"12\" \
markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"bad-tip\" d=\"M0 0 8 4 0 8z\"/></marker></defs>
";

impl Explanation {
    /// One self-contained SVG document.
    pub fn svg(&self) -> String {
        Picture::new(self).draw()
    }

    /// A self-contained HTML page with the picture, the script and the command line that plays it.
    pub fn html(&self) -> String {
        let (title, svg) = (escaped(&self.title()), self.svg());
        let (script, repeat) = (escaped(&self.script), escaped(&self.repeat));
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
             <title>{title}</title>\n<style>body{{max-width:1100px;margin:1rem auto;padding:0 1rem;\
             font:14px/1.5 system-ui,sans-serif}}svg{{width:100%;height:auto}}pre{{overflow-x:auto}}</style></head>\n\
             <body>\n{svg}<h2>The script</h2>\n<p><code>{repeat}</code></p>\n<pre>{script}</pre>\n</body></html>\n"
        )
    }
}

/// A picture under construction.
struct Picture<'a> {
    story: &'a Explanation,
    layout: Layout,
    /// For each instant, the number of text lines that are already beside it on the client's side and on the
    /// server's.
    used: BTreeMap<Timestamp, [usize; 2]>,
    head: Vec<String>,
    svg: String,
}

impl<'a> Picture<'a> {
    fn new(story: &'a Explanation) -> Self {
        let mut head = wrapped(&format!("Promised: {}", story.promise()), FULL);
        head.extend(wrapped(&format!("Seen: {}", story.verdict()), FULL));
        let top = 96.0 + LINE * head.len() as f64;
        let layout = Layout::new(top, &instants(story));
        Self { story, layout, used: BTreeMap::new(), head, svg: String::new() }
    }

    fn draw(mut self) -> String {
        let height = self.layout.bottom + 40.0;
        self.add(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n{TIPS}",
            escaped(&self.story.title())
        ));
        self.headings();
        self.windows();
        self.times();
        let messages: Vec<Message> =
            self.story.shown(|timeline| &timeline.messages, |message| message.sent_at);
        for message in &messages {
            self.message(message);
        }
        for action in self.story.shown(|timeline| &timeline.actions, |action| action.at) {
            self.label(action.at, action.side, &action.text, if action.is_breach { "bad" } else { "dim" });
        }
        let repeat = escaped(&self.story.repeat);
        self.add(&format!(
            "<text class=\"dim\" x=\"16\" y=\"{:.0}\">{repeat}</text>\n</svg>\n",
            height - 14.0
        ));
        self.svg
    }

    fn headings(&mut self) {
        let title = escaped(&self.story.title());
        self.add(&format!("<text class=\"title\" x=\"16\" y=\"30\">{title}</text>\n"));
        for (index, line) in std::mem::take(&mut self.head).iter().enumerate() {
            let y = 54.0 + LINE * index as f64;
            self.add(&format!("<text x=\"16\" y=\"{y:.0}\">{}</text>\n", escaped(line)));
        }
        let (top, bottom) = (self.layout.instants().next().map_or(0.0, |(_, y)| y), self.layout.bottom);
        let client = format!("client {}", self.story.client);
        for (x, name) in [(CLIENT, client.as_str()), (SERVER, "server")] {
            self.add(&format!(
                "<text class=\"mid\" x=\"{x}\" y=\"{:.0}\">{name}</text>\
                 <line class=\"life\" x1=\"{x}\" y1=\"{:.0}\" x2=\"{x}\" y2=\"{bottom:.0}\"/>\n",
                top - 20.0,
                top - 12.0,
            ));
        }
        self.add(&format!("<text class=\"dim\" x=\"{BAND}\" y=\"{:.0}\">a push</text>\n", top - 20.0));
    }

    /// Draws the windows (MAY, MUST, MUST NOT) as a band of colours.
    fn windows(&mut self) {
        let windows = &self.story.timeline.windows;
        let top = self.layout.instants().next().map_or(0.0, |(_, y)| y);
        let ends = windows.iter().skip(1).map(|next| self.layout.y(next.from)).chain([self.layout.bottom]);
        let bands: Vec<(PushRule, f64, f64)> = windows
            .iter()
            .zip(ends)
            .map(|(window, end)| (window.rule, self.layout.y(window.from).max(top), end))
            .collect();
        for (rule, from, to) in bands.into_iter().filter(|(_, from, to)| to > from) {
            let class = match rule {
                PushRule::Nothing => continue,
                PushRule::May => "may",
                PushRule::Must => "must",
                PushRule::MustNot => "not",
            };
            self.add(&format!(
                "<rect class=\"{class}\" x=\"{BAND}\" y=\"{from:.1}\" width=\"10\" height=\"{:.1}\"/>\
                 <text class=\"{class}\" x=\"{:.0}\" y=\"{:.1}\">{}</text>\n",
                to - from,
                BAND + 15.0,
                from + 11.0,
                rule.name(),
            ));
        }
    }

    /// Draws the times on the left, and a dotted line for each due instant.
    fn times(&mut self) {
        let rows: Vec<(Timestamp, f64)> = self.layout.instants().collect();
        for (at, y) in rows {
            let due = self.story.timeline.dues.iter().find(|(_, due)| *due == at);
            let (time, clock) = (seconds(at), self.story.wall(at));
            self.add(&format!(
                "<text class=\"end\" x=\"96\" y=\"{y:.1}\" dy=\"4\">{time}</text>\
                 <text class=\"dim\" x=\"108\" y=\"{y:.1}\" dy=\"4\">{clock}</text>\n"
            ));
            if let Some((cycle, _)) = due {
                let middle = (CLIENT + SERVER) / 2.0;
                self.add(&format!(
                    "<line class=\"due\" x1=\"{BAND}\" y1=\"{y:.1}\" x2=\"{SERVER}\" y2=\"{y:.1}\"/>\
                     <text class=\"dim mid\" x=\"{middle}\" y=\"{:.1}\">cycle {cycle} is due</text>\n",
                    y - 4.0,
                ));
            }
        }
    }

    fn message(&mut self, message: &Message) {
        let (from, to) = if message.from == Side::Client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let y = self.layout.y(message.sent_at);
        let (class, to, end) = match message.arrived_at {
            Some(at) if message.is_guilty => ("guilty", to, self.layout.y(at)),
            Some(at) => ("way", to, self.layout.y(at)),
            None => ("lost", (from + to) / 2.0, y + LINE / 2.0),
        };
        self.add(&format!(
            "<line class=\"{class}\" x1=\"{from}\" y1=\"{y:.1}\" x2=\"{to}\" y2=\"{end:.1}\"/>\n"
        ));
        let lost = if message.arrived_at.is_none() { " (lost)" } else { "" };
        let class = if message.is_guilty { "bad" } else { "" };
        self.label(message.sent_at, message.from, &format!("{}{lost}", message.text), class);
    }

    /// Adds text beside a lifeline, below the text that is already there.
    fn label(&mut self, at: Timestamp, side: Side, text: &str, class: &str) {
        let used = &mut self.used.entry(at).or_default()[side as usize];
        let y = self.layout.y(at) + LINE * *used as f64 + 4.0;
        *used += 1;
        let (x, end, room) = match side {
            Side::Client => (CLIENT - 12.0, " end", LEFT),
            Side::Server => (SERVER + 12.0, "", RIGHT),
        };
        let text: String = if text.chars().count() > room {
            text.chars().take(room - 1).chain(['…']).collect()
        } else {
            text.to_owned()
        };
        self.add(&format!("<text class=\"{class}{end}\" x=\"{x}\" y=\"{y:.1}\">{}</text>\n", escaped(&text)));
    }

    fn add(&mut self, svg: &str) {
        self.svg.push_str(svg);
    }
}

/// Each instant of the picture, with the larger number of text lines of its two sides.
fn instants(story: &Explanation) -> BTreeMap<Timestamp, usize> {
    let mut lines: BTreeMap<Timestamp, [usize; 2]> = BTreeMap::new();
    for message in story.shown(|timeline| &timeline.messages, |message| message.sent_at) {
        lines.entry(message.sent_at).or_default()[message.from as usize] += 1;
        if let Some(at) = message.arrived_at {
            lines.entry(at).or_default();
        }
    }
    for action in story.shown(|timeline| &timeline.actions, |action| action.at) {
        lines.entry(action.at).or_default()[action.side as usize] += 1;
    }
    for (_, at) in story.shown(|timeline| &timeline.dues, |(_, at)| *at) {
        lines.entry(at).or_default();
    }
    for window in story.shown(|timeline| &timeline.windows, |window| window.from) {
        lines.entry(window.from).or_default();
    }
    lines.into_iter().map(|(at, [left, right])| (at, left.max(right))).collect()
}

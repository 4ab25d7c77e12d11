//! The story as one picture: two lifelines, arrows that slope by latency, what was due, and the frame that broke the
//! promise. It loads nothing, and reads well on light and dark.

use std::collections::BTreeMap;

use carillon_server::Timestamp;

use super::layout::{LINE, Layout};
use super::tale::{May, Message, Side};
use super::text::wrapped;
use super::{Explanation, seconds};
use crate::markup::escaped;

const WIDTH: f64 = 1100.0;

/// Where the windows are drawn.
const BAND: f64 = 190.0;

/// The client's lifeline, and the server's.
const CLIENT: f64 = 500.0;
const SERVER: f64 = 720.0;

/// How much text fits beside each.
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
    /// One self-contained SVG picture.
    pub fn svg(&self) -> String {
        Picture::new(self).draw()
    }

    /// A page with the picture and the script.
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

/// A picture that is being drawn.
struct Picture<'a> {
    story: &'a Explanation,
    layout: Layout,
    /// Lines of text that stand beside each instant already, on the client's side and on the server's.
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
        let messages: Vec<Message> = self.story.shown(|tale| &tale.messages, |message| message.sent_at);
        for message in &messages {
            self.message(message);
        }
        for deed in self.story.shown(|tale| &tale.deeds, |deed| deed.at) {
            self.label(deed.at, deed.side, &deed.words, if deed.is_breach { "bad" } else { "dim" });
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

    /// What a push would be, as a band of colours.
    fn windows(&mut self) {
        let windows = &self.story.tale.windows;
        let top = self.layout.instants().next().map_or(0.0, |(_, y)| y);
        let ends = windows.iter().skip(1).map(|next| self.layout.y(next.from)).chain([self.layout.bottom]);
        let bands: Vec<(May, f64, f64)> = windows
            .iter()
            .zip(ends)
            .map(|(window, end)| (window.may, self.layout.y(window.from).max(top), end))
            .collect();
        for (may, from, to) in bands.into_iter().filter(|(_, from, to)| to > from) {
            let class = match may {
                May::Nothing => continue,
                May::May => "may",
                May::Must => "must",
                May::MustNot => "not",
            };
            self.add(&format!(
                "<rect class=\"{class}\" x=\"{BAND}\" y=\"{from:.1}\" width=\"10\" height=\"{:.1}\"/>\
                 <text class=\"{class}\" x=\"{:.0}\" y=\"{:.1}\">{}</text>\n",
                to - from,
                BAND + 15.0,
                from + 11.0,
                may.name(),
            ));
        }
    }

    /// The times on the left, and a line across for each due instant.
    fn times(&mut self) {
        let rows: Vec<(Timestamp, f64)> = self.layout.instants().collect();
        for (at, y) in rows {
            let due = self.story.tale.dues.iter().find(|(_, due)| *due == at);
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
        let (class, to, end) = match message.came_at {
            Some(at) if message.is_guilty => ("guilty", to, self.layout.y(at)),
            Some(at) => ("way", to, self.layout.y(at)),
            None => ("lost", (from + to) / 2.0, y + LINE / 2.0),
        };
        self.add(&format!(
            "<line class=\"{class}\" x1=\"{from}\" y1=\"{y:.1}\" x2=\"{to}\" y2=\"{end:.1}\"/>\n"
        ));
        let lost = if message.came_at.is_none() { " (lost)" } else { "" };
        let class = if message.is_guilty { "bad" } else { "" };
        self.label(message.sent_at, message.from, &format!("{}{lost}", message.words), class);
    }

    /// Text beside a lifeline, below what stands there already.
    fn label(&mut self, at: Timestamp, side: Side, words: &str, class: &str) {
        let used = &mut self.used.entry(at).or_default()[side as usize];
        let y = self.layout.y(at) + LINE * *used as f64 + 4.0;
        *used += 1;
        let (x, end, room) = match side {
            Side::Client => (CLIENT - 12.0, " end", LEFT),
            Side::Server => (SERVER + 12.0, "", RIGHT),
        };
        let text: String = if words.chars().count() > room {
            words.chars().take(room - 1).chain(['…']).collect()
        } else {
            words.to_owned()
        };
        self.add(&format!("<text class=\"{class}{end}\" x=\"{x}\" y=\"{y:.1}\">{}</text>\n", escaped(&text)));
    }

    fn add(&mut self, svg: &str) {
        self.svg.push_str(svg);
    }
}

/// Each instant of the picture, with the lines of text that stand beside it on the fuller side.
fn instants(story: &Explanation) -> BTreeMap<Timestamp, usize> {
    let mut lines: BTreeMap<Timestamp, [usize; 2]> = BTreeMap::new();
    for message in story.shown(|tale| &tale.messages, |message| message.sent_at) {
        lines.entry(message.sent_at).or_default()[message.from as usize] += 1;
        if let Some(at) = message.came_at {
            lines.entry(at).or_default();
        }
    }
    for deed in story.shown(|tale| &tale.deeds, |deed| deed.at) {
        lines.entry(deed.at).or_default()[deed.side as usize] += 1;
    }
    for (_, at) in story.shown(|tale| &tale.dues, |(_, at)| *at) {
        lines.entry(at).or_default();
    }
    for window in story.shown(|tale| &tale.windows, |window| window.from) {
        lines.entry(window.from).or_default();
    }
    lines.into_iter().map(|(at, [left, right])| (at, left.max(right))).collect()
}

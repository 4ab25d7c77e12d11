//! Writes a scenario as TOML, with a comment on each value.

use std::fmt::{self, Display};
use std::time::Duration;

use carillon_server::{WallTime, Zone};
use chrono::{DateTime, SecondsFormat};

use super::parse::parse;
use crate::scenario::{AppProfile, Behaviour, FaultProfile, Scenario, SwitchProfile, USUAL_BOUNDS};
use crate::units::format_span;

/// The column at which the comments begin.
const COMMENTS: usize = 38;

/// The scenario contains what a file cannot express: a zone that is a function, seconds in an offset, less than a
/// millisecond in a time, or behaviours that are not in alphabetical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritable;

impl Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this scenario has a zone, a time or an order of behaviours that a file cannot express")
    }
}

impl std::error::Error for Unwritable {}

/// The text of a file that [`parse`] reads as this scenario.
///
/// # Errors
///
/// A scenario that a file cannot express, or that fails [`Scenario::check`].
pub fn format(scenario: &Scenario) -> Result<String, Unwritable> {
    let mut page = Page::default();
    head(&mut page, scenario).ok_or(Unwritable)?;
    server(&mut page, scenario);
    population(&mut page, scenario);
    app(&mut page, &scenario.app);
    links(&mut page, scenario);
    faults(&mut page, &scenario.faults);
    bounds(&mut page, scenario);
    let original = Scenario { file: None, ..scenario.clone() };
    let is_same = parse(&page.0).is_ok_and(|parsed| format!("{parsed:?}") == format!("{original:?}"));
    if is_same { Ok(page.0) } else { Err(Unwritable) }
}

fn head(page: &mut Page, scenario: &Scenario) -> Option<()> {
    page.0.push_str("# A scenario: `carillon-sim run --scenario FILE` runs it, and with --check says whether it is one.\n");
    page.0.push_str("# Times are whole numbers with d, h, m, s or ms, such as \"1h30m\"; sizes are bytes or \"64KiB\".\n\n");
    page.line("name", quoted(&scenario.name), "what reports call it");
    page.line("clients", scenario.clients, "how many there are");
    page.span("duration", scenario.duration, "virtual time until the server is told to shut down");
    page.span("period", scenario.server.period, "time between two pushes");
    page.line("shards", scenario.shards, "how many hubs the server has");
    page.line("zone", zone(&scenario.zone)?, "the server's, which the text of a push shows");
    let origin = quoted(&instant(scenario.wall_origin));
    page.line("wall_origin", origin, "wall time at the start");
    Some(())
}

fn server(page: &mut Page, scenario: &Scenario) {
    let server = &scenario.server;
    page.table("server", "limits and times of the server");
    page.line("path", quoted(&server.path), "the path of the WebSocket");
    page.line("max_message", size(server.max_message), "the longest message accepted");
    page.line("outbox_limit", size(server.outbox_limit), "the most bytes that wait for one slow client");
    page.span("handshake_timeout", server.handshake_timeout, "for the request's head to arrive");
    page.span(
        "ping_interval",
        server.ping_interval,
        "silence before a ping; after twice that the connection ends",
    );
    page.span("close_timeout", server.close_timeout, "for a closing connection to take its last bytes");
}

fn population(page: &mut Page, scenario: &Scenario) {
    page.table("population", "the clients' behaviours and their weights");
    for (behaviour, weight) in &scenario.population {
        page.line(behaviour.name(), weight, subject(*behaviour));
    }
}

fn app(page: &mut Page, app: &AppProfile) {
    page.table("app", "the clients that behave like the original app");
    page.option("heartbeat", app.heartbeat, "between two heartbeats; left out: none");
    page.option("restart", app.restart, "mean, between two restarts of the app; left out: none");
    if let Some(SwitchProfile { on, off }) = app.switch {
        page.table("app.switch", "the switch for pushes; left out: never used");
        page.span("on", on, "mean time that it stays on");
        page.span("off", off, "mean time that it stays off");
    }
}

fn links(page: &mut Page, scenario: &Scenario) {
    let links = &scenario.links;
    page.table("links", "the ranges from which each link is drawn");
    page.span("min_latency", links.min_latency, "one way");
    page.span("max_latency", links.max_latency, "one way");
    page.span("max_jitter", links.max_jitter, "on top of the latency of one write");
    page.line("max_sliced", links.max_sliced, "of 1000 writes, so many arrive in pieces on the worst link");
}

fn faults(page: &mut Page, faults: &FaultProfile) {
    page.table("faults", "the faults, besides the clients' behaviours");
    page.option("per_client", faults.per_client, "mean, between two faults of one client; left out: none");
    page.line("pauses", faults.pauses, "number of pauses of the server, up to four periods each");
    page.line("clock_jumps", faults.clock_jumps, "number of jumps of its wall clock");
    page.line("restarts", faults.restarts, "number of restarts of the server");
    page.line("heals", faults.heals, "whether most clients' faults end; they must be served then");
}

fn bounds(page: &mut Page, scenario: &Scenario) {
    let bounds = &scenario.bounds;
    page.table("bounds", "time limits of the server, besides the links' latency");
    let is_usual = bounds.push == USUAL_BOUNDS.push && !scenario.is_push_bound_explicit;
    let key = if is_usual { "# push" } else { "push" };
    page.span(key, bounds.push, "until the push was sent; left out: period / 3 for other servers");
    page.span("reply", bounds.reply, "from a message's arrival until its answer was sent");
    page.span("release", bounds.release, "from a connection's end until it is dropped, beyond close_timeout");
}

/// A behaviour in a few words.
const fn subject(behaviour: Behaviour) -> &'static str {
    match behaviour {
        Behaviour::App => "heartbeats and a switch, as [app] has it",
        Behaviour::Flapper => "comes and goes all the time",
        Behaviour::Flooder => "sends far more than it reads",
        Behaviour::Ghost => "vanishes without a Close",
        Behaviour::Hostile => "breaks rules of RFC 6455 or HTTP",
        Behaviour::NeverReader => "stops reading soon after it connects",
        Behaviour::Pedant => "sends nothing, and compares each push byte for byte",
        Behaviour::SlowReader => "reads a few bytes a second",
        Behaviour::Staller => "never completes its handshake",
        Behaviour::Switcher => "uses the switch all the time",
    }
}

/// The text so far.
#[derive(Default)]
struct Page(String);

impl Page {
    fn table(&mut self, name: &str, subject: &str) {
        self.0.push('\n');
        self.commented(&format!("[{name}]"), subject);
    }

    fn line(&mut self, key: &str, value: impl Display, comment: &str) {
        self.commented(&format!("{key} = {value}"), comment);
    }

    fn span(&mut self, key: &str, span: Duration, comment: &str) {
        self.line(key, quoted(&format_span(span)), comment);
    }

    fn option(&mut self, key: &str, span: Option<Duration>, comment: &str) {
        match span {
            Some(span) => self.span(key, span, comment),
            None => self.commented(&format!("# {key} = \"15m\""), comment),
        }
    }

    fn commented(&mut self, code: &str, comment: &str) {
        self.0.push_str(&match code.len() {
            ..=COMMENTS => format!("{code:<COMMENTS$}  # {comment}\n"),
            _ => format!("# {comment}\n{code}\n"),
        });
    }
}

/// A text as a TOML basic string. Only backslashes and quotes are escaped, because a name has no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A number of bytes, in KiB if that is a whole number.
fn size(bytes: usize) -> String {
    match bytes {
        1024.. if bytes.is_multiple_of(1024) => format!("\"{}KiB\"", bytes / 1024),
        _ => bytes.to_string(),
    }
}

fn zone(zone: &Zone) -> Option<String> {
    Some(match *zone {
        Zone::Fixed(offset) => quoted(&self::offset(offset)),
        Zone::Function(_) => return None,
        Zone::Switch { before, at, after } => {
            let at = instant(WallTime::from_unix_seconds(at));
            format!(
                "{{ before = \"{}\", after = \"{}\", at = \"{at}\" }}",
                self::offset(before),
                self::offset(after)
            )
        }
    })
}

/// Seconds east of Greenwich as `+08:00`.
fn offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

fn instant(wall: WallTime) -> String {
    DateTime::from_timestamp_nanos(wall.as_unix_nanos()).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

//! Reads a scenario from TOML.

use std::path::Path;

use carillon_server::Config;

use crate::file::section::{self, Section, Wrong};
use crate::file::{self, LoadError, Mistake, values};
use crate::scenario::{
    AppProfile, Behaviour, DEFAULT_CLIENTS, DEFAULT_DURATION, DEFAULT_PERIOD, FaultProfile, Scenario,
    SwitchProfile, USUAL_BOUNDS,
};

/// Reads the scenario of a file, and sets [`Scenario::file`] to its path.
///
/// # Errors
///
/// The file cannot be read, or contains a mistake.
pub fn load(path: &Path) -> Result<Scenario, LoadError> {
    let scenario = file::load(path, parse)?;
    Ok(Scenario { file: Some(path.to_owned()), ..scenario })
}

/// Reads a scenario from TOML.
///
/// # Errors
///
/// The first mistake in the text, or the first value that fails [`Scenario::check`].
pub fn parse(text: &str) -> Result<Scenario, Mistake> {
    let located = |wrong: Wrong| wrong.locate(text);
    let document = section::document(text)?;
    let root = document.get_ref();
    let scenario = read(Section::root(root)).map_err(located)?;
    scenario.check().map_err(|misfit| {
        located(Wrong { place: section::place_of(root, misfit.key), sentence: misfit.to_string() })
    })?;
    Ok(scenario)
}

fn read(mut root: Section<'_>) -> Result<Scenario, Wrong> {
    let server = Config { period: DEFAULT_PERIOD, ..Config::default() };
    let mut scenario = Scenario::quiet("", DEFAULT_CLIENTS, DEFAULT_DURATION, server);
    root.set("name", &mut scenario.name, values::text)?;
    root.set("clients", &mut scenario.clients, values::count)?;
    root.set("duration", &mut scenario.duration, values::span)?;
    root.set("period", &mut scenario.server.period, values::span)?;
    root.set("shards", &mut scenario.shards, values::whole)?;
    root.set("zone", &mut scenario.zone, values::zone)?;
    root.set("wall_origin", &mut scenario.wall_origin, values::wall_time)?;
    root.section("server", |section| read_server(section, &mut scenario.server))?;
    root.section("population", |section| {
        scenario.population = read_population(section)?;
        Ok(())
    })?;
    root.section("app", |section| read_app(section, &mut scenario.app))?;
    root.section("links", |section| {
        let links = &mut scenario.links;
        section.set("min_latency", &mut links.min_latency, values::span)?;
        section.set("max_latency", &mut links.max_latency, values::span)?;
        section.set("max_jitter", &mut links.max_jitter, values::span)?;
        section.set("max_sliced", &mut links.max_sliced, values::whole)
    })?;
    root.section("faults", |section| read_faults(section, &mut scenario.faults))?;
    root.section("bounds", |section| {
        if let Some(push) = section.get("push", values::span)? {
            scenario.bounds.push = push;
            scenario.is_push_bound_explicit = push == USUAL_BOUNDS.push;
        }
        section.set("reply", &mut scenario.bounds.reply, values::span)?;
        section.set("release", &mut scenario.bounds.release, values::span)
    })?;
    root.finish()?;
    Ok(scenario)
}

fn read_server(section: &mut Section<'_>, server: &mut Config) -> Result<(), Wrong> {
    section.set("path", &mut server.path, values::text)?;
    section.set("max_message", &mut server.max_message, values::size)?;
    section.set("outbox_limit", &mut server.outbox_limit, values::size)?;
    section.set("handshake_timeout", &mut server.handshake_timeout, values::span)?;
    section.set("ping_interval", &mut server.ping_interval, values::span)?;
    section.set("close_timeout", &mut server.close_timeout, values::span)
}

/// Reads the population in the order of [`Behaviour::ALL`], not of the file: the order decides which client gets which
/// behaviour.
fn read_population(section: &mut Section<'_>) -> Result<Vec<(Behaviour, u32)>, Wrong> {
    let mut population = Vec::new();
    for behaviour in Behaviour::ALL {
        let weight = section.get(behaviour.name(), values::whole)?;
        population.extend(weight.map(|weight| (behaviour, weight)));
    }
    Ok(population)
}

fn read_app(section: &mut Section<'_>, app: &mut AppProfile) -> Result<(), Wrong> {
    app.heartbeat = section.get("heartbeat", values::span)?;
    app.restart = section.get("restart", values::span)?;
    section.section("switch", |section| {
        let on = section.need("on", values::span)?;
        let off = section.need("off", values::span)?;
        app.switch = Some(SwitchProfile { on, off });
        Ok(())
    })
}

fn read_faults(section: &mut Section<'_>, faults: &mut FaultProfile) -> Result<(), Wrong> {
    faults.per_client = section.get("per_client", values::span)?;
    section.set("pauses", &mut faults.pauses, values::whole)?;
    section.set("clock_jumps", &mut faults.clock_jumps, values::whole)?;
    section.set("restarts", &mut faults.restarts, values::whole)?;
    section.set("heals", &mut faults.heals, values::yes_or_no)
}

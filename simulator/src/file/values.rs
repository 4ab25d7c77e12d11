//! Reads single values of a TOML file. The error of each reader states what was expected.

use std::time::Duration;

use carillon_server::{WallTime, Zone};
use chrono::DateTime;
use toml::de::{DeTable, DeValue};

use crate::units::{parse_count, parse_fixed_zone, parse_size, parse_span};

/// A text in quotes.
pub(crate) fn text(value: &DeValue<'_>) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "write a text in quotes".to_owned())
}

/// `true` or `false`.
pub(crate) fn yes_or_no(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "write true or false, without quotes".to_owned())
}

/// A whole number from 0 on.
pub(crate) fn whole<T: TryFrom<u64>>(value: &DeValue<'_>) -> Result<T, String> {
    integer(value)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| "write a whole number from 0 on, without quotes".to_owned())
}

/// A whole number, or one such as `"10k"`.
pub(crate) fn count(value: &DeValue<'_>) -> Result<u32, String> {
    match value.as_str() {
        Some(text) => parse_count(text),
        None => whole(value).map_err(|_| "write a whole number such as 500, or \"10k\" in quotes".to_owned()),
    }
}

/// A time such as `"5m"`.
pub(crate) fn span(value: &DeValue<'_>) -> Result<Duration, String> {
    match value.as_str() {
        Some(text) => parse_span(text),
        None => Err("write a time in quotes, such as \"5m\" or \"1h30m\"".to_owned()),
    }
}

/// A size such as `"64KiB"`, or bytes.
pub(crate) fn size(value: &DeValue<'_>) -> Result<usize, String> {
    match value.as_str() {
        Some(text) => parse_size(text),
        None => whole(value).map_err(|_| "write a number of bytes, or \"64KiB\" in quotes".to_owned()),
    }
}

/// An instant of RFC 3339, in quotes or without.
pub(crate) fn wall_time(value: &DeValue<'_>) -> Result<WallTime, String> {
    let text = match value {
        DeValue::String(text) => text.clone().into_owned(),
        DeValue::Datetime(instant) => instant.to_string(),
        _ => String::new(),
    };
    DateTime::parse_from_rfc3339(&text)
        .ok()
        .and_then(|instant| instant.timestamp_nanos_opt())
        .map(WallTime::from_unix_nanos)
        .ok_or_else(|| "write an instant before the year 2262 such as 2026-11-22T12:00:00Z".to_owned())
}

/// `"utc"`, an offset, or a table with two offsets and the instant of the change. The local zone is not allowed, because
/// the file would have another meaning on another machine.
pub(crate) fn zone(value: &DeValue<'_>) -> Result<Zone, String> {
    let zone = match value {
        DeValue::String(text) => parse_fixed_zone(text),
        DeValue::Table(table) => changing_zone(table),
        _ => None,
    };
    zone.ok_or_else(|| {
        "write \"utc\", an offset such as \"+08:00\", or { before = \"+01:00\", after = \"+02:00\", at = \
         2026-03-29T01:00:00Z }"
            .to_owned()
    })
}

fn changing_zone(table: &DeTable<'_>) -> Option<Zone> {
    let offset = |key| match parse_fixed_zone(table.get(key)?.get_ref().as_str()?)? {
        Zone::Fixed(offset) => Some(offset),
        _ => None,
    };
    let (before, after) = (offset("before")?, offset("after")?);
    let at = wall_time(table.get("at")?.get_ref()).ok()?;
    let is_whole = at.as_unix_nanos() % 1_000_000_000 == 0;
    (is_whole && table.len() == 3).then(|| Zone::Switch { before, at: at.as_unix_seconds(), after })
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

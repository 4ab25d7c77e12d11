//! The dialect of a server: how it words the commands, echoes and pushes of `PROTOCOL.md`.

use std::fmt;
use std::path::Path;

use carillon_server::protocol::{Command, ECHO_PREFIX, PUSH_PREFIX, SUBSCRIBE, UNSUBSCRIBE};
use chrono::NaiveDateTime;
use chrono::format::{Item, StrftimeItems};
use toml::de::DeValue;

use crate::file::section::{self, Section, Wrong};
use crate::file::{self, LoadError, Mistake, values};
use crate::wire::codec::{self, Garbled, Received, opcode};
use crate::wire::text::Text;

/// The texts, the path and the header fields that differ from server to server. The default is that of `PROTOCOL.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    subscribe: String,
    unsubscribe: String,
    echo_prefix: String,
    /// The text of a push, with the conversions of `strftime`.
    push: String,
    /// Whether the server subscribes a new connection.
    pub(crate) is_subscribed: bool,
    /// The path of the upgrade request; `None` for the path of the URL.
    pub(crate) path: Option<String>,
    /// Further header fields of the request: name and value.
    pub(crate) headers: Vec<(String, String)>,
    /// Texts that the server may send after the 101, in this order; `$_` stands for any text.
    open: Vec<String>,
    /// The codes of the server's Close at its shutdown; empty for those of `PROTOCOL.md`.
    shutdown: Vec<u16>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            subscribe: SUBSCRIBE.to_owned(),
            unsubscribe: UNSUBSCRIBE.to_owned(),
            echo_prefix: ECHO_PREFIX.to_owned(),
            push: format!("{PUSH_PREFIX}%Y-%m-%d %H:%M:%S"),
            is_subscribed: true,
            path: None,
            headers: Vec::new(),
            open: Vec::new(),
            shutdown: Vec::new(),
        }
    }
}

/// The instant that the text of a push states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stated {
    /// The text follows the pattern, which states no complete instant.
    Nothing,
    /// The text states this civil time in the server's zone.
    Time(NaiveDateTime),
    /// The text does not follow the pattern.
    Wrong,
}

impl Dialect {
    /// Reads a dialect from a TOML file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or contains a mistake, which the error names with its line.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        file::load(path, Self::parse)
    }

    /// Reads a dialect from TOML. Missing keys have the values of `PROTOCOL.md`.
    ///
    /// # Errors
    ///
    /// The first mistake in the text.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let document = section::document(text)?;
        read(Section::root(document.get_ref())).map_err(|wrong| wrong.locate(text))
    }

    /// The meaning of a message or a control frame from the server.
    pub(crate) fn interpret<'a>(&self, code: u8, payload: &'a [u8]) -> Result<Received<'a>, Garbled> {
        if code != opcode::TEXT {
            return codec::interpret(code, payload);
        }
        if std::str::from_utf8(payload).is_err() {
            return Err(Garbled::new("a text from the server that is not UTF-8"));
        }
        Ok(if let Some(echo) = payload.strip_prefix(self.echo_prefix.as_bytes()) {
            Received::Echo(echo)
        } else if payload.starts_with(self.push_prefix().as_bytes()) {
            Received::Push(payload)
        } else {
            Received::Unknown(payload)
        })
    }

    /// Appends the message that a client sends for `text`.
    pub(crate) fn render(&self, text: Text, to: &mut String) {
        match text.command() {
            Some(Command::Subscribe) => to.push_str(&self.subscribe),
            Some(Command::Unsubscribe) => to.push_str(&self.unsubscribe),
            None => text.append_to(to),
        }
    }

    /// The command that the server reads in this text, even if the client did not mean one.
    pub(crate) fn command(&self, text: &str) -> Option<Command> {
        match text {
            _ if text == self.subscribe => Some(Command::Subscribe),
            _ if text == self.unsubscribe => Some(Command::Unsubscribe),
            _ => None,
        }
    }

    /// The instant that the text of a push states.
    pub(crate) fn read_push(&self, text: &str) -> Stated {
        match NaiveDateTime::parse_from_str(text, &self.push) {
            // Parsing accepts other padding, so the text is compared with a second rendering.
            Ok(time) if time.format(&self.push).to_string() == text => Stated::Time(time),
            Ok(_) => Stated::Wrong,
            Err(error) if error.kind() == chrono::format::ParseErrorKind::NotEnough => Stated::Nothing,
            Err(_) if self.push == text => Stated::Nothing,
            Err(_) => Stated::Wrong,
        }
    }

    /// Whether this is the text number `place` that the server may send after the 101.
    pub(crate) fn is_opening_text(&self, place: usize, text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text);
        self.open.get(place).is_some_and(|template| matches(template, &text))
    }

    /// The codes that the server's Close at its shutdown may have. The reference server's own choice is 1001; 1012
    /// means service restart.
    pub(crate) fn shutdown_codes(&self, is_strict: bool) -> &[u16] {
        match &self.shutdown[..] {
            [] if is_strict => &[1001],
            [] => &[1001, 1012],
            stated => stated,
        }
    }

    /// The prefix of every push.
    fn push_prefix(&self) -> &str {
        self.push.split('%').next().unwrap_or_default()
    }
}

fn read(mut root: Section<'_>) -> Result<Dialect, Wrong> {
    let mut dialect = Dialect::default();
    root.section("commands", |section| {
        section.set("subscribe", &mut dialect.subscribe, word)?;
        section.set("unsubscribe", &mut dialect.unsubscribe, word)
    })?;
    root.section("echo", |section| section.set("prefix", &mut dialect.echo_prefix, values::text))?;
    root.section("push", |section| section.set("pattern", &mut dialect.push, pattern))?;
    root.section("connection", |section| {
        section.set("subscribed", &mut dialect.is_subscribed, values::yes_or_no)?;
        dialect.path = section.get("path", path)?;
        section.set("headers", &mut dialect.headers, headers)
    })?;
    root.sections("open", |section| {
        dialect.open.extend(section.get("expect", word)?);
        Ok(())
    })?;
    root.section("end", |section| section.set("shutdown", &mut dialect.shutdown, codes))?;
    root.finish()?;
    let clash = |sentence: &str| Err(Wrong { place: 0, sentence: sentence.to_owned() });
    if dialect.subscribe == dialect.unsubscribe {
        return clash("commands.subscribe and commands.unsubscribe must differ");
    }
    if dialect.push_prefix().starts_with(&dialect.echo_prefix) {
        return clash("echo.prefix must not begin push.pattern: a push would look like an echo");
    }
    Ok(dialect)
}

fn word(value: &DeValue<'_>) -> Result<String, String> {
    let word = values::text(value)?;
    if word.is_empty() { Err("write a text in quotes that is not empty".to_owned()) } else { Ok(word) }
}

/// Reads a list of codes that a Close may have.
fn codes(value: &DeValue<'_>) -> Result<Vec<u16>, String> {
    let expected =
        || "write a list of status codes such as [1001, 1012]; a Close may have 1000 to 4999".to_owned();
    let list = value.as_array().ok_or_else(expected)?;
    let code = |value: &DeValue<'_>| {
        let digits = value.as_integer().filter(|integer| integer.radix() == 10)?;
        digits.as_str().parse::<u16>().ok().filter(|code| (1000..5000).contains(code))
    };
    list.iter().map(|value| code(value.get_ref()).ok_or_else(expected)).collect()
}

/// Whether a text is a template, in which `$_` stands for any text.
fn matches(template: &str, text: &str) -> bool {
    let mut parts = template.split("$_");
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut is_open = false;
    for part in parts {
        is_open = part.is_empty();
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.is_empty() || is_open
}

fn pattern(value: &DeValue<'_>) -> Result<String, String> {
    let pattern = word(value)?;
    let is_wrong = StrftimeItems::new(&pattern).any(|item| matches!(item, Item::Error));
    if is_wrong {
        return Err(format!(
            "{pattern:?} holds a conversion that strftime does not know; write one such as \"{PUSH_PREFIX}%Y-%m-%d \
             %H:%M:%S\", and %% for a per cent sign"
        ));
    }
    Ok(pattern)
}

fn path(value: &DeValue<'_>) -> Result<String, String> {
    let path = values::text(value)?;
    let is_sound = path.starts_with('/') && !path.contains([' ', '#']) && !path.contains(char::is_control);
    if is_sound { Ok(path) } else { Err("write a path in quotes that begins with /".to_owned()) }
}

/// Reads a table of header fields, in the order of their names.
fn headers(value: &DeValue<'_>) -> Result<Vec<(String, String)>, String> {
    let expected =
        || "write a table of texts without line feeds, such as { Authorization = \"Bearer x\" }".to_owned();
    let table = value.as_table().ok_or_else(expected)?;
    table
        .iter()
        .map(|(name, value)| {
            let name: &str = name.get_ref().as_ref();
            let text = value.get_ref().as_str().filter(|text| !text.contains(char::is_control));
            let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            match text {
                Some(text) if is_name(name) => Ok((name.to_owned(), text.to_owned())),
                _ => Err(expected()),
            }
        })
        .collect()
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}, {:?}, {:?}", self.subscribe, self.unsubscribe, self.echo_prefix, self.push)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = "[commands]\nsubscribe = \"ON\"\nunsubscribe = \"OFF\"\n[echo]\nprefix = \"> \"\n[push]\n\
        pattern = \"tick %d.%m.%Y %H:%M:%S\"\n[connection]\nsubscribed = false\npath = \"/live\"\n\
        headers = { Authorization = \"Bearer x\" }\n";

    #[test]
    fn a_dialect_interprets_the_texts_of_its_server() {
        let dialect = Dialect::parse(OTHER).unwrap();
        assert_eq!(dialect.interpret(opcode::TEXT, b"> hi"), Ok(Received::Echo(b"hi")));
        let push = "tick 22.11.2026 12:00:00";
        assert!(matches!(dialect.interpret(opcode::TEXT, push.as_bytes()), Ok(Received::Push(_))));
        assert!(
            matches!(dialect.read_push(push), Stated::Time(time) if time.to_string() == "2026-11-22 12:00:00")
        );
        assert_eq!(dialect.read_push("tick 2.11.2026 12:00:00"), Stated::Wrong, "not padded");
        assert_eq!(dialect.command("OFF"), Some(Command::Unsubscribe));
        let mut sent = String::new();
        dialect.render(Text::Subscribe, &mut sent);
        assert_eq!((sent.as_str(), dialect.is_subscribed), ("ON", false));
        assert_eq!(dialect.headers, [("Authorization".to_owned(), "Bearer x".to_owned())]);
    }

    #[test]
    fn the_default_dialect_is_that_of_the_protocol() {
        let dialect = Dialect::parse("").unwrap();
        assert_eq!(dialect, Dialect::default());
        for wrong in
            ["2026-22-11 12:00:00", "2026-11-22 12:00:00\n", "2026-11-22 12:60:00", "2026-11-22 12:00"]
        {
            assert_eq!(dialect.read_push(&format!("{PUSH_PREFIX}{wrong}")), Stated::Wrong, "{wrong:?}");
        }
    }

    #[test]
    fn a_dialect_allows_texts_after_the_101_and_other_codes_at_the_end() {
        let text =
            "[[open]]\nexpect = \"welcome, $_!\"\n[[open]]\nexpect = \"go\"\n[end]\nshutdown = [4001]\n";
        let dialect = Dialect::parse(text).unwrap();
        assert!(dialect.is_opening_text(0, b"welcome, client 7!") && dialect.is_opening_text(1, b"go"));
        assert!(!dialect.is_opening_text(0, b"welcome") && !dialect.is_opening_text(2, b"go"));
        assert_eq!(dialect.shutdown_codes(true), [4001]);
        assert_eq!(Dialect::default().shutdown_codes(false), [1001, 1012]);
        assert_eq!(Dialect::default().shutdown_codes(true), [1001]);
    }

    #[test]
    fn a_mistake_is_reported_with_its_line() {
        for (text, line, part) in [
            ("[push]\npattern = \"at %Q\"\n", 2, "strftime"),
            ("[commands]\nsubscribe = \"\"\n", 2, "not empty"),
            ("[connection]\nheaders = { X = 1 }\n", 2, "table of texts"),
            ("[connection]\n\npath = \"ws\"\n", 3, "begins with /"),
            ("[echo]\nprefx = \"x\"\n", 2, "expected one of prefix"),
            ("[commands]\nsubscribe = \"unsubscribe\"\n", 1, "must differ"),
            ("[echo]\nprefix = \"Server\"\n", 1, "would look like an echo"),
            ("[end]\nshutdown = [1001, 999]\n", 2, "1000 to 4999"),
            ("[open]\nexpect = \"hi\"\n", 1, "write [[open]]"),
            ("[[open]]\nexpect = \"\"\n", 2, "not empty"),
        ] {
            let mistake = Dialect::parse(text).unwrap_err();
            assert_eq!(mistake.line, line, "{mistake}");
            assert!(mistake.sentence.contains(part), "{mistake}");
        }
    }
}

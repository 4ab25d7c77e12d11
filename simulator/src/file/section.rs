//! One table of a TOML file. The reader asks for its keys one by one, and all other keys are mistakes.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mistake;

/// A mistake, and its place in the file as a byte offset.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) place: usize,
    pub(crate) sentence: String,
}

/// Parses a TOML file as a table.
pub(crate) fn document(text: &str) -> Result<Spanned<DeTable<'_>>, Mistake> {
    DeTable::parse(text).map_err(|error| {
        let place = error.span().map_or(0, |span| span.start);
        Wrong { place, sentence: error.message().to_owned() }.locate(text)
    })
}

impl Wrong {
    /// The same mistake with its line and column.
    pub(crate) fn locate(self, text: &str) -> Mistake {
        let before = text.get(..self.place).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Mistake {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            sentence: self.sentence,
        }
    }
}

/// A table, and the keys that the reader has asked for.
pub(crate) struct Section<'a> {
    /// The name of the table and a dot; empty for the whole file.
    prefix: String,
    place: usize,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The whole file as a section.
    pub(crate) fn root(table: &'a DeTable<'a>) -> Self {
        Self { prefix: String::new(), place: 0, table, known: Vec::new() }
    }

    /// The value of a key; `None` if the key is missing. The error of `parse` states what was expected.
    pub(crate) fn get<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Result<Option<T>, Wrong> {
        self.known.push(key);
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        match parse(value.get_ref()) {
            Ok(parsed) => Ok(Some(parsed)),
            Err(expected) => Err(wrong(value, format!("{}{key} cannot be read: {expected}", self.prefix))),
        }
    }

    /// Sets `place` to the value of a key, unless the key is missing.
    pub(crate) fn set<T>(
        &mut self,
        key: &'static str,
        place: &mut T,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Result<(), Wrong> {
        if let Some(value) = self.get(key, parse)? {
            *place = value;
        }
        Ok(())
    }

    /// The value of a required key.
    pub(crate) fn need<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Result<T, Wrong> {
        let value = self.get(key, parse)?;
        value.ok_or_else(|| Wrong { place: self.place, sentence: format!("{}{key} is missing", self.prefix) })
    }

    /// Reads a table inside this one, unless it is missing.
    pub(crate) fn section(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        self.known.push(key);
        let Some(value) = self.table.get(key) else {
            return Ok(());
        };
        let name = format!("{}{key}", self.prefix);
        let Some(table) = value.get_ref().as_table() else {
            return Err(wrong(value, format!("{name} must be a table: write [{name}] and its keys below")));
        };
        let place = value.span().start;
        let mut section = Section { prefix: format!("{name}."), place, table, known: Vec::new() };
        read(&mut section)?;
        section.finish()
    }

    /// Reads each table of a list of tables, in order, unless the list is missing.
    #[cfg(feature = "live")]
    pub(crate) fn sections(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        self.known.push(key);
        let Some(value) = self.table.get(key) else {
            return Ok(());
        };
        let name = format!("{}{key}", self.prefix);
        let expected =
            || format!("{name} must be a list of tables: write [[{name}]] and its keys below, once for each");
        let list = value.get_ref().as_array().ok_or_else(|| wrong(value, expected()))?;
        for entry in list.iter() {
            let table = entry.get_ref().as_table().ok_or_else(|| wrong(entry, expected()))?;
            let place = entry.span().start;
            let mut section = Section { prefix: format!("{name}."), place, table, known: Vec::new() };
            read(&mut section)?;
            section.finish()?;
        }
        Ok(())
    }

    /// Reports the first unknown key.
    pub(crate) fn finish(self) -> Result<(), Wrong> {
        let is_unknown = |key: &&Spanned<_>| !self.known.contains(&AsRef::<str>::as_ref(key.get_ref()));
        let first = self.table.keys().filter(is_unknown).min_by_key(|key| key.span().start);
        first.map_or(Ok(()), |key| {
            let name = format!("{}{}", self.prefix, key.get_ref());
            let sentence = format!("there is no key {name}; expected one of {}", self.known.join(", "));
            Err(wrong(key, sentence))
        })
    }
}

/// The place of the value of this dotted key, or else of the innermost existing table.
pub(crate) fn place_of(root: &DeTable<'_>, dotted: &str) -> usize {
    let (mut table, mut place) = (Some(root), 0);
    for key in dotted.split('.') {
        let Some(value) = table.and_then(|table| table.get(key)) else {
            return place;
        };
        place = value.span().start;
        table = value.get_ref().as_table();
    }
    place
}

fn wrong<T>(place: &Spanned<T>, sentence: String) -> Wrong {
    Wrong { place: place.span().start, sentence }
}

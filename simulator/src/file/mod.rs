//! Reads files with a format: scenarios, scripts, dialects, reports.

pub(crate) mod section;
pub(crate) mod values;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read; check the path.
    Io(PathBuf, io::Error),
    /// The file can be read, but contains a mistake. The text states the place and the mistake.
    Mistake(PathBuf, String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Mistake(path, sentence) => write!(f, "{}: {sentence}", path.display()),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Mistake(..) => None,
        }
    }
}

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub sentence: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.sentence)
    }
}

impl std::error::Error for Mistake {}

/// Reads the file, and parses its text with `parse`.
pub(crate) fn load<T, M: fmt::Display>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, M>,
) -> Result<T, LoadError> {
    let text = fs::read_to_string(path).map_err(|error| LoadError::Io(path.to_owned(), error))?;
    parse(&text).map_err(|mistake| LoadError::Mistake(path.to_owned(), mistake.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_and_a_file_with_a_mistake_give_different_errors() {
        let nowhere = load(Path::new("/no/such/file"), |_| Ok::<_, String>(())).unwrap_err();
        assert!(nowhere.to_string().starts_with("cannot read /no/such/file: "), "{nowhere}");
        assert!(matches!(nowhere, LoadError::Io(..)));
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let wrong = load(&here, |text| Err::<(), _>(format!("{} bytes", text.len()))).unwrap_err();
        let length = here.metadata().unwrap().len();
        assert!(wrong.to_string().ends_with(&format!("Cargo.toml: {length} bytes")), "{wrong}");
        assert!(matches!(wrong, LoadError::Mistake(..)));
    }
}

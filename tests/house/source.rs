//! A simple reader of a crate's source: its files, their imports, their functions.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

/// The files of one crate.
pub(super) struct Crate {
    files: Vec<File>,
}

/// One file, without its tests.
pub(super) struct File {
    /// The path below the folder of the crate's sources.
    pub(super) path: String,
    /// The module in this file, such as `oracle::checker`; empty for the crate's root.
    pub(super) module: String,
    /// The modules that the file declares, in order.
    pub(super) modules: Vec<String>,
    /// The number of lines, tests included.
    pub(super) length: usize,
    pub(super) functions: Vec<Function>,
    code: String,
}

/// A function with a body.
pub(super) struct Function {
    pub(super) name: String,
    /// The number of lines from the signature to the last brace.
    pub(super) length: usize,
}

/// The use of an item of one file in another file.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    /// The module that imports.
    pub(super) from: String,
    /// The module that is imported from.
    pub(super) to: String,
    from_path: String,
    to_path: String,
    written: String,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} imports {} ({})", self.from_path, self.to_path, self.written)
    }
}

impl Crate {
    /// The sources in this folder of the workspace.
    pub(super) fn read(folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut files = Vec::new();
        collect(&root, &root, &mut files);
        assert!(files.len() > 5, "no sources in {folder}");
        files.sort_by(|one: &File, other| one.path.cmp(&other.path));
        Self { files }
    }

    /// A crate of these files: path and text.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| File::new(path, text)).collect() }
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    pub(super) fn file(&self, path: &str) -> &File {
        self.files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no file {path}"))
    }

    /// The imports between files, each pair of files once.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut all = BTreeSet::new();
        for file in &self.files {
            for path in file.paths() {
                let Some(to) = self.holder(&path) else { continue };
                let is_new = |import: &&Import| import.from == file.module && import.to == to.module;
                if to.path != file.path && !all.iter().any(|import| is_new(&import)) {
                    all.insert(Import {
                        from: file.module.clone(),
                        to: to.module.clone(),
                        from_path: file.path.clone(),
                        to_path: to.path.clone(),
                        written: format!("crate::{path}"),
                    });
                }
            }
        }
        all.into_iter().collect()
    }

    /// The pairs of files that import each other.
    pub(super) fn circles(&self) -> Vec<String> {
        let imports = self.imports();
        let is_mutual =
            |one: &&Import| imports.iter().any(|other| other.from == one.to && other.to == one.from);
        let circles = imports.iter().filter(|one| one.from_path < one.to_path).filter(is_mutual);
        circles.map(|one| format!("{} and {} import each other", one.from_path, one.to_path)).collect()
    }

    /// The file that holds the innermost module on this path.
    fn holder(&self, path: &str) -> Option<&File> {
        let is_on_path = |module: &str| {
            path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let holders = self.files.iter().filter(|file| !file.module.is_empty() && is_on_path(&file.module));
        holders.max_by_key(|file| file.module.len())
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("the sources can be read") {
        let path = entry.expect("the sources can be read").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("it lies below").to_string_lossy().replace('\\', "/");
            files.push(File::new(&name, &fs::read_to_string(&path).expect("the sources can be read")));
        }
    }
}

impl File {
    /// The code without comments and tests.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    fn new(path: &str, text: &str) -> Self {
        let stem = path.strip_suffix(".rs").unwrap_or(path);
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        let module = if matches!(stem, "lib" | "main" | "mod") { "" } else { stem };
        let code = without_tests(text);
        Self {
            path: path.to_owned(),
            module: module.replace('/', "::"),
            modules: code.lines().filter_map(declared_module).collect(),
            length: text.lines().count(),
            functions: functions(text),
            code,
        }
    }

    /// The paths into the crate that this file uses, from the crate's root.
    fn paths(&self) -> Vec<String> {
        let parent = self.module.rsplit_once("::").map_or("", |(parent, _)| parent);
        let mut paths = Vec::new();
        for (prefix, base) in [("crate::", ""), ("super::", parent), ("self::", self.module.as_str())] {
            for (place, _) in self.code.match_indices(prefix) {
                if !continues_a_word(&self.code, place) {
                    expand(base, &self.code[place + prefix.len()..], &mut paths);
                }
            }
        }
        for module in &self.modules {
            for (place, _) in self.code.match_indices(&format!("{module}::")) {
                let is_path = continues_a_word(&self.code, place) || self.code[..place].ends_with("::");
                if !is_path {
                    expand(&self.module, &self.code[place..], &mut paths);
                }
            }
        }
        paths
    }
}

/// Whether the place lies within a longer word, such as `macro_crate::`.
fn continues_a_word(code: &str, place: usize) -> bool {
    code[..place].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
}

/// The paths that begin here: one, or all that stand between braces.
fn expand(base: &str, rest: &str, paths: &mut Vec<String>) {
    let join = |word: &str| if base.is_empty() { word.to_owned() } else { format!("{base}::{word}") };
    if let Some(group) = rest.strip_prefix('{') {
        for item in split_group(group) {
            expand(base, item.trim(), paths);
        }
        return;
    }
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    let (word, behind) = rest.split_at(end);
    match word {
        "" => {}
        "self" => paths.push(base.to_owned()),
        "super" => {
            let parent = base.rsplit_once("::").map_or("", |(parent, _)| parent);
            expand(parent, behind.trim_start_matches("::"), paths);
        }
        _ => match behind.strip_prefix("::") {
            Some(behind) if !behind.starts_with('<') => expand(&join(word), behind, paths),
            _ => paths.push(join(word)),
        },
    }
}

/// The items between braces, of which the first was removed, split at the commas of the outer level.
fn split_group(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (1, 0, Vec::new());
    for (place, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && letter == ',') {
            items.push(&group[start..place]);
            start = place + 1;
        }
        if depth == 0 {
            break;
        }
    }
    items
}

/// The code without comments, and without items that are compiled for tests only.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            skip_item(&mut lines);
        } else if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// Skips one item: to its semicolon, or to the brace that closes it.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>) {
    let Some(first) = lines.find(|line| !line.trim_start().starts_with("#[")) else { return };
    if first.ends_with(';') {
        return;
    }
    let indent = first.len() - first.trim_start().len();
    let closing = format!("{}}}", " ".repeat(indent));
    lines.find(|line| *line == closing);
}

fn declared_module(line: &str) -> Option<String> {
    let line = line.trim_start().strip_suffix(';')?;
    let name = line.strip_prefix("mod ").or_else(|| line.split_once(" mod ").map(|(_, name)| name))?;
    (line.starts_with("mod ") || line.starts_with("pub")).then(|| name.to_owned())
}

/// The functions with a body, as rustfmt formats them: a body ends at a brace with the indentation of its `fn`.
fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let is_end = |line: &&str| **line == closing || line.ends_with("{}") || line.ends_with(';');
        let body = lines[start..].iter().position(|line| line.ends_with('{') || is_end(line));
        let Some(body) = body.filter(|place| lines[start + place].ends_with('{')) else { continue };
        let length = lines[start + body..].iter().position(|line| *line == closing).map(|end| body + end + 1);
        found.extend(length.map(|length| Function { name, length }));
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let words = line.trim_start();
    let start = words.find("fn ").filter(|place| {
        let before = &words[..*place];
        before.split_whitespace().all(|word| {
            matches!(word, "pub" | "async" | "const" | "unsafe" | "extern") || word.starts_with("pub(")
        })
    })?;
    let name = &words[start + 3..];
    let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    (end > 0).then(|| name[..end].to_owned())
}

//! The order of the sources: the imports between files, and the sizes of files and functions.

mod oracle;
mod source;

use source::{Crate, Import};

/// The longest file, in lines.
const LONGEST_FILE: usize = 450;

/// The longest function, in lines, its signature and its last brace included.
const LONGEST_FUNCTION: usize = 50;

fn everything() -> [Crate; 4] {
    [Crate::read("simulator/src"), Crate::read("server/src"), Crate::read("tests"), Crate::read("benches")]
}

/// The rooms of the simulator in the order of `lib.rs`, and the two that only the program has.
fn rooms(source: &Crate) -> Vec<String> {
    let listed = source.file("lib.rs").modules.clone();
    let program = source.file("main.rs").modules.clone();
    assert!(listed.len() > 10 && !program.is_empty(), "the rooms were not read: {listed:?} {program:?}");
    [listed, program].concat()
}

/// Whether `import` goes from a room to one that is listed after it.
fn runs_backwards(import: &Import, rooms: &[String]) -> bool {
    let place = |path: &str| rooms.iter().position(|room| path.split("::").next() == Some(room));
    match (place(&import.from), place(&import.to)) {
        (Some(from), Some(to)) => to > from,
        _ => false,
    }
}

#[test]
fn no_room_of_the_simulator_imports_from_one_that_is_listed_after_it() {
    let source = Crate::read("simulator/src");
    let rooms = rooms(&source);
    let imports = source.imports();
    assert!(imports.len() > 300, "only {} imports were read", imports.len());
    let backwards: Vec<String> =
        imports.iter().filter(|import| runs_backwards(import, &rooms)).map(ToString::to_string).collect();
    assert!(backwards.is_empty(), "the rooms in order: {rooms:?}\n{}", backwards.join("\n"));
}

#[test]
fn no_two_files_import_each_other() {
    let circles: Vec<String> = everything().iter().flat_map(Crate::circles).collect();
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let mut long = Vec::new();
    for source in everything() {
        for file in source.files() {
            if file.length > LONGEST_FILE {
                long.push(format!("{}: {} lines", file.path, file.length));
            }
            let functions = file.functions.iter().filter(|function| function.length > LONGEST_FUNCTION);
            long.extend(functions.map(|found| format!("{}: {} has {}", file.path, found.name, found.length)));
        }
    }
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

#[test]
fn an_import_that_runs_backwards_is_found() {
    let source = Crate::of(&[
        ("lib.rs", "mod lower;\nmod upper;\n"),
        ("lower/mod.rs", "mod part;\n"),
        ("lower/part.rs", "use crate::upper::{Thing, other};\n"),
        ("upper.rs", "use crate::lower::part;\n\nfn f() {\n    super::lower::part::g();\n}\n"),
    ]);
    let rooms = ["lower".to_owned(), "upper".to_owned()];
    let backwards: Vec<String> = source
        .imports()
        .iter()
        .filter(|import| runs_backwards(import, &rooms))
        .map(Import::to_string)
        .collect();
    assert_eq!(backwards, ["lower/part.rs imports upper.rs (crate::upper::Thing)"]);
    assert_eq!(source.circles(), ["lower/part.rs and upper.rs import each other"]);
}

//! The README agrees with the code.

use carillon_simulator::live::Dialect;

/// The README's example is the file that the workspace builds.
#[test]
fn the_example_of_the_readme_is_the_one_that_is_compiled() {
    let readme = include_str!("../README.md");
    let example = include_str!("../simulator/examples/own_server.rs");
    assert!(
        readme.contains(example),
        "the README shows another example than simulator/examples/own_server.rs"
    );
    assert!(example.lines().count() <= 30, "the example must fit on a screen");
}

/// The README's dialect can be parsed, and has the values that it shows.
#[test]
fn the_dialect_of_the_readme_is_read() {
    let readme = include_str!("../README.md");
    let block = readme.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```"));
    let (text, _) = block.expect("the README shows a dialect");
    let dialect = Dialect::parse(text).expect("the dialect can be read");
    assert_ne!(dialect, Dialect::default());
}

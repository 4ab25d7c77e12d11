//! The README tells the truth about the code.

/// Its example is the file that the workspace builds.
#[test]
fn the_example_of_the_readme_is_the_one_that_is_compiled() {
    let readme = include_str!("../README.md");
    let example = include_str!("../simulator/examples/own_server.rs");
    assert!(
        readme.contains(example),
        "the README shows another example than simulator/examples/own_server.rs"
    );
    assert!(example.lines().count() <= 30, "the example is to fit on a screen");
}

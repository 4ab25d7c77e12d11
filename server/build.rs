//! Gives the program the version that it prints: `0.1.0 (52ced8b)` if it is a release build of a checkout, else `0.1.0`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    // Without this line, Cargo runs the script again whenever any file of the package changes.
    println!("cargo::rerun-if-changed=build.rs");
    let mut version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    // Only then: in development, each commit would cause a build of everything.
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if let Some(commit) = is_release.then(commit).flatten() {
        version = format!("{version} ({commit})");
    }
    println!("cargo::rustc-env=CARILLON_VERSION={version}");
}

/// The commit that is checked out. `None` in a package: git may know a checkout around it, but that is another one.
fn commit() -> Option<String> {
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    // A checkout of another branch changes the first file, a commit changes the second one.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short", "HEAD"])
}

/// What git prints; `None` if there is no git, or if it fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}

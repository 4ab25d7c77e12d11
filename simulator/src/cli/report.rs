//! `carillon-sim report`: a page from the JSON report of a run.

use std::path::{Path, PathBuf};

use carillon_simulator::exit::{self, Exit};
use carillon_simulator::report::page;
use carillon_simulator::report::{Document, Summary};
use clap::Args;

use super::failure::Failure;
use super::output::write_file;
use super::terminal;

/// The sentence for a file name with another extension.
const FORMATS: &str = "expected a name that ends in .html (a page) or .md (for a pull request)";

/// The ends that this subcommand can have.
const ENDS: &[Exit] = &[Exit::Held, Exit::Impossible, Exit::Unreadable];

#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = exit::help("The exit code does not depend on the verdict of the report.", ENDS))]
pub(crate) struct Options {
    /// A report, as --json of `run`, `replay`, `soak`, `conform`, `sweep` or `merge` has written it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Write the page to this file: .html, which loads no other file, or .md
    #[arg(long, short, value_name = "FILE", value_parser = parse_output)]
    output: Output,
}

/// The format and the path of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Output {
    Html(PathBuf),
    Markdown(PathBuf),
}

/// Reads the report and writes the page.
pub(crate) fn execute(options: &Options) -> Result<Exit, Failure> {
    let document = Document::load(&options.file)?;
    let (path, text) = match &options.output {
        Output::Html(path) => (path, page::html(&document)),
        Output::Markdown(path) => (path, page::markdown(&document)),
    };
    write_file(path, text)?;
    terminal::print(&format!("the report is in {}\n", path.display()))?;
    Ok(Exit::Held)
}

/// The report of one run in this file, and the name of the file.
pub(super) fn load_run(path: &Path) -> Result<(String, Summary), Failure> {
    let summary = Summary::load(path)?;
    Ok((path.display().to_string(), summary))
}

fn parse_output(text: &str) -> Result<Output, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => Ok(Output::Html(path)),
        Some("md") => Ok(Output::Markdown(path)),
        _ => Err(FORMATS.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;
    use crate::cli::files::Files;
    use crate::cli::{Cli, Command, testing};

    fn report(file: &Path, output: &Path) -> Result<Result<Exit, Failure>, clap::Error> {
        let (file, output) = (file.to_str().unwrap(), output.to_str().unwrap());
        let cli = Cli::try_parse_from(["carillon-sim", "report", file, "-o", output])?;
        let result = match cli.command {
            Command::Report(options) => execute(&options),
            other => panic!("{other:?}"),
        };
        testing::assert_in_help("report", &result);
        Ok(result)
    }

    #[test]
    fn the_extension_selects_the_format() {
        let files = Files::new("report");
        let run = files.run(1, |_| ());
        for (name, start) in [("a.html", "<!doctype html>"), ("a.md", "### run of day: ")] {
            let output = files.path(name);
            assert_eq!(report(&run, &output).unwrap().unwrap(), Exit::Held);
            assert!(fs::read_to_string(&output).unwrap().starts_with(start));
        }
        for name in ["a.pdf", "html", "a.HTML"] {
            let error = report(&run, &files.path(name)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("ends in .html (a page) or .md"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_no_report_is_refused() {
        let files = Files::new("no-report");
        let (page, wrong) = (files.path("a.html"), files.path("wrong.json"));
        fs::write(&wrong, "{}").unwrap();
        assert!(matches!(report(&wrong, &page), Ok(Err(Failure::Unreadable(_)))));
        assert!(matches!(report(&files.path("absent.json"), &page), Ok(Err(Failure::Impossible(_)))));
        assert!(!page.exists());
    }
}

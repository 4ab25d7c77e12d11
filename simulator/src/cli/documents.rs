//! `carillon-sim completions` and `carillon-sim man`.

use carillon_server::cli::{CompletionsArguments, ManArguments};
use carillon_simulator::exit::Exit;
use clap::Command;

use super::failure::Failure;
use super::terminal;

/// Prints the completions of a shell.
pub(crate) fn completions(arguments: &CompletionsArguments, command: Command) -> Result<Exit, Failure> {
    terminal::print(&arguments.script(command))?;
    Ok(Exit::Held)
}

/// Prints a manual page.
pub(crate) fn man(arguments: &ManArguments, command: Command) -> Result<Exit, Failure> {
    terminal::print(&arguments.page(command).map_err(Failure::Usage)?)?;
    Ok(Exit::Held)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;
    use crate::cli::testing::parse;

    #[test]
    fn each_shell_gets_completions() {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let arguments: CompletionsArguments = parse("completions", &[shell]).unwrap();
            let script = arguments.script(Cli::command());
            assert!(script.contains("carillon-sim") && script.contains("heartbeat"), "{shell}: {script}");
        }
    }

    #[test]
    fn the_program_and_its_subcommands_have_manual_pages() {
        let page = |arguments: &[&str]| {
            let arguments: ManArguments = parse("man", arguments).unwrap();
            arguments.page(Cli::command())
        };
        assert!(page(&[]).unwrap().contains(".TH carillon-sim 1"));
        for subcommand in Cli::command().get_subcommands() {
            let name = subcommand.get_name();
            let page = page(&[name]).unwrap();
            assert!(page.contains(&format!(".TH carillon-sim-{name} 1")), "{page}");
        }
        let nothing: ManArguments = parse("man", &["walk"]).unwrap();
        assert!(matches!(man(&nothing, Cli::command()), Err(Failure::Usage(_))));
    }
}

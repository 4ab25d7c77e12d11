//! The subcommands `completions` and `man`. The simulator's program has them as well.

use clap::{Args, Command};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

/// The arguments of `completions`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct CompletionsArguments {
    /// The shell that the script is for
    shell: Shell,
}

impl CompletionsArguments {
    /// A script for the shell, which completes the command line of `program`.
    pub fn script(&self, mut program: Command) -> String {
        let name = program.get_name().to_owned();
        let mut script = Vec::new();
        generate(self.shell, &mut program, name, &mut script);
        text(script)
    }
}

/// The arguments of `man`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ManArguments {
    /// The subcommand that the page is about [default: none, the page is about the program]
    subcommand: Option<String>,
}

impl ManArguments {
    /// The manual page of `program` or of one of its subcommands, in the format of roff.
    ///
    /// # Errors
    ///
    /// A sentence, if the program has no such subcommand.
    pub fn page(&self, program: Command) -> Result<String, String> {
        let mut command = program.disable_help_subcommand(true);
        command.build();
        let source = command.render_version();
        if let Some(name) = &self.subcommand {
            let subcommand = command.find_subcommand(name).cloned();
            command = subcommand.ok_or_else(|| format!("there is no subcommand {name:?}"))?;
        }
        let mut page = Vec::new();
        Man::new(command).source(source.trim_end()).render(&mut page).expect("a vector takes all bytes");
        Ok(text(page))
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("it is made of strings")
}

//! `aegis completions`

use aegis_core::ExitCode;
use clap_complete::Shell;

use crate::{failure::Failure, output, reference};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis completions bash > /etc/bash_completion.d/aegis
  aegis completions zsh > \"${fpath[1]}/_aegis\"
  aegis completions fish > ~/.config/fish/completions/aegis.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        output::print(&reference::completions(self.shell))?;
        Ok(ExitCode::Success)
    }
}

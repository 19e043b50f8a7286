//! `aegis controller restore`

use std::path::PathBuf;

use aegis_core::ExitCode;

use crate::{failure::Failure, output};

/// Make a data directory out of a backup
///
/// With the keys of the controller that was saved, so that enrolled hosts go on as before once it runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aegis controller restore aegis.backup --data-dir /var/lib/aegis && aegis controller run --data-dir /var/lib/aegis")]
pub struct Args {
    /// The backup
    file: PathBuf,
    /// The directory to make; it must be empty or not there
    #[arg(long, value_name = "D")]
    data_dir: PathBuf,
}

impl Args {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        aegis_controller::restore(&self.file, &self.data_dir).map_err(|error| {
            Failure::generic(error.to_string()).hint(
                "a backup is made with `aegis controller backup FILE`, and restored into an empty directory",
            )
        })?;
        output::print(&format!("restored {} into {}\n", self.file.display(), self.data_dir.display()))?;
        Ok(ExitCode::Success)
    }
}

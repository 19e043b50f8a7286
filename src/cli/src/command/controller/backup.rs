//! `aegis controller backup`

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use aegis_core::ExitCode;
use futures::StreamExt;

use crate::{context::ContextArgs, failure::Failure, output};

/// Save everything that the running controller has into one file
///
/// With the keys, so keep it as safe as the controller itself (it is made with mode 0600). The controller goes on
/// meanwhile. `aegis controller restore` makes a data directory of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file; it must not exist
    file: PathBuf,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let client = context.client().await?;
        // A backup is whole or not there: it gets its name when its last byte is on the disk.
        if self.file.exists() {
            return Err(Failure::invalid(format!("{} exists", self.file.display())).hint("name a new file"));
        }
        let mut name = self.file.clone().into_os_string();
        name.push(".part");
        let part = PathBuf::from(name);
        let failed = |error: std::io::Error| Failure::file(&part, &error);
        let mut file = create(&part).map_err(failed)?;
        let mut chunks = client.backup().await?;
        let mut bytes = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.inspect_err(|_| drop(std::fs::remove_file(&part)))?;
            file.write_all(&chunk).map_err(failed)?;
            bytes += chunk.len();
        }
        file.sync_all().and_then(|()| std::fs::rename(&part, &self.file)).map_err(failed)?;
        output::print(&format!("saved {bytes} bytes to {}\n", self.file.display()))?;
        Ok(ExitCode::Success)
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

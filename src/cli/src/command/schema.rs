//! `aegis schema`

use aegis_core::ExitCode;

use super::kind_arg::kind;
use crate::{failure::Failure, output, schema};

/// Print the JSON Schema of a kind, or of whole manifest files
///
/// Editors with yaml-language-server complete and check manifests by it. The same files are in schemas/.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this kind
    kind: Option<String>,
}

impl Args {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let name = match &self.kind {
            Some(text) if text.eq_ignore_ascii_case("NodeConfig") => "NodeConfig",
            Some(text) => kind(text)?.name,
            None => "manifest",
        };
        output::print(&output::json(&schema::document_schema(name))?)?;
        Ok(ExitCode::Success)
    }
}

//! `aegis validate`

use aegis_core::ExitCode;
use aegis_engine::declare;
use serde::Serialize;

use crate::{
    failure::Failure,
    manifests::ManifestArgs,
    output::{Format, OutputArgs, json, print, yaml},
};

/// Check manifests without asking anybody
///
/// Finds everything that can be found without a controller: syntax, unknown fields and kinds, types, names, duplicates
/// and the rules of each kind. Whether hosts exist is only known to `aegis diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    manifests: ManifestArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Verdict<'a> {
    valid: bool,
    documents: usize,
    diagnostics: &'a [aegis_core::diagnostic::Diagnostic],
}

impl Args {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let validated = self.manifests.read_raw(false).and_then(|sources| declare::validate(&sources));
        let (documents, found) = match &validated {
            Ok(documents) => (documents.len(), None),
            Err(found) => (0, Some(found)),
        };
        let verdict = Verdict {
            valid: found.is_none(),
            documents,
            diagnostics: found.map(aegis_engine::manifest::Diagnostics::shown).unwrap_or_default(),
        };
        match self.output.output {
            Format::Json => print(&json(&verdict)?)?,
            Format::Yaml => print(&yaml(&verdict)?)?,
            Format::Table => {
                validated.map_err(Failure::from)?;
                let noun = if documents == 1 { "document is" } else { "documents are" };
                print(&format!("{documents} {noun} valid\n"))?;
                return Ok(ExitCode::Success);
            }
        }
        Ok(if verdict.valid { ExitCode::Success } else { ExitCode::Invalid })
    }
}

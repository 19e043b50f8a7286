//! `aegis validate`

use aegis_core::{ExitCode, diagnostic::Diagnostic};
use aegis_edge::config::ConfigError;
use aegis_engine::{
    declare,
    manifest::{Diagnostics, Source, Sources},
};
use serde::Serialize;

use crate::{
    failure::Failure,
    manifests::ManifestArgs,
    output::{Format, OutputArgs, json, print, yaml},
    secret_values,
};

/// Check manifests without asking anybody
///
/// Finds everything that can be found without a controller: syntax, unknown fields and kinds, types, names, duplicates
/// and the rules of each kind. Whether hosts exist is only known to `aegis diff`. An edge daemon's aegis-config.yaml
/// (NodeConfig, or bare with `cluster:`) is checked as well.
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
    diagnostics: &'a [Diagnostic],
}

impl Args {
    /// Runs it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let validated = self.manifests.read_raw(false).and_then(|sources| validate(&sources));
        let (documents, found) = match &validated {
            Ok(documents) => (*documents, None),
            Err(found) => (0, Some(found)),
        };
        let verdict = Verdict {
            valid: found.is_none(),
            documents,
            diagnostics: found.map(Diagnostics::shown).unwrap_or_default(),
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

/// How many documents there are, or what is wrong with them. Configs of daemons are files of their own.
fn validate(sources: &Sources) -> Result<usize, Diagnostics> {
    let (configs, manifests): (Vec<&Source>, Vec<&Source>) =
        sources.sources().iter().partition(|source| is_node_config(&source.text));
    let mut found = Diagnostics::default();
    for config in &configs {
        if let Err(error) = aegis_edge::config::parse(&config.text, &config.name) {
            found.add(|| match error {
                ConfigError::Invalid(diagnostic) => *diagnostic,
                other => Diagnostic::error(other.to_string()),
            });
        }
    }
    let texts = manifests.iter().map(|source| (source.name.clone(), source.text.as_bytes()));
    let documents = Sources::from_texts(texts).and_then(|sources| {
        let documents = declare::validate(&sources)?;
        let unread = secret_values::check(&sources, &documents);
        if unread.is_empty() { Ok(documents) } else { Err(unread) }
    });
    match documents {
        Ok(documents) if found.is_empty() => Ok(documents.len() + configs.len()),
        Ok(_) => Err(found),
        Err(others) => {
            found.append(others);
            Err(found)
        }
    }
}

/// Whether a file is a daemon's config: a NodeConfig, or what would be its spec.
fn is_node_config(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end);
    lines.any(|line| line == "kind: NodeConfig" || line == "cluster:" || line.starts_with("cluster: "))
}

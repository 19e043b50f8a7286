//! `aegis export`

use aegis_core::ExitCode;
use aegis_engine::{export::Document, realm::Realm};
use aegis_kinds::KINDS;

use super::kind_arg::kind;
use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{self, Format, OutputArgs},
    realm::ControllerRealm,
};

/// Print what is declared as manifests
///
/// The output can be applied: `aegis export > fleet.yaml; aegis diff -f fleet.yaml` shows no differences.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this kind
    kind: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let kinds: Vec<&str> = match &self.kind {
            Some(text) => vec![kind(text)?.name],
            None => KINDS.iter().map(|info| info.name).collect(),
        };
        let realm = ControllerRealm(context.client().await?);
        let mut documents = Vec::new();
        for object in realm.objects(&kinds).await? {
            let document = Document::of_stored(&object.key, &object.body)
                .map_err(|error| Failure::generic(format!("{}: {error}", object.key)))?;
            // A host of which nothing is declared needs no manifest.
            let says = |d: &Document| {
                d.spec.as_object().is_none_or(|spec| !spec.is_empty()) || !d.metadata.meta.is_empty()
            };
            documents.extend(document.filter(says));
        }
        if self.output.output == Format::Json {
            output::print(&output::json(&documents)?)?;
            return Ok(ExitCode::Success);
        }
        let mut text = String::new();
        for document in &documents {
            text += "---\n";
            text += &output::yaml(document)?;
        }
        output::print(&text)?;
        Ok(ExitCode::Success)
    }
}

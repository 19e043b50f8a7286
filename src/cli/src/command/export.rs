//! `aegis export`

use aegis_core::ExitCode;
use aegis_engine::{export::Document, realm::Realm};
use aegis_kinds::KINDS;

use super::kind_arg::kind;
use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{self, Format, OutputArgs},
    realms::RealmArgs,
};

/// Print what is declared as manifests
///
/// Values of secrets are never printed: in their place stand digests, by which the values stay as they are. The output
/// can be applied: `aegis export > fleet.yaml; aegis diff -f fleet.yaml` shows no differences.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this kind
    kind: Option<String>,
    #[command(flatten)]
    realm: RealmArgs,
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
        let mut documents = Vec::new();
        let mut objects = Vec::new();
        for realm in self.realm.of_kinds(context, &kinds).await? {
            objects.extend(realm.objects(&kinds).await?);
        }
        for object in objects {
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

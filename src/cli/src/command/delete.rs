//! `aegis delete`

use aegis_core::{ExitCode, ObjectKey, Outcome, Owner};
use aegis_engine::{
    declare,
    intent::{Intent, Wish},
    realm::Realm,
};

use super::kind_arg::object;
use crate::{
    context::ContextArgs,
    failure::Failure,
    manifests::ManifestArgs,
    output::OutputArgs,
    realm::ControllerRealm,
    reconcile::{self, ApplyArgs},
};

/// Delete objects, whoever owns them
///
/// Named ones must exist; of what manifests declare, what isn't there is passed over. A host can't be deleted: its
/// tags, name and drain go, the host stays enrolled (`aegis edge keys revoke-remote` ends that).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis delete EdgeGroup/web        one group
  aegis delete -f fleet.yaml        all that the manifest declares")]
pub struct Args {
    /// Objects, such as EdgeGroup/web
    #[arg(value_name = "KIND/NAME", required_unless_present = "filename", conflicts_with = "filename")]
    objects: Vec<String>,
    /// Delete what these manifests declare: a file, a directory, or -; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    filename: Vec<String>,
    /// Read the directories in a directory too
    #[arg(short = 'R', long, requires = "filename")]
    recursive: bool,
    #[command(flatten)]
    apply: ApplyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let client = context.client().await?;
        let realm = ControllerRealm(client.clone());
        let (keys, source) = if self.filename.is_empty() {
            let mut keys = Vec::new();
            for text in &self.objects {
                let (kind, name) = object(text)?;
                // Named objects must be there: a misspelt name is an error, not a success.
                keys.push(super::get::one(&realm, kind.name, name).await?.key);
            }
            (keys, format!("delete {}", self.objects.join(" ")))
        } else {
            let manifests = ManifestArgs { filename: self.filename, recursive: self.recursive };
            let documents = declare::validate(&manifests.read(false)?)?;
            let hosts = realm.hosts().await?;
            let names = aegis_engine::plan::Names::new(&hosts);
            let there = |key: &ObjectKey| key.kind != "EdgeNode" || names.resolve(&key.name).is_ok();
            (documents.into_iter().map(|d| d.key).filter(there).collect(), manifests.source("delete"))
        };
        let wishes = keys.into_iter().map(|key| Wish { key, intent: Intent::Delete, document: None });
        let (realm, mut plan) =
            reconcile::plan_wishes(&client, Owner::cli(), source, wishes.collect(), false).await?;
        for phase in &mut plan.phases {
            phase.retain(|item| item.plan.outcome != Outcome::Unchanged);
        }
        reconcile::carry_out(&realm, plan, self.apply, self.output).await
    }
}

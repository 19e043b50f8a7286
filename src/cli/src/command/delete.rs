//! `aegis delete`

use aegis_core::{ExitCode, Kind, ObjectKey, Outcome, Owner};
use aegis_engine::{
    declare, divide,
    intent::{Intent, Wish},
    realm::Realm,
};
use aegis_kinds::{App, Secret};

use super::{
    get::{find, missing},
    kind_arg::object,
};
use crate::{
    context::ContextArgs,
    declared::Declared,
    failure::Failure,
    manifests::ManifestArgs,
    output::OutputArgs,
    realms::{AnyRealm, RealmArgs},
    reconcile::{self, ApplyArgs},
};

/// Delete objects, whoever owns them
///
/// Named ones must exist; of what manifests declare, what isn't there is passed over. A host can't be deleted: its
/// tags, name and drain go, the host stays enrolled (`aegis edge keys revoke-remote` ends that).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis delete EdgeGroup/web        one group
  aegis delete App/web              an app here, with its releases, instances and secrets
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
    realm: RealmArgs,
    #[command(flatten)]
    apply: ApplyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let (wanted, source) = if self.filename.is_empty() {
            let source = format!("delete {}", self.objects.join(" "));
            (named(&self.objects, self.realm, context).await?, source)
        } else {
            let manifests = ManifestArgs { filename: self.filename, recursive: self.recursive };
            (declared(&manifests, context).await?, manifests.source("delete"))
        };
        let mut parts = Vec::new();
        for (realm, keys) in wanted {
            let keys = with_secrets(&realm, keys).await?;
            let wishes = keys.into_iter().map(|key| Wish { key, intent: Intent::Delete, document: None });
            let mut plan =
                reconcile::plan_in(&realm, Owner::cli(), source.clone(), wishes.collect(), false).await?;
            for phase in &mut plan.phases {
                phase.retain(|item| item.plan.outcome != Outcome::Unchanged);
            }
            parts.push((realm, plan));
        }
        reconcile::carry_out_all(Declared { parts }, self.apply, self.output).await
    }
}

/// Objects by where they are.
type Wanted = Vec<(AnyRealm, Vec<ObjectKey>)>;

/// Named objects must be there: a misspelt name is an error, not a success.
async fn named(objects: &[String], realm: RealmArgs, context: &ContextArgs) -> Result<Wanted, Failure> {
    let mut wanted: Wanted = Vec::new();
    for text in objects {
        let (kind, name) = object(text)?;
        let mut found = None;
        for realm in realm.of_kinds(context, &[kind.name]).await? {
            if let Some(object) = find(&realm, kind.name, name).await? {
                if found.is_some() {
                    return Err(Failure::invalid(format!(
                        "there is a {text} on this machine and at the controller"
                    ))
                    .hint("say which with --realm local or --realm controller"));
                }
                found = Some((realm, object.key));
            }
        }
        let (realm, key) = found.ok_or_else(|| missing(kind.name, name))?;
        match wanted.iter_mut().find(|(other, _)| other.name() == realm.name()) {
            Some((_, keys)) => keys.push(key),
            None => wanted.push((realm, vec![key])),
        }
    }
    Ok(wanted)
}

/// What manifests declare, where it is there.
async fn declared(manifests: &ManifestArgs, context: &ContextArgs) -> Result<Wanted, Failure> {
    let documents = declare::validate(&manifests.read(false)?)?;
    let (local, others): (Vec<_>, Vec<_>) = documents.into_iter().partition(|d| divide::is_local(&d.spec));
    let mut wanted: Wanted = Vec::new();
    if !others.is_empty() {
        let realm = AnyRealm::controller(context).await?;
        let hosts = realm.hosts().await?;
        let names = aegis_engine::plan::Names::new(&hosts);
        let there = |key: &ObjectKey| key.kind != "EdgeNode" || names.resolve(&key.name).is_ok();
        wanted.push((realm, others.into_iter().map(|d| d.key).filter(there).collect()));
    }
    if !local.is_empty() {
        wanted.push((AnyRealm::local()?, local.into_iter().map(|d| d.key).collect()));
    }
    Ok(wanted)
}

/// With the secrets of the apps among them: an app's own secrets go with it.
async fn with_secrets(realm: &AnyRealm, mut keys: Vec<ObjectKey>) -> Result<Vec<ObjectKey>, Failure> {
    if keys.iter().any(|key| key.kind == App::NAME) {
        for secret in realm.objects(&[Secret::NAME]).await? {
            let of_app = |app: &&ObjectKey| {
                app.kind == App::NAME
                    && secret.key.name.strip_prefix(&app.name).is_some_and(|rest| rest.starts_with('.'))
            };
            if keys.iter().any(|key| of_app(&key)) && !keys.contains(&secret.key) {
                keys.push(secret.key);
            }
        }
    }
    Ok(keys)
}

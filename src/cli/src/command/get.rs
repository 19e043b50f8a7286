//! `aegis get`

use aegis_core::{ExitCode, Kind, fleet::TargetOutcome};
use aegis_engine::realm::{Object, Realm};
use aegis_kinds::{EdgeNode, Rollout};
use aegis_wire::operator::{OperatorClient, RolloutStatus};
use serde::Serialize;

use super::{
    kind_arg::kind,
    stored::{StoredObject, host_names},
};
use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, table},
    realm::{self, ControllerRealm},
    rollouts,
};

/// List the declared objects of a kind, or show one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis get EdgeGroup               all groups
  aegis get EdgeNode web-1 -o yaml  what is declared of one host, and by whom
  aegis get rollouts                all rollouts, and where each is")]
pub struct Args {
    /// The kind: EdgeNode, EdgeGroup, SecurityContext or Rollout; plurals and small letters will do
    kind: String,
    /// The object's name; a host by id, unique prefix or unique name
    name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let kind = kind(&self.kind)?.name;
        let realm = ControllerRealm(context.client().await?);
        let hosts = if kind == EdgeNode::NAME {
            host_names(realm.hosts().await?)
        } else {
            std::collections::HashMap::default()
        };
        let objects = match &self.name {
            Some(name) => vec![one(&realm, kind, name).await?],
            None => realm.objects(&[kind]).await?,
        };
        let objects: Vec<StoredObject> =
            objects.iter().map(|object| StoredObject::new(object, &hosts)).collect::<Result<_, _>>()?;
        let seen = seen(&realm.0, kind, objects).await?;
        let rows = if kind == Rollout::NAME { rollout_rows } else { rows };
        match seen.as_slice() {
            [one] if self.name.is_some() => self.output.show(one, |one| rows(std::slice::from_ref(one)))?,
            all => self.output.show(all, rows)?,
        }
        Ok(ExitCode::Success)
    }
}

/// An object, and where it is if it is a rollout.
#[derive(Serialize)]
struct Seen {
    #[serde(flatten)]
    object: StoredObject,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<RolloutStatus>,
}

async fn seen(client: &OperatorClient, kind: &str, objects: Vec<StoredObject>) -> Result<Vec<Seen>, Failure> {
    if kind != Rollout::NAME {
        return Ok(objects.into_iter().map(|object| Seen { object, status: None }).collect());
    }
    let names: Vec<String> = objects.iter().map(|object| object.name.clone()).collect();
    let statuses = rollouts::statuses(client, names).await?;
    Ok(objects.into_iter().zip(statuses).map(|(object, status)| Seen { object, status }).collect())
}

fn row(seen: &Seen) -> [String; 4] {
    let object = &seen.object;
    [
        object.title().to_owned(),
        object.elements(),
        object.owner_names().join(", "),
        object.revision.to_string(),
    ]
}

fn rows(seen: &[Seen]) -> String {
    table(["NAME", "DECLARED", "OWNERS", "REVISION"], seen.iter().map(row))
}

fn rollout_rows(seen: &[Seen]) -> String {
    let with_status = |seen: &Seen| {
        let [name, declared, owners, revision] = row(seen);
        let Some(status) = &seen.status else {
            return [
                name,
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                declared,
                owners,
                revision,
            ];
        };
        [
            name,
            status.phase.to_string(),
            rollouts::wave(status).unwrap_or_default(),
            status.outcomes.of(TargetOutcome::Ok).to_string(),
            status.outcomes.failures().to_string(),
            declared,
            owners,
            revision,
        ]
    };
    table(
        ["NAME", "PHASE", "WAVE", "OK", "FAILED", "DECLARED", "OWNERS", "REVISION"],
        seen.iter().map(with_status),
    )
}

/// One object, or that there is none.
pub async fn one(realm: &ControllerRealm, kind: &'static str, name: &str) -> Result<Object, Failure> {
    let missing = || {
        Failure::not_found(format!("there is no {kind}/{name}"))
            .hint(format!("`aegis get {kind}` lists what there is"))
    };
    let key = match realm::key(&realm.0, kind, name).await {
        Err(error) if error.code == aegis_wire::Code::NotFound => return Err(missing()),
        key => key?,
    };
    realm.object(&key).await?.ok_or_else(missing)
}

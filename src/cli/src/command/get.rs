//! `aegis get`

use aegis_core::{ExitCode, Kind, ObjectKey};
use aegis_engine::realm::{Object, Realm};
use aegis_kinds::EdgeNode;

use super::{
    kind_arg::kind,
    states,
    stored::{StoredObject, host_names},
};
use crate::{
    context::ContextArgs,
    failure::Failure,
    output::OutputArgs,
    realm::{self, ControllerRealm},
    realms::{AnyRealm, RealmArgs},
};

/// List the declared objects of a kind, or show one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis get EdgeGroup               all groups
  aegis get EdgeNode web-1 -o yaml  what is declared of one host, and by whom
  aegis get rollouts                all rollouts, and where each is
  aegis get apps                    apps here and, where a controller is set, its own")]
pub struct Args {
    /// The kind, such as EdgeNode, Rollout or App; plurals and small letters will do
    kind: String,
    /// The object's name; a host by id, unique prefix or unique name
    name: Option<String>,
    #[command(flatten)]
    realm: RealmArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let kind = kind(&self.kind)?.name;
        let mut seen = Vec::new();
        let realms = self.realm.of_kinds(context, &[kind]).await?;
        for realm in &realms {
            let hosts = if kind == EdgeNode::NAME {
                host_names(realm.hosts().await?)
            } else {
                std::collections::HashMap::default()
            };
            let objects = match &self.name {
                Some(name) => find(realm, kind, name).await?.into_iter().collect(),
                None => realm.objects(&[kind]).await?,
            };
            let objects: Vec<StoredObject> =
                objects.iter().map(|object| StoredObject::new(object, &hosts)).collect::<Result<_, _>>()?;
            seen.extend(states::seen(realm, kind, objects).await?);
        }
        if let (Some(name), true) = (&self.name, seen.is_empty()) {
            return Err(missing(kind, name));
        }
        match seen.as_slice() {
            [one] if self.name.is_some() => {
                self.output.show(one, |one| states::rows(kind, std::slice::from_ref(one)))?;
            }
            all => self.output.show(all, |all| states::rows(kind, all))?,
        }
        Ok(ExitCode::Success)
    }
}

/// One object of a controller, or that there is none.
pub async fn one(realm: &ControllerRealm, kind: &'static str, name: &str) -> Result<Object, Failure> {
    let key = match realm::key(&realm.0, kind, name).await {
        Err(error) if error.code == aegis_wire::Code::NotFound => return Err(missing(kind, name)),
        key => key?,
    };
    realm.object(&key).await?.ok_or_else(|| missing(kind, name))
}

/// The object of this name in a realm.
pub async fn find(realm: &AnyRealm, kind: &'static str, name: &str) -> Result<Option<Object>, Failure> {
    let key = match realm.operator() {
        None => ObjectKey::new(kind, name),
        Some(client) => match realm::key(client, kind, name).await {
            Err(error) if error.code == aegis_wire::Code::NotFound => return Ok(None),
            key => key?,
        },
    };
    Ok(realm.object(&key).await?)
}

/// There is no such object.
pub fn missing(kind: &str, name: &str) -> Failure {
    Failure::not_found(format!("there is no {kind}/{name}"))
        .hint(format!("`aegis get {kind}` lists what there is"))
}

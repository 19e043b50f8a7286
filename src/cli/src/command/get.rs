//! `aegis get`

use aegis_core::{ExitCode, Kind};
use aegis_engine::realm::{Object, Realm};
use aegis_kinds::EdgeNode;

use super::{
    kind_arg::kind,
    stored::{StoredObject, host_names},
};
use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, table},
    realm::{self, ControllerRealm},
};

/// List the declared objects of a kind, or show one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis get EdgeGroup               all groups
  aegis get EdgeNode web-1 -o yaml  what is declared of one host, and by whom")]
pub struct Args {
    /// The kind: EdgeNode, EdgeGroup or SecurityContext; plurals and small letters will do
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
        let rows = |objects: &[StoredObject]| {
            let row = |o: &StoredObject| {
                [o.title().to_owned(), o.elements(), o.owner_names().join(", "), o.revision.to_string()]
            };
            table(["NAME", "DECLARED", "OWNERS", "REVISION"], objects.iter().map(row))
        };
        if let Some(name) = &self.name {
            let object = one(&realm, kind, name).await?;
            let object = StoredObject::new(&object, &hosts)?;
            self.output.show(&object, |object| rows(std::slice::from_ref(object)))?;
        } else {
            let objects = realm.objects(&[kind]).await?;
            let objects: Vec<StoredObject> =
                objects.iter().map(|object| StoredObject::new(object, &hosts)).collect::<Result<_, _>>()?;
            self.output.show(objects.as_slice(), rows)?;
        }
        Ok(ExitCode::Success)
    }
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

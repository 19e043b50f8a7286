//! `aegis edge group`

use std::collections::BTreeSet;

use aegis_core::{ExitCode, Kind, NodeId, ObjectKey, id::ObjectName, selector::Target};
use aegis_engine::{
    intent::{Intent, Wish},
    realm::Realm,
};
use aegis_kinds::{EdgeGroup, EdgeGroupEdit, EdgeNode};
use clap::Subcommand;
use serde::Serialize;

use crate::{
    command::get::one,
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, table},
    realm::{self, ControllerRealm},
    reconcile::{self, ImperativeArgs},
};

/// Saved groups of hosts: a selector with a name, and pinned hosts
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the groups
    Ls {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Create a group
    Create {
        /// Its name
        name: ObjectName,
        /// Who belongs to it, such as "tags=prod os=linux"
        #[arg(long, value_name = "EXPR")]
        selector: String,
        #[command(flatten)]
        imperative: ImperativeArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Pin hosts to a group, or unpin them, whatever its selector says
    #[command(group = clap::ArgGroup::new("pins").required(true).multiple(true))]
    SetPinned {
        /// The group
        name: ObjectName,
        /// A host to pin: node id, unique prefix or name; may be repeated
        #[arg(long, value_name = "ID", num_args = 1.., group = "pins")]
        add: Vec<String>,
        /// A host to unpin; may be repeated; by its id also one that is revoked
        #[arg(long, value_name = "ID", num_args = 1.., group = "pins")]
        rm: Vec<String>,
        #[command(flatten)]
        imperative: ImperativeArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Remove a group; its hosts stay as they are
    Rm {
        /// The group
        name: ObjectName,
        #[command(flatten)]
        imperative: ImperativeArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Serialize)]
struct Row {
    name: String,
    selector: String,
    pinned: Vec<String>,
    owners: Vec<String>,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        match self.verb {
            Verb::Ls { output } => list(context, output).await,
            Verb::Create { name, selector, imperative, output } => {
                let target = parse_target("--selector", &selector)?;
                let source = format!("edge group create {name} --selector {target}");
                edit(context, &name, EdgeGroupEdit::Create(target), source, imperative, output).await
            }
            Verb::SetPinned { name, add, rm, imperative, output } => {
                let client = context.client().await?;
                // Who names a group that isn't there misspelt it: not found, as everywhere.
                one(&ControllerRealm::new(client.clone()), EdgeGroup::NAME, name.as_str()).await?;
                let ids = async |given: &[String], by_id_whoever_it_is: bool| {
                    let mut ids = BTreeSet::new();
                    for node in given {
                        // A host that was revoked isn't found any more, but its pin must be able to go.
                        let id = if by_id_whoever_it_is && NodeId::new(node.as_str()).is_ok() {
                            node.clone()
                        } else {
                            realm::key(&client, EdgeNode::NAME, node).await?.name
                        };
                        ids.insert(id);
                    }
                    Ok::<_, Failure>(ids)
                };
                let words = |flag: &str, given: &[String]| {
                    given.iter().map(|n| format!(" {flag} {n}")).collect::<String>()
                };
                let source =
                    format!("edge group set-pinned {name}{}{}", words("--add", &add), words("--rm", &rm));
                let (add, remove) = (ids(&add, false).await?, ids(&rm, true).await?);
                edit(context, &name, EdgeGroupEdit::SetPinned { add, remove }, source, imperative, output)
                    .await
            }
            Verb::Rm { name, imperative, output } => {
                let realm = ControllerRealm::new(context.client().await?);
                let key = one(&realm, EdgeGroup::NAME, name.as_str()).await?.key;
                let wish = Wish { key, intent: Intent::Delete, document: None };
                reconcile::imperative(
                    &realm.0,
                    format!("edge group rm {name}"),
                    vec![wish],
                    imperative,
                    output,
                )
                .await
            }
        }
    }
}

/// A target expression, or its fault with a caret under the spot.
pub fn parse_target(flag: &str, text: &str) -> Result<Target, Failure> {
    text.parse::<Target>().map_err(|error| {
        let failure = Failure::invalid(format!("{flag}: {}\n{}", error.message, error.caret(text)));
        match error.help {
            Some(help) => failure.hint(help),
            None => failure.hint("forms: @NODE, group:NAME, all, or fragments as tags=prod os=linux tools=docker labels=region=eu"),
        }
    })
}

async fn edit(
    context: &ContextArgs,
    name: &ObjectName,
    edit: EdgeGroupEdit,
    source: String,
    imperative: ImperativeArgs,
    output: OutputArgs,
) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    // What the selector names must be there, as in a manifest.
    match &edit {
        EdgeGroupEdit::Create(Target::Group(group)) => {
            one(&ControllerRealm::new(client.clone()), EdgeGroup::NAME, group).await?;
        }
        EdgeGroupEdit::Create(Target::Node(node)) => {
            realm::key(&client, EdgeNode::NAME, node).await?;
        }
        EdgeGroupEdit::Create(_) | EdgeGroupEdit::SetPinned { .. } => {}
    }
    let key = ObjectKey::new(EdgeGroup::NAME, name.as_str());
    let wish = Wish { key, intent: Intent::edit::<EdgeGroup>(edit), document: None };
    reconcile::imperative(&client, source, vec![wish], imperative, output).await
}

async fn list(context: &ContextArgs, output: OutputArgs) -> Result<ExitCode, Failure> {
    let realm = ControllerRealm::new(context.client().await?);
    let mut rows = Vec::new();
    for object in realm.objects(&[EdgeGroup::NAME]).await? {
        let object = crate::command::stored::StoredObject::new(&object, &std::collections::HashMap::new())?;
        let pinned = object.spec["pinned"].as_array().cloned().unwrap_or_default();
        rows.push(Row {
            owners: object.owner_names(),
            selector: object.spec["selector"].as_str().unwrap_or_default().to_owned(),
            pinned: pinned.iter().filter_map(|p| p.as_str().map(str::to_owned)).collect(),
            name: object.name,
        });
    }
    output.show(rows.as_slice(), |rows| {
        let row = |r: &Row| [r.name.clone(), r.selector.clone(), r.pinned.join(","), r.owners.join(", ")];
        table(["NAME", "SELECTOR", "PINNED", "OWNERS"], rows.iter().map(row))
    })?;
    Ok(ExitCode::Success)
}

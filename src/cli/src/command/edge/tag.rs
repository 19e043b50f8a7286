//! `aegis edge tag`

use aegis_core::{ExitCode, Kind, ObjectKey, id::Tag};
use aegis_engine::intent::{Intent, Wish};
use aegis_kinds::{EdgeNode, EdgeNodeEdit};
use clap::Subcommand;

use crate::{
    context::ContextArgs,
    failure::Failure,
    output::OutputArgs,
    reconcile::{self, ImperativeArgs},
};

/// Add or remove tags of a host, be it connected or not
///
/// Tags are kept by the controller and count from the next evaluation of a selector on. A tag that a manifest declares
/// can be removed too; its owner's next apply adds it again, and the command says so.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add tags
    Add(TagArgs),
    /// Remove tags
    Rm(TagArgs),
}

#[derive(Debug, clap::Args)]
struct TagArgs {
    /// The host: its node id, a unique prefix of it, or its name
    node: String,
    /// The tags
    #[arg(required = true)]
    tags: Vec<Tag>,
    #[command(flatten)]
    imperative: ImperativeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let (word, args, edit): (_, _, fn(Vec<Tag>) -> EdgeNodeEdit) = match self.verb {
            Verb::Add(args) => ("add", args, EdgeNodeEdit::AddTags),
            Verb::Rm(args) => ("rm", args, EdgeNodeEdit::RemoveTags),
        };
        let tags: Vec<&str> = args.tags.iter().map(Tag::as_str).collect();
        let source = format!("edge tag {word} {} {}", args.node, tags.join(" "));
        let client = context.client().await?;
        let wish = edit_node(&client, &args.node, edit(args.tags)).await?;
        reconcile::imperative(&client, source, vec![wish], args.imperative, args.output).await
    }
}

/// The wish for one edit of a host, given by id, prefix or name. Unknown and foreign hosts are not found alike.
pub async fn edit_node(
    client: &aegis_wire::operator::OperatorClient,
    node: &str,
    edit: EdgeNodeEdit,
) -> Result<Wish, Failure> {
    let key: ObjectKey = crate::realm::key(client, EdgeNode::NAME, node).await?;
    Ok(Wish { key, intent: Intent::edit::<EdgeNode>(edit), document: None })
}

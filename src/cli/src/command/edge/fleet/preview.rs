//! `aegis edge fleet`

use aegis_core::ExitCode;
use aegis_wire::operator::Resolution;
use clap::Subcommand;

use super::{group::parse_target, ls::nodes_table};
use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, table},
};

/// Many hosts at once
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show which hosts a target resolves to, and which it skips and why
    #[command(after_help = "Examples:
  aegis edge fleet preview --target all
  aegis edge fleet preview --target 'tags=AllOf(prod,db) os=linux'
  aegis edge fleet preview --target group:web --output json")]
    Preview {
        /// The hosts: @NODE, group:NAME, all, or fragments that must all hold
        #[arg(long, value_name = "EXPR")]
        target: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let Verb::Preview { target, output } = self.verb;
        let target = parse_target("--target", &target)?;
        let resolution = context.client().await?.resolve_target(&target.to_string()).await?;
        output.show(&resolution, text)?;
        Ok(ExitCode::Success)
    }
}

fn text(resolution: &Resolution) -> String {
    let mut text = nodes_table(&resolution.nodes);
    if !resolution.skipped.is_empty() {
        text += "\n";
        let row =
            |s: &aegis_wire::operator::Skipped| [s.node_id.to_string(), s.name.clone(), s.reason.to_string()];
        text += &table(["SKIPPED", "NAME", "REASON"], resolution.skipped.iter().map(row));
    }
    text
}

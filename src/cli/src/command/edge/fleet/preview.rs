//! `aegis edge fleet preview`

use aegis_core::ExitCode;
use aegis_wire::operator::{Resolution, Skipped};

use crate::{
    command::edge::{group::parse_target, ls::nodes_table},
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, table},
};

/// Show which hosts a target resolves to, and which it skips and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis edge fleet preview --target all
  aegis edge fleet preview --target 'tags=AllOf(prod,db) os=linux'
  aegis edge fleet preview --target group:web --output json")]
pub struct Args {
    /// The hosts: @NODE, group:NAME, all, or fragments that must all hold
    #[arg(long, value_name = "EXPR")]
    target: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let target = parse_target("--target", &self.target)?;
        let resolution = context.client().await?.resolve_target(&target.to_string()).await?;
        self.output.show(&resolution, text)?;
        Ok(ExitCode::Success)
    }
}

fn text(resolution: &Resolution) -> String {
    let mut text = nodes_table(&resolution.nodes);
    if !resolution.skipped.is_empty() {
        text += "\n";
        let row = |s: &Skipped| [s.node_id.to_string(), s.name.clone(), s.reason.to_string()];
        text += &table(["SKIPPED", "NAME", "REASON"], resolution.skipped.iter().map(row));
    }
    text
}

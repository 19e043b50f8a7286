//! `aegis edge fleet keys`

use aegis_core::{ExitCode, HumanDuration};
use clap::Subcommand;
use serde_json::json;

use super::dispatch::DispatchArgs;
use crate::{command::edge::group::parse_target, context::ContextArgs, failure::Failure, output::OutputArgs};

/// The tool that does it on each host.
const TOOL: &str = "edge.keys.rotate";

/// The keys of many hosts
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Give hosts new keys: each makes its own, and the old one vouches for it
    #[command(after_help = "Examples:
  aegis edge fleet keys rotate --target tags=potentially-affected --mode rolling=5 --on-error continue
  aegis edge fleet keys rotate --target @web-1 --keep-old 0s
Exit codes as of `aegis edge fleet run`.")]
    Rotate {
        /// The hosts: @NODE, group:NAME, all, or fragments that must all hold
        #[arg(long, value_name = "EXPR")]
        target: String,
        /// How long each host keeps its old key in its archive
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        keep_old: HumanDuration,
        #[command(flatten)]
        dispatch: DispatchArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let Verb::Rotate { target, keep_old, dispatch, output } = self.verb;
        let target = parse_target("--target", &target)?;
        let arguments = json!({ "keep_old": keep_old.to_string() }).to_string();
        let client = context.client().await?;
        let start = dispatch.start(target.to_string(), TOOL.to_owned(), arguments.into());
        dispatch.dispatch(&client, start, output).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_those_of_the_tool() {
        let tool = aegis_kinds::tool::find(TOOL).unwrap();
        let arguments = json!({ "keep_old": HumanDuration::from_secs(0).to_string() });
        assert_eq!(aegis_kinds::tool::check_arguments(&tool.parameters(), &arguments), Ok(()));
    }
}

//! `aegis edge drain`

use aegis_core::ExitCode;
use aegis_kinds::EdgeNodeEdit;

use super::tag::edit_node;
use crate::{
    context::ContextArgs,
    failure::Failure,
    output::OutputArgs,
    reconcile::{self, ImperativeArgs},
};

/// Let a host refuse new work while running work ends
///
/// The same as `drain: true` in an EdgeNode manifest. A host that isn't connected learns it when it connects.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host: its node id, a unique prefix of it, or its name
    node: String,
    /// Take new work again
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    imperative: ImperativeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let off = if self.off { " --off" } else { "" };
        let source = format!("edge drain {}{off}", self.node);
        let client = context.client().await?;
        let wish = edit_node(&client, &self.node, EdgeNodeEdit::Drain(!self.off)).await?;
        reconcile::imperative(&client, source, vec![wish], self.imperative, self.output).await
    }
}

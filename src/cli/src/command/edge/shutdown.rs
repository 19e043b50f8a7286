//! `aegis edge shutdown`

use aegis_core::{ExitCode, Kind};
use aegis_kinds::EdgeNode;
use aegis_wire::{Code, operator::ShutdownNode};
use serde_json::json;

use crate::{context::ContextArgs, failure::Failure, output::OutputArgs, reconcile::ImperativeArgs};

/// Let the daemon of a connected host finish running work and end
///
/// It exits with 0 and doesn't reconnect; whoever starts it on the host brings it back.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host: its node id, a unique prefix of it, or its name
    node: String,
    /// Why, for the host's log and the audit log
    #[arg(long, default_value = "asked by an operator")]
    reason: String,
    #[command(flatten)]
    imperative: ImperativeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let client = context.client().await?;
        if self.imperative.dry_run {
            let key = crate::realm::key(&client, EdgeNode::NAME, &self.node).await?;
            self.output.show(&json!({ "node_id": key.name, "dry_run": true }), |_| {
                format!("! EdgeNode/{} shut down ({})\nnothing was changed\n", self.node, key.name)
            })?;
            return Ok(ExitCode::Success);
        }
        let which = ShutdownNode { node: self.node.clone(), reason: self.reason };
        let node = client.shutdown_node(which).await.map_err(|error| match error.code {
            Code::Unavailable => {
                Failure::not_found(format!("EdgeUnavailable: {}", error.message)).hint_if(error.hint)
            }
            _ => error.into(),
        })?;
        self.output
            .show(&node, |node| format!("! EdgeNode/{} is shutting down ({})\n", node.name, node.node_id))?;
        Ok(ExitCode::Success)
    }
}

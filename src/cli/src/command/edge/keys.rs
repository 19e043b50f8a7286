//! `aegis edge keys`

use aegis_core::{ExitCode, Kind};
use aegis_kinds::EdgeNode;
use aegis_wire::operator::{ListNodes, NodeStatus};
use clap::Subcommand;
use serde_json::json;

use crate::{
    context::ContextArgs,
    failure::Failure,
    output::OutputArgs,
    reconcile::ImperativeArgs,
    terminal::{can_ask, confirm},
};

/// The keys of hosts
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Revoke a host: its token is refused from now on and its stream is closed
    ///
    /// There is no way back with this key: the host must enrol anew with a new one.
    RevokeRemote {
        /// The host: its node id, a unique prefix of it, or its name
        node: String,
        /// Revoke without asking
        #[arg(long, short = 'y')]
        yes: bool,
        #[command(flatten)]
        imperative: ImperativeArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let Verb::RevokeRemote { node, yes, imperative, output } = self.verb;
        let client = context.client().await?;
        if imperative.dry_run {
            let key = crate::realm::key(&client, EdgeNode::NAME, &node).await?;
            output.show(&json!({ "node_id": key.name, "status": "Revoked", "dry_run": true }), |_| {
                format!("- EdgeNode/{node} revoke ({})\nnothing was changed\n", key.name)
            })?;
            return Ok(ExitCode::Success);
        }
        // Said twice it is no error, but a revoked host is no object any more: only whoever is asked needs its id.
        let node = if !yes && can_ask() {
            let key = crate::realm::key(&client, EdgeNode::NAME, &node).await?;
            if !confirm(&format!("Revoke {node} ({}) for good?", key.name))? {
                return Err(Failure::new(ExitCode::Cancelled, "not revoked"));
            }
            key.name
        } else {
            node
        };
        let was_revoked = client
            .list_nodes(ListNodes::default())
            .await?
            .iter()
            .any(|n| n.node_id.as_str() == node && n.status == NodeStatus::Revoked);
        let node = client.revoke_node(&node).await?;
        let (sign, word) =
            if was_revoked { (' ', "unchanged: it was revoked before") } else { ('-', "revoked") };
        output.show(&node, |node| format!("{sign} EdgeNode/{} {word} ({})\n", node.name, node.node_id))?;
        Ok(ExitCode::Success)
    }
}

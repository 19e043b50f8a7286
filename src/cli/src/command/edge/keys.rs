//! `aegis edge keys`

use std::path::PathBuf;

use aegis_core::{ExitCode, HumanDuration, Kind};
use aegis_edge::{
    clock::{Clock, SystemClock},
    rotate::{Rotated, rotate},
    status::status,
};
use aegis_kinds::EdgeNode;
use aegis_wire::operator::{ListNodes, NodeStatus};
use clap::Subcommand;
use serde_json::json;

use super::this_host::ThisHost;
use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, fields},
    reconcile::ImperativeArgs,
    terminal::{Paint, Stream, can_ask, confirm},
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
    /// Give this host another key, and a token for it
    ///
    /// The node's id stays. A daemon that runs takes the new key over. Cut off at any moment, say it again: it goes on
    /// where it was; so does the daemon when it starts.
    Rotate {
        /// How long the old key is kept in the archive folder beside the config; 0s keeps none
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        keep_old: HumanDuration,
        /// Rotate without asking
        #[arg(long)]
        force: bool,
        /// The daemon's config [default: $AEGIS_CONFIG, else ~/.aegis/edge/aegis-config.yaml]
        #[arg(long, value_name = "PATH")]
        config: Option<PathBuf>,
        #[command(flatten)]
        output: OutputArgs,
    },
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
        match self.verb {
            Verb::Rotate { keep_old, force, config, output } => {
                rotate_this(keep_old, force, config, output).await
            }
            Verb::RevokeRemote { node, yes, imperative, output } => {
                revoke(context, node, yes, imperative, output).await
            }
        }
    }
}

async fn rotate_this(
    keep_old: HumanDuration,
    force: bool,
    config: Option<PathBuf>,
    output: OutputArgs,
) -> Result<ExitCode, Failure> {
    let this = ThisHost::of(config)?;
    if !force {
        ask(&this)?;
    }
    let rotated =
        this.with_deps(async |deps| rotate(deps, &this.state, &this.config, keep_old.0).await).await?;
    output.show(&rotated, |rotated| text(rotated, keep_old))?;
    Ok(ExitCode::Success)
}

/// Nobody gives a host another key by mistake.
fn ask(this: &ThisHost) -> Result<(), Failure> {
    if !can_ask() {
        return Err(Failure::new(
            ExitCode::BootstrapConflict,
            "nobody can be asked whether to replace the key",
        )
        .hint("rotate without asking: '--force'"));
    }
    let found = status(&this.state, &this.host, SystemClock.now_ms())
        .map_err(|error| Failure::generic(error.to_string()))?;
    // A host that isn't enrolled is told so by the rotation itself.
    let (Some(node), Some(key)) = (found.node_id, found.key_fingerprint) else { return Ok(()) };
    let question = match found.pending_key {
        Some(new) => format!("Finish replacing the key {key} of {node} by {new}?"),
        None => format!("Replace the key {key} of {node}?"),
    };
    if confirm(&question)? { Ok(()) } else { Err(Failure::new(ExitCode::Cancelled, "not rotated")) }
}

fn text(rotated: &Rotated, keep_old: HumanDuration) -> String {
    let head = if rotated.resumed { "the rotation that was cut off is finished\n" } else { "rotated\n" };
    let kept = rotated.archived.as_ref();
    let kept = kept.map_or_else(|| "nowhere".into(), |path| format!("{} for {keep_old}", path.display()));
    Paint::of(Stream::Stdout).green(head)
        + &fields([
            ("node_id", rotated.node_id.to_string()),
            ("old_key", rotated.old_fingerprint.clone()),
            ("new_key", rotated.new_fingerprint.clone()),
            ("old_key_kept", kept),
            ("token_expires", rotated.token_expires.to_string()),
        ])
}

async fn revoke(
    context: &ContextArgs,
    node: String,
    yes: bool,
    imperative: ImperativeArgs,
    output: OutputArgs,
) -> Result<ExitCode, Failure> {
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
    let (sign, word) = if was_revoked { (' ', "unchanged: it was revoked before") } else { ('-', "revoked") };
    output.show(&node, |node| format!("{sign} EdgeNode/{} {word} ({})\n", node.name, node.node_id))?;
    Ok(ExitCode::Success)
}

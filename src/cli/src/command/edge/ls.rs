//! `aegis edge ls`

use std::collections::BTreeMap;

use aegis_core::ExitCode;
use aegis_wire::operator::{ListNodes, Node};

use crate::{
    context::ContextArgs,
    failure::Failure,
    output::{OutputArgs, table},
};

/// List the hosts of the tenant
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis edge ls --tag prod --tag db        hosts with both tags
  aegis edge ls --label region=eu --connected --output json")]
pub struct Args {
    /// Only hosts with this tag; may be repeated, all must be there
    #[arg(long, value_name = "T")]
    tag: Vec<String>,
    /// Only hosts with this label; may be repeated, all must be there
    #[arg(long, value_name = "K=V", value_parser = label)]
    label: Vec<(String, String)>,
    /// Only connected hosts
    #[arg(long)]
    connected: bool,
    #[command(flatten)]
    output: OutputArgs,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as region=eu".to_owned()),
    }
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let labels: BTreeMap<String, String> = self.label.iter().cloned().collect();
        if labels.len() < self.label.len() && self.label.iter().any(|(k, v)| labels.get(k) != Some(v)) {
            return Err(Failure::invalid("one label is asked for with two values, which no host has"));
        }
        let which = ListNodes { tags: self.tag, labels, connected: self.connected };
        let nodes = context.client().await?.list_nodes(which).await?;
        self.output.show(nodes.as_slice(), nodes_table)?;
        Ok(ExitCode::Success)
    }
}

/// Hosts as a table.
pub fn nodes_table(nodes: &[Node]) -> String {
    let row = |node: &Node| {
        let name =
            node.display_name.as_ref().map_or_else(|| node.name.clone(), |d| format!("{} ({d})", node.name));
        let heartbeat = node.last_heartbeat_at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        [
            node.node_id.to_string(),
            name,
            node.status.to_string(),
            node.os.clone(),
            node.arch.clone(),
            node.tags.join(","),
            node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
            heartbeat.unwrap_or_default(),
        ]
    };
    table(
        ["NODE ID", "NAME", "STATUS", "OS", "ARCH", "TAGS", "LABELS", "LAST HEARTBEAT"],
        nodes.iter().map(row),
    )
}

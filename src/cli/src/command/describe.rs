//! `aegis describe`

use std::collections::HashMap;

use aegis_core::{ExitCode, Kind};
use aegis_engine::realm::Realm;
use aegis_kinds::{EdgeGroup, EdgeNode, Rollout};
use aegis_wire::operator::{ListNodes, ListTools, Node, Resolution, RolloutStatus, Tool};
use serde::Serialize;

use super::{
    get::one,
    kind_arg::object,
    stored::{StoredObject, host_names},
};
use crate::{
    context::ContextArgs,
    failure::Failure,
    fleet::visible,
    output::{OutputArgs, fields, yaml},
    realm::ControllerRealm,
    rollouts,
};

/// Show all there is to know of an object: what is declared, by whom, and what is seen
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis describe EdgeNode/web-1     the host, its tags and who owns each
  aegis describe EdgeGroup/web      the group and the hosts that it resolves to now
  aegis describe Rollout/reload     the rollout and where it is, host by host")]
pub struct Args {
    /// The object, such as EdgeGroup/web
    #[arg(value_name = "KIND/NAME")]
    object: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Description {
    #[serde(flatten)]
    object: StoredObject,
    /// The host as it is seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Node>,
    /// The tools that the host's owner declared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool>,
    /// Where a rollout is.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<RolloutStatus>,
    /// The hosts of a group now.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Resolution>,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let (kind, name) = object(&self.object)?;
        let realm = ControllerRealm(context.client().await?);
        let stored = one(&realm, kind.name, name).await?;
        let (mut node, mut members, mut hosts) = (None, None, HashMap::default());
        let (mut tools, mut status) = (Vec::new(), None);
        if kind.name == EdgeNode::NAME {
            hosts = host_names(realm.hosts().await?);
            let nodes = realm.0.list_nodes(ListNodes::default()).await?;
            node = nodes.into_iter().find(|node| node.node_id.as_str() == stored.key.name);
            tools = realm.0.list_tools(ListTools { node: Some(stored.key.name.clone()) }).await?;
            tools.retain(|tool| tool.custom);
        } else if kind.name == EdgeGroup::NAME {
            members = Some(realm.0.resolve_target(&format!("group:{name}")).await?);
        } else if kind.name == Rollout::NAME {
            status = rollouts::statuses(&realm.0, [name.to_owned()]).await?.into_iter().flatten().next();
        }
        let object = StoredObject::new(&stored, &hosts)?;
        let description = Description { object, node, tools, status, members };
        self.output.show(&description, text)?;
        Ok(ExitCode::Success)
    }
}

fn text(description: &Description) -> String {
    let object = &description.object;
    let mut lines = vec![
        ("kind", object.kind.clone()),
        ("name", object.name.clone()),
        ("host", object.host.clone().unwrap_or_default()),
        ("revision", object.revision.to_string()),
    ];
    if let Some(node) = &description.node {
        lines.push(("status", format!("{} since {}", node.status, node.since)));
        lines.push(("platform", format!("{} {}", node.os, node.arch)));
        lines.push(("local tools", node.local_tools.join(", ")));
        let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        lines.push(("labels", labels.join(", ")));
    }
    lines.retain(|(_, value)| !value.is_empty());
    let mut text = fields(lines.iter().map(|(name, value)| (*name, value.clone())));
    let indented = |text: String| text.lines().fold(String::new(), |all, line| all + "  " + line + "\n");
    text += "spec:\n";
    text += &indented(yaml(&object.spec).unwrap_or_default());
    text += "owners:\n";
    for (element, owners) in &object.owners {
        let owners: Vec<&str> = owners.iter().map(aegis_core::Owner::as_str).collect();
        text += &format!("  {element}: {}\n", owners.join(", "));
    }
    if !description.tools.is_empty() {
        text += "tools of its owner:\n";
        for tool in &description.tools {
            text += &format!("  {} ({}): {}\n", tool.name, tool.class, visible(&tool.summary));
        }
    }
    if let Some(status) = &description.status {
        text += "status:\n";
        text += &indented(fields(rollouts::lines(status)));
        if !status.hosts.is_empty() {
            text += "hosts:\n";
            text += &indented(rollouts::hosts_table(&status.hosts));
        }
    }
    if let Some(members) = &description.members {
        text += "members:\n";
        for node in &members.nodes {
            text += &format!("  {} {} {}\n", node.node_id, node.name, node.status);
        }
        for node in &members.skipped {
            text += &format!("  {} {} {}\n", node.node_id, node.name, node.reason);
        }
    }
    text
}

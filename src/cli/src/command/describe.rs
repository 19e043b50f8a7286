//! `aegis describe`

use std::collections::HashMap;

use aegis_core::{ExitCode, Kind};
use aegis_engine::realm::Realm;
use aegis_kinds::{App, EdgeGroup, EdgeNode, Rollout};
use aegis_wire::{
    operator::{Delivery, ListNodes, ListTools, Node, Resolution, RolloutStatus, Tool},
    runtime::realm::{GetAppStatus, RealmAppStatus},
};
use serde::Serialize;

use super::{
    get::{find, missing},
    kind_arg::object,
    stored::{StoredObject, host_names},
};
use crate::{
    context::ContextArgs,
    deliveries,
    failure::Failure,
    fleet::visible,
    output::{OutputArgs, fields, yaml},
    realms::{AnyRealm, RealmArgs, may_be_local},
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
    realm: RealmArgs,
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
    /// Where an app on this machine stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_status: Option<RealmAppStatus>,
    /// How the hosts of its target stand with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Vec<Delivery>>,
    /// The hosts of a group now.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Resolution>,
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        let (kind, name) = object(&self.object)?;
        let mut found = None;
        for realm in self.realm.of_kinds(context, &[kind.name]).await? {
            if found.is_none() {
                found = find(&realm, kind.name, name).await?.map(|object| (realm, object));
            }
        }
        let (realm, stored) = found.ok_or_else(|| missing(kind.name, name))?;
        let (mut node, mut members, mut hosts) = (None, None, HashMap::default());
        let (mut tools, mut status, mut app_status, mut deliveries) = (Vec::new(), None, None, None);
        match &realm {
            AnyRealm::Local(realm) if kind.name == App::NAME => {
                app_status = realm.client.realm(&GetAppStatus { app: name.to_owned() }).await?;
            }
            AnyRealm::Controller(realm) if kind.name == EdgeNode::NAME => {
                hosts = host_names(realm.hosts().await?);
                let nodes = realm.client().list_nodes(ListNodes::default()).await?;
                node = nodes.into_iter().find(|node| node.node_id.as_str() == stored.key.name);
                tools = realm.client().list_tools(ListTools { node: Some(stored.key.name.clone()) }).await?;
                tools.retain(|tool| tool.custom);
            }
            AnyRealm::Controller(realm) if kind.name == EdgeGroup::NAME => {
                members = Some(realm.client().resolve_target(&format!("group:{name}")).await?);
            }
            AnyRealm::Controller(realm) if kind.name == Rollout::NAME => {
                let statuses = rollouts::statuses(realm.client(), [name.to_owned()]).await?;
                status = statuses.into_iter().flatten().next();
            }
            AnyRealm::Controller(realm) if may_be_local(kind.name) => {
                deliveries = Some(deliveries::of(realm.client(), kind.name, Some(name)).await?);
            }
            AnyRealm::Local(_) | AnyRealm::Controller(_) => {}
        }
        let object = StoredObject::new(&stored, &hosts)?;
        let description = Description { object, node, tools, status, app_status, deliveries, members };
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
    if let Some(status) = &description.app_status {
        text += "status:\n";
        let lines = [("state", status.condition.clone()), ("reason", status.reason.clone())];
        text += &indented(fields(lines.into_iter().filter(|(_, value)| !value.is_empty())));
    }
    if let Some(deliveries) = &description.deliveries {
        text += &format!("hosts: {}\n", deliveries::summary(deliveries.iter()));
        if !deliveries.is_empty() {
            text += &indented(deliveries::hosts_table(deliveries));
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

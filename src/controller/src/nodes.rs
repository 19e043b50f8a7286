//! Who is enrolled. A node's record is written when it enrols, when its capabilities or its key change, and when it is
//! revoked; never for a heartbeat.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aegis_core::{NodeId, ObjectKey, Revision, TenantId};
use aegis_kinds::{EdgeNodeSpec, tool::check_descriptor};
use aegis_store::{Batch, CommitError, Order, Store, StoreError};
use aegis_wire::{ApiError, PublicKey, edge::Capabilities};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::keyspace;

/// Whether a node may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    Enrolled,
    /// For good: its token and key are refused.
    Revoked,
}

/// A node's identity, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub id: NodeId,
    /// Never changes.
    pub tenant: TenantId,
    pub public_key: PublicKey,
    /// In listings: from the enrolment token's label, or the host's own name.
    pub name: String,
    /// Whether the name is reserved for this node, because it came from a label.
    pub labelled: bool,
    pub capabilities: Capabilities,
    pub standing: Standing,
    /// The id of the node token that enrolment, or what came after it, gave.
    pub jti: String,
    pub enrolled_at_ms: i64,
    /// 0: never.
    pub revoked_at_ms: i64,
    /// The last change of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// A change of a node's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rotation {
    /// What it was before.
    pub previous_key: PublicKey,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Node {
    pub fn is_revoked(&self) -> bool {
        self.standing == Standing::Revoked
    }
    /// The key of what is declared about it.
    pub fn object(&self) -> ObjectKey {
        ObjectKey::new("EdgeNode", self.id.as_str())
    }
}

/// The most bytes that a host may say of itself, as JSON, without its owner's tools.
const MAX_CAPABILITIES: usize = 32 * 1024;
/// The most tools that its owner may declare, and the most bytes that they may have together, as JSON.
const MAX_TOOLS: usize = 64;
const MAX_TOOLS_SIZE: usize = 256 * 1024;

/// What a host says of itself is stored and shown on terminals: it must be bounded, and hold no control characters.
///
/// Cheap; [`check_tools`] is not, and comes once it is known who says it.
pub(crate) fn check_capabilities(have: &Capabilities) -> Result<(), String> {
    let (tools, size) = (json(&have.tools).len(), json(have).len());
    if size.saturating_sub(tools) > MAX_CAPABILITIES {
        return Err(format!("the capabilities have {size} bytes, allowed are {MAX_CAPABILITIES}"));
    }
    if have.tools.len() > MAX_TOOLS || tools > MAX_TOOLS_SIZE {
        let count = have.tools.len();
        return Err(format!(
            "the owner's tools are {count} with {tools} bytes, allowed are {MAX_TOOLS} with {MAX_TOOLS_SIZE}"
        ));
    }
    let mut names = BTreeSet::new();
    for tool in &have.tools {
        if !names.insert(&tool.name) {
            return Err(format!("the tool '{}' is declared twice", tool.name));
        }
    }
    let labels = have.labels.iter().flat_map(|(key, value)| [key, value]);
    let mut texts = [&have.hostname, &have.os, &have.arch, &have.version]
        .into_iter()
        .chain(&have.local_tools)
        .chain(labels);
    if texts.any(|text| text.chars().any(char::is_control)) {
        return Err("the capabilities hold control characters".to_owned());
    }
    Ok(())
}

/// Whether the tools that a host's owner declared are valid. Their schemas are compiled, which may take long: beside all
/// that the controller does, those of one host at a time.
pub(crate) async fn check_tools(have: &Capabilities, turn: &Arc<Semaphore>) -> Result<(), String> {
    if have.tools.is_empty() {
        return Ok(());
    }
    let failed = |_| "nobody checks tools any more; try again in a moment".to_owned();
    let permit = turn.clone().acquire_owned().await.map_err(|error| failed(error.to_string()))?;
    let tools = have.tools.clone();
    let check = move || {
        // Held until the work is done, whether or not somebody waits for it.
        let _permit = permit;
        tools.iter().try_for_each(|tool| {
            let checked = check_descriptor(tool);
            checked.map(|_| ()).map_err(|refusal| format!("the tool '{}': {refusal}", tool.name))
        })
    };
    spawn_blocking(check).await.map_err(|error| failed(error.to_string()))?
}

/// A JSON value of the store. What can't be read is damaged, and said to be.
pub(crate) fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(value)
        .map_err(|error| StoreError::Engine(format!("'{key}' can't be read: {error}")))
}

/// As JSON, for the store.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    // Records are strings, numbers, lists and string-keyed maps: they always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}

/// The node `id`, of whatever tenant.
pub(crate) fn get(store: &dyn Store, id: &NodeId) -> Result<Option<(Node, Revision)>, StoreError> {
    let Some(entry) = store.get(&keyspace::node(id))? else { return Ok(None) };
    Ok(Some((read(&entry.key, &entry.value)?, entry.revision)))
}

/// The node that has or had this key, or that would be made for it.
pub(crate) fn of_key(store: &dyn Store, key: &PublicKey) -> Result<NodeId, StoreError> {
    let row = keyspace::rotated_key(key);
    let Some(entry) = store.get(&row)? else { return Ok(NodeId::of_public_key(key.as_bytes())) };
    NodeId::new(&*String::from_utf8_lossy(&entry.value))
        .map_err(|error| StoreError::Engine(format!("'{row}' can't be read: {error}")))
}

/// Every node of the tenant, in the order of the ids.
pub(crate) fn of_tenant(store: &dyn Store, tenant: &TenantId) -> Result<Vec<Node>, StoreError> {
    with_prefix(store, tenant, keyspace::NODES)
}

fn with_prefix(store: &dyn Store, tenant: &TenantId, prefix: &str) -> Result<Vec<Node>, StoreError> {
    let mut nodes = Vec::new();
    let mut damaged = None;
    store.scan(prefix, Order::Rising, &mut |key, value, _| {
        match read::<Node>(key, value) {
            Ok(node) if node.tenant == *tenant => nodes.push(node),
            Ok(_) => {}
            Err(error) => damaged = Some(error),
        }
        damaged.is_none()
    })?;
    damaged.map_or(Ok(nodes), Err)
}

/// The node of the tenant that `reference` names: an id, a unique prefix of one, or a unique name.
pub(crate) fn find(store: &dyn Store, tenant: &TenantId, reference: &str) -> Result<Node, ApiError> {
    let by_id = if NodeId::is_prefix(reference) {
        with_prefix(store, tenant, &format!("{}{reference}", keyspace::NODES)).map_err(crate::failed)?
    } else {
        Vec::new()
    };
    let mut found = if by_id.is_empty() { by_name(store, tenant, reference)? } else { by_id };
    // A host that was set up anew has a new id and its old name: the revoked one steps back.
    if found.len() > 1 && found.iter().any(|node| !node.is_revoked()) {
        found.retain(|node| !node.is_revoked());
    }
    match (found.pop(), found.as_slice()) {
        (None, _) => Err(unknown(reference)),
        (Some(node), []) => Ok(node),
        (Some(last), others) => {
            let candidates: Vec<String> =
                others.iter().chain([&last]).map(|node| format!("{} ({})", node.id, node.name)).collect();
            Err(ApiError::invalid(format!("'{reference}' is ambiguous: {}", candidates.join(", ")))
                .hint("give the node's whole id"))
        }
    }
}

/// The answer for a node that doesn't exist and for one of another tenant.
pub(crate) fn unknown(reference: &str) -> ApiError {
    ApiError::not_found(format!("node '{reference}' not found")).hint("aegis edge ls")
}

/// All nodes of this name, revoked ones too.
pub(crate) fn by_name(store: &dyn Store, tenant: &TenantId, name: &str) -> Result<Vec<Node>, ApiError> {
    if name.is_empty() || name.contains('/') {
        return Ok(Vec::new());
    }
    let prefix = keyspace::names(tenant, name);
    let mut nodes = Vec::new();
    for entry in store.list(&prefix).map_err(crate::failed)? {
        let id = NodeId::new(&entry.key[prefix.len()..]).map_err(crate::failed)?;
        if let Some((node, _)) = get(store, &id).map_err(crate::failed)? {
            nodes.push(node);
        }
    }
    Ok(nodes)
}

/// What is declared about a node: its tags, its name for people, whether it drains. Nothing is, at first.
pub(crate) fn declared(store: &dyn Store, node: &Node) -> Result<EdgeNodeSpec, StoreError> {
    let key = keyspace::object(&node.tenant, &node.object());
    match store.get(&key)? {
        Some(entry) => Ok(read::<Body>(&key, &entry.value)?.spec),
        None => Ok(EdgeNodeSpec::default()),
    }
}

/// What is declared about every node of the tenant.
pub(crate) fn all_declared(
    store: &dyn Store,
    tenant: &TenantId,
) -> Result<BTreeMap<String, EdgeNodeSpec>, StoreError> {
    let prefix = keyspace::objects_of_kind(tenant, "EdgeNode");
    let entries = store.list(&prefix)?;
    entries
        .iter()
        .map(|entry| Ok((entry.key[prefix.len()..].to_owned(), read::<Body>(&entry.key, &entry.value)?.spec)))
        .collect()
}

/// The part of a stored object that concerns the controller; labels and owners are the plans' business.
#[derive(Deserialize)]
struct Body {
    spec: EdgeNodeSpec,
}

/// Changes a node's record by `change` until no other writer came in between; `also` adds to the same commit.
/// `None`: `change` found nothing to change, or there is no such node.
pub(crate) async fn update(
    store: &dyn Store,
    id: &NodeId,
    change: impl Fn(&mut Node) -> bool,
    also: impl Fn(&Node, &mut Batch),
) -> Result<Option<Node>, StoreError> {
    loop {
        let Some((mut node, revision)) = get(store, id)? else { return Ok(None) };
        if !change(&mut node) {
            return Ok(None);
        }
        let key = keyspace::node(id);
        let mut batch = Batch::new();
        batch.check(&key, revision).put(&key, json(&node));
        also(&node, &mut batch);
        match store.commit(batch).await {
            Ok(_) => return Ok(Some(node)),
            Err(CommitError::Stale { .. }) => {}
            Err(CommitError::Store(error)) => return Err(error),
        }
    }
}

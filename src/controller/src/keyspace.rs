//! Where things are in the store. The tenant stands in the key, so that what belongs to another tenant is simply
//! not there.

use aegis_core::{NodeId, ObjectKey, Owner, TenantId, fleet::RunId};
use aegis_wire::PublicKey;

/// The log of everything that happened.
pub(crate) const AUDIT: &str = "audit";
/// Every node of every tenant.
pub(crate) const NODES: &str = "node/";
/// When every node was last seen.
pub(crate) const LIVES: &str = "live/";
/// Every tenant.
pub(crate) const TENANTS: &str = "tenant/";
/// Every declared object of every tenant.
pub(crate) const OBJECTS: &str = "obj/";

pub(crate) fn tenant(tenant: &TenantId) -> String {
    format!("{TENANTS}{tenant}")
}
/// A node's identity. Not under its tenant: an id that exists can't be taken in another one.
pub(crate) fn node(id: &NodeId) -> String {
    format!("{NODES}{id}")
}
pub(crate) fn live(id: &NodeId) -> String {
    format!("{LIVES}{id}")
}
/// Everything called `name` in the tenant.
pub(crate) fn names(tenant: &TenantId, name: &str) -> String {
    format!("name/{tenant}/{name}/")
}
pub(crate) fn name(tenant: &TenantId, name: &str, id: &NodeId) -> String {
    format!("name/{tenant}/{name}/{id}")
}
/// Keeps two enrolments at once from getting the same name out of their token's label.
pub(crate) fn label(tenant: &TenantId, label: &str) -> String {
    format!("label/{tenant}/{label}")
}
/// Whose key it became by a rotation. It stays for good: a key is never another node's. The one that a node enrolled
/// with has no such row, for it is in the node's id.
pub(crate) fn rotated_key(key: &PublicKey) -> String {
    format!("key/{}", key.thumbprint())
}
pub(crate) fn jti(jti: &str) -> String {
    format!("jti/{jti}")
}
pub(crate) fn objects(tenant: &TenantId) -> String {
    format!("{OBJECTS}{tenant}/")
}
pub(crate) fn objects_of_kind(tenant: &TenantId, kind: &str) -> String {
    format!("{OBJECTS}{tenant}/{kind}/")
}
pub(crate) fn object(tenant: &TenantId, key: &ObjectKey) -> String {
    format!("{OBJECTS}{tenant}/{}/{}", key.kind, key.name)
}
pub(crate) fn inventory(tenant: &TenantId, owner: &Owner) -> String {
    format!("inv/{tenant}/{owner}/")
}
pub(crate) fn inventory_row(tenant: &TenantId, owner: &Owner, key: &ObjectKey) -> String {
    format!("inv/{tenant}/{owner}/{}/{}", key.kind, key.name)
}
/// The number of the tenant's last plan.
pub(crate) fn last_plan(tenant: &TenantId) -> String {
    format!("plans/{tenant}")
}
pub(crate) fn history(tenant: &TenantId) -> String {
    format!("hist/{tenant}/")
}
pub(crate) fn plan(tenant: &TenantId, plan: u64) -> String {
    format!("hist/{tenant}/{plan:020}")
}
pub(crate) fn plan_changes(tenant: &TenantId, plan: u64) -> String {
    format!("histchg/{tenant}/{plan:020}/")
}
pub(crate) fn plan_change(tenant: &TenantId, plan: u64, key: &ObjectKey) -> String {
    format!("histchg/{tenant}/{plan:020}/{}/{}", key.kind, key.name)
}

/// Its revision is that of the tenant's security contexts.
pub(crate) fn contexts(tenant: &TenantId) -> String {
    format!("contexts/{tenant}")
}

/// The sealed values of every tenant's secrets.
pub(crate) const SECRETS: &str = "secret/";
pub(crate) fn secret(tenant: &TenantId, name: &str) -> String {
    format!("{SECRETS}{tenant}/{name}")
}
/// What the digests of the tenant's secrets are made with.
pub(crate) fn digest_key(tenant: &TenantId) -> String {
    format!("digest-key/{tenant}")
}
/// What the host said last of what it shall have.
pub(crate) fn report(tenant: &TenantId, node: &NodeId) -> String {
    format!("report/{tenant}/{node}")
}

/// What is known of every run of the tenant. Ids sort by age.
pub(crate) fn runs(tenant: &TenantId) -> String {
    format!("run/{tenant}/")
}
pub(crate) fn run(tenant: &TenantId, id: &RunId) -> String {
    format!("run/{tenant}/{id}")
}
/// Runs that haven't ended.
pub(crate) const OPEN_RUNS: &str = "run-open/";
pub(crate) fn open_run(tenant: &TenantId, id: &RunId) -> String {
    format!("{OPEN_RUNS}{tenant}/{id}")
}
/// What happened in the run.
pub(crate) fn run_events(tenant: &TenantId, id: &RunId) -> String {
    format!("run-event/{tenant}/{id}/")
}
/// The events that begin with this one.
pub(crate) fn run_event(tenant: &TenantId, id: &RunId, first: u64) -> String {
    format!("run-event/{tenant}/{id}/{first:020}")
}
/// Which runs were begun under an idempotency key.
pub(crate) const RUN_KEYS: &str = "run-key/";
pub(crate) fn run_key(tenant: &TenantId, digest: &str) -> String {
    format!("{RUN_KEYS}{tenant}/{digest}")
}

/// Where every rollout of every tenant is.
pub(crate) const ROLLOUTS: &str = "rollout/";
pub(crate) fn rollout(tenant: &TenantId, name: &str) -> String {
    format!("{ROLLOUTS}{tenant}/{name}")
}
/// Where it is on each host.
pub(crate) fn rollout_hosts(tenant: &TenantId, name: &str) -> String {
    format!("rollout-hosts/{tenant}/{name}")
}
/// What operators did to it.
pub(crate) fn rollout_steering(tenant: &TenantId, name: &str) -> String {
    format!("rollout-steering/{tenant}/{name}")
}

/// The object of what follows a prefix: `EdgeGroup/web`.
pub(crate) fn object_of(rest: &str) -> Option<ObjectKey> {
    let (kind, name) = rest.split_once('/')?;
    Some(ObjectKey::new(kind.to_owned(), name))
}

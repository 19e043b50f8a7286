//! Back to what an owner had declared after an earlier plan: as a plan, through the same engine.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aegis_core::{Kind, ObjectKey, Owner, Revision};
use aegis_kinds::{EdgeNode, PlanError, Spec};
use aegis_wire::error::ApiError;

use crate::{
    intent::{Intent, Wish},
    realm::{PastWrite, Realm},
};

/// Why there is nothing to go back to.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// There is no such plan in the history.
    #[error("there is no revision {0} in the history")]
    Unknown(Revision),
    /// The history couldn't be read.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// An object of the history is of a kind that this version doesn't know.
    #[error("{0}: {1}")]
    Unreadable(ObjectKey, PlanError),
}

/// What `revision`'s owner has to wish so that its elements are again as that plan left them.
///
/// Only objects that were written since are wished for, and of those only what the owner owned: what others declared
/// since stays theirs, and where they took a field over the plan will say so. Hosts that were revoked since are left
/// out, and values of secrets stay as they are.
pub async fn wishes<R: Realm>(realm: &R, revision: Revision) -> Result<(Owner, Vec<Wish>), RollbackError> {
    let (owner, writes) = realm.past(revision).await?.ok_or(RollbackError::Unknown(revision))?;
    let written_since: HashSet<ObjectKey> =
        writes.iter().filter(|write| write.by == owner).map(|write| write.key.clone()).collect();
    let inventory = realm.inventory(&owner).await?;
    // The first write after the revision, by whomever, knows how the object was at the revision: a later one may
    // have found what somebody changed by hand in between.
    let mut first: BTreeMap<ObjectKey, PastWrite> = BTreeMap::new();
    for write in writes {
        first.entry(write.key.clone()).or_insert(write);
    }
    let hosts: BTreeSet<String> = if first.keys().any(|key| key.kind == EdgeNode::NAME) {
        realm.hosts().await?.into_iter().map(|host| host.id.to_string()).collect()
    } else {
        BTreeSet::new()
    };
    let mut wishes = Vec::new();
    for (key, write) in first {
        if key.kind == EdgeNode::NAME && !hosts.contains(&key.name) {
            continue;
        }
        let then = aegis_kinds::project(&key.kind, &write.before, &owner)
            .map_err(|error| RollbackError::Unreadable(key.clone(), error))?;
        let intent = match then {
            Some(mut declared) => {
                keep_value(realm, &key, &mut declared.0).await?;
                Intent::Declare(Box::new(declared))
            }
            None if written_since.contains(&key) && inventory.contains(&key) => Intent::Release,
            // It was others' all the time, or is given up already.
            None => continue,
        };
        wishes.push(Wish { key, intent, document: None });
    }
    Ok((owner, wishes))
}

/// The history has no values: a secret that is there keeps the one that it has.
async fn keep_value<R: Realm>(realm: &R, key: &ObjectKey, spec: &mut Spec) -> Result<(), RollbackError> {
    if let Spec::Secret(secret) = spec
        && let Some(object) = realm.object(key).await?
        && let Some((Spec::Secret(now), ..)) = aegis_kinds::export(&key.kind, &object.body)
            .map_err(|error| RollbackError::Unreadable(key.clone(), error))?
    {
        secret.digest = now.digest;
    }
    Ok(())
}

//! Reading what a plan is about: the first third of fetch, plan, apply.

use std::collections::{BTreeSet, HashMap, HashSet};

use aegis_core::{Kind, ObjectKey, Owner, Revision};
use aegis_kinds::EdgeNode;
use aegis_wire::error::ApiError;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    intent::{Intent, Wish},
    plan::{Names, Snapshot},
    realm::{Object, Realm},
};

/// Up to so many objects are read one by one, more by listing their kinds.
const READ_SINGLY: usize = 32;
/// Reads under way at once.
const READS_AT_ONCE: usize = 8;

/// The realm's revision now. Asked before objects are read, so that it is never newer than they are.
pub async fn revision<R: Realm>(realm: &R) -> Result<Revision, ApiError> {
    Ok(realm.changes(Revision(u64::MAX)).await?.revision)
}

/// What a plan for `owner` over `wishes` has to know.
///
/// `inventory` is what the owner declared before; `None`: it is read. `settled` objects are known to be as they
/// should be, and aren't read.
#[allow(clippy::implicit_hasher, reason = "it becomes a part of the snapshot as it is")]
pub async fn snapshot<R: Realm>(
    realm: &R,
    wishes: &[Wish],
    owner: &Owner,
    revision: Revision,
    inventory: Option<BTreeSet<ObjectKey>>,
    settled: HashSet<ObjectKey>,
) -> Result<Snapshot, ApiError> {
    let inventory = match inventory {
        Some(inventory) => inventory,
        None => realm.inventory(owner).await?,
    };
    let names_hosts = wishes.iter().any(|wish| {
        wish.key.kind == EdgeNode::NAME
            || matches!(&wish.intent, Intent::Declare(d) if d.0.references().iter().any(|r| r.kind == EdgeNode::NAME))
    }) || inventory.iter().any(|key| key.kind == EdgeNode::NAME && !settled.contains(key));
    let hosts = if names_hosts { realm.hosts().await? } else { Vec::new() };

    let names = Names::new(&hosts);
    let mut keys: HashSet<ObjectKey> = inventory.iter().cloned().collect();
    for wish in wishes {
        let mut key = wish.key.clone();
        if key.kind == EdgeNode::NAME
            && let Ok(id) = names.resolve(&key.name)
        {
            key.name = id.to_string();
        }
        keys.insert(key);
        if let Intent::Declare(declared) = &wish.intent {
            let references = declared.0.references();
            let named = references.into_iter().filter(|r| r.kind != EdgeNode::NAME);
            keys.extend(named.map(|r| ObjectKey::new(r.kind, r.name)));
        }
    }
    keys.retain(|key| !settled.contains(key));
    let objects: Vec<Object> = if keys.len() <= READ_SINGLY {
        let found: Vec<Option<Object>> = stream::iter(keys)
            .map(|key| async move { realm.object(&key).await })
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await?;
        found.into_iter().flatten().collect()
    } else {
        let kinds: BTreeSet<&str> = keys.iter().map(|key| &*key.kind).collect();
        realm.objects(&kinds.into_iter().collect::<Vec<_>>()).await?
    };
    let objects: HashMap<ObjectKey, Object> =
        objects.into_iter().map(|object| (object.key.clone(), object)).collect();
    Ok(Snapshot { revision, objects, hosts, inventory, known: settled })
}

//! Reading what a plan is about: the first third of fetch, plan, apply.

use std::collections::{BTreeSet, HashMap, HashSet};

use aegis_core::{Kind, NodeId, ObjectKey, Owner, Revision};
use aegis_kinds::EdgeNode;
use aegis_wire::error::{ApiError, Code};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    intent::{Intent, Wish},
    plan::{Names, Snapshot},
    realm::{Host, Object, Realm},
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
    let (hosts, read) = hosts(realm, wishes, &inventory, &settled).await?;

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
    keys.retain(|key| !settled.contains(key) && !read.iter().any(|object| object.key == *key));
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
        objects.into_iter().chain(read).map(|object| (object.key.clone(), object)).collect();
    Ok(Snapshot { revision, objects, hosts, inventory, known: settled })
}

/// The hosts that a plan speaks of: all there are, or only these, where a few are named. Objects that were read on the
/// way come with them.
async fn hosts<R: Realm>(
    realm: &R,
    wishes: &[Wish],
    inventory: &BTreeSet<ObjectKey>,
    settled: &HashSet<ObjectKey>,
) -> Result<(Vec<Host>, Vec<Object>), ApiError> {
    let mut named: BTreeSet<String> = BTreeSet::new();
    for wish in wishes {
        if wish.key.kind == EdgeNode::NAME {
            named.insert(wish.key.name.clone());
        }
        if let Intent::Declare(declared) = &wish.intent {
            let references = declared.0.references().into_iter();
            named.extend(references.filter(|r| r.kind == EdgeNode::NAME).map(|r| r.name));
        }
    }
    // Collected, as an iterator that lives over an await makes a future that isn't known to be Send.
    let owned: Vec<&ObjectKey> =
        inventory.iter().filter(|key| key.kind == EdgeNode::NAME && !settled.contains(*key)).collect();
    if named.is_empty() && owned.is_empty() {
        return Ok(Default::default());
    }
    // An id tells no name, and of what isn't found the nearest name is to be told: both take the whole list.
    if named.len() <= READ_SINGLY
        && !named.iter().any(|name| NodeId::is_prefix(name))
        && let Some(read) = by_name(realm, &named).await?
        && owned.iter().all(|key| read.iter().any(|(_, object)| object.key == **key))
    {
        let host = |(name, object): &(String, Object)| {
            Some(Host { id: NodeId::new(object.key.name.as_str()).ok()?, name: name.clone() })
        };
        let hosts = read.iter().filter_map(host).collect();
        return Ok((hosts, read.into_iter().map(|(_, object)| object).collect()));
    }
    Ok((realm.hosts().await?, Vec::new()))
}

/// The hosts of these names, if each names just one.
async fn by_name<R: Realm>(
    realm: &R,
    names: &BTreeSet<String>,
) -> Result<Option<Vec<(String, Object)>>, ApiError> {
    let read = |name: String| async move {
        match realm.object(&ObjectKey::new(EdgeNode::NAME, name.as_str())).await {
            Ok(object) => Ok(object.map(|object| (name, object))),
            // Ambiguous.
            Err(error) if error.code == Code::Invalid => Ok(None),
            Err(error) => Err(error),
        }
    };
    let found: Vec<Option<(String, Object)>> =
        stream::iter(names.iter().cloned()).map(read).buffer_unordered(READS_AT_ONCE).try_collect().await?;
    Ok(found.into_iter().collect())
}

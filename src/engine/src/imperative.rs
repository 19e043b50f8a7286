//! Wishes that come from a command and not from manifests: planned as those are, in the name of `cli` or of the owner
//! that a rollback is for.

use std::collections::{BTreeSet, HashSet};

use aegis_core::{ObjectKey, Owner, ownership::Policy};
use aegis_wire::error::ApiError;

use crate::{
    dangling, fetch,
    intent::Wish,
    plan::{Plan, Problem},
    realm::{Provenance, Realm},
};

/// Why wishes can't be planned.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// They are at fault. Nothing was changed.
    #[error("{}", .0.first().map_or("nothing is wished for", |problem| problem.message.as_str()))]
    Invalid(Vec<Problem>),
    /// The realm couldn't be read.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Plans `wishes` over what is in `realm`. What else the owner declared stays as it is.
pub async fn plan<R: Realm>(
    realm: &R,
    by: Provenance,
    wishes: Vec<Wish>,
    force_conflicts: bool,
) -> Result<Plan, WishError> {
    let owner: Owner = by.owner.clone();
    let revision = fetch::revision(realm).await?;
    let mut inventory = BTreeSet::new();
    if !owner.is_cli() {
        // Only of what is wished for: nothing else is to be found missing.
        let wished: HashSet<&ObjectKey> = wishes.iter().map(|wish| &wish.key).collect();
        inventory = realm.inventory(&owner).await?;
        inventory.retain(|key| wished.contains(key));
    }
    let snapshot = fetch::snapshot(realm, &wishes, &owner, revision, Some(inventory), HashSet::new()).await?;
    let policy = Policy { owner, prune: true, force_conflicts };
    let plan = Plan::new(by, policy, wishes, Vec::new(), &snapshot).map_err(WishError::Invalid)?;
    let dangling = dangling::check(realm, &plan).await?;
    if dangling.is_empty() { Ok(plan) } else { Err(WishError::Invalid(dangling)) }
}

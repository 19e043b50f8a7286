//! What others still point to doesn't go: whoever points to it would be broken.

use std::collections::HashSet;

use aegis_core::ObjectKey;
use aegis_kinds::{KINDS, Next};
use aegis_wire::error::ApiError;

use crate::{
    plan::{Item, Plan, Problem},
    realm::Realm,
};

/// The objects that `plan` removes and that objects outside of it point to, be they another owner's.
///
/// What the plan itself declares was checked when it was planned. Nothing is read when nothing is removed.
pub async fn check<R: Realm>(realm: &R, plan: &Plan) -> Result<Vec<Problem>, ApiError> {
    let goes = |item: &&Item| item.plan.next == Next::Absent;
    let going: HashSet<&ObjectKey> = plan.items().filter(goes).map(|item| &item.key).collect();
    if going.is_empty() {
        return Ok(Vec::new());
    }
    let planned: HashSet<&ObjectKey> = plan.items().map(|item| &item.key).collect();
    let kinds: Vec<&str> = KINDS.iter().map(|info| info.name).collect();
    let mut problems = Vec::new();
    for object in realm.objects(&kinds).await?.iter().filter(|object| !planned.contains(&object.key)) {
        // What can't be read here is said where it is planned.
        let Ok(Some((spec, ..))) = aegis_kinds::export(&object.key.kind, &object.body) else { continue };
        let named = spec.references().into_iter().map(|r| ObjectKey::new(r.kind, r.name));
        problems.extend(named.filter(|key| going.contains(key)).map(|key| Problem {
            document: None,
            field: None,
            message: format!("it can't go, as {} names it", object.key),
            help: Some(format!("change or remove {} first", object.key)),
            other: None,
            key,
        }));
    }
    Ok(problems)
}

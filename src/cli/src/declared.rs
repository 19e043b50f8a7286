//! Manifests as plans: each document in the realm that it belongs to, all planned before anything is written.

use std::collections::HashMap;

use aegis_core::{ObjectKey, Secret, ownership::Policy};
use aegis_engine::{
    apply,
    declare::{self, Part},
    divide::{self, Divided},
    event::Report,
    manifest::{Document, Slice, Sources},
    plan::Plan,
    realm::Provenance,
};
use aegis_kinds::{Spec, ValueDigest};
use aegis_wire::runtime::realm::GetDigestKey;

use crate::{
    context::ContextArgs,
    failure::Failure,
    local,
    manifests::{ManifestArgs, OwnerArgs},
    plan_cache::PlanCache,
    realm::ControllerRealm,
    realms::{AnyRealm, is_running},
    runtime_realm::RuntimeRealm,
    secret_values::{self, SecretArgs, Values},
};

/// Plans of manifests, each with where it applies: the controller's first.
pub struct Declared {
    /// There is at least one.
    pub parts: Vec<(AnyRealm, Plan)>,
}

impl Declared {
    /// The report of all plans, of which none is applied.
    pub fn preview(&self) -> Report {
        let mut reports = self.parts.iter().map(|(_, plan)| apply::preview(plan));
        let first = reports.next();
        reports.fold(first.unwrap_or_else(Report::nothing), Report::joined)
    }
    /// All plans.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.parts.iter().map(|(_, plan)| plan)
    }
}

/// What is planned, and how.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Which manifests.
    pub manifests: &'a ManifestArgs,
    /// In whose name.
    pub owner: &'a OwnerArgs,
    /// With what secrets are opened.
    pub secrets: &'a SecretArgs,
    /// Whether fields of others are taken over.
    pub force_conflicts: bool,
    /// What was run, for the history.
    pub verb: &'a str,
    /// Without it every document is looked at.
    pub use_cache: bool,
}

/// Plans manifests, remembering what was unchanged. A realm that nothing is declared in isn't asked, but with `--prune`,
/// when it is there: something may have been declared in it before.
pub async fn plan(context: &ContextArgs, wanted: Wanted<'_>) -> Result<Declared, Failure> {
    let sources = wanted.manifests.read(wanted.owner.prune)?;
    let owner = wanted.owner.owner(wanted.manifests)?;
    let Divided { local, others, local_secrets, other_secrets } = divide::divide(&sources)?;
    let mut values = secret_values::read(&sources, &[&local_secrets, &other_secrets], wanted.secrets)?;
    let by = Provenance { owner: owner.clone(), source: wanted.manifests.source(wanted.verb) };
    let policy =
        Policy { owner: owner.clone(), prune: wanted.owner.prune, force_conflicts: wanted.force_conflicts };
    let mut parts = Vec::new();
    // With nothing declared at all, it is a question to whoever is there.
    let nothing = others.is_empty() && local.is_empty();
    let asks_all = policy.prune || nothing;
    let asks_local = !local.is_empty() || (asks_all && is_running()?);
    let asks_controller = !others.is_empty() || (asks_all && context.is_set()?) || (nothing && !asks_local);
    if asks_controller {
        let connection = context.connection()?;
        let cache = PlanCache::of(&connection, &owner);
        let remembered = if wanted.use_cache { cache.load() } else { None };
        let client = connection.client().await?;
        let values = take(&mut values, &other_secrets);
        let digests = if values.is_empty() {
            HashMap::new()
        } else {
            let key = client.digest_key().await?;
            let digest = |object: &str, value: &str| {
                aegis_wire::seal::digest(key.expose(), &[object], value.as_bytes()).parse().ok()
            };
            digests(&values, digest)
        };
        let realm = ControllerRealm::new(client).with_values(values);
        let part = Part { sources: &sources, slices: others, digests };
        let declared =
            declare::plan_part(&realm, part, by.clone(), policy.clone(), remembered.as_ref()).await?;
        if remembered.as_ref() != Some(&declared.remember) {
            cache.save(&declared.remember);
        }
        parts.push((AnyRealm::Controller(realm), declared.plan));
    }
    if asks_local {
        let values = take(&mut values, &local_secrets);
        parts.push(plan_local(&sources, local, values, by, policy).await?);
    }
    Ok(Declared { parts })
}

async fn plan_local(
    sources: &Sources,
    slices: Vec<Slice>,
    values: Values,
    by: Provenance,
    policy: Policy,
) -> Result<(AnyRealm, Plan), Failure> {
    let client = local::client()?;
    let digests = if values.is_empty() {
        HashMap::new()
    } else {
        let key = client.realm(&GetDigestKey {}).await?;
        digests(&values, |object, value| Some(key.digest(object, value)))
    };
    let realm = RuntimeRealm::new(client).with_values(values);
    let part = Part { sources, slices, digests };
    let declared = declare::plan_part(&realm, part, by, policy, None).await?;
    Ok((AnyRealm::Local(realm), declared.plan))
}

/// The values of these secrets.
fn take(values: &mut HashMap<ObjectKey, Secret<String>>, of: &[Document<Spec>]) -> Values {
    let found = of.iter().filter_map(|document| values.remove_entry(&document.key));
    Values::new(found.collect())
}

fn digests(
    values: &Values,
    digest: impl Fn(&str, &str) -> Option<ValueDigest>,
) -> HashMap<ObjectKey, ValueDigest> {
    values.iter().filter_map(|(key, value)| Some((key.clone(), digest(&key.name, value.expose())?))).collect()
}

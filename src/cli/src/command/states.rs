//! Objects as `get` lists them: what is declared and, of a rollout or an app, where it stands.

use aegis_core::{Kind, fleet::TargetOutcome};
use aegis_kinds::{App, Rollout};
use aegis_wire::{
    operator::{Delivery, RolloutStatus},
    runtime::realm::{GetAppStatus, RealmAppStatus},
};
use serde::Serialize;

use super::stored::StoredObject;
use crate::{
    deliveries,
    failure::Failure,
    output::table,
    realms::{AnyRealm, RealmName, may_be_local},
    rollouts,
};

/// An object, and where it stands.
#[derive(Serialize)]
pub struct Seen {
    #[serde(flatten)]
    object: StoredObject,
    /// Where it lives, for kinds that may live on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    realm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<State>,
}

/// Where an object stands.
#[derive(Serialize)]
#[serde(untagged)]
enum State {
    Rollout(Box<RolloutStatus>),
    App(RealmAppStatus),
    Hosts(Vec<Delivery>),
}

/// With where each stands.
pub async fn seen(realm: &AnyRealm, kind: &str, objects: Vec<StoredObject>) -> Result<Vec<Seen>, Failure> {
    let name = may_be_local(kind).then(|| realm.name().as_str());
    let mut states: Vec<Option<State>> = Vec::with_capacity(objects.len());
    match realm {
        AnyRealm::Controller(realm) if kind == Rollout::NAME => {
            let names: Vec<String> = objects.iter().map(|object| object.name.clone()).collect();
            let statuses = rollouts::statuses(realm.client(), names).await?;
            states.extend(statuses.into_iter().map(|status| status.map(|one| State::Rollout(Box::new(one)))));
        }
        AnyRealm::Local(realm) if kind == App::NAME => {
            for object in &objects {
                let status = realm.client.realm(&GetAppStatus { app: object.name.clone() }).await?;
                states.push(status.map(State::App));
            }
        }
        AnyRealm::Controller(realm) if may_be_local(kind) => {
            let all = deliveries::of(realm.client(), kind, None).await?;
            let of = |name: &str| all.iter().filter(|one| one.key.name == name).cloned().collect();
            states.extend(objects.iter().map(|object| Some(State::Hosts(of(&object.name)))));
        }
        _ => {}
    }
    let mut states = states.into_iter();
    let seen = |object| Seen { object, realm: name, status: states.next().flatten() };
    Ok(objects.into_iter().map(seen).collect())
}

/// As a table.
pub fn rows(kind: &str, seen: &[Seen]) -> String {
    if kind == Rollout::NAME {
        let heads = ["NAME", "PHASE", "WAVE", "OK", "FAILED", "DECLARED", "OWNERS", "REVISION"];
        return table(heads, seen.iter().map(rollout));
    }
    if kind == App::NAME {
        let heads = ["NAME", "REALM", "STATE", "DECLARED", "OWNERS", "REVISION"];
        return table(heads, seen.iter().map(app));
    }
    let elsewhere = |one: &Seen| one.realm.is_some_and(|realm| realm != RealmName::Local.as_str());
    if seen.iter().any(elsewhere) {
        let heads = ["NAME", "REALM", "DECLARED", "OWNERS", "REVISION"];
        return table(
            heads,
            seen.iter().map(|one| {
                let [name, declared, owners, revision] = row(one);
                [name, one.realm.unwrap_or_default().to_owned(), declared, owners, revision]
            }),
        );
    }
    table(["NAME", "DECLARED", "OWNERS", "REVISION"], seen.iter().map(row))
}

fn row(seen: &Seen) -> [String; 4] {
    let object = &seen.object;
    [
        object.title().to_owned(),
        object.elements(),
        object.owner_names().join(", "),
        object.revision.to_string(),
    ]
}

fn app(seen: &Seen) -> [String; 6] {
    let [name, declared, owners, revision] = row(seen);
    let state = match &seen.status {
        Some(State::App(status)) => status.condition.clone(),
        Some(State::Hosts(deliveries)) => deliveries::summary(deliveries.iter()),
        _ => String::new(),
    };
    [name, seen.realm.unwrap_or_default().to_owned(), state, declared, owners, revision]
}

fn rollout(seen: &Seen) -> [String; 8] {
    let [name, declared, owners, revision] = row(seen);
    let Some(State::Rollout(status)) = &seen.status else {
        let none = String::new;
        return [name, none(), none(), none(), none(), declared, owners, revision];
    };
    [
        name,
        status.phase.to_string(),
        rollouts::wave(status).unwrap_or_default(),
        status.outcomes.of(TargetOutcome::Ok).to_string(),
        status.outcomes.failures().to_string(),
        declared,
        owners,
        revision,
    ]
}

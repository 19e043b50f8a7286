//! What a controller assigns to this host, made so by this machine's `aegisd`: one more declaration, through the same
//! engine as any other.

use std::collections::{BTreeMap, HashMap};

use aegis_core::{Meta, ObjectKey, Outcome, Owner, Secret, ownership::Policy};
use aegis_edge::run::{LocalRuntime, all_failed};
use aegis_engine::{
    apply, dangling, fetch,
    intent::{Intent, Wish},
    plan::{Plan, Problem},
    realm::{Provenance, Realm},
};
use aegis_kinds::Spec;
use aegis_wire::{
    ApiError,
    edge::{Assigned, ObjectReport, ReportPhase},
    runtime::{
        RuntimeClient, RuntimeError,
        realm::{DigestKey, GetAppStatus, GetDigestKey, RealmAppStatus},
    },
};
use futures::future::BoxFuture;

use crate::{runtime_realm::RuntimeRealm, secret_values::Values};

/// Who declares it on this machine.
const OWNER: &str = "controller";

/// Gives it to the daemon behind this client.
pub struct Here(pub RuntimeClient);

/// Why nothing, or one object, can be made so.
enum Fault {
    /// It concerns all of them.
    All(String),
    /// Each on its own; the others wait for them.
    Some(Vec<(ObjectKey, String)>),
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        Self::All(with_hint(error.message, error.hint))
    }
}

impl From<RuntimeError> for Fault {
    fn from(error: RuntimeError) -> Self {
        Self::All(with_hint(error.message, error.hint))
    }
}

fn with_hint(message: String, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{message}; {hint}"),
        None => message,
    }
}

impl LocalRuntime for Here {
    fn converge<'a>(&'a self, objects: &'a [Assigned]) -> BoxFuture<'a, Vec<ObjectReport>> {
        let (here, copies) = (Self(self.0.clone()), objects.to_vec());
        let handle = tokio::runtime::Handle::current();
        // On a thread of its own: the engine's futures can't move between threads, and the daemon's has a stream to hold.
        let converged = tokio::task::spawn_blocking(move || handle.block_on(here.make_so(&copies)));
        Box::pin(async move {
            converged
                .await
                .unwrap_or_else(|error| all_failed(objects, &format!("it was broken off: {error}")))
        })
    }
}

/// Nothing is written when anything is at fault: what is sound waits.
fn blamed(key: &ObjectKey, faults: &HashMap<ObjectKey, String>) -> ObjectReport {
    match faults.get(key) {
        Some(fault) => ObjectReport::new(key.clone(), ReportPhase::Failed, fault),
        None => {
            ObjectReport::new(key.clone(), ReportPhase::Pending, "waits for others that can't be declared")
        }
    }
}

impl Here {
    async fn make_so(&self, objects: &[Assigned]) -> Vec<ObjectReport> {
        match self.declare(objects).await {
            Ok(()) => self.stand(objects).await,
            Err(Fault::All(why)) => all_failed(objects, &why),
            Err(Fault::Some(faults)) => {
                let faults: HashMap<ObjectKey, String> = faults.into_iter().collect();
                objects.iter().map(|object| blamed(&object.key, &faults)).collect()
            }
        }
    }

    /// Declares these and no others, in the controller's name.
    async fn declare(&self, objects: &[Assigned]) -> Result<(), Fault> {
        let has_values = objects.iter().any(|object| object.value.is_some());
        let key = if has_values { Some(self.0.realm(&GetDigestKey {}).await?) } else { None };
        let (wishes, values) = wishes(objects, key.as_ref()).map_err(Fault::Some)?;
        let realm = RuntimeRealm::new(self.0.clone()).with_values(Values::new(values));
        let owner = Owner::new(OWNER).map_err(|error| Fault::All(error.to_string()))?;
        let revision = fetch::revision(&realm).await?;
        let snapshot =
            fetch::snapshot(&realm, &wishes, &owner, revision, None, std::collections::HashSet::new())
                .await?;
        let policy = Policy { owner: owner.clone(), prune: true, force_conflicts: false };
        let by = Provenance { owner, source: "assigned by the controller".to_owned() };
        let plan = Plan::new(by, policy, wishes, Vec::new(), &snapshot).map_err(problems)?;
        let dangling = dangling::check(&realm, &plan).await?;
        if !dangling.is_empty() {
            return Err(problems(dangling));
        }
        if plan.has_conflicts() {
            return Err(Fault::Some(conflicts(&plan)));
        }
        if !plan.has_differences() {
            return Ok(());
        }
        let report = apply::apply(&realm, plan, &|| false, &mut |_| {}).await?;
        let undone =
            report.objects.iter().filter(|event| matches!(event.outcome, Outcome::Failed | Outcome::Skipped));
        let undone: Vec<_> = undone
            .map(|event| {
                let key = ObjectKey::new(event.kind.clone(), &event.name);
                (key, event.error.clone().unwrap_or_else(|| "wasn't written".to_owned()))
            })
            .collect();
        if undone.is_empty() { Ok(()) } else { Err(Fault::Some(undone)) }
    }

    /// How each stands, once all are declared. Kits and secrets are what they are as soon as they are there.
    async fn stand(&self, objects: &[Assigned]) -> Vec<ObjectReport> {
        let mut reports = Vec::with_capacity(objects.len());
        for object in objects {
            let (phase, message) = if object.key.kind == "App" {
                self.app(&object.key.name).await
            } else {
                (ReportPhase::Ready, String::new())
            };
            reports.push(ObjectReport::new(object.key.clone(), phase, &message));
        }
        reports
    }

    /// Where an app stands with what is declared now.
    async fn app(&self, name: &str) -> (ReportPhase, String) {
        let realm = RuntimeRealm::new(self.0.clone());
        let declared = match realm.object(&ObjectKey::new("App", name.to_owned())).await {
            Ok(declared) => declared.map(|object| object.revision),
            Err(error) => return (ReportPhase::Pending, error.message),
        };
        match self.0.realm(&GetAppStatus { app: name.to_owned() }).await {
            Ok(Some(status)) if Some(status.revision) == declared => standing(status),
            Ok(_) => (ReportPhase::Pending, String::new()),
            Err(error) => (ReportPhase::Pending, error.message),
        }
    }
}

fn standing(status: RealmAppStatus) -> (ReportPhase, String) {
    let words = if status.reason.is_empty() {
        status.condition
    } else {
        format!("{}: {}", status.condition, status.reason)
    };
    match (status.is_ready, status.settled) {
        (true, _) => (ReportPhase::Ready, String::new()),
        (false, true) => (ReportPhase::Failed, words),
        (false, false) => (ReportPhase::Pending, words),
    }
}

type Wishes = (Vec<Wish>, BTreeMap<ObjectKey, Secret<String>>);

/// The objects as this machine's own: without their target, and secrets with a digest by this machine's key.
fn wishes(objects: &[Assigned], key: Option<&DigestKey>) -> Result<Wishes, Vec<(ObjectKey, String)>> {
    let (mut wishes, mut values, mut faults) = (Vec::new(), BTreeMap::new(), Vec::new());
    for object in objects {
        let value = match &object.value {
            None => None,
            Some(bytes) => {
                let Ok(text) = String::from_utf8(bytes.expose().clone()) else {
                    faults.push((object.key.clone(), "the value is no text".to_owned()));
                    continue;
                };
                Some(Secret::new(text))
            }
        };
        let digest = value.as_ref().zip(key).map(|(value, key)| key.digest(&object.key.name, value.expose()));
        match spec(object, digest.as_ref().map(aegis_kinds::ValueDigest::as_str)) {
            Ok(spec) => {
                let declared = Intent::Declare(Box::new((spec, Meta::default())));
                wishes.push(Wish { key: object.key.clone(), intent: declared, document: None });
                values.extend(value.map(|value| (object.key.clone(), value)));
            }
            Err(error) => faults.push((object.key.clone(), format!("this aegis can't read it: {error}"))),
        }
    }
    if faults.is_empty() { Ok((wishes, values)) } else { Err(faults) }
}

fn spec(object: &Assigned, digest: Option<&str>) -> Result<Spec, serde_json::Error> {
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&object.spec)?;
    fields.remove("target");
    if let Some(digest) = digest {
        fields.insert("digest".to_owned(), digest.into());
    }
    serde_json::from_value(serde_json::json!({ "kind": object.key.kind, "spec": fields }))
}

fn problems(problems: Vec<Problem>) -> Fault {
    let told = |problem: Problem| (problem.key, with_hint(problem.message, problem.help));
    Fault::Some(problems.into_iter().map(told).collect())
}

fn conflicts(plan: &Plan) -> Vec<(ObjectKey, String)> {
    let mut found = Vec::new();
    for item in plan.items() {
        let Some(conflict) = item.plan.conflicts.first() else { continue };
        let owners: Vec<String> = conflict.owners.iter().map(ToString::to_string).collect();
        let message = format!(
            "{} is owned by {} on the host; rename one of the two, or delete it there",
            conflict.element,
            owners.join(", ")
        );
        found.push((item.key.clone(), message));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn assigned(kind: &'static str, name: &str, spec: &str, value: Option<&[u8]>) -> Assigned {
        Assigned {
            key: ObjectKey::new(kind, name),
            spec: bytes::Bytes::copy_from_slice(spec.as_bytes()),
            value: value.map(|value| Secret::new(value.to_vec())),
        }
    }

    #[test]
    fn here_objects_have_no_target_and_secrets_this_machines_digest() {
        let key = DigestKey::new(&[7; 32]);
        let other = DigestKey::new(&[8; 32]).digest("TOKEN", "hunter2");
        let secret = format!(r#"{{"scope":"workspace","digest":"{}","target":"all"}}"#, other.as_str());
        let objects = [
            assigned("App", "web", r#"{"image":"a","command":["b"],"target":"tags=web"}"#, None),
            assigned("Secret", "TOKEN", &secret, Some(b"hunter2")),
        ];
        let (wishes, values) = wishes(&objects, Some(&key)).unwrap();
        let Intent::Declare(app) = &wishes[0].intent else { panic!() };
        let Spec::App(app) = &app.0 else { panic!() };
        assert_eq!((app.image.as_deref(), &app.target), (Some("a"), &None));
        let Intent::Declare(secret) = &wishes[1].intent else { panic!() };
        let Spec::Secret(secret) = &secret.0 else { panic!() };
        assert_eq!((secret.digest.as_ref(), &secret.target), (Some(&key.digest("TOKEN", "hunter2")), &None));
        assert_eq!(values[&ObjectKey::new("Secret", "TOKEN")].expose(), "hunter2");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_nothing_is_wished_for() {
        let objects = [
            assigned("App", "web", r#"{"image":"a","fromTheFuture":1}"#, None),
            assigned("Secret", "TOKEN", r#"{"scope":"workspace"}"#, Some(b"\xff")),
            assigned("Kit", "k", r#"{"version":"1","image":"a"}"#, None),
        ];
        let faults: HashMap<_, _> =
            wishes(&objects, Some(&DigestKey::new(&[7; 32]))).unwrap_err().into_iter().collect();
        assert!(faults[&objects[0].key].contains("fromTheFuture"), "{faults:?}");
        assert_eq!(faults[&objects[1].key], "the value is no text");
        assert_eq!(faults.len(), 2);
        let kit = blamed(&objects[2].key, &faults);
        assert_eq!((kit.phase, kit.message.contains("waits")), (ReportPhase::Pending, true));
    }

    #[tokio::test]
    async fn without_a_daemon_each_is_failed_with_the_way_out() {
        let nowhere = Here(RuntimeClient::new("/nonexistent/aegisd.sock"));
        let objects = [assigned("Kit", "k", r#"{"version":"1","image":"a"}"#, None)];
        let reports = nowhere.converge(&objects).await;
        assert_eq!(reports[0].phase, ReportPhase::Failed);
        assert!(reports[0].message.contains("aegis up"), "{}", reports[0].message);
        assert!(nowhere.converge(&[]).await.is_empty());
    }
}

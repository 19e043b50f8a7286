//! A tenant with four hosts, and the few verbs that the tests speak in.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aegis_core::{Kind, NodeId, ObjectKey, Outcome, Owner, Revision, outcome::Summary, ownership::Policy};
use aegis_engine::{
    apply,
    cache::Cache,
    declare::{self, DeclareError, Declared},
    event::{ObjectEvent, Report},
    fetch,
    intent::{Intent, Wish},
    manifest::Sources,
    memory::MemoryRealm,
    plan::Plan,
    realm::{Changes, Host, Object, PastWrite, Provenance, Realm, Write, Written},
};
use aegis_kinds::KINDS;
use aegis_wire::error::ApiError;
use futures::{FutureExt, executor::block_on};

pub const WEB_1: &str = "n-aaaa0000000000000001";
pub const WEB_2: &str = "n-aaaa0000000000000002";
pub const DB_3: &str = "n-bbbb0000000000000003";
pub const DB_4: &str = "n-cccc0000000000000004";

/// `web-1` and `web-2`, whose ids begin alike, and two hosts called `db`.
pub fn hosts() -> Vec<Host> {
    let host = |id: &str, name: &str| Host { id: NodeId::new(id).unwrap(), name: name.into() };
    vec![host(WEB_1, "web-1"), host(WEB_2, "web-2"), host(DB_3, "db"), host(DB_4, "db")]
}

pub fn realm() -> MemoryRealm {
    MemoryRealm::with_hosts(hosts())
}

pub fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

/// The documents of `files`, which are names and texts.
pub fn sources(files: &[(&str, &str)]) -> Sources {
    Sources::from_texts(files.iter().copied()).unwrap()
}

pub fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: aegis.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}
pub fn group(name: &str, selector: &str) -> String {
    document("EdgeGroup", name, &format!("{{selector: '{selector}'}}"))
}
pub fn node(name: &str, spec: &str) -> String {
    document("EdgeNode", name, spec)
}

/// Who declares, and how far it goes.
#[derive(Debug, Clone)]
pub struct As {
    pub policy: Policy,
}

/// A source of manifests called `name`, without any flags.
pub fn by(name: &str) -> As {
    As { policy: Policy { owner: owner(name), prune: false, force_conflicts: false } }
}

impl As {
    pub fn prune(mut self) -> Self {
        self.policy.prune = true;
        self
    }
    pub fn force(mut self) -> Self {
        self.policy.force_conflicts = true;
        self
    }

    pub fn declare<R: Realm>(
        &self,
        realm: &R,
        sources: &Sources,
        cache: Option<&Cache>,
    ) -> Result<Declared, DeclareError> {
        let by = Provenance { owner: self.policy.owner.clone(), source: "test".into() };
        block_on(declare::plan(realm, sources, by, self.policy.clone(), cache))
    }

    pub fn plan<R: Realm>(&self, realm: &R, text: &str) -> Plan {
        self.declare(realm, &sources(&[("a.yaml", text)]), None).map_err(shown).unwrap().plan
    }

    pub fn apply<R: Realm>(&self, realm: &R, text: &str) -> Report {
        carry_out(realm, self.plan(realm, text)).unwrap()
    }

    /// What is wrong with `files`: a line for each, and its help behind ` | `.
    pub fn faults(&self, realm: &MemoryRealm, files: &[(&str, &str)]) -> Vec<String> {
        let before = dump(realm);
        let Err(DeclareError::Invalid(found)) = self.declare(realm, &sources(files), None) else {
            panic!("there is nothing wrong")
        };
        assert_eq!(dump(realm), before);
        let line = |d: &aegis_core::diagnostic::Diagnostic| {
            let related = d.related.iter().map(|(place, what)| format!(" ({what}: {place})"));
            format!("{d}{} | {}", related.collect::<String>(), d.help.as_deref().unwrap_or_default())
        };
        found.shown().iter().map(line).collect()
    }
}

pub fn shown(error: DeclareError) -> String {
    match error {
        DeclareError::Invalid(found) => found.render(false),
        DeclareError::Api(error) => error.to_string(),
    }
}

pub fn carry_out<R: Realm>(realm: &R, plan: Plan) -> Result<Report, ApiError> {
    let mut seen = Vec::new();
    let mut sink = |event: &ObjectEvent| seen.push(event.title());
    let count = plan.items().count() + plan.cached.len();
    let report = block_on(apply::apply(realm, plan, &|| false, &mut sink))?;
    assert_eq!(seen, report.objects.iter().map(ObjectEvent::title).collect::<Vec<_>>());
    assert_eq!(seen.len(), count, "every object ends exactly once");
    Ok(report)
}

/// Plans wishes that don't come from manifests, as an imperative command does.
pub fn plan_wishes<R: Realm>(realm: &R, owner: Owner, wishes: Vec<Wish>) -> Plan {
    let snapshot = block_on(async {
        let revision = fetch::revision(realm).await.unwrap();
        fetch::snapshot(realm, &wishes, &owner, revision, Some(BTreeSet::new()), HashSet::new())
            .await
            .unwrap()
    });
    let policy = Policy { owner: owner.clone(), prune: true, force_conflicts: false };
    Plan::new(Provenance { owner, source: "test".into() }, policy, wishes, Vec::new(), &snapshot).unwrap()
}

/// One imperative verb.
pub fn edit<K: Kind>(realm: &MemoryRealm, name: &str, edit: K::Edit) -> Report {
    let wish = Wish { key: ObjectKey::new(K::NAME, name), intent: Intent::edit::<K>(edit), document: None };
    carry_out(realm, plan_wishes(realm, Owner::cli(), vec![wish])).unwrap()
}

/// `aegis delete KIND/NAME`
pub fn delete(realm: &MemoryRealm, kind: &'static str, name: &str) -> Report {
    let wish = Wish { key: ObjectKey::new(kind, name), intent: Intent::Delete, document: None };
    carry_out(realm, plan_wishes(realm, Owner::cli(), vec![wish])).unwrap()
}

pub type Bodies = BTreeMap<String, serde_json::Value>;

/// All that is stored, without revisions.
pub fn dump(realm: &MemoryRealm) -> Bodies {
    let kinds: Vec<&str> = KINDS.iter().map(|info| info.name).collect();
    let objects = realm.objects(&kinds).now_or_never().unwrap().unwrap();
    let body = |object: &Object| serde_json::from_slice(&object.body).unwrap();
    objects.iter().map(|object| (object.key.to_string(), body(object))).collect()
}

/// The spec of a stored object.
pub fn spec(realm: &MemoryRealm, key: &str) -> serde_json::Value {
    dump(realm).get(key).map(|body| body["spec"].clone()).unwrap_or_default()
}

pub fn inventory(realm: &MemoryRealm, name: &str) -> BTreeSet<String> {
    let keys = realm.inventory(&owner(name)).now_or_never().unwrap().unwrap();
    keys.iter().map(ToString::to_string).collect()
}

/// Everything of which `name` owns an element is in its inventory, so that a later prune finds it.
pub fn orphans(realm: &MemoryRealm, name: &str) -> Vec<String> {
    let mine = |body: &serde_json::Value| {
        let owners = body["owners"].as_object();
        owners.is_some_and(|o| o.values().any(|of| of.as_array().unwrap().contains(&name.into())))
    };
    let known = inventory(realm, name);
    let objects = dump(realm).into_iter().filter(|(_, body)| mine(body)).map(|(key, _)| key);
    objects.filter(|key| !known.contains(key)).collect()
}

/// How each object ended: `EdgeGroup/web created`.
pub fn outcomes(report: &Report) -> Vec<String> {
    report.objects.iter().map(|o| format!("{} {}", o.title(), o.outcome)).collect()
}
pub fn steps(plan: &Plan) -> Vec<String> {
    let line = |item: &aegis_engine::plan::Item| {
        let title = item.host.clone().unwrap_or_else(|| item.key.name.clone());
        item.plan.steps.iter().map(|step| format!("{title} {step}")).collect::<Vec<_>>()
    };
    plan.items().flat_map(line).collect()
}
pub fn count(report: &Report, outcome: Outcome) -> u64 {
    report.summary.count(outcome)
}

type Meddler<'a> = Box<dyn FnMut(&MemoryRealm) + Send + 'a>;

/// A realm to which something happens: others write in between, or it is gone from some call on.
pub struct Troubled<'a> {
    pub inner: &'a MemoryRealm,
    /// The calls so far; each write of a batch is one.
    pub calls: AtomicUsize,
    /// From this call on nothing is reached.
    pub gone_from: usize,
    /// Called before each batch of writes.
    pub meddler: Mutex<Option<Meddler<'a>>>,
}

impl<'a> Troubled<'a> {
    pub fn gone_from(inner: &'a MemoryRealm, gone_from: usize) -> Self {
        Self { inner, calls: AtomicUsize::new(0), gone_from, meddler: Mutex::new(None) }
    }
    pub fn meddled(inner: &'a MemoryRealm, meddler: impl FnMut(&MemoryRealm) + Send + 'a) -> Self {
        let realm = Self::gone_from(inner, usize::MAX);
        *realm.meddler.lock().unwrap() = Some(Box::new(meddler));
        realm
    }

    fn call(&self) -> Result<(), ApiError> {
        if self.calls.fetch_add(1, Ordering::Relaxed) < self.gone_from {
            Ok(())
        } else {
            Err(ApiError::unavailable("the connection is gone"))
        }
    }
}

impl Realm for Troubled<'_> {
    async fn objects(&self, kinds: &[&str]) -> Result<Vec<Object>, ApiError> {
        self.call()?;
        self.inner.objects(kinds).await
    }
    async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, ApiError> {
        self.call()?;
        self.inner.object(key).await
    }
    async fn hosts(&self) -> Result<Vec<Host>, ApiError> {
        self.call()?;
        self.inner.hosts().await
    }
    async fn changes(&self, since: Revision) -> Result<Changes, ApiError> {
        self.call()?;
        self.inner.changes(since).await
    }
    async fn inventory(&self, owner: &Owner) -> Result<BTreeSet<ObjectKey>, ApiError> {
        self.call()?;
        self.inner.inventory(owner).await
    }
    async fn begin(&self, by: &Provenance, owns: Vec<ObjectKey>) -> Result<Revision, ApiError> {
        self.call()?;
        self.inner.begin(by, owns).await
    }
    async fn write(&self, plan: Revision, writes: Vec<Write>) -> Result<Vec<Written>, ApiError> {
        if let Some(meddler) = &mut *self.meddler.lock().unwrap() {
            meddler(self.inner);
        }
        let mut written = Vec::new();
        for write in writes {
            self.call()?;
            written.extend(self.inner.write(plan, vec![write]).await?);
        }
        Ok(written)
    }
    async fn finish(
        &self,
        plan: Revision,
        forgets: Vec<ObjectKey>,
        summary: &Summary,
    ) -> Result<(), ApiError> {
        self.call()?;
        self.inner.finish(plan, forgets, summary).await
    }
    async fn past(&self, plan: Revision) -> Result<Option<(Owner, Vec<PastWrite>)>, ApiError> {
        self.call()?;
        self.inner.past(plan).await
    }
}

/// What a person's command writes, from within a realm that is in the middle of something.
pub fn meddle<K: Kind>(realm: &MemoryRealm, name: &str, edit: &K::Edit) {
    let key = ObjectKey::new(K::NAME, name);
    let have = realm.object(&key).now_or_never().unwrap().unwrap();
    let body = have.as_ref().map_or(&[][..], |object| &object.body);
    let plan = aegis_kinds::plan_edit::<K>(body, edit).unwrap();
    overwrite(realm, key, plan.next, plan.outcome);
}

/// What another owner's apply writes, from within a realm that is in the middle of something.
pub fn declare_meanwhile(realm: &MemoryRealm, by: &As, key: &ObjectKey, spec: &aegis_kinds::Spec) {
    let have = realm.object(key).now_or_never().unwrap().unwrap();
    let body = have.as_ref().map_or(&[][..], |object| &object.body);
    let meta = aegis_core::Meta::default();
    let plan = aegis_kinds::plan_declared(&key.kind, Some((spec, &meta)), body, &by.policy).unwrap();
    overwrite(realm, key.clone(), plan.next, plan.outcome);
}

fn overwrite(realm: &MemoryRealm, key: ObjectKey, next: aegis_kinds::Next, outcome: Outcome) {
    let base = realm.object(&key).now_or_never().unwrap().unwrap().map(|o| o.revision).unwrap_or_default();
    let next = match next {
        aegis_kinds::Next::Same => return,
        aegis_kinds::Next::Body(body) => Some(body),
        aegis_kinds::Next::Absent => None,
    };
    let write = Write { key, base, next, steps: Vec::new(), outcome };
    let written = realm.write(Revision(0), vec![write]).now_or_never().unwrap().unwrap();
    assert!(matches!(written[..], [Written::Done(_)]), "{written:?}");
}

//! The law of the cache: the plan with it is the plan without it, whatever happened in between.

use aegis_core::id::Tag;
use aegis_engine::{
    apply,
    cache::Cache,
    declare::{DeclareError, Declared},
    intent::{Intent, Wish},
    memory::MemoryRealm,
    plan::Plan,
    realm::Realm,
};
use aegis_kinds::{EdgeGroup, EdgeGroupEdit, EdgeNode, EdgeNodeEdit, Next};
use futures::FutureExt;
use proptest::{collection, prelude::*, sample::select};

use crate::{
    manifests::{self, Documents},
    world::*,
};

/// What happens between two plans.
#[derive(Debug, Clone)]
enum Event {
    /// A document is written or rewritten.
    Write((&'static str, &'static str), String),
    /// A document, the n-th, is removed.
    Remove(usize),
    /// All documents stand in a second file too; the next time not any more.
    Copy,
    /// A comment is added, which changes the bytes and nothing else.
    Comment(usize),
    /// A person changes the tags of a host, the pins of a group, or deletes something.
    Tag(&'static str, &'static str, bool),
    Pin(&'static str, bool),
    Delete(&'static str, &'static str),
    /// Hosts change their names: those of the first two are swapped, or given back.
    Rename,
    /// Somebody applies other manifests: in the name of the same owner from elsewhere, or of another.
    Elsewhere(&'static str, Documents, bool),
    /// The owner plans, and applies unless it only wanted to look; the connection may be lost on the way.
    Plan {
        prune: bool,
        force: bool,
        apply: bool,
        gone_from: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let host = || select(vec!["web-1", "web-2", DB_3]);
    let thing = select(vec![
        ("EdgeGroup", "g0"),
        ("EdgeGroup", "g1"),
        ("SecurityContext", "c0"),
        ("EdgeNode", "web-1"),
    ]);
    let gone = prop_oneof![4 => Just(usize::MAX), 1 => 0..12_usize];
    let plan = (any::<bool>(), any::<bool>(), any::<bool>(), gone)
        .prop_map(|(prune, force, apply, gone_from)| Event::Plan { prune, force, apply, gone_from });
    prop_oneof![
        4 => manifests::any_document().prop_map(|(key, spec)| Event::Write(key, spec)),
        1 => (0..8_usize).prop_map(Event::Remove),
        1 => Just(Event::Copy),
        1 => (0..8_usize).prop_map(Event::Comment),
        1 => (host(), select(vec!["a", "b", "z"]), any::<bool>()).prop_map(|(h, t, add)| Event::Tag(h, t, add)),
        1 => (select(vec!["g0", "g1"]), any::<bool>()).prop_map(|(group, add)| Event::Pin(group, add)),
        1 => thing.prop_map(|(kind, name)| Event::Delete(kind, name)),
        1 => Just(Event::Rename),
        2 => (select(vec!["f", "other"]), manifests::valid(), any::<bool>())
            .prop_map(|(owner, documents, prune)| Event::Elsewhere(owner, documents, prune)),
        6 => plan,
    ]
}

/// What a plan comes to: each object's event, and each body that is written; or what is wrong.
///
/// A part that the owner gave up and that is gone already is left out: it is only forgotten, and with a cache perhaps
/// at the next occasion.
fn essence(planned: &Result<Declared, DeclareError>) -> Result<(Vec<String>, Vec<String>), String> {
    let plan: &Plan = match planned {
        Ok(declared) => &declared.plan,
        Err(DeclareError::Invalid(found)) => return Err(found.render(false)),
        Err(error) => return Err(error.to_string()),
    };
    let forgotten = |title: &str| {
        plan.items().any(|item| {
            item.key.to_string() == title
                && matches!(item.intent, Intent::Release)
                && item.plan.next == Next::Same
        })
    };
    let mut events: Vec<String> = apply::preview(plan)
        .objects
        .iter()
        .filter(|event| !forgotten(&format!("{}/{}", event.kind, event.name)))
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    events.sort();
    let mut writes: Vec<String> = plan
        .items()
        .filter(|item| item.plan.next != Next::Same)
        .map(|item| match &item.plan.next {
            Next::Body(body) => format!("{} {} {}", item.key, item.base, String::from_utf8_lossy(body)),
            _ => format!("{} {} absent", item.key, item.base),
        })
        .collect();
    writes.sort();
    Ok((events, writes))
}

#[derive(Default)]
struct Owner {
    documents: Documents,
    is_copied: bool,
    cache: Option<Vec<u8>>,
}

impl Owner {
    fn plan(
        &mut self,
        realm: &MemoryRealm,
        who: &As,
        apply: bool,
        gone_from: usize,
    ) -> Result<(), TestCaseError> {
        let text = manifests::text(&self.documents);
        let both = [("a.yaml", text.as_str()), ("b.yaml", text.as_str())];
        let sources = sources(&both[..if self.is_copied { 2 } else { 1 }]);
        let cache = self.cache.as_deref().map(|bytes| Cache::from_bytes(bytes).unwrap());
        let without = who.declare(realm, &sources, None);
        let with = who.declare(realm, &sources, cache.as_ref());
        prop_assert_eq!(essence(&with), essence(&without));
        let Ok(declared) = with else { return Ok(()) };
        self.cache = Some(declared.remember.to_bytes());
        if apply {
            // Whatever happens, it is seen in what is there afterwards.
            drop(carry_out(&Troubled::gone_from(realm, gone_from), declared.plan));
        }
        prop_assert_eq!(orphans(realm, "f"), Vec::<String>::new());
        Ok(())
    }

    fn happens(&mut self, realm: &MemoryRealm, event: Event) -> Result<(), TestCaseError> {
        let nth = |documents: &Documents, n: usize| documents.keys().nth(n % documents.len().max(1)).copied();
        match event {
            Event::Write(key, spec) => drop(self.documents.insert(key, spec)),
            Event::Remove(n) => drop(nth(&self.documents, n).and_then(|key| self.documents.remove(&key))),
            Event::Copy => self.is_copied = !self.is_copied,
            Event::Comment(n) => {
                if let Some(spec) = nth(&self.documents, n).and_then(|key| self.documents.get_mut(&key)) {
                    spec.push_str(" # a word");
                }
            }
            Event::Tag(host, tag, add) => {
                let tags = vec![Tag::new(tag).unwrap()];
                let verb = if add { EdgeNodeEdit::AddTags(tags) } else { EdgeNodeEdit::RemoveTags(tags) };
                edit::<EdgeNode>(realm, host, verb);
            }
            Event::Pin(group, add) => {
                let (pin, nobody) = ([WEB_1.to_owned()].into(), [].into());
                let (add, remove) = if add { (pin, nobody) } else { (nobody, pin) };
                if dump(realm).contains_key(&format!("EdgeGroup/{group}")) {
                    edit::<EdgeGroup>(realm, group, EdgeGroupEdit::SetPinned { add, remove });
                }
            }
            Event::Rename => {
                let mut hosts = realm.hosts().now_or_never().unwrap().unwrap();
                let names = (hosts[0].name.clone(), hosts[1].name.clone());
                (hosts[1].name, hosts[0].name) = names;
                realm.set_hosts(hosts);
            }
            Event::Delete(kind, name) => drop(delete(realm, kind, name)),
            Event::Elsewhere(owner, documents, prune) => {
                let mut who = by(owner).force();
                who.policy.prune = prune;
                let text = manifests::text(&documents);
                if let Ok(declared) = who.declare(realm, &sources(&[("c.yaml", &text)]), None) {
                    carry_out(realm, declared.plan).unwrap();
                }
            }
            Event::Plan { prune, force, apply, gone_from } => {
                let mut who = by("f");
                (who.policy.prune, who.policy.force_conflicts) = (prune, force);
                self.plan(realm, &who, apply, gone_from)?;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_with_a_cache_is_the_plan_without_it(
        first in manifests::valid(),
        events in collection::vec(event(), 1..25),
    ) {
        let realm = realm();
        let mut owner = Owner { documents: first, ..Owner::default() };
        // So that there is something to remember.
        for _ in 0..2 {
            owner.plan(&realm, &by("f"), true, usize::MAX)?;
        }
        for event in events {
            owner.happens(&realm, event)?;
        }
        owner.plan(&realm, &by("f").prune().force(), true, usize::MAX)?;
    }
}

/// A wish that isn't planned over manifests has no cache; the type says so.
#[test]
fn what_is_wished_imperatively_is_always_read() {
    let realm = realm();
    let reads = realm.reads();
    let wish =
        Wish { key: aegis_core::ObjectKey::new("EdgeGroup", "none"), intent: Intent::Delete, document: None };
    let plan = plan_wishes(&realm, aegis_core::Owner::cli(), vec![wish]);
    assert!(plan.cached.is_empty() && !plan.writes() && realm.reads() > reads);
}

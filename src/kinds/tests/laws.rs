//! The laws that every kind keeps, one property test each, run over all kinds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use aegis_core::{
    Effect, Element, Kind, Meta, Owner,
    id::Tag,
    ownership::{Plan, Policy, Stored, plan_declared, plan_delete, plan_edit, project},
    selector::Target,
};
use aegis_kinds::{
    AnyKind, App, AppEdit, AppSpec, Capability, EdgeGroup, EdgeGroupEdit, EdgeGroupSpec, EdgeNode,
    EdgeNodeEdit, EdgeNodeSpec, HealthCheck, Kit, KitEdit, KitSpec, Rollback, Rollout, RolloutSpec, Secret,
    SecretEdit, SecretScope, SecretSpec, SecurityContext, SecurityContextSpec, UniqueSet, ValueDigest,
};
use proptest::{collection, option, prelude::*, sample::select, strategy::BoxedStrategy};
use serde_json::{Map, Value};

/// Specs and edits of a kind, from a small world, so that they meet often.
trait Sample: AnyKind + Debug {
    /// How an object is before anybody declares it: absent, but a host is there by its enrolment.
    fn origin() -> Option<StoredOf<Self>> {
        None
    }
    fn spec() -> BoxedStrategy<Self::Spec>;
    fn change() -> BoxedStrategy<Option<Self::Edit>>;
}

fn words() -> impl Strategy<Value = UniqueSet<String>> {
    collection::btree_set(select(vec!["fs.read", "shell", "cmd.run", "fs.*"]).prop_map(str::to_owned), 0..4)
        .prop_map(UniqueSet)
}
fn tags() -> impl Strategy<Value = BTreeSet<Tag>> {
    collection::btree_set(select(vec!["prod", "db", "web", "eu"]).prop_map(|t| Tag::new(t).unwrap()), 0..4)
}
fn pins() -> impl Strategy<Value = BTreeSet<String>> {
    collection::btree_set((0..4u8).prop_map(|n| format!("n-{n:020x}")), 0..4)
}
fn targets() -> impl Strategy<Value = Target> {
    select(vec!["all", "tags=prod", "os=linux tags=AnyOf(db,web)", "group:other"])
        .prop_map(|t| t.parse().unwrap())
}
fn meta() -> impl Strategy<Value = Meta> {
    let map = || collection::btree_map(select(vec!["a", "b"]).prop_map(str::to_owned), "[xy]", 0..3);
    (map(), map()).prop_map(|(labels, annotations)| Meta { labels, annotations })
}
fn owner() -> impl Strategy<Value = Owner> {
    select(vec!["one", "two", "three"]).prop_map(|o| Owner::new(o).unwrap())
}

impl Sample for EdgeNode {
    fn origin() -> Option<StoredOf<Self>> {
        Some(Stored { spec: EdgeNodeSpec::default(), meta: Meta::default(), owners: BTreeMap::new() })
    }
    fn spec() -> BoxedStrategy<EdgeNodeSpec> {
        (tags(), option::of("[ab]"), option::of(any::<bool>()))
            .prop_map(|(tags, display_name, drain)| EdgeNodeSpec {
                tags: UniqueSet(tags),
                display_name,
                drain,
            })
            .boxed()
    }
    fn change() -> BoxedStrategy<Option<EdgeNodeEdit>> {
        let tags = || tags().prop_map(|tags| tags.into_iter().collect::<Vec<_>>());
        prop_oneof![
            tags().prop_map(EdgeNodeEdit::AddTags),
            tags().prop_map(EdgeNodeEdit::RemoveTags),
            any::<bool>().prop_map(EdgeNodeEdit::Drain),
        ]
        .prop_map(Some)
        .boxed()
    }
}
impl Sample for EdgeGroup {
    fn spec() -> BoxedStrategy<EdgeGroupSpec> {
        (targets(), pins())
            .prop_map(|(selector, pins)| EdgeGroupSpec { selector, pinned: UniqueSet(pins) })
            .boxed()
    }
    fn change() -> BoxedStrategy<Option<EdgeGroupEdit>> {
        prop_oneof![
            targets().prop_map(EdgeGroupEdit::Create),
            (pins(), pins()).prop_map(|(add, remove)| EdgeGroupEdit::SetPinned { add, remove }),
        ]
        .prop_map(Some)
        .boxed()
    }
}
impl Sample for SecurityContext {
    fn spec() -> BoxedStrategy<SecurityContextSpec> {
        let capability = words().prop_map(|tools| Capability {
            tools: tools.0.into_iter().collect(),
            paths: vec![],
            commands: vec![],
            domains: vec![],
            rate_limit: None,
            max_output: None,
        });
        (collection::vec(capability, 0..3), words())
            .prop_map(|(capabilities, deny)| SecurityContextSpec { capabilities, deny })
            .boxed()
    }
    fn change() -> BoxedStrategy<Option<Self::Edit>> {
        Just(None).boxed()
    }
}

impl Sample for Rollout {
    fn spec() -> BoxedStrategy<RolloutSpec> {
        let args = || {
            let value = prop_oneof![any::<bool>().prop_map(Value::from), "[xy]".prop_map(Value::from)];
            collection::btree_map(select(vec!["a", "b", "c"]).prop_map(str::to_owned), value, 0..3)
                .prop_map(|args| args.into_iter().collect::<Map<_, _>>())
        };
        let tool = || select(vec!["cmd.run", "shell", "backup.start"]).prop_map(str::to_owned);
        let strategy =
            select(vec!["{}", r#"{"batch": 2}"#, r#"{"mode": "parallel", "onError": "continue"}"#])
                .prop_map(|strategy| serde_json::from_str(strategy).unwrap());
        let context = select(vec!["default", "deploy"]).prop_map(str::to_owned);
        let check =
            (tool(), args()).prop_map(|(tool, args)| Box::new(HealthCheck { tool, args, deadline: None }));
        let rollback = (tool(), args()).prop_map(|(tool, args)| Box::new(Rollback { tool, args }));
        let rest = (strategy, context, option::of(check), option::of(rollback), any::<bool>());
        (targets(), tool(), args(), rest)
            .prop_map(|(target, tool, args, rest)| {
                let (strategy, security_context, health_check, rollback, catch_up) = rest;
                let new = RolloutSpec::new(target, tool);
                RolloutSpec { args, security_context, strategy, health_check, rollback, catch_up, ..new }
            })
            .boxed()
    }
    fn change() -> BoxedStrategy<Option<Self::Edit>> {
        Just(None).boxed()
    }
}

impl Sample for App {
    fn spec() -> BoxedStrategy<AppSpec> {
        let command = || select(vec![r#"["a"]"#, r#"["a", "b"]"#]);
        let ports = select(vec!["[]", "[80]", r#"["8080:80", 443]"#]);
        let base = prop_oneof![
            (select(vec!["x:1", "x:2"]), command())
                .prop_map(|(image, command)| format!(r#""image": "{image}", "command": {command}"#)),
            select(vec!["k", "l"]).prop_map(|kit| format!(r#""kit": "{kit}""#)),
            (select(vec!["k", "l"]), command()).prop_map(|(kit, command)| format!(
                r#""kit": "{kit}", "image": "x:1", "command": {command}"#
            )),
        ];
        let rest = select(vec![
            "",
            r#", "serve": true"#,
            r#", "release": {}, "idle": {"pauseAfter": "5s"}"#,
            r#", "release": {"label": "v"}, "readiness": {"port": "none"}, "backend": "qemu""#,
            r#", "resources": {"cpus": 2}, "workspace": "w", "target": "tags=edge""#,
        ]);
        let env = collection::btree_map(select(vec!["A", "B", "C"]).prop_map(str::to_owned), "[xy]", 0..3);
        let secrets = collection::btree_set(select(vec!["S", "T"]).prop_map(str::to_owned), 0..3);
        (base, ports, rest, env, secrets)
            .prop_map(|(base, ports, rest, env, secrets)| {
                let json = format!(r#"{{{base}, "expose": {ports}{rest}}}"#);
                let spec: AppSpec = serde_json::from_str(&json).unwrap();
                AppSpec { env, secrets: UniqueSet(secrets), ..spec }
            })
            .boxed()
    }
    fn change() -> BoxedStrategy<Option<AppEdit>> {
        let update = (option::of("[xy]"), option::of(collection::vec("[ab]", 1..3)))
            .prop_map(|(image, command)| AppEdit::Update { image, command, expose: None });
        prop_oneof![Self::spec().prop_map(|spec| AppEdit::Create(Box::new(spec))), update]
            .prop_map(Some)
            .boxed()
    }
}

impl Sample for Kit {
    fn spec() -> BoxedStrategy<KitSpec> {
        let rest = select(vec![
            "",
            r#", "description": "d""#,
            r#", "config": {"command": ["a"], "env": {"A": "b"}}, "target": "all""#,
        ]);
        (select(vec!["1", "2"]), select(vec!["x:1", "x:2"]), rest)
            .prop_map(|(version, image, rest)| {
                let json = format!(r#"{{"version": "{version}", "image": "{image}"{rest}}}"#);
                serde_json::from_str(&json).unwrap()
            })
            .boxed()
    }
    fn change() -> BoxedStrategy<Option<KitEdit>> {
        Self::spec().prop_map(|spec| Some(KitEdit::Install(Box::new(spec)))).boxed()
    }
}

impl Sample for Secret {
    fn spec() -> BoxedStrategy<SecretSpec> {
        (0..3u8, option::of(targets()))
            .prop_map(|(byte, target)| SecretSpec {
                target,
                ..SecretSpec::new(SecretScope::Workspace, ValueDigest::new(&[byte; 32]))
            })
            .boxed()
    }
    fn change() -> BoxedStrategy<Option<SecretEdit>> {
        (0..3u8)
            .prop_map(|byte| {
                Some(SecretEdit::Set { scope: SecretScope::Workspace, digest: ValueDigest::new(&[byte; 32]) })
            })
            .boxed()
    }
}

fn run<T: Debug>(strategy: impl Strategy<Value = T>, law: impl Fn(T) -> Result<(), TestCaseError>) {
    let config = ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config).run(&strategy, law).unwrap();
}

/// One test a law, each over every kind of the table.
macro_rules! laws {
    ($($law:ident)*) => {
        $(#[test]
        fn $law() {
            laws::$law::<EdgeNode>();
            laws::$law::<EdgeGroup>();
            laws::$law::<SecurityContext>();
            laws::$law::<Rollout>();
            laws::$law::<App>();
            laws::$law::<Kit>();
            laws::$law::<Secret>();
            assert_eq!(aegis_kinds::KINDS.len(), 7, "a new kind joins the laws here");
        })*
    };
}
laws! {
    a_plan_once_replayed_leaves_nothing_to_plan
    an_edit_once_applied_plans_nothing
    what_is_exported_plans_nothing
    a_step_touches_the_element_it_says
    absence_is_reached
    a_declaration_once_applied_plans_nothing
    apply_never_removes_what_others_own
    prune_removes_only_its_own
    a_projection_declares_only_what_is_owned
    force_takes_over_and_then_owns
    a_deletion_leaves_nothing_owned
}

type StoredOf<K> = Stored<<K as Kind>::Observed>;

fn replay<K: Kind>(have: Option<K::Observed>, steps: &[K::Change]) -> Option<K::Observed> {
    steps.iter().fold(have, |have, step| K::replay(have, step))
}
fn seen<K: Kind>(spec: Option<&K::Spec>) -> Option<K::Observed> {
    replay::<K>(None, &K::diff(spec, None).unwrap())
}
fn policy(owner: &Owner, prune: bool, force_conflicts: bool) -> Policy {
    Policy { owner: owner.clone(), prune, force_conflicts }
}
fn declare<K: Kind>(
    have: Option<&StoredOf<K>>,
    by: &Owner,
    spec: &K::Spec,
    meta: &Meta,
) -> Option<StoredOf<K>> {
    let plan: Plan<K> = plan_declared(Some((spec, meta)), have, &policy(by, false, true)).unwrap();
    plan.next
}
/// An object that three owners declared, one after the other, and who they were.
fn histories<K: Sample>() -> impl Strategy<Value = Option<StoredOf<K>>> {
    collection::vec((owner(), K::spec(), meta()), 0..4).prop_map(|declared| {
        declared
            .iter()
            .fold(K::origin(), |have, (by, spec, meta)| declare::<K>(have.as_ref(), by, spec, meta))
    })
}
fn owned_by_others<T>(stored: &Stored<T>, me: &Owner) -> BTreeSet<Element> {
    let others = |owners: &BTreeSet<Owner>| owners.iter().any(|owner| owner != me);
    stored.owners.iter().filter(|(_, owners)| others(owners)).map(|(e, _)| e.clone()).collect()
}
fn elements<K: Kind>(stored: Option<&StoredOf<K>>) -> BTreeSet<Element> {
    stored.map(|s| K::declares(&K::export(&s.spec)).into_iter().collect()).unwrap_or_default()
}

mod laws {
    use super::*;

    pub fn a_plan_once_replayed_leaves_nothing_to_plan<K: Sample>() {
        run((option::of(K::spec()), option::of(K::spec())), |(want, have)| {
            let have = seen::<K>(have.as_ref());
            let then = replay::<K>(have.clone(), &K::diff(want.as_ref(), have.as_ref()).unwrap());
            prop_assert_eq!(K::diff(want.as_ref(), then.as_ref()).unwrap(), vec![]);
            Ok(())
        });
    }

    pub fn an_edit_once_applied_plans_nothing<K: Sample>() {
        run((histories::<K>(), K::change()), |(have, edit)| {
            let Some(edit) = edit else { return Ok(()) };
            // An edit that is refused changes nothing, so there is nothing to say of it.
            let Ok(plan) = plan_edit::<K>(have.as_ref(), &edit) else { return Ok(()) };
            if let Ok(again) = plan_edit::<K>(plan.next.as_ref(), &edit) {
                prop_assert!(again.steps.is_empty() && !again.writes, "{:?}", again.steps);
            }
            Ok(())
        });
    }

    pub fn what_is_exported_plans_nothing<K: Sample>() {
        run(K::spec(), |spec| {
            let Some(have) = seen::<K>(Some(&spec)) else { return Ok(()) };
            prop_assert_eq!(K::diff(Some(&K::export(&have)), Some(&have)).unwrap(), vec![]);
            Ok(())
        });
    }

    pub fn a_step_touches_the_element_it_says<K: Sample>() {
        run((K::spec(), K::spec()), |(want, have)| {
            let Some(have) = seen::<K>(Some(&have)) else { return Ok(()) };
            for step in K::diff(Some(&want), Some(&have)).unwrap() {
                let Some((element, effect)) = K::touches(&step) else { continue };
                let then = K::replay(Some(have.clone()), &step).unwrap();
                let (before, after) = (K::declares(&K::export(&have)), K::declares(&K::export(&then)));
                prop_assert_eq!(after.contains(&element), effect == Effect::Set);
                let others =
                    |all: Vec<Element>| all.into_iter().filter(|e| *e != element).collect::<BTreeSet<_>>();
                prop_assert_eq!(others(before), others(after));
            }
            Ok(())
        });
    }

    pub fn absence_is_reached<K: Sample>() {
        run(K::spec(), |spec| {
            let have = seen::<K>(Some(&spec));
            let then = replay::<K>(have.clone(), &K::diff(None, have.as_ref()).unwrap());
            prop_assert_eq!(K::diff(None, then.as_ref()).unwrap(), vec![]);
            Ok(())
        });
    }

    pub fn a_declaration_once_applied_plans_nothing<K: Sample>() {
        run((histories::<K>(), owner(), K::spec(), meta(), any::<bool>(), any::<bool>()), |case| {
            let (have, by, spec, meta, prune, force) = case;
            let policy = policy(&by, prune, force);
            let first: Plan<K> = plan_declared(Some((&spec, &meta)), have.as_ref(), &policy).unwrap();
            if first.conflicts.is_empty() {
                let second: Plan<K> =
                    plan_declared(Some((&spec, &meta)), first.next.as_ref(), &policy).unwrap();
                prop_assert!(second.steps.is_empty() && !second.writes, "{:?}", second);
            }
            Ok(())
        });
    }

    pub fn apply_never_removes_what_others_own<K: Sample>() {
        run((histories::<K>(), owner(), option::of(K::spec()), any::<bool>()), |(have, by, spec, prune)| {
            let Some(have) = have else { return Ok(()) };
            let meta = Meta::default();
            let want = spec.as_ref().map(|spec| (spec, &meta));
            // A source only stops declaring an object under --prune.
            let prune = prune || want.is_none();
            let plan: Plan<K> = plan_declared(want, Some(&have), &policy(&by, prune, false)).unwrap();
            for element in owned_by_others(&have, &by) {
                prop_assert!(
                    plan.next.as_ref().is_some_and(|next| next.owners.contains_key(&element)),
                    "{} is gone: {:?}",
                    element,
                    plan
                );
            }
            Ok(())
        });
    }

    pub fn prune_removes_only_its_own<K: Sample>() {
        run((histories::<K>(), owner()), |(have, by)| {
            let Some(have) = have else { return Ok(()) };
            let plan: Plan<K> = plan_declared(None, Some(&have), &policy(&by, true, false)).unwrap();
            let left = plan.next.as_ref();
            prop_assert!(left.is_none_or(|n| n.owners.values().all(|owners| !owners.contains(&by))));
            // Whoever else owns something still has all of it.
            prop_assert!(
                owned_by_others(&have, &by)
                    .is_subset(&left.map(|n| n.owners.keys().cloned().collect()).unwrap_or_default())
            );
            Ok(())
        });
    }

    pub fn a_projection_declares_only_what_is_owned<K: Sample>() {
        run((histories::<K>(), owner()), |(have, by)| {
            let Some(have) = have else { return Ok(()) };
            let Some((spec, meta)) = project::<K>(&have, &by).unwrap() else {
                prop_assert!(have.owners.values().all(|owners| !owners.contains(&by)));
                return Ok(());
            };
            let plan: Plan<K> =
                plan_declared(Some((&spec, &meta)), Some(&have), &policy(&by, true, false)).unwrap();
            prop_assert!(plan.steps.is_empty() && plan.conflicts.is_empty(), "{:?}", plan);
            Ok(())
        });
    }

    pub fn force_takes_over_and_then_owns<K: Sample>() {
        run((histories::<K>(), owner(), K::spec()), |(have, by, spec)| {
            let plan: Plan<K> =
                plan_declared(Some((&spec, &Meta::default())), have.as_ref(), &policy(&by, false, true))
                    .unwrap();
            prop_assert!(plan.conflicts.is_empty());
            let next = plan.next;
            for element in K::declares(&spec) {
                let owners = next.as_ref().and_then(|next| next.owners.get(&element));
                prop_assert!(owners.is_some_and(|owners| owners.contains(&by)), "{element}");
            }
            prop_assert!(
                K::declares(&spec)
                    .into_iter()
                    .collect::<BTreeSet<_>>()
                    .is_subset(&elements::<K>(next.as_ref()))
            );
            Ok(())
        });
    }

    pub fn a_deletion_leaves_nothing_owned<K: Sample>() {
        run(histories::<K>(), |have| {
            let plan: Plan<K> = plan_delete(have.as_ref()).unwrap();
            prop_assert!(plan.next.is_none_or(|next| next.owners.is_empty() && next.meta.is_empty()));
            Ok(())
        });
    }
}

//! `diff` after `apply`, and `export` then `diff`, are empty.

use aegis_core::{Meta, ObjectKey};
use aegis_engine::{
    export::Document,
    memory::MemoryRealm,
    realm::{Object, Realm},
};
use aegis_kinds::{KINDS, Spec};
use futures::FutureExt;
use proptest::{collection, option, prelude::*};
use serde_json::json;

use crate::world::*;

#[test]
fn diff_after_apply_is_empty_for_the_example_of_every_kind() {
    for info in KINDS {
        let realm = realm();
        let report = by("f").apply(&realm, info.example);
        assert_eq!(report.objects.len(), 1, "{}", info.name);
        assert!(!report.objects[0].steps.is_empty(), "{}", info.name);
        let plan = by("f").prune().plan(&realm, info.example);
        assert!(!plan.has_differences() && !plan.writes(), "{}: {:?}", info.name, steps(&plan));
    }
}

fn stored(realm: &MemoryRealm) -> Vec<Object> {
    let kinds: Vec<&str> = KINDS.iter().map(|info| info.name).collect();
    realm.objects(&kinds).now_or_never().unwrap().unwrap()
}

/// All that is stored, as the manifests that `aegis export` prints.
fn export(realm: &MemoryRealm) -> String {
    let mut text = String::new();
    for object in stored(realm) {
        let document = Document::of_stored(&object.key, &object.body).unwrap().unwrap();
        text += "---\n";
        text += &serde_saphyr::to_string(&document).unwrap();
    }
    text
}

/// Texts that YAML could take for something else.
fn text() -> impl Strategy<Value = String> {
    let hard = [
        "yes",
        "null",
        "~",
        "1",
        "1.5",
        "0x1f",
        "- a",
        "a: b",
        "#no",
        "'",
        "\"",
        "@x",
        "*x",
        "|",
        " ",
        "2026-01-01",
    ];
    prop_oneof![
        proptest::sample::select(hard.to_vec()).prop_map(str::to_owned),
        "[ -~äß→\n\t]{1,20}",
        "[a-z]{1,5}",
    ]
}
fn meta() -> impl Strategy<Value = Meta> {
    let map = || collection::btree_map("[a-z]{1,6}(/[a-z]{1,3})?", text(), 0..3);
    (map(), map()).prop_map(|(labels, annotations)| Meta { labels, annotations })
}
fn specs() -> impl Strategy<Value = (ObjectKey, Spec)> {
    let spec = |kind: &str, spec: serde_json::Value| -> Spec {
        serde_json::from_value(json!({"kind": kind, "spec": spec})).unwrap()
    };
    let tag = || collection::btree_set("[a-zA-Z0-9][a-z0-9_./:-]{0,6}", 0..4);
    let hosts = || collection::btree_set(proptest::sample::select(vec![WEB_1, WEB_2, DB_3]), 0..3);
    let node =
        (proptest::sample::select(vec![WEB_1, WEB_2]), tag(), option::of(text()), option::of(any::<bool>()))
            .prop_map(move |(name, tags, display, drain)| {
                let mut value = json!({"tags": tags});
                if let Some(display) = display {
                    value["displayName"] = display.into();
                }
                if let Some(drain) = drain {
                    value["drain"] = drain.into();
                }
                (ObjectKey::new("EdgeNode", name), spec("EdgeNode", value))
            });
    let selector = proptest::sample::select(vec![
        "all",
        "tags=AllOf(prod,web) os=linux",
        "os=macos",
        "@n-aaaa0000000000000001",
        "tags=AnyOf(a,b) arch=arm64",
    ]);
    let group = ("[a-z0-9]{1,5}", selector, hosts()).prop_map(move |(name, selector, pinned)| {
        let value = json!({"selector": selector, "pinned": pinned});
        (ObjectKey::new("EdgeGroup", name), spec("EdgeGroup", value))
    });
    let tools = || collection::vec("[a-z]{1,4}(\\.[a-z]{1,4})?", 1..3);
    let capability = (
        tools(),
        collection::vec("/[a-z /'\"#:-]{0,8}[a-z]", 0..3),
        option::of(1..100_u32),
        option::of(1..9_u8),
    )
        .prop_map(|(tools, paths, rate, output)| {
            let mut value = json!({"tools": tools, "paths": paths});
            if let Some(rate) = rate {
                value["rateLimit"] = format!("{rate}/m").into();
            }
            if let Some(output) = output {
                value["maxOutput"] = format!("{output}MiB").into();
            }
            value
        });
    let context =
        ("[a-z0-9]{1,5}", collection::vec(capability, 0..3), collection::btree_set("[a-z]{1,4}", 0..3))
            .prop_map(move |(name, capabilities, deny)| {
                let value = json!({"capabilities": capabilities, "deny": deny});
                (ObjectKey::new("SecurityContext", name), spec("SecurityContext", value))
            });
    let value = prop_oneof![text().prop_map(serde_json::Value::from), any::<i32>().prop_map(Into::into)];
    let args = collection::btree_map("[a-z]{1,4}", value, 0..3);
    let batch =
        prop_oneof![(1..9_u32).prop_map(|n| json!(n)), (1..101_u8).prop_map(|p| json!(format!("{p}%")))];
    let rollout = ("[a-z0-9]{1,5}", args, option::of(batch), any::<bool>()).prop_map(
        move |(name, args, batch, catch_up)| {
            let mut value = json!({"target": "tags=prod", "tool": "backup.start", "args": args});
            value["catchUp"] = catch_up.into();
            if let Some(batch) = batch {
                value["strategy"] = json!({"batch": batch, "deadline": "90s"});
                value["healthCheck"] = json!({"tool": "backup.check", "args": args});
            }
            (ObjectKey::new("Rollout", name), spec("Rollout", value))
        },
    );
    let env = collection::btree_map("[A-Z][A-Z0-9_]{0,4}", text(), 0..3);
    let command = collection::vec(text(), 1..4);
    let app = ("[a-z0-9]{1,5}", env, command, any::<bool>(), option::of(1..9_u8)).prop_map(
        move |(name, env, mut command, serve, memory)| {
            command[0] = "run".into();
            let expose = json!([80, "8443:443", {"guest": 53, "host": 5353}]);
            let mut value = json!({"image": "a:1", "env": env, "command": command, "expose": expose});
            value["serve"] = serve.into();
            if let Some(memory) = memory {
                value["resources"] = json!({"memory": format!("{memory}GiB"), "cpus": memory});
                value["readiness"] = json!({"port": "none", "timeout": "5s"});
            }
            (ObjectKey::new("App", name), spec("App", value))
        },
    );
    let kit = ("[a-z0-9]{1,5}", option::of(text()), collection::btree_set("[A-Z]{1,3}", 0..3)).prop_map(
        move |(name, description, secrets)| {
            let mut value =
                json!({"version": "1.0.0", "image": "k:1", "config": {"requiredSecrets": secrets}});
            if let Some(description) = description {
                value["description"] = description.into();
            }
            (ObjectKey::new("Kit", name), spec("Kit", value))
        },
    );
    let secret = ("[A-Z][A-Z0-9]{0,4}", 0..9_u8).prop_map(move |(name, digit)| {
        let value = json!({"digest": format!("hmac-sha256:{}", digit.to_string().repeat(64))});
        (ObjectKey::new("Secret", name), spec("Secret", value))
    });
    prop_oneof![node, group, context, rollout, app, kit, secret]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_can_be_declared_by_anybody_without_a_difference(
        objects in collection::btree_map("[a-z]{1,4}", (specs(), meta()), 0..8),
    ) {
        let realm = realm();
        for ((key, spec), meta) in objects.into_values() {
            let document = Document::new(&key.name, &spec, meta).unwrap();
            by("one").force().apply(&realm, &serde_saphyr::to_string(&document).unwrap());
        }
        let before = dump(&realm);
        let text = export(&realm);
        let plan = by("two").plan(&realm, &text);
        prop_assert!(!plan.has_differences(), "{:?}\n{}", steps(&plan), text);
        carry_out(&realm, plan).unwrap();
        for (key, body) in dump(&realm) {
            prop_assert_eq!(&body["spec"], &before[&key]["spec"]);
            prop_assert_eq!(&body["meta"], &before[&key]["meta"]);
        }
        // JSON is YAML, so what `export --output json` prints can be declared as well.
        let mut json = String::new();
        for object in stored(&realm) {
            let document = Document::of_stored(&object.key, &object.body).unwrap().unwrap();
            json += "---\n";
            json += &serde_json::to_string_pretty(&document).unwrap();
            json += "\n";
        }
        prop_assert!(!by("two").plan(&realm, &json).writes());
    }
}

//! What was found unchanged needs no second look, and the plan is the same.

use aegis_core::id::Tag;
use aegis_engine::{cache::Cache, declare::Declared, memory::MemoryRealm};
use aegis_kinds::{EdgeGroup, EdgeGroupEdit, EdgeNode, EdgeNodeEdit};

use crate::world::*;

fn plan(realm: &MemoryRealm, who: &As, text: &str, cache: &Cache) -> Declared {
    who.declare(realm, &sources(&[("a.yaml", text)]), Some(cache)).map_err(shown).unwrap()
}

/// Applies `text`, plans it once more, and gives what is then remembered.
fn settled(realm: &MemoryRealm, text: &str) -> Cache {
    by("f").apply(realm, text);
    by("f").declare(realm, &sources(&[("a.yaml", text)]), None).unwrap().remember
}

fn fleet() -> String {
    node("web-1", "{tags: [a]}")
        + &node(WEB_2, "{tags: [a]}")
        + &group("base", "all")
        + &group("top", "group:base")
        + &document("EdgeGroup", "pins", "{selector: 'tags=x', pinned: [web-2]}")
}

#[test]
fn a_second_plan_reads_nothing_and_decodes_nothing() {
    for who in [by("f"), by("f").prune(), by("f").force()] {
        let realm = realm();
        let cache = settled(&realm, &fleet());
        let reads = realm.reads();
        let declared = plan(&realm, &who, &fleet(), &cache);
        assert_eq!(realm.reads(), reads);
        assert_eq!((declared.plan.cached.len(), declared.plan.items().count()), (5, 0));
        assert!(!declared.plan.writes() && !declared.plan.has_differences());
        assert_eq!(declared.remember, cache);
        let report = carry_out(&realm, declared.plan).unwrap();
        assert_eq!(outcomes(&report)[..2], ["EdgeNode/web-1 unchanged", "EdgeNode/web-2 unchanged"]);
    }
}

#[test]
fn one_changed_document_is_one_that_is_decoded_and_read() {
    let realm = realm();
    let cache = settled(&realm, &fleet());
    let reads = realm.reads();
    let text = fleet().replace("tags=x", "tags=y");
    let declared = plan(&realm, &by("f").prune(), &text, &cache);
    assert_eq!(steps(&declared.plan), ["pins ~ selector tags=x → tags=y"]);
    assert_eq!((declared.plan.cached.len(), declared.plan.items().count()), (4, 1));
    // The object, and the hosts that it names.
    assert_eq!(realm.reads() - reads, 2);
    carry_out(&realm, declared.plan).unwrap();
    let next = plan(&realm, &by("f").prune(), &text, &declared.remember);
    assert!(!next.plan.writes());
    let reads = realm.reads();
    assert_eq!(plan(&realm, &by("f").prune(), &text, &next.remember).plan.cached.len(), 5);
    assert_eq!(realm.reads(), reads);
}

#[test]
fn a_changed_host_is_all_that_is_read_even_where_it_is_called_by_its_name() {
    for who in [by("f"), by("f").prune()] {
        let realm = realm();
        let cache = settled(&realm, &fleet());
        let reads = realm.reads();
        let text = fleet().replace("web-1}\nspec: {tags: [a]}", "web-1}\nspec: {tags: [a, b]}");
        let declared = plan(&realm, &who, &text, &cache);
        assert_eq!(steps(&declared.plan), ["web-1 + tag b"]);
        assert_eq!(realm.reads() - reads, 1);
    }
}

#[test]
fn a_document_that_others_point_to_is_looked_at_with_them() {
    let realm = realm();
    let cache = settled(&realm, &fleet());
    let text = fleet()
        .replace("{name: base}\nspec: {selector: 'all'}", "{name: base}\nspec: {selector: 'group:top'}");
    let who = by("f");
    let files = [("a.yaml", text.as_str())];
    let error = who.declare(&realm, &sources(&files), Some(&cache)).map_err(shown).unwrap_err();
    assert!(error.contains("a cycle: EdgeGroup/base → EdgeGroup/top → EdgeGroup/base"), "{error}");
}

#[test]
fn a_circle_over_documents_that_havent_changed_is_found() {
    let realm = realm();
    let text = group("a", "all") + &group("b", "group:a") + &group("c", "group:b") + &group("d", "group:c");
    let cache = settled(&realm, &text);
    let text = text.replace("'all'", "'group:d'");
    let error =
        by("f").declare(&realm, &sources(&[("a.yaml", &text)]), Some(&cache)).map_err(shown).unwrap_err();
    assert!(error.contains("a cycle: EdgeGroup/a → EdgeGroup/d → EdgeGroup/c → EdgeGroup/b"), "{error}");
}

#[test]
fn a_name_that_comes_to_mean_another_host_is_found() {
    let realm = realm();
    let cache = settled(&realm, &fleet());
    let mut hosts = hosts();
    (hosts[0].name, hosts[1].name) = ("web-2".into(), "web-1".into());
    realm.set_hosts(hosts);
    let declared = plan(&realm, &by("f"), &fleet().replace(WEB_2, "web-2"), &cache);
    let pins = format!("pins + pinned {WEB_1}");
    assert_eq!(steps(&declared.plan), [pins]);

    realm.set_hosts(self::hosts().into_iter().skip(1).collect());
    let error =
        by("f").declare(&realm, &sources(&[("a.yaml", &fleet())]), Some(&cache)).map_err(shown).unwrap_err();
    assert!(error.contains("no host called 'web-1' is enrolled"), "{error}");
}

#[test]
fn what_is_as_declared_but_not_yet_in_the_inventory_isnt_settled() {
    let realm = realm();
    let text = node("web-1", "{}");
    // Only looked at, not applied.
    let looked = by("f").declare(&realm, &sources(&[("a.yaml", &text)]), None).unwrap().remember;
    let declared = plan(&realm, &by("f"), &text, &looked);
    carry_out(&realm, declared.plan).unwrap();
    assert_eq!(inventory(&realm, "f"), [format!("EdgeNode/{WEB_1}")].into());
}

#[test]
fn a_change_by_hand_is_found() {
    let realm = realm();
    let cache = settled(&realm, &fleet());
    edit::<EdgeNode>(&realm, "web-2", EdgeNodeEdit::RemoveTags(vec![Tag::new("a").unwrap()]));
    let declared = plan(&realm, &by("f"), &fleet(), &cache);
    assert_eq!(steps(&declared.plan), ["web-2 + tag a"]);
    delete(&realm, "EdgeGroup", "base");
    let declared = plan(&realm, &by("f"), &fleet(), &cache);
    assert_eq!(steps(&declared.plan), ["web-2 + tag a", "base + selector all"]);
}

#[test]
fn what_is_left_over_is_pruned_though_everything_else_is_settled() {
    let realm = realm();
    let cache = settled(&realm, &fleet());
    let text = fleet().replace(&document("EdgeGroup", "pins", "{selector: 'tags=x', pinned: [web-2]}"), "");
    // Without --prune first, so that what is remembered doesn't know the document any more.
    let without = plan(&realm, &by("f"), &text, &cache);
    assert!(!without.plan.writes() && without.remember.leftovers);
    for _ in 0..2 {
        // Looking at what --prune would do changes nothing, also not what is remembered.
        let declared = plan(&realm, &by("f").prune(), &text, &without.remember);
        assert_eq!(steps(&declared.plan), ["pins - the group"]);
        let again = plan(&realm, &by("f").prune(), &text, &declared.remember);
        assert_eq!(steps(&again.plan), ["pins - the group"]);
    }
    let declared = plan(&realm, &by("f").prune(), &text, &without.remember);
    carry_out(&realm, declared.plan).unwrap();
    let after = plan(&realm, &by("f").prune(), &text, &declared.remember);
    assert!(!after.plan.writes() && !after.remember.leftovers);
    let reads = realm.reads();
    plan(&realm, &by("f").prune(), &text, &after.remember);
    assert_eq!(realm.reads(), reads);
}

#[test]
fn what_was_edited_looked_at_and_then_taken_out_is_pruned() {
    let realm = realm();
    let pins = document("EdgeGroup", "pins", "{selector: 'tags=x', pinned: [web-2]}");
    let cache = settled(&realm, &fleet());
    let edited = plan(&realm, &by("f"), &fleet().replace("tags=x", "tags=y"), &cache).remember;
    let declared = plan(&realm, &by("f").prune(), &fleet().replace(&pins, ""), &edited);
    assert_eq!(steps(&declared.plan), ["pins - the group"]);
}

#[test]
fn what_the_same_owner_wrote_elsewhere_is_pruned_and_what_it_pruned_is_owned_again() {
    let realm = realm();
    let cache = settled(&realm, &fleet());
    by("f").apply(&realm, &group("elsewhere", "all"));
    let seen = plan(&realm, &by("f"), &fleet(), &cache);
    let declared = plan(&realm, &by("f").prune(), &fleet(), &seen.remember);
    assert_eq!(steps(&declared.plan), ["elsewhere - the group"]);

    by("f").prune().apply(&realm, "");
    let declared = plan(&realm, &by("f"), &fleet(), &cache);
    carry_out(&realm, declared.plan).unwrap();
    assert_eq!(orphans(&realm, "f"), [""; 0]);
}

#[test]
fn a_document_that_stands_twice_word_for_word_is_found() {
    let realm = realm();
    let cache = settled(&realm, &fleet());
    let twice = fleet();
    let sources = sources(&[("a.yaml", twice.as_str()), ("b.yaml", twice.as_str())]);
    let error = by("f").declare(&realm, &sources, Some(&cache)).map_err(shown).unwrap_err();
    assert!(
        error.contains("declared twice") && error.contains("a.yaml") && error.contains("b.yaml"),
        "{error}"
    );
}

#[test]
fn what_prune_removes_cant_be_pointed_to_by_a_settled_document() {
    let realm = realm();
    by("f").apply(&realm, &(group("base", "all") + &group("top", "group:base")));
    let top = group("top", "group:base");
    let files = [("a.yaml", top.as_str())];
    let remember = by("f").declare(&realm, &sources(&files), None).unwrap().remember;
    let error =
        by("f").prune().declare(&realm, &sources(&files), Some(&remember)).map_err(shown).unwrap_err();
    assert!(error.contains("EdgeGroup/base is removed by this very plan"), "{error}");
}

#[test]
fn a_cache_that_is_damaged_or_of_another_time_is_harmless() {
    let realm = realm();
    let cache = settled(&realm, &fleet());
    edit::<EdgeGroup>(&realm, "byhand", EdgeGroupEdit::Create("all".parse().unwrap()));
    let mut bytes = cache.to_bytes();
    assert_eq!(Cache::from_bytes(&bytes).as_ref(), Some(&cache));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    assert_eq!(Cache::from_bytes(&bytes), None);

    // A controller that was restored from a backup is behind what was remembered of it.
    let restored = self::realm();
    let declared = plan(&restored, &by("f"), &fleet(), &cache);
    assert_eq!((declared.plan.cached.len(), declared.plan.items().count()), (0, 5));
    assert_eq!(count(&carry_out(&restored, declared.plan).unwrap(), aegis_core::Outcome::Created), 3);
}

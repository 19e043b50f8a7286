//! Several writers, one object.

use aegis_core::{Outcome, id::Tag};
use aegis_engine::plan::Plan;
use aegis_kinds::{EdgeGroup, EdgeGroupEdit, EdgeNode, EdgeNodeEdit};
use serde_json::json;

use crate::world::*;

fn tags(names: &[&str]) -> Vec<Tag> {
    names.iter().map(|name| Tag::new(*name).unwrap()).collect()
}

#[test]
fn applied_twice_is_unchanged_and_begins_nothing() {
    let realm = realm();
    let text = node("web-1", "{tags: [prod, web], displayName: Web}") + &group("web", "tags=web");
    let first = by("fleet").apply(&realm, &text);
    assert_eq!(outcomes(&first), ["EdgeNode/web-1 updated", "EdgeGroup/web created"]);
    assert!(first.revision.is_some());
    let stored = dump(&realm);
    let second = by("fleet").apply(&realm, &text);
    assert_eq!(outcomes(&second), ["EdgeNode/web-1 unchanged", "EdgeGroup/web unchanged"]);
    assert_eq!(second.revision, None);
    assert_eq!(dump(&realm), stored);
}

#[test]
fn two_owners_share_one_node() {
    let realm = realm();
    let (one, two) = (node("web-1", "{tags: [a, both]}"), node("web-1", "{tags: [b, both], drain: true}"));
    by("one").apply(&realm, &one);
    by("two").apply(&realm, &two);
    let all = json!({"tags": ["a", "b", "both"], "drain": true});
    assert_eq!(spec(&realm, &format!("EdgeNode/{WEB_1}")), all);
    for (owner, text) in [("one", &one), ("two", &two)] {
        let plan = by(owner).prune().plan(&realm, text);
        assert!(!plan.writes() && !plan.has_differences(), "{owner}: {:?}", steps(&plan));
    }
    // One of them ends: what both declared stays for the other.
    by("one").prune().apply(&realm, "");
    let left = json!({"tags": ["b", "both"], "drain": true});
    assert_eq!(spec(&realm, &format!("EdgeNode/{WEB_1}")), left);
}

#[test]
fn a_conflict_names_field_and_owner_and_nothing_of_the_plan_is_written() {
    let realm = realm();
    by("one").apply(&realm, &group("web", "tags=web"));
    let stored = dump(&realm);
    let text = group("web", "tags=www") + &group("new", "all") + &group("needs", "group:new");
    let plan = by("two").plan(&realm, &text);
    assert!(plan.has_conflicts() && plan.has_differences());
    let report = carry_out(&realm, plan).unwrap();
    assert!(report.has_conflicts());
    assert_eq!(
        outcomes(&report),
        ["EdgeGroup/web failed", "EdgeGroup/new skipped", "EdgeGroup/needs skipped"]
    );
    let conflict = &report.objects[0].conflicts[0];
    assert_eq!(conflict.element.to_string(), "selector");
    assert_eq!(conflict.owners, [owner("one")].into());
    assert_eq!(conflict.wanted, "~ selector tags=web → tags=www");
    assert_eq!(report.revision, None);
    assert_eq!((dump(&realm), inventory(&realm, "two").len()), (stored, 0));

    let forced = by("two").force().apply(&realm, &text);
    assert_eq!(count(&forced, Outcome::Failed) + count(&forced, Outcome::Skipped), 0);
    assert_eq!(spec(&realm, "EdgeGroup/web"), json!({"selector": "tags=www"}));
    assert_eq!(dump(&realm)["EdgeGroup/web"]["owners"], json!({"selector": ["two"]}));
    assert!(by("one").plan(&realm, &group("web", "tags=web")).has_conflicts());
}

#[test]
fn prune_removes_only_what_the_owner_declared_before() {
    let realm = realm();
    let mine = group("mine", "all") + &node("web-1", "{tags: [mine]}");
    by("one").apply(&realm, &(mine + &document("EdgeGroup", "shared", "{selector: all, pinned: [web-1]}")));
    by("two").apply(&realm, &document("EdgeGroup", "shared", "{selector: all, pinned: [web-2]}"));
    by("two").apply(&realm, &group("theirs", "all"));
    edit::<EdgeNode>(&realm, "web-1", EdgeNodeEdit::AddTags(tags(&["hand"])));
    edit::<EdgeGroup>(&realm, "byhand", EdgeGroupEdit::Create("all".parse().unwrap()));

    // Without --prune what is gone from the manifests stays, and is said to stay.
    let kept = by("one").apply(&realm, &node("web-1", "{}"));
    assert_eq!(kept.objects[0].kept.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tags[mine]"]);
    assert_eq!(outcomes(&kept), ["EdgeNode/web-1 unchanged"]);
    assert!(dump(&realm).contains_key("EdgeGroup/mine"));

    let report = by("one").prune().apply(&realm, &group("new", "all"));
    let mut ends = outcomes(&report);
    ends.sort();
    assert_eq!(
        ends,
        [
            "EdgeGroup/mine deleted",
            "EdgeGroup/new created",
            "EdgeGroup/shared updated",
            "EdgeNode/web-1 updated"
        ]
    );
    assert_eq!(spec(&realm, &format!("EdgeNode/{WEB_1}")), json!({"tags": ["hand"]}));
    assert_eq!(spec(&realm, "EdgeGroup/shared"), json!({"selector": "all", "pinned": [WEB_2]}));
    assert!(dump(&realm).contains_key("EdgeGroup/theirs") && dump(&realm).contains_key("EdgeGroup/byhand"));
    assert_eq!(inventory(&realm, "one"), ["EdgeGroup/new".to_owned()].into());
    assert_eq!(
        inventory(&realm, "two"),
        ["EdgeGroup/shared".to_owned(), "EdgeGroup/theirs".to_owned()].into()
    );
    assert!(!by("one").prune().plan(&realm, &group("new", "all")).writes());
}

#[test]
fn a_change_by_hand_says_who_reverts_it_and_apply_reverts_it_without_conflict() {
    let realm = realm();
    let text = node("web-1", "{tags: [prod], displayName: Web}");
    by("fleet").apply(&realm, &text);
    let stored = dump(&realm);
    let removed = edit::<EdgeNode>(&realm, "web-1", EdgeNodeEdit::RemoveTags(tags(&["prod"])));
    let revert = &removed.objects[0].reverted_by[0];
    assert_eq!(
        (revert.element.to_string(), revert.owners.clone()),
        ("tags[prod]".into(), [owner("fleet")].into())
    );
    assert_eq!(spec(&realm, &format!("EdgeNode/{WEB_1}")), json!({"displayName": "Web"}));
    edit::<EdgeNode>(&realm, "web-1", EdgeNodeEdit::AddTags(tags(&["hand"])));

    let plan = by("fleet").plan(&realm, &text);
    assert_eq!(steps(&plan), ["web-1 + tag prod"]);
    assert!(!plan.has_conflicts());
    carry_out(&realm, plan).unwrap();
    edit::<EdgeNode>(&realm, "web-1", EdgeNodeEdit::RemoveTags(tags(&["hand"])));
    assert_eq!(dump(&realm), stored);
}

#[test]
fn a_group_deleted_by_hand_comes_back_with_the_next_apply() {
    let realm = realm();
    by("fleet").apply(&realm, &group("web", "all"));
    let stored = dump(&realm);
    let deleted = delete(&realm, "EdgeGroup", "web");
    assert_eq!(outcomes(&deleted), ["EdgeGroup/web deleted"]);
    assert_eq!(deleted.objects[0].reverted_by[0].owners, [owner("fleet")].into());
    assert_eq!(outcomes(&by("fleet").apply(&realm, &group("web", "all"))), ["EdgeGroup/web created"]);
    assert_eq!(dump(&realm), stored);
    assert_eq!(orphans(&realm, "fleet"), [""; 0]);
}

#[test]
fn an_object_adopted_then_released_stays_as_it_was() {
    let realm = realm();
    edit::<EdgeGroup>(&realm, "web", EdgeGroupEdit::Create("all".parse().unwrap()));
    let before = dump(&realm);
    let adopted = by("fleet").apply(&realm, &group("web", "all"));
    // Nothing that is seen changes, only whose it is.
    assert_eq!(outcomes(&adopted), ["EdgeGroup/web unchanged"]);
    assert_eq!(dump(&realm)["EdgeGroup/web"]["owners"], json!({"selector": ["cli", "fleet"]}));
    assert_eq!(inventory(&realm, "fleet").len(), 1);
    let released = by("fleet").prune().apply(&realm, "");
    assert_eq!(outcomes(&released), ["EdgeGroup/web unchanged"]);
    assert_eq!((dump(&realm), inventory(&realm, "fleet").len()), (before, 0));
}

#[test]
fn an_owner_that_is_renamed_loses_nothing() {
    let realm = realm();
    let text = node("web-1", "{tags: [prod], drain: false}") + &group("web", "tags=prod");
    by("old").apply(&realm, &text);
    let before: Vec<_> = dump(&realm).into_values().map(|body| body["spec"].clone()).collect();
    let renamed = by("new").apply(&realm, &text);
    assert_eq!(count(&renamed, Outcome::Unchanged), 2);
    by("old").prune().apply(&realm, "");
    let after: Vec<_> = dump(&realm).into_values().map(|body| body["spec"].clone()).collect();
    assert_eq!(after, before);
    assert!(inventory(&realm, "old").is_empty());
    assert!(!by("new").prune().plan(&realm, &text).writes());
    by("new").prune().apply(&realm, "");
    assert_eq!(spec(&realm, &format!("EdgeNode/{WEB_1}")), json!({}));
    assert!(!dump(&realm).contains_key("EdgeGroup/web"));
}

#[test]
fn what_others_still_own_something_of_may_go_on_to_be_pointed_to() {
    let realm = realm();
    by("one").apply(&realm, &group("base", "all"));
    by("two").apply(&realm, &document("EdgeGroup", "base", "{selector: all, pinned: [web-1]}"));
    // `base` is released by `one`, but stays; so it can still be named.
    let report = by("one").prune().apply(&realm, &group("top", "group:base"));
    assert_eq!(outcomes(&report), ["EdgeGroup/top created", "EdgeGroup/base unchanged"]);
    assert_eq!(inventory(&realm, "one"), ["EdgeGroup/top".to_owned()].into());
}

#[test]
fn a_field_that_two_owners_agree_on_and_a_person_changed_is_put_back_by_either() {
    for first in ["one", "two"] {
        let realm = realm();
        let text = node("web-1", "{drain: false}");
        by("one").apply(&realm, &text);
        by("two").apply(&realm, &text);
        let stored = dump(&realm);
        let drained = edit::<EdgeNode>(&realm, "web-1", EdgeNodeEdit::Drain(true));
        assert_eq!(drained.objects[0].reverted_by[0].owners, [owner("one"), owner("two")].into());

        let plan = by(first).plan(&realm, &text);
        assert_eq!(steps(&plan), ["web-1 ~ drain true → false"]);
        assert!(!plan.has_conflicts());
        carry_out(&realm, plan).unwrap();
        assert_eq!(dump(&realm), stored);
    }
}

#[test]
fn a_field_that_only_a_person_set_is_theirs() {
    let realm = realm();
    edit::<EdgeNode>(&realm, "web-1", EdgeNodeEdit::Drain(true));
    let plan = by("one").plan(&realm, &node("web-1", "{drain: false}"));
    assert!(plan.has_conflicts(), "taking over a field that another owner set is a conflict");
}

#[test]
fn what_is_no_longer_declared_is_named_until_it_is_pruned() {
    let realm = realm();
    let (both, one) = (group("web", "tags=web") + &group("db", "tags=db"), group("web", "tags=web"));
    by("fleet").apply(&realm, &both);
    let plan = by("fleet").plan(&realm, &one);
    let names = |plan: &Plan| plan.undeclared.iter().map(|s| s.key.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&plan), ["EdgeGroup/db"]);
    assert!(!plan.has_differences() && !plan.writes());
    // Neither another owner's objects, nor what is gone.
    by("other").apply(&realm, &group("other", "all"));
    assert_eq!(names(&by("fleet").plan(&realm, &one)), ["EdgeGroup/db"]);
    delete(&realm, "EdgeGroup", "db");
    assert_eq!(names(&by("fleet").plan(&realm, &one)), [""; 0]);
    by("fleet").apply(&realm, &both);
    assert_eq!(names(&by("fleet").prune().plan(&realm, &one)), [""; 0]);
}

//! Back to an earlier plan.

use aegis_core::{Outcome, Owner, Revision, id::Tag};
use aegis_engine::{event::Report, memory::MemoryRealm, plan::Plan, rollback};
use aegis_kinds::{EdgeNode, EdgeNodeEdit};
use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::json;

use crate::{manifests, world::*};

fn plan_back(realm: &MemoryRealm, revision: Revision) -> Plan {
    let (owner, wishes) = block_on(rollback::wishes(realm, revision)).unwrap();
    plan_wishes(realm, owner, wishes)
}
fn back(realm: &MemoryRealm, revision: Revision) -> Report {
    carry_out(realm, plan_back(realm, revision)).unwrap()
}
fn hand(realm: &MemoryRealm, tag: &str) {
    edit::<EdgeNode>(realm, "web-1", EdgeNodeEdit::AddTags(vec![Tag::new(tag).unwrap()]));
}
fn web(realm: &MemoryRealm) -> serde_json::Value {
    spec(realm, &format!("EdgeNode/{WEB_1}"))
}

#[test]
fn the_owners_elements_are_as_they_were_and_the_others_stay() {
    let realm = realm();
    let first = node("web-1", "{tags: [one], displayName: First}") + &group("old", "tags=x");
    let revision = by("f").apply(&realm, &first).revision.unwrap();
    let second = node("web-1", "{tags: [two], displayName: Second}") + &group("new", "group:old");
    by("other").apply(&realm, &node("web-1", "{tags: [theirs]}"));
    by("f").prune().apply(&realm, &(second.clone() + &group("old", "tags=y")));
    hand(&realm, "hand");
    by("other").apply(&realm, &node("web-1", "{tags: [theirs, more]}"));

    let report = back(&realm, revision);
    let mut ends = outcomes(&report);
    ends.sort();
    assert_eq!(ends, ["EdgeGroup/new deleted", "EdgeGroup/old updated", "EdgeNode/web-1 updated"]);
    assert_eq!(web(&realm), json!({"tags": ["hand", "more", "one", "theirs"], "displayName": "First"}));
    assert_eq!(spec(&realm, "EdgeGroup/old"), json!({"selector": "tags=x"}));
    assert!(!dump(&realm).contains_key("EdgeGroup/new"));
    assert!(!by("f").prune().plan(&realm, &first).writes());
    assert_eq!(count(&back(&realm, revision), Outcome::Unchanged), 2);
    // The manifests weren't changed, so the next apply goes forward again.
    let forward = by("f").prune().apply(&realm, &(second + &group("old", "tags=y")));
    assert_eq!(count(&forward, Outcome::Failed), 0);
    assert_eq!(web(&realm)["displayName"], "Second");
}

#[test]
fn what_was_pruned_comes_back() {
    let realm = realm();
    let text = group("base", "all") + &group("top", "group:base") + &node("web-2", "{drain: true}");
    let revision = by("f").apply(&realm, &text).revision.unwrap();
    let stored = dump(&realm);
    by("f").prune().apply(&realm, "");
    assert!(inventory(&realm, "f").is_empty());
    let report = back(&realm, revision);
    assert_eq!(count(&report, Outcome::Created), 2);
    assert_eq!(dump(&realm), stored);
    assert!(orphans(&realm, "f").is_empty() && !by("f").prune().plan(&realm, &text).writes());
}

#[test]
fn a_change_by_hand_since_then_isnt_taken_for_what_was_declared() {
    let realm = realm();
    let text = node("web-1", "{drain: false}");
    let revision = by("f").apply(&realm, &text).revision.unwrap();
    edit::<EdgeNode>(&realm, "web-1", EdgeNodeEdit::Drain(true));
    by("f").apply(&realm, &text);
    assert_eq!(outcomes(&back(&realm, revision)), ["EdgeNode/web-1 unchanged"]);
    assert_eq!(web(&realm), json!({"drain": false}));
    edit::<EdgeNode>(&realm, "web-1", EdgeNodeEdit::Drain(true));
    assert_eq!(outcomes(&back(&realm, revision)), ["EdgeNode/web-1 updated"]);
    assert_eq!(web(&realm), json!({"drain": false}));
}

#[test]
fn a_field_that_another_took_over_since_is_a_conflict() {
    let realm = realm();
    let revision = by("f").apply(&realm, &group("web", "all")).revision.unwrap();
    by("other").force().apply(&realm, &group("web", "tags=x"));
    let plan = plan_back(&realm, revision);
    assert!(plan.has_conflicts());
    assert_eq!(outcomes(&carry_out(&realm, plan).unwrap()), ["EdgeGroup/web failed"]);
    assert_eq!(spec(&realm, "EdgeGroup/web"), json!({"selector": "tags=x"}));
}

#[test]
fn a_revision_that_isnt_there_is_said_so() {
    let error = block_on(rollback::wishes(&realm(), Revision(7))).unwrap_err();
    assert_eq!(error.to_string(), "there is no revision 7 in the history");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever one owner applied since, going back gives what its first manifests declare, and leaves the other's.
    #[test]
    fn any_way_there_is_a_way_back(
        first in manifests::valid(),
        later in proptest::collection::vec((manifests::valid(), any::<[bool; 3]>()), 0..4),
        others in manifests::valid(),
    ) {
        let realm = realm();
        // The other owner only speaks of tags and pins of its own.
        by("other").force().apply(&realm, &manifests::text(&others));
        let report = by("f").force().apply(&realm, &manifests::text(&first));
        let Some(revision) = report.revision else { return Ok(()) };
        let owned = owned_by(&realm, "f");
        for (documents, [prune, by_hand, other_too]) in later {
            let mut by = by("f");
            by.policy.prune = prune;
            let text = manifests::text(&documents);
            // Fields of the other, and references to what prune removes, are refused; then nothing happened.
            if let Ok(declared) = by.declare(&realm, &sources(&[("a.yaml", &text)]), None) {
                carry_out(&realm, declared.plan).unwrap();
            }
            if by_hand {
                let tags = vec![Tag::new("a").unwrap()];
                edit::<EdgeNode>(&realm, "web-1", EdgeNodeEdit::RemoveTags(tags));
            }
            if other_too {
                self::by("other").apply(&realm, &node("web-2", "{tags: [d]}"));
            }
        }
        let foreign = elements_of(&realm, "other");
        back(&realm, revision);
        prop_assert_eq!(owned_by(&realm, "f"), owned);
        prop_assert_eq!(elements_of(&realm, "other"), foreign);
        prop_assert!(orphans(&realm, "f").is_empty());
    }
}

/// What one owner owns of each object, as it would be exported.
fn owned_by(realm: &MemoryRealm, name: &str) -> Vec<String> {
    let part = |(key, body): (String, serde_json::Value)| {
        let kind = key.split('/').next().unwrap();
        let body = serde_json::to_vec(&body).unwrap();
        let part = aegis_kinds::project(kind, &body, &Owner::new(name).unwrap()).unwrap()?;
        Some(format!("{key} {part:?}"))
    };
    dump(realm).into_iter().filter_map(part).collect()
}

/// The elements that one owner owns.
fn elements_of(realm: &MemoryRealm, name: &str) -> Vec<String> {
    let mut elements = Vec::new();
    for (key, body) in dump(realm) {
        let owners = body["owners"].as_object().cloned().unwrap_or_default();
        let mine = owners.iter().filter(|(_, of)| of.as_array().unwrap().contains(&name.into()));
        elements.extend(mine.map(|(element, _)| format!("{key} {element}")));
    }
    elements
}

//! Applying while others write, while things fail, and until told to stop.

use std::cell::Cell;

use aegis_core::{Kind, ObjectKey, Outcome, Revision, id::Tag, outcome::Summary};
use aegis_engine::{
    apply,
    event::ObjectEvent,
    memory::MemoryRealm,
    realm::{Changes, Host, Object, PastWrite, Provenance, Realm, Write, Written},
};
use aegis_kinds::{EdgeGroup, EdgeGroupEdit, EdgeNode, EdgeNodeEdit, Spec};
use aegis_wire::error::ApiError;
use futures::executor::block_on;
use serde_json::json;

use crate::world::*;

fn tag(name: &str) -> EdgeNodeEdit {
    EdgeNodeEdit::AddTags(vec![Tag::new(name).unwrap()])
}

/// `meddler` only once, before the first write.
fn once(meddler: impl Fn(&MemoryRealm) + Send) -> impl FnMut(&MemoryRealm) + Send {
    let mut is_done = false;
    move |realm| {
        if !std::mem::replace(&mut is_done, true) {
            meddler(realm);
        }
    }
}

#[test]
fn what_a_person_added_in_between_is_kept() {
    let realm = realm();
    let text = node("web-1", "{tags: [prod]}");
    let plan = by("f").plan(&realm, &text);
    let troubled = Troubled::meddled(&realm, once(|realm| meddle::<EdgeNode>(realm, WEB_1, &tag("hand"))));
    let report = carry_out(&troubled, plan).unwrap();
    assert_eq!(outcomes(&report), ["EdgeNode/web-1 updated"]);
    assert_eq!(spec(&realm, &format!("EdgeNode/{WEB_1}")), json!({"tags": ["hand", "prod"]}));
    assert!(!by("f").plan(&realm, &text).writes());
}

#[test]
fn what_a_person_set_alike_in_between_is_unchanged_but_owned() {
    let realm = realm();
    let plan = by("f").plan(&realm, &node("web-1", "{tags: [prod]}"));
    let troubled = Troubled::meddled(&realm, once(|realm| meddle::<EdgeNode>(realm, WEB_1, &tag("prod"))));
    let report = carry_out(&troubled, plan).unwrap();
    assert_eq!(outcomes(&report), ["EdgeNode/web-1 unchanged"]);
    let owners = &dump(&realm)[&format!("EdgeNode/{WEB_1}")]["owners"];
    assert_eq!(*owners, json!({"tags[prod]": ["cli", "f"]}));
}

#[test]
fn what_a_person_set_otherwise_in_between_is_a_conflict_and_stops_who_needs_it() {
    let realm = realm();
    let text = group("web", "tags=web") + &group("top", "group:web") + &group("alone", "all");
    let plan = by("f").plan(&realm, &text);
    let create = EdgeGroupEdit::Create("tags=www".parse().unwrap());
    let meddler = once(move |realm: &MemoryRealm| meddle::<EdgeGroup>(realm, "web", &create));
    let report = carry_out(&Troubled::meddled(&realm, meddler), plan).unwrap();
    assert!(report.has_conflicts());
    let mut ends = outcomes(&report);
    ends.sort();
    assert_eq!(ends, ["EdgeGroup/alone created", "EdgeGroup/top skipped", "EdgeGroup/web failed"]);
    let top = report.objects.iter().find(|object| object.name == "top").unwrap();
    assert_eq!(top.error.as_deref(), Some("EdgeGroup/web, which it needs, was not applied"));
    assert_eq!(spec(&realm, "EdgeGroup/web"), json!({"selector": "tags=www"}));
    assert!(!dump(&realm).contains_key("EdgeGroup/top"));
}

#[test]
fn what_is_to_go_but_gets_another_owner_in_between_stays_for_it() {
    let realm = realm();
    by("f").apply(&realm, &group("web", "all"));
    let plan = by("f").prune().plan(&realm, "");
    let key = ObjectKey::new("EdgeGroup", "web");
    let spec: Spec =
        serde_json::from_value(json!({"kind": "EdgeGroup", "spec": {"selector": "all"}})).unwrap();
    let meddler = once(move |realm: &MemoryRealm| declare_meanwhile(realm, &by("other"), &key, &spec));
    let report = carry_out(&Troubled::meddled(&realm, meddler), plan).unwrap();
    assert_eq!(outcomes(&report), ["EdgeGroup/web unchanged"]);
    assert_eq!(dump(&realm)["EdgeGroup/web"]["owners"], json!({"selector": ["other"]}));
    assert!(inventory(&realm, "f").is_empty());
}

#[test]
fn an_object_that_others_keep_changing_fails_and_nothing_is_lost() {
    let realm = realm();
    let plan = by("f").plan(&realm, &node("web-1", "{tags: [prod]}"));
    let mut count = 0;
    let troubled = Troubled::meddled(&realm, move |realm: &MemoryRealm| {
        count += 1;
        meddle::<EdgeNode>(realm, WEB_1, &tag(&format!("t{count}")));
    });
    let report = carry_out(&troubled, plan).unwrap();
    assert_eq!(outcomes(&report), ["EdgeNode/web-1 failed"]);
    assert_eq!(report.objects[0].error.as_deref(), Some("others keep changing it; run the command again"));
    let tags = spec(&realm, &format!("EdgeNode/{WEB_1}"));
    assert_eq!(tags, json!({"tags": ["t1", "t2", "t3", "t4", "t5"]}));
}

#[test]
fn nothing_more_is_written_once_it_is_told_to_stop() {
    let realm = realm();
    let text = group("base", "all") + &group("top", "group:base") + &group("same", "all");
    by("f").apply(&realm, &group("same", "all"));
    let plan = by("f").plan(&realm, &text);
    let asked = std::sync::atomic::AtomicUsize::new(0);
    // The first phase is still let through.
    let stop = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0;
    let mut sink = |_: &ObjectEvent| ();
    let report = block_on(apply::apply(&realm, plan, &stop, &mut sink)).unwrap();
    let mut ends = outcomes(&report);
    ends.sort();
    assert_eq!(ends, ["EdgeGroup/base created", "EdgeGroup/same unchanged", "EdgeGroup/top skipped"]);
    assert_eq!(count(&report, Outcome::Skipped), 1);
    assert_eq!(outcomes(&by("f").apply(&realm, &text)).len(), 3);
    assert!(dump(&realm).contains_key("EdgeGroup/top"));
}

#[test]
fn what_is_still_pointed_to_isnt_removed_when_the_pointer_cant_be_changed() {
    let realm = realm();
    by("f").apply(&realm, &(group("base", "all") + &group("top", "group:base")));
    let plan = by("f").prune().plan(&realm, &group("top", "tags=x"));
    let create = EdgeGroupEdit::SetPinned { add: [WEB_1.to_owned()].into(), remove: [].into() };
    // `top` is changed by hand before each attempt to write it, so it never is.
    let flip = Cell::new(false);
    let troubled = Troubled::meddled(&realm, move |realm: &MemoryRealm| {
        let EdgeGroupEdit::SetPinned { add, .. } = &create else { unreachable!() };
        let (add, nobody) = (add.clone(), [].into());
        let edit = if flip.replace(!flip.get()) {
            EdgeGroupEdit::SetPinned { add: nobody, remove: add }
        } else {
            EdgeGroupEdit::SetPinned { add, remove: nobody }
        };
        meddle::<EdgeGroup>(realm, "top", &edit);
    });
    let report = carry_out(&troubled, plan).unwrap();
    assert_eq!(outcomes(&report), ["EdgeGroup/top failed", "EdgeGroup/base skipped"]);
    assert_eq!(spec(&realm, "EdgeGroup/top")["selector"], "group:base");
    assert!(dump(&realm).contains_key("EdgeGroup/base") && inventory(&realm, "f").contains("EdgeGroup/base"));
    let again = by("f").prune().apply(&realm, &group("top", "tags=x"));
    assert_eq!(outcomes(&again), ["EdgeGroup/top updated", "EdgeGroup/base deleted"]);
}

/// A realm whose answers to writes are cut short.
struct Forgetful<'a>(&'a MemoryRealm);

impl Realm for Forgetful<'_> {
    async fn objects(&self, kinds: &[&str]) -> Result<Vec<Object>, ApiError> {
        self.0.objects(kinds).await
    }
    async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, ApiError> {
        self.0.object(key).await
    }
    async fn hosts(&self) -> Result<Vec<Host>, ApiError> {
        self.0.hosts().await
    }
    async fn changes(&self, since: Revision) -> Result<Changes, ApiError> {
        self.0.changes(since).await
    }
    async fn inventory(
        &self,
        owner: &aegis_core::Owner,
    ) -> Result<std::collections::BTreeSet<ObjectKey>, ApiError> {
        self.0.inventory(owner).await
    }
    async fn begin(&self, by: &Provenance, owns: Vec<ObjectKey>) -> Result<Revision, ApiError> {
        self.0.begin(by, owns).await
    }
    async fn write(&self, plan: Revision, writes: Vec<Write>) -> Result<Vec<Written>, ApiError> {
        let mut written = self.0.write(plan, writes).await?;
        written.pop();
        Ok(written)
    }
    async fn finish(&self, _: Revision, _: Vec<ObjectKey>, _: &Summary) -> Result<(), ApiError> {
        Err(ApiError::internal("the disk is full"))
    }
    async fn past(&self, plan: Revision) -> Result<Option<(aegis_core::Owner, Vec<PastWrite>)>, ApiError> {
        self.0.past(plan).await
    }
}

#[test]
fn an_object_of_which_the_answer_says_nothing_is_not_just_missing() {
    let realm = realm();
    let plan = by("f").plan(&realm, &(group("a", "all") + &group("b", "all")));
    let report = carry_out(&Forgetful(&realm), plan).unwrap();
    assert_eq!(outcomes(&report), ["EdgeGroup/a created", "EdgeGroup/b failed"]);
    assert_eq!(report.warnings, ["the end of revision 1 could not be recorded: the disk is full"]);
}

#[test]
fn a_host_that_is_revoked_in_between_isnt_brought_back() {
    let revoked = MemoryRealm::with_hosts(hosts().into_iter().skip(1).collect());
    let plan = by("f").plan(&realm(), &node("web-1", "{tags: [x]}"));
    let report = carry_out(&revoked, plan).unwrap();
    assert_eq!(outcomes(&report), ["EdgeNode/web-1 failed"]);
    assert!(!dump(&revoked).contains_key(&ObjectKey::new(EdgeNode::NAME, WEB_1).to_string()));
}

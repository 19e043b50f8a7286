//! Random manifests from a small world, so that they meet often.

use std::collections::BTreeMap;

use proptest::{collection, prelude::*, sample::select};

use crate::world::document;

/// Documents by kind and name; the value is the spec.
pub type Documents = BTreeMap<(&'static str, &'static str), String>;

pub fn text(documents: &Documents) -> String {
    documents.iter().map(|((kind, name), spec)| document(kind, name, spec)).collect()
}

/// Any document: groups may point to groups that aren't there, in circles, and a host may go by its id.
pub fn any_document() -> impl Strategy<Value = ((&'static str, &'static str), String)> {
    let list = |from: &[&'static str]| {
        collection::btree_set(select(from.to_vec()), 0..3)
            .prop_map(|set| format!("[{}]", set.into_iter().collect::<Vec<_>>().join(", ")))
    };
    let node = (
        select(vec!["web-1", "web-2", crate::world::DB_3]),
        list(&["a", "b", "c"]),
        select(vec!["", ", displayName: X", ", displayName: Y", ", drain: false"]),
    )
        .prop_map(|(name, tags, more)| (("EdgeNode", name), format!("{{tags: {tags}{more}}}")));
    let selectors = vec!["all", "tags=a", "group:g0", "group:g1", "group:g2", "group:g3", "@web-1"];
    let pins = list(&["web-1", "web-2", crate::world::DB_4]);
    let group =
        (select(vec!["g0", "g1", "g2", "g3"]), select(selectors), pins).prop_map(|(name, selector, pins)| {
            (("EdgeGroup", name), format!("{{selector: '{selector}', pinned: {pins}}}"))
        });
    let context = (select(vec!["c0", "c1"]), list(&["shell", "fs.read"]))
        .prop_map(|(name, deny)| (("SecurityContext", name), format!("{{capabilities: [], deny: {deny}}}")));
    prop_oneof![2 => node, 4 => group, 1 => context]
}

/// Documents that can be applied: groups only point to those before them that are there.
pub fn valid() -> impl Strategy<Value = Documents> {
    collection::vec(any_document(), 0..7).prop_map(|documents| {
        let mut documents: Documents = documents.into_iter().collect();
        let keys: Vec<_> = documents.keys().copied().collect();
        for ((_, name), spec) in &mut documents {
            for other in ["g0", "g1", "g2", "g3"] {
                if other >= *name || !keys.contains(&("EdgeGroup", other)) {
                    *spec = spec.replace(&format!("group:{other}"), "all");
                }
            }
        }
        documents
    })
}

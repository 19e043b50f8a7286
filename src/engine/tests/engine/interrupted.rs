//! An apply that ends anywhere can simply be run again.

use std::sync::atomic::Ordering;

use aegis_core::Outcome;
use aegis_engine::memory::MemoryRealm;
use proptest::prelude::*;

use crate::{manifests, world::*};

/// Applies `text` over `realm` with the connection gone from the call `at` on. Whether it came to its end.
fn cut(realm: &MemoryRealm, text: &str, at: usize) -> bool {
    let troubled = Troubled::gone_from(realm, at);
    let Ok(declared) = by("f").prune().force().declare(&troubled, &sources(&[("a.yaml", text)]), None) else {
        return false;
    };
    let Ok(report) = carry_out(&troubled, declared.plan) else { return false };
    let is_done = troubled.calls.load(Ordering::Relaxed) <= at;
    assert!(is_done || count(&report, Outcome::Failed) > 0 || !report.warnings.is_empty());
    is_done
}

/// Before: what is there when `second` is applied over `first` and over another owner's `others`.
fn prepared(others: &str, first: &str) -> MemoryRealm {
    let realm = realm();
    by("other").apply(&realm, others);
    by("f").force().apply(&realm, first);
    realm
}

fn converges_from_anywhere(others: &str, first: &str, second: &str) {
    let whole = prepared(others, first);
    assert!(cut(&whole, second, usize::MAX));
    for at in 0.. {
        let realm = prepared(others, first);
        let is_done = cut(&realm, second, at);
        assert_eq!(orphans(&realm, "f"), [""; 0], "cut at call {at}");
        let again = by("f").prune().force().apply(&realm, second);
        assert_eq!(count(&again, Outcome::Failed) + count(&again, Outcome::Skipped), 0);
        assert_eq!(dump(&realm), dump(&whole), "cut at call {at}");
        assert_eq!(inventory(&realm, "f"), inventory(&whole, "f"), "cut at call {at}");
        assert_eq!(inventory(&realm, "other"), inventory(&whole, "other"));
        assert!(!by("f").prune().force().plan(&realm, second).writes());
        if is_done {
            break;
        }
    }
}

#[test]
fn an_apply_cut_at_any_call_is_finished_by_the_next() {
    let others = document("EdgeGroup", "shared", "{selector: all, pinned: [web-2]}");
    let first = group("goes", "all")
        + &document("EdgeGroup", "shared", "{selector: all, pinned: [web-1]}")
        + &group("stays", "group:goes")
        + &node("web-1", "{tags: [old]}");
    let second = group("stays", "group:new") + &group("new", "tags=x") + &node("web-1", "{tags: [new]}");
    converges_from_anywhere(&others, &first, &second);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_apply_cut_at_any_call_is_finished_by_the_next(
        others in manifests::valid(),
        first in manifests::valid(),
        second in manifests::valid(),
    ) {
        converges_from_anywhere(
            &manifests::text(&others), &manifests::text(&first), &manifests::text(&second),
        );
    }
}

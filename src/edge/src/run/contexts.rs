//! The security contexts that orders run under: what the controller pushed, and before that the one that is built in.

use std::collections::BTreeMap;

use aegis_kinds::{
    SecurityContextSpec,
    policy::{DEFAULT_CONTEXT, default_context},
};

/// A push that isn't newer than the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("security contexts of revision {given} came after revision {have}")]
pub(super) struct Stale {
    given: u64,
    have: u64,
}

/// The contexts in force. They stay over a reconnect: a host that was cut off is bound by what it was told last.
pub(super) struct Contexts {
    by_name: BTreeMap<String, SecurityContextSpec>,
    /// The last push on the stream that is open.
    revision: Option<u64>,
}

impl Contexts {
    /// Before anything is pushed: the built-in one.
    pub fn new() -> Self {
        let mut contexts = Self { by_name: BTreeMap::new(), revision: None };
        contexts.complete();
        contexts
    }

    /// Revisions are counted anew on a new stream: the controller may have begun anew itself.
    pub fn begin_stream(&mut self) {
        self.revision = None;
    }

    /// Puts `contexts` in the place of all that were there.
    pub fn push(
        &mut self,
        revision: u64,
        contexts: BTreeMap<String, SecurityContextSpec>,
    ) -> Result<(), Stale> {
        if let Some(have) = self.revision.filter(|have| revision <= *have) {
            return Err(Stale { given: revision, have });
        }
        (self.by_name, self.revision) = (contexts, Some(revision));
        self.complete();
        Ok(())
    }

    /// The built-in one is there as long as none of its name is pushed.
    fn complete(&mut self) {
        if !self.by_name.contains_key(DEFAULT_CONTEXT) {
            self.by_name.insert(DEFAULT_CONTEXT.to_owned(), default_context());
        }
    }

    /// The context of this name.
    pub fn get(&self, name: &str) -> Option<&SecurityContextSpec> {
        self.by_name.get(name)
    }

    /// All names, for a message.
    pub fn names(&self) -> String {
        self.by_name.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use aegis_kinds::UniqueSet;

    use super::*;

    fn nothing() -> SecurityContextSpec {
        SecurityContextSpec { capabilities: vec![], deny: UniqueSet::default() }
    }

    #[test]
    fn before_anything_is_pushed_there_is_one_context() {
        let contexts = Contexts::new();
        assert_eq!(contexts.get("default"), Some(&default_context()));
        assert_eq!((contexts.names().as_str(), contexts.get("ops")), ("default", None));
    }

    #[test]
    fn a_push_replaces_all_and_leaves_the_built_in_one_unless_it_brings_its_own() {
        let mut contexts = Contexts::new();
        contexts.push(1, [("ops".to_owned(), nothing())].into()).unwrap();
        assert_eq!(contexts.names(), "default, ops");
        assert_eq!(contexts.get("default"), Some(&default_context()));
        contexts.push(2, [("default".to_owned(), nothing())].into()).unwrap();
        assert_eq!((contexts.names().as_str(), contexts.get("default")), ("default", Some(&nothing())));
        contexts.push(3, BTreeMap::new()).unwrap();
        assert_eq!(contexts.get("default"), Some(&default_context()));
    }

    #[test]
    fn revisions_rise_within_a_stream_and_begin_anew_with_the_next() {
        let mut contexts = Contexts::new();
        contexts.push(5, [("ops".to_owned(), nothing())].into()).unwrap();
        for old in [5, 4, 0] {
            let error = contexts.push(old, BTreeMap::new()).unwrap_err();
            assert_eq!(error, Stale { given: old, have: 5 });
        }
        assert!(contexts.get("ops").is_some(), "a stale push changes nothing");
        contexts.begin_stream();
        assert!(contexts.get("ops").is_some(), "a new stream changes nothing either");
        contexts.push(1, BTreeMap::new()).unwrap();
        assert!(contexts.get("ops").is_none());
    }
}

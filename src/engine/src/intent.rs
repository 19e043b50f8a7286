//! What is wanted of one object: a declaration, its end, one imperative verb, or deletion.

use std::{fmt, sync::Arc};

use aegis_core::{Kind, Meta, ObjectKey, ownership::Policy};
use aegis_kinds::{AnyPlan, EdgeNode, PlanError, Spec};

use crate::realm::UNDECLARED_HOST;

/// An imperative verb: the plan over a JSON body; an empty one: absent.
pub type Verb = dyn Fn(&[u8]) -> Result<AnyPlan, PlanError> + Send + Sync;

/// A wish about one object. It can be planned again whenever the object turns out to have changed.
#[derive(Clone)]
pub enum Intent {
    /// A source declares it so.
    Declare(Box<(Spec, Meta)>),
    /// The source declares it no more.
    Release,
    /// One imperative verb.
    Edit(Arc<Verb>),
    /// It is to go, whoever owns it.
    Delete,
}

impl Intent {
    /// The verb `edit` on an object of the kind `K`.
    pub fn edit<K: Kind>(edit: K::Edit) -> Self
    where
        K::Edit: 'static,
    {
        Self::Edit(Arc::new(move |have| aegis_kinds::plan_edit::<K>(have, &edit)))
    }

    /// What has to be done to `have` (a JSON body; empty: absent).
    pub fn plan(&self, kind: &str, have: &[u8], policy: &Policy) -> Result<AnyPlan, PlanError> {
        // A host isn't created by what is said of it.
        let have = if have.is_empty() && kind == EdgeNode::NAME { UNDECLARED_HOST } else { have };
        match self {
            Self::Declare(wish) => aegis_kinds::plan_declared(kind, Some((&wish.0, &wish.1)), have, policy),
            Self::Release => aegis_kinds::plan_declared(kind, None, have, policy),
            Self::Edit(edit) => edit(have),
            Self::Delete => aegis_kinds::plan_delete(kind, have),
        }
    }
}

impl fmt::Debug for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declare(wish) => f.debug_tuple("Declare").field(wish).finish(),
            Self::Release => f.write_str("Release"),
            Self::Edit(_) => f.write_str("Edit"),
            Self::Delete => f.write_str("Delete"),
        }
    }
}

/// An intent and the object that it is about.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The object, as the source names it: a host's name is not yet its id.
    pub key: ObjectKey,
    /// What is wanted.
    pub intent: Intent,
    /// Which document of the source it comes from, for places in errors.
    pub document: Option<usize>,
}

#[cfg(test)]
mod tests {
    use aegis_core::{Outcome, Owner};
    use aegis_kinds::{EdgeNodeSpec, Next};

    use super::*;

    #[test]
    fn a_host_of_which_nothing_was_said_is_there_all_the_same() {
        let policy = Policy { owner: Owner::new("f").unwrap(), prune: false, force_conflicts: false };
        let meta = Meta { labels: [("team".into(), "web".into())].into(), ..Meta::default() };
        let intent = Intent::Declare(Box::new((Spec::EdgeNode(EdgeNodeSpec::default()), meta)));
        for body in [&b""[..], UNDECLARED_HOST] {
            let plan = intent.plan(EdgeNode::NAME, body, &policy).unwrap();
            assert_eq!(plan.outcome, Outcome::Updated);
            let Next::Body(next) = plan.next else { panic!("nothing is written") };
            assert_eq!(intent.plan(EdgeNode::NAME, &next, &policy).unwrap().next, Next::Same);
            for end in [Intent::Release, Intent::Delete] {
                assert_eq!(end.plan(EdgeNode::NAME, body, &policy).unwrap().next, Next::Same);
            }
        }
    }
}

//! The one abstraction: a `Kind` says what something is. Where it lives is a provider's business.

use std::fmt::Display;

use serde::{Serialize, de::DeserializeOwned};

use crate::element::{Effect, Element};

/// Why an edit or a plan can't be: a rule of the kind would be broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What is wrong, in one line.
    pub message: String,
    /// The field of the spec it is about (`spec.` left out), when there is one: `selector`, `capabilities[2].tools`;
    /// an entry of a set by its text: `pinned[web-1]`.
    pub field: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Refusal {
    /// A refusal about the object as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), field: None, help: None }
    }
    /// A refusal about one field of the spec.
    pub fn at(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), field: Some(field.into()), help: None }
    }
    /// The way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Another object that a spec names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The kind of the object that is named.
    pub kind: &'static str,
    /// The name as it stands in the spec.
    pub name: String,
    /// Where it stands in the spec, as in [`Refusal::field`].
    pub field: String,
}

/// What a kind of object is: its wish, what is seen of it, the smallest step between the two.
///
/// The laws that every kind keeps are tested over all of them (`src/kinds/tests/laws.rs`):
/// a plan, once replayed, leaves nothing to plan; an edit once applied plans nothing; what is exported plans nothing;
/// and every step touches exactly the element that it says.
pub trait Kind: Send + Sync + Sized + 'static {
    /// The name in manifests, such as `EdgeGroup`.
    const NAME: &'static str;
    /// The wish, as a manifest's `spec`.
    type Spec: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What is seen where the object lives.
    type Observed: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The smallest step; its text is a line of a plan, without the sign.
    type Change: Clone + PartialEq + std::fmt::Debug + Display + Send + Sync + 'static;
    /// One imperative verb.
    type Edit: Clone + std::fmt::Debug + Send + Sync + 'static;

    /// Rules that the types can't say. Called before anything is planned.
    fn check(name: &str, spec: &Self::Spec) -> Result<(), Refusal>;
    /// The name under which the object that a source calls `name` is kept, where that depends on its spec.
    fn canonical_name(name: &str, spec: &Self::Spec) -> Option<String> {
        let _ = (name, spec);
        None
    }
    /// The spec that honours `edit` and keeps the rest of `have`.
    fn edit(have: Option<&Self::Observed>, edit: &Self::Edit) -> Result<Self::Spec, Refusal>;
    /// The steps from `have` to `want`, in order; no `want` means absent.
    fn diff(want: Option<&Self::Spec>, have: Option<&Self::Observed>) -> Result<Vec<Self::Change>, Refusal>;
    /// What one step leads to: the dry run's answer, the memory provider, and the subject of the laws.
    fn replay(have: Option<Self::Observed>, change: &Self::Change) -> Option<Self::Observed>;
    /// The spec that asks for exactly what is seen: `export` then `diff` is empty.
    fn export(have: &Self::Observed) -> Self::Spec;
    /// The least spec under which `have` may go on to exist: what can't be taken away stays, the rest is gone.
    fn bare(have: &Self::Observed) -> Self::Spec;
    /// The elements that a spec sets, each once.
    fn declares(spec: &Self::Spec) -> Vec<Element>;
    /// The element that a step touches, and what it does to it. `None`: the object as a whole comes or goes.
    fn touches(change: &Self::Change) -> Option<(Element, Effect)>;
    /// The objects that a spec names.
    fn references(spec: &Self::Spec) -> Vec<Reference>;
    /// The spec with each name that `resolve` knows replaced by the one it gives: a host's name by its node id.
    fn resolve(spec: Self::Spec, resolve: &dyn Fn(&Reference) -> Option<String>) -> Self::Spec;
}

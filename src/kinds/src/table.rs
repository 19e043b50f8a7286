//! The table of all kinds. Everything that must know each kind is a loop or a visit over it.

use aegis_core::{Kind, Refusal};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::{App, EdgeGroup, EdgeNode, Kit, Rollout, Secret, SecurityContext};

/// The `apiVersion` of every manifest document.
pub const API_VERSION: &str = "aegis.dev/v1";

/// What the table knows of a kind besides its behaviour.
#[derive(Debug)]
pub struct Info {
    /// The name in manifests.
    pub name: &'static str,
    /// Other names that commands accept, all lower case; the first is the plural.
    pub aliases: &'static [&'static str],
    /// One line: what it is.
    pub summary: &'static str,
    /// A whole document that shows every field; a test applies it.
    pub example: &'static str,
}

/// A kind that stands in the table.
pub trait AnyKind: Kind<Spec: JsonSchema> {
    /// Its row.
    const INFO: Info;
    /// The spec as one of any kind.
    fn wrap(spec: Self::Spec) -> Spec;
    /// The spec, if it is of this kind.
    fn unwrap(spec: &Spec) -> Option<&Self::Spec>;
}

/// A computation that works for each kind; [`visit`] runs it for one.
pub trait Visitor {
    /// What it gives.
    type Out;
    /// Runs for the kind `K`.
    fn visit<K: AnyKind>(self) -> Self::Out;
}

macro_rules! kinds {
    ($($kind:ident, $aliases:expr, $summary:literal, $example:literal;)*) => {
        /// A spec of any kind.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", content = "spec")]
        pub enum Spec {
            $(#[doc = $summary] $kind(<$kind as Kind>::Spec),)*
        }

        impl Spec {
            /// The kind's name.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$kind(_) => $kind::NAME,)* }
            }
            /// Rules that the types can't say, for an object called `name`.
            pub fn check(&self, name: &str) -> Result<(), Refusal> {
                match self { $(Self::$kind(spec) => $kind::check(name, spec),)* }
            }
            /// The objects that the spec names.
            pub fn references(&self) -> Vec<aegis_core::Reference> {
                match self { $(Self::$kind(spec) => $kind::references(spec),)* }
            }
            /// The name under which the object is kept, where it isn't `name`.
            pub fn canonical_name(&self, name: &str) -> Option<String> {
                match self { $(Self::$kind(spec) => $kind::canonical_name(name, spec),)* }
            }
            /// The spec with each name that `resolve` knows replaced by the one it gives.
            #[must_use]
            pub fn resolve(self, resolve: &dyn Fn(&aegis_core::Reference) -> Option<String>) -> Self {
                match self { $(Self::$kind(spec) => Self::$kind($kind::resolve(spec, resolve)),)* }
            }
        }

        $(impl AnyKind for $kind {
            const INFO: Info = Info {
                name: $kind::NAME,
                aliases: $aliases,
                summary: $summary,
                example: include_str!(concat!("../examples/", $example)),
            };
            fn wrap(spec: Self::Spec) -> Spec {
                Spec::$kind(spec)
            }
            fn unwrap(spec: &Spec) -> Option<&Self::Spec> {
                match spec {
                    Spec::$kind(spec) => Some(spec),
                    #[allow(unreachable_patterns, reason = "a table of one kind has no other")]
                    _ => None,
                }
            }
        })*

        /// The rows, in the order of the documentation.
        pub const KINDS: &[Info] = &[$(<$kind as AnyKind>::INFO,)*];

        /// Runs `visitor` for the kind of this exact name; `None` when there is none.
        pub fn visit<V: Visitor>(kind: &str, visitor: V) -> Option<V::Out> {
            match kind {
                $($kind::NAME => Some(visitor.visit::<$kind>()),)*
                _ => None,
            }
        }
    };
}

kinds! {
    EdgeNode, &["edgenodes", "node", "nodes"], "an enrolled host, as operators classify it", "edge-node.yaml";
    EdgeGroup, &["edgegroups", "group", "groups"], "a named selector with pinned hosts", "edge-group.yaml";
    SecurityContext, &["securitycontexts", "context", "contexts"], "what callers may do on a host", "security-context.yaml";
    Rollout, &["rollouts"], "a tool call that hosts get once, in waves", "rollout.yaml";
    App, &["apps"], "a workload of an OCI image, here or on hosts", "app.yaml";
    Kit, &["kits"], "a packaged runtime that apps name", "kit.yaml";
    Secret, &["secrets"], "a value that guests get as a variable", "secret.yaml";
}

/// The kind that `text` names: its name in any case, its plural, or a short form.
pub fn find(text: &str) -> Option<&'static Info> {
    let lower = text.to_ascii_lowercase();
    KINDS.iter().find(|info| info.name.eq_ignore_ascii_case(text) || info.aliases.contains(&lower.as_str()))
}

/// The JSON Schema of a kind's spec; `None` when there is no such kind.
pub fn spec_schema(kind: &str) -> Option<Schema> {
    struct SchemaOf;
    impl Visitor for SchemaOf {
        type Out = Schema;
        fn visit<K: AnyKind>(self) -> Schema {
            schema_for!(K::Spec)
        }
    }
    visit(kind, SchemaOf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_any_of_their_names() {
        for info in KINDS {
            assert_eq!(find(info.name).map(|i| i.name), Some(info.name));
            for alias in info.aliases {
                assert_eq!(find(alias).map(|i| i.name), Some(info.name), "{alias}");
                assert_eq!(*alias, alias.to_lowercase());
            }
        }
        assert!(find("Pod").is_none());
    }

    #[test]
    fn no_two_kinds_share_a_name() {
        let mut names: Vec<String> = KINDS
            .iter()
            .flat_map(|i| {
                std::iter::once(i.name.to_lowercase()).chain(i.aliases.iter().map(ToString::to_string))
            })
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

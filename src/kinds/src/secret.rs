//! `Secret`: a value that guests get as a variable. Of the value only a keyed digest is kept beside the object.

mod source;

pub use source::{Literal, ValueDigest, ValueFrom, VaultField};

use std::fmt;

use aegis_core::{Effect, Element, Kind, Reference, Refusal, id::ObjectName, selector::Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    App,
    record::{self, Field, RecordChange, Shape},
    target, variable,
};

/// A value that guests get as a variable of their environment, in memory only.
///
/// The object's name is the variable's. A secret of an app may be called just so, too: it is kept as `APP.NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretSpec {
    /// Who gets it: `{app: NAME}` one app; `workspace` every app. An app's own wins over the workspace's.
    #[serde(default)]
    pub scope: SecretScope,
    /// Where the value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
    /// The value itself. Whoever can read the manifest knows it: `valueFrom` is better.
    #[serde(default, skip_serializing)]
    pub value: Option<Literal>,
    /// What `aegis export` writes in place of a value: the value stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<ValueDigest>,
    /// The hosts whose daemons have it, such as `tags=edge`; without it, this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub target: Option<Target>,
}

/// Who gets a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SecretScope {
    /// Every app.
    #[default]
    Workspace,
    /// This app.
    App(String),
}

impl fmt::Display for SecretScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workspace => f.write_str("workspace"),
            Self::App(app) => write!(f, "app {app}"),
        }
    }
}

/// What is kept of a secret: never its value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredSecret {
    /// Who gets it.
    pub scope: SecretScope,
    /// Of its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<ValueDigest>,
    /// The hosts whose daemons have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
}

/// The kind.
#[derive(Debug)]
pub struct Secret;

/// The smallest steps. A value's never says what it was or is.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretChange(RecordChange);

/// Imperative verbs.
#[derive(Debug, Clone)]
pub enum SecretEdit {
    /// `aegis secret set`, `aegis secret set-workspace`
    Set {
        /// Who gets it.
        scope: SecretScope,
        /// Of the value.
        digest: ValueDigest,
    },
}

const DIGEST: &str = "digest";
const FIELDS: &[Field] =
    &[Field("scope", Shape::Whole), Field(DIGEST, Shape::Whole), Field("target", Shape::Whole)];

impl Secret {
    /// The object's name of the secret `variable` of `scope`.
    pub fn object_name(scope: &SecretScope, variable: &str) -> String {
        match scope {
            SecretScope::Workspace => variable.to_owned(),
            SecretScope::App(app) => format!("{app}.{variable}"),
        }
    }

    /// The variable of the object `name`.
    pub fn variable<'a>(scope: &SecretScope, name: &'a str) -> &'a str {
        match scope {
            SecretScope::Workspace => name,
            // Neither an app's name nor a variable's has a dot in it.
            SecretScope::App(_) => name.split_once('.').map_or(name, |(_, variable)| variable),
        }
    }

    /// Refuses a name that an object of this scope can't have.
    pub fn check_name(name: &str, scope: &SecretScope) -> Result<(), Refusal> {
        let named = |refusal: Refusal| Refusal { field: None, ..refusal };
        ObjectName::new(name).map_err(|error| Refusal::new(error.to_string()))?;
        match (scope, name.split_once('.')) {
            (SecretScope::Workspace, None) => variable::check("", name).map_err(named),
            (SecretScope::App(app), Some((of, variable))) if of == app => {
                variable::check("", variable).map_err(named)
            }
            (SecretScope::App(app), _) => {
                Err(Refusal::new(format!("'{name}' is no secret of the app {app}"))
                    .help(format!("call it {app}.NAME, or just NAME in a manifest")))
            }
            (SecretScope::Workspace, Some((app, _))) => Err(Refusal::at(
                "scope",
                format!("'{name}' is called like a secret of the app {app}, and its scope is the workspace"),
            )
            .help(format!("write `scope: {{app: {app}}}`"))),
        }
    }
}

impl SecretSpec {
    /// A secret whose value is known by its digest.
    pub fn new(scope: SecretScope, digest: ValueDigest) -> Self {
        Self { scope, value_from: None, value: None, digest: Some(digest), target: None }
    }
}

impl fmt::Display for SecretChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            RecordChange::Element { element, have, want } if element.field_name() == DIGEST => {
                f.write_str(match (have, want) {
                    (Some(_), Some(_)) => "value (changed)",
                    _ => "value",
                })
            }
            other => other.fmt(f),
        }
    }
}

impl Kind for Secret {
    const NAME: &'static str = "Secret";
    type Spec = SecretSpec;
    type Observed = StoredSecret;
    type Change = SecretChange;
    type Edit = SecretEdit;

    fn check(name: &str, spec: &SecretSpec) -> Result<(), Refusal> {
        Self::check_name(name, &spec.scope)?;
        if let SecretScope::App(app) = &spec.scope
            && (app.is_empty() || app.contains('.'))
        {
            return Err(Refusal::at("scope.app", format!("'{app}' is no name of an app")));
        }
        let given = [spec.value_from.is_some(), spec.value.is_some(), spec.digest.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            let field = if spec.value.is_some() { "value" } else { DIGEST };
            return Err(
                Refusal::at(field, "a secret has one value").help("keep one: valueFrom, value or digest")
            );
        }
        match &spec.value_from {
            Some(ValueFrom::Stdin(false)) => Err(Refusal::at("valueFrom.stdin", "stdin is false")
                .help("write `stdin: true`, or say where else the value comes from")),
            Some(ValueFrom::Env(name)) if name.is_empty() || name.contains(['=', '\0']) => {
                Err(Refusal::at("valueFrom.env", "that is no name of a variable"))
            }
            Some(ValueFrom::File(path)) if path.is_empty() => {
                Err(Refusal::at("valueFrom.file", "the path is empty"))
            }
            Some(ValueFrom::Age(text)) if text.is_empty() => {
                Err(Refusal::at("valueFrom.age", "the path is empty"))
            }
            _ => Ok(()),
        }
    }

    fn canonical_name(name: &str, spec: &SecretSpec) -> Option<String> {
        let is_bare = matches!(spec.scope, SecretScope::App(_)) && !name.contains('.');
        is_bare.then(|| Self::object_name(&spec.scope, name))
    }

    fn edit(have: Option<&StoredSecret>, edit: &SecretEdit) -> Result<SecretSpec, Refusal> {
        let SecretEdit::Set { scope, digest } = edit;
        match have {
            Some(have) if have.scope != *scope => {
                Err(Refusal::new(format!("the secret is of another scope: {}", have.scope)))
            }
            _ => {
                let target = have.and_then(|have| have.target.clone());
                Ok(SecretSpec { target, ..SecretSpec::new(scope.clone(), digest.clone()) })
            }
        }
    }

    fn diff(want: Option<&SecretSpec>, have: Option<&StoredSecret>) -> Result<Vec<SecretChange>, Refusal> {
        // A value that wasn't read yet, or isn't declared, is no difference.
        let want = want.map(|want| StoredSecret {
            scope: want.scope.clone(),
            digest: want.digest.clone().or_else(|| have.and_then(|have| have.digest.clone())),
            target: want.target.clone(),
        });
        let steps = record::diff(FIELDS, "secret", want.as_ref(), have);
        Ok(steps.into_iter().map(SecretChange).collect())
    }

    fn replay(have: Option<StoredSecret>, change: &SecretChange) -> Option<StoredSecret> {
        record::replay(FIELDS, have, &change.0)
    }

    fn export(have: &StoredSecret) -> SecretSpec {
        SecretSpec {
            scope: have.scope.clone(),
            value_from: None,
            value: None,
            digest: have.digest.clone(),
            target: have.target.clone(),
        }
    }

    fn bare(have: &StoredSecret) -> SecretSpec {
        // Without its value it would be none.
        SecretSpec { target: None, ..Self::export(have) }
    }

    fn declares(spec: &SecretSpec) -> Vec<Element> {
        let mut elements = vec![Element::field("scope")];
        let has_value = spec.value_from.is_some() || spec.value.is_some() || spec.digest.is_some();
        elements.extend(has_value.then(|| Element::field(DIGEST)));
        elements.extend(spec.target.is_some().then(|| Element::field("target")));
        elements
    }

    fn touches(change: &SecretChange) -> Option<(Element, Effect)> {
        record::touches(&change.0)
    }

    fn references(spec: &SecretSpec) -> Vec<Reference> {
        let mut references: Vec<Reference> = target::reference(spec.target.as_ref()).into_iter().collect();
        if let SecretScope::App(app) = &spec.scope {
            let field = "scope.app".to_owned();
            references.push(Reference { kind: App::NAME, name: app.clone(), field });
        }
        references
    }

    fn resolve(mut spec: SecretSpec, resolve: &dyn Fn(&Reference) -> Option<String>) -> SecretSpec {
        spec.target = target::resolve(spec.target.take(), resolve);
        spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> SecretSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_value_is_never_written_nor_shown() {
        let with = spec(r#"{"scope": "workspace", "value": "hunter2"}"#);
        assert!(!serde_json::to_string(&with).unwrap().contains("hunter2"));
        assert!(!format!("{with:?}").contains("hunter2"));
        let digest = |byte| ValueDigest::new(&[byte; 32]);
        let have = StoredSecret { digest: Some(digest(1)), ..StoredSecret::default() };
        let steps =
            Secret::diff(Some(&SecretSpec::new(SecretScope::Workspace, digest(2))), Some(&have)).unwrap();
        assert_eq!(steps.iter().map(ToString::to_string).collect::<Vec<_>>(), ["value (changed)"]);
        assert!(
            Secret::diff(Some(&SecretSpec::new(SecretScope::Workspace, digest(1))), Some(&have))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_digest_that_is_a_value_by_mistake_is_not_repeated() {
        let error = serde_json::from_str::<SecretSpec>(r#"{"digest": "hunter2"}"#).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn the_name_says_the_scope() {
        let of_app = spec(r#"{"scope": {"app": "web"}, "valueFrom": {"env": "X"}}"#);
        assert_eq!(Secret::canonical_name("API_KEY", &of_app).as_deref(), Some("web.API_KEY"));
        assert_eq!(Secret::canonical_name("web.API_KEY", &of_app), None);
        assert_eq!(Secret::variable(&of_app.scope, "web.API_KEY"), "API_KEY");
        assert!(Secret::check("web.API_KEY", &of_app).is_ok());
        for (name, spec) in [
            ("other.API_KEY", &of_app),
            ("API_KEY", &of_app),
            ("web.API_KEY", &spec(r#"{"valueFrom": {"env": "X"}}"#)),
            ("db-password", &spec(r#"{"valueFrom": {"env": "X"}}"#)),
            ("AEGIS_HOME", &spec(r#"{"valueFrom": {"env": "X"}}"#)),
            ("A", &spec(r#"{"valueFrom": {"stdin": false}}"#)),
            ("A", &spec(r#"{"valueFrom": {"env": "X"}, "value": "y"}"#)),
        ] {
            assert!(Secret::check(name, spec).is_err(), "{name} {spec:?}");
        }
    }
}

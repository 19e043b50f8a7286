//! `Kit`: a packaged runtime that apps name: its image, defaults and the secrets that it can't do without.

use std::collections::BTreeMap;

use aegis_core::{Effect, Element, Kind, Reference, Refusal, id::ObjectName, selector::Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ExposedPort, Resources, UniqueSet,
    app::{check, expose},
    record::{self, Field, RecordChange, Shape},
    target, variable,
};

/// A packaged runtime. An app that names it takes from it what it doesn't say itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KitSpec {
    /// Its version, such as `1.0.0`. Apps that name the kit are published again when it changes.
    pub version: String,
    /// The image, such as `ghcr.io/aegis/famiglia:1.0.0`.
    pub image: String,
    /// What it is, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Defaults for the apps that name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<KitConfig>,
    /// The hosts whose daemons have it, such as `tags=edge`; without it, this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub target: Option<Target>,
}

/// Defaults of a kit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KitConfig {
    /// The program and its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The guest's ports that can be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<ExposedPort>,
    /// Variables of the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// How much of the machine a guest may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Secrets that an app must have, its own or the workspace's, before it boots. Those of the workspace needn't be
    /// named by the app.
    #[serde(default, skip_serializing_if = "UniqueSet::is_empty")]
    pub required_secrets: UniqueSet<String>,
}

/// The kind.
#[derive(Debug)]
pub struct Kit;

/// Imperative verbs.
#[derive(Debug, Clone)]
pub enum KitEdit {
    /// `aegis kit install`: it is as the file says from now on, whatever version was there.
    Install(Box<KitSpec>),
}

const FIELDS: &[Field] = &[
    Field("version", Shape::Whole),
    Field("image", Shape::Whole),
    Field("description", Shape::Whole),
    Field("config", Shape::Whole),
    Field("target", Shape::Whole),
];

impl Kind for Kit {
    const NAME: &'static str = "Kit";
    type Spec = KitSpec;
    type Observed = KitSpec;
    type Change = RecordChange;
    type Edit = KitEdit;

    fn check(name: &str, spec: &KitSpec) -> Result<(), Refusal> {
        ObjectName::new(name).map_err(|error| Refusal::new(error.to_string()))?;
        let is_version = !spec.version.is_empty()
            && spec.version.len() <= 128
            && !spec.version.chars().any(|c| c.is_whitespace() || c.is_control());
        if !is_version {
            return Err(Refusal::at("version", "a version is 1 to 128 characters without spaces")
                .help("write one such as 1.0.0"));
        }
        check::image("image", &spec.image)?;
        let Some(config) = &spec.config else { return Ok(()) };
        check::command("config.command", &config.command)?;
        expose::check("config.expose", &config.expose)?;
        check::env("config.env", &config.env)?;
        check::resources("config.resources", config.resources.as_ref())?;
        config
            .required_secrets
            .iter()
            .try_for_each(|secret| variable::check(format!("config.requiredSecrets[{secret}]"), secret))
    }

    fn edit(_: Option<&KitSpec>, edit: &KitEdit) -> Result<KitSpec, Refusal> {
        let KitEdit::Install(spec) = edit;
        Ok((**spec).clone())
    }

    fn diff(want: Option<&KitSpec>, have: Option<&KitSpec>) -> Result<Vec<RecordChange>, Refusal> {
        Ok(record::diff(FIELDS, "kit", want, have))
    }

    fn replay(have: Option<KitSpec>, change: &RecordChange) -> Option<KitSpec> {
        record::replay(FIELDS, have, change)
    }

    fn export(have: &KitSpec) -> KitSpec {
        have.clone()
    }

    fn bare(have: &KitSpec) -> KitSpec {
        KitSpec { version: have.version.clone(), image: have.image.clone(), ..KitSpec::default() }
    }

    fn declares(spec: &KitSpec) -> Vec<Element> {
        record::declares(FIELDS, spec)
    }

    fn touches(change: &RecordChange) -> Option<(Element, Effect)> {
        record::touches(change)
    }

    fn references(spec: &KitSpec) -> Vec<Reference> {
        target::reference(spec.target.as_ref()).into_iter().collect()
    }

    fn resolve(mut spec: KitSpec, resolve: &dyn Fn(&Reference) -> Option<String>) -> KitSpec {
        spec.target = target::resolve(spec.target.take(), resolve);
        spec
    }
}

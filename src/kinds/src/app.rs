//! `App`: a workload of an OCI image, with its releases and the instance that serves it.

pub(crate) mod check;
mod effective;
pub(crate) mod expose;
mod spec;

pub use effective::EffectiveApp;
pub use expose::ExposedPort;
pub use spec::{AppSpec, Idle, Readiness, ReadinessPort, Release, Resources};

use aegis_core::{Effect, Element, Kind, Reference, Refusal};

use crate::{
    Kit, Secret,
    record::{self, Field, RecordChange, Shape},
    target,
};

/// The kind. Releases and instances are what becomes of it, and no part of the spec.
#[derive(Debug)]
pub struct App;

/// Imperative verbs.
#[derive(Debug, Clone)]
pub enum AppEdit {
    /// `aegis app create`
    Create(Box<AppSpec>),
    /// `aegis app update`: what is given is changed.
    Update {
        /// The image.
        image: Option<String>,
        /// The program and its arguments.
        command: Option<Vec<String>>,
        /// The guest's ports that can be reached.
        expose: Option<Vec<ExposedPort>>,
    },
}

const FIELDS: &[Field] = &[
    Field("image", Shape::Whole),
    Field("kit", Shape::Whole),
    Field("command", Shape::Whole),
    Field("expose", Shape::Whole),
    Field("release", Shape::Whole),
    Field("serve", Shape::Whole),
    Field("resources", Shape::Whole),
    Field("idle", Shape::Whole),
    Field("readiness", Shape::Whole),
    Field("secrets", Shape::Set),
    Field("env", Shape::Map),
    Field("workspace", Shape::Whole),
    Field("backend", Shape::Whole),
    Field("target", Shape::Whole),
];

impl Kind for App {
    const NAME: &'static str = "App";
    type Spec = AppSpec;
    type Observed = AppSpec;
    type Change = RecordChange;
    type Edit = AppEdit;

    fn check(name: &str, spec: &AppSpec) -> Result<(), Refusal> {
        check::check(name, spec)
    }

    fn edit(have: Option<&AppSpec>, edit: &AppEdit) -> Result<AppSpec, Refusal> {
        match (have, edit) {
            (None, AppEdit::Create(spec)) => Ok((**spec).clone()),
            (Some(have), AppEdit::Create(spec)) if *have == **spec => Ok(have.clone()),
            (Some(_), AppEdit::Create(_)) => Err(Refusal::new("the app exists, and is another one")
                .help("delete it first with `aegis app delete`, or change it with `aegis apply`")),
            (None, AppEdit::Update { .. }) => Err(Refusal::new("the app doesn't exist")
                .help("create it with `aegis app create --name NAME --image IMAGE -- COMMAND`")),
            (Some(have), AppEdit::Update { image, command, expose }) => {
                let mut spec = have.clone();
                if image.is_some() {
                    spec.image.clone_from(image);
                }
                if let Some(command) = command {
                    spec.command.clone_from(command);
                }
                if let Some(expose) = expose {
                    spec.expose.clone_from(expose);
                }
                Ok(spec)
            }
        }
    }

    fn diff(want: Option<&AppSpec>, have: Option<&AppSpec>) -> Result<Vec<RecordChange>, Refusal> {
        Ok(record::diff(FIELDS, "app", want, have))
    }

    fn replay(have: Option<AppSpec>, change: &RecordChange) -> Option<AppSpec> {
        record::replay(FIELDS, have, change)
    }

    fn export(have: &AppSpec) -> AppSpec {
        have.clone()
    }

    fn bare(have: &AppSpec) -> AppSpec {
        // A kit has image and command; without one the app has to have both.
        match &have.kit {
            Some(kit) => AppSpec { kit: Some(kit.clone()), ..AppSpec::default() },
            None => {
                AppSpec { image: have.image.clone(), command: have.command.clone(), ..AppSpec::default() }
            }
        }
    }

    fn declares(spec: &AppSpec) -> Vec<Element> {
        record::declares(FIELDS, spec)
    }

    fn touches(change: &RecordChange) -> Option<(Element, Effect)> {
        record::touches(change)
    }

    fn references(spec: &AppSpec) -> Vec<Reference> {
        let mut references: Vec<Reference> = target::reference(spec.target.as_ref()).into_iter().collect();
        references.extend(spec.kit.iter().map(|kit| Reference {
            kind: Kit::NAME,
            name: kit.clone(),
            field: "kit".into(),
        }));
        references.extend(spec.secrets.iter().map(|secret| Reference {
            kind: Secret::NAME,
            name: secret.clone(),
            field: format!("secrets[{secret}]"),
        }));
        references
    }

    fn resolve(mut spec: AppSpec, resolve: &dyn Fn(&Reference) -> Option<String>) -> AppSpec {
        spec.target = target::resolve(spec.target.take(), resolve);
        spec
    }
}

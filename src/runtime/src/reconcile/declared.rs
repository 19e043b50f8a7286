//! What is declared of an app, together with its kit.

use std::time::Duration;

use aegis_core::Revision;
use aegis_engine::realm::Object;
use aegis_kinds::{AppSpec, KitSpec, Spec};
use sha2::{Digest, Sha256};

use super::{Content, Fault, Readiness};

/// How long an instance may take to become ready, where nothing is declared.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// An app as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Of the object's last write.
    pub revision: Revision,
    /// The app's own words.
    pub spec: AppSpec,
    kit: Option<(String, KitSpec)>,
}

fn spec_of(object: &Object) -> Result<Spec, Fault> {
    match aegis_kinds::export(&object.key.kind, &object.body) {
        Ok(Some((spec, ..))) => Ok(spec),
        Ok(None) => Err(Fault::Blocked(format!("{} is empty", object.key))),
        Err(error) => Err(Fault::Blocked(format!("{}: {error}", object.key))),
    }
}

impl Declared {
    /// Of what is stored. `kit` reads one by its name.
    pub fn read(
        app: &Object,
        kit: impl FnOnce(&str) -> Result<Option<Object>, Fault>,
    ) -> Result<Self, Fault> {
        let Spec::App(spec) = spec_of(app)? else {
            return Err(Fault::Blocked(format!("{} is no app", app.key)));
        };
        let kit = match &spec.kit {
            None => None,
            Some(name) => {
                let object =
                    kit(name)?.ok_or_else(|| Fault::Blocked(format!("the kit {name} isn't installed")))?;
                let Spec::Kit(kit) = spec_of(&object)? else {
                    return Err(Fault::Blocked(format!("{} is no kit", object.key)));
                };
                Some((name.clone(), kit))
            }
        };
        Ok(Self { revision: app.revision, spec, kit })
    }

    /// What the app says itself, whatever it takes from a kit.
    pub fn of_its_own(app: &Object) -> Result<Self, Fault> {
        match spec_of(app)? {
            Spec::App(spec) => Ok(Self { revision: app.revision, spec, kit: None }),
            _ => Err(Fault::Blocked(format!("{} is no app", app.key))),
        }
    }

    /// Whether releases are published by themselves.
    pub fn publishes(&self) -> bool {
        self.spec.release.is_some() || self.spec.serve
    }

    /// What a release of it is made of, but for the image's digest.
    pub fn content(&self) -> Content {
        let effective = self.spec.with_kit(self.kit.as_ref().map(|(_, kit)| kit));
        Content {
            image: effective.image,
            image_digest: String::new(),
            command: effective.command,
            expose: effective.expose.iter().map(|port| (port.guest, port.host)).collect(),
            env: effective.env,
            resources: effective.resources,
            idle: self.spec.idle.clone().unwrap_or_default(),
            secrets: self.spec.secrets.iter().cloned().collect(),
            required_secrets: effective.required_secrets,
            workspace: self.spec.workspace.clone(),
            backend: self.spec.backend.clone(),
            kit: self.kit.as_ref().map(|(name, kit)| (name.clone(), kit.version.clone())),
            label: self.spec.release.as_ref().and_then(|release| release.label.clone()),
        }
    }

    /// When an instance of it counts as ready.
    pub fn readiness(&self) -> Readiness {
        let declared = self.spec.readiness.clone().unwrap_or_default();
        Readiness { port: declared.port, timeout: declared.timeout.map_or(READY_WITHIN, Duration::from) }
    }
}

impl Content {
    /// What tells it from any other content.
    pub fn fingerprint(&self) -> String {
        // Of plain structs with text keys, whose order is fixed: it can be written, and always the same way.
        let json = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(&Sha256::digest(json)[..16])
    }
}

//! The files of an enrolment, each written as the plan says.

use std::{fs, path::PathBuf};

use aegis_wire::{ServerKey, SigningKey};

use super::{
    Artifact, Choice, ConfigState, EdgeConfig, EnrollError, Fix, Observed, Plan, StateDir, config,
    enforce_modes, make_private_dir, remove_if_there, write_atomic,
};
use crate::{clock::rfc3339, state::StateError};

/// What [`Files::install_key`] found in the key's place.
pub(super) enum Swap {
    /// Nothing.
    New,
    /// This very key.
    Same,
    /// Another, which is in the archive now.
    Replaced(PathBuf),
}

pub(super) struct Files<'a> {
    pub state: &'a StateDir,
    pub plan: &'a Plan,
}

impl Files<'_> {
    /// Makes the directories that are missing and takes away what modes allow too much.
    pub fn prepare(&self) -> Result<Vec<Fix>, EnrollError> {
        make_private_dir(self.state.dir())?;
        make_private_dir(&self.state.secrets())?;
        Ok(enforce_modes(self.state)?)
    }

    /// What the config file will hold. It was checked to be valid.
    pub fn config_text(&self, observed: &Observed, minimal: bool) -> Result<String, EnrollError> {
        let identity = EdgeConfig {
            endpoint: Some(self.plan.endpoint.clone()),
            ca_fingerprint: Some(self.plan.ca_fingerprint),
            tenant: Some(self.plan.tenant.clone()),
            ..EdgeConfig::default()
        };
        let keeps = matches!(self.plan.chosen(Artifact::Config), Some(Choice::UseExisting | Choice::Merge));
        if keeps && matches!(observed.config, ConfigState::Valid(_)) {
            // With "use existing" the endpoint and the CA are the same or missing, so this fills in only what it should.
            let text = config::read_text(self.state.config())?;
            return Ok(config::rewrite(&text, &identity)?);
        }
        Ok(if minimal { config::minimal(&identity) } else { config::annotated(&identity) })
    }

    /// Writes the config, unless it says exactly this already.
    pub fn write_config(&self, observed: &Observed, minimal: bool) -> Result<(), EnrollError> {
        let text = self.config_text(observed, minimal)?;
        if fs::read_to_string(self.state.config()).is_ok_and(|have| have == text) {
            return Ok(());
        }
        Ok(write_atomic(self.state.config(), 0o644, text.as_bytes())?)
    }

    /// The key on disk.
    pub fn read_key(&self) -> Result<SigningKey, EnrollError> {
        let path = self.state.node_key();
        let bytes = fs::read(&path).map_err(|error| StateError::new("read", path, error))?;
        Ok(SigningKey::from_bytes(&bytes)?)
    }

    /// The node token on disk.
    pub fn read_node_token(&self) -> Result<String, EnrollError> {
        let path = self.state.node_token();
        let text = fs::read_to_string(&path).map_err(|error| StateError::new("read", path, error))?;
        Ok(text.trim().to_owned())
    }

    /// Puts the key where the daemon looks for it. An old one goes to the archive; a token never outlives its key,
    /// and a handshake that fails leaves none, so the token goes first.
    pub fn install_key(&self, key: &SigningKey, now_ms: i64) -> Result<Swap, EnrollError> {
        remove_if_there(&self.state.node_token())?;
        let path = self.state.node_key();
        let have = fs::read(&path).ok();
        let swap = if have.as_deref() == Some(&key.seed()[..]) {
            Swap::Same
        } else if have.is_some() {
            make_private_dir(&self.state.archive())?;
            let archived = self.state.archive().join(format!("{}.key", rfc3339(now_ms)));
            // Copied, not moved: there is no moment without a key.
            write_atomic(&archived, 0o600, have.as_deref().unwrap_or_default())?;
            Swap::Replaced(archived)
        } else {
            Swap::New
        };
        write_atomic(&path, 0o600, &key.seed()[..])?;
        self.write_public_key(key)?;
        Ok(swap)
    }

    /// The controller has certainly refused the key: it is worth nothing, and the next enrolment must not ask about
    /// it. What was there before comes back.
    pub fn take_back(&self, swap: &Swap) -> Result<(), EnrollError> {
        match swap {
            Swap::Same => Ok(()),
            Swap::New => {
                remove_if_there(&self.state.node_key())?;
                remove_if_there(&self.state.node_key_pub())?;
                Ok(())
            }
            Swap::Replaced(archived) => {
                let path = self.state.node_key();
                fs::rename(archived, &path).map_err(|error| StateError::new("restore", path, error))?;
                // One that couldn't be used has no public half.
                match self.read_key() {
                    Ok(old) => self.write_public_key(&old),
                    Err(_) => Ok(()),
                }
            }
        }
    }

    /// The public half, for people and tools.
    pub fn write_public_key(&self, key: &SigningKey) -> Result<(), EnrollError> {
        let text = format!("{}\n", key.public().to_base64());
        Ok(write_atomic(&self.state.node_key_pub(), 0o644, text.as_bytes())?)
    }

    /// The controller's signing key, which orders are checked with.
    pub fn write_server_key(&self, key: &ServerKey) -> Result<(), EnrollError> {
        let text = format!("{} {}\n", key.key_id, key.public.to_base64());
        Ok(write_atomic(&self.state.server_key(), 0o644, text.as_bytes())?)
    }
}

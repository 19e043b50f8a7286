//! What is there before an enrolment. Only looks.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use aegis_core::NodeId;
use aegis_wire::{
    SigningKey,
    token::{EnrollmentClaims, NodeClaims},
};

use super::Offer;
use crate::{
    config::{self, ConfigError, EdgeConfig},
    state::{StateDir, StateError, is_shared},
};

/// Everything that the plan depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Where it was looked.
    pub state: StateDir,
    /// The state directory.
    pub dir: DirState,
    /// The config file.
    pub config: ConfigState,
    /// The node key.
    pub key: KeyState,
    /// The node token, as far as it goes with the key, the config and the offer.
    pub token: NodeTokenState,
    /// The enrolment token on disk.
    pub enrollment: EnrollmentState,
    /// The local secrets.
    pub secrets: SecretsState,
}

/// The state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirState {
    /// Not there.
    Missing,
    /// There, with this mode.
    Present(u32),
    /// Something else is there, it is somebody else's, or everybody's.
    Unusable(&'static str),
}

/// The config file.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigState {
    /// Not there.
    Missing,
    /// There and valid.
    Valid(Box<EdgeConfig>),
    /// There, and wrong in this way.
    Invalid(String),
}

/// The node key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// Not there.
    Missing,
    /// There; its fingerprint.
    Usable(String),
    /// There, and wrong in this way.
    Broken(String),
}

/// The node token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeTokenState {
    /// Not there.
    Missing,
    /// It belongs to the key and to the controller that the offer is from.
    Belongs(NodeId),
    /// As before, but its time is over.
    Expired,
    /// It doesn't belong, for this reason.
    Foreign(String),
}

/// The enrolment token on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrollmentState {
    /// Not there, or good for nothing.
    Missing,
    /// The same as the one that was given.
    Same,
    /// Another that may still be good; its label.
    Other(String),
}

/// The local secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretsState {
    /// Not there.
    Missing,
    /// There, with this mode.
    Present(u32),
}

/// Looks at the files of `state`. `token` is the enrolment token, `offer` what it says, `now` seconds since 1970.
pub fn observe(state: &StateDir, token: &str, offer: &Offer, now: i64) -> Result<Observed, StateError> {
    let config = match config::load(state.config()) {
        Ok(config) => ConfigState::Valid(Box::new(config)),
        Err(ConfigError::Missing(_)) => ConfigState::Missing,
        Err(ConfigError::Read(error)) => return Err(error),
        Err(error @ ConfigError::Invalid(_)) => ConfigState::Invalid(error.to_string()),
    };
    let (key, signing_key) = match read(&state.node_key())? {
        None => (KeyState::Missing, None),
        Some(bytes) => match SigningKey::from_bytes(&bytes) {
            Ok(key) => (KeyState::Usable(key.public().fingerprint()), Some(key)),
            Err(error) => (KeyState::Broken(error.to_string()), None),
        },
    };
    let node_token = match read_text(&state.node_token())? {
        None => NodeTokenState::Missing,
        Some(text) => judge(&text, signing_key.as_ref(), &config, offer, now),
    };
    let enrollment = match read_text(&state.enrollment())? {
        None => EnrollmentState::Missing,
        Some(text) if text == token => EnrollmentState::Same,
        Some(text) => match EnrollmentClaims::peek(&text) {
            Ok(other) if other.expires_at.as_second() > now => EnrollmentState::Other(other.label),
            _ => EnrollmentState::Missing,
        },
    };
    let secrets = match mode(&state.secrets())? {
        None => SecretsState::Missing,
        Some(mode) => SecretsState::Present(mode),
    };
    Ok(Observed {
        dir: look_at_dir(state)?,
        state: state.clone(),
        config,
        key,
        token: node_token,
        enrollment,
        secrets,
    })
}

/// Whether the node token on disk can go on being used.
fn judge(
    token: &str,
    key: Option<&SigningKey>,
    config: &ConfigState,
    offer: &Offer,
    now: i64,
) -> NodeTokenState {
    let foreign = |why: &str| NodeTokenState::Foreign(why.to_owned());
    let Ok(claims) = NodeClaims::peek(token) else { return foreign("it can't be read") };
    let Some(key) = key else { return foreign("the key that it belongs to isn't there") };
    if claims.confirmation != aegis_wire::token::Confirmation::of(&key.public()) {
        return foreign("it belongs to another key");
    }
    if claims.tenant != offer.tenant {
        return NodeTokenState::Foreign(format!(
            "it is bound to the tenant {}, the enrolment token is for {}",
            claims.tenant, offer.tenant
        ));
    }
    if let ConfigState::Valid(config) = config
        && let Some(endpoint) = &config.endpoint
        && *endpoint != offer.endpoint
    {
        return NodeTokenState::Foreign(format!(
            "it is from {endpoint}, the enrolment token from {}",
            offer.endpoint
        ));
    }
    // At the time it was made: whether its time is over is another matter, said below.
    let signed =
        NodeClaims::verify(token, std::slice::from_ref(&offer.server_key), claims.issued_at.as_second());
    match signed {
        Err(error) => NodeTokenState::Foreign(format!("this controller didn't make it: {error}")),
        Ok(_) if claims.expires_at.as_second() <= now => NodeTokenState::Expired,
        Ok(_) => NodeTokenState::Belongs(claims.node_id),
    }
}

fn look_at_dir(state: &StateDir) -> Result<DirState, StateError> {
    let dir = state.dir();
    let metadata = match fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DirState::Missing),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(DirState::Unusable("a part of its path is no directory"));
        }
        Err(error) => return Err(StateError::new("read", dir, error)),
    };
    Ok(if !metadata.is_dir() {
        DirState::Unusable("it is no directory")
    } else if is_shared(dir, &metadata) {
        DirState::Unusable("others use it too; name a config in a directory of its own")
    } else if metadata.uid() != rustix::process::geteuid().as_raw() {
        DirState::Unusable("it belongs to another user")
    } else {
        DirState::Present(metadata.permissions().mode() & 0o7777)
    })
}

fn mode(path: &Path) -> Result<Option<u32>, StateError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.permissions().mode() & 0o7777)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(StateError::new("read", path, error)),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(StateError::new("read", path, error)),
    }
}

fn read_text(path: &Path) -> Result<Option<String>, StateError> {
    Ok(read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

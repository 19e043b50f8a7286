//! Who this host is: its key, its token, and the controller's key that it pinned.

use std::{fs, io, path::Path};

use aegis_core::{NodeId, TenantId};
use aegis_wire::{
    PublicKey, ServerKey, SigningKey,
    token::{Confirmation, NodeClaims},
};

use super::RunError;
use crate::{
    rotate::keep_token,
    state::{StateDir, StateError},
};

/// Who this host is.
#[derive(Debug)]
pub struct Identity {
    /// The node's private key.
    pub key: SigningKey,
    /// The controller's key, which every order is checked with.
    pub server_key: ServerKey,
    /// The node's id.
    pub node_id: NodeId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The node token.
    pub token: String,
    /// When the token was made, in seconds since 1970.
    pub issued_at: i64,
    /// Until when it is good, in seconds since 1970.
    pub expires_at: i64,
}

impl Identity {
    /// Reads the three files, and refuses a token that doesn't belong to the key.
    pub fn load(state: &StateDir) -> Result<Self, RunError> {
        let (identity, bound_to) = Self::read(state)?;
        if bound_to == Confirmation::of(&identity.key.public()) {
            Ok(identity)
        } else {
            Err(RunError::Foreign)
        }
    }

    /// Reads the three files, and says which key the token belongs to: in the middle of a rotation it is another.
    pub(crate) fn read(state: &StateDir) -> Result<(Self, Confirmation), RunError> {
        let key = read(&state.node_key())?.ok_or(RunError::NotEnrolled("node.key"))?;
        let key = SigningKey::from_bytes(&key).map_err(RunError::Key)?;
        let pinned = read(&state.server_key())?.ok_or(RunError::NotEnrolled("server.key.pub"))?;
        let server_key = parse_server_key(&String::from_utf8_lossy(&pinned)).ok_or(RunError::ServerKey)?;
        let token = read(&state.node_token())?.ok_or(RunError::NotEnrolled("node.token"))?;
        let token = String::from_utf8_lossy(&token).trim().to_owned();
        let claims = NodeClaims::peek(&token).map_err(RunError::Token)?;
        let identity = Self {
            key,
            server_key,
            node_id: claims.node_id,
            tenant: claims.tenant,
            token,
            issued_at: claims.issued_at.as_second(),
            expires_at: claims.expires_at.as_second(),
        };
        Ok((identity, claims.confirmation))
    }

    /// Whether it is the same host under the same controller, perhaps with another key or token.
    pub fn is_of(&self, other: &Self) -> bool {
        (&self.node_id, &self.tenant, &self.server_key) == (&other.node_id, &other.tenant, &other.server_key)
    }

    /// When to ask for a new token, in seconds since 1970: with a quarter of its life left.
    pub fn renew_at(&self) -> i64 {
        self.expires_at - (self.expires_at - self.issued_at) / 4
    }

    /// Takes over a renewed token, on disk and here, if it is by the pinned key, for this node, tenant and key.
    pub fn renew(&mut self, state: &StateDir, token: String, now: i64) -> Result<(), String> {
        let claims = NodeClaims::verify(&token, std::slice::from_ref(&self.server_key), now)
            .map_err(|error| error.to_string())?;
        if claims.sub != self.node_id || claims.tid != self.tenant || !claims.is_bound_to(&self.key.public())
        {
            return Err("it is for another node, tenant or key".to_owned());
        }
        keep_token(state, &token, &self.key.public()).map_err(|error| error.to_string())?;
        (self.token, self.issued_at, self.expires_at) = (token, claims.iat, claims.exp);
        Ok(())
    }
}

/// `KEYID BASE64`, as enrolment writes it.
fn parse_server_key(text: &str) -> Option<ServerKey> {
    let (key_id, key) = text.trim().split_once(' ')?;
    Some(ServerKey { key_id: key_id.to_owned(), public: PublicKey::from_base64(key).ok()? })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::new("read", path, error)),
    }
}

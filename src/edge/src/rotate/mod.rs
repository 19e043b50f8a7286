//! A host gets another key, or with the same key another token (2-protocol.md, "Rotation").
//!
//! The key that is to be stands in `node.key.next` from before the controller hears of it until everything else is in
//! its place. So at any moment one of the two files holds the node's key, and whoever finds `node.key.next` can finish
//! what was begun: [`settle`] does, before the daemon dials and before anything else is rotated.

mod archive;
mod error;
mod exchange;
mod swap;

use std::{fs, path::PathBuf, time::Duration};

use aegis_core::NodeId;
use aegis_wire::{PublicKey, SigningKey, token::Confirmation};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    capabilities::Host,
    clock::Clock,
    config::EdgeConfig,
    enroll::DialerFor,
    run::Identity,
    state::{LockError, PendingKey, RotateLock, StateDir, StateError, remove_if_there, write_atomic},
};

pub use archive::prune;
pub use error::RotateError;

/// For how long the key before is kept in the archive when nobody says otherwise.
pub const KEEP_OLD: Duration = Duration::from_hours(24);
/// How long [`settle`] waits for another process that rotates: longer than its calls to the controller may take.
const SETTLE_WITHIN: Duration = Duration::from_secs(90);
/// How often it looks whether that has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The steps of a rotation, in order, as [`RotateDeps::passed`] is told of them: written `node.key.next`, got a nonce,
/// got a token, archived the old key, written `node.token`, `node.key.pub`, `node.key`, removed `node.key.next`.
pub const STEPS: [&str; 8] = [
    "edge.rotate.1",
    "edge.rotate.2",
    "edge.rotate.3",
    "edge.rotate.4",
    "edge.rotate.5",
    "edge.rotate.6",
    "edge.rotate.7",
    "edge.rotate.8",
];

/// What a rotation needs from outside.
#[derive(Clone, Copy)]
pub struct RotateDeps<'a> {
    /// The wall clock.
    pub clock: &'a dyn Clock,
    /// The way to the controller: see [`crate::proxy::dialer_for`].
    pub dialer: &'a DialerFor,
    /// This machine.
    pub host: &'a Host,
    /// Is told of each of the [`STEPS`] once it is done. Tests end the process there.
    pub passed: &'a (dyn Fn(&str) + Send + Sync),
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// The node. Its id stays.
    pub node_id: NodeId,
    /// The key that it had.
    pub old_fingerprint: String,
    /// The key that it has.
    pub new_fingerprint: String,
    /// Where the old key is kept; `None`: nowhere.
    pub archived: Option<PathBuf>,
    /// Until when the new node token is good.
    pub token_expires: jiff::Timestamp,
    /// Whether this finished a rotation that had been begun before.
    pub resumed: bool,
}

/// What a refresh did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refreshed {
    /// The node.
    pub node_id: NodeId,
    /// Its key; another one than before if a rotation waited to be finished.
    pub key_fingerprint: String,
    /// Until when the new node token is good.
    pub token_expires: jiff::Timestamp,
}

/// What [`settle`] found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Key and token belong together and no rotation was under way. Nothing was done.
    Clean,
    /// A rotation that was cut off is finished.
    Finished(Box<Rotated>),
    /// There is a token for the key again: the one on disk was another key's.
    Refreshed(Refreshed),
}

/// Gives this host another key. The old one is kept in the archive for `keep_old`. If a rotation was cut off before, it
/// is finished, and that is it.
pub async fn rotate(
    deps: RotateDeps<'_>,
    state: &StateDir,
    config: &EdgeConfig,
    keep_old: Duration,
) -> Result<Rotated, RotateError> {
    let _lock = RotateLock::take(state)?;
    archive::prune(state, deps.clock.now_ms())?;
    let (identity, bound_to) = Identity::read(state)?;
    if let Some(begun) = PendingKey::read(state)? {
        let begun = PendingKey { keep_old, ..begun };
        if let Some(rotated) = finish(deps, state, config, &identity, &bound_to, begun).await? {
            return Ok(rotated);
        }
    }
    let pending = PendingKey { key: SigningKey::generate().map_err(RotateError::Key)?, keep_old };
    pending.write(state)?;
    (deps.passed)(STEPS[0]);
    match exchange::ask(deps, config, &identity, &pending.key).await {
        Ok((token, expires)) => {
            let archived = swap::install(deps, state, &identity.key, &pending, Some(&token))?;
            Ok(report(&identity, &pending, archived, expires, false))
        }
        Err(error) => {
            if error.leaves_key_unused() {
                remove_if_there(&state.node_key_next())?;
            }
            Err(error)
        }
    }
}

/// Gives this host another token for its key. If a rotation was cut off before, it is finished, which gives one too.
pub async fn refresh(
    deps: RotateDeps<'_>,
    state: &StateDir,
    config: &EdgeConfig,
) -> Result<Refreshed, RotateError> {
    let _lock = RotateLock::take(state)?;
    archive::prune(state, deps.clock.now_ms())?;
    match mend(deps, state, config).await? {
        Settled::Finished(rotated) => Ok(Refreshed {
            node_id: rotated.node_id,
            key_fingerprint: rotated.new_fingerprint,
            token_expires: rotated.token_expires,
        }),
        Settled::Refreshed(refreshed) => Ok(refreshed),
        Settled::Clean => renew(deps, state, config, &Identity::read(state)?.0).await,
    }
}

/// Finishes a rotation that was cut off, so that `node.key` and `node.token` are what the controller knows. To be called
/// before the first dial, and before another one after a refusal. Costs a look at the files when there is nothing to do.
pub async fn settle(
    deps: RotateDeps<'_>,
    state: &StateDir,
    config: &EdgeConfig,
) -> Result<Settled, RotateError> {
    archive::prune(state, deps.clock.now_ms())?;
    if is_settled(state)? {
        return Ok(Settled::Clean);
    }
    let deadline = Instant::now() + SETTLE_WITHIN;
    let _lock = loop {
        match RotateLock::take(state) {
            Err(LockError::Rotating(_)) if Instant::now() < deadline => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            other => break other?,
        }
    };
    mend(deps, state, config).await
}

/// Whether no rotation is under way and the token on disk is the key's.
pub fn is_settled(state: &StateDir) -> Result<bool, RotateError> {
    if PendingKey::read(state)?.is_some() {
        return Ok(false);
    }
    let (identity, bound_to) = Identity::read(state)?;
    Ok(bound_to == Confirmation::of(&identity.key.public()))
}

/// Keeps a token that came over the stream for `key`, unless `node.key` is another by now or is being replaced: the
/// token that comes with the new key must not be overwritten by one for the old. Tells whether it was kept.
pub fn keep_token(state: &StateDir, token: &str, key: &PublicKey) -> Result<bool, RotateError> {
    let _lock = match RotateLock::take(state) {
        Ok(lock) => lock,
        Err(LockError::Rotating(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    // While `node.key.next` is there, the token on disk may be the proof that the new key is in force.
    if PendingKey::read(state)?.is_some() {
        return Ok(false);
    }
    let path = state.node_key();
    let on_disk = fs::read(&path).map_err(|error| StateError::new("read", path, error))?;
    if !SigningKey::from_bytes(&on_disk).is_ok_and(|on_disk| on_disk.public() == *key) {
        return Ok(false);
    }
    write_atomic(&state.node_token(), 0o600, token.as_bytes())?;
    Ok(true)
}

/// What [`settle`] does under the lock.
async fn mend(deps: RotateDeps<'_>, state: &StateDir, config: &EdgeConfig) -> Result<Settled, RotateError> {
    let (identity, bound_to) = Identity::read(state)?;
    if let Some(pending) = PendingKey::read(state)? {
        let finished = finish(deps, state, config, &identity, &bound_to, pending).await?;
        return Ok(finished.map_or(Settled::Clean, |rotated| Settled::Finished(Box::new(rotated))));
    }
    if bound_to == Confirmation::of(&identity.key.public()) {
        return Ok(Settled::Clean);
    }
    // No step of ours leaves this; a token that was restored or copied does. The key is what counts.
    renew(deps, state, config, &identity).await.map(Settled::Refreshed)
}

/// Finishes what `pending` began; `None`: there was nothing left but to remove it.
async fn finish(
    deps: RotateDeps<'_>,
    state: &StateDir,
    config: &EdgeConfig,
    identity: &Identity,
    bound_to: &Confirmation,
    pending: PendingKey,
) -> Result<Option<Rotated>, RotateError> {
    let new = pending.key.public();
    if identity.key.public() == new {
        remove_if_there(&state.node_key_next())?;
        return Ok(None);
    }
    let (token, expires) = if *bound_to == Confirmation::of(&new) {
        // The token is the proof that the controller has the new key: nobody needs to be asked.
        (None, jiff::Timestamp::from_second(identity.expires_at).unwrap_or(jiff::Timestamp::MAX))
    } else {
        let answer = exchange::ask(deps, config, identity, &pending.key).await;
        let (token, expires) = answer.map_err(RotateError::of_begun)?;
        (Some(token), expires)
    };
    let archived = swap::install(deps, state, &identity.key, &pending, token.as_deref())?;
    Ok(Some(report(identity, &pending, archived, expires, true)))
}

/// Another token for the same key.
async fn renew(
    deps: RotateDeps<'_>,
    state: &StateDir,
    config: &EdgeConfig,
    identity: &Identity,
) -> Result<Refreshed, RotateError> {
    let answer = exchange::ask(deps, config, identity, &identity.key).await;
    let (token, token_expires) = answer.map_err(RotateError::of_refresh)?;
    write_atomic(&state.node_token(), 0o600, token.as_bytes())?;
    Ok(Refreshed {
        node_id: identity.node_id.clone(),
        key_fingerprint: identity.key.public().fingerprint(),
        token_expires,
    })
}

fn report(
    identity: &Identity,
    pending: &PendingKey,
    archived: Option<PathBuf>,
    token_expires: jiff::Timestamp,
    resumed: bool,
) -> Rotated {
    Rotated {
        node_id: identity.node_id.clone(),
        old_fingerprint: identity.key.public().fingerprint(),
        new_fingerprint: pending.key.public().fingerprint(),
        archived,
        token_expires,
        resumed,
    }
}

#[cfg(test)]
mod tests;

//! The files of a rotation, once the controller has the new key.

use std::path::PathBuf;

use aegis_wire::SigningKey;

use super::{RotateDeps, STEPS, archive};
use crate::state::{PendingKey, StateDir, StateError, remove_if_there, write_atomic};

/// Puts the new key and its token where the daemon looks for them. Gives where the old key is kept. `token` is `None`
/// when it is in its place already.
///
/// Each file is replaced at once and for good, and a crash between any two of them is mended, because:
/// - `node.key.next` goes last, so until then whoever comes next sees that something was begun, and has the key;
/// - before `node.token` is replaced, the host is as it was before the controller answered: the question is said again;
/// - after that, the token is bound to the key in `node.key.next`, which says that the controller has it: the rest is
///   done again without asking;
/// - `node.key` comes after the archive, so the old key is never gone before it is kept, and after `node.key.pub`,
///   because once `node.key` is the new one nothing is left to do but to remove `node.key.next`.
pub(super) fn install(
    deps: RotateDeps<'_>,
    state: &StateDir,
    old: &SigningKey,
    pending: &PendingKey,
    token: Option<&str>,
) -> Result<Option<PathBuf>, StateError> {
    let archived = archive::keep(state, old, pending.keep_old, deps.clock.now_ms())?;
    (deps.passed)(STEPS[3]);
    if let Some(token) = token {
        write_atomic(&state.node_token(), 0o600, token.as_bytes())?;
    }
    (deps.passed)(STEPS[4]);
    let public = format!("{}\n", pending.key.public().to_base64());
    write_atomic(&state.node_key_pub(), 0o644, public.as_bytes())?;
    (deps.passed)(STEPS[5]);
    write_atomic(&state.node_key(), 0o600, &pending.key.seed()[..])?;
    (deps.passed)(STEPS[6]);
    remove_if_there(&state.node_key_next())?;
    (deps.passed)(STEPS[7]);
    Ok(archived)
}

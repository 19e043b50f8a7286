//! A backup, as it is sent: the pieces of one file.

use std::sync::Arc;

use aegis_wire::ApiError;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream::BoxStream};
use tokio::io::AsyncReadExt;

use super::{Reply, auth::Caller};
use crate::{backup, failed, state::Controller};

/// The size of a piece, in bytes.
const PIECE: usize = 256 * 1024;

pub(super) async fn stream(
    controller: Arc<Controller>,
    caller: &Caller,
) -> Reply<BoxStream<'static, Result<Bytes, ApiError>>> {
    caller.need_controller_scope(&controller, "a backup")?;
    controller.audit_soon(controller.event(&caller.subject, caller.tenant.as_str(), "backup", "", ""));
    let file = tokio::task::spawn_blocking(move || {
        backup::write(&*controller.store, &controller.data_dir, controller.clock.now())
    })
    .await
    .map_err(failed)?
    .map_err(failed)?;
    let file = tokio::fs::File::from_std(file);
    let pieces = futures::stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut piece = BytesMut::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(piece.freeze()), Some(file))),
            Err(error) => Some((Err(failed(error)), None)),
        }
    });
    Ok(pieces.boxed())
}

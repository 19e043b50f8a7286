//! `/v1/images`.

use std::{collections::BTreeSet, sync::Arc};

use aegis_image::Digest;
use aegis_wire::runtime::{Image, Pruned, RuntimeError};
use jiff::Timestamp;

use super::call::{Answer, Call};
use crate::{images, keyspace, record, state::Daemon};

pub(super) async fn list(daemon: Arc<Daemon>, _: Call) -> Result<Answer, RuntimeError> {
    let in_use = images::in_use(&daemon)?;
    let found = daemon.images.list().await.map_err(images::failed)?;
    let shown = found.into_iter().map(|image| {
        let pulled: Option<Timestamp> = record::get(&*daemon.store, &row(&image.digest)).ok().flatten();
        let made = || image.created.as_deref().and_then(|text| text.parse().ok());
        Image {
            references: image.references.iter().cloned().collect(),
            digest: image.digest.to_string(),
            size: image.size,
            pulled_at: pulled.or_else(made).unwrap_or(Timestamp::UNIX_EPOCH),
            in_use: in_use.contains(&image.digest),
        }
    });
    Answer::ok(&shown.collect::<Vec<_>>())
}

fn row(digest: &Digest) -> String {
    format!("{}{digest}", keyspace::PULLS)
}

pub(super) async fn delete(daemon: Arc<Daemon>, call: Call) -> Result<Answer, RuntimeError> {
    let digest = find(&daemon, call.segment(0)).await?;
    daemon.images.remove(&digest, &images::in_use(&daemon)?).await.map_err(images::failed)?;
    Ok(Answer::Done)
}

/// The image with this digest (or the first digits of one that only it has), or pulled under this reference.
async fn find(daemon: &Daemon, text: &str) -> Result<Digest, RuntimeError> {
    let all = daemon.images.list().await.map_err(images::failed)?;
    let reference = text.parse::<aegis_image::Reference>().map(|reference| reference.to_string()).ok();
    let named = all.iter().find(|image| {
        image.references.contains(text)
            || reference.as_ref().is_some_and(|full| image.references.contains(full))
    });
    if let Some(image) = named {
        return Ok(image.digest);
    }
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let by_digest: Vec<Digest> =
        all.iter().map(|image| image.digest).filter(|digest| digest.hex().starts_with(digits)).collect();
    match by_digest.as_slice() {
        [digest] if digits.len() >= 8 => Ok(*digest),
        _ => Err(RuntimeError::not_found(format!("there is no image '{text}'"))
            .hint("list them: `aegis image ls`")),
    }
}

pub(super) async fn prune(daemon: Arc<Daemon>, _: Call) -> Result<Answer, RuntimeError> {
    let before = digests(&daemon).await?;
    let freed = daemon.images.prune(&images::in_use(&daemon)?).await.map_err(images::failed)?;
    let after = digests(&daemon).await?;
    let images = before.difference(&after).map(ToString::to_string).collect();
    Answer::ok(&Pruned { images, freed: freed.bytes })
}

async fn digests(daemon: &Daemon) -> Result<BTreeSet<Digest>, RuntimeError> {
    let all = daemon.images.list().await.map_err(images::failed)?;
    Ok(all.into_iter().map(|image| image.digest).collect())
}

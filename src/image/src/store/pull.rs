//! How an image comes here.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::spawn_blocking;

use super::{Hold, Image, Inner, LayerInfo, catalogue::Record, lock};
use crate::{
    Digest, ImageError, Progress, ProgressSink, Reference,
    manifest::{self, Config, Descriptor, Manifest, Platform, layer_compression},
    source::{Archive, Located, Source, cancel_on_drop, import_tar},
};

/// So many layers of an image are transferred at once.
const AT_ONCE: usize = 4;
/// The reference of the image that is used when none is named.
const BASE: &str = "base";

/// What a reference means now.
pub async fn resolve(inner: &Arc<Inner>, reference: &Reference) -> Result<Digest, ImageError> {
    let Some(source) = Source::of(reference, &inner.connector)? else {
        return import_archive(inner, reference).await.map(|(digest, _, _)| digest);
    };
    if let Some(known) = source.head(reference).await?.and_then(|digest| inner.known(&digest)) {
        return Ok(known);
    }
    locate(inner, &source, reference).await.map(|located| located.digest)
}

/// Brings an image here.
pub async fn pull(
    inner: &Arc<Inner>,
    reference: &Reference,
    progress: &ProgressSink,
) -> Result<Image, ImageError> {
    let Some(source) = Source::of(reference, &inner.connector)? else {
        let (digest, manifest, _holds) = import_archive(inner, reference).await?;
        tell_all(digest, &manifest, progress);
        return enter(inner, digest, manifest, None, reference.to_string()).await;
    };
    let located = locate(inner, &source, reference).await?;
    let Located { digest, bytes, manifest, index } = located;
    check(inner, &manifest)?;
    // Before anything is looked for: what is found must still be there at the end.
    let _holds = hold_all(inner, digest, &manifest, index.as_ref().map(|(digest, _)| *digest));
    progress(Progress::Resolved { digest, layers: manifest.layers.len(), bytes: total(&manifest) });

    let place = reference.place();
    inner.transfers.bring(&source, &place, &inner.blobs, &manifest.config, |_| {}).await?;
    // Each has its layer, not a reference: only so can the whole be sent to another thread.
    let layers = manifest.layers.clone().into_iter().enumerate().map(|(index, layer)| {
        let (source, place) = (&source, &place);
        async move {
            let total = layer.size;
            let step = |done| Progress::Layer { index, digest: layer.digest, done, total };
            let told = |done: u64| progress(step(done.min(total.saturating_sub(1))));
            inner.transfers.bring(source, place, &inner.blobs, &layer, told).await?;
            progress(step(total));
            Ok::<(), ImageError>(())
        }
    });
    stream::iter(layers).buffer_unordered(AT_ONCE).try_collect::<()>().await?;

    let store = inner.clone();
    let index_digest = index.as_ref().map(|(digest, _)| *digest);
    let kept = spawn_blocking(move || {
        store.blobs.keep(&bytes)?;
        index.map_or(Ok(()), |(_, bytes)| store.blobs.keep(&bytes).map(|_| ()))
    });
    kept.await.map_err(|_| ImageError::Lost("the pull"))??;
    enter(inner, digest, manifest, index_digest, reference.to_string()).await
}

/// Takes a tar file as the base image.
pub async fn import_base(inner: &Arc<Inner>, tar: &Path) -> Result<Digest, ImageError> {
    let _importing = inner.collecting.clone().read_owned().await;
    let (store, path) = (inner.clone(), tar.to_owned());
    let (cancelled, guard) = cancel_on_drop();
    let imported = spawn_blocking(move || import_tar(&store.blobs, &path, &store.limits, &cancelled)).await;
    drop(guard);
    let (digest, manifest) = imported.map_err(|_| ImageError::Lost("the import"))??;
    enter(inner, digest, manifest, None, BASE.to_owned()).await.map(|image| image.digest)
}

async fn import_archive(
    inner: &Arc<Inner>,
    reference: &Reference,
) -> Result<(Digest, Manifest, Vec<Hold>), ImageError> {
    let Reference::Archive { file, name } = reference.clone() else {
        return Err(ImageError::reference(&reference.to_string(), "is no archive"));
    };
    let _importing = inner.collecting.clone().read_owned().await;
    let store = inner.clone();
    let (cancelled, guard) = cancel_on_drop();
    let imported = spawn_blocking(move || {
        let archive = Archive::open(&file)?;
        archive.import(name.as_deref(), &store.blobs, &store.limits, &cancelled)
    });
    let (digest, manifest) = imported.await.map_err(|_| ImageError::Lost("the import"))??;
    drop(guard);
    let holds = hold_all(inner, digest, &manifest, None);
    Ok((digest, manifest, holds))
}

async fn locate(inner: &Inner, source: &Source, reference: &Reference) -> Result<Located, ImageError> {
    // A damaged document is asked for again.
    let known = |digest: &Digest| inner.blobs.document(digest).ok().flatten();
    source.locate(reference, inner.limits.document_bytes, known).await
}

/// What a manifest promises is checked before anything is transferred.
fn check(inner: &Inner, manifest: &Manifest) -> Result<(), ImageError> {
    let limits = &inner.limits;
    let wrong = |reason: String| Err(ImageError::malformed("manifest", reason));
    if manifest.layers.len() > limits.layers {
        return wrong(format!("the image has {} layers, more than {}", manifest.layers.len(), limits.layers));
    }
    if manifest.config.size > limits.document_bytes {
        return wrong(format!("the image's configuration is larger than {} bytes", limits.document_bytes));
    }
    for (index, layer) in manifest.layers.iter().enumerate() {
        layer_compression(&layer.media_type)?;
        if layer.size > limits.blob_bytes {
            return wrong(format!(
                "layer {} ({}) is larger than {} bytes",
                index + 1,
                layer.digest,
                limits.blob_bytes
            ));
        }
    }
    Ok(())
}

fn hold_all(inner: &Inner, digest: Digest, manifest: &Manifest, index: Option<Digest>) -> Vec<Hold> {
    blobs_of(digest, manifest, index).iter().map(|digest| inner.hold(digest)).collect()
}

fn blobs_of(digest: Digest, manifest: &Manifest, index: Option<Digest>) -> BTreeSet<Digest> {
    let layers = manifest.layers.iter().map(|layer| layer.digest);
    [digest, manifest.config.digest].into_iter().chain(index).chain(layers).collect()
}

fn total(manifest: &Manifest) -> u64 {
    manifest.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
}

fn tell_all(digest: Digest, manifest: &Manifest, progress: &ProgressSink) {
    progress(Progress::Resolved { digest, layers: manifest.layers.len(), bytes: total(manifest) });
    for (index, Descriptor { digest, size, .. }) in manifest.layers.iter().enumerate() {
        progress(Progress::Layer { index, digest: *digest, done: *size, total: *size });
    }
}

/// Enters an image whose blobs are all here.
async fn enter(
    inner: &Arc<Inner>,
    digest: Digest,
    manifest: Manifest,
    index: Option<Digest>,
    reference: String,
) -> Result<Image, ImageError> {
    let inner = inner.clone();
    let entered = spawn_blocking(move || {
        let config = inner.config(&manifest)?;
        let host = Platform::host();
        if config.architecture != host.architecture && !config.architecture.is_empty() {
            let (os, architecture) = (config.os, config.architecture);
            let available = vec![Platform { architecture, os, variant: None }.to_string()];
            return Err(ImageError::NoPlatform { reference, wanted: host.to_string(), available });
        }
        let image = Image {
            digest,
            references: BTreeSet::new(),
            layers: manifest
                .layers
                .iter()
                .map(|layer| LayerInfo { digest: layer.digest, size: layer.size })
                .collect(),
            size: total(&manifest),
            architecture: host.architecture,
            created: config.created,
        };
        let blobs = blobs_of(digest, &manifest, index);
        inner.enter(Record { image, index, blobs }, reference)
    });
    entered.await.map_err(|_| ImageError::Lost("the pull"))?
}

impl Inner {
    /// The configuration of an image, with a digest for each layer.
    pub fn config(&self, manifest: &Manifest) -> Result<Config, ImageError> {
        let digest = manifest.config.digest;
        let what = format!("configuration {digest}");
        let bytes =
            self.blobs.document(&digest)?.ok_or_else(|| ImageError::malformed(&what, "it is damaged"))?;
        let config: Config = manifest::parse(&what, &bytes)?;
        let (layers, named) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != named {
            return Err(ImageError::malformed(
                what,
                format!("it names {named} layers, the manifest {layers}"),
            ));
        }
        Ok(config)
    }

    /// The image that a digest means, if it is here: its own, or the one of the index that led to it.
    fn known(&self, digest: &Digest) -> Option<Digest> {
        let records = lock(&self.records);
        let by_index = || records.values().find(|record| record.index == Some(*digest));
        records.get(digest).or_else(by_index).map(|record| record.image.digest)
    }
}

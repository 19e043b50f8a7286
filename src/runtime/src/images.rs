//! Images for guests: by reference or digest, the base image when nobody says one, and what is in use.

use std::{collections::BTreeSet, sync::Arc};

use aegis_backend::RootFs;
use aegis_image::{Digest, ImageError, ImageStore, Problem, Progress, ProgressSink, Reference};
use aegis_store::{Batch, Store};
use aegis_wire::runtime::RuntimeError;

use crate::{
    guests::system,
    journal::Journal,
    keyspace,
    record::{self, InstanceRow, ReleaseRow},
    state::Daemon,
};

/// The digest of an image that is here when this returns. With a journal, progress goes there, and a reference that was
/// pulled before is what it was then: nobody is asked. Without one, the registry says what it is now.
pub(crate) async fn obtain(
    daemon: &Arc<Daemon>,
    image: Option<&str>,
    digest: Option<&str>,
    journal: Option<&Journal>,
) -> Result<Digest, RuntimeError> {
    if let Some(digest) = digest {
        let digest: Digest = digest.parse().map_err(|error| RuntimeError::internal(format!("{error}")))?;
        if daemon.images.get(&digest).await.is_ok() {
            return Ok(digest);
        }
    }
    let Some(image) = image else { return daemon.base_image().await };
    // A release's image is asked for by its digest: the tag may mean another one by now.
    let is_local = image.starts_with("oci:") || image.starts_with("docker-archive:");
    let reference = match digest {
        Some(digest) if !is_local && !image.contains('@') => format!("{image}@{digest}").parse(),
        _ => image.parse::<Reference>(),
    };
    let reference = reference.map_err(failed)?;
    if journal.is_some()
        && let Some(digest) = known(daemon, &reference).await
    {
        return Ok(digest);
    }
    let sink = match journal {
        Some(journal) => progress(daemon.clone(), image.to_owned(), journal.clone()),
        None => aegis_image::silent(),
    };
    pull(daemon, &reference, sink).await
}

async fn pull(daemon: &Daemon, reference: &Reference, sink: ProgressSink) -> Result<Digest, RuntimeError> {
    let digest = daemon.images.pull(reference, sink).await.map_err(failed)?.digest;
    let mut batch = Batch { lazy: true, quiet: true, ..Batch::default() };
    record::put(&mut batch, format!("{}{digest}", keyspace::PULLS), &daemon.clock.now());
    // It is for people; nothing depends on it.
    daemon.store.commit(batch).detach();
    Ok(digest)
}

/// What a reference was when it was last pulled. What is on this disk may have changed since without a trace.
async fn known(daemon: &Daemon, reference: &Reference) -> Option<Digest> {
    let name = reference.to_string();
    if name.starts_with("oci:") || name.starts_with("docker-archive:") {
        return None;
    }
    let images = daemon.images.list().await.ok()?;
    images.into_iter().find(|image| image.references.contains(&name)).map(|image| image.digest)
}

/// The digest that a reference means now, pulled if it isn't here.
pub(crate) async fn latest(daemon: &Arc<Daemon>, image: &str) -> Result<Digest, RuntimeError> {
    let reference: Reference = image.parse().map_err(failed)?;
    pull(daemon, &reference, aegis_image::silent()).await
}

/// Says in the journal how a pull goes on: once for the image, then each layer that was transferred.
fn progress(writer: Arc<Daemon>, image: String, journal: Journal) -> ProgressSink {
    let (lines, mut said) = tokio::sync::mpsc::unbounded_channel::<String>();
    tokio::spawn(async move {
        while let Some(line) = said.recv().await {
            journal.write(system(&writer, &line));
        }
    });
    let started = std::sync::Mutex::new(BTreeSet::new());
    Arc::new(move |step| {
        let line = match step {
            Progress::Resolved { digest, layers, bytes } => {
                Some(format!("image {image}: {digest}, {layers} layers, {} MiB", bytes / (1024 * 1024)))
            }
            Progress::Layer { index, done, total, .. } if done < total => {
                let mut started = started.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                started
                    .insert(index)
                    .then(|| format!("image {image}: pulling layer {} ({total} bytes)", index + 1))
            }
            Progress::Layer { index, .. } => {
                let started = started.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                started.contains(&index).then(|| format!("image {image}: layer {} is here", index + 1))
            }
        };
        if let Some(line) = line {
            // The journal's writer lives as long as this sink.
            let _ = lines.send(line);
        }
    })
}

/// The root file system in the form that a backend takes.
pub(crate) async fn root_of(
    images: &ImageStore,
    digest: &Digest,
    is_disk: bool,
) -> Result<RootFs, RuntimeError> {
    if is_disk {
        images.rootfs_image(digest).await.map(RootFs::Image).map_err(failed)
    } else {
        images.rootfs_directory(digest).await.map(RootFs::Directory).map_err(failed)
    }
}

/// The images that releases and instances need.
pub(crate) fn in_use(daemon: &Daemon) -> Result<BTreeSet<Digest>, RuntimeError> {
    let releases: Vec<ReleaseRow> = record::list(&*daemon.store, keyspace::RELEASES)?;
    let instances: Vec<InstanceRow> = record::list(&*daemon.store, keyspace::INSTANCES)?;
    let runs = releases.iter().map(|row| &row.run).chain(instances.iter().map(|row| &row.run));
    let mut digests: BTreeSet<Digest> =
        runs.filter_map(|run| run.image_digest.as_deref()?.parse().ok()).collect();
    digests.extend(daemon.known_base_image());
    Ok(digests)
}

/// An error of the image store, as the API says it.
#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
pub(crate) fn failed(error: ImageError) -> RuntimeError {
    let message = error.to_string();
    match error.problem() {
        Problem::Reference => {
            RuntimeError::invalid(message).hint("write an image such as alpine:3.21 or oci:DIR")
        }
        Problem::NotFound => {
            RuntimeError::new(422, "image_not_found", message).hint("check the name and the tag")
        }
        Problem::Unauthorized => RuntimeError::new(422, "image_unauthorized", message)
            .hint("log in: `podman login` or `docker login`"),
        Problem::Registry => {
            RuntimeError::new(500, "registry", message).hint("try again; check the registry")
        }
        Problem::Refused => RuntimeError::new(422, "image_refused", message),
        Problem::InUse => {
            RuntimeError::conflict(message).hint("delete the app or the instance that needs it")
        }
        Problem::Full => RuntimeError::internal(message).hint("free some: `aegis image prune`"),
        Problem::Host => RuntimeError::internal(message),
    }
}

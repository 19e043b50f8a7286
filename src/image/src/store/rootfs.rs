//! Root file systems: each made once, from blobs that are here.

use std::{
    collections::HashMap,
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use tempfile::NamedTempFile;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{Inner, lock};
use crate::{
    Digest, ImageError,
    blobs::{make_private, sync_directory},
    build::{LayerSource, build},
    directory, erofs,
    manifest::{self, Manifest, layer_compression},
    source::cancel_on_drop,
};

const IMAGES: &str = "rootfs";
const DIRECTORIES: &str = "trees";
/// Part of the names: what an earlier version of the writer made isn't found, and the next prune removes it.
const VERSION: &str = "v1";
/// So many are made at once: each takes a core or two and all of the disk.
const AT_ONCE: usize = 2;

type Outcome = Result<(), ImageError>;
type Build = Shared<BoxFuture<'static, Outcome>>;

/// What is being made. It ends when nobody waits for it any more.
pub struct Builds {
    under_way: Mutex<HashMap<PathBuf, WeakShared<BoxFuture<'static, Outcome>>>>,
    permits: Arc<Semaphore>,
}

impl Default for Builds {
    fn default() -> Self {
        Self { under_way: Mutex::default(), permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// Makes the directories of a store.
pub fn make_directories(store: &Path) -> Result<(), ImageError> {
    let (images, directories) = (store.join(IMAGES), store.join(DIRECTORIES));
    fs::create_dir_all(&images).map_err(ImageError::file(&images))?;
    make_private(&directories).map_err(ImageError::file(&directories))
}

/// All root file systems that are here, whatever made them.
pub fn list(inner: &Inner) -> Result<Vec<(Digest, PathBuf)>, ImageError> {
    let mut all = Vec::new();
    for name in [IMAGES, DIRECTORIES] {
        let directory = inner.directory.join(name);
        let failed = || ImageError::file(&directory);
        for entry in fs::read_dir(&directory).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name = entry.file_name();
            let hex = name.to_str().and_then(|name| name.split('.').next());
            let digest = hex.and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
            all.extend(digest.map(|digest| (digest, entry.path())));
        }
    }
    Ok(all)
}

/// The image, which is made if it isn't there.
pub async fn image(inner: &Arc<Inner>, digest: &Digest) -> Result<PathBuf, ImageError> {
    let path = inner.directory.join(IMAGES).join(format!("{}.{VERSION}.erofs", digest.hex()));
    made(inner, digest, path, make_image).await
}

/// The directory, which is made if it isn't there.
pub async fn directory(inner: &Arc<Inner>, digest: &Digest) -> Result<PathBuf, ImageError> {
    let path = inner.directory.join(DIRECTORIES).join(format!("{}.{VERSION}", digest.hex()));
    if !exists(&path).await? {
        image(inner, digest).await?;
    }
    made(inner, digest, path, make_directory).await
}

async fn exists(path: &Path) -> Result<bool, ImageError> {
    tokio::fs::try_exists(path).await.map_err(ImageError::file(path))
}

async fn made(
    inner: &Arc<Inner>,
    digest: &Digest,
    path: PathBuf,
    make: fn(&Inner, &Digest, &Path, &AtomicBool) -> Outcome,
) -> Result<PathBuf, ImageError> {
    if exists(&path).await? {
        return Ok(path);
    }
    if !lock(&inner.records).contains_key(digest) {
        return Err(ImageError::Unknown(*digest));
    }
    let _hold = inner.hold(digest);
    join(inner, *digest, &path, make).await?;
    Ok(path)
}

fn join(
    inner: &Arc<Inner>,
    digest: Digest,
    path: &Path,
    make: fn(&Inner, &Digest, &Path, &AtomicBool) -> Outcome,
) -> Build {
    let mut all = lock(&inner.builds.under_way);
    if let Some(build) = all.get(path).and_then(WeakShared::upgrade) {
        return build;
    }
    all.retain(|_, build| build.upgrade().is_some());
    let (store, target, permits) = (inner.clone(), path.to_owned(), inner.builds.permits.clone());
    let build = async move {
        let lost = || ImageError::Lost("the making of a root file system");
        let _permit = permits.acquire_owned().await.map_err(|_| lost())?;
        let (cancelled, guard) = cancel_on_drop();
        let made = spawn_blocking(move || {
            // One that came to its end just before this one began.
            if target.exists() { Ok(()) } else { make(&store, &digest, &target, &cancelled) }
        });
        let made = made.await.map_err(|_| lost())?;
        drop(guard);
        made
    };
    let build = build.boxed().shared();
    all.extend(build.downgrade().map(|weak| (path.to_owned(), weak)));
    build
}

fn make_image(inner: &Inner, digest: &Digest, path: &Path, cancelled: &AtomicBool) -> Outcome {
    let layers = layers(inner, digest)?;
    let temporary = inner.blobs.temporary();
    let failed = || ImageError::file(path);
    let image = NamedTempFile::new_in(temporary).map_err(failed())?;
    let tails = tempfile::tempfile_in(temporary).map_err(failed())?;
    let file = image.reopen().map_err(failed())?;
    let built = build(digest, &layers, &inner.limits, (file, image.path(), tails), cancelled);
    built.map_err(|error| damage(inner, &layers).unwrap_or(error))?;
    // Shared by all instances: nobody writes to it any more.
    image.as_file().set_permissions(Permissions::from_mode(0o444)).map_err(failed())?;
    image.persist(path).map_err(|error| failed()(error.error))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Whether layers aren't any more what they were when they came: then the disk is to blame, not the image. They are removed,
/// so that the next pull brings them anew.
fn damage(inner: &Inner, layers: &[LayerSource]) -> Option<ImageError> {
    let mut damaged = None;
    for layer in layers {
        let actual = File::open(&layer.path).ok().and_then(|file| Digest::of_reader(file).ok());
        if let Some(actual) = actual.filter(|actual| *actual != layer.digest) {
            let _ = fs::remove_file(inner.blobs.path(&layer.digest));
            let what =
                format!("{}, which is damaged on this disk; pull the image again: it", layer.path.display());
            damaged = Some(ImageError::WrongDigest { what, expected: layer.digest, actual });
        }
    }
    damaged
}

fn make_directory(inner: &Inner, digest: &Digest, path: &Path, cancelled: &AtomicBool) -> Outcome {
    let failed = || ImageError::file(path);
    let image = inner.directory.join(IMAGES).join(format!("{}.{VERSION}.erofs", digest.hex()));
    let image = File::open(&image).and_then(erofs::Image::open).map_err(ImageError::file(&image))?;
    let aside = tempfile::tempdir_in(inner.blobs.temporary()).map_err(failed())?;
    let tree = aside.path().join("tree");
    let written = fs::create_dir(&tree)
        .and_then(|()| directory::write(&image, &tree, cancelled))
        .and_then(|()| fs::rename(&tree, path));
    if let Err(error) = written {
        // The guard of `aside` can't remove directories that may not be written.
        let _ = crate::blobs::remove_tree(&tree);
        return Err(failed()(error));
    }
    path.parent().map_or(Ok(()), sync_directory)
}

fn layers(inner: &Inner, digest: &Digest) -> Result<Vec<LayerSource>, ImageError> {
    let bytes = inner.blobs.document(digest)?.ok_or(ImageError::Unknown(*digest))?;
    let manifest: Manifest = manifest::parse(&format!("manifest {digest}"), &bytes)?;
    let config = inner.config(&manifest)?;
    let both = manifest.layers.iter().zip(config.rootfs.diff_ids);
    both.map(|(layer, stream_digest)| {
        Ok(LayerSource {
            digest: layer.digest,
            path: inner.blobs.path(&layer.digest),
            size: layer.size,
            compression: layer_compression(&layer.media_type)?,
            stream_digest,
        })
    })
    .collect()
}

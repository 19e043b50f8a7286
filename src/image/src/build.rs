//! From the layers of an image to its root file system.

mod ahead;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use crate::{
    Digest, ImageError, Limits,
    digest::Hasher,
    erofs::{self, Contents},
    guarantee,
    layer::{self, Compression, LayerRef, Merge},
};

/// A layer to be merged.
#[derive(Debug, Clone)]
pub struct LayerSource {
    /// Its digest, as transferred.
    pub digest: Digest,
    /// Where it is.
    pub path: PathBuf,
    /// Its size as transferred.
    pub size: u64,
    /// How it is compressed, as its media type says.
    pub compression: Compression,
    /// The digest of its tar stream, as the image's configuration says.
    pub stream_digest: Digest,
}

/// Writes the root file system of the image `digest` into the empty file `image` at `path`; `tails` is an empty file that
/// nobody else sees. Once `cancelled` is set, it ends soon with an error.
pub fn build(
    digest: &Digest,
    layers: &[LayerSource],
    limits: &Limits,
    (image, path, tails): (File, &Path, File),
    cancelled: &AtomicBool,
) -> Result<(), ImageError> {
    let mut merge = Merge::new(Contents::new(image, path, tails), limits, cancelled);
    for (index, source) in layers.iter().enumerate() {
        let layer = LayerRef { index, digest: source.digest };
        let blob = File::open(&source.path).map_err(ImageError::file(&source.path))?;
        let most = source.size.saturating_mul(limits.ratio).max(limits.ratio_free_bytes);
        let (stream, compression) = layer::open(blob, most).map_err(ImageError::file(&source.path))?;
        if compression != source.compression {
            let (wanted, found) = (source.compression.name(), compression.name());
            return Err(layer.refuse(format!("it is said to be {wanted} and is {found}")));
        }
        let stream = ahead::read_ahead(stream).map_err(ImageError::file(&source.path))?;
        let mut hashed = Hashed { source: stream, hasher: Hasher::default() };
        merge.layer(layer, &mut hashed)?;
        let found = hashed.hasher.finish();
        if found != source.stream_digest {
            let what = format!("the content of layer {} ({})", index + 1, source.digest);
            return Err(ImageError::WrongDigest { what, expected: source.stream_digest, actual: found });
        }
    }
    let (mut tree, mut contents) = merge.finish();
    let mut identity = [0; 16];
    identity.copy_from_slice(&digest.bytes()[..16]);
    guarantee::ensure(&mut tree, &mut contents)
        .and_then(|()| erofs::write(&tree, &contents, identity))
        .and_then(|()| contents.image().sync_all())
        .map_err(ImageError::file(path))
}

/// Merges layers that aren't compressed, writes their image and reads it back; says how many entries it has. For fuzz
/// targets: nothing of it stays.
#[doc(hidden)]
pub fn merge_and_read(layers: &[&[u8]], limits: &Limits) -> Result<usize, ImageError> {
    let path = Path::new("image");
    let failed = || ImageError::file(path);
    let file = || tempfile::tempfile().map_err(failed());
    let (image, tails, never) = (file()?, file()?, AtomicBool::new(false));
    let mut merge = Merge::new(Contents::new(image, path, tails), limits, &never);
    for (index, stream) in layers.iter().enumerate() {
        merge.layer(LayerRef { index, digest: Digest::of(stream) }, *stream)?;
    }
    let (mut tree, mut contents) = merge.finish();
    guarantee::ensure(&mut tree, &mut contents).map_err(failed())?;
    erofs::write(&tree, &contents, [0; 16]).map_err(failed())?;
    let image = contents.image().try_clone().and_then(erofs::Image::open).map_err(failed())?;
    let mut entries = 0;
    image
        .walk(|_, inode| {
            entries += 1;
            if inode.kind == erofs::InodeKind::Symlink { image.target(inode).map(|_| ()) } else { Ok(()) }
        })
        .map_err(failed())?;
    Ok(entries)
}

/// Takes the digest of what is read.
struct Hashed<R> {
    source: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}

//! Where images come from: a registry, an OCI layout, an archive, or a plain tar file.

mod archive;
mod layout;
mod local;
#[cfg(test)]
mod tests;
mod transfer;

use std::sync::Arc;

pub use archive::Archive;
pub use local::import_tar;
pub use transfer::{Transfers, cancel_on_drop};

use crate::{
    Digest, ImageError, Reference,
    manifest::{Document, Manifest, Platform},
    registry::{Connector, Found, Session},
};
use layout::Layout;

/// So many indexes may lead to each other.
const INDEX_DEPTH: usize = 3;

/// A place with manifests and blobs.
#[derive(Clone)]
pub enum Source {
    /// A repository.
    Registry(Session),
    /// A directory.
    Layout(Arc<Layout>),
}

/// The manifest for this machine.
pub struct Located {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub manifest: Manifest,
    /// The index that led to it.
    pub index: Option<(Digest, Vec<u8>)>,
}

impl Source {
    /// The source of a reference; none for an archive, which has no manifests.
    pub fn of(reference: &Reference, connector: &Connector) -> Result<Option<Self>, ImageError> {
        Ok(match reference {
            Reference::Registry { host, repository, .. } => {
                Some(Self::Registry(Session::new(connector.clone(), host, repository)?))
            }
            Reference::Layout { directory, .. } => Some(Self::Layout(Arc::new(Layout::new(directory)))),
            Reference::Archive { .. } => None,
        })
    }

    /// The digest that the source says without sending the manifest, if it does.
    pub async fn head(&self, reference: &Reference) -> Result<Option<Digest>, ImageError> {
        match (self, reference) {
            (_, reference) if reference.digest().is_some() => Ok(reference.digest()),
            (Self::Registry(session), Reference::Registry { tag, .. }) => {
                session.head(tag.as_deref().unwrap_or("latest")).await
            }
            _ => Ok(None),
        }
    }

    /// The manifest for this machine, with at most `most` bytes. `known` gives documents that are here already.
    pub async fn locate(
        &self,
        reference: &Reference,
        most: u64,
        known: impl Fn(&Digest) -> Option<Vec<u8>>,
    ) -> Result<Located, ImageError> {
        let host = Platform::host();
        let mut index = None;
        let mut wanted = reference.digest();
        for _ in 0..=INDEX_DEPTH {
            let found = match wanted.and_then(|digest| known(&digest)) {
                Some(bytes) => Found { bytes, media_type: None },
                None => self.document(reference, wanted, most).await?,
            };
            let digest = Digest::of(&found.bytes);
            match Document::parse(&format!("manifest {digest}"), &found.bytes, found.media_type.as_deref())? {
                Document::Manifest(manifest) => {
                    return Ok(Located { digest, bytes: found.bytes, manifest, index });
                }
                Document::Index(document) => {
                    wanted = Some(document.select(&reference.to_string(), &host)?.digest);
                    index.get_or_insert((digest, found.bytes));
                }
            }
        }
        Err(ImageError::malformed(reference.to_string(), "its indexes lead to each other too often"))
    }

    async fn document(
        &self,
        reference: &Reference,
        digest: Option<Digest>,
        most: u64,
    ) -> Result<Found, ImageError> {
        match (self, reference) {
            (Self::Registry(session), Reference::Registry { tag, .. }) => {
                session.manifest(tag.as_deref().unwrap_or("latest"), digest, most).await
            }
            (Self::Layout(layout), _) => {
                let (layout, reference) = (layout.clone(), reference.clone());
                let read = tokio::task::spawn_blocking(move || layout.document(&reference, digest, most));
                read.await.map_err(|_| ImageError::Lost("the reader of a layout"))?
            }
            (Self::Registry(_), _) => Err(ImageError::reference(&reference.to_string(), "is of no registry")),
        }
    }
}

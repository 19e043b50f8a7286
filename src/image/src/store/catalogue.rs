//! Which images there are: one small file, replaced as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::Write,
    path::Path,
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{Image, Inner, lock};
use crate::{Digest, ImageError, blobs::sync_directory, manifest};

const NAME: &str = "images.json";

/// An image, and what keeps it together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What is told about it.
    pub image: Image,
    /// The index that led to it when it was pulled last: a tag that still means that means this image.
    pub index: Option<Digest>,
    /// All blobs that it needs.
    pub blobs: BTreeSet<Digest>,
}

#[derive(Serialize, Deserialize)]
struct File {
    images: Vec<Record>,
}

/// Reads the catalogue of a store; one that isn't there is empty.
pub fn read(store: &Path) -> Result<BTreeMap<Digest, Record>, ImageError> {
    let path = store.join(NAME);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        text => text.map_err(ImageError::file(&path))?,
    };
    let file: File = manifest::parse(&path.display().to_string(), &text)?;
    Ok(file.images.into_iter().map(|record| (record.image.digest, record)).collect())
}

impl Inner {
    /// Changes the catalogue, on the disk first.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<Digest, Record>) -> T,
    ) -> Result<T, ImageError> {
        let mut records = lock(&self.records);
        let mut changed = records.clone();
        let result = change(&mut changed);
        if changed != *records {
            self.write_catalogue(&changed)?;
            *records = changed;
        }
        Ok(result)
    }

    fn write_catalogue(&self, records: &BTreeMap<Digest, Record>) -> Result<(), ImageError> {
        let path = self.directory.join(NAME);
        let failed = || ImageError::file(&path);
        let file = File { images: records.values().cloned().collect() };
        let text = serde_json::to_vec_pretty(&file).map_err(|error| failed()(error.into()))?;
        let mut temporary = NamedTempFile::new_in(self.blobs.temporary()).map_err(failed())?;
        temporary.write_all(&text).and_then(|()| temporary.as_file().sync_all()).map_err(failed())?;
        temporary.persist(&path).map_err(|error| failed()(error.error))?;
        sync_directory(&self.directory)
    }

    /// Enters an image under a reference; another one that had the reference loses it.
    pub fn enter(&self, mut record: Record, reference: String) -> Result<Image, ImageError> {
        self.change(|records| {
            for known in records.values_mut() {
                known.image.references.remove(&reference);
            }
            let known = records.remove(&record.image.digest);
            record.image.references.extend(known.into_iter().flat_map(|known| known.image.references));
            record.image.references.insert(reference);
            let image = record.image.clone();
            records.insert(image.digest, record);
            image
        })
    }
}

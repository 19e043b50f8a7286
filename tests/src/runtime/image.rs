//! Images for tests, honest and hostile ones: layers made entry by entry, with any name and any kind.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::guest_cache;

/// A layer: an archive, made entry by entry. Nothing is checked, so that a test can write what must be refused.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    archive: Vec<u8>,
}

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As it is.
    Plain,
    /// By gzip.
    Gzip,
}

/// A blob of an image: its media type, its digest and its bytes.
#[derive(Debug, Clone)]
pub struct Blob {
    /// The media type.
    pub kind: String,
    /// `sha256:…`.
    pub digest: String,
    /// What it is.
    pub bytes: Vec<u8>,
}

/// An image: layers and a config.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Each with the digest of its archive.
    layers: Vec<(Blob, String)>,
    /// The `config` of its config: what runtimes other than ours would run.
    pub config: Value,
}

impl Layer {
    /// Without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The layer of the base image: busybox and its links.
    pub fn base() -> Self {
        let path = guest_cache().join("base.tar");
        let archive =
            fs::read(&path).unwrap_or_else(|error| panic!("{} (run `make guest`): {error}", path.display()));
        Self { archive }
    }

    /// The bytes of an archive.
    pub fn archive(archive: Vec<u8>) -> Self {
        Self { archive }
    }

    /// Its archive.
    pub fn bytes(&self) -> &[u8] {
        &self.archive
    }

    /// The same with a folder.
    #[must_use]
    pub fn folder(self, name: &str) -> Self {
        self.entry(name, EntryType::Directory, 0o755, None, b"")
    }

    /// The same with a file.
    #[must_use]
    pub fn file(self, name: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        self.entry(name, EntryType::Regular, mode, None, content.as_ref())
    }

    /// The same with a symbolic link.
    #[must_use]
    pub fn symlink(self, name: &str, to: &str) -> Self {
        self.entry(name, EntryType::Symlink, 0o777, Some(to), b"")
    }

    /// The same with a hard link.
    #[must_use]
    pub fn hard_link(self, name: &str, to: &str) -> Self {
        self.entry(name, EntryType::Link, 0o644, Some(to), b"")
    }

    /// The same with a block device: the first disk.
    #[must_use]
    pub fn block_device(self, name: &str) -> Self {
        self.entry(name, EntryType::Block, 0o666, None, b"")
    }

    /// The same with a file that says to have `size` bytes, all zero.
    #[must_use]
    pub fn claims(mut self, name: &str, size: u64) -> Self {
        let mut header = header(name, EntryType::Regular, 0o644, None);
        header.set_size(size);
        header.set_cksum();
        self.archive.extend_from_slice(header.as_bytes());
        self
    }

    /// The same with any entry.
    #[must_use]
    pub fn entry(mut self, name: &str, kind: EntryType, mode: u32, to: Option<&str>, content: &[u8]) -> Self {
        let mut header = header(name, kind, mode, to);
        header.set_size(content.len() as u64);
        if kind == EntryType::Block {
            header.set_device_major(254).unwrap();
            header.set_device_minor(0).unwrap();
        }
        header.set_cksum();
        self.archive.extend_from_slice(header.as_bytes());
        self.archive.extend_from_slice(content);
        self.archive.resize(self.archive.len().next_multiple_of(512), 0);
        self
    }

    fn blob(&self, packing: Packing) -> Blob {
        // Two empty blocks are the end.
        let bytes = [self.archive.as_slice(), &[0; 1024]].concat();
        match packing {
            Packing::Plain => Blob::new("application/vnd.oci.image.layer.v1.tar", bytes),
            Packing::Gzip => Blob::new("application/vnd.oci.image.layer.v1.tar+gzip", gzip(&bytes)),
        }
    }
}

fn header(name: &str, kind: EntryType, mode: u32, to: Option<&str>) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    // Past the checks of `set_path`: names that lead out are what some tests are about.
    let raw = header.as_old_mut();
    raw.name[..name.len()].copy_from_slice(name.as_bytes());
    if let Some(to) = to {
        raw.linkname[..to.len()].copy_from_slice(to.as_bytes());
    }
    header
}

/// Packs bytes as gzip does, in stored blocks.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    let mut blocks = bytes.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap();
        packed.push(u8::from(blocks.peek().is_none()));
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&(!length).to_le_bytes());
        packed.extend_from_slice(block);
    }
    packed.extend_from_slice(&crc32(bytes).to_le_bytes());
    packed.extend_from_slice(&u32::try_from(bytes.len() & 0xffff_ffff).unwrap().to_le_bytes());
    packed
}

fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| (0..8).fold(byte, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }))
        .collect();
    !bytes.iter().fold(!0, |crc, byte| crc >> 8 ^ table[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

impl Blob {
    /// With its digest.
    pub fn new(kind: &str, bytes: Vec<u8>) -> Self {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        Self { kind: kind.to_owned(), digest, bytes }
    }

    /// How a manifest names it.
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.kind, "digest": self.digest, "size": self.bytes.len()})
    }
}

impl Image {
    /// Without layers.
    pub fn new() -> Self {
        Self { layers: Vec::new(), config: json!({}) }
    }

    /// With the layer of the base image.
    pub fn base() -> Self {
        Self::new().layer(&Layer::base())
    }

    /// The same with another layer.
    #[must_use]
    pub fn layer(self, layer: &Layer) -> Self {
        self.packed(layer, Packing::Plain)
    }

    /// The same with another layer, packed.
    #[must_use]
    pub fn packed(mut self, layer: &Layer, packing: Packing) -> Self {
        let plain = layer.blob(Packing::Plain);
        let blob = if packing == Packing::Plain { plain.clone() } else { layer.blob(packing) };
        self.layers.push((blob, plain.digest));
        self
    }

    /// Its config, as JSON.
    pub fn config_file(&self) -> Value {
        let archives: Vec<&str> = self.layers.iter().map(|(_, archive)| archive.as_str()).collect();
        json!({
            "architecture": "amd64", "os": "linux", "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": archives},
        })
    }

    /// Its blobs, and its manifest.
    pub fn build(&self) -> (Vec<Blob>, Blob) {
        let config = self.config_file();
        let config = Blob::new("application/vnd.oci.image.config.v1+json", config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config.descriptor(),
            "layers": self.layers.iter().map(|(blob, _)| blob.descriptor()).collect::<Vec<_>>(),
        });
        let manifest =
            Blob::new("application/vnd.oci.image.manifest.v1+json", manifest.to_string().into_bytes());
        (self.layers.iter().map(|(blob, _)| blob.clone()).chain([config]).collect(), manifest)
    }

    /// Writes it as an OCI layout.
    pub fn write_layout(&self, directory: &Path) {
        let (blobs, manifest) = self.build();
        let folder = directory.join("blobs/sha256");
        fs::create_dir_all(&folder).unwrap();
        for blob in blobs.iter().chain([&manifest]) {
            fs::write(folder.join(blob.digest.trim_start_matches("sha256:")), &blob.bytes).unwrap();
        }
        let index = json!({"schemaVersion": 2, "manifests": [manifest.descriptor()]});
        fs::write(directory.join("index.json"), index.to_string()).unwrap();
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_layer_is_an_archive_and_gzip_can_unpack_it() {
        let layer =
            Layer::new().folder("srv").file("srv/page", 0o644, "x".repeat(100_000)).symlink("a", "srv/page");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("layer.tar.gz");
        fs::write(&path, layer.blob(Packing::Gzip).bytes).unwrap();
        let unpacked = std::process::Command::new("gzip").arg("-dc").arg(&path).output().unwrap();
        assert!(unpacked.status.success());
        let mut archive = tar::Archive::new(unpacked.stdout.as_slice());
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            names.push((entry.path().unwrap().display().to_string(), content.len()));
        }
        assert_eq!(names, [("srv".to_owned(), 0), ("srv/page".to_owned(), 100_000), ("a".to_owned(), 0)]);
    }
}

//! The documents of an image: index, manifest, configuration.

use serde::{Deserialize, Serialize};

use crate::{Digest, ImageError, layer::Compression};

/// What is asked for: single images and indexes, of OCI and of Docker.
pub const ACCEPTED: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The annotation that holds a tag in a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A pointer to a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
    /// What it is for, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Notes.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub annotations: std::collections::BTreeMap<String, String>,
}

impl Descriptor {
    /// The tag that a layout gives it.
    pub fn tag(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str)
    }
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The architecture, as Go names it.
    pub architecture: String,
    /// The operating system.
    pub os: String,
    /// More about the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// That of this machine.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: None }
    }

    fn is_of(&self, host: &Self) -> bool {
        self.os == host.os && self.architecture == host.architecture
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// An index of images for several platforms.
#[derive(Debug, Clone, Deserialize)]
pub struct Index {
    /// What it points to.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// The entry for `host`. A plain one is preferred to variants, which may want more than this machine has.
    pub fn select(&self, reference: &str, host: &Platform) -> Result<&Descriptor, ImageError> {
        let variant =
            |entry: &Descriptor| entry.platform.as_ref().and_then(|platform| platform.variant.clone());
        let fitting =
            self.manifests.iter().filter(|entry| entry.platform.as_ref().is_some_and(|p| p.is_of(host)));
        if let Some(entry) = fitting.min_by_key(|entry| variant(entry)) {
            return Ok(entry);
        }
        // A layout may leave out the platform of its only image.
        if let [only @ Descriptor { platform: None, .. }] = self.manifests.as_slice() {
            return Ok(only);
        }
        let named = self.manifests.iter().filter_map(|entry| entry.platform.as_ref());
        // Attestations stand there as unknown/unknown.
        let mut available: Vec<String> =
            named.filter(|platform| platform.os != "unknown").take(50).map(ToString::to_string).collect();
        available.sort();
        available.dedup();
        if available.is_empty() {
            available.push("images of unnamed platforms".to_owned());
        }
        Err(ImageError::NoPlatform { reference: reference.to_owned(), wanted: host.to_string(), available })
    }
}

/// A manifest: an image for one platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    /// A manifest of blobs that had none.
    pub fn new(config: (Digest, u64), layers: Vec<(Digest, u64, Compression)>) -> Self {
        let descriptor = |media_type: &str, (digest, size): (Digest, u64)| Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let layers = layers.into_iter().map(|(digest, size, compression)| {
            let suffix = match compression {
                Compression::Plain => "",
                Compression::Gzip => "+gzip",
                Compression::Zstd => "+zstd",
            };
            descriptor(&format!("application/vnd.oci.image.layer.v1.tar{suffix}"), (digest, size))
        });
        Self {
            schema_version: 2,
            media_type: OCI_MANIFEST.to_owned(),
            config: descriptor(OCI_CONFIG, config),
            layers: layers.collect(),
        }
    }
}

/// How a layer is compressed by its media type.
pub fn layer_compression(media_type: &str) -> Result<Compression, ImageError> {
    let is_layer = media_type.starts_with("application/vnd.oci.image.layer.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.");
    match media_type.rsplit_once(['+', '.']).map(|(_, suffix)| suffix) {
        Some("gzip") if is_layer => Ok(Compression::Gzip),
        Some("zstd") if is_layer => Ok(Compression::Zstd),
        Some("tar") if is_layer => Ok(Compression::Plain),
        _ => {
            let shown: String = media_type.chars().take(100).collect();
            Err(ImageError::malformed("manifest", format!("{shown:?} is no layer of an image")))
        }
    }
}

/// An image's configuration, as far as it matters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// The architecture.
    #[serde(default)]
    pub architecture: String,
    /// The operating system.
    #[serde(default)]
    pub os: String,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What the layers are, uncompressed.
    pub rootfs: RootFs,
}

/// The layers of a configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The digests of the layers' tar streams.
    pub diff_ids: Vec<Digest>,
}

/// A document that was asked for.
#[derive(Debug, Clone)]
pub enum Document {
    /// An index.
    Index(Index),
    /// A manifest.
    Manifest(Manifest),
}

impl Document {
    /// Reads a document. What it is, it says itself; `media_type`, which came with it, only fills in.
    pub fn parse(what: &str, bytes: &[u8], media_type: Option<&str>) -> Result<Self, ImageError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            schema_version: Option<u32>,
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let head: Head = parse(what, bytes)?;
        if head.schema_version != Some(2) {
            return Err(ImageError::malformed(
                what,
                "it is of a schema before 2, which has no digests of layers",
            ));
        }
        let named = head.media_type.as_deref().or(media_type).unwrap_or_default();
        match named {
            OCI_INDEX | DOCKER_LIST => parse(what, bytes).map(Self::Index),
            OCI_MANIFEST | DOCKER_MANIFEST => parse(what, bytes).map(Self::Manifest),
            _ if head.manifests.is_some() => parse(what, bytes).map(Self::Index),
            _ => parse(what, bytes).map(Self::Manifest),
        }
    }
}

/// Reads a document of any kind.
pub fn parse<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|error| ImageError::malformed(what, error.to_string()))
}

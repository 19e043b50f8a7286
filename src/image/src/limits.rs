//! How much an image may ask of this machine.

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// The bounds of what is taken. Whatever goes beyond one is refused with its name, before the disk is full of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Layers of one image.
    pub layers: usize,
    /// Bytes of one blob as it is transferred, that is compressed.
    pub blob_bytes: u64,
    /// Bytes of a manifest, an index or a configuration.
    pub document_bytes: u64,
    /// Entries of all layers together, those included that a later layer removes. Each costs about 300 bytes of memory.
    pub entries: u64,
    /// Bytes of all files of all layers together, as they count for a reader (holes included).
    pub total_bytes: u64,
    /// Bytes of one file, holes included.
    pub file_bytes: u64,
    /// Bytes of a path, after symbolic links were followed.
    pub path_bytes: usize,
    /// Bytes of the extended attributes of one entry, names included.
    pub xattr_bytes: usize,
    /// How many times larger a layer may become by decompression. See [`Limits::ratio_free_bytes`].
    pub ratio: u64,
    /// So many decompressed bytes of a layer are free, whatever the ratio: a small layer may well be mostly zeros.
    pub ratio_free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layers: 1_000,
            blob_bytes: 10 * GIB,
            document_bytes: 4 * MIB,
            entries: 1_000_000,
            total_bytes: 15 * GIB,
            file_bytes: 8 * GIB,
            path_bytes: 4_095,
            xattr_bytes: 65_536,
            ratio: 250,
            ratio_free_bytes: 256 * MIB,
        }
    }
}

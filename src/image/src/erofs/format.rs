//! What stands where on the disk.

/// The size of a block.
pub const BLOCK: u64 = 4096;
/// The same, for lengths in memory.
pub const BLOCK_BYTES: usize = 4096;
/// Where the superblock begins.
pub const SUPERBLOCK: u64 = 1024;
/// How long it is.
pub const SUPERBLOCK_BYTES: usize = 128;
/// Its first four bytes.
pub const MAGIC: u32 = 0xE0F5_E1E2;
/// The superblock has a checksum; inodes have times of their own.
pub const FEATURES: u32 = 0x1 | 0x2;
/// Inodes stand at multiples of this; the number of an inode is that multiple.
pub const SLOT: u64 = 32;
/// A compact inode: 16-bit owners and links, and the time of the superblock.
pub const COMPACT_BYTES: usize = 32;
/// An extended inode.
pub const EXTENDED_BYTES: usize = 64;
/// The length of a directory's entry without its name.
pub const DIRENT_BYTES: usize = 12;

/// All data is in blocks of its own.
pub const LAYOUT_PLAIN: u16 = 0;
/// The last, partial block follows the inode.
pub const LAYOUT_INLINE: u16 = 2;

/// `S_IFDIR`, and the type of a directory's entry.
pub const DIRECTORY: (u16, u8) = (0o040_000, 2);
/// `S_IFREG`.
pub const FILE: (u16, u8) = (0o100_000, 1);
/// `S_IFLNK`.
pub const SYMLINK: (u16, u8) = (0o120_000, 7);
/// `S_IFMT`.
pub const TYPE_MASK: u16 = 0o170_000;

/// Where the fields of the superblock are.
pub mod superblock {
    /// The magic number.
    pub const MAGIC_AT: usize = 0;
    /// CRC-32C from the superblock to the end of its block, this field being zero.
    pub const CHECKSUM: usize = 4;
    /// Features that old kernels may ignore.
    pub const FEATURES_AT: usize = 8;
    /// The block size as a power of two.
    pub const BLOCK_BITS: usize = 12;
    /// The root's inode.
    pub const ROOT: usize = 14;
    /// How many inodes there are.
    pub const INODES: usize = 16;
    /// The time of compact inodes, in seconds.
    pub const TIME: usize = 24;
    /// The nanoseconds of that.
    pub const NANOSECONDS: usize = 32;
    /// How many blocks there are.
    pub const BLOCKS: usize = 36;
    /// The block where inodes begin.
    pub const INODES_AT: usize = 40;
    /// The identity of the image.
    pub const IDENTITY: usize = 48;
}

/// CRC-32C as the kernel's `crc32c(~0, …)` has it: without the inversion at the end.
pub fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 })
    })
}

/// Writes a little-endian number into a record.
pub fn put<const N: usize>(record: &mut [u8], at: usize, value: [u8; N]) {
    record[at..at + N].copy_from_slice(&value);
}

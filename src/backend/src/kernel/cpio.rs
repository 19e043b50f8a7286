//! Archives of the `newc` format, which the kernel unpacks as its first root (Documentation/driver-api/early-userspace).

/// Where the harness finds its token.
const TOKEN: &str = "aegis/token";

/// An archive as it grows.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    /// A directory that root may enter.
    pub fn directory(&mut self, name: &str) {
        self.entry(name, 0o040_755, (0, 0), &[]);
    }

    /// A file.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, 0o100_000 | mode, (0, 0), content);
    }

    /// A character device.
    pub fn character_device(&mut self, name: &str, mode: u32, major: u32, minor: u32) {
        self.entry(name, 0o020_000 | mode, (major, minor), &[]);
    }

    /// The archive, long enough that another can follow it.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        // A file of 4 GiB has no place in here: what is given is a harness, modules and a token.
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let (owner, group, links, time) = (0, 0, 1, 0);
        let fields =
            [self.inode, mode, owner, group, links, time, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The archive that is put behind an initramfs to give this boot its token.
pub fn token(token: &str) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.directory("aegis");
    archive.file(TOKEN, 0o400, token.as_bytes());
    archive.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_archive_is_what_newc_says() {
        let bytes = token("secret");
        assert_eq!(bytes.len() % 4, 0, "another archive can follow");
        let header = |at: usize, field: usize| {
            let digits = std::str::from_utf8(&bytes[at + 6 + 8 * field..at + 14 + 8 * field]).unwrap();
            u32::from_str_radix(digits, 16).unwrap()
        };
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(header(0, 1), 0o040_755);
        // 110 bytes of header and "aegis\0" are 116, which is a multiple of four.
        assert_eq!(&bytes[116..122], b"070701");
        assert_eq!((header(116, 1), header(116, 6)), (0o100_400, 6));
        let name = 116 + 110;
        assert_eq!(&bytes[name..name + 12], b"aegis/token\0");
        let content = (name + 12_usize).next_multiple_of(4);
        assert_eq!(&bytes[content..content + 8], b"secret\0\0");
        assert!(bytes.windows(10).any(|part| part == b"TRAILER!!!"));
    }
}

//! Files without a path, in memory.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create};

/// An empty file of this size.
pub(crate) fn create(name: &str, size: u64) -> io::Result<File> {
    let file = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.set_len(size)?;
    Ok(file)
}

/// From here on nobody changes it, whoever opens it and however.
pub(crate) fn seal(file: &File) -> io::Result<()> {
    Ok(fcntl_add_seals(file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?)
}

/// The same file opened once more, to read: with a position of its own.
pub(crate) fn reopen(file: &File) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_is_sealed_stays() {
        let mut file = create("test", 0).unwrap();
        file.write_all(b"content").unwrap();
        seal(&file).unwrap();
        assert!(file.write_all(b"more").is_err() && file.set_len(1).is_err());
        let mut other = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
            .unwrap();
        assert!(other.write_all(b"x").is_err());
        let mut text = String::new();
        File::from(reopen(&file).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
    }
}

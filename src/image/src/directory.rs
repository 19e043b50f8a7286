//! A root file system as a directory, for backends without disks.
//!
//! It is written from the image that was made already, so that both are the same. Every step is relative to the new
//! directory and can't leave it (`openat2` with `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`), although the tree has no way
//! out to begin with.

use std::{
    collections::HashMap,
    fs::{File, Permissions},
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{
        AtFlags, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fsetxattr,
        linkat, mkdirat, openat2, symlinkat, utimensat,
    },
    process::geteuid,
};

use crate::erofs::{Image, Inode, InodeKind};

/// Writes the image's files into the empty directory `to`. Once `cancelled` is set, it ends soon with an error.
pub fn write(image: &Image, to: &Path, cancelled: &AtomicBool) -> io::Result<()> {
    write_as(image, to, geteuid().is_root(), cancelled)
}

/// The same as root, who can keep owners, or not.
fn write_as(image: &Image, to: &Path, is_root: bool, cancelled: &AtomicBool) -> io::Result<()> {
    let root = File::open(to)?;
    let writer = Writer { image, root: root.into(), is_root };
    let mut first_names: HashMap<u64, Vec<u8>> = HashMap::new();
    let mut directories: Vec<(Vec<u8>, Inode)> = Vec::new();
    image.walk(|path, inode| {
        if cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other("it was cancelled"));
        }
        match first_names.get(&inode.number) {
            Some(first) => return writer.link(first, path),
            None if inode.links > 1 && inode.kind != InodeKind::Directory => {
                first_names.insert(inode.number, path.to_owned());
            }
            None => {}
        }
        match inode.kind {
            InodeKind::Directory => {
                let (parent, name) = writer.parent(path)?;
                mkdirat(&parent, name, Mode::from_raw_mode(0o700))?;
                directories.push((path.to_owned(), inode.clone()));
            }
            InodeKind::File => writer.file(path, inode)?,
            InodeKind::Symlink => writer.symlink(path, inode)?,
        }
        Ok(())
    })?;
    // Last, the innermost first: writing into a directory changes its time, and may need a mode that it won't have.
    for (path, inode) in directories.iter().rev() {
        let directory = writer.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        writer.finish(&File::from(directory), inode)?;
    }
    let inode = image.root()?;
    writer.finish(&File::open(to)?, &inode)?;
    rustix::fs::syncfs(&writer.root)?;
    Ok(())
}

struct Writer<'a> {
    image: &'a Image,
    root: OwnedFd,
    is_root: bool,
}

impl Writer<'_> {
    fn open(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() };
        Ok(openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, resolve)?)
    }

    fn parent<'p>(&self, path: &'p [u8]) -> io::Result<(OwnedFd, &'p [u8])> {
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = slash.map_or((&path[..0], path), |slash| (&path[..slash], &path[slash + 1..]));
        Ok((self.open(parent, OFlags::PATH | OFlags::DIRECTORY)?, name))
    }

    fn link(&self, first: &[u8], path: &[u8]) -> io::Result<()> {
        let (from, from_name) = self.parent(first)?;
        let (to, to_name) = self.parent(path)?;
        Ok(linkat(&from, from_name, &to, to_name, AtFlags::empty())?)
    }

    fn file(&self, path: &[u8], inode: &Inode) -> io::Result<()> {
        let mut file = File::from(self.open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?);
        self.image.content(inode, |_, piece| file.write_all(piece))?;
        self.finish(&file, inode)
    }

    fn symlink(&self, path: &[u8], inode: &Inode) -> io::Result<()> {
        let target = self.image.target(inode)?;
        let (parent, name) = self.parent(path)?;
        symlinkat(target, &parent, name)?;
        let attributes = &inode.attributes;
        if self.is_root {
            let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
            chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(utimensat(&parent, name, &times(inode), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Owner, attributes, mode and time, in this order: a new owner clears set-user-id, and all change the time.
    fn finish(&self, file: &File, inode: &Inode) -> io::Result<()> {
        let attributes = &inode.attributes;
        let mut mode = u32::from(attributes.mode);
        if self.is_root {
            std::os::unix::fs::fchown(file, Some(attributes.uid), Some(attributes.gid))?;
        } else {
            mode &= 0o1777;
            // Else the daemon's user could neither read nor remove what it wrote.
            mode |= if inode.kind == InodeKind::Directory { 0o700 } else { 0o400 };
        }
        for (name, value) in attributes.xattrs.iter().flat_map(|xattrs| xattrs.iter()) {
            let set = fsetxattr(file.as_fd(), &**name, value, XattrFlags::empty());
            // Many need privileges, or a file system that has them: what can't be kept is left out.
            if let Err(error) = set {
                let name = String::from_utf8_lossy(name);
                tracing::debug!(%name, %error, "an attribute is left out of the directory");
            }
        }
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(rustix::fs::futimens(file, &times(inode))?)
    }
}

fn times(inode: &Inode) -> Timestamps {
    let time = Timespec {
        tv_sec: i64::try_from(inode.attributes.mtime).unwrap_or(i64::MAX),
        tv_nsec: inode.attributes.nanoseconds.into(),
    };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::{
        Limits,
        layer::{Compression, tests::build_layers},
        tar::writer::{Draft, Writer as Tar},
    };

    #[test]
    fn without_root_files_are_the_users_and_nothing_gains_privileges() {
        let tar = Tar::default()
            .entry(Draft::new(b'0', "su").mode(0o6755).owner(7, 8), b"su")
            .entry(Draft::new(b'5', "closed").mode(0o000), b"")
            .entry(Draft::new(b'0', "closed/secret").mode(0o000), b"s")
            .entry(Draft::new(b'5', "sticky").mode(0o3777), b"");
        let built = build_layers(&[tar.finish()], &Limits::default(), Compression::Plain).unwrap();
        let image = Image::open(File::open(&built.path).unwrap()).unwrap();
        let to = tempfile::tempdir().unwrap();
        write_as(&image, to.path(), false, &AtomicBool::new(false)).unwrap();
        for (path, mode) in [("su", 0o755), ("closed", 0o700), ("closed/secret", 0o400), ("sticky", 0o1777)] {
            let metadata = std::fs::symlink_metadata(to.path().join(path)).unwrap();
            assert_eq!(metadata.mode() & 0o7777, mode, "{path}");
            assert_eq!(metadata.uid(), geteuid().as_raw(), "{path}");
        }
        assert!(write_as(&image, to.path(), false, &AtomicBool::new(true)).is_err());
    }
}

//! Going through directories by their descriptors. Symlinks are seen, never followed; the daemon's own is passed over.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat},
};

use super::{Context, place::kind, shield::Own};

/// A directory below so many others isn't entered: each on the way holds a descriptor.
pub(super) const DEEPEST: usize = 128;
/// Of a directory with more names than this the rest isn't looked at.
const MOST_NAMES: usize = 100_000;

/// One thing in a directory.
pub(super) struct Entry<'a> {
    /// The directory.
    pub parent: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a std::ffi::CStr,
    /// Its path below the directory that the walk began at.
    pub path: &'a [u8],
    pub stat: Stat,
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Also into the directory, if it is one.
    On,
    /// It is enough.
    Enough,
}

/// The walk.
pub(super) struct Walk<'a> {
    pub context: &'a Context,
    pub own: &'a Own,
    pub deep: bool,
    /// Something was left out: too deep, or too many.
    pub cut: bool,
}

impl Walk<'_> {
    /// Shows everything in the directory, in the order of names. What vanishes meanwhile, or may not be looked into, is
    /// passed over.
    pub fn go(
        &mut self,
        directory: &OwnedFd,
        visit: &mut dyn FnMut(&Entry<'_>) -> Result<Next, String>,
    ) -> Result<(), String> {
        self.within(directory, &mut Vec::new(), 0, visit).map(|_| ())
    }

    fn within(
        &mut self,
        directory: &OwnedFd,
        path: &mut Vec<u8>,
        depth: usize,
        visit: &mut dyn FnMut(&Entry<'_>) -> Result<Next, String>,
    ) -> Result<Next, String> {
        let (names, complete) = names(directory);
        self.cut |= !complete;
        for name in names {
            self.context.go_on()?;
            let Ok(stat) = statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if self.own.has(&stat) {
                continue;
            }
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.to_bytes());
            let entry = Entry { parent: directory.as_fd(), name: &name, path, stat };
            let mut next = visit(&entry)?;
            if next == Next::On && self.deep && kind(&stat) == FileType::Directory {
                next = self.into(directory, &name, path, depth, visit)?;
            }
            path.truncate(length);
            if next == Next::Enough {
                return Ok(Next::Enough);
            }
        }
        Ok(Next::On)
    }

    fn into(
        &mut self,
        directory: &OwnedFd,
        name: &std::ffi::CStr,
        path: &mut Vec<u8>,
        depth: usize,
        visit: &mut dyn FnMut(&Entry<'_>) -> Result<Next, String>,
    ) -> Result<Next, String> {
        if depth >= DEEPEST {
            self.cut = true;
            return Ok(Next::On);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(directory, name, flags, Mode::empty()) {
            Ok(below) => self.within(&below, path, depth + 1, visit),
            Err(_) => Ok(Next::On),
        }
    }
}

/// The names in a directory, sorted, and whether that is all of them.
pub(super) fn names(directory: &OwnedFd) -> (Vec<std::ffi::CString>, bool) {
    let Ok(dir) = Dir::read_from(directory) else { return (Vec::new(), true) };
    let entries = dir.filter_map(Result::ok).map(|entry| entry.file_name().to_owned());
    let mut names: Vec<_> =
        entries.filter(|name| !matches!(name.to_bytes(), b"." | b"..")).take(MOST_NAMES + 1).collect();
    let complete = names.len() <= MOST_NAMES;
    names.truncate(MOST_NAMES);
    names.sort();
    (names, complete)
}

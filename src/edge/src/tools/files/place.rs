//! A path beneath what was granted. The kernel resolves it beneath the root: neither `..` nor a symlink leads out.

use std::io;

use aegis_kinds::policy::Grant;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, statat},
    io::Errno,
};

use super::Shield;

/// The kernel gives up a resolution when somebody renames at the same time; it is tried again so often.
const TRIES: usize = 64;

/// A path that the grant covers by its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tools) struct Place {
    /// The roots that lead to it, each to be resolved beneath the one before.
    steps: Vec<String>,
    /// What is left of the path beneath the last one; empty for that one itself.
    rest: String,
    /// The path as it was asked for.
    pub path: String,
}

/// What is at a path: held, and not opened yet, since opening a device or a FIFO does something.
pub(in crate::tools) struct Found {
    pub fd: OwnedFd,
    pub stat: Stat,
}

/// What kind of thing a mode says it is.
pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// What it is called in messages.
pub(super) fn what(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symlink",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of no known kind",
    }
}

impl Place {
    /// The path beneath the roots of the grant. None: it is beneath none of them.
    pub fn of(grant: &Grant, path: &str) -> Option<Self> {
        let (root, rest) = grant.root_of(path)?;
        let steps = grant.steps_to(root).into_iter().map(str::to_owned).collect();
        let parts: Vec<_> = rest.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        Some(Self { steps, rest: parts.join("/"), path: path.to_owned() })
    }

    /// The root that it is beneath.
    pub fn root(&self) -> &str {
        self.steps.last().map_or("/", String::as_str)
    }

    /// What is there.
    pub fn find(&self) -> Result<Found, String> {
        let root = self.open_root()?;
        let fd = match self.rest.as_str() {
            "" => root,
            rest => beneath(&root, rest, OFlags::PATH, Mode::empty()).map_err(|e| self.fault("open", e))?,
        };
        let stat = fstat(&fd).map_err(|e| self.fault("look at", e))?;
        Ok(Found { fd, stat })
    }

    /// The directory that it is in, and its name there. With `make`, directories on the way that are missing are
    /// made, unless the shield is in front of them.
    pub fn parent(&self, make: Option<&Shield>) -> Result<(OwnedFd, &str), String> {
        let root = self.open_root()?;
        let (directories, name) = match self.rest.rsplit_once('/') {
            Some((directories, name)) => (directories, name),
            None => ("", self.rest.as_str()),
        };
        if name.is_empty() {
            return Err(format!(
                "'{}' is itself what is granted, and only what is beneath it may be changed; grant the directory above it",
                self.path
            ));
        }
        if let Some(shield) = make {
            self.make(&root, directories, shield)?;
        }
        let directory = if directories.is_empty() { "." } else { directories };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = beneath(&root, directory, flags, Mode::empty()).map_err(|e| self.fault("open", e))?;
        Ok((fd, name))
    }

    /// Makes the directories of a path beneath the root, those that are missing.
    fn make(&self, root: &OwnedFd, directories: &str, shield: &Shield) -> Result<(), String> {
        let mut done = String::new();
        for name in directories.split('/').filter(|name| !name.is_empty()) {
            let parent = if done.is_empty() { "." } else { &done };
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let parent = beneath(root, parent, flags, Mode::empty()).map_err(|e| self.fault("open", e))?;
            if look(parent.as_fd(), name).map_err(|e| self.fault("look at", e))?.is_none() {
                let stat = fstat(&parent).map_err(|e| self.fault("look at", e))?;
                shield.now().check_entry(&self.path, &parent, &stat, name)?;
                match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(self.fault("make the directories of", error)),
                }
            }
            if !done.is_empty() {
                done.push('/');
            }
            done.push_str(name);
        }
        Ok(())
    }

    fn open_root(&self) -> Result<OwnedFd, String> {
        let mut at: Option<(&str, OwnedFd)> = None;
        for step in &self.steps {
            let opened = match &at {
                // What nobody narrowed is where its grantor says, also by way of a symlink.
                None => openat(CWD, step, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
                Some((above, fd)) => {
                    let rest = step.strip_prefix(above).unwrap_or(step).trim_start_matches('/');
                    beneath(fd, if rest.is_empty() { "." } else { rest }, OFlags::PATH, Mode::empty())
                }
            };
            at = Some((step, opened.map_err(|error| fault("open", step, self.root(), error))?));
        }
        at.map(|(_, fd)| fd).ok_or_else(|| format!("'{}' is beneath nothing that is granted", self.path))
    }

    /// A failed system call in words.
    pub fn fault(&self, action: &str, error: Errno) -> String {
        fault(action, &self.path, self.root(), error)
    }

    /// That something of the wrong kind is there, and what to do.
    pub fn wrong(&self, kind: FileType, way_out: &str) -> String {
        format!("'{}' is {}; {way_out}", self.path, what(kind))
    }
}

fn fault(action: &str, path: &str, root: &str, error: Errno) -> String {
    match error {
        Errno::XDEV => {
            format!("'{path}' leads out of {root}; name the path that it leads to, where that is granted")
        }
        Errno::NOENT => format!(
            "there is no '{path}', or no directory above it; see what is there with fs.list, or make it with parents=true \
             (fs.write: create_parents=true)"
        ),
        Errno::NOTDIR => format!("a part of '{path}' is no directory; see what is there with fs.list"),
        Errno::ACCESS | Errno::PERM => {
            format!("the daemon's user may not {action} '{path}'; give it the permission on the host")
        }
        Errno::LOOP => {
            format!("there are too many symlinks on the way to '{path}'; name the path that they lead to")
        }
        Errno::NOSPC | Errno::DQUOT => {
            format!("can't {action} '{path}': the disk is full; make room on the host")
        }
        Errno::ROFS => format!("can't {action} '{path}': the file system is read-only; mount it for writing"),
        Errno::NOSYS => {
            format!("can't {action} '{path}': the kernel is older than Linux 5.6; bring it up to date")
        }
        other => format!("can't {action} '{path}': {}", io::Error::from(other)),
    }
}

/// Opens a path beneath a directory, wherever its symlinks lead as long as they stay beneath it.
pub(super) fn beneath(
    directory: &impl AsFd,
    path: &str,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut tried = 0;
    loop {
        match openat2(directory, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) if tried < TRIES => tried += 1,
            other => return other,
        }
    }
}

impl Found {
    /// Opens what was found, and nothing that may have taken its place: by the descriptor.
    fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        openat(CWD, path, flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Opens it for reading, if it is a file.
    pub fn read(&self, place: &Place) -> Result<std::fs::File, String> {
        match kind(&self.stat) {
            FileType::RegularFile => {
                Ok(self.open(OFlags::RDONLY).map_err(|e| place.fault("read", e))?.into())
            }
            FileType::Directory => {
                Err(place.wrong(FileType::Directory, "list it with fs.list, or name a file in it"))
            }
            other => Err(place.wrong(other, "only files are read")),
        }
    }

    /// Opens it for listing, if it is a directory.
    pub fn list(&self, place: &Place) -> Result<OwnedFd, String> {
        match kind(&self.stat) {
            FileType::Directory => {
                self.open(OFlags::RDONLY | OFlags::DIRECTORY).map_err(|e| place.fault("list", e))
            }
            other => Err(place.wrong(other, "name a directory")),
        }
    }
}

/// What has this name in a directory, if anything; a symlink is a symlink.
pub(in crate::tools) fn look(directory: BorrowedFd<'_>, name: &str) -> Result<Option<Stat>, Errno> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

//! The daemon's own files: no tool reads, lists or changes them, whatever a context grants. They are known by what they
//! are, not by a path: links and mounts lead to the same file.

use std::{
    collections::HashSet,
    fs,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{fd::AsFd, fs::Stat};

use crate::state::{OWN_NAMES, StateDir, TEMPORARY_PREFIX, is_shared};

/// More files than this aren't the daemon's own; what is beyond is still known by its path.
const MOST: usize = 10_000;

/// What is the daemon's own.
#[derive(Debug, Clone)]
pub(in crate::tools) struct Shield {
    state: StateDir,
}

/// Which file system, and which file in it.
type Identity = (u64, u64);

/// What is the daemon's own at one moment.
pub(in crate::tools) struct Own {
    files: HashSet<Identity>,
    /// The directories that lead to the state directory: to remove one would remove that as well.
    above: HashSet<Identity>,
    directory: PathBuf,
    /// Others have files in the state directory, too, so that only ours are protected in it.
    shared: bool,
    identity: Option<Identity>,
    config: Option<String>,
}

const REFUSED: &str = "is the daemon's own, which no tool may touch; use the aegis edge commands on the host";

fn identity(stat: &Stat) -> Identity {
    #[allow(clippy::useless_conversion, reason = "the types differ between architectures")]
    (stat.st_dev.into(), stat.st_ino.into())
}

impl Shield {
    pub fn new(state: &StateDir) -> Self {
        Self { state: state.clone() }
    }

    /// What there is now. To be asked for after the file in question was opened, so that one that is made meanwhile is
    /// in it.
    pub fn now(&self) -> Own {
        let given = self.state.dir();
        let directory = given.canonicalize().unwrap_or_else(|_| given.to_path_buf());
        let of = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
        let metadata = fs::metadata(&directory).ok();
        let mut own = Own {
            files: HashSet::new(),
            above: directory.ancestors().filter_map(|path| fs::metadata(path).ok()).map(|m| of(&m)).collect(),
            shared: metadata.as_ref().is_some_and(|metadata| is_shared(&directory, metadata)),
            identity: metadata.as_ref().map(of),
            config: self.state.config().file_name().map(|name| name.to_string_lossy().into_owned()),
            directory,
        };
        own.collect();
        own
    }
}

impl Own {
    fn collect(&mut self) {
        let mut left: Vec<PathBuf> = if self.shared {
            let names = OWN_NAMES.iter().copied().chain(self.config.as_deref());
            names.map(|name| self.directory.join(name)).collect()
        } else {
            vec![self.directory.clone()]
        };
        while let Some(path) = left.pop() {
            if self.files.len() >= MOST {
                return;
            }
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            self.files.insert((metadata.dev(), metadata.ino()));
            if metadata.is_dir() {
                left.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            }
        }
    }

    /// Whether it is the daemon's own, by what it is.
    pub fn has(&self, stat: &Stat) -> bool {
        self.files.contains(&identity(stat))
    }

    /// Refuses an open file or directory that is the daemon's own.
    pub fn check(&self, path: &str, fd: &impl AsFd, stat: &Stat) -> Result<(), String> {
        // One that was removed since it was opened is in no directory any more, but the kernel knows where it was.
        let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
        let was = fs::read_link(link).is_ok_and(|was| self.is_ours(&was));
        if was || self.has(stat) { Err(format!("'{path}' {REFUSED}")) } else { Ok(()) }
    }

    fn is_ours(&self, path: &Path) -> bool {
        let Ok(rest) = path.strip_prefix(&self.directory) else { return false };
        let name = rest.components().next().map(|first| first.as_os_str().to_string_lossy());
        !self.shared || name.is_some_and(|name| self.is_own_name(&name))
    }

    fn is_own_name(&self, name: &str) -> bool {
        OWN_NAMES.contains(&name)
            || name.starts_with(TEMPORARY_PREFIX)
            || self.config.as_deref() == Some(name)
    }

    /// Refuses to make, replace or remove `name` in a directory, when that would be the daemon's own.
    pub fn check_entry(
        &self,
        path: &str,
        directory: &impl AsFd,
        parent: &Stat,
        name: &str,
    ) -> Result<(), String> {
        self.check(path, directory, parent)?;
        if self.identity == Some(identity(parent)) && self.is_own_name(name) {
            return Err(format!("'{path}' {REFUSED}"));
        }
        Ok(())
    }

    /// Refuses to remove a directory that the daemon's own is beneath.
    pub fn check_removal(&self, path: &str, stat: &Stat) -> Result<(), String> {
        if self.has(stat) {
            return Err(format!("'{path}' {REFUSED}"));
        }
        if self.above.contains(&identity(stat)) {
            return Err(format!(
                "the daemon's own files are beneath '{path}'; remove what is beside them one by one"
            ));
        }
        Ok(())
    }
}

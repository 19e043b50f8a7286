//! The daemon's own files: no tool reads, lists or changes them, whatever a context grants. They are known by what they
//! are, not by a path: links and mounts lead to the same file.

use std::{
    collections::HashSet,
    fs,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fd::AsFd,
    fs::{PROC_SUPER_MAGIC, Stat, fstatfs},
};

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
const OF_A_PROCESS: &str = "shows what processes or the kernel hold in memory, keys too, which no file tool may read; see \
    facts of the host with host.facts, or name another file of /proc itself, such as /proc/meminfo";

fn identity(stat: &Stat) -> Identity {
    #[allow(clippy::useless_conversion, reason = "the types differ between architectures")]
    (stat.st_dev.into(), stat.st_ino.into())
}

/// Whether this path of a procfs is neither beneath the directory of a process, of the daemon or of any other, nor the
/// memory of the kernel. Elsewhere than at its usual place it could be mounted from any of its directories.
fn is_plain_proc(path: &Path) -> bool {
    let Ok(rest) = path.strip_prefix("/proc") else { return false };
    let Some(first) = rest.iter().next() else { return true };
    let first = first.as_encoded_bytes();
    !first.first().is_some_and(u8::is_ascii_digit)
        && !matches!(first, b"self" | b"thread-self" | b"kcore" | b"vmcore")
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

    /// Refuses an open file or directory that is the daemon's own, or that its memory can be reached by.
    pub fn check(&self, path: &str, fd: &impl AsFd, stat: &Stat) -> Result<(), String> {
        // One that was removed since it was opened is in no directory any more, but the kernel knows where it was.
        let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
        let was = fs::read_link(link).ok();
        if was.as_deref().is_some_and(|was| self.is_ours(was)) || self.has(stat) {
            return Err(format!("'{path}' {REFUSED}"));
        }
        let is_proc = fstatfs(fd).map_or(true, |system| system.f_type == PROC_SUPER_MAGIC);
        if is_proc && !was.is_some_and(|was| is_plain_proc(&was)) {
            return Err(format!("'{path}' {OF_A_PROCESS}"));
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_procfs_only_what_is_of_no_process_is_plain() {
        for plain in ["/proc", "/proc/meminfo", "/proc/sys/kernel/ostype", "/proc/irq/0/node"] {
            assert!(is_plain_proc(Path::new(plain)), "{plain}");
        }
        for other in [
            "/proc/1/mem",
            "/proc/1",
            "/proc/17/task/18/mem",
            "/proc/17/mem (deleted)",
            "/proc/self/mem",
            "/proc/thread-self/maps",
            "/proc/kcore",
            "/mnt/proc/meminfo",
            "(unreachable)/meminfo",
        ] {
            assert!(!is_plain_proc(Path::new(other)), "{other}");
        }
    }
}

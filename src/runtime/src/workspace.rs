//! Workspaces that persist: an ext4 file for machines with disks, a directory for those without.
//!
//! A file is in at most one machine at a time: two kernels that write one file system ruin it.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aegis_store::fault;
use aegis_wire::runtime::RuntimeError;
use tokio::process::Command;

use crate::home::private_directory;

const MIB: u64 = 1024 * 1024;

/// What is said when a workspace is in another machine, which passes by itself.
pub(crate) const IN_USE: &str = "the workspace is in use by";

/// All workspaces of a home.
#[derive(Debug, Clone)]
pub struct Workspaces {
    root: PathBuf,
    /// Which files are in a machine, and whose.
    in_use: Arc<Mutex<HashMap<PathBuf, String>>>,
}

/// A workspace that is in use until this is dropped.
#[derive(Debug)]
pub struct Workspace {
    path: PathBuf,
    is_disk: bool,
    is_copy: bool,
    in_use: Arc<Mutex<HashMap<PathBuf, String>>>,
}

impl Workspace {
    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.is_copy {
            // What stays behind goes at the next start.
            let _ = fs::remove_file(&self.path);
        } else if self.is_disk {
            self.in_use.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
        }
    }
}

/// Whose a workspace is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// An app's own: it goes with the app.
    App(String),
    /// One that has a name, for whoever names it.
    Named(String),
}

impl Workspaces {
    /// Those beneath `root`. What was half made is removed.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        for kind in ["apps", "named"] {
            let directory = root.join(kind);
            private_directory(&directory)?;
            for entry in fs::read_dir(&directory)? {
                for file in fs::read_dir(entry?.path())? {
                    let path = file?.path();
                    if path.extension().is_some_and(|extension| extension == "half" || extension == "copy") {
                        fs::remove_file(path)?;
                    }
                }
            }
        }
        Ok(Self { root, in_use: Arc::default() })
    }

    fn directory(&self, owner: &Owner) -> PathBuf {
        match owner {
            Owner::App(id) => self.root.join("apps").join(id),
            Owner::Named(name) => self.root.join("named").join(name),
        }
    }

    /// The workspace of `owner` for the machine `user`, made if it isn't there.
    pub async fn take(
        &self,
        owner: &Owner,
        is_disk: bool,
        size_mib: u64,
        user: &str,
    ) -> Result<Workspace, RuntimeError> {
        let directory = self.directory(owner);
        private_directory(&directory).map_err(|error| failed(&directory, &error))?;
        let path = directory.join(if is_disk { "disk.ext4" } else { "tree" });
        if is_disk {
            let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(other) = in_use.get(&path) {
                let way_out = if other.starts_with("task-") { "task cancel" } else { "instance stop" };
                return Err(RuntimeError::conflict(format!("{IN_USE} {other}"))
                    .hint(format!("stop it first: `aegis {way_out} {other}`")));
            }
            in_use.insert(path.clone(), user.to_owned());
        }
        // From here on it is given back if anything fails.
        let workspace = Workspace { path, is_disk, is_copy: false, in_use: self.in_use.clone() };
        if is_disk {
            make_disk(&workspace.path, size_mib).await?;
        } else {
            private_directory(&workspace.path).map_err(|error| failed(&workspace.path, &error))?;
        }
        Ok(workspace)
    }

    /// A copy of the workspace's disk, for the machine `user` alone; gone when it is dropped. What the machine that has
    /// the disk hasn't written yet isn't in it.
    pub async fn take_copy(
        &self,
        owner: &Owner,
        size_mib: u64,
        user: &str,
    ) -> Result<Workspace, RuntimeError> {
        let directory = self.directory(owner);
        private_directory(&directory).map_err(|error| failed(&directory, &error))?;
        let (disk, path) = (directory.join("disk.ext4"), directory.join(format!("{user}.copy")));
        let copy = Workspace { path, is_disk: true, is_copy: true, in_use: self.in_use.clone() };
        if !disk.exists() {
            make_disk(&copy.path, size_mib).await?;
            return Ok(copy);
        }
        let copied = Command::new("cp")
            .args(["--sparse=always", "--reflink=auto", "--"])
            .args([&disk, &copy.path])
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| RuntimeError::internal(format!("cp: {error}")))?;
        if !copied.status.success() {
            let said = String::from_utf8_lossy(&copied.stderr);
            return Err(RuntimeError::internal(format!("the workspace can't be copied: {}", said.trim())));
        }
        Ok(copy)
    }

    /// Removes the workspace of an app that is gone. Blocks.
    pub fn remove(&self, owner: &Owner) -> io::Result<()> {
        match remove_tree(&self.directory(owner)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Removes a directory with all that is in it. A guest made that, as deep as it liked and with any modes: so each directory is
/// moved up to `top` before it is looked into, and no depth takes stack or open files.
fn remove_tree(top: &Path) -> io::Result<()> {
    let open_up = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    let mut moved = 0_u64;
    loop {
        let mut is_empty = true;
        for entry in fs::read_dir(top)? {
            is_empty = false;
            let entry = entry?;
            let path = entry.path();
            if !entry.file_type()?.is_dir() {
                fs::remove_file(path)?;
                continue;
            }
            open_up(&path)?;
            for inner in fs::read_dir(&path)? {
                let inner = inner?;
                if !inner.file_type()?.is_dir() {
                    fs::remove_file(inner.path())?;
                    continue;
                }
                open_up(&inner.path())?;
                let mut place = top.join(format!("{moved}.gone"));
                while place.exists() {
                    moved += 1;
                    place = top.join(format!("{moved}.gone"));
                }
                fs::rename(inner.path(), place)?;
            }
            match fs::remove_dir(&path) {
                // Not everything was seen while it changed.
                Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => return Err(error),
                _ => {}
            }
        }
        if is_empty {
            return fs::remove_dir(top);
        }
    }
}

/// Refuses a name that is no plain file name.
pub fn check_name(name: &str) -> Result<(), RuntimeError> {
    let plain = (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && name.as_bytes()[0].is_ascii_alphanumeric();
    if plain {
        return Ok(());
    }
    let shown: String = name.chars().take(63).collect();
    Err(RuntimeError::invalid(format!("'{shown}' can't be the name of a workspace"))
        .hint("use 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit"))
}

/// Makes an empty ext4 file, whole or not at all. One that is there stays as it is. The file is as long as every disk is
/// (most of it a hole), because a clone's disk has to be; the file system in it has the size that was asked for.
async fn make_disk(path: &Path, size_mib: u64) -> Result<(), RuntimeError> {
    if path.exists() {
        return Ok(());
    }
    fault::point("workspace.make.before");
    let half = path.with_extension("half");
    let sparse = || -> io::Result<()> {
        // No longer than what was asked for: whatever a guest does to the file system in it, it writes nothing behind its end.
        fs::File::create(&half)?.set_len(size_mib * MIB)
    };
    sparse().map_err(|error| failed(&half, &error))?;
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"])
        .arg(&half)
        .arg(format!("{size_mib}M"))
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| {
            RuntimeError::internal(format!("mkfs.ext4: {error}"))
                .hint("install e2fsprogs: `apt-get install e2fsprogs`")
        })?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr);
        return Err(RuntimeError::internal(format!("mkfs.ext4 failed: {}", said.trim())));
    }
    fs::rename(&half, path).map_err(|error| failed(path, &error))?;
    fault::point("workspace.make.after");
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> RuntimeError {
    RuntimeError::internal(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn a_disk_is_in_one_machine_at_a_time_and_a_directory_in_any() {
        let home = tempfile::tempdir().unwrap();
        let workspaces = Workspaces::open(home.path().join("workspaces")).unwrap();
        let owner = Owner::Named("data".into());
        let first = workspaces.take(&owner, true, 8, "inst-1").await.unwrap();
        let error = workspaces.take(&owner, true, 8, "inst-2").await.unwrap_err();
        assert_eq!((error.status, error.message.as_str()), (409, "the workspace is in use by inst-1"));
        assert_eq!(error.hint.unwrap(), "stop it first: `aegis instance stop inst-1`");
        drop(first);
        let task = workspaces.take(&owner, true, 8, "task-1").await.unwrap();
        let error = workspaces.take(&owner, true, 8, "inst-2").await.unwrap_err();
        assert_eq!(error.hint.unwrap(), "stop it first: `aegis task cancel task-1`");
        drop(task);
        workspaces.take(&owner, true, 8, "inst-2").await.unwrap();
        let tree = workspaces.take(&owner, false, 8, "inst-3").await.unwrap();
        workspaces.take(&owner, false, 8, "inst-4").await.unwrap();
        assert!(tree.path().is_dir());
    }

    #[test]
    fn a_workspace_of_any_depth_and_mode_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let workspaces = Workspaces::open(home.path().join("workspaces")).unwrap();
        let owner = Owner::App("app-1".into());
        let top = workspaces.directory(&owner);
        let (tree, outer) = (top.join("tree"), top.join("outer"));
        fs::create_dir_all(&tree).unwrap();
        for _ in 0..2000 {
            fs::create_dir(&outer).unwrap();
            fs::rename(&tree, outer.join("inner")).unwrap();
            fs::rename(&outer, &tree).unwrap();
        }
        let outside = home.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "stays").unwrap();
        std::os::unix::fs::symlink(&outside, tree.join("link")).unwrap();
        fs::create_dir_all(tree.join("closed/below")).unwrap();
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        // A step for each level wouldn't fit on this stack.
        let small = std::thread::Builder::new().stack_size(128 * 1024);
        let removing =
            small.spawn(move || workspaces.remove(&owner).and_then(|()| workspaces.remove(&owner)));
        removing.unwrap().join().unwrap().unwrap();
        assert!(!top.exists() && outside.join("file").exists());
    }

    #[test]
    fn names_lead_nowhere_else() {
        for wrong in ["", ".", "..", "a/b", "-a", "ä", &"a".repeat(64)] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
        check_name("data-1.x").unwrap();
    }
}

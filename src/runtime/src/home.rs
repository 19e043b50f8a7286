//! Where everything is: `$AEGIS_HOME`, `~/.aegis` if it isn't set.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The daemon's directory.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The one in `root`, which is made (0700) with what is always in it.
    pub fn open(root: &Path) -> io::Result<Self> {
        own_directory(root)?;
        let home = Self { root: fs::canonicalize(root)? };
        own_directory(&home.data())?;
        Ok(home)
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The socket of the API.
    pub fn socket(&self) -> PathBuf {
        self.root.join("aegisd.sock")
    }
    /// The config, if there is one.
    pub fn config(&self) -> PathBuf {
        self.root.join("aegisd.yaml")
    }
    /// State.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }
    /// The lock of the daemon, and its process id once it is ready.
    pub fn pid_file(&self) -> PathBuf {
        self.data().join("aegisd.pid")
    }
    /// What the daemon logs when its stderr is nobody's.
    pub fn log_file(&self) -> PathBuf {
        self.data().join("aegisd.log")
    }
    /// The key that secrets are sealed with.
    pub fn master_key(&self) -> PathBuf {
        self.data().join("master.key")
    }
    /// The store.
    pub fn store(&self) -> PathBuf {
        self.data().join("store")
    }
    /// Pulled images.
    pub fn images(&self) -> PathBuf {
        self.data().join("images")
    }
    /// Logs of instances and tasks.
    pub fn logs(&self) -> PathBuf {
        self.data().join("logs")
    }
    /// Workspaces that persist.
    pub fn workspaces(&self) -> PathBuf {
        self.data().join("workspaces")
    }
    /// One directory a machine, for as long as it lives.
    pub fn run(&self) -> PathBuf {
        self.data().join("run")
    }
}

/// The same, and it must be this user's: who owns it can put other files in the place of ours.
fn own_directory(path: &Path) -> io::Result<()> {
    private_directory(path)?;
    let (owner, me) = (fs::metadata(path)?.uid(), rustix::process::geteuid().as_raw());
    if owner == me {
        return Ok(());
    }
    let message = format!("{} belongs to the user {owner}, and this runs as {me}", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Makes a directory that only this user can look into; one that is there is made so.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Writes a file that only this user can read: whole or not at all, and on the disk when this returns.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let half = path.with_extension("half");
    match fs::remove_file(&half) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&half)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&half, path)?;
    sync_directory_of(path)
}

/// Makes sure that a name in the directory of `path` is on the disk.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

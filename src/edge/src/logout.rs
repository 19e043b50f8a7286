//! `aegis edge logout`: this host forgets who it is. The controller still lists the node until it is revoked there.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use aegis_core::ExitCode;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use crate::state::{
    DaemonLock, LockError, OWN_NAMES, RotateLock, StateDir, StateError, TEMPORARY_PREFIX, remove_if_there,
    running_pid,
};

/// How long a daemon may take to end before logout gives up.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a logout did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogoutReport {
    /// The daemon that was running and was told to end.
    pub stopped_pid: Option<u32>,
    /// What is gone.
    pub removed: Vec<PathBuf>,
    /// Whether the directory is gone as a whole.
    pub purged: bool,
}

/// Why a host can't forget who it is.
#[derive(Debug, thiserror::Error)]
pub enum LogoutError {
    /// A file.
    #[error(transparent)]
    State(#[from] StateError),
    /// The lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The daemon can't be told to end.
    #[error("can't stop the daemon (pid {pid}): {source}")]
    Signal {
        /// Its process.
        pid: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The daemon was told and goes on.
    #[error("the daemon (pid {0}) doesn't end")]
    StillRunning(u32),
    /// The directory holds what isn't ours; nothing was touched.
    #[error("{} isn't removed: it holds {}", dir.display(), others.join(", "))]
    NotOurs {
        /// The state directory.
        dir: PathBuf,
        /// What is in it besides our files.
        others: Vec<String>,
    },
}

impl LogoutError {
    /// The code that the process ends with.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::NotOurs { .. } => ExitCode::BootstrapConflict,
            Self::State(_) | Self::Lock(_) | Self::Signal { .. } | Self::StillRunning(_) => ExitCode::Generic,
        }
    }
    /// The way out.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotOurs { .. } => Some("move those away, or log out without '--purge'"),
            Self::Signal { .. } => Some("stop it as the user that runs it, then log out again"),
            Self::StillRunning(_) => Some("end it with 'kill -9', then log out again"),
            Self::Lock(LockError::Rotating(_)) => Some("wait until that has ended, then log out again"),
            Self::State(_) | Self::Lock(_) => None,
        }
    }
}

/// Stops the daemon, then deletes the token and all keys; with `purge`, the whole directory, if everything in it is ours.
pub async fn logout(state: &StateDir, purge: bool) -> Result<LogoutReport, LogoutError> {
    let mut report = LogoutReport { stopped_pid: None, removed: Vec::new(), purged: false };
    if !state.dir().is_dir() {
        return Ok(report);
    }
    if purge {
        refuse_others(state)?;
    }
    // Held to the end: no key comes back, and no daemon starts, while the files go.
    let rotation = RotateLock::take(state)?;
    let lock = stop(state, &mut report).await?;
    for path in [state.node_token(), state.node_key(), state.node_key_next()] {
        if remove_if_there(&path)? {
            report.removed.push(path);
        }
    }
    if state.archive().is_dir() {
        remove(&state.archive())?;
        report.removed.push(state.archive());
    }
    if purge {
        for path in entries(state)? {
            remove(&path)?;
            report.removed.push(path);
        }
        drop((rotation, lock));
        fs::remove_dir(state.dir()).map_err(|error| StateError::new("remove", state.dir(), error))?;
        report.purged = true;
    }
    Ok(report)
}

async fn stop(state: &StateDir, report: &mut LogoutReport) -> Result<DaemonLock, LogoutError> {
    if let Some(number) = running_pid(state)? {
        let signal = |source| LogoutError::Signal { pid: number, source };
        let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| signal(io::Error::other("the lock names no process")))?;
        kill_process(pid, Signal::TERM).map_err(|errno| signal(errno.into()))?;
        report.stopped_pid = Some(number);
    }
    let deadline = tokio::time::Instant::now() + STOP_WITHIN;
    loop {
        match DaemonLock::take(state) {
            Err(LockError::Held { pid, .. }) if tokio::time::Instant::now() >= deadline => {
                return Err(LogoutError::StillRunning(pid.or(report.stopped_pid).unwrap_or_default()));
            }
            Err(LockError::Held { .. }) => tokio::time::sleep(LOOK_EVERY).await,
            other => return Ok(other?),
        }
    }
}

/// Everything in the directory.
fn entries(state: &StateDir) -> Result<Vec<PathBuf>, StateError> {
    let fail = |error| StateError::new("read", state.dir(), error);
    let entries = fs::read_dir(state.dir()).map_err(fail)?;
    entries.map(|entry| Ok(entry.map_err(fail)?.path())).collect()
}

fn refuse_others(state: &StateDir) -> Result<(), LogoutError> {
    let config = state.config().file_name();
    let mut others: Vec<_> = entries(state)?
        .iter()
        .filter_map(|path| path.file_name())
        .filter(|name| Some(*name) != config)
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !OWN_NAMES.contains(&name.as_str()) && !name.starts_with(TEMPORARY_PREFIX))
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    others.sort();
    Err(LogoutError::NotOurs { dir: state.dir().to_path_buf(), others })
}

fn remove(path: &Path) -> Result<(), StateError> {
    let fail = |error| StateError::new("remove", path, error);
    // A symbolic link is removed itself, never what it points to.
    let is_dir = fs::symlink_metadata(path).map_err(fail)?.is_dir();
    if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) }.map_err(fail)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use rustix::{
        fs::{FlockOperation, flock},
        io::{FdFlags, fcntl_setfd},
    };

    use super::*;

    fn lab(files: &[&str]) -> (tempfile::TempDir, StateDir) {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(home.path().join("edge/aegis-config.yaml"));
        fs::create_dir_all(state.secrets()).unwrap();
        for file in files {
            fs::write(state.dir().join(file), "x").unwrap();
        }
        (home, state)
    }

    /// A process that holds the lock as a daemon does, and ends at SIGTERM.
    fn daemon(state: &StateDir) -> Child {
        let lock = fs::File::create(state.lock()).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        fcntl_setfd(&lock, FdFlags::empty()).unwrap();
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(state.lock(), format!("{}\n", child.id())).unwrap();
        child
    }

    #[tokio::test]
    async fn token_and_key_go_and_the_rest_stays() {
        let (_home, state) =
            lab(&["aegis-config.yaml", "node.key", "node.key.pub", "node.token", "mine.txt"]);
        let report = logout(&state, false).await.unwrap();
        assert_eq!(report.removed, [state.node_token(), state.node_key()]);
        assert!(state.config().exists() && state.dir().join("mine.txt").exists());
        assert_eq!(logout(&state, false).await.unwrap().removed, Vec::<PathBuf>::new());
    }

    #[tokio::test]
    async fn no_key_of_a_rotation_stays() {
        let (_home, state) = lab(&["node.key", "node.key.next"]);
        fs::create_dir(state.archive()).unwrap();
        fs::write(state.archive().join("2027-01-15T08:00:00Z.key"), "x").unwrap();
        let report = logout(&state, false).await.unwrap();
        assert_eq!(report.removed, [state.node_key(), state.node_key_next(), state.archive()]);
        assert!(!state.node_key_next().exists() && !state.archive().exists());
    }

    #[tokio::test]
    async fn nothing_goes_while_a_rotation_runs() {
        let (_home, state) = lab(&["node.key", "node.token"]);
        let rotation = RotateLock::take(&state).unwrap();
        let error = logout(&state, false).await.unwrap_err();
        assert!(matches!(error, LogoutError::Lock(LockError::Rotating(_))), "{error}");
        assert!(state.node_key().exists() && error.hint().is_some());
        drop(rotation);
        logout(&state, true).await.unwrap();
    }

    #[tokio::test]
    async fn a_running_daemon_is_stopped_first() {
        let (_home, state) = lab(&["node.key", "node.token"]);
        let mut child = daemon(&state);
        let report = logout(&state, false).await.unwrap();
        assert_eq!(report.stopped_pid, Some(child.id()));
        assert!(!child.wait().unwrap().success());
        assert!(!state.node_key().exists());
    }

    #[tokio::test]
    async fn a_process_that_only_stands_in_a_stale_lock_is_left_alone() {
        let (_home, state) = lab(&["node.key"]);
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(state.lock(), format!("{}\n", child.id())).unwrap();
        assert_eq!(logout(&state, false).await.unwrap().stopped_pid, None);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn purge_removes_the_directory() {
        let (home, state) =
            lab(&["aegis-config.yaml", "node.key", "node.token", "status.json", ".aegis-tmp-1-0-x"]);
        fs::write(state.secrets().join("db"), "x").unwrap();
        assert!(logout(&state, true).await.unwrap().purged);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        assert!(!logout(&state, true).await.unwrap().purged);
    }

    #[tokio::test]
    async fn purge_refuses_a_directory_that_holds_others_files_and_touches_nothing() {
        let (_home, state) = lab(&["aegis-config.yaml", "node.key", "thesis.tex"]);
        let error = logout(&state, true).await.unwrap_err();
        assert!(error.to_string().ends_with("it holds thesis.tex"), "{error}");
        assert!(state.node_key().exists());
    }
}

//! Noticing that the config, or the host's key and token, have changed, without asking again and again.

use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::state::StateDir;

/// Editors write in several steps; the file is read when it has been left alone for so long.
pub(super) const DEBOUNCE: Duration = Duration::from_millis(200);

/// Watches the daemon's files until dropped.
pub(super) struct FileWatch {
    changes: mpsc::Receiver<()>,
    /// Ends with its drop.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl FileWatch {
    /// Watches the folder of the files, since a file that is replaced by a rename is another file. Where that isn't
    /// possible, SIGHUP remains, and a new token is noticed at the next heartbeat.
    pub fn new(state: &StateDir) -> Self {
        let (sender, changes) = mpsc::channel(1);
        let watcher = watch(state, sender);
        if let Err(error) = &watcher {
            tracing::warn!(%error, "the config isn't watched; after a change send SIGHUP");
        }
        Self { changes, _watcher: watcher.ok() }
    }

    /// Nothing is watched.
    pub fn none() -> Self {
        Self { changes: mpsc::channel(1).1, _watcher: None }
    }

    /// One of them may have changed.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

fn watch(state: &StateDir, changed: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let files = [state.config().to_path_buf(), state.node_key(), state.node_token()];
    let names = files.map(|path| path.file_name().map(ToOwned::to_owned));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let ours =
            event.paths.iter().any(|path| names.iter().any(|name| path.file_name() == name.as_deref()));
        if ours && !event.kind.is_access() {
            // One that waits already says the same.
            let _ = changed.try_send(());
        }
    })?;
    watcher.watch(state.dir(), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_replaced_by_a_rename_are_noticed_and_their_neighbours_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::of_config(dir.path().join("aegis-config.yaml"));
        std::fs::write(state.config(), "a").unwrap();
        for path in [state.config().to_path_buf(), state.node_token(), state.node_key()] {
            let mut watch = FileWatch::new(&state);
            std::fs::write(dir.path().join("status.json"), "x").unwrap();
            crate::state::write_atomic(&path, 0o644, b"b").unwrap();
            tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.unwrap();
        }
    }
}

//! Noticing that the config file has changed, without asking again and again.

use std::{path::Path, time::Duration};

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Editors write in several steps; the file is read when it has been left alone for so long.
pub(super) const DEBOUNCE: Duration = Duration::from_millis(200);

/// Watches a file until dropped.
pub(super) struct ConfigWatch {
    changes: mpsc::Receiver<()>,
    /// Ends with its drop.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl ConfigWatch {
    /// Watches the folder of `config`, since a file that is replaced by a rename is another file. Where that isn't
    /// possible, SIGHUP remains.
    pub fn new(config: &Path) -> Self {
        let (sender, changes) = mpsc::channel(1);
        let watcher = watch(config, sender);
        if let Err(error) = &watcher {
            tracing::warn!(%error, "the config isn't watched; after a change send SIGHUP");
        }
        Self { changes, _watcher: watcher.ok() }
    }

    /// Nothing is watched.
    pub fn none() -> Self {
        Self { changes: mpsc::channel(1).1, _watcher: None }
    }

    /// The file may have changed.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

fn watch(config: &Path, changed: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let name = config.file_name().map(ToOwned::to_owned);
    let dir = match config.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let ours = event.paths.iter().any(|path| path.file_name() == name.as_deref());
        if ours && !event.kind.is_access() {
            // One that waits already says the same.
            let _ = changed.try_send(());
        }
    })?;
    watcher.watch(dir, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_replaced_by_a_rename_is_noticed_and_its_neighbours_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("aegis-config.yaml");
        std::fs::write(&config, "a").unwrap();
        let mut watch = ConfigWatch::new(&config);
        std::fs::write(dir.path().join("status.json"), "x").unwrap();
        crate::state::write_atomic(&config, 0o644, b"b").unwrap();
        tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.unwrap();
    }
}

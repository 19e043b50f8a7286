//! Being told of changes, without ever holding up the writer.

use std::{collections::BTreeSet, sync::Arc};

use aegis_core::Revision;
use tokio::sync::broadcast;

/// How many commits a slow watcher may be behind before it is told to read again.
const BACKLOG: usize = 1024;

/// The keys of one commit.
#[derive(Debug)]
pub(crate) struct Committed {
    pub revision: Revision,
    pub keys: Vec<String>,
}

/// Where an engine announces its commits.
#[derive(Debug)]
pub(crate) struct Announcer(broadcast::Sender<Arc<Committed>>);

impl Announcer {
    pub fn new() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
    pub fn announce(&self, revision: Revision, keys: Vec<String>) {
        if !keys.is_empty() && self.0.receiver_count() > 0 {
            // An error means that the last watcher has just left.
            let _ = self.0.send(Arc::new(Committed { revision, keys }));
        }
    }
    pub fn watch(&self, prefix: &str) -> Watch {
        Watch { receiver: self.0.subscribe(), prefix: prefix.to_owned() }
    }
}

/// What a watcher learns. It is a hint: the values are read from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These keys were written or deleted by the commit of this revision.
    Keys(Revision, BTreeSet<String>),
    /// Too much happened to tell: read everything under the prefix again.
    Everything,
}

/// A subscription to the keys under one prefix. It begins with the first commit after it was made.
#[derive(Debug)]
pub struct Watch {
    receiver: broadcast::Receiver<Arc<Committed>>,
    prefix: String,
}

impl Watch {
    /// Waits for the next change. `None`: the store is closed.
    pub async fn next(&mut self) -> Option<Changed> {
        loop {
            match self.receiver.recv().await {
                Ok(committed) => {
                    let ours = committed.keys.iter().filter(|key| key.starts_with(&self.prefix));
                    let keys: BTreeSet<String> = ours.cloned().collect();
                    if !keys.is_empty() {
                        return Some(Changed::Keys(committed.revision, keys));
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => return Some(Changed::Everything),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

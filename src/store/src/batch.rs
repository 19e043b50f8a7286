//! What is written together: conditions, writes, and the answer that is waited for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use aegis_core::Revision;
use tokio::sync::oneshot;

use crate::{CommitError, StoreError};

/// A condition of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The key.
    pub key: String,
    /// The revision that it must have; 0: it must be absent.
    pub revision: Revision,
}

/// Makes the value of a new log record from its sequence and the record before it.
///
/// It may be called more than once: a commit that didn't fit is tried again in a larger map. It must not panic.
pub type Append = Box<dyn Fn(u64, Option<&[u8]>) -> Vec<u8> + Send>;

/// One write of a batch.
pub enum Write {
    /// Sets a key.
    Put {
        /// Which.
        key: String,
        /// To what.
        value: Vec<u8>,
    },
    /// Removes a key; one that isn't there stays away.
    Delete {
        /// Which.
        key: String,
    },
    /// Appends a record to a log.
    Append {
        /// The log's name.
        log: String,
        /// Makes the record.
        make: Append,
    },
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, value } => write!(f, "Put({key}, {} bytes)", value.len()),
            Self::Delete { key } => write!(f, "Delete({key})"),
            Self::Append { log, .. } => write!(f, "Append({log})"),
        }
    }
}

/// Conditions and writes that happen together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    /// What must be true. If one isn't, nothing is written.
    pub checks: Vec<Check>,
    /// What is written, in this order.
    pub writes: Vec<Write>,
    /// Nobody waits for it: the writer may hold it back for up to a tenth of a second, to write more at once.
    pub lazy: bool,
    /// Nobody needs to hear of it: its keys are neither announced to watchers nor listed as changes, of which a store
    /// remembers only the last.
    pub quiet: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }
    /// Demands that `key` is at `revision`; 0: absent.
    pub fn check(&mut self, key: impl Into<String>, revision: Revision) -> &mut Self {
        self.checks.push(Check { key: key.into(), revision });
        self
    }
    /// Sets `key`.
    pub fn put(&mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.writes.push(Write::Put { key: key.into(), value: value.into() });
        self
    }
    /// Removes `key`.
    pub fn delete(&mut self, key: impl Into<String>) -> &mut Self {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }
    /// Appends to `log` what `make` makes.
    pub fn append(
        &mut self,
        log: impl Into<String>,
        make: impl Fn(u64, Option<&[u8]>) -> Vec<u8> + Send + 'static,
    ) -> &mut Self {
        self.writes.push(Write::Append { log: log.into(), make: Box::new(make) });
        self
    }
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// The answer to a commit: the revision of the store with it. Dropping it doesn't undo the commit.
#[derive(Debug)]
#[must_use = "a commit may be refused; wait for it or say detach()"]
pub struct Pending(oneshot::Receiver<Result<Revision, CommitError>>);

impl Pending {
    pub(crate) fn new() -> (oneshot::Sender<Result<Revision, CommitError>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }
    /// An answer that is already known.
    pub(crate) fn ready(result: Result<Revision, CommitError>) -> Self {
        let (sender, pending) = Self::new();
        // The receiver is alive: it is returned below.
        let _ = sender.send(result);
        pending
    }
    /// Doesn't wait. What goes wrong is in the log of the writer.
    pub fn detach(self) {}
    /// Waits on a thread that isn't part of an async runtime.
    pub fn wait(self) -> Result<Revision, CommitError> {
        self.0.blocking_recv().unwrap_or(Err(StoreError::Closed.into()))
    }
}

impl Future for Pending {
    type Output = Result<Revision, CommitError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|result| result.unwrap_or(Err(StoreError::Closed.into())))
    }
}

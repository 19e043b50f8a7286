//! What the rest of the daemon has of an instance: a way to ask it for something, and a view of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use aegis_backend::Guest;
use aegis_core::instance::{Ask, Cause, Input, State, Unmet, Use};
use aegis_wire::runtime::RuntimeError;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::actor::Message;
use crate::record::{AppOf, RunSpec};

/// What doesn't change of an instance.
#[derive(Debug)]
pub(crate) struct Identity {
    pub id: String,
    pub app: Option<AppOf>,
    pub run: RunSpec,
    pub is_declared: bool,
    pub backend: String,
    pub created_at: Timestamp,
    /// Whether it boots with a copy of its workspace, which another instance of its app has.
    pub trial: AtomicBool,
}

/// How an instance stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub state: State,
    /// Whether there is, or may be, a machine.
    pub has_machine: bool,
    /// Why it has none or is about to have none.
    pub cause: Option<Cause>,
    pub connections: u64,
    pub last_active_at: Timestamp,
    pub is_removed: bool,
    /// Why its last boot failed, or what else went wrong.
    pub trouble: Option<String>,
}

/// An instance.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub identity: Arc<Identity>,
    pub(super) messages: mpsc::UnboundedSender<Message>,
    pub(super) view: watch::Receiver<View>,
    pub(super) guest: watch::Receiver<Option<Guest>>,
}

/// A use that was granted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    messages: mpsc::UnboundedSender<Message>,
    what: Use,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // An instance that is gone counts nothing.
        let _ = self.messages.send(Message::Input(Input::Released(self.what)));
    }
}

/// Somebody who follows the log, until it is dropped.
#[derive(Debug)]
pub(crate) struct Follower(mpsc::UnboundedSender<Message>);

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Input(Input::FollowerLeft));
    }
}

/// Takes back what was asked when whoever asked goes away.
struct Asking<'a> {
    messages: &'a mpsc::UnboundedSender<Message>,
    waiter: u64,
    is_answered: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            let _ = self.messages.send(Message::Input(Input::Gone { waiter: self.waiter }));
        }
    }
}

impl Handle {
    pub fn id(&self) -> &str {
        &self.identity.id
    }

    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    pub fn watch(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// The way to its guest, as long as it has one that may be used.
    pub fn guest(&self) -> Option<Guest> {
        self.guest.borrow().clone()
    }

    /// Tells when the guest may not be used any more.
    pub fn watch_guest(&self) -> watch::Receiver<Option<Guest>> {
        self.guest.clone()
    }

    /// Asks for something and waits for the answer. Going away takes nothing back that was set going.
    pub async fn ask(&self, ask: Ask) -> Result<(), Unmet> {
        self.ask_for(ask).await.map(drop)
    }

    /// Asks to use it.
    pub async fn lease(&self, what: Use) -> Result<Lease, Unmet> {
        self.ask_for(Ask::Use(what)).await?.ok_or(Unmet::Removed)
    }

    async fn ask_for(&self, ask: Ask) -> Result<Option<Lease>, Unmet> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let waiter = NEXT.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        if self.messages.send(Message::Asked { waiter, ask, answer }).is_err() {
            return if ask == Ask::Delete { Ok(None) } else { Err(Unmet::Removed) };
        }
        let mut asking = Asking { messages: &self.messages, waiter, is_answered: false };
        let answer = answered.await;
        asking.is_answered = true;
        answer.unwrap_or(if ask == Ask::Delete { Ok(None) } else { Err(Unmet::Removed) })
    }

    /// Whether it works on a copy of its workspace.
    pub fn is_trial(&self) -> bool {
        self.identity.trial.load(Ordering::Acquire)
    }

    /// From its next boot on it works on the workspace itself.
    pub fn end_trial(&self) {
        self.identity.trial.store(false, Ordering::Release);
    }

    /// Counts somebody who follows its log.
    pub fn follow(&self) -> Follower {
        let _ = self.messages.send(Message::Input(Input::FollowerAttached));
        Follower(self.messages.clone())
    }
}

pub(super) fn lease(messages: &mpsc::UnboundedSender<Message>, what: Use) -> Lease {
    Lease { messages: messages.clone(), what }
}

/// Why an instance that is asked for something can't give it, as the API says it.
pub(crate) fn unmet(id: &str, unmet: &Unmet) -> RuntimeError {
    match unmet {
        Unmet::Stopped(cause) => {
            let why = reason(cause).map(|why| format!(": {why}")).unwrap_or_default();
            RuntimeError::conflict(format!("instance {id} is stopped{why}"))
                .hint(format!("start it: `aegis instance start {id}`"))
        }
        Unmet::Removed => RuntimeError::not_found(format!("instance {id} was deleted")),
        Unmet::TimedOut => {
            RuntimeError::conflict(format!("instance {id} wasn't there in time; it still boots"))
                .hint("try again")
        }
        Unmet::InUse => RuntimeError::conflict(format!("a command runs in instance {id}"))
            .hint("wait for its end, or stop the instance"),
        Unmet::Starting => {
            RuntimeError::conflict(format!("instance {id} is starting")).hint("try again when it runs")
        }
        Unmet::CannotPause => RuntimeError::conflict(format!("the backend of instance {id} can't pause"))
            .hint("`aegis doctor` says which backend can"),
    }
}

/// Why an instance is stopped, for people. None: somebody wanted that.
pub(crate) fn reason(cause: &Cause) -> Option<String> {
    match cause {
        Cause::New | Cause::Asked => None,
        Cause::Idle => Some("nobody used it; a request starts it".to_owned()),
        Cause::Daemon => Some("aegisd ended; a request starts it".to_owned()),
        Cause::Exited { code, early: false } => Some(format!("its process ended with exit code {code}")),
        Cause::Exited { code, early: true } => {
            Some(format!("its process ended with exit code {code} before it was ready"))
        }
        Cause::BootFailed { reason } => Some(reason.clone()),
        Cause::Died { reason } => Some(format!("its machine ended: {reason}")),
    }
}

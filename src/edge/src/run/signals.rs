//! What the host wants of the daemon.

use std::io;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// An order from the host itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// End: SIGTERM, SIGINT.
    Stop,
    /// Read the config again: SIGHUP.
    Reload,
}

/// The process's signals as orders. Needs a tokio runtime with I/O.
pub fn signals() -> io::Result<mpsc::Receiver<Control>> {
    let (sender, receiver) = mpsc::channel(4);
    for (kind, control) in [
        (SignalKind::terminate(), Control::Stop),
        (SignalKind::interrupt(), Control::Stop),
        (SignalKind::hangup(), Control::Reload),
    ] {
        let (mut stream, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(
            async move { while stream.recv().await.is_some() && sender.send(control).await.is_ok() {} },
        );
    }
    Ok(receiver)
}

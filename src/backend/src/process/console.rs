//! The end of what a process said, bounded.

use std::{
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{io::AsyncReadExt, net::unix::pipe, sync::watch};

/// So much of the end is kept: a kernel's last words with the trace before them.
const KEPT: usize = 64 * 1024;

/// Reads a pipe to its end and keeps the last of it.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    kept: Arc<Mutex<VecDeque<u8>>>,
    is_finished: watch::Receiver<bool>,
}

impl Console {
    pub(super) fn read(output: OwnedFd) -> io::Result<Self> {
        let mut output = pipe::Receiver::from_owned_fd(output)?;
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let (finished, is_finished) = watch::channel(false);
        let into = Arc::clone(&kept);
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes).await {
                let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&bytes[..count]);
                let excess = kept.len().saturating_sub(KEPT);
                kept.drain(..excess);
            }
            finished.send_replace(true);
        });
        Ok(Self { kept, is_finished })
    }

    /// What is kept.
    pub(crate) fn text(&self) -> String {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).replace('\r', "")
    }

    /// What is kept once everybody who could say something is gone. A process that left its output to another may never
    /// let it come to that, so it is waited for only shortly.
    pub(crate) async fn finished(&self) -> String {
        let mut is_finished = self.is_finished.clone();
        let finished = is_finished.wait_for(|is_finished| *is_finished);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), finished).await;
        self.text()
    }
}

//! Blobs on their way here: verified while they come, each once at a time.

use std::{
    collections::HashMap,
    io::Read,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
};

use super::{Source, layout::Layout};
use crate::{
    Digest, ImageError,
    blobs::{Blobs, Incoming},
    manifest::Descriptor,
    registry::{Session, pause},
};

/// So many pieces of a body wait for the disk.
const PIECES: usize = 32;

type Outcome = Result<(), ImageError>;
type Transfer = Shared<BoxFuture<'static, Outcome>>;
type Waiting = (WeakShared<BoxFuture<'static, Outcome>>, watch::Receiver<u64>);

/// The transfers that are under way. One ends when nobody waits for it any more.
#[derive(Default)]
pub struct Transfers(Mutex<HashMap<(String, Digest), Waiting>>);

impl Transfers {
    /// Brings a blob here, if it isn't. `place` is where from: the same digest elsewhere may come when here it doesn't.
    pub async fn bring(
        &self,
        source: &Source,
        place: &str,
        blobs: &Blobs,
        blob: &Descriptor,
        told: impl Fn(u64) + Send,
    ) -> Outcome {
        if blobs.has(&blob.digest) {
            return Ok(());
        }
        let (transfer, mut progress) = self.join(source, place, blobs, blob);
        tokio::pin!(transfer);
        loop {
            tokio::select! {
                outcome = &mut transfer => return outcome,
                Ok(()) = progress.changed() => told(*progress.borrow_and_update()),
            }
        }
    }

    fn join(
        &self,
        source: &Source,
        place: &str,
        blobs: &Blobs,
        blob: &Descriptor,
    ) -> (Transfer, watch::Receiver<u64>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (place.to_owned(), blob.digest);
        if let Some((transfer, progress)) = all.get(&key)
            && let Some(transfer) = transfer.upgrade()
        {
            return (transfer, progress.clone());
        }
        all.retain(|_, (transfer, _)| transfer.upgrade().is_some());
        let (source, blobs, blob) = (source.clone(), blobs.clone(), blob.clone());
        let (send, progress) = watch::channel(0);
        let transfer = async move { transfer(&source, &blobs, &blob, send).await }.boxed().shared();
        all.extend(transfer.downgrade().map(|weak| (key, (weak, progress.clone()))));
        (transfer, progress)
    }
}

async fn transfer(
    source: &Source,
    blobs: &Blobs,
    blob: &Descriptor,
    progress: watch::Sender<u64>,
) -> Outcome {
    match source {
        Source::Layout(layout) => {
            let (layout, blobs, blob) = (layout.clone(), blobs.clone(), blob.clone());
            let (cancelled, guard) = cancel_on_drop();
            let copied = spawn_blocking(move || copy(&layout, &blobs, &blob, &progress, &cancelled)).await;
            drop(guard);
            copied.map_err(|_| ImageError::Lost("the copy of a blob"))?
        }
        Source::Registry(session) => {
            let mut attempt = 1;
            loop {
                match download(session, blobs, blob, &progress).await {
                    Err(error) if error.is_transient() && attempt < session.attempts() => {
                        tracing::debug!(digest = %blob.digest, %error, "a transfer begins anew");
                    }
                    outcome => return outcome,
                }
                pause(attempt, None).await;
                attempt += 1;
            }
        }
    }
}

async fn download(
    session: &Session,
    blobs: &Blobs,
    blob: &Descriptor,
    progress: &watch::Sender<u64>,
) -> Outcome {
    let mut content = session.blob(&blob.digest, blob.size).await?;
    let (send, receive) = mpsc::channel::<Bytes>(PIECES);
    let incoming = begin(blobs, blob)?;
    let writer = spawn_blocking(move || write(incoming, receive));
    let mut done = 0;
    progress.send_replace(0);
    let outcome = loop {
        match content.piece().await {
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
            Ok(Some(piece)) => {
                done += piece.len() as u64;
                if send.send(piece).await.is_err() {
                    // The writer says why it stopped.
                    break Ok(());
                }
                progress.send_replace(done);
            }
        }
    };
    drop(send);
    let lost = |_| ImageError::Lost("the writer of a blob");
    let written = writer.await.map_err(lost)?;
    outcome?;
    let incoming = written?;
    spawn_blocking(move || incoming.finish()).await.map_err(lost)?.map(|_| ())
}

/// Takes what comes. Without an end that was asked for, the blob is dropped by whoever waits, and leaves nothing.
fn write(mut incoming: Incoming, mut receive: mpsc::Receiver<Bytes>) -> Result<Incoming, ImageError> {
    while let Some(piece) = receive.blocking_recv() {
        incoming.write(&piece)?;
    }
    Ok(incoming)
}

fn begin(blobs: &Blobs, blob: &Descriptor) -> Result<Incoming, ImageError> {
    blobs.incoming(format!("blob {}", blob.digest), Some(blob.digest), Some(blob.size))
}

fn copy(
    layout: &Layout,
    blobs: &Blobs,
    blob: &Descriptor,
    progress: &watch::Sender<u64>,
    cancelled: &AtomicBool,
) -> Outcome {
    let mut file = layout.blob(&blob.digest)?;
    let mut incoming = begin(blobs, blob)?;
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(ImageError::Lost("the copy of a blob"));
        }
        let length = file.read(&mut buffer).map_err(ImageError::file(&blobs.path(&blob.digest)))?;
        if length == 0 {
            return incoming.finish().map(|_| ());
        }
        incoming.write(&buffer[..length])?;
        done += length as u64;
        progress.send_replace(done);
    }
}

/// Sets a flag when it is dropped.
pub struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A flag for work on another thread, which can't be dropped, and what sets it when the waiting future is.
pub fn cancel_on_drop() -> (Arc<AtomicBool>, Cancel) {
    let flag = Arc::new(AtomicBool::new(false));
    (flag.clone(), Cancel(flag))
}

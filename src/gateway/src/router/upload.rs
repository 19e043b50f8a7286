//! A request's body on its way to an app. When the app takes nothing of it for long, nobody reads from the client either, and so
//! nobody would notice that it went away: that ends after a while.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

/// The body of a request.
pub enum Upload {
    /// None.
    Empty,
    /// As the client sends it.
    Client {
        /// What comes.
        body: Incoming,
        /// What is known of its way.
        progress: Arc<Progress>,
    },
}

/// Since when the app has taken nothing, though there is something.
#[derive(Debug, Default)]
pub struct Progress {
    stuck: Mutex<State>,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// The app waits for the client.
    #[default]
    Flows,
    /// The client, if it is there, waits for the app.
    Stuck(Instant),
    /// All of it went through, or nobody wants it any more.
    Over,
}

impl Progress {
    /// Of no upload.
    pub const fn over() -> Self {
        Self { stuck: Mutex::new(State::Over) }
    }

    /// Done when the app has taken nothing for so long. Never done when the body gets through.
    pub async fn stuck(&self, limit: Duration) {
        loop {
            let state = *self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
            match state {
                State::Over => futures::future::pending().await,
                State::Stuck(since) if since.elapsed() >= limit => return,
                State::Stuck(_) | State::Flows => tokio::time::sleep(limit / 4).await,
            }
        }
    }

    fn set(&self, state: State) {
        *self.stuck.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Client { body, progress } => {
                let frame = Pin::new(body).poll_frame(context);
                progress.set(match &frame {
                    Poll::Pending => State::Flows,
                    Poll::Ready(Some(Ok(_))) => State::Stuck(Instant::now()),
                    Poll::Ready(_) => State::Over,
                });
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client { body, .. } => body.size_hint(),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Self::Client { progress, .. } = self {
            progress.set(State::Over);
        }
    }
}

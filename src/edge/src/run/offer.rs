//! What an order can set going, seen from the stream. Behind traits, so that tests of the stream say themselves when a
//! call ends.

use std::time::Duration;

use aegis_kinds::policy::Grant;
use futures::{FutureExt, future::BoxFuture};

use crate::{
    capabilities::Host,
    config::EdgeConfig,
    state::StateDir,
    tools::{Call, Prepared, Refused, Running, Sink, ToolResult},
};

/// What this host offers.
pub(super) trait Offer: Send {
    /// Checks a call; nothing of it has begun.
    fn prepare(&self, call: Call, grants: &[Grant]) -> Result<Box<dyn Ready>, Refused>;
    /// The config was read again.
    fn reload(&mut self, config: &EdgeConfig, host: &Host, state: &StateDir);
}

/// A call that passed every check.
pub(super) trait Ready: Send {
    /// Begins it. It has so much time from now.
    fn start(self: Box<Self>, time: Duration, sink: Sink) -> Started;
}

/// A call under way. When `end` is dropped, so is the call.
pub(super) struct Started {
    pub reins: Box<dyn Reins>,
    pub end: BoxFuture<'static, ToolResult>,
}

/// What can be told to a call under way.
pub(super) trait Reins: Send {
    /// End, with everything that was begun.
    fn cancel(&self);
    /// So many more bytes of output may be sent.
    fn credit(&self, bytes: u32);
}

impl Ready for Prepared {
    fn start(self: Box<Self>, time: Duration, sink: Sink) -> Started {
        let mut running: Running = self.within(time).start(sink);
        let reins = Box::new(running.handle());
        Started { reins, end: async move { running.result().await }.boxed() }
    }
}

impl Reins for crate::tools::Handle {
    fn cancel(&self) {
        self.cancel();
    }
    fn credit(&self, bytes: u32) {
        self.credit(bytes);
    }
}

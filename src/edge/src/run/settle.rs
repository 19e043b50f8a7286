//! A rotation that was cut off is finished before the next stream is opened.

use std::sync::Arc;

use aegis_wire::{ApiError, Code};
use futures::{FutureExt, future::BoxFuture};

use super::{Identity, RunDeps, RunError, daemon::Running};
use crate::{
    capabilities::Host,
    clock::Clock,
    config::EdgeConfig,
    enroll::DialerFor,
    rotate::{self, RotateDeps, RotateError, Settled},
    state::StateDir,
};

/// What it takes, apart from the daemon's own life.
struct Settling {
    state: StateDir,
    config: EdgeConfig,
    clock: Arc<dyn Clock>,
    dialer: Arc<DialerFor>,
    host: Host,
}

impl Settling {
    fn new(state: &StateDir, config: &EdgeConfig, deps: &RunDeps) -> Self {
        Self {
            state: state.clone(),
            config: config.clone(),
            clock: Arc::clone(&deps.clock),
            dialer: Arc::clone(&deps.dialer),
            host: (deps.host)(),
        }
    }

    async fn settle(self) -> Result<(), RotateError> {
        let deps =
            RotateDeps { clock: &*self.clock, dialer: &*self.dialer, host: &self.host, passed: &|_| {} };
        match rotate::settle(deps, &self.state, &self.config).await? {
            Settled::Clean => {}
            Settled::Finished(_) => tracing::info!("a rotation that was cut off is finished"),
            Settled::Refreshed(_) => tracing::info!("the token was another key's; there is one for this key"),
        }
        Ok(())
    }
}

/// Before the daemon reads its files: removes old keys whose time is over, and makes key and token fit if they don't.
/// That it fails isn't fatal here: if the files can't be used, who reads them says so.
pub(super) fn at_start(
    state: &StateDir,
    config: &EdgeConfig,
    deps: &RunDeps,
) -> impl Future<Output = ()> + Send + use<> {
    if let Err(error) = rotate::prune(state, deps.clock.now_ms()) {
        tracing::warn!("{error}; old keys may be kept for too long");
    }
    let fits = !matches!(Identity::load(state), Err(RunError::Foreign));
    let settling = (!fits).then(|| Settling::new(state, config, deps));
    async move {
        if let Some(settling) = settling
            && let Err(error) = settling.settle().await
        {
            tracing::warn!(%error, "a rotation isn't finished");
        }
    }
}

impl Running {
    /// What is to be done before the next dial, if a rotation was cut off: until then nobody here knows which of the
    /// keys is good.
    pub(super) fn settling(&self) -> Option<BoxFuture<'static, Result<(), ApiError>>> {
        if self.is_settled() {
            return None;
        }
        let settling = Settling::new(&self.options.state, &self.config, &self.deps);
        let said = |error: RotateError| match error.said() {
            Some(said) => said.clone(),
            None => ApiError::new(Code::Internal, error.to_string()),
        };
        Some(async move { settling.settle().await.map_err(said) }.boxed())
    }

    /// Whether key and token are the host's for good; as long as they aren't, a refusal means nothing. Files that can't be
    /// used are as good as settled: with the key that was read at the start it may still go on.
    pub(super) fn is_settled(&self) -> bool {
        rotate::is_settled(&self.options.state).unwrap_or(true)
    }
}

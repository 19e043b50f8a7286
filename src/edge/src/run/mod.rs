//! `aegis edge run`: the daemon.
//!
//! `aegis_core::session::Daemon` decides when to dial, what to send and when to end; this module does it. Everything
//! runs on one thread, and the only thing that wakes an idle daemon is its heartbeat.

mod assignment;
mod commands;
mod contexts;
mod daemon;
mod error;
mod footprint;
mod identity;
mod invoke;
mod link;
mod offer;
mod orders;
mod own_key;
mod reattest;
mod reload;
mod reporter;
mod results;
mod seen;
mod session;
mod settle;
mod signals;
mod stream;
mod watch;
mod work;

use std::sync::Arc;

use tokio::sync::mpsc;

use own_key::{HostOffer, OwnKey};

pub use assignment::{LocalRuntime, all_failed};
pub use error::RunError;
pub use identity::Identity;
pub use link::{Connection, GrpcTransport, Incoming, Transport};
pub use reattest::Reattestation;
pub use signals::{Control, signals};

use crate::{
    capabilities::Host,
    clock::{Clock, Random},
    config::{self, EdgeConfig},
    enroll::DialerFor,
    state::{DaemonLock, StateDir, enforce_modes},
};

/// What to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Where the daemon's files are.
    pub state: StateDir,
    /// Whether changes of the config file are noticed at once; without it, only when [`Control::Reload`] comes.
    pub watch: bool,
}

/// What the daemon needs from outside.
pub struct RunDeps {
    /// The wall clock; monotonic time is tokio's.
    pub clock: Arc<dyn Clock>,
    /// Stream ids and the spread of reconnects.
    pub random: Arc<dyn Random>,
    /// The way to the controller: see [`crate::proxy::dialer_for`].
    pub dialer: Arc<DialerFor>,
    /// What this machine is; asked again at every reload.
    pub host: Box<dyn Fn() -> Host + Send>,
    /// What gives this host the apps, kits and secrets that the controller assigns to it; without it each is reported as
    /// failed.
    pub runtime: Option<Arc<dyn LocalRuntime>>,
    /// What the host wants of the daemon: see [`signals`].
    pub control: mpsc::Receiver<Control>,
}

/// Runs the daemon until it is told to end (`Ok`) or can't go on.
pub async fn run(options: RunOptions, deps: RunDeps) -> Result<(), RunError> {
    let (config, _lock) = prepare(&options.state)?;
    let endpoint = config.endpoint.clone().ok_or(RunError::Incomplete("endpoint"))?;
    let pin = match (config.plaintext, config.ca_fingerprint) {
        (true, _) => {
            tracing::warn!(%endpoint, "the stream isn't encrypted: the config says plaintext");
            None
        }
        (false, Some(pin)) => Some(pin),
        (false, None) => return Err(RunError::Incomplete("caFingerprint")),
    };
    let transport = GrpcTransport { dialer: (deps.dialer)(&endpoint)?, endpoint, pin };
    settle::at_start(&options.state, &config, &deps).await;
    let key = OwnKey {
        state: options.state.clone(),
        config: config.clone(),
        host: (deps.host)(),
        clock: Arc::clone(&deps.clock),
        dialer: Arc::clone(&deps.dialer),
    };
    let offer = Box::new(HostOffer::new(key));
    daemon::run(options, deps, config, Arc::new(transport), offer).await
}

/// Takes the lock, repairs modes, reads the config.
fn prepare(state: &StateDir) -> Result<(EdgeConfig, DaemonLock), RunError> {
    let config = config::load(state.config())?;
    let lock = DaemonLock::take(state)?;
    for fix in enforce_modes(state)? {
        tracing::warn!("{fix}; repaired");
    }
    Ok((config, lock))
}

#[cfg(test)]
mod ending_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_offer;
#[cfg(test)]
mod fake_orders;
#[cfg(test)]
mod identity_tests;
#[cfg(test)]
mod orders_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod work_tests;

//! What the host's owner changes while the daemon runs: the config, and the host's key and token.

use std::{fs, time::Duration};

use aegis_core::session::Input;
use aegis_wire::edge::Event;
use tokio::time::Instant;

use super::{Identity, daemon::Running, link::Link, stream::CLOSE_WITHIN};
use crate::{
    capabilities::capabilities,
    config::{self, EdgeConfig},
};

/// The old key is good for 60 s on the stream that is open. Half of it is for commands that are under way.
const CHANGE_WITHIN: Duration = Duration::from_secs(30);

impl Running {
    /// Reads the config again. One that can't be used is logged, and the old one stays in force.
    pub(super) fn reload(&mut self) -> Option<Input> {
        self.look_at_identity();
        let config = match config::load(self.options.state.config()) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!("{error}; the config that was read before stays in force");
                return None;
            }
        };
        let fixed = |config: &EdgeConfig| {
            (config.endpoint.clone(), config.ca_fingerprint, config.plaintext, config.log)
        };
        if fixed(&config) != fixed(&self.config) {
            tracing::warn!(
                "endpoint, caFingerprint, plaintext and log take effect when the daemon is restarted"
            );
        }
        let host = (self.deps.host)();
        let capabilities = capabilities(&config, &host);
        self.offer.reload(&config, &host, &self.options.state);
        self.work.set_limit(config.concurrent_tools());
        self.assignment.take(config.takes_apps());
        self.config = config;
        if capabilities == self.capabilities {
            return None;
        }
        tracing::info!("the capabilities have changed");
        self.capabilities = capabilities.clone();
        self.send(Event::CapabilityUpdate(capabilities))
    }

    /// Whether somebody has given the host another key or token. Its files are replaced one after the other; as long as
    /// they don't belong together it is too early.
    pub(super) fn look_at_identity(&mut self) {
        let known = self.next_identity.as_ref().map_or(&self.identity, |(next, _)| next);
        let token = fs::read_to_string(self.options.state.node_token()).unwrap_or_default();
        if token.trim() == known.token {
            return;
        }
        let found = match Identity::load(&self.options.state) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "key and token are being replaced");
                return;
            }
        };
        if !found.is_of(&self.identity) {
            tracing::warn!("this host was enrolled anew; restart the daemon");
        } else if found.token != self.identity.token {
            tracing::info!("this host has another key or token; the stream is opened anew with it");
            self.next_identity = Some((found, Instant::now()));
        }
    }

    /// When the stream is opened anew with the key and token that the host has by now: when nothing is under way, or
    /// soon.
    pub(super) fn change_due(&self) -> Option<Instant> {
        let (_, noticed) = self.next_identity.as_ref()?;
        let idle = self.work.in_flight() == 0 && self.outbox.is_empty();
        Some(if idle || self.session.is_none() { *noticed } else { *noticed + CHANGE_WITHIN })
    }

    /// Takes over the key and token that the host has by now. What was sent under the old ones still arrives.
    pub(super) fn change_identity(&mut self) -> Option<Input> {
        self.identity = self.next_identity.take()?.0;
        self.renewal_asked = None;
        self.token_ended = false;
        if self.session.is_some()
            && let Some(link) = self.let_go()
        {
            self.closing = Some(tokio::spawn(async move {
                let _ = tokio::time::timeout(CLOSE_WITHIN, link.close()).await;
            }));
        }
        Some(Input::Redial)
    }

    /// Begins to connect, as whoever the host is by now.
    pub(super) fn dial(&mut self) {
        self.look_at_identity();
        self.change_identity();
        let (closing, settling) = (self.closing.take(), self.settling());
        // Settling gives a token, too.
        let reattestation = if settling.is_none() { self.reattestation() } else { None };
        let before = async move {
            // The controller drops what it hasn't read of a stream when it hears of the next one.
            if let Some(closing) = closing {
                let _ = closing.await;
            }
            match settling {
                Some(settling) => settling.await,
                None => Ok(()),
            }
        };
        self.link = Some(Link::dial(&self.transport, before, reattestation));
    }
}

//! What went through a guest's network: whether it is in use, and for the logs.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use super::policy::Rule;

/// Counts since the guest's network began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Packets that the guest sent, of those protocols that are let out.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Packets that it was sent.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Connections and datagrams that policy refused.
    pub refused: u64,
    /// What there was no room for, and what is no packet that could be let out.
    pub dropped: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub struct Counters {
    packets_out: AtomicU64,
    bytes_out: AtomicU64,
    packets_in: AtomicU64,
    bytes_in: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    pub fn came(&self, bytes: usize) {
        self.packets_out.fetch_add(1, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn went(&self, bytes: usize) {
        self.packets_in.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn refused(&self, to: SocketAddr, rule: Rule) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%to, ?rule, "a guest may not go there");
    }

    pub fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> Activity {
        let [packets_out, bytes_out, packets_in, bytes_in, refused, dropped] = [
            &self.packets_out,
            &self.bytes_out,
            &self.packets_in,
            &self.bytes_in,
            &self.refused,
            &self.dropped,
        ]
        .map(|counter| counter.load(Ordering::Relaxed));
        Activity { packets_out, bytes_out, packets_in, bytes_in, refused, dropped }
    }
}

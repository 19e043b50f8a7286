//! What all parts of a running controller share.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use aegis_core::{NodeId, TenantId};
use aegis_store::{Batch, Bus, CommitError, Store, StoreError};
use aegis_wire::{CaFingerprint, Endpoint, ServerKey, ServerSigningKey};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    assignments::{Assignments, Secrets},
    audit::{self, Event, Outcome},
    clock::Clock,
    comings::Comings,
    config::EnrollmentLimits,
    contexts::Contexts,
    keyspace,
    live::{Live, Presence},
    lock,
    nodes::{json, read},
    nonces::Nonces,
    rate::RateLimiter,
    rollouts::Rollouts,
    runs::{Runs, Ticket},
    verifier::Verifier,
};

/// How long the id of a stream is remembered: longer than an envelope may be off in time, to both sides.
const REMEMBER_STREAMS: Duration = Duration::from_secs(90);
/// How many refusals of a tenant go into the audit log, and of strangers: they must not be able to fill the disk.
const REFUSALS: EnrollmentLimits = EnrollmentLimits { rate_per_second: 20, burst: 1000 };
/// How many of one subject do: it must not be able to keep those of others out.
const REFUSALS_OF_ONE: EnrollmentLimits = EnrollmentLimits { rate_per_second: 5, burst: 200 };
/// How often a node may say something new of itself: every so many seconds, and so often at once.
const CHANGE_EVERY: u32 = 10;
const CHANGES: u32 = 5;
/// Of how many nodes that is remembered.
const NODES: usize = 100_000;

/// Said to a node's stream by another part of the controller. Small, because every stream has a queue of them.
#[derive(Debug)]
pub(crate) enum Order {
    /// What is declared about the node may have changed: read it again.
    Refresh,
    /// Look at the time: the node was silent for long.
    Tick,
    /// The controller stops.
    Stopping,
    /// Tell the daemon to end, for this reason.
    Shutdown(Box<str>),
    /// Send it a command.
    Invoke(Ticket),
}

/// Where and how a controller works: what [`Controller`] is made of.
pub(crate) struct Parts {
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus<Order>>,
    pub clock: Arc<dyn Clock>,
    pub signing: ServerSigningKey,
    pub ca: CaFingerprint,
    pub public_endpoint: Option<Endpoint>,
    pub limits: EnrollmentLimits,
    pub data_dir: PathBuf,
    pub secrets: Secrets,
}

/// A running controller.
pub(crate) struct Controller {
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus<Order>>,
    pub clock: Arc<dyn Clock>,
    pub signing: ServerSigningKey,
    /// The keys that tokens may be signed with.
    pub keys: Vec<ServerKey>,
    /// What its envelopes give as sender.
    pub sender: String,
    pub ca: CaFingerprint,
    /// How daemons reach it, if they can.
    pub public_endpoint: Option<Endpoint>,
    pub live: Live,
    pub nonces: Nonces,
    pub enrollments: RateLimiter,
    pub verifier: Verifier,
    pub contexts: Contexts,
    pub assignments: Assignments,
    pub secrets: Secrets,
    pub runs: Runs,
    pub rollouts: Rollouts,
    pub data_dir: PathBuf,
    /// Whose turn it is to have the schemas of its tools compiled.
    pub schemas: Arc<Semaphore>,
    /// How often nodes say something new of themselves.
    pub changes: RateLimiter<NodeId>,
    comings: Comings,
    /// By tenant; empty: strangers.
    refusals: RateLimiter<String>,
    /// By tenant and subject.
    refusals_of_one: RateLimiter<(String, String)>,
    /// Streams that were opened a moment ago, so that a recorded Hello opens no second one.
    recent_streams: Mutex<HashMap<(NodeId, String), Instant>>,
    started: Instant,
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").field("key", &self.signing.key_id()).finish_non_exhaustive()
    }
}

/// A tenant, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tenant {
    pub created_at_ms: i64,
}

impl Controller {
    /// Puts the parts together and reads what a restart needs. Call it inside of a runtime.
    pub fn new(parts: Parts) -> Result<Self, StoreError> {
        let now_ms = parts.clock.now_ms();
        let mut stored = Vec::new();
        for entry in parts.store.list(keyspace::LIVES)? {
            let id = NodeId::new(&entry.key[keyspace::LIVES.len()..])
                .map_err(|error| StoreError::Engine(format!("'{}': {error}", entry.key)))?;
            stored.push((id, read::<Presence>(&entry.key, &entry.value)?));
        }
        Ok(Self {
            store: parts.store,
            bus: parts.bus,
            clock: parts.clock,
            keys: vec![parts.signing.public()],
            sender: parts.signing.public().sender(),
            signing: parts.signing,
            ca: parts.ca,
            public_endpoint: parts.public_endpoint,
            live: Live::restore(stored, now_ms),
            nonces: Nonces::default(),
            enrollments: RateLimiter::new(parts.limits),
            verifier: Verifier::start(),
            contexts: Contexts::default(),
            assignments: Assignments::default(),
            secrets: parts.secrets,
            runs: Runs::default(),
            rollouts: Rollouts::default(),
            data_dir: parts.data_dir,
            schemas: Arc::new(Semaphore::new(1)),
            changes: RateLimiter::every(CHANGE_EVERY, CHANGES, NODES),
            comings: Comings::default(),
            refusals: RateLimiter::new(REFUSALS),
            refusals_of_one: RateLimiter::new(REFUSALS_OF_ONE),
            recent_streams: Mutex::default(),
            started: Instant::now(),
        })
    }

    /// Monotonic time, since the start.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether this stream of the node is new. One that was seen a moment ago is a replay.
    pub fn is_new_stream(&self, node: &NodeId, stream: &str) -> bool {
        let now = Instant::now();
        lock(&self.recent_streams).insert((node.clone(), stream.to_owned()), now).is_none()
    }

    /// Forgets streams whose envelopes are too old by now to be replayed.
    pub fn forget_old_streams(&self) {
        let now = Instant::now();
        lock(&self.recent_streams).retain(|_, seen| now.saturating_duration_since(*seen) < REMEMBER_STREAMS);
    }

    /// Makes the tenant if it isn't there. False: it was.
    pub async fn create_tenant(&self, tenant: &TenantId, by: &str) -> Result<bool, StoreError> {
        let key = keyspace::tenant(tenant);
        let mut batch = Batch::new();
        batch.check(&key, aegis_store::Revision(0));
        batch.put(&key, json(&Tenant { created_at_ms: self.clock.now_ms() }));
        self.audit(&mut batch, self.event(by, tenant.as_str(), "tenant.create", tenant.as_str(), ""));
        match self.store.commit(batch).await {
            Ok(_) => Ok(true),
            Err(CommitError::Stale { .. }) => Ok(false),
            Err(CommitError::Store(error)) => Err(error),
        }
    }

    pub fn tenant(&self, tenant: &TenantId) -> Result<Option<Tenant>, StoreError> {
        let key = keyspace::tenant(tenant);
        self.store.get(&key)?.map(|entry| read(&key, &entry.value)).transpose()
    }

    /// Something that went well, now.
    pub fn event(&self, subject: &str, tenant: &str, action: &str, object: &str, detail: &str) -> Event {
        Event {
            time_ms: self.clock.now_ms(),
            subject: subject.to_owned(),
            tenant: tenant.to_owned(),
            action: action.to_owned(),
            object: object.to_owned(),
            outcome: Outcome::Ok,
            detail: detail.to_owned(),
        }
        .bounded()
    }

    /// Records `event` in the same commit as what it is about.
    #[allow(clippy::unused_self, reason = "reads as what the controller does")]
    pub fn audit(&self, batch: &mut Batch, event: Event) {
        batch.append(keyspace::AUDIT, move |sequence, previous| audit::record(&event, sequence, previous));
    }

    /// Records `event` soon, together with others; nobody waits for the disk.
    pub fn audit_soon(&self, event: Event) {
        let mut batch = Batch { lazy: true, quiet: true, ..Batch::default() };
        self.audit(&mut batch, event);
        self.store.commit(batch).detach();
    }

    /// Records that the node came or went. Of one that does so all the time not each, but how many weren't recorded.
    pub fn audit_coming(&self, batch: &mut Batch, node: &NodeId, event: Event) {
        if let Some(left_out) = self.comings.admit(node, &event.tenant, Instant::now()) {
            if left_out > 0 {
                self.audit(batch, self.left_out(node, &event.tenant, left_out));
            }
            self.audit(batch, event);
        }
    }

    /// Records how many comings and goings weren't recorded, of nodes that have come to rest.
    pub fn audit_left_out(&self) {
        for (node, tenant, left_out) in self.comings.rested(Instant::now()) {
            self.audit_soon(self.left_out(&node, &tenant, left_out));
        }
    }

    fn left_out(&self, node: &NodeId, tenant: &str, count: u64) -> Event {
        let detail = format!("connects and disconnects that were left out before this: {count}");
        self.event("controller", tenant, "left_out", node.as_str(), &detail)
    }

    /// Records that somebody was refused. In a flood of refusals, not each.
    pub fn audit_refusal(&self, event: Event) {
        tracing::info!(
            subject = event.subject,
            action = event.action,
            object = event.object,
            reason = event.detail,
            "refused"
        );
        let (now, tenant, subject) = (Instant::now(), event.tenant.clone(), event.subject.clone());
        // Strangers have no subject to tell them apart by.
        let is_one_too_many =
            !subject.is_empty() && !self.refusals_of_one.take((tenant.clone(), subject), now);
        if !is_one_too_many && self.refusals.take(tenant, now) {
            self.audit_soon(Event { outcome: Outcome::Refused, ..event });
        }
    }
}

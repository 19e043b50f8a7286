//! A rollout's task: one step after the other. Each step looks at everything anew.

use std::{sync::Arc, time::Duration};

use aegis_core::{
    NodeId,
    fleet::{Input, TargetOutcome},
};
use aegis_store::Batch;
use aegis_wire::{ApiError, Code, operator::RolloutPhase};
use tokio::time::{Instant, timeout};

use super::{
    Place, Shared, Task,
    record::{Current, Header, Host, Record, Work},
    rows::{self, Declared},
};
use crate::{
    failed, lock,
    operator::members,
    runs::{self, RunHandle, Runs},
    state::Controller,
};

/// How long hosts have time to come back after the controller's restart, before the rollout goes on without them.
const COMING_BACK: Duration = Duration::from_mins(2);
/// After a failure that isn't the rollout's.
pub(super) const RETRY: Duration = Duration::from_secs(5);

/// One rollout and its task.
pub(super) struct Driver {
    pub controller: Arc<Controller>,
    pub place: Place,
    pub changed: Arc<tokio::sync::Notify>,
    pub record: Shared,
    /// Since when hosts have time to come back; none: it was begun by this process.
    resumed: Option<Instant>,
}

/// What comes after a step.
pub(super) enum Next {
    Again,
    /// Until something changes, or for so long.
    Wait(Option<Duration>),
    /// There is no such rollout any more.
    Gone,
}

impl Driver {
    pub fn new(controller: Arc<Controller>, place: Place, task: Task) -> Self {
        let Task { changed, record } = task;
        let was_begun = lock(&record).as_ref().is_some_and(|record| record.header.started_at_ms != 0);
        let resumed = was_begun.then(Instant::now);
        Self { controller, place, changed, record, resumed }
    }

    /// Goes on until the rollout isn't declared any more.
    pub async fn drive(mut self) -> Place {
        loop {
            let next = self.step().await.unwrap_or_else(|error| {
                tracing::error!(rollout = self.place.name, %error, "a rollout can't go on; it is tried again");
                Next::Wait(Some(RETRY))
            });
            match next {
                Next::Again => {}
                Next::Wait(None) => self.changed.notified().await,
                Next::Wait(Some(patience)) => {
                    // Either way it looks again.
                    let _ = timeout(patience, self.changed.notified()).await;
                }
                Next::Gone => return self.place,
            }
        }
    }

    /// The next step, whatever it is.
    async fn step(&mut self) -> Result<Next, ApiError> {
        // Hosts that are away from now on are away because of that: whoever begins anew goes on with them.
        if self.controller.runs.is_stopping() {
            return Ok(Next::Wait(None));
        }
        let store = self.controller.store.clone();
        let Some(declared) = rows::declared(&*store, &self.place).map_err(failed)? else {
            if let Some(handle) = self.under_way() {
                handle.cancel(&self.place.subject()).await;
            }
            return self.forget().await;
        };
        let known = self.with(|record| record.header.clone()).filter(|known| known.digest == declared.digest);
        let Some(header) = known else {
            // One that nobody follows since that failed ends before another begins.
            if let Some(handle) = self.under_way() {
                handle.steer(Input::Halt("another spec took its place".to_owned()));
                return Ok(Next::Wait(Some(RETRY)));
            }
            self.begin_anew(&declared).await?;
            return Ok(Next::Again);
        };
        if let Some(current) = header.current {
            return self.settle(&declared, current).await;
        }
        if self.read(|record| record.is_over(declared.spec.catch_up)) {
            return Ok(Next::Wait(None));
        }
        let steering = rows::steering(&*store, &self.place).map_err(failed)?;
        if let Some(by) = steering.aborted_by(header.generation) {
            self.finish(RolloutPhase::Aborted, format!("aborted by {by}")).await?;
            return Ok(Next::Again);
        }
        if steering.paused_by.is_some() {
            return Ok(Next::Wait(None));
        }
        if let Some(reason) = header.rolling_back.clone() {
            return self.roll_back(&declared, &reason).await;
        }
        if declared.spec.health_check.is_some() {
            let unchecked = self.read(Record::unchecked);
            if !unchecked.is_empty() {
                return self.check_late(&declared, &unchecked).await;
            }
        }
        match (header.started_at_ms, header.is_done) {
            (0, _) => self.begin(&declared).await,
            (_, false) => self.deploy(&declared, &header).await,
            (_, true) => self.catch_up(&declared, &header).await,
        }
    }

    /// Nothing is known of this spec: it begins from nothing, and is owned before anything is done.
    async fn begin_anew(&mut self, declared: &Declared) -> Result<(), ApiError> {
        *lock(&self.record) = Some(Record::new(declared.revision, declared.digest.clone()));
        self.resumed = None;
        self.audit_and_save("rollout.declared", &declared.spec.target.to_string()).await
    }

    /// Chooses the hosts, once enough are there.
    async fn begin(&mut self, declared: &Declared) -> Result<Next, ApiError> {
        let spec = &declared.spec;
        let found = match members(&self.controller, &self.place.tenant, &spec.target) {
            Ok(found) => found,
            Err(error) if error.code == Code::Internal => return Err(error),
            // A group or host that isn't there may come.
            Err(error) => return self.wait(error.message, None).await,
        };
        let (there, needed) = (found.nodes.len(), spec.strategy.require_min.unwrap_or(1) as usize);
        if there < needed {
            let message = format!("connected hosts of '{}': {there}, needed: {needed}", spec.target);
            return self.wait(message, None).await;
        }
        let waves = spec.strategy(aegis_kinds::tool::ToolClass::StateMutating).mode;
        let started_at_ms = self.controller.clock.now_ms();
        let count = u32::try_from(there).map_err(failed)?;
        self.with(|record| {
            record.header.started_at_ms = started_at_ms;
            record.header.phase = RolloutPhase::Running;
            record.header.message.clear();
            // A share is one of the hosts of the begin, whatever happens in between.
            record.header.batch = match waves {
                aegis_core::fleet::Mode::Rolling(size) => size.of(count),
                _ => count,
            };
            record.header.skipped = found.skipped.len() as u64;
            record.hosts = found.nodes.into_iter().map(|node| (node.node_id, Host::new(node.name))).collect();
        });
        let skipped = found.skipped.len();
        let detail = format!("{there} hosts of '{}', {skipped} skipped", spec.target);
        self.audit_and_save("rollout.begin", &detail).await?;
        Ok(Next::Again)
    }

    /// Gives those hosts the call that haven't had their turn.
    async fn deploy(&mut self, declared: &Declared, header: &Header) -> Result<Next, ApiError> {
        let pending = self.read(Record::pending);
        if pending.is_empty() {
            return self.finish_turns(declared.spec.catch_up).await;
        }
        let (there, away) = self.split(&pending);
        if !away.is_empty() {
            if let Some(next) = self.wait_for_return(away.len(), pending.len()).await? {
                return Ok(next);
            }
            self.with(|record| {
                for node in &away {
                    if let Some(host) = record.hosts.get_mut(node) {
                        host.outcome = Some(TargetOutcome::NotStarted);
                    }
                }
            });
            self.save(true).await?;
        }
        if there.is_empty() {
            return Ok(Next::Again);
        }
        self.run(declared, Work::Deploy, header.wave, &there).await
    }

    /// Gives those the call that weren't there before, or whose call got lost.
    async fn catch_up(&mut self, declared: &Declared, header: &Header) -> Result<Next, ApiError> {
        let found = match members(&self.controller, &self.place.tenant, &declared.spec.target) {
            Ok(found) => found.nodes,
            Err(error) if error.code == Code::Internal => return Err(error),
            Err(_) => Vec::new(),
        };
        let joined: Vec<_> = found
            .into_iter()
            .filter(|node| {
                self.read(|record| record.hosts.get(&node.node_id).is_none_or(Host::wants_another))
            })
            .collect();
        if joined.is_empty() {
            if header.phase.is_over() {
                return Ok(Next::Wait(None));
            }
            return self.finish_turns(declared.spec.catch_up).await;
        }
        let nodes: Vec<NodeId> = joined.iter().map(|node| node.node_id.clone()).collect();
        self.with(|record| {
            for node in joined {
                record.hosts.entry(node.node_id).or_insert_with(|| Host::new(node.name)).outcome = None;
            }
        });
        self.run(declared, Work::CatchUp, header.wave, &nodes).await
    }

    /// Looks at hosts that did what was asked shortly before the controller ended, or that were caught up with.
    async fn check_late(&mut self, declared: &Declared, nodes: &[NodeId]) -> Result<Next, ApiError> {
        let (_, away) = self.split(nodes);
        if !away.is_empty()
            && let Some(next) = self.wait_for_return(away.len(), nodes.len()).await?
        {
            return Ok(next);
        }
        match self.check(declared, nodes).await? {
            None => Ok(Next::Again),
            Some(health) => self.take_health(declared, health).await,
        }
    }

    async fn roll_back(&mut self, declared: &Declared, reason: &str) -> Result<Next, ApiError> {
        let nodes = self.read(Record::to_take_back);
        if nodes.is_empty() {
            return self.finish_rollback(reason).await;
        }
        let (_, away) = self.split(&nodes);
        if !away.is_empty()
            && let Some(next) = self.wait_for_return(away.len(), nodes.len()).await?
        {
            return Ok(next);
        }
        let base = self.read(|record| record.header.wave);
        self.run(declared, Work::Rollback, base, &nodes).await
    }

    /// The object is gone: so is all that was known of it.
    async fn forget(&mut self) -> Result<Next, ApiError> {
        let mut batch = Batch::new();
        rows::forget(&mut batch, &self.place);
        self.controller.store.commit(batch).await.map_err(failed)?;
        *lock(&self.record) = None;
        Ok(Next::Gone)
    }

    /// A run was under way when following it failed, and goes on: it may wait for a word. Or the controller ended: what
    /// became of the run is in its rows.
    async fn settle(&mut self, declared: &Declared, current: Current) -> Result<Next, ApiError> {
        if let Some(handle) = self.under_way() {
            return self.go_along(declared, &handle, current).await;
        }
        match self.read_again(&current).await? {
            Some(fold) => self.ended(declared, fold, None).await,
            None => Ok(Next::Wait(Some(RETRY))),
        }
    }

    /// The current run, if it was begun here and isn't over.
    fn under_way(&self) -> Option<RunHandle> {
        let current = self.with(|record| record.header.current.clone()).flatten()?;
        Runs::under_way(&self.controller, &runs::Place { tenant: self.place.tenant.clone(), id: current.run })
    }

    /// After a restart hosts have some time to come back. None: they had it.
    async fn wait_for_return(&mut self, away: usize, all: usize) -> Result<Option<Next>, ApiError> {
        let left = self.resumed.and_then(|since| COMING_BACK.checked_sub(since.elapsed()));
        let Some(left) = left.filter(|left| !left.is_zero()) else { return Ok(None) };
        let message = format!("the controller began anew; hosts that aren't back: {away} of {all}");
        self.wait(message, Some(left)).await.map(Some)
    }

    /// Says why nothing happens.
    pub(super) async fn wait(
        &mut self,
        message: String,
        patience: Option<Duration>,
    ) -> Result<Next, ApiError> {
        let is_news = self.read(|record| {
            let header = &record.header;
            header.phase != RolloutPhase::Waiting || header.message != message
        });
        if is_news {
            self.with(|record| {
                record.header.phase = RolloutPhase::Waiting;
                record.header.message = message;
            });
            self.save(false).await?;
        }
        Ok(Next::Wait(patience))
    }

    /// Those that are connected, and those that aren't.
    fn split(&self, nodes: &[NodeId]) -> (Vec<NodeId>, Vec<NodeId>) {
        let now = self.controller.uptime();
        nodes.iter().cloned().partition(|node| self.controller.live.get(node, now).connected)
    }

    /// Does something to what is known; none: nothing is.
    pub fn with<T>(&self, change: impl FnOnce(&mut Record) -> T) -> Option<T> {
        lock(&self.record).as_mut().map(change)
    }

    /// Reads what is known.
    pub fn read<T: Default>(&self, look: impl FnOnce(&Record) -> T) -> T {
        lock(&self.record).as_ref().map(look).unwrap_or_default()
    }

    /// Which of its specs this is about.
    pub fn generation(&self) -> u64 {
        self.read(|record| record.header.generation)
    }

    /// Writes down where it is, and with `hosts` each host. When this returns it is on the disk.
    pub async fn save(&self, hosts: bool) -> Result<(), ApiError> {
        self.write(Batch { quiet: true, ..Batch::default() }, hosts).await
    }

    /// As [`Self::save`], with every host and a line in the audit log.
    pub async fn audit_and_save(&self, action: &str, detail: &str) -> Result<(), ApiError> {
        let mut batch = Batch { quiet: true, ..Batch::default() };
        let (tenant, object) = (self.place.tenant.as_str(), self.place.object().to_string());
        let event = self.controller.event(&self.place.subject(), tenant, action, &object, detail);
        self.controller.audit(&mut batch, event);
        self.write(batch, true).await
    }

    async fn write(&self, mut batch: Batch, hosts: bool) -> Result<(), ApiError> {
        self.with(|record| rows::put(&mut batch, &self.place, record, hosts));
        self.controller.store.commit(batch).await.map_err(failed)?;
        Ok(())
    }
}

//! What the end of a run means for its rollout, and how a rollout ends.

use aegis_core::{
    NodeId,
    fleet::{RunState, TargetOutcome},
};
use aegis_wire::{ApiError, Code, operator::RolloutPhase};

use super::{
    driver::{Driver, Next, RETRY},
    fold::Fold,
    follow::Health,
    record::{Current, Record, Work},
    rows::{self, Declared},
};
use crate::failed;

impl Driver {
    /// A run has ended; its last wave isn't well if there is a complaint.
    pub(super) async fn ended(
        &mut self,
        declared: &Declared,
        fold: Fold,
        complaint: Option<String>,
    ) -> Result<Next, ApiError> {
        let state = fold.finished.as_ref().map(|run| run.state);
        self.with(|record| record.header.current = None);
        let store = &*self.controller.store;
        let now = rows::declared(store, &self.place).map_err(failed)?;
        let steering = rows::steering(store, &self.place).map_err(failed)?;
        let is_meant = now.is_some_and(|now| now.digest == declared.digest)
            && steering.aborted_by(self.generation()).is_none();
        match (fold.current.work, state) {
            (Work::Deploy | Work::CatchUp, Some(RunState::Interrupted)) => {
                self.with(Record::give_turns_back);
            }
            // What is meant by now is looked at anew.
            _ if !is_meant => {}
            (Work::Deploy, _) if complaint.is_some() || fold.halted.is_some() => {
                let reason = match (complaint, &fold.halted, fold.complaint()) {
                    (Some(complaint), _, _) => complaint,
                    (None, Some(halted), Some(how)) => format!("{halted}: {how}"),
                    (None, halted, _) => halted.clone().unwrap_or_default(),
                };
                return self.halted(declared, reason).await;
            }
            (_, Some(RunState::Cancelled)) => {
                let how = fold.finished.map(|run| run.reason).unwrap_or_default();
                return self
                    .finish(RolloutPhase::Aborted, format!("its run {} was {how}", fold.current.run))
                    .await;
            }
            _ => {}
        }
        self.save(true).await?;
        Ok(Next::Again)
    }

    /// The run on these hosts didn't even begin.
    pub(super) async fn refused(
        &mut self,
        current: &Current,
        nodes: &[NodeId],
        error: ApiError,
    ) -> Result<Next, ApiError> {
        self.with(|record| record.forget_run(&current.run));
        self.save(true).await?;
        match (error.code, current.work) {
            (Code::Internal | Code::Unavailable, _) => Err(error),
            // Others' runs end sooner or later.
            (Code::Exhausted, _) => self.wait(error.message, Some(RETRY)).await,
            (_, Work::Rollback) => {
                let reason = self.read(|record| record.header.rolling_back.clone()).unwrap_or_default();
                let message = format!("{reason}; it can't be taken back: {}", error.message);
                self.finish(RolloutPhase::Halted, message).await
            }
            (_, Work::CatchUp) => {
                // What those that joined late can't do ends nothing for the others, nor for those still to come.
                self.with(|record| {
                    for node in nodes {
                        if let Some(host) = record.hosts.get_mut(node) {
                            host.outcome = Some(TargetOutcome::Error);
                            host.refused = Some(error.message.clone());
                        }
                    }
                });
                self.save(true).await?;
                Ok(Next::Again)
            }
            (_, Work::Deploy | Work::Check) => self.finish(RolloutPhase::Halted, error.message).await,
        }
    }

    /// Hosts were looked at after their run.
    pub(super) async fn take_health(
        &mut self,
        declared: &Declared,
        health: Health,
    ) -> Result<Next, ApiError> {
        let is_done = self.read(|record| record.header.is_done);
        let Some(complaint) = health.complaint else {
            self.with(|record| record.header.checked = record.header.wave);
            self.save(false).await?;
            return Ok(Next::Again);
        };
        if !is_done {
            return self.halted(declared, complaint).await;
        }
        // One that joined late and isn't well is no reason to take back what the others have.
        self.with(|record| {
            record.header.checked = record.header.wave;
            for node in &health.unwell {
                if let Some(host) = record.hosts.get_mut(node) {
                    host.outcome = Some(TargetOutcome::Error);
                }
            }
        });
        self.save(true).await?;
        Ok(Next::Again)
    }

    /// It can't go on: what was done is taken back, if that is declared.
    async fn halted(&mut self, declared: &Declared, reason: String) -> Result<Next, ApiError> {
        let is_reached = !self.read(Record::to_take_back).is_empty();
        if declared.spec.rollback.is_none() || !is_reached {
            return self.finish(RolloutPhase::Halted, reason).await;
        }
        self.with(|record| {
            record.header.message = format!("{reason}; taking back");
            record.header.rolling_back = Some(reason.clone());
        });
        self.audit_and_save("rollout.rollback", &reason).await?;
        Ok(Next::Again)
    }

    pub(super) async fn finish_rollback(&mut self, reason: &str) -> Result<Next, ApiError> {
        let (asked, back) = self.read(|record| {
            let asked = record.hosts.values().filter_map(|host| host.taken_back);
            let back = asked.clone().filter(|outcome| *outcome == TargetOutcome::Ok).count();
            (asked.count(), back)
        });
        let message = format!("{reason}; taken back on {back} of {asked} hosts");
        self.finish(RolloutPhase::RolledBack, message).await
    }

    /// Every host has had its turn.
    pub(super) async fn finish_turns(&mut self, catches_up: bool) -> Result<Next, ApiError> {
        let (failed, message) = self.read(|record| {
            let counts = record.counts();
            let message = match record.header.skipped {
                0 => record.summary(),
                // Those that are caught up with are among the others sooner or later.
                _ if catches_up => record.summary(),
                skipped => format!("{}; not there at the begin: {skipped}", record.summary()),
            };
            (counts.total() > counts.of(TargetOutcome::Ok), message)
        });
        self.with(|record| record.header.is_done = true);
        let phase = if failed { RolloutPhase::Failed } else { RolloutPhase::Complete };
        self.finish(phase, message).await
    }

    /// It is over.
    pub(super) async fn finish(&mut self, phase: RolloutPhase, message: String) -> Result<Next, ApiError> {
        let now_ms = self.controller.clock.now_ms();
        self.with(|record| {
            record.header.phase = phase;
            record.header.message.clone_from(&message);
            record.header.finished_at_ms = now_ms;
        });
        self.audit_and_save(&format!("rollout.{phase}"), &message).await?;
        tracing::info!(rollout = self.place.name, tenant = %self.place.tenant, %phase, message, "ended");
        Ok(Next::Again)
    }
}

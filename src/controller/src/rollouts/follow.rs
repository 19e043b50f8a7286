//! Going along with a run under way: what happens is taken in, waves are looked after, and whoever steers is heard.

use aegis_core::{
    NodeId,
    fleet::{Input, RunState},
};
use aegis_wire::{
    ApiError, Code,
    operator::{RolloutPhase, RunChange},
};

use super::{
    driver::{Driver, Next, RETRY},
    fold::Fold,
    record::{Current, Work},
    rows::{self, Declared},
};
use crate::{
    failed,
    runs::{self, RunHandle, Runs, new_id},
};

/// Why hosts that were looked at aren't well; nobody failed: they are.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub complaint: Option<String>,
    pub unwell: Vec<NodeId>,
}

/// What a run that is followed has been told.
#[derive(Debug, Default)]
struct Told {
    /// None: neither to pause nor to go on, by this follower.
    paused: Option<bool>,
    /// To end, in one way or another.
    to_end: bool,
}

impl Driver {
    /// Begins a run on these hosts and goes along with it to its end.
    pub(super) async fn run(
        &mut self,
        declared: &Declared,
        work: Work,
        base: u32,
        nodes: &[NodeId],
    ) -> Result<Next, ApiError> {
        let current = Current { run: new_id(&self.controller)?, work, base };
        self.with(|record| {
            record.begin_run(current.clone());
            record.header.phase = RolloutPhase::Running;
        });
        self.save(true).await?;
        let handle = match self.start(declared, work, current.run.clone(), nodes).await {
            Ok(handle) => handle,
            Err(error) => return self.refused(&current, nodes, error).await,
        };
        self.go_along(declared, &handle, current).await
    }

    /// To the end of a run, from wherever it is.
    pub(super) async fn go_along(
        &mut self,
        declared: &Declared,
        handle: &RunHandle,
        current: Current,
    ) -> Result<Next, ApiError> {
        let mut fold = Fold::new(current);
        let complaint = self.follow(declared, handle, &mut fold).await?;
        if fold.finished.is_none() {
            // Its end couldn't be written. Until somebody does, nobody knows who had the call.
            return Ok(Next::Wait(Some(RETRY)));
        }
        self.ended(declared, fold, complaint).await
    }

    /// Until the run's end. Gives why its last wave isn't well, if it isn't.
    async fn follow(
        &mut self,
        declared: &Declared,
        handle: &RunHandle,
        fold: &mut Fold,
    ) -> Result<Option<String>, ApiError> {
        let mut watcher = handle.watch();
        let mut told = Told::default();
        let mut complaint = None;
        let mut gate = false;
        self.heed(declared, handle, &mut told).await?;
        loop {
            tokio::select! {
                events = watcher.next() => {
                    let Some(events) = events else { return Ok(complaint) };
                    for event in events? {
                        let is_wave = matches!(event.what, RunChange::WaveStarted { .. } | RunChange::WaveEnded { .. });
                        if is_wave {
                            gate = matches!(event.what, RunChange::WaveEnded { .. });
                        }
                        self.with(|record| fold.take(record, event));
                        if is_wave && fold.current.work != Work::Check {
                            self.save(false).await?;
                        }
                    }
                    // Whoever follows anew hears of gates again that were passed long ago.
                    if !gate || watcher.is_behind() {
                        continue;
                    }
                    gate = false;
                    let is_meant = fold.current.work == Work::Deploy && fold.halted.is_none();
                    if is_meant && declared.spec.health_check.is_some() && !told.to_end {
                        complaint = self.look_after_wave(declared, handle).await?;
                        self.heed(declared, handle, &mut told).await?;
                    }
                }
                () = self.changed.notified() => self.heed(declared, handle, &mut told).await?,
            }
        }
    }

    /// A wave has ended: the next one begins when its hosts are well. Gives why they aren't.
    async fn look_after_wave(
        &mut self,
        declared: &Declared,
        handle: &RunHandle,
    ) -> Result<Option<String>, ApiError> {
        let unchecked = self.read(super::record::Record::unchecked);
        let complaint = if unchecked.is_empty() {
            None
        } else {
            match Box::pin(self.check(declared, &unchecked)).await? {
                // Somebody ended it: what follows is up to them.
                None => return Ok(None),
                Some(health) => health.complaint,
            }
        };
        if let Some(complaint) = &complaint {
            handle.steer(Input::Halt(complaint.clone()));
        } else {
            self.with(|record| record.header.checked = record.header.wave);
            self.save(false).await?;
            handle.steer(Input::Proceed);
        }
        Ok(complaint)
    }

    /// Looks whether these hosts are well. None: it was ended, or the controller is about to.
    pub(super) async fn check(
        &mut self,
        declared: &Declared,
        nodes: &[NodeId],
    ) -> Result<Option<Health>, ApiError> {
        // While it is paused nothing begins, nor does this.
        while let Some(steering) = self.steering(declared)? {
            if steering.paused_by.is_none() {
                break;
            }
            self.changed.notified().await;
        }
        if self.steering(declared)?.is_none() {
            return Ok(None);
        }
        let current = Current { run: new_id(&self.controller)?, work: Work::Check, base: 0 };
        self.with(|record| record.note_run(current.run.clone()));
        self.save(false).await?;
        let mut fold = Fold::new(current);
        match self.start(declared, Work::Check, fold.current.run.clone(), nodes).await {
            Ok(handle) => drop(self.follow(declared, &handle, &mut fold).await?),
            Err(error) if matches!(error.code, Code::Internal | Code::Unavailable | Code::Exhausted) => {
                return Err(error);
            }
            Err(error) => {
                let complaint = Some(format!("the health check can't be run: {}", error.message));
                return Ok(Some(Health { complaint, unwell: nodes.to_vec() }));
            }
        }
        let is_cut_short = fold.finished.as_ref().is_none_or(|run| run.state == RunState::Interrupted);
        if is_cut_short || self.steering(declared)?.is_none() {
            return Ok(None);
        }
        let complaint = fold.complaint().map(|how| format!("the health check failed on {how}"));
        Ok(Some(Health { complaint, unwell: fold.failures.into_iter().map(|(node, _)| node).collect() }))
    }

    /// How this spec is steered; none: it is to end.
    fn steering(&self, declared: &Declared) -> Result<Option<rows::Steering>, ApiError> {
        let store = &*self.controller.store;
        let now = rows::declared(store, &self.place).map_err(failed)?;
        let steering = rows::steering(store, &self.place).map_err(failed)?;
        let goes_on = now.is_some_and(|now| now.digest == declared.digest)
            && steering.aborted_by(self.generation()).is_none();
        Ok(goes_on.then_some(steering))
    }

    /// Something may have changed: passes on to the run what it has to know.
    async fn heed(
        &mut self,
        declared: &Declared,
        handle: &RunHandle,
        told: &mut Told,
    ) -> Result<(), ApiError> {
        if told.to_end {
            return Ok(());
        }
        let store = &*self.controller.store;
        let now = rows::declared(store, &self.place).map_err(failed)?;
        let steering = rows::steering(store, &self.place).map_err(failed)?;
        let paused = steering.paused_by.is_some();
        match (now, steering.aborted_by(self.generation())) {
            (None, _) => {
                told.to_end = true;
                handle.cancel(&self.place.subject()).await;
            }
            (Some(_), Some(by)) => {
                told.to_end = true;
                handle.cancel(by).await;
            }
            (Some(now), None) if now.digest != declared.digest => {
                told.to_end = true;
                handle.steer(Input::Halt("another spec took its place".to_owned()));
            }
            (Some(_), None) if Some(paused) != told.paused => {
                told.paused = Some(paused);
                handle.steer(if paused { Input::Pause } else { Input::Resume });
            }
            (Some(_), None) => {}
        }
        Ok(())
    }

    /// What became of a run that nobody followed to its end. None: it isn't over.
    pub(super) async fn read_again(&mut self, current: &Current) -> Result<Option<Fold>, ApiError> {
        let place = runs::Place { tenant: self.place.tenant.clone(), id: current.run.clone() };
        let mut fold = Fold::new(current.clone());
        match Runs::get(&self.controller, &place) {
            Ok(run) if !run.state.is_over() => return Ok(None),
            Ok(run) => fold.finished = Some(run),
            // It was written down, and the controller ended before it began.
            Err(error) if error.code == Code::NotFound => {
                self.with(|record| record.forget_run(&current.run));
                return Ok(Some(fold));
            }
            Err(error) => return Err(error),
        }
        let mut watcher = Runs::watch(&self.controller, &place, false);
        while let Some(events) = watcher.next().await {
            for event in events? {
                self.with(|record| fold.take(record, event));
            }
        }
        Ok(Some(fold))
    }
}

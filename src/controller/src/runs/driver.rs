//! A run's task. It gathers what was said, asks the state machine what follows, writes that down, and only then does it:
//! a command is on the disk before it is sent, and a result before anybody is told.

use std::{mem, sync::Arc};

use aegis_core::fleet::{FleetRun, RunId, RunState};
use aegis_store::{Batch, Check, CommitError, NotRouted};
use aegis_wire::operator::{Run, RunChange, RunEvent};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    flight::{Flight, Ticket},
    live::{LiveRun, Said},
    retention,
    rows::{self, Place},
    tooling::Unfit,
    turn::Turn,
};
use crate::{
    failed,
    state::{Controller, Order},
};

/// How many words are taken into one turn.
const AT_ONCE: usize = 1024;

/// One run and its task.
pub(super) struct Driver {
    pub controller: Arc<Controller>,
    pub run: Arc<LiveRun>,
    pub machine: FleetRun,
    /// As it will be once the turn is on the disk.
    pub header: Run,
    /// The commands that are on their way, by target.
    pub flights: Vec<Option<Arc<Flight>>>,
    /// Targets that can't do what is wanted, in rising order: nothing is sent to them.
    pub unfit: Vec<Unfit>,
    pub started: Instant,
    /// The next event's number.
    pub next: u64,
}

/// What the first turn needs beside what every turn needs.
pub(super) struct Begin {
    pub change: RunChange,
    /// What must be so, and what is written with it.
    pub checks: Vec<Check>,
    pub batch: Batch,
    /// Told when the begin is on the disk.
    pub begun: oneshot::Sender<Result<(), CommitError>>,
}

impl Driver {
    /// Runs until every target has its end.
    pub async fn drive(mut self, begin: Begin, mut said: mpsc::UnboundedReceiver<Said>) {
        let Begin { change, checks, mut batch, begun } = begin;
        batch.checks = checks;
        let mut turn = Turn::default();
        turn.events.push(change);
        self.begin(&mut turn);
        let result = self.write(&mut turn, batch).await;
        let failure = result.as_ref().err().cloned();
        let is_begun = result.is_ok();
        // Whoever asked may have hung up.
        let _ = begun.send(result);
        if !is_begun {
            return self.stop(failure);
        }
        self.act(turn);
        retention::prune(&self.controller, &self.run.wanted.tenant);

        let mut words = Vec::new();
        while self.header.state == RunState::Running {
            let mut turn = Turn::default();
            let due = self.machine.due().map(|due| self.started + due);
            tokio::select! {
                biased;
                _ = said.recv_many(&mut words, AT_ONCE) => {
                    for word in words.drain(..) {
                        self.hear(word, &mut turn);
                    }
                }
                () = wait(due) => self.tick(&mut turn),
            }
            if let Err(error) = self.write(&mut turn, Batch::new()).await {
                return self.stop(Some(error));
            }
            self.act(turn);
        }
        self.stop(None);
    }

    /// Writes down what the turn brought; when this returns it is on the disk, and told.
    async fn write(&mut self, turn: &mut Turn, mut batch: Batch) -> Result<(), CommitError> {
        if turn.events.is_empty() && turn.notes.is_empty() && batch.is_empty() {
            return Ok(());
        }
        let controller = self.controller.clone();
        let time = controller.clock.now();
        let events: Vec<_> = (self.next..)
            .zip(mem::take(&mut turn.events))
            .map(|(sequence, what)| RunEvent { sequence, time, what })
            .collect();
        let place = Place::of(&self.run);
        self.next += events.len() as u64;
        let pieces = rows::pieces(self.next - events.len() as u64, events);
        batch.quiet = true;
        for piece in &pieces {
            rows::put(&mut batch, &place, piece, self.run.targets.len());
        }
        if turn.header {
            rows::put_run(&mut batch, &place, &self.header);
        }
        for event in turn.notes.records(&controller, &self.run) {
            controller.audit(&mut batch, event);
        }
        controller.store.commit(batch).await?;
        self.run.journal.keep(pieces, self.header.clone());
        Ok(())
    }

    /// Does what was written down.
    fn act(&mut self, turn: Turn) {
        for flight in turn.cancel {
            flight.cancel();
        }
        for flight in turn.give_up {
            flight.give_up();
        }
        for flight in turn.send {
            let node = flight.node().clone();
            // Without a route the ticket is dropped, and with it the run learns that the host is gone.
            let order = Order::Invoke(Ticket::new(flight.clone()));
            if self.controller.bus.send(&node, order) == Err(NotRouted::Congested) {
                // The run hears of the dropped ticket in a later turn, and then why.
                flight.note_congested();
            }
        }
        for done in turn.done {
            // Whoever cancelled may have hung up.
            let _ = done.send(());
        }
    }

    fn stop(self, failure: Option<CommitError>) {
        if let Some(error @ CommitError::Store(_)) = &failure {
            tracing::error!(run = %self.run.id, %error, "the run can't be written down and is left");
            for flight in self.flights.iter().flatten() {
                flight.cancel();
                flight.give_up();
            }
        }
        self.run.journal.end(failure.map(failed));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let id: &RunId = &self.run.id;
        self.controller.runs.leave(id);
        self.run.journal.end(None);
    }
}

async fn wait(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

//! Tools of a host under test: each call ends when the test says so.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use aegis_core::fleet::{CommandId, TargetOutcome};
use aegis_kinds::policy::Grant;
use bytes::Bytes;
use futures::FutureExt;
use tokio::sync::{oneshot, watch};

use super::offer::{Offer, Ready, Reins, Started};
use crate::{
    capabilities::Host,
    config::EdgeConfig,
    state::StateDir,
    tools::{Call, Output, Refused, Sink, Tail, ToolResult},
};

/// What a test sees of the calls, and how it steers them.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<BTreeMap<String, Seen>>>);

struct Seen {
    /// How long it had from its start.
    time: Duration,
    sink: Sink,
    end: Option<oneshot::Sender<ToolResult>>,
    cancelled: watch::Receiver<bool>,
    credit: Arc<Mutex<u64>>,
    dropped: watch::Receiver<bool>,
}

impl Calls {
    /// How many have started.
    pub fn started(&self) -> usize {
        self.0.lock().unwrap().len()
    }
    pub fn has_started(&self, command: &CommandId) -> bool {
        self.0.lock().unwrap().contains_key(command.as_str())
    }
    /// How long it had from its start.
    pub fn time(&self, command: &CommandId) -> Duration {
        self.0.lock().unwrap()[command.as_str()].time
    }
    pub fn credit(&self, command: &CommandId) -> u64 {
        *self.0.lock().unwrap()[command.as_str()].credit.lock().unwrap()
    }
    pub fn is_cancelled(&self, command: &CommandId) -> bool {
        *self.0.lock().unwrap()[command.as_str()].cancelled.borrow()
    }
    /// Whether the daemon has let go of it.
    pub fn is_dropped(&self, command: &CommandId) -> bool {
        *self.0.lock().unwrap()[command.as_str()].dropped.borrow()
    }
    /// Where it prints.
    pub fn sink(&self, command: &CommandId) -> Sink {
        self.0.lock().unwrap()[command.as_str()].sink.clone()
    }
    pub async fn print(&self, command: &CommandId, data: &'static [u8]) {
        let output = Output { stderr: false, data: Bytes::from_static(data) };
        self.sink(command).send(output).await.unwrap();
    }
    /// It ends well.
    pub fn end(&self, command: &CommandId) {
        self.end_with(command, ended(TargetOutcome::Ok));
    }
    pub fn end_with(&self, command: &CommandId, result: ToolResult) {
        let end = self.0.lock().unwrap().get_mut(command.as_str()).unwrap().end.take().unwrap();
        end.send(result).unwrap();
    }
}

pub(super) fn ended(outcome: TargetOutcome) -> ToolResult {
    ToolResult {
        outcome,
        exit_code: (outcome == TargetOutcome::Ok).then_some(0),
        error: String::new(),
        stdout: Tail::default(),
        stderr: Tail::default(),
        data: None,
        duration: Duration::from_millis(5),
    }
}

/// Offers every tool; one with the argument `{"refuse": RULE}` is refused by that rule.
pub(super) struct FakeOffer(pub Calls);

impl Offer for FakeOffer {
    fn prepare(&self, call: Call, grants: &[Grant]) -> Result<Box<dyn Ready>, Refused> {
        assert!(!grants.is_empty(), "nothing grants it");
        for rule in ["arguments", "path", "command", "domain", "rate"] {
            if call.arguments["refuse"] == rule {
                return Err(Refused { rule, message: format!("the {rule} isn't right") });
            }
        }
        Ok(Box::new(FakeReady(self.0.clone(), call)))
    }
    fn reload(&mut self, _: &EdgeConfig, _: &Host, _: &StateDir) {}
}

struct FakeReady(Calls, Call);

struct FakeReins(watch::Sender<bool>, Arc<Mutex<u64>>);

impl Reins for FakeReins {
    fn cancel(&self) {
        self.0.send_replace(true);
    }
    fn credit(&self, bytes: u32) {
        *self.1.lock().unwrap() += u64::from(bytes);
    }
}

/// Says that it is dropped.
struct Dropped(watch::Sender<bool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Ready for FakeReady {
    fn start(self: Box<Self>, time: Duration, sink: Sink) -> Started {
        let Self(calls, call) = *self;
        let (end, ending) = oneshot::channel();
        let ((cancel, cancelled), (drop, dropped)) = (watch::channel(false), watch::channel(false));
        let credit = Arc::new(Mutex::new(u64::from(call.window)));
        let seen = Seen {
            time,
            sink,
            end: Some(end),
            cancelled: cancelled.clone(),
            credit: credit.clone(),
            dropped,
        };
        assert!(
            calls.0.lock().unwrap().insert(call.id.to_string(), seen).is_none(),
            "{} started twice",
            call.id
        );
        let (mut cancelled, dropped) = (cancelled, Dropped(drop));
        let end = async move {
            let _dropped = dropped;
            let how = tokio::select! {
                Ok(result) = ending => return result,
                _ = cancelled.wait_for(|cancelled| *cancelled) => TargetOutcome::Cancelled,
                () = tokio::time::sleep(time) => TargetOutcome::TimedOut,
            };
            // As a program that takes a second to end.
            tokio::time::sleep(Duration::from_secs(1)).await;
            ended(how)
        };
        Started { reins: Box::new(FakeReins(cancel, credit)), end: end.boxed() }
    }
}

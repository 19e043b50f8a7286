//! A controller that can lose its power, its rollouts' tasks, and hosts that do as they are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use aegis_core::{NodeId, Revision, fleet::TargetOutcome};
use aegis_store::{Batch, Entry, MemoryStore, Order, Pending, Record, Store, StoreError, Watch, Write};
use aegis_wire::{
    ApiError, SigningKey,
    edge::{Command, CommandResult, Event},
    envelope::open,
    operator::{OperatorService, RolloutAction},
    token::Role,
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::task::JoinHandle;

use super::{Duration, RolloutPhase, RolloutStatus, Value, json};
use crate::{
    keyspace, lock,
    rollouts::{Place, keep, rows, watch},
    runs::recover,
    state::Controller,
    testing::{Daemon, Host, Operator, host, owners_tool, restarted, tenant, with_parts},
};

/// A store whose machine can lose its power: from then on nothing is written.
#[derive(Default)]
pub(super) struct Mortal {
    inner: MemoryStore,
    dead: AtomicBool,
    /// It dies with a write of such a key, when so many have been.
    dies_with: Mutex<Option<(String, u32)>>,
    /// Writes of such keys fail: after so many that don't, so many.
    fails_with: Mutex<Option<(String, u32, u32)>>,
}

impl Store for Mortal {
    fn commit(&self, mut batch: Batch) -> Pending {
        if self.dead.load(Ordering::SeqCst) {
            batch.check("no such key", Revision(u64::MAX));
        }
        if let Some((prefix, spared, failing)) = lock(&self.fails_with).as_mut()
            && batch.writes.iter().any(|write| is_of(write, prefix))
        {
            if *spared > 0 {
                *spared -= 1;
            } else if *failing > 0 {
                *failing -= 1;
                batch.check("no such key", Revision(u64::MAX));
            }
        }
        let is_last = lock(&self.dies_with).as_mut().is_some_and(|(prefix, left)| {
            let is_one = batch.writes.iter().any(|write| is_of(write, prefix));
            *left = left.saturating_sub(u32::from(is_one));
            is_one && *left == 0
        });
        let pending = self.inner.commit(batch);
        if is_last {
            self.dead.store(true, Ordering::SeqCst);
        }
        pending
    }
    fn revision(&self) -> Revision {
        self.inner.revision()
    }
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key)
    }
    fn scan(
        &self,
        prefix: &str,
        order: Order,
        visit: &mut dyn FnMut(&str, &[u8], Revision) -> bool,
    ) -> Result<(), StoreError> {
        self.inner.scan(prefix, order, visit)
    }
    fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.inner.log(log, after, limit)
    }
    fn changes(&self, since: Revision, prefix: &str) -> Result<Option<BTreeSet<String>>, StoreError> {
        self.inner.changes(since, prefix)
    }
    fn watch(&self, prefix: &str) -> Watch {
        self.inner.watch(prefix)
    }
    fn backup(&self, path: &std::path::Path) -> Result<(), StoreError> {
        self.inner.backup(path)
    }
}

/// Whether it is a write of such a key.
fn is_of(write: &Write, prefix: &str) -> bool {
    match write {
        Write::Put { key, .. } | Write::Delete { key } => key.starts_with(prefix),
        Write::Append { .. } => false,
    }
}

/// How a host answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Ok,
    Fail,
    /// It goes on until it is cancelled.
    Hang,
    /// Its stream ends instead.
    Leave,
}

/// What the hosts do, and what they were told.
#[derive(Default)]
struct Script {
    /// By host and command; what isn't here goes well.
    acts: BTreeMap<(String, String), Act>,
    /// `web-1 deploy`, in the order of the calls.
    calls: Vec<String>,
    /// Which run it was for that the rollout's row named when the call came.
    known: Vec<bool>,
}

type Shared = Arc<Mutex<Script>>;

pub(super) struct Stage {
    pub store: Arc<Mortal>,
    pub controller: Arc<Controller>,
    pub operator: Operator,
    keeper: JoinHandle<()>,
    hosts: Vec<Host>,
    players: BTreeMap<String, JoinHandle<()>>,
    script: Shared,
    streams: u32,
}

impl Stage {
    /// With so many hosts, connected and called `web-1`, `web-2` … in the order of their ids.
    pub async fn of(count: usize) -> Self {
        let store = Arc::new(Mortal::default());
        let controller = with_parts(|parts| parts.store = store.clone()).await;
        let mut stage = Self {
            operator: Operator::new(&controller, "default", Role::Operator),
            keeper: tokio::spawn(keep(controller.clone(), watch(&controller))),
            hosts: Vec::new(),
            players: BTreeMap::new(),
            script: Shared::default(),
            streams: 0,
            store,
            controller,
        };
        for number in 1..=count {
            stage.join(number).await;
        }
        stage
    }

    /// A host with the number in its name enrols and connects. Their ids rise with their numbers.
    pub async fn join(&mut self, number: usize) {
        let mut seeds: Vec<u8> = (1..=6).collect();
        seeds.sort_by_key(|seed| {
            NodeId::of_public_key(SigningKey::from_seed(&[*seed; 32]).public().as_bytes())
        });
        let host = host(&self.controller, "default", seeds[number - 1], &format!("web-{number}")).await;
        self.hosts.push(host.clone());
        self.connect(&host.name).await;
    }

    /// The owner of the connected host declares `app.deploy`.
    pub async fn declares(&self, name: &str) {
        let host = self.hosts.iter().find(|host| host.name == name).unwrap();
        let (mut node, _) = crate::nodes::get(&*self.controller.store, &host.id).unwrap().unwrap();
        node.capabilities.tools = vec![owners_tool("app.deploy")];
        let mut batch = Batch::new();
        batch.put(keyspace::node(&host.id), crate::nodes::json(&node));
        self.store.commit(batch).await.unwrap();
    }

    /// A host connects, or connects again.
    pub async fn connect(&mut self, name: &str) {
        let host = self.hosts.iter_mut().find(|host| host.name == name).unwrap();
        let node = crate::nodes::get(&*self.controller.store, &host.id).unwrap().unwrap().0;
        host.token = self.controller.mint_node_token(&node).unwrap().token;
        self.streams += 1;
        let daemon = Daemon::connect(&self.controller, host, &format!("s{}", self.streams)).await;
        let player = tokio::spawn(play(daemon, name.to_owned(), self.script.clone()));
        self.players.insert(name.to_owned(), player);
    }

    /// A host's stream ends.
    pub async fn leave(&mut self, name: &str) {
        self.players.remove(name).unwrap().abort();
        settle().await;
    }

    /// What the host does when it is called with this command.
    pub fn acts(&self, name: &str, command: &str, act: Act) {
        lock(&self.script).acts.insert((name.to_owned(), command.to_owned()), act);
    }

    /// What the hosts were called with so far.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.script).calls.clone()
    }

    /// Whether the rollout's row named the run of every call when it came.
    pub fn all_were_written_down(&self) -> bool {
        lock(&self.script).known.iter().all(|known| *known)
    }

    /// Declares the rollout `app`.
    pub async fn apply(&self, spec: &Value) {
        self.declare("default", &json!({"spec": spec})).await;
    }

    pub async fn declare(&self, of: &str, body: &Value) {
        let mut batch = Batch::new();
        batch.put(keyspace::object(&tenant(of), &place().object()), body.to_string());
        self.store.commit(batch).await.unwrap();
    }

    /// Declares it no more.
    pub async fn delete(&self) {
        let mut batch = Batch::new();
        batch.delete(keyspace::object(&tenant("default"), &place().object()));
        self.store.commit(batch).await.unwrap();
    }

    pub async fn try_status(&self) -> Result<RolloutStatus, ApiError> {
        self.operator.service.get_rollout(self.operator.call("GetRollout"), "app".into()).await
    }

    pub async fn status(&self) -> RolloutStatus {
        self.try_status().await.unwrap()
    }

    pub async fn steer(&self, action: RolloutAction) -> Result<RolloutStatus, ApiError> {
        self.operator.service.steer_rollout(self.operator.call("SteerRollout"), "app".into(), action).await
    }

    /// Waits until the rollout is in this phase.
    pub async fn until(&self, phase: RolloutPhase) -> RolloutStatus {
        self.until_so(&format!("{phase}"), |status| status.phase == phase).await
    }

    /// Waits until it is so, for a minute at most.
    pub async fn until_so(&self, what: &str, is_so: impl Fn(&RolloutStatus) -> bool) -> RolloutStatus {
        for _ in 0..600 {
            let status = self.status().await;
            if is_so(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it isn't {what}: {:#?}, calls: {:?}", self.status().await, self.calls());
    }

    /// Waits until the hosts were called so often.
    pub async fn until_calls(&self, count: usize) {
        self.until_so("called", |_| self.calls().len() >= count).await;
        settle().await;
    }

    /// The machine loses its power. The hosts see their streams end.
    pub async fn crash(&mut self) {
        self.store.dead.store(true, Ordering::SeqCst);
        self.keeper.abort();
        for player in std::mem::take(&mut self.players).into_values() {
            player.abort();
        }
        settle().await;
    }

    /// It will lose its power with the write of such a key that is number `count` from now on.
    pub fn crash_with(&self, prefix: &str, count: u32) {
        *lock(&self.store.dies_with) = Some((prefix.to_owned(), count));
    }

    /// So many writes of such keys will fail, after so many that won't.
    pub fn fail_with(&self, prefix: &str, spared: u32, failing: u32) {
        *lock(&self.store.fails_with) = Some((prefix.to_owned(), spared, failing));
    }

    /// Whether all those writes have failed.
    pub fn has_failed(&self) -> bool {
        lock(&self.store.fails_with).as_ref().is_some_and(|(_, _, failing)| *failing == 0)
    }

    /// Whether it has lost its power.
    pub fn is_dead(&self) -> bool {
        self.store.dead.load(Ordering::SeqCst)
    }

    /// Another controller begins on the same store. Nobody is connected.
    pub async fn restart(&mut self) {
        *lock(&self.store.dies_with) = None;
        self.store.dead.store(false, Ordering::SeqCst);
        self.controller = restarted(&self.controller);
        recover(&self.controller).await.unwrap();
        self.keeper = tokio::spawn(keep(self.controller.clone(), watch(&self.controller)));
        self.operator = Operator::new(&self.controller, "default", Role::Operator);
        settle().await;
    }

    /// As [`Self::restart`], with this written in between.
    pub async fn restart_with(&mut self, batch: Batch) {
        self.store.inner.commit(batch).await.unwrap();
        self.restart().await;
    }

    /// As [`Self::restart`], with all hosts back.
    pub async fn come_back(&mut self) {
        self.restart().await;
        let names: Vec<String> = self.hosts.iter().map(|host| host.name.clone()).collect();
        for name in names {
            self.connect(&name).await;
        }
    }

    /// How many rows there are about rollouts.
    pub fn rows(&self) -> usize {
        self.store.list("rollout").unwrap().len()
    }
}

pub(super) fn place() -> Place {
    Place { tenant: tenant("default"), name: "app".into() }
}

/// Lets other tasks run until all of them wait.
pub(super) async fn settle() {
    // The clock is paused: it moves only when nothing else can happen.
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Plays a host until its stream ends.
async fn play(mut daemon: Daemon, name: String, script: Shared) {
    let mut beats = tokio::time::interval(Duration::from_secs(30));
    loop {
        let item = tokio::select! {
            item = daemon.commands.next() => item,
            _ = beats.tick() => {
                daemon.send(&Event::Heartbeat { draining: false, in_flight: 0 });
                continue;
            }
        };
        let Some(Ok(envelope)) = item else { return };
        let now = daemon.controller.clock.now_ms();
        let key = daemon.controller.keys[0].public.clone();
        match open::<Command>(envelope.into(), &key, &mut daemon.inbound, now).unwrap().body {
            Command::InvokeTool { order, arguments, .. } => {
                let order = order.read().unwrap();
                let arguments: Value = serde_json::from_slice(&arguments).unwrap();
                let command =
                    arguments["command"].as_str().or(arguments["name"].as_str()).unwrap().to_owned();
                let record = rows::record(&*daemon.controller.store, &place()).unwrap();
                let act = {
                    let mut script = lock(&script);
                    script.calls.push(format!("{name} {command}"));
                    let runs = record.map(|record| record.header.runs).unwrap_or_default();
                    script
                        .known
                        .push(runs.iter().any(|run| order.command.as_str().starts_with(run.as_str())));
                    script.acts.get(&(name.clone(), command)).copied().unwrap_or(Act::Ok)
                };
                match act {
                    Act::Ok => daemon.send(&result(&order.command, TargetOutcome::Ok)),
                    Act::Fail => daemon.send(&result(&order.command, TargetOutcome::Error)),
                    Act::Hang => {}
                    Act::Leave => return,
                }
            }
            Command::Cancel { command } => daemon.send(&result(&command, TargetOutcome::Cancelled)),
            _ => {}
        }
    }
}

fn result(command: &aegis_core::fleet::CommandId, outcome: TargetOutcome) -> Event {
    Event::CommandResult(CommandResult {
        command: command.clone(),
        outcome,
        exit_code: Some(i32::from(outcome != TargetOutcome::Ok)),
        error: String::new(),
        refusal: None,
        stdout: Bytes::new(),
        stderr: Bytes::new(),
        stdout_bytes: 0,
        stderr_bytes: 0,
        data: Bytes::new(),
        duration: Duration::from_millis(1),
    })
}

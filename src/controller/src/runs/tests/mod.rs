//! Runs with real streams of hosts that are played by the tests. One test a rule.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod cancel;
mod checks;
mod contexts;
mod ends;
mod keys;
mod output;
mod restart;
mod retention;
mod stopping;
mod whole;

use std::{sync::Arc, time::Duration};

use aegis_core::fleet::{CommandId, OnError, RunState, TargetOutcome};
use aegis_wire::{
    ApiError,
    edge::{Command, CommandResult, Event, Order},
    operator::{GetRun, OperatorService, Run, RunChange, RunEvent, StartRun, TargetResult},
    token::Role,
};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};

use crate::{
    state::Controller,
    testing::{Daemon, Host, Operator, audit_lines, controller, host},
};

/// A tenant with connected hosts, and an operator.
struct Fleet {
    controller: Arc<Controller>,
    hosts: Vec<Host>,
    daemons: Vec<Daemon>,
    operator: Operator,
}

impl Fleet {
    /// So many hosts, called `web-1`, `web-2` …, in the order of their ids.
    async fn of(count: u8) -> Self {
        Self::on(controller().await, count).await
    }

    async fn on(controller: Arc<Controller>, count: u8) -> Self {
        let mut hosts = Vec::new();
        for number in 1..=count {
            hosts.push(host(&controller, "default", number, &format!("web-{number}")).await);
        }
        hosts.sort_by(|one, other| one.id.cmp(&other.id));
        let mut daemons = Vec::new();
        for host in &hosts {
            daemons.push(Daemon::connect(&controller, host, "s1").await);
        }
        let operator = Operator::new(&controller, "default", Role::Operator);
        Self { controller, hosts, daemons, operator }
    }

    async fn try_start(&self, wish: StartRun) -> Result<Following, ApiError> {
        let events = self.operator.service.start_run(self.operator.call("StartRun"), wish).await?;
        let mut following = Following::of(events);
        following.started().await;
        Ok(following)
    }

    async fn start(&self, wish: StartRun) -> Following {
        self.try_start(wish).await.unwrap()
    }

    async fn refused(&self, wish: StartRun) -> ApiError {
        self.try_start(wish).await.err().expect("it is refused")
    }

    async fn cancel(&self, run: &str) -> Result<Run, ApiError> {
        self.operator.service.cancel_run(self.operator.call("CancelRun"), run.to_owned()).await
    }

    /// Connects a host anew, whose token may have ended.
    async fn reconnect(&mut self, number: usize) -> Daemon {
        let node = crate::nodes::get(&*self.controller.store, &self.hosts[number].id).unwrap().unwrap().0;
        self.hosts[number].token = self.controller.mint_node_token(&node).unwrap().token;
        let stream = format!("{:?}", self.controller.uptime());
        Daemon::connect(&self.controller, &self.hosts[number], &stream).await
    }

    /// What is kept of a run.
    async fn kept(&self, run: &str) -> Vec<RunEvent> {
        kept(&self.operator, run).await.unwrap()
    }

    fn audit(&self) -> String {
        audit_lines(&self.controller).join("\n")
    }
}

async fn kept(operator: &Operator, run: &str) -> Result<Vec<RunEvent>, ApiError> {
    let which = GetRun { run: run.to_owned(), follow: false };
    let mut pieces = operator.service.get_run(operator.call("GetRun"), which).await?;
    let mut events = Vec::new();
    while let Some(piece) = pieces.next().await {
        events.extend(piece?);
    }
    Ok(events)
}

/// What an operator sees of a run.
struct Following {
    events: BoxStream<'static, Result<Vec<RunEvent>, ApiError>>,
    /// What came and was kept.
    kept: Vec<RunEvent>,
}

impl Following {
    fn of(events: BoxStream<'static, Result<Vec<RunEvent>, ApiError>>) -> Self {
        Self { events: events.fuse().boxed(), kept: Vec::new() }
    }

    /// The next piece. It comes by itself: nothing else has to happen.
    async fn next(&mut self) -> Option<Result<Vec<RunEvent>, ApiError>> {
        let piece =
            tokio::time::timeout(Duration::from_secs(1), self.events.next()).await.expect("it comes")?;
        if let Ok(events) = &piece {
            self.kept.extend(events.iter().filter(|event| event.sequence > 0).cloned());
        }
        Some(piece)
    }

    async fn started(&mut self) {
        self.next().await.unwrap().unwrap();
        assert!(matches!(self.kept[0].what, RunChange::Started { .. }), "{:?}", self.kept[0]);
    }

    fn run(&self) -> Run {
        match &self.kept[0].what {
            RunChange::Started { run, .. } => run.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn id(&self) -> String {
        self.run().run_id.to_string()
    }

    fn results(&self) -> Vec<TargetResult> {
        results(&self.kept)
    }

    /// Waits until so many results are there.
    async fn until_results(&mut self, count: usize) -> Vec<TargetResult> {
        while self.results().len() < count {
            self.next().await.expect("there is more").unwrap();
        }
        self.results()
    }

    /// Waits for the end; gives the run and the results by target.
    async fn end(&mut self) -> (Run, Vec<TargetResult>) {
        while let Some(piece) = self.next().await {
            piece.unwrap();
        }
        let RunChange::Finished { run } = &self.kept.last().unwrap().what else { panic!("{:?}", self.kept) };
        let mut results = self.results();
        results.sort_by_key(|result| result.target);
        (run.clone(), results)
    }

    /// The outcomes by target at the end.
    async fn outcomes(&mut self) -> (RunState, Vec<TargetOutcome>) {
        let (run, results) = self.end().await;
        (run.state, results.iter().map(|result| result.outcome).collect())
    }
}

fn results(events: &[RunEvent]) -> Vec<TargetResult> {
    events
        .iter()
        .filter_map(|event| match &event.what {
            RunChange::Result(result) => Some(result.clone()),
            _ => None,
        })
        .collect()
}

/// A request to run `host.facts` everywhere.
fn facts() -> StartRun {
    StartRun { target: Some("all".into()), tool: "host.facts".into(), ..StartRun::default() }
}

/// A request to run a program everywhere, whatever fails.
fn command() -> StartRun {
    StartRun {
        target: Some("all".into()),
        tool: "cmd.run".into(),
        arguments: Bytes::from_static(br#"{"command":"true"}"#),
        on_error: Some(OnError::Continue),
        ..StartRun::default()
    }
}

/// An order that a host got.
struct Invoked {
    order: Order,
    window: u32,
}

impl Daemon {
    async fn invoked(&mut self) -> Invoked {
        match self.command().await.unwrap() {
            Command::InvokeTool { order, window, .. } => Invoked { order: order.read().unwrap(), window },
            other => panic!("{other:?}"),
        }
    }

    /// Sends a result, and waits until the controller has heard it.
    async fn answer(&mut self, command: &CommandId, outcome: TargetOutcome) {
        self.send(&Event::CommandResult(result(command, outcome)));
        self.heartbeat().await;
    }

    /// Does what it is told next, with this outcome.
    async fn obey(&mut self, outcome: TargetOutcome) -> CommandId {
        let command = self.invoked().await.order.command;
        self.answer(&command, outcome).await;
        command
    }

    /// Nothing was sent to it.
    async fn got_nothing(&mut self) {
        self.heartbeat().await;
    }
}

fn result(command: &CommandId, outcome: TargetOutcome) -> CommandResult {
    CommandResult {
        command: command.clone(),
        outcome,
        exit_code: Some(i32::from(outcome != TargetOutcome::Ok)),
        error: String::new(),
        refusal: None,
        stdout: Bytes::from_static(b"out"),
        stderr: Bytes::new(),
        stdout_bytes: 3,
        stderr_bytes: 0,
        data: Bytes::new(),
        duration: Duration::from_millis(7),
    }
}

/// Lets other tasks run until all of them wait.
async fn settle() {
    // The clock is paused: it moves only when nothing else can happen.
    tokio::time::sleep(Duration::from_millis(1)).await;
}

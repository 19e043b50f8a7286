//! A call under way: how it is told to end, and what it ends with.

use std::{sync::Arc, time::Duration};

use aegis_core::fleet::TargetOutcome;
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::output::{Credit, Printer, Sink, Tail};

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// `Ok`, `Error`, `TimedOut` or `Cancelled`.
    pub outcome: TargetOutcome,
    /// Of the program, where one ran and ended by itself.
    pub exit_code: Option<i32>,
    /// What went wrong; empty when nothing did.
    pub error: String,
    /// The end of standard output.
    pub stdout: Tail,
    /// The end of standard error.
    pub stderr: Tail,
    /// The result for programs, where the tool has one.
    pub data: Option<Value>,
    /// How long it took.
    pub duration: Duration,
}

/// What the tool itself says at its end.
#[derive(Debug, PartialEq)]
pub(super) struct Ended {
    pub outcome: TargetOutcome,
    pub exit_code: Option<i32>,
    pub error: String,
    pub data: Option<Value>,
}

impl Ended {
    pub fn failed(error: String) -> Self {
        Self { outcome: TargetOutcome::Error, exit_code: None, error, data: None }
    }
    pub fn stopped(how: TargetOutcome) -> Self {
        Self { outcome: how, ..Self::failed(String::new()) }
    }
}

/// How long a call may go on.
#[derive(Clone)]
pub(super) struct Until {
    deadline: Instant,
    cancelled: watch::Receiver<bool>,
}

impl Until {
    /// Waits for what comes first: that it is cancelled, or the deadline.
    pub async fn over(&mut self) -> TargetOutcome {
        tokio::select! {
            biased;
            // Nobody is left who could cancel it: the call itself is being dropped.
            _ = self.cancelled.wait_for(|cancelled| *cancelled) => TargetOutcome::Cancelled,
            () = sleep_until(self.deadline) => TargetOutcome::TimedOut,
        }
    }

    /// Whether it should end, for work that looks at it from time to time.
    pub fn is_over(&self) -> Option<TargetOutcome> {
        if *self.cancelled.borrow() {
            return Some(TargetOutcome::Cancelled);
        }
        (Instant::now() >= self.deadline).then_some(TargetOutcome::TimedOut)
    }
}

/// Tells a running call what to do; there can be many of it.
#[derive(Clone)]
pub struct Handle {
    cancelled: Arc<watch::Sender<bool>>,
    credit: Arc<Credit>,
}

impl Handle {
    /// Ends the call. Its processes get SIGTERM and after 5 s SIGKILL, once, however often this is said.
    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
    }
    /// So many more bytes of output may be sent.
    pub fn credit(&self, bytes: u32) {
        self.credit.give(bytes);
    }
}

/// A call under way. Dropped, it ends at once with all its processes.
pub struct Running {
    handle: Handle,
    task: JoinHandle<ToolResult>,
}

/// What a call starts with.
pub(super) struct Begin {
    pub sink: Sink,
    pub window: u32,
    pub deadline: Duration,
    pub max_output: Option<u64>,
}

impl Running {
    /// Starts `work` on tokio's runtime.
    pub(super) fn begin<W, F>(begin: Begin, work: W) -> Self
    where
        W: FnOnce(Until, Arc<Printer>) -> F + Send + 'static,
        F: Future<Output = Ended> + Send,
    {
        let began = Instant::now();
        let (cancelled, listens) = watch::channel(false);
        let credit = Arc::new(Credit::new(begin.window));
        let printer = Arc::new(Printer::new(begin.sink, Arc::clone(&credit), begin.max_output));
        let until = Until { deadline: began + begin.deadline, cancelled: listens };
        let task = tokio::spawn(async move {
            let ended = match until.is_over() {
                Some(how) => Ended::stopped(how),
                None => work(until, Arc::clone(&printer)).await,
            };
            let (stdout, stderr) = printer.tails();
            let Ended { outcome, exit_code, error, data } = ended;
            // A program that wants to print without bound shall not do it there.
            let fits =
                |data: &Value| begin.max_output.is_none_or(|most| data.to_string().len() as u64 <= most);
            let data = data.filter(fits);
            ToolResult { outcome, exit_code, error, stdout, stderr, data, duration: began.elapsed() }
        });
        Self { handle: Handle { cancelled: Arc::new(cancelled), credit }, task }
    }

    /// For whoever doesn't wait for the result.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
    /// See [`Handle::cancel`].
    pub fn cancel(&self) {
        self.handle.cancel();
    }
    /// See [`Handle::credit`].
    pub fn credit(&self, bytes: u32) {
        self.handle.credit(bytes);
    }

    /// Waits for the end. Once, since the result isn't kept; when the wait is dropped the call goes on, and ends with
    /// the drop of `self`.
    pub async fn result(&mut self) -> ToolResult {
        match (&mut self.task).await {
            Ok(result) => result,
            Err(error) => ToolResult {
                outcome: TargetOutcome::Error,
                exit_code: None,
                error: format!("the daemon failed while it ran the tool: {error}; see its log"),
                stdout: Tail::default(),
                stderr: Tail::default(),
                data: None,
                duration: Duration::ZERO,
            },
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Work on the blocking pool isn't aborted by this, but looks at the flag.
        self.handle.cancel();
        self.task.abort();
    }
}

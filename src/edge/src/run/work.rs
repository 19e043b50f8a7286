//! The commands under way on this host: a bounded number runs, some more wait for their turn.
//!
//! Each runs in a task of its own. What it prints and how it ends comes through one narrow channel, which is only
//! listened to while the stream has room: so output never takes the place of anything else, and while nobody reads it
//! the tools wait, not the memory grows.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use aegis_core::fleet::{CommandId, LONGEST_DEADLINE};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::offer::{Ready, Reins, Started};
use crate::tools::{Output, ToolResult};

/// So many wait for their turn at most.
const WAITING: usize = 64;
/// Pieces of output that one command has printed and that aren't taken yet.
const PIECES: usize = 2;

/// What comes of a command.
pub(super) enum Report {
    /// It printed something.
    Output(CommandId, Output),
    /// It has ended, and has printed all that it prints.
    Ended(CommandId, Box<ToolResult>),
}

/// A command that runs.
pub(super) struct Job {
    /// The tool's name.
    pub tool: String,
    /// Whether the stream that asked for it is still there.
    pub heard: bool,
    reins: Box<dyn Reins>,
    follower: JoinHandle<()>,
}

impl Drop for Job {
    fn drop(&mut self) {
        // It holds the call, which ends with it.
        self.follower.abort();
    }
}

/// A command whose checks are done.
pub(super) struct Waiting {
    pub command: CommandId,
    pub tool: String,
    pub ready: Box<dyn Ready>,
    /// When it came: its time runs from there.
    pub since: Instant,
    pub deadline: Duration,
}

impl Waiting {
    fn until(&self) -> Instant {
        self.since + self.deadline.min(LONGEST_DEADLINE)
    }
}

/// What a cancel came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// It was told; its result follows.
    Told,
    /// It waited for its turn so long, and won't have one.
    Queued(Duration),
    /// It isn't there, or not any more.
    Unknown,
}

/// All commands under way.
pub(super) struct Work {
    limit: usize,
    running: HashMap<CommandId, Job>,
    waiting: VecDeque<Waiting>,
    report: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    /// Those that are over, and that the state machine wasn't told of.
    over: usize,
}

impl Work {
    /// Nothing; at most `limit` will run at once.
    pub fn new(limit: usize) -> Self {
        let (report, reports) = mpsc::channel(1);
        Self { limit, running: HashMap::new(), waiting: VecDeque::new(), report, reports, over: 0 }
    }

    /// How many are under way.
    pub fn in_flight(&self) -> usize {
        self.running.len() + self.waiting.len()
    }
    /// Whether this one is.
    pub fn has(&self, command: &CommandId) -> bool {
        self.running.contains_key(command) || self.waiting.iter().any(|waiting| waiting.command == *command)
    }
    /// Why nothing more is taken.
    pub fn full(&self) -> Option<String> {
        let full = self.running.len() >= self.limit && self.waiting.len() >= WAITING;
        full.then(|| {
            let limit = self.limit;
            format!("the host runs {limit} tools and {WAITING} wait; ask later, or raise maxConcurrentTools")
        })
    }
    /// So many may run at once from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.fill();
    }

    /// Takes a command on; it begins when it is its turn.
    pub fn take_on(&mut self, command: Waiting) {
        self.waiting.push_back(command);
        self.fill();
    }

    /// The state machine counts one that came to nothing.
    pub fn note_over(&mut self) {
        self.over += 1;
    }
    /// How many are over since this was asked last.
    pub fn take_over(&mut self) -> usize {
        std::mem::take(&mut self.over)
    }

    /// What happens next to those that run. Never, when none does.
    pub async fn next(&mut self) -> Report {
        match self.reports.recv().await {
            Some(report) => report,
            // It can't be: `self` holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Whether the stream that asked for this one is still there.
    pub fn is_heard(&self, command: &CommandId) -> bool {
        self.running.get(command).is_some_and(|job| job.heard)
    }

    /// One has ended: the next begins.
    pub fn end(&mut self, command: &CommandId) -> Option<Job> {
        let job = self.running.remove(command)?;
        self.over += 1;
        self.fill();
        Some(job)
    }

    /// Ends one. The result of one that runs follows, in time.
    pub fn cancel(&mut self, command: &CommandId) -> Cancelled {
        if let Some(job) = self.running.get(command) {
            job.reins.cancel();
            return Cancelled::Told;
        }
        let Some(index) = self.waiting.iter().position(|waiting| waiting.command == *command) else {
            return Cancelled::Unknown;
        };
        self.over += 1;
        Cancelled::Queued(self.waiting.remove(index).map(|gone| gone.since.elapsed()).unwrap_or_default())
    }

    /// So many more bytes of its output may be sent.
    pub fn credit(&self, command: &CommandId, bytes: u32) {
        if let Some(job) = self.running.get(command) {
            job.reins.credit(bytes);
        }
    }

    /// When the first of those that wait has waited for all of its time.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.iter().map(Waiting::until).min()
    }
    /// One that has waited for all of its time, and how long that was.
    pub fn take_overdue(&mut self, now: Instant) -> Option<(CommandId, Duration)> {
        let index = self.waiting.iter().position(|waiting| now >= waiting.until())?;
        self.over += 1;
        self.waiting.remove(index).map(|late| (late.command, late.since.elapsed()))
    }

    /// The stream is gone. Nobody can hear what comes of its commands, and the operator was told so and may ask again:
    /// so they end, also those that change something, and those that wait never begin.
    pub fn abandon(&mut self) {
        self.over += self.waiting.len();
        self.waiting.clear();
        for (command, job) in self.running.iter_mut().filter(|(_, job)| job.heard) {
            tracing::warn!(%command, tool = job.tool, "its stream is gone; it is ended");
            job.heard = false;
            job.reins.cancel();
        }
    }

    fn fill(&mut self) {
        while self.running.len() < self.limit
            && let Some(Waiting { command, tool, ready, since, deadline }) = self.waiting.pop_front()
        {
            let left = deadline.min(LONGEST_DEADLINE).saturating_sub(since.elapsed());
            let (sink, outputs) = mpsc::channel(PIECES);
            let Started { reins, end } = ready.start(left, sink);
            let follower = tokio::spawn(follow(command.clone(), end, outputs, self.report.clone()));
            self.running.insert(command, Job { tool, heard: true, reins, follower });
        }
    }
}

/// Reports what a call prints, and then its end.
async fn follow(
    command: CommandId,
    mut end: futures::future::BoxFuture<'static, ToolResult>,
    mut outputs: mpsc::Receiver<Output>,
    report: mpsc::Sender<Report>,
) {
    // Nobody is left to report to when sending fails: the daemon ends.
    let result = loop {
        tokio::select! {
            biased;
            Some(output) = outputs.recv() => {
                if report.send(Report::Output(command.clone(), output)).await.is_err() {
                    return;
                }
            }
            result = &mut end => break result,
        }
    };
    // Printed between the two looks above.
    while let Ok(output) = outputs.try_recv() {
        if report.send(Report::Output(command.clone(), output)).await.is_err() {
            return;
        }
    }
    let _ = report.send(Report::Ended(command, Box::new(result))).await;
}

#[cfg(test)]
mod tests {
    use aegis_core::fleet::{RunId, TargetOutcome};
    use bytes::Bytes;
    use futures::FutureExt;

    use super::*;
    use crate::{run::fake_offer::ended, tools::Sink};

    /// Prints its last words and ends between two looks at it.
    struct LastWords;

    impl Reins for LastWords {
        fn cancel(&self) {}
        fn credit(&self, _: u32) {}
    }

    impl Ready for LastWords {
        fn start(self: Box<Self>, _: Duration, sink: Sink) -> Started {
            let output = Output { stderr: false, data: Bytes::from_static(b"bye") };
            let end = async move {
                sink.try_send(output).unwrap();
                ended(TargetOutcome::Ok)
            };
            Started { reins: self, end: end.boxed() }
        }
    }

    #[tokio::test]
    async fn last_words_come_before_the_end() {
        let mut work = Work::new(1);
        let (since, deadline) = (Instant::now(), Duration::from_secs(1));
        let command = CommandId::of(&RunId::at(1, [0; 4]), 0);
        let ready = Box::new(LastWords);
        work.take_on(Waiting { command, tool: "a.b".into(), ready, since, deadline });
        assert!(matches!(work.next().await, Report::Output(..)));
        assert!(matches!(work.next().await, Report::Ended(..)));
    }
}
